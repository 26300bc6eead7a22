/** The kernel's own time a token: everything but the engine, with the journal in a file. */
import { Effect } from "effect"
import { nullEngine } from "./null-engine.ts"
import { type Emit, median, onKernel, progress, waitAll } from "./system.ts"

const tokens = 200

/** Microseconds a token, from the first step in which all rows were decoding to the last one. */
const perToken = async (processes: number, rows: number): Promise<number> => {
  const steps: Array<{ readonly decodes: number; readonly at: number }> = []
  const engine = nullEngine(rows, tokens, (decodes, at) => steps.push({ decodes, at }))
  const tasks = Array.from({ length: processes }, (_, i) => `task ${i}`)
  await onKernel(engine, (jobs) =>
    Effect.gen(function* () {
      const pids = yield* Effect.forEach(tasks, (task) => jobs.start(task, Number.POSITIVE_INFINITY), {
        concurrency: "unbounded"
      })
      yield* waitAll(jobs, pids)
    })
  )
  const isFull = ({ decodes }: { readonly decodes: number }) => decodes === rows
  const steady = steps.slice(steps.findIndex(isFull), steps.findLastIndex(isFull) + 1)
  const written = steady.slice(0, -1).reduce((n, step) => n + step.decodes, 0)
  return ((steady.at(-1)!.at - steady[0]!.at) * 1000) / written
}

const times = async (rounds: number, processes: number, rows: number): Promise<number> => {
  const found: Array<number> = []
  for (let i = 0; i < rounds; i++) found.push(await perToken(processes, rows))
  const us = median(found)
  progress(`the kernel's time a token, ${processes} processes on ${rows} rows: ${us.toFixed(1)} µs`)
  return us
}

export const kernelTime = async (emit: Emit): Promise<void> => {
  emit({ metric: "kernel_us_per_token_64", value: await times(5, 64, 64), unit: "µs" })
  // Many on few rows, which change hands all the time, and all on rows of their own: the worse one counts.
  const worse = Math.max(await times(1, 1000, 64), await times(1, 1000, 1000))
  emit({ metric: "kernel_us_per_token_1000", value: worse, unit: "µs" })
}
