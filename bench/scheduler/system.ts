/** A kernel to measure: on any engine, under any policy, with everything that happened in it and when. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Layer } from "effect"
import { defineAgent } from "../../agents/programs.ts"
import type { Engine } from "../../kernel/engine/engine.ts"
import { LlamaEngine } from "../../kernel/engine/llama.ts"
import { type KernelEvent, Observer } from "../../kernel/event.ts"
import { Journal } from "../../kernel/journal.ts"
import { Kernel, type Spawn } from "../../kernel/kernel.ts"
import { SchedulerPolicy } from "../../kernel/loop.ts"
import type { Exit } from "../../kernel/process.ts"
import { fair, type Policy } from "../../kernel/scheduler.ts"
import type { JsonSchema } from "../../kernel/schema.ts"
import { Syscalls } from "../../kernel/syscall.ts"
import { defineTool } from "../../kernel/tool.ts"
import { Bubblewrap } from "../../sandbox/bubblewrap.ts"
import { Sandbox } from "../../sandbox/sandbox.ts"
import type { Metric } from "../main.ts"

/** Takes a figure of this bench. */
export type Emit = (metric: Omit<Metric, "bench">) => void

/** What happened, and when: ms of performance.now(). */
export type Timed = KernelEvent & { readonly now: number }

/** One engine for all models of the bench: one thread, as two would wait for each other on small machines. */
export const llama = (modelPath: string, sequences: number) =>
  LlamaEngine.layer({ modelPath, sequences, contextSize: 2048, threads: 1, gpu: false })

/** Starts and awaits processes that do nothing but write. */
export interface Jobs {
  /** A process that is killed after so many tokens. */
  readonly start: (task: string, tokens: number, options?: Partial<Spawn>) => Effect.Effect<number, unknown>
  readonly wait: (pid: number) => Effect.Effect<Exit, unknown>
}

/** How they end, all of them. */
export const waitAll = (jobs: Jobs, pids: ReadonlyArray<number>) =>
  Effect.forEach(pids, jobs.wait, { concurrency: "unbounded" })

/** What an effect on a kernel may use. */
export type System = Kernel | Engine | Journal | Sandbox

/** Runs an effect on a fresh kernel with a journal in a file, and gives what it gives. `watch` is told of all events. */
export const onKernel = async <A>(
  engine: Layer.Layer<Engine, unknown>,
  use: (jobs: Jobs) => Effect.Effect<A, unknown, System>,
  watch: (event: Timed) => void = () => {},
  policy: Policy = fair
): Promise<A> => {
  const home = mkdtempSync(join(tmpdir(), "noos-bench-"))
  const left = new Map<number, number>()
  let kill: (pid: number) => void = () => {}
  const observe = (e: KernelEvent) => {
    watch({ ...e, now: performance.now() })
    if (e.type !== "token") return
    const tokens = (left.get(e.pid) ?? Number.POSITIVE_INFINITY) - 1
    left.set(e.pid, tokens)
    if (tokens === 0) kill(e.pid)
  }
  const live = Kernel.layer.pipe(
    Layer.provideMerge(Layer.mergeAll(Syscalls.layer, Bubblewrap.layer, engine)),
    Layer.provideMerge(Journal.layer(join(home, "journal.db"))),
    Layer.provide(Layer.mergeAll(Layer.succeed(Observer, observe), Layer.succeed(SchedulerPolicy, policy)))
  )
  const whole = Effect.gen(function* () {
    const kernel = yield* Kernel
    kill = (pid) => Effect.runSync(Effect.ignore(kernel.kill(pid, "KILL")))
    const workspace = yield* (yield* Sandbox).open(home)
    const run = yield* (yield* Journal).beginRun({ task: "bench", workspace: home, model: "bench" })
    return yield* use({
      start: Effect.fnUntraced(function* (task, tokens, options = {}) {
        const pid = yield* kernel.spawn({ run, program: writer, task, workspace, tools: [say], ...options })
        left.set(pid, (left.get(pid) ?? 0) + tokens)
        return pid
      }),
      wait: kernel.wait
    })
  })
  try {
    return await Effect.runPromise(whole.pipe(Effect.scoped, Effect.provide(live)))
  } finally {
    rmSync(home, { recursive: true, force: true })
  }
}

/** The one tool of processes that only write. */
const saying = (text: JsonSchema) =>
  defineTool({
    name: "say",
    description: "Say something.",
    input: { type: "object", properties: { text }, required: ["text"], additionalProperties: false },
    effect: "pure",
    execute: () => Effect.succeed("said")
  })

/** A model with random weights finds no end of a string. */
export const say = saying({ type: "string" })

/** A trained one would; its grammar allows one long text only. */
export const recite = saying({
  const: Array.from({ length: 400 }, (_, i) => String.fromCharCode(97 + ((i * i) % 26))).join(" ")
})

export const writer = defineAgent({ name: "writer", sampling: { temperature: 0, seed: 0 } })

export const median = (values: ReadonlyArray<number>): number => quantile(values, 0.5)

/** Of an unsorted list. */
export const quantile = (values: ReadonlyArray<number>, q: number): number => {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? Number.NaN
}

/** A step of the engine, as a watcher is told of it. */
export type Step = Extract<Timed, { readonly type: "step" }>

/** How many sequences a step decoded. */
export const decodes = (step: Step): number => step.items.filter((item) => item.does === "Decode").length

/** Says on stderr how the bench is getting on. */
export const progress = (text: string): void => console.error(`scheduler: ${text}`)
