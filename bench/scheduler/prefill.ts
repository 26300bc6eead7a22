/** A long prompt: how long it holds others up, and what it costs to read it once and fork instead of eight times. */
import { Deferred, Effect, Latch, Layer } from "effect"
import { Engine } from "../../kernel/engine/engine.ts"
import { Kernel } from "../../kernel/kernel.ts"
import {
  decodes,
  type Emit,
  llama,
  median,
  onKernel,
  progress,
  type Timed,
  waitAll,
  writer
} from "./system.ts"

/** Words enough for a task of about 1,024 tokens, with the rest of the prompt. */
const longTask = Effect.gen(function* () {
  const engine = yield* Engine
  let text = "read"
  for (let i = 0; engine.tokenize(text).length < 800; i++) text += ` w${i.toString(36)}`
  return text
})

/** An engine without a limit on what a step may read. */
const unchunked = (engine: ReturnType<typeof llama>) =>
  Layer.effect(
    Engine,
    Effect.map(Engine, (inner) => Engine.of({ ...inner, chunk: Number.POSITIVE_INFINITY }))
  ).pipe(Layer.provide(engine))

/** The longest time, in ms, that four processes waited for a token while a fifth read its prompt. */
const longestGap = async (engine: Layer.Layer<Engine, unknown>): Promise<number> => {
  const decoders = 4
  const warm = Latch.makeUnsafe(false)
  const steps: Array<number> = []
  await onKernel(
    engine,
    (jobs) =>
      Effect.gen(function* () {
        const pids = yield* Effect.forEach(
          Array.from({ length: decoders }, (_, i) => `decoder ${i}`),
          (task) => jobs.start(task, Number.POSITIVE_INFINITY),
          { concurrency: "unbounded" }
        )
        yield* warm.await
        yield* jobs.wait(yield* jobs.start(yield* longTask, 1))
        const kernel = yield* Kernel
        for (const pid of pids) yield* kernel.kill(pid, "KILL")
        yield* waitAll(jobs, pids)
      }),
    (e) => {
      if (e.type !== "step" || decodes(e) < decoders) return
      if (steps.push(e.now) === 16) warm.openUnsafe()
    }
  )
  return Math.max(...steps.slice(1).map((at, i) => at - steps[i]!))
}

export const gap = async (model: string, emit: Emit): Promise<void> => {
  const ours: Array<number> = []
  const whole: Array<number> = []
  for (let round = 0; round < 2; round++) {
    ours.push(await longestGap(llama(model, 5)))
    whole.push(await longestGap(unchunked(llama(model, 5))))
  }
  progress("a long prompt beside four decoders")
  const [value, base] = [median(ours), median(whole)]
  const baseline = { name: "prompts read in one piece", value: base }
  emit({ metric: "longest_gap_chunked", value, unit: "ms", baseline, ratio: base / value })
}

const copies = 8

/** Tells when each process has decoded its first token. */
const firstTokens = () => {
  const seen = new Map<number, Deferred.Deferred<number>>()
  const of = (pid: number) => {
    const known = seen.get(pid) ?? Deferred.makeUnsafe<number>()
    seen.set(pid, known)
    return known
  }
  return {
    of: (pid: number) => Deferred.await(of(pid)),
    watch: (e: Timed) => {
      if (e.type === "token") Deferred.doneUnsafe(of(e.pid), Effect.succeed(e.now))
    }
  }
}

/** ms from the first fork to the first token of the last of eight copies: a few rounds of one process. */
const forks = (model: string): Promise<ReadonlyArray<number>> => {
  const first = firstTokens()
  return onKernel(
    llama(model, copies + 1),
    (jobs) =>
      Effect.gen(function* () {
        const kernel = yield* Kernel
        const budget = { processes: 2 * copies }
        const pid = yield* jobs.start(yield* longTask, Number.POSITIVE_INFINITY, { budget })
        yield* first.of(pid)
        yield* kernel.kill(pid, "STOP")
        const round = Effect.gen(function* () {
          const began = performance.now()
          const pids = yield* Effect.forEach(
            Array.from({ length: copies }),
            () => kernel.fork(pid, { budget: { tokens: 1000, syscalls: 1, processes: 0 } }),
            { concurrency: "unbounded" }
          )
          const ends = yield* Effect.forEach(pids, first.of, { concurrency: "unbounded" })
          for (const child of pids) yield* kernel.kill(child, "KILL")
          yield* waitAll(jobs, pids)
          return Math.max(...ends) - began
        })
        return yield* Effect.replicateEffect(round, 3)
      }),
    first.watch
  )
}

/** The same for eight processes that each read the same prompt themselves: programs that differ in a word share nothing. */
const prefills = (model: string): Promise<number> => {
  const first = firstTokens()
  return onKernel(
    llama(model, copies + 1),
    (jobs) =>
      Effect.gen(function* () {
        const task = yield* longTask
        const began = performance.now()
        const pids = yield* Effect.forEach(
          Array.from({ length: copies }, (_, i) => ({ ...writer, instructions: `You are number ${i}.` })),
          (program) => jobs.start(task, 1, { program }),
          { concurrency: "unbounded" }
        )
        const ends = yield* Effect.forEach(pids, first.of, { concurrency: "unbounded" })
        yield* waitAll(jobs, pids)
        return Math.max(...ends) - began
      }),
    first.watch
  )
}

export const fork = async (model: string, emit: Emit): Promise<void> => {
  const value = median(await forks(model))
  const base = await prefills(model)
  progress("a long prompt read once and forked, and read eight times")
  const baseline = { name: "eight prefills", value: base }
  emit({ metric: "fork8_vs_prefill", value, unit: "ms", baseline, ratio: base / value })
}
