/** What a process may ask of its own memory: to read a page again, to find one, to keep one, to let one go. */
import { Effect, Iterable } from "effect"
import { mostRanked } from "../full-text.ts"
import type { Journal } from "../journal.ts"
import type { Process } from "../process.ts"
import { foundText, partName, partText, resultText } from "../prompt.ts"
import { asToolError, badInput, refuse, type Self } from "../tool.ts"
import { frameOf, inView, pinnedSize } from "./context.ts"
import type { Memories } from "./memories.ts"
import type { Window } from "./window.ts"

/** What it is made of. */
export interface Store {
  readonly journal: Journal["Service"]
  readonly memories: Memories["Service"]
  readonly window: Window
}

/** Of what was found: so many pages, so many memories, so many characters of each. */
const most = { pages: 5, memories: 3, line: 200 }

/** What comes of a note. */
const noted = resultText(true, "ok")

/** A text as the index takes it, near enough, one character for each: without case and accents. */
const folded = (text: string): string =>
  Array.from(text, (c) => c.normalize("NFD").charAt(0).toLowerCase().charAt(0)).join("")

/** The words that are looked for, without the endings that the index does not tell apart. */
const wordsOf = (text: string): ReadonlyArray<string> =>
  (folded(text).match(/[\p{L}\p{N}]+/gu) ?? []).map((word) =>
    word.length > 4 ? word.replace(/(ing|ed|es|s|e|y)$/, "") : word
  )

/** The line of a text that has the most of the words, around the first of them where it is long. */
const bestLine = (text: string, words: ReadonlyArray<string>): string => {
  const lines = text.replace(/^(result|error): /, "").split("\n")
  const score = (line: string) => {
    const low = folded(line)
    return words.filter((word) => low.includes(word)).length
  }
  let best = lines[0]!
  let top = score(best)
  for (const line of lines.slice(1)) {
    const points = score(line)
    if (points > top) [best, top] = [line, points]
  }
  const line = Array.from(best.trim())
  if (line.length <= most.line) return line.join("")
  const low = folded(line.join(""))
  const places = words.map((word) => low.indexOf(word)).filter((at) => at >= 0)
  const from = Math.max(0, Math.min(...places, line.length - most.line) - most.line / 4)
  return line.slice(from, from + most.line).join("")
}

export const recallOf = (
  p: Process,
  { journal, memories, window }: Store
): Pick<Self, "recall" | "note" | "forget" | "remember"> => {
  const missing = (page: number) =>
    refuse("not_found", `no page ${page}: the pages are 1 to ${p.context.pages}`)

  const read = Effect.fnUntraced(function* (number: number, part: number) {
    const page = yield* journal.page(p.pid, number)
    if (page === undefined || number > p.context.pages) return yield* missing(number)
    const original = page.copy || number
    if (original !== number) return yield* refuse("bad_input", `page ${number} repeats page ${original}`)
    const parts = [...Iterable.take(window.parts(page.text.replace(/^result: /, "")), part + 1)]
    const text = parts[part - 1]
    if (text === undefined)
      return yield* badInput(
        `page ${number} has ${parts.length === 1 ? "one part" : `${parts.length} parts`}`
      )
    if (inView(p.context, number, part)) {
      p.remark = { touched: [number] }
      return `${partName(number, part, part > 1)} is in view`
    }
    p.remark = { copy: { page: number, part }, label: page.label }
    return part === 1 && parts.length === 1 ? text : partText(number, part, parts.length > part, text)
  })

  const find = Effect.fnUntraced(function* (text: string, part: number) {
    const end = part * most.pages
    // The task is always in view.
    const found = (yield* journal.search(p.pid, text, end + 2)).filter(({ role }) => role !== "task")
    const pages = found.slice(end - most.pages, end)
    const known = part === 1 ? yield* memories.search(p.workspace.root, text, most.memories) : []
    const words = wordsOf(text)
    const all = [...pages.map(({ label }) => label), ...known.map(({ label }) => label)]
    const integrity = all.every((label) => label.integrity === "trusted") ? "trusted" : "untrusted"
    p.remark = {
      copy: { page: 0, part: 0 },
      label: { integrity, source: "recall" },
      touched: pages.map(({ ordinal }) => ordinal)
    }
    const lines = [
      ...pages.map(({ ordinal, text }) => ({ where: `page ${ordinal}`, line: bestLine(text, words) })),
      // A memory has no pages to recall: it is given whole.
      ...known.map(({ id, text }) => ({ where: `memory ${id}`, line: text }))
    ]
    const more = found.length > end ? `part ${part + 1}` : end < mostRanked ? undefined : "use rarer words"
    return foundText(lines, more)
  })

  return {
    recall: ({ page, part = 1, text = "" }) => {
      if (page !== undefined) return asToolError(read(page, part))
      if (text.trim() === "") return badInput("name a page, or a text to find")
      return asToolError(find(text, part))
    },

    note: Effect.fnUntraced(function* () {
      const pinned = pinnedSize(p.context) + window.exchange(p.said.tokens, noted).tokens.length
      if (pinned > window.pinned) {
        const message = `no room for another note: ${pinned} of ${window.pinned} tokens; forget one first`
        return yield* refuse("limit", message)
      }
      p.remark = { pinned: true }
    }),

    forget: Effect.fnUntraced(function* (page) {
      if (page > p.context.pages) return yield* missing(page)
      const frame = frameOf(p.context, page)
      if (frame !== undefined && frame.kind !== "exchange")
        return yield* refuse("bad_input", `page ${page} is the ${frame.kind} page, which stays`)
      p.remark = { forget: page }
    }),

    remember: ({ key, text }) =>
      memories
        .remember({
          workspace: p.workspace.root,
          text,
          run: p.run,
          pid: p.pid,
          label: { integrity: "untrusted", source: `process ${p.pid}` },
          ...(key === undefined ? {} : { key })
        })
        .pipe(asToolError, Effect.asVoid)
  }
}
