/** A thousand processes spawned at once on 8 rows: none may be lost, and each may take only so much memory. */
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { Effect, Layer } from "effect"
import { script, scripted } from "../../test/fixtures/scripted-engine.ts"
import { nullEngine } from "./null-engine.ts"
import { type Emit, type Jobs, llama, onKernel, progress, waitAll } from "./system.ts"

const rows = 8
const count = 1000
/** On a real engine, where each takes its time. */
const few = 200

setFlagsFromString("--expose-gc")
const gc = runInNewContext("gc") as () => void

/** Bytes of the heap that are in use. */
const heap = Effect.sync(() => {
  gc()
  return process.memoryUsage().heapUsed
})

const startAll = (jobs: Jobs, tasks: ReadonlyArray<string>) =>
  Effect.forEach(tasks, (task) => jobs.start(task, Number.POSITIVE_INFINITY), { concurrency: "unbounded" })

/** Bytes a process, of the first half of a crowd and of the second; and how many did not exit well. */
const onNothing = () =>
  onKernel(nullEngine(rows, 400), (jobs) =>
    Effect.gen(function* () {
      const tasks = Array.from({ length: count / 2 }, (_, i) => `task ${i}`)
      // What is made once for all is not counted.
      yield* waitAll(jobs, yield* startAll(jobs, tasks.slice(0, rows)))
      const empty = yield* heap
      const first = yield* startAll(jobs, tasks)
      const half = yield* heap
      const second = yield* startAll(jobs, tasks)
      const full = yield* heap
      const well = (yield* waitAll(jobs, [...first, ...second])).flatMap((e) =>
        e.status === "ok" ? e.pid : []
      )
      const each = (bytes: number) => Math.round(bytes / tasks.length)
      return {
        lost: count - new Set(well).size,
        first: each(half - empty),
        second: each(full - half)
      }
    })
  )

/** How many did not come back with the answer that is theirs alone. The engine is real, the model writes a script. */
const onModel = (model: string): Promise<number> => {
  const tasks = Array.from({ length: few }, (_, i) => script(["exit", { answer: `I am ${i}` }]))
  return onKernel(Layer.provide(scripted, llama(model, rows)), (jobs) =>
    Effect.gen(function* () {
      const exits = yield* waitAll(jobs, yield* startAll(jobs, tasks))
      return exits.filter((e, i) => e.status !== "ok" || e.answer !== `I am ${i}`).length
    })
  )
}

export const crowd = async (tiny: string, emit: Emit): Promise<void> => {
  const { first, lost, second } = await onNothing()
  progress(`${count} processes on ${rows} rows of an engine that computes nothing`)
  emit({ metric: "spawn1000_lost", value: lost, unit: "processes" })
  const baseline = { name: "the first 500", value: first }
  emit({ metric: "spawn1000_bytes_each", value: second, unit: "bytes", baseline, ratio: first / second })
  emit({ metric: `spawn${few}_lost_tiny`, value: await onModel(tiny), unit: "processes" })
  progress(`${few} processes on ${rows} rows of a tiny model`)
}
