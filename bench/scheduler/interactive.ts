/** A person's short job beside long ones: how long it takes, and what it costs the others, under `fair` and under `fifo`. */
import { Effect, Latch } from "effect"
import { fair, fifo, type Policy } from "../../kernel/scheduler.ts"
import { type Emit, llama, median, onKernel, progress, quantile } from "./system.ts"

const rows = 8
const long = { jobs: 16, tokens: 150 }
const short = { tokens: 20, priority: 10 }
/**
 * Short jobs arrive after so many steps; the long ones alone take two times 150, and some to read. There are few of them:
 * what they take, a fortieth, the long ones must wait.
 */
const arrivals = [50, 120, 190]
const rounds = 2

interface Result {
  /** From each short job's arrival to its end, ms. */
  readonly latencies: ReadonlyArray<number>
  /** From the start of all long jobs to the end of the last, ms. */
  readonly makespan: number
}

const run = (model: string, policy: Policy): Promise<Result> => {
  const due = arrivals.map((step) => ({ step, latch: Latch.makeUnsafe(false) }))
  let steps = 0
  return onKernel(
    llama(model, rows),
    (jobs) =>
      Effect.gen(function* () {
        const began = performance.now()
        const longs = Effect.forEach(
          Array.from({ length: long.jobs }, (_, i) => `long job ${i}`),
          (task) => Effect.flatMap(jobs.start(task, long.tokens), jobs.wait),
          { concurrency: "unbounded" }
        ).pipe(Effect.map(() => performance.now() - began))
        const shorts = Effect.forEach(
          due,
          ({ latch }, i) =>
            Effect.gen(function* () {
              yield* latch.await
              const arrived = performance.now()
              const { priority, tokens } = short
              yield* jobs.wait(yield* jobs.start(`short job ${i}`, tokens, { priority }))
              return performance.now() - arrived
            }),
          { concurrency: "unbounded" }
        )
        const [makespan, latencies] = yield* Effect.all([longs, shorts], { concurrency: 2 })
        return { makespan, latencies }
      }),
    (e) => {
      if (e.type !== "step") return
      steps++
      for (const { latch, step } of due) if (step === steps) latch.openUnsafe()
    },
    policy
  )
}

export const interactive = async (model: string, emit: Emit): Promise<void> => {
  const results = { fair: [] as Array<Result>, fifo: [] as Array<Result> }
  for (let round = 0; round < rounds; round++) {
    results.fair.push(await run(model, fair))
    results.fifo.push(await run(model, fifo))
    progress(`short jobs beside long ones, round ${round + 1} of ${rounds}`)
  }
  const p95 = (of: ReadonlyArray<Result>) =>
    quantile(
      of.flatMap((r) => r.latencies),
      0.95
    )
  const makespan = (of: ReadonlyArray<Result>) => median(of.map((r) => r.makespan))
  const compare = (metric: string, measure: (of: ReadonlyArray<Result>) => number) => {
    const [value, base] = [measure(results.fair), measure(results.fifo)]
    emit({ metric, value, unit: "ms", baseline: { name: "fifo", value: base }, ratio: base / value })
  }
  compare("interactive_p95_vs_fifo", p95)
  compare("long_makespan_vs_fifo", makespan)
}
