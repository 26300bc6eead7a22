/**
 * The pager's policies on simulated runs: what is evaluated in all, and how often a page has to be recalled. No engine;
 * a token is a number.
 *
 * A process appends a page in every step, and needs some page or other for it. One that is not in view is recalled, which
 * appends a copy of it; one that is counts as used.
 */
import { Effect } from "effect"
import { Engine, type Token } from "../../kernel/engine/engine.ts"
import { append, born, type Context, inView, touch } from "../../kernel/memory/context.ts"
import { compact, cost, lru, type PagerPolicy, size } from "../../kernel/memory/pager.ts"
import { makeWindow, type Window } from "../../kernel/memory/window.ts"
import { Random } from "../../models/nano/language.ts"
import { nullEngine } from "../scheduler/null-engine.ts"
import type { Emit } from "../scheduler/system.ts"
import { progress } from "./setting.ts"

const steps = 1000
const seeds = 4

/** Which of the results so far a step needs, the first being 0. */
type Pattern = (r: Random, results: number) => number

const patterns: Record<string, Pattern> = {
  /** Mostly what was found at the beginning. */
  needle: (r) => r.int(0, 3),
  /** A geometric distance back, eight pages on average. */
  recency: (r, results) => {
    const back = Math.floor(Math.log(1 - r.unit()) / Math.log(1 - 1 / 8))
    return Math.max(0, results - 1 - back)
  },
  /** The i-th page with a weight of 1/(i+1) (Zipf): by inversion of the harmonic sum's integral. */
  zipf: (r, results) => Math.min(results - 1, Math.floor((results + 1) ** r.unit()) - 1)
}

const zeros: ReadonlyArray<Token> = Array.from({ length: 2048 }, () => 0)
const tokens = (n: number): ReadonlyArray<Token> => zeros.slice(0, n)

interface Run {
  readonly evaluated: number
  readonly faults: number
}

const simulate = (window: Window, policy: PagerPolicy, pattern: Pattern, seed: number): Run => {
  const r = new Random(seed, "train")
  const results: Array<{ readonly page: number; readonly size: number }> = []
  let context: Context = born(tokens(window.size / 8), tokens(window.size / 32))
  let evaluated = context.size
  let faults = 0

  const take = (length: number, copied?: number) => {
    const page = context.pages + 2
    const copy = copied === undefined ? {} : { copy: { page: copied, part: 1 } }
    const about = { about: "read a file", page, pinned: false, whole: true }
    const label = { integrity: "untrusted", source: "tool" } as const
    context = append(context, { ...about, ...copy, tokens: tokens(length), label })
    evaluated += length
    if (context.size > window.high) {
      const done = compact(context, window, policy)
      context = done.context
      // What was in the last exchange is evaluated once, after the eviction.
      evaluated += Math.max(0, context.size - done.kept - length)
    }
    return page
  }

  for (let step = 0; step < steps; step++) {
    const need = results[pattern(r, results.length)]
    if (need !== undefined && inView(context, need.page, 1)) context = touch(context, need.page)
    else if (need !== undefined) {
      faults++
      take(need.size, need.page)
    }
    const length = r.int(Math.floor(window.size / 64), Math.floor(window.size / 8))
    results.push({ page: take(length), size: length })
  }
  return { evaluated, faults }
}

const add = (runs: ReadonlyArray<Run>): Run => ({
  evaluated: runs.reduce((n, run) => n + run.evaluated, 0),
  faults: runs.reduce((n, run) => n + run.faults, 0)
})

export const policies = async (emit: Emit): Promise<void> => {
  const window = await Effect.map(Engine, makeWindow).pipe(
    Effect.provide(nullEngine(1, 64)),
    Effect.runPromise
  )
  const runsOf = (policy: PagerPolicy): ReadonlyArray<readonly [name: string, run: Run]> => {
    const each = Object.entries(patterns).map(
      ([name, pattern]) =>
        [
          `${name}_`,
          add(Array.from({ length: seeds }, (_, seed) => simulate(window, policy, pattern, seed)))
        ] as const
    )
    return [["", add(each.map(([, run]) => run))], ...each]
  }
  const ours = new Map(runsOf(cost))
  for (const policy of [lru, size])
    for (const [name, theirs] of runsOf(policy))
      for (const [what, unit] of [
        ["evaluated", "tokens"],
        ["faults", "faults"]
      ] as const) {
        const value = ours.get(name)![what]
        emit({
          metric: `${what}_${name}${policy.name}_vs_cost`,
          value,
          unit,
          baseline: { name: policy.name, value: theirs[what] },
          ratio: theirs[what] / value
        })
      }
  progress(`${seeds} simulated runs of ${steps} steps for each policy and pattern`)
}
