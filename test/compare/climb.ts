/**
 * A small real search to compare ways of thinking with: from 1 to the number in goal.txt by steps of +1, x2 and x3, at most
 * five of them. Nothing but an answer that lies at the goal is right.
 */
import { Effect, type Scope } from "effect"
import type { Mode, Thought } from "../../agents/think.ts"
import type { Attempt } from "../../compare/run.ts"
import { beam } from "../../kernel/search/beam.ts"
import { bestOfN, selfConsistency } from "../../kernel/search/rollouts.ts"
import { type Domain, type Strategy, search } from "../../kernel/search/search.ts"
import type { ToolError } from "../../kernel/tool.ts"
import type { Workspace } from "../../sandbox/sandbox.ts"

interface Place {
  readonly at: number
  readonly path: ReadonlyArray<string>
}

const steps = ["+1", "x2", "x3"]
const most = 5

const after = ({ at, path }: Place, step: string): Place => ({
  at: step === "+1" ? at + 1 : at * Number(step.slice(1)),
  path: [...path, step]
})

/** Five tokens an action, one a value. */
const mountain = (goal: number): Domain<Place, string, never> => {
  let spent = 0
  const over = (place: Place) => place.at === goal || place.path.length === most
  return {
    root: Effect.succeed({ at: 1, path: [] }),
    propose: (_, count, seed) =>
      Effect.sync(() => {
        const taken = steps.map((_, i) => steps[(i + seed) % steps.length]!).slice(0, count)
        spent += 5 * taken.length
        return taken
      }),
    step: (place, step) => Effect.succeed(after(place, step)),
    score: (place) =>
      Effect.sync(() => {
        spent += 1
        return place.at > goal ? 0 : place.at / goal
      }),
    terminal: (place) => (over(place) ? { answer: `${place.at}`, verified: undefined } : undefined),
    key: ({ at, path }) => `${at} ${path.length}`,
    show: ({ at, path }) => `${path.at(-1) ?? "1"} → ${at}`,
    spent: () => spent,
    free: () => Effect.void
  }
}

const strategies: Readonly<Record<Mode, Strategy>> = {
  fast: bestOfN({ tries: 1 }),
  slow: beam({ keep: 6, width: 3 }),
  auto: beam({ keep: 2, width: 3 }),
  "best-of-n": bestOfN({ tries: Number.POSITIVE_INFINITY }),
  "self-consistency": selfConsistency({ tries: Number.POSITIVE_INFINITY }),
  random: beam({ keep: 1, width: 1 })
}

export const climb = Effect.fnUntraced(function* (
  { mode, seed, tokens }: Attempt,
  workspace: Workspace
): Effect.fn.Return<Thought, ToolError, Scope.Scope> {
  const { bytes } = yield* workspace.readFile("goal.txt")
  const domain = mountain(Number(new TextDecoder().decode(bytes)))
  const { best, tree } = yield* search(domain, strategies[mode], { budget: { tokens }, seed })
  const path = (best?.state.path ?? []).join(" ")
  if (best !== undefined) yield* workspace.writeFile("path.txt", path)
  return {
    answer: best?.terminal.answer ?? null,
    status: best === undefined ? "budget" : "ok",
    reason: "",
    calls: [],
    usage: {
      prefillTokens: 0,
      cachedTokens: 0,
      generatedTokens: domain.spent(),
      valueTokens: 0,
      wallMs: 0
    },
    nodes: tree.nodes.length - 1,
    changes: best === undefined ? [] : [{ path: "path.txt", kind: "added", after: path }],
    ...(mode === "fast" ? {} : { tree })
  }
}, Effect.scoped)
