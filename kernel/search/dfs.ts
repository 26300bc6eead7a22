/**
 * Depth-first search with backtracking: always on from the best child, back where nothing is good enough (Tree of
 * Thoughts' DFS, arXiv:2305.10601). It is done in passes: in the first, each state is expanded once,
 * and each that follows goes through what is left and widens states whose children were of no use. So no bad beginning
 * takes all, and nothing is asked for before what there is has been tried.
 */
import type { Strategy } from "./search.ts"
import { bestAnswer, byValue, close, dry, type Node, pathTo, prune, reached, shown, worth } from "./tree.ts"

export interface Dfs {
  /** Actions that are tried from a state at a time. */
  readonly width: number
  /** States with a lower value are given up. An answer above 1 - threshold is good enough to stop. */
  readonly threshold: number
  /** How often a state whose children were of no use gets more of them, in each pass after the first: 1 or more. */
  readonly widen: number
}

export const dfs = ({ threshold, widen, width }: Dfs): Strategy => {
  const hopeful = (node: Node) => node.children.filter((n) => !n.closed && n.terminal === undefined)

  /** The state to go on from when each may be expanded so often: the first that may, the best children before their parent. */
  const next = (node: Node, most: number): Node | undefined => {
    for (const child of hopeful(node).sort(byValue)) {
      const found = next(child, most)
      if (found !== undefined) return found
    }
    return node.expansions < most && !dry(node) ? node : undefined
  }

  return {
    name: `dfs:${width}x${widen}@${threshold}`,
    scores: "all",
    distinct: true,
    pick: (tree) => {
      const [answer] = reached(tree)
      if (tree.root.closed || (answer !== undefined && worth(answer) >= 1 - threshold)) return []
      for (let pass = 0; ; pass++) {
        const node = next(tree.root, 1 + widen * pass)
        if (node !== undefined) return [node]
      }
    },
    width: () => width,
    absorb: (tree, round) => {
      const fruitful = new Set(reached(tree).flatMap(pathTo))
      for (const { children, node } of round) {
        for (const child of children)
          if (child.terminal === undefined && worth(child) < threshold)
            prune(child, `value ${shown(worth(child))} below ${threshold}`)
        // Nothing new, and nothing below to go on from: neither here nor, perhaps, above.
        for (let at: Node | undefined = node; at && dry(at) && hopeful(at).length === 0; at = at.parent)
          if (fruitful.has(at)) close(at)
          else prune(at, "no way on from here was good enough")
      }
    },
    answers: bestAnswer
  }
}
