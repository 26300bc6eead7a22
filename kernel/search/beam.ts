/**
 * Beam search: level by level, the best states of each. With a model that proposes and values it is the breadth-first
 * Tree of Thoughts (Yao et al. 2023, arXiv:2305.10601).
 */
import type { Strategy } from "./search.ts"
import { bestAnswer, byValue, close, prune, reached } from "./tree.ts"

export interface Beam {
  /** States of a level that are kept. Each answer takes the place of one from then on. */
  readonly keep: number
  /** Actions that are tried from each. */
  readonly width: number
}

export const beam = ({ keep, width }: Beam): Strategy => ({
  name: `beam:${keep}x${width}`,
  scores: "all",
  distinct: true,
  pick: (tree) => tree.nodes.filter((n) => n.state === "open"),
  width: () => width,
  absorb: (tree, round) => {
    for (const { node } of round) close(node)
    const level = round.flatMap(({ children }) => children).filter((n) => n.terminal === undefined)
    const places = Math.max(0, keep - reached(tree).length)
    const why = places === keep ? `not among the ${keep} best of its level` : "answers have taken its place"
    for (const node of level.toSorted(byValue).slice(places)) prune(node, why)
  },
  answers: bestAnswer
})
