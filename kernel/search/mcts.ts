/**
 * Monte Carlo tree search: UCT (Kocsis and Szepesvári 2006) with the value of a new state in the place of a rollout, as
 * in Language Agent Tree Search (Zhou et al. 2023, arXiv:2310.04406), and progressive widening (Coulom 2007), so that a
 * state that many visits went through gets more children.
 */
import type { Strategy } from "./search.ts"
import { bestAnswer, close, dry, type Node, reached, worth } from "./tree.ts"

export interface Mcts {
  /** Actions that are tried from a state at a time. */
  readonly width: number
  /** Weight of what has been visited little; the square root of 2 is UCT's own for values between 0 and 1. */
  readonly explore: number
}

/** An answer of this value is good enough to stop. */
const enough = 0.95

/**
 * The upper confidence bound of a child: the mean value at and below it, and the more, the less often it was visited
 * compared to its parent.
 */
export const uct = (node: Node, explore: number) =>
  node.total / node.visits + explore * Math.sqrt(Math.log(node.parent!.visits) / node.visits)

export const mcts = ({ explore, width }: Mcts): Strategy => {
  /** The square root of its visits, counted in expansions, is how often it may have been expanded. */
  const mayWiden = (node: Node) => !dry(node) && node.expansions < Math.floor(Math.sqrt(node.visits / width))
  const alive = (node: Node) => node.children.filter((n) => !n.closed && n.terminal === undefined)

  const select = (node: Node): Node => {
    if (node.expansions === 0 || mayWiden(node)) return node
    const bound = (n: Node) => uct(n, explore)
    const [best] = alive(node).sort((a, b) => bound(b) - bound(a) || a.id - b.id)
    return best === undefined ? node : select(best)
  }

  return {
    name: `mcts:${width}@${explore}`,
    scores: "all",
    distinct: true,
    pick: (tree) => {
      const [answer] = reached(tree)
      return tree.root.closed || (answer && worth(answer) >= enough) ? [] : [select(tree.root)]
    },
    width: () => width,
    absorb: (_tree, round) => {
      // Nothing new, and nothing below that could go on: not here again.
      for (const { node } of round)
        for (
          let at: Node | undefined = node;
          at !== undefined && dry(at) && alive(at).length === 0;
          at = at.parent
        )
          close(at)
    },
    answers: bestAnswer
  }
}
