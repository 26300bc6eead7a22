/** The tree as it grows during a search: what strategies look at and mark, and the plain data that is left of it. */
import type { Terminal, Tree, TreeNode } from "./search.ts"

/** A state of the search, without the state itself: strategies decide by the values alone. */
export interface Node {
  /** Its place among the nodes, in the order in which they were made. */
  readonly id: number
  readonly parent: Node | undefined
  /** Steps from the root. */
  readonly depth: number
  /** Those that differ from all that came before; duplicates are not among them. */
  readonly children: Array<Node>
  text: string
  state: TreeNode["state"]
  why: string | undefined
  /** 0 to 1; undefined: was not scored. */
  value: number | undefined
  /** Set when it has ended and that has been scored. */
  terminal: Terminal | undefined
  changes: TreeNode["changes"]
  /** Times that actions from here were asked for. */
  expansions: number
  /** Rounds in a row in which expanding it brought nothing new. */
  barren: number
  /** Nobody needs its state any more: it is freed after the round. */
  closed: boolean
  /** Scored states at or below it, and the sum of their values (see mcts.ts). */
  visits: number
  total: number
}

export interface Growing {
  readonly root: Node
  readonly nodes: Array<Node>
}

export const plant = (): Growing => {
  const nodes: Array<Node> = []
  return { root: addNode(nodes, undefined), nodes }
}

export const addNode = (nodes: Array<Node>, parent: Node | undefined): Node => {
  const node: Node = {
    id: nodes.length,
    parent,
    depth: parent === undefined ? 0 : parent.depth + 1,
    children: [],
    text: "",
    state: "open",
    why: undefined,
    value: undefined,
    terminal: undefined,
    changes: undefined,
    expansions: 0,
    barren: 0,
    closed: false,
    visits: 0,
    total: 0
  }
  nodes.push(node)
  return node
}

/** Says that a node will not be expanded again. */
export const close = (node: Node) => {
  node.closed = true
}

/**
 * Whether asking for more from here is of no use. Chance may bring nothing new once, and to give up the root is to give up
 * the search.
 */
export const dry = (node: Node) => node.barren >= (node.parent === undefined ? 6 : 2)

/** Gives a node up, for a reason that people can read. */
export const prune = (node: Node, why: string) => {
  node.state = "pruned"
  node.why = why
  node.closed = true
}

/** What has not been scored is worth nothing yet. */
export const worth = (node: Node) => node.value ?? 0

/** The most valuable first; of equals the one that was made first. */
export const byValue = (a: Node, b: Node) => worth(b) - worth(a) || a.id - b.id

/** All answers that no verifier has refused, the most valuable first. */
export const reached = (tree: Growing): Array<Node> =>
  tree.nodes.filter((n) => n.state === "terminal" && n.terminal?.verified !== false).sort(byValue)

/** The one answer that is best by value, for strategies that need no other. */
export const bestAnswer = (tree: Growing) => reached(tree).slice(0, 1)

/** A value as people read it. */
export const shown = (value: number) => value.toFixed(2)

/** The nodes from the root to this one. */
export const pathTo = (node: Node): Array<Node> => [
  ...(node.parent === undefined ? [] : pathTo(node.parent)),
  node
]

export const plain = (tree: Growing, best: Node | undefined): Tree => ({
  nodes: tree.nodes.map(({ changes, id, parent, state, text, value, visits, why }) => ({
    id,
    parent: parent?.id,
    text,
    value,
    visits,
    state,
    ...(why === undefined ? {} : { why }),
    ...(changes === undefined ? {} : { changes })
  })),
  chosen: best === undefined ? [] : pathTo(best).map((n) => n.id)
})
