/**
 * Rollouts: whole tries from the root to an answer, which know nothing of each other. Best-of-N commits to the answer
 * with the best value, self-consistency (Wang et al. 2022, arXiv:2203.11171) to the one that most tries came to.
 */
import type { Strategy } from "./search.ts"
import { bestAnswer, close, dry, type Growing, type Node, prune, reached, worth } from "./tree.ts"

export interface Rollouts {
  /** How many tries; Infinity: until the budget is spent. One that is under way then is dropped. */
  readonly tries: number
}

/** Tries that are under way together: one, so that no more than one is lost at the end of a budget. */
const together = 1

const rollouts = (name: string, { tries }: Rollouts, answers: Strategy["answers"]): Strategy => ({
  name: Number.isFinite(tries) ? `${name}:${tries}` : name,
  scores: "terminals",
  distinct: false,
  pick: ({ nodes, root }) => {
    const begun = nodes.filter((n) => n.state === "open" && n !== root)
    const stuck = root.terminal !== undefined || dry(root)
    const more = stuck ? 0 : Math.min(together - begun.length, tries - root.expansions)
    return [...begun, ...Array<Node>(Math.max(0, more)).fill(root)]
  },
  width: () => 1,
  absorb: ({ root }, round) => {
    for (const { children, node } of round) {
      if (node === root) continue
      if (children.length === 0) prune(node, "there was no way on")
      else close(node)
    }
    if (root.expansions >= tries) close(root)
  },
  answers
})

export const bestOfN = (options: Rollouts) => rollouts("best-of-n", options, bestAnswer)

export const selfConsistency = (options: Rollouts) => rollouts("self-consistency", options, elected)

/** One node for each answer: most votes first, of equally many the answer whose values add up to more. */
const elected = (tree: Growing) => {
  const votes = Map.groupBy(reached(tree), (n) => n.terminal!.answer)
  const sum = (these: ReadonlyArray<Node>) => these.reduce((total, n) => total + worth(n), 0)
  return [...votes.values()]
    .toSorted((a, b) => b.length - a.length || sum(b) - sum(a))
    .map(([first]) => first!)
}
