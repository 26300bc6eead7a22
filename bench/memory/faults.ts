/** A process with ten thousand pages: what a page fault, a search and an eviction take, and whether its memory grows. */
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { Effect, Layer } from "effect"
import { embeddedModel } from "../../cli/environment.ts"
import { Engine } from "../../kernel/engine/engine.ts"
import type { Recall } from "../../kernel/memory/calls.ts"
import { pagingCalls } from "../../kernel/memory/calls.ts"
import { defineTool } from "../../kernel/tool.ts"
import { Random } from "../../models/nano/language.ts"
import { type Emit, median, onKernel, type Timed } from "../scheduler/system.ts"
import { makeLog, task } from "./log.ts"
import { budget, llama, progress } from "./setting.ts"
import { weightless } from "./weightless.ts"

/** Each makes two pages; the system page and the task are the others. */
const exchanges = 4999
const lookups = 100

/** The garbage collector, which is hidden unless it is asked for. */
const collect = (): number => {
  setFlagsFromString("--expose-gc")
  const gc = runInNewContext("gc") as () => void
  gc()
  return process.memoryUsage().heapUsed
}

/** The calls of the process: to its last page, and then back to others, and to words that are on few of them. */
function* calls(r: Random, words: ReadonlyArray<string>): Generator<readonly [tool: string, args?: object]> {
  for (let i = 0; i < exchanges; i++) yield ["next"]
  for (let i = 0; i < lookups; i++) yield ["recall", { page: 2 * r.int(2, exchanges / 2) }]
  for (let i = 0; i < lookups; i++) yield ["recall", { text: r.pick(words) }]
  yield ["exit", { answer: "done" }]
}

/** What the watcher has measured, in ms. */
interface Measured {
  /** From the last brace of a recall by number until the process can run again; and until the text is there. */
  readonly fault: Array<number>
  readonly pageIn: Array<number>
  readonly search: Array<number>
  readonly pageOut: Array<number>
}

/** An eviction's bookkeeping is all between a call's end and the event, the result's own page included. */
const watcher = (measured: Measured) => {
  let called = 0
  let ended = 0
  let recalled = false
  return (e: Timed) => {
    if (e.type === "evict") measured.pageOut.push(e.now - ended)
    if (e.type === "state" && e.state === "blocked") called = e.now
    if (e.type === "state" && e.why === "result" && recalled) measured.fault.push(e.now - called)
    if (e.type !== "syscall") return
    ended = e.now
    recalled = false
    if (e.tool !== "recall") return
    if (!e.ok) throw new Error(e.error?.message)
    recalled = (e.args as Recall).page !== undefined
    ;(recalled ? measured.pageIn : measured.search).push(ended - called)
  }
}

export const faults = async (emit: Emit): Promise<void> => {
  const measured: Measured = { fault: [], pageIn: [], search: [], pageOut: [] }
  const heap: Array<number> = []
  let next: Iterator<readonly [tool: string, args?: object]> | undefined
  const engine = weightless(() => next!.next().value as readonly [string, object?]).pipe(
    Layer.provide(llama(embeddedModel, 1))
  )
  await onKernel(
    engine,
    (jobs) =>
      Effect.gen(function* () {
        const { tokenize } = yield* Engine
        const { pieces } = makeLog(11, 200 * 300, (text) => tokenize(text).length)
        const words = pieces.flatMap((piece) => piece.split(/\s+/).slice(0, 2))
        next = calls(new Random(12, "train"), words)
        let at = 0
        const read = defineTool({
          name: "next",
          description: "Read on in the log.",
          input: { type: "object", properties: {}, required: [], additionalProperties: false },
          effect: "pure",
          execute: () =>
            Effect.sync(() => {
              if (++at === Math.ceil(exchanges / 2) || at === exchanges) heap.push(collect())
              return `entry ${at}\n${pieces[at % pieces.length]}`
            })
        })
        const options = { tools: [read, ...pagingCalls], budget }
        const exit = yield* jobs.wait(yield* jobs.start(task, Number.POSITIVE_INFINITY, options))
        if (exit.status !== "ok") return yield* Effect.die(`the run ended early: ${exit.reason}`)
      }),
    watcher(measured)
  )
  const pages = 2 + 2 * exchanges
  progress(`a process with ${pages} pages`)
  emit({ metric: "page_fault_ms_10k", value: median(measured.fault), unit: "ms" })
  emit({ metric: "page_in", value: median(measured.pageIn), unit: "ms" })
  emit({ metric: "search_10k", value: median(measured.search), unit: "ms" })
  emit({ metric: "page_out", value: median(measured.pageOut.slice(-200)), unit: "ms" })
  emit({ metric: "memory_flat", value: (heap[1]! - heap[0]!) / exchanges, unit: "bytes/page" })
}
