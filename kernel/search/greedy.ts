/** Greedy: looks one step ahead, takes the best, and never goes back. */
import type { Strategy } from "./search.ts"
import { bestAnswer, byValue, close, prune, shown, worth } from "./tree.ts"

export const greedy = ({ width }: { readonly width: number }): Strategy => ({
  name: `greedy:${width}`,
  scores: "all",
  distinct: true,
  pick: (tree) => tree.nodes.filter((n) => n.state === "open"),
  width: () => width,
  absorb: (_tree, round) => {
    for (const { children, node } of round) {
      close(node)
      const [best, ...others] = children.toSorted(byValue)
      for (const other of others)
        prune(other, `value ${shown(worth(other))}, and ${shown(worth(best!))} for node ${best!.id}`)
    }
  },
  answers: bestAnswer
})
