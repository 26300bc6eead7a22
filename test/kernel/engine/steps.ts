/** Steps of one sequence at a time, for tests of the engine. */
import { Effect } from "effect"
import {
  type Decoded,
  Engine,
  type Grammar,
  type Sampling,
  type Sequence
} from "../../../kernel/engine/engine.ts"

export const greedy: Sampling = { temperature: 0, seed: 0 }
export const warm = (seed: number): Sampling => ({ temperature: 1, seed })

/** A new sequence with a row of its own. */
export const taken = Effect.gen(function* () {
  const engine = yield* Engine
  const sequence = yield* engine.sequence
  yield* engine.swapIn(sequence)
  return sequence
})

export const prefill = (sequence: Sequence, text: string) =>
  Effect.gen(function* () {
    const engine = yield* Engine
    yield* engine.step([{ _tag: "Prefill", sequence, tokens: engine.tokenize(text) }])
  })

/** The next `count` tokens of one sequence, fewer when its turn ends. */
export const decode = (sequence: Sequence, sampling: Sampling, count: number, grammar?: Grammar) =>
  Effect.gen(function* () {
    const engine = yield* Engine
    const out: Array<Decoded> = []
    while (out.length < count && out.at(-1)?.done !== true) {
      const work = { _tag: "Decode", sequence, sampling, ...(grammar && { grammar }) } as const
      out.push((yield* engine.step([work]))[0]!)
    }
    return out
  })

export const tokens = (decoded: ReadonlyArray<Decoded>) => decoded.map((d) => d.token)
export const texts = (decoded: ReadonlyArray<Decoded>) => decoded.map((d) => d.text).join("")
