/** Eight processes that write: tokens a second under the kernel, in bare loops, and in llama.cpp's own benchmark. */
import { Effect, Layer } from "effect"
import { exit } from "../../kernel/calls.ts"
import { Engine } from "../../kernel/engine/engine.ts"
import { callGrammar } from "../../kernel/engine/gbnf.ts"
import { makeWindow } from "../../kernel/memory/window.ts"
import { message, openTurn, systemText } from "../../kernel/prompt.ts"
import type { AnyTool } from "../../kernel/tool.ts"
import { bare, freeRunning, lockstep } from "./bare.ts"
import { batchedBench } from "./batched-bench.ts"
import { decodes, type Emit, llama, median, onKernel, progress, waitAll } from "./system.ts"

const rows = 8
const tokens = 64
const rounds = 3
const tasks = Array.from({ length: rows }, (_, i) => `Say what number ${i} would say.`)

/** An engine on which nothing can be written but calls of this grammar: a trained model would soon exit. */
const bound = (model: string, gbnf: string) =>
  Layer.effect(
    Engine,
    Effect.map(Engine, (inner) => Engine.of({ ...inner, grammar: () => inner.grammar(gbnf) }))
  ).pipe(Layer.provide(llama(model, rows)))

/** Tokens a second of the steps in which all were decoding, the kernel's own time between them included. */
const underKernel = async (model: string, tool: AnyTool, gbnf: string): Promise<number> => {
  const full: Array<number> = []
  await onKernel(
    bound(model, gbnf),
    (jobs) =>
      Effect.gen(function* () {
        const pids = yield* Effect.forEach(tasks, (task) => jobs.start(task, tokens, { tools: [tool] }), {
          concurrency: "unbounded"
        })
        yield* waitAll(jobs, pids)
      }),
    (e) => {
      if (e.type === "step" && decodes(e) === rows) full.push(e.now)
    }
  )
  if (full.length < tokens / 2) throw new Error("the processes stopped before their time")
  return ((full.length - 1) * rows * 1000) / (full.at(-1)! - full[0]!)
}

/** What the processes read, as tokens, and the grammar of their calls. */
const prompts = (model: string, tool: AnyTool) =>
  Effect.gen(function* () {
    const engine = yield* Engine
    const system = message(engine, "system", systemText([tool, exit]))
    const maxStringLength = makeWindow(engine).mostInString!
    return {
      gbnf: callGrammar([tool], { maxStringLength }),
      read: tasks.map((task) => [
        ...engine.bos,
        ...system,
        ...message(engine, "user", task),
        ...openTurn(engine)
      ])
    }
  }).pipe(Effect.provide(llama(model, 1)), Effect.runPromise)

export const decode = async (model: string, tool: AnyTool, suffix: string, emit: Emit): Promise<void> => {
  const { gbnf, read } = await prompts(model, tool)
  const kernel: Array<number> = []
  const together: Array<number> = []
  const free: Array<number> = []
  const native: Array<number> = []
  const compiled: Array<number> = []
  const rate = (ms: number) => (rows * tokens * 1000) / ms
  for (let round = 0; round < rounds; round++) {
    kernel.push(await underKernel(model, tool, gbnf))
    const loop = await bare(model, rows)
    together.push(rate(await lockstep(await loop.start(read, gbnf), tokens)))
    free.push(rate(await freeRunning(await loop.start(read, gbnf), tokens)))
    await loop.close()
    progress(`eight processes that write${suffix}, round ${round + 1} of ${rounds}`)
    const shape = { prompt: read[0]!.length, tokens, rows }
    const speed = await batchedBench(model, shape)
    if (speed === undefined) continue
    native.push(speed.same)
    compiled.push(speed.compiled)
  }
  const ours = median(kernel)
  const against = (metric: string, name: string, values: ReadonlyArray<number>) => {
    if (values.length === 0) return
    const value = median(values)
    emit({
      metric: `${metric}${suffix}`,
      value: ours,
      unit: "tokens/s",
      baseline: { name, value },
      ratio: ours / value
    })
  }
  against("decode8_vs_lockstep", "bare lockstep loop, same grammar", together)
  against("decode8_vs_free_running", "one bare loop a sequence, same grammar", free)
  against("decode8_vs_llama_batched_bench", "llama-batched-bench on the same CPU library", native)
  against("decode8_vs_llama_batched_bench_native", "llama-batched-bench compiled for this CPU", compiled)
}
