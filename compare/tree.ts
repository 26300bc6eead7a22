/** A search tree that one can walk, and what its nodes changed in the workspace, as HTML. */
import { createTwoFilesPatch, OMIT_HEADERS } from "diff"
import type { Tree, TreeNode } from "../kernel/search/search.ts"
import type { Change } from "../sandbox/sandbox.ts"
import { type Html, html } from "./html.ts"

/** Characters of a node's text on its line; all of it is inside. */
const lineWidth = 140

/** Edits (lines that went or came) past which a diff is neither sought nor shown. */
const mostEdits = 2000

/** The path that was chosen is open, the rest folded. */
export const treeHtml = ({ chosen, nodes }: Tree): Html => {
  const path = new Set(chosen)
  const children = Map.groupBy(nodes, ({ parent }) => parent)
  const below = (parent?: TreeNode): Html => {
    const under = children.get(parent?.id) ?? []
    return under.length === 0
      ? html``
      : html`<ul class="tree">${under.map((node) => item(node, parent?.changes ?? []))}</ul>`
  }
  const item = (node: TreeNode, before: ReadonlyArray<Change>): Html => {
    const short = oneLine(node.text)
    const changes = since(before, node.changes ?? [])
    const inside = [
      ...(short === node.text ? [] : [html`<pre>${node.text}</pre>`]),
      ...changes.map(changeHtml),
      below(node)
    ].filter(({ text }) => text !== "")
    const on = path.has(node.id)
    const head = [
      html`<code>${short}</code> `,
      node.value === undefined
        ? undefined
        : html`<meter value="${node.value}"></meter> <b>${node.value.toFixed(2)}</b> `,
      html`<small>${said(node, changes.length)}</small>`
    ]
    const name = on ? "chosen" : ""
    return inside.length === 0
      ? html`<li class="${name} ${node.state}"><div>${head}</div></li>`
      : html`<li class="${name} ${node.state}"><details${on ? html` open` : undefined}><summary>${head}</summary>${inside}</details></li>`
  }
  return below()
}

const said = ({ state, visits, why }: TreeNode, changed: number): string =>
  [
    why === undefined ? state : `${state}: ${why}`,
    `${visits} ${visits === 1 ? "visit" : "visits"}`,
    ...(changed === 0 ? [] : [changed === 1 ? "1 file" : `${changed} files`])
  ].join(" · ")

const oneLine = (text: string): string => {
  const line = text.replace(/\s*\n\s*/g, " ⏎ ")
  return line.length <= lineWidth ? line : `${line.slice(0, lineWidth - 1)}…`
}

/** What one step changed: of all that had changed before it and of all that has changed now, each since the same base. */
export const since = (before: ReadonlyArray<Change>, now: ReadonlyArray<Change>): ReadonlyArray<Change> => {
  const was = new Map(before.map((change) => [change.path, change]))
  const is = new Map(now.map((change) => [change.path, change]))
  const undone = before.filter(({ path }) => !is.has(path)).map(reverse)
  const done = now.flatMap((change) => {
    const earlier = was.get(change.path)
    if (earlier === undefined) return [change]
    if (earlier.kind === change.kind && earlier.after === change.after) return []
    return [follow(earlier, change)]
  })
  return [...undone, ...done]
}

const opposite = { added: "removed", changed: "changed", removed: "added" } as const

const reverse = ({ after, before, kind, path }: Change): Change => ({
  path,
  kind: opposite[kind],
  ...(after === undefined ? {} : { before: after }),
  ...(before === undefined ? {} : { after: before })
})

/** The change from what the first led to, to what the second did. */
const follow = ({ after: before, kind: earlier }: Change, { after, kind, path }: Change): Change => ({
  path,
  kind: kind === "removed" ? "removed" : earlier === "removed" ? "added" : "changed",
  ...(before === undefined ? {} : { before }),
  ...(after === undefined ? {} : { after })
})

/** A file that was changed, with its unified diff where its text is known. */
export const changeHtml = (change: Change): Html => {
  const lines = diffOf(change)
  const head = html`${change.kind} <code>${change.path}</code>`
  if (lines === undefined) return html`<div class="change">${head} <small>(no text to show)</small></div>`
  return html`<details class="change"><summary>${head}</summary><pre class="diff">${lines.map(
    (line) => html`<span class="${kindOf(line)}">${line}\n</span>`
  )}</pre></details>`
}

const kindOf = (line: string): string => {
  if (line.startsWith("+")) return "plus"
  if (line.startsWith("-")) return "minus"
  return line.startsWith("@@") ? "hunk" : "same"
}

const diffOf = ({ after, before, kind, path }: Change): ReadonlyArray<string> | undefined => {
  const known = (kind === "added" || before !== undefined) && (kind === "removed" || after !== undefined)
  if (!known) return undefined
  const patch = createTwoFilesPatch(path, path, before ?? "", after ?? "", "", "", {
    context: 3,
    maxEditLength: mostEdits,
    headerOptions: OMIT_HEADERS
  })
  return patch?.replace(/\n$/, "").split("\n")
}
