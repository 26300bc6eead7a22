/**
 * A hundred steps in a window that overflows many times: what has to be evaluated again, and how long it all takes. With
 * the kernel, and in three loops without it that drop the oldest messages:
 *
 * - `naive`: whenever the window is full, and then reads the whole prompt again;
 * - `same_marks`: the same, but at the kernel's water marks, and so as rarely;
 * - `prefix_cache`: at the kernel's marks, and what is in front of the first message that went stays in the KV cache.
 *
 * On the embedded model: with it reading is cheaper than with any other, and so the kernel's own time weighs most.
 */
import { Effect, Layer } from "effect"
import { embeddedModel } from "../../cli/environment.ts"
import { Engine } from "../../kernel/engine/engine.ts"
import { pagingCalls } from "../../kernel/memory/calls.ts"
import { makeWindow } from "../../kernel/memory/window.ts"
import type { Exit } from "../../kernel/process.ts"
import { policed } from "../../test/fixtures/policy-engine.ts"
import { type Emit, onKernel } from "../scheduler/system.ts"
import { type Ended, full, type Marks, session, truncation } from "./baselines.ts"
import { makeLog, reader, readLog, task } from "./log.ts"
import { budget, llama, progress } from "./setting.ts"

const steps = 100
const rounds = 2

/** Windows: the one that models get unless a person says otherwise, and one so small that the naive loop comes to an end. */
const usual = 8192
const small = 2048

/** Reads on as long as there is a piece, whatever it says, and ends. */
const model = (contextSize: number) =>
  policed(readLog(false)).pipe(Layer.provide(llama(embeddedModel, 1, contextSize)))

const pieces = (engine: Engine["Service"]) => {
  const log = makeLog(7, 250 * steps, (text) => engine.tokenize(text).length)
  return { pieces: [...log.pieces.slice(0, steps - 1), ...log.pieces.slice(-1)] }
}

/** How one run went, and how long it took, with the model loaded before. */
interface Timed<A> {
  readonly of: A
  readonly ms: number
}

const underKernel = (contextSize: number): Promise<Timed<Exit>> =>
  onKernel(model(contextSize), (jobs) =>
    Effect.gen(function* () {
      const tools = [reader(pieces(yield* Engine)), ...pagingCalls]
      const began = performance.now()
      const of = yield* jobs.wait(yield* jobs.start(task, Number.POSITIVE_INFINITY, { tools, budget }))
      if (of.status !== "ok") return yield* Effect.die(`the run ended early: ${of.reason}`)
      return { of, ms: performance.now() - began }
    })
  )

/** The same prompts in a session that trims at these marks. */
const inSession = (marksOf: (engine: Engine["Service"]) => Marks, cached: boolean): Promise<Timed<Ended>> =>
  Effect.gen(function* () {
    const engine = yield* Engine
    const tools = [reader(pieces(engine)), ...pagingCalls]
    const began = performance.now()
    const of = yield* session({ task, tools, trim: truncation, marks: marksOf(engine), cached })
    return { of, ms: performance.now() - began }
  }).pipe(Effect.provide(model(small)), Effect.runPromise)

export const reuse = async (emit: Emit): Promise<void> => {
  const reused = ({ of }: Timed<Exit>) => {
    const { cachedTokens, prefillTokens } = of.usage
    return cachedTokens / (cachedTokens + prefillTokens)
  }
  emit({ metric: "kv_reuse", value: reused(await underKernel(usual)), unit: "share" })
  const ours: Array<Timed<Exit>> = []
  const naive: Array<Timed<Ended>> = []
  const gentle: Array<Timed<Ended>> = []
  const prefix: Array<Timed<Ended>> = []
  for (let round = 0; round < rounds; round++) {
    ours.push(await underKernel(small))
    naive.push(await inSession(full, false))
    gentle.push(await inSession(makeWindow, false))
    prefix.push(await inSession(makeWindow, true))
  }
  emit({ metric: "kv_reuse_2048", value: reused(ours[0]!), unit: "share" })
  // Without evictions they would all have read the same.
  const { needed } = naive[0]!.of
  const again = ours[0]!.of.usage.prefillTokens - needed
  /** The faster round is the one that was disturbed less. */
  const ms = (of: ReadonlyArray<Timed<unknown>>) => Math.min(...of.map((run) => run.ms))
  const against = (suffix: string, name: string, runs: ReadonlyArray<Timed<Ended>>) => {
    const { read, trims } = runs[0]!.of
    progress(`${name}: ${read - needed} tokens again in ${trims} evictions`)
    emit({
      metric: `prefill_vs_${suffix}`,
      value: again,
      unit: "tokens",
      baseline: { name, value: read - needed },
      ratio: (read - needed) / again
    })
    emit({
      metric: `wall_vs_${suffix}`,
      value: ms(ours),
      unit: "ms",
      baseline: { name, value: ms(runs) },
      ratio: ms(runs) / ms(ours)
    })
  }
  progress(`${steps} steps: ${needed} tokens to read, ${again} read again by the kernel`)
  against("naive", "dropping the oldest", naive)
  against("same_marks", "dropping at the kernel's marks", gentle)
  against("prefix_cache", "dropping at the kernel's marks behind a cached prefix", prefix)
}
