/**
 * nano: how often the embedded model does a task wholly right, through the real kernel, engine and sandbox.
 *
 * 200 multi-step tasks with words, names and phrasings kept out of training, and 50 tasks that need one plugin tool never
 * seen in training. A harder set of 100 asks in forms of sentence that training lacks altogether. Wholly right: the expected answer and status, and every file of the workspace as it should be.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { Effect, Layer, ManagedRuntime } from "effect"
import { fast } from "../agents/programs.ts"
import { embeddedModel } from "../cli/environment.ts"
import { LlamaEngine } from "../kernel/engine/llama.ts"
import { type KernelEvent, Observer } from "../kernel/event.ts"
import { Journal } from "../kernel/journal.ts"
import { Kernel } from "../kernel/kernel.ts"
import { pagingCalls } from "../kernel/memory/calls.ts"
import type { Exit } from "../kernel/process.ts"
import { Syscalls } from "../kernel/syscall.ts"
import type { AnyTool } from "../kernel/tool.ts"
import { folderPages } from "../models/nano/folder.ts"
import { Random } from "../models/nano/language.ts"
import { randomStep } from "../models/nano/skills.ts"
import { makeTask, type Task } from "../models/nano/task.ts"
import { Bubblewrap } from "../sandbox/bubblewrap.ts"
import { Sandbox } from "../sandbox/sandbox.ts"
import { builtins } from "../tools/index.ts"
import type { Metric } from "./main.ts"
import { game24 } from "./puzzles.ts"
import { unseen } from "./unseen.ts"

/** Seeds of the two sets. They are part of the model card. */
export const seeds = { tasks: 24_001, unseen: 24_002, novel: 24_003, told: 24_004 }

/** A task with the tools it is given. */
export interface Trial {
  readonly task: Task
  readonly tools: ReadonlyArray<AnyTool>
  /** What is said of the folder before it. */
  readonly told?: ReadonlyArray<string>
}

/** What a process is granted by default. */
const usual: ReadonlyArray<AnyTool> = [...builtins, ...pagingCalls]

/** Tasks of two to four steps with the built-in tools. */
export const builtinTrials = (
  seed: number,
  count: number,
  voice: "held" | "novel" = "held"
): ReadonlyArray<Trial> => {
  const r = new Random(seed, voice)
  return Array.from({ length: count }, () => ({
    task: makeTask(r, r.pick([2, 2, 2, 3, 3, 4]), (w) => randomStep(w, r)),
    tools: usual
  }))
}

/** As `builtinTrials`, in folders with an AGENTS.md or skills that have nothing to do with the task. */
export const toldTrials = (seed: number, count: number): ReadonlyArray<Trial> => {
  const r = new Random(seed, "held")
  return builtinTrials(seed, count).map((trial) => ({ ...trial, told: folderPages(r) }))
}

/** Tasks of one to three steps, one of which needs a tool that only the prompt describes. */
export const unseenTrials = (seed: number, count: number): ReadonlyArray<Trial> => {
  const r = new Random(seed, "held")
  return Array.from({ length: count }, () => {
    const plugin = r.pick(unseen)
    const steps = r.pick([1, 1, 2, 2, 3])
    const turn = r.int(0, steps - 1)
    let at = 0
    const task = makeTask(r, steps, (w) => {
      if (at++ !== turn) return randomStep(w, r)
      const step = plugin.step(r)
      w.last = step.value
      w.noun = "result"
      w.lastFile = undefined
      return step
    })
    return { task, tools: [...usual, plugin.tool] }
  })
}

/** What came of a trial. `wrong` says what was not as expected. */
export interface Verdict {
  readonly exit: Exit
  readonly wrong: string | undefined
}

const judge = (task: Task, folder: string, exit: Exit): string | undefined => {
  const expected = task.failed ? "failed" : "ok"
  if (exit.status !== expected) return `status ${exit.status}, expected ${expected}`
  if (exit.answer !== task.answer)
    return `answer ${JSON.stringify(exit.answer)}, expected ${JSON.stringify(task.answer)}`
  for (const [file, content] of task.world.files) {
    const found = read(join(folder, file))
    if (found !== content) return `${file} is ${JSON.stringify(found)}, expected ${JSON.stringify(content)}`
  }
  for (const file of task.world.initial.keys())
    if (!task.world.files.has(file) && read(join(folder, file)) !== undefined) return `${file} is still there`
  return undefined
}

const read = (path: string): string | undefined => {
  try {
    return readFileSync(path, "utf8")
  } catch {
    return undefined
  }
}

/** Everything a trial needs, on one model. The observer sees all events. */
export const benchLayer = (modelPath: string, journalPath: string, observe: (e: KernelEvent) => void) =>
  Kernel.layer.pipe(
    Layer.provideMerge(
      Layer.mergeAll(
        Syscalls.layer,
        Bubblewrap.layer,
        LlamaEngine.layer({ modelPath, sequences: 4, contextSize: 2048 })
      )
    ),
    Layer.provideMerge(Journal.layer(journalPath)),
    Layer.provide(Layer.succeed(Observer, observe))
  )

/** A folder with the files that a task begins with; it goes with the scope. */
export const folderOf = (world: Pick<Task["world"], "initial">) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const folder = mkdtempSync(join(tmpdir(), "noos-bench-"))
      for (const [file, content] of world.initial) {
        mkdirSync(dirname(join(folder, file)), { recursive: true })
        writeFileSync(join(folder, file), content)
      }
      return folder
    }),
    (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
  )

/** A trial in a folder of its own: prepared, and then run as often as once. */
export const prepare = Effect.fn("prepare")(function* (run: number, { task, told = [], tools }: Trial) {
  const kernel = yield* Kernel
  const sandbox = yield* Sandbox
  const folder = yield* folderOf(task.world)
  const workspace = yield* sandbox.open(folder)
  return Effect.gen(function* () {
    const pid = yield* kernel.spawn({
      run,
      program: fast(0),
      task: task.text,
      workspace,
      tools,
      instructions: told.map((text) => ({ text, label: { integrity: "untrusted", source: "bench" } })),
      budget: { tokens: 20_000, seconds: 120, syscalls: 16 }
    })
    const exit = yield* kernel.wait(pid)
    return { exit, wrong: judge(task, folder, exit) } satisfies Verdict
  })
})

/** Runs one trial. */
export const runTrial = (run: number, trial: Trial) => Effect.scoped(Effect.flatten(prepare(run, trial)))

export const nano = async (emit: (metric: Metric) => void): Promise<void> => {
  const model = process.env.NOOS_BENCH_MODEL ?? embeddedModel
  const home = mkdtempSync(join(tmpdir(), "noos-bench-"))
  let malformed = 0
  const runtime = ManagedRuntime.make(
    benchLayer(model, join(home, "journal.db"), (e) => {
      // A call that was refused before it began has no number in the journal.
      if (e.type === "syscall" && !e.ok && e.id === null && e.error?.code === "bad_input") malformed++
    })
  )
  const trialsOf = (name: string, trials: ReadonlyArray<Trial>) =>
    Effect.gen(function* () {
      const journal = yield* Journal
      const run = yield* journal.beginRun({ task: name, workspace: home, model })
      const verdicts = yield* Effect.forEach(trials, (trial) => runTrial(run, trial), { concurrency: 4 })
      yield* journal.endRun(run, "ok")
      for (const [i, { wrong }] of verdicts.entries())
        if (wrong !== undefined)
          console.error(`${name} ${i}: ${JSON.stringify(trials[i]?.task.text)}: ${wrong}`)
      return verdicts
    })
  const share = (verdicts: ReadonlyArray<Verdict>) =>
    verdicts.filter((v) => v.wrong === undefined).length / verdicts.length
  try {
    const began = performance.now()
    const tasks = await runtime.runPromise(trialsOf("tasks", builtinTrials(seeds.tasks, 200)))
    const seconds = (performance.now() - began) / 1000
    const generated = tasks.reduce((n, v) => n + v.exit.usage.generatedTokens, 0)
    const novel = await runtime.runPromise(trialsOf("novel", builtinTrials(seeds.novel, 100, "novel")))
    const told = await runtime.runPromise(trialsOf("told", toldTrials(seeds.told, 100)))
    const plugins = await runtime.runPromise(trialsOf("unseen", unseenTrials(seeds.unseen, 50)))
    emit({ bench: "nano", metric: "tasks_right", value: share(tasks), unit: "share" })
    emit({ bench: "nano", metric: "unseen_tool_right", value: share(plugins), unit: "share" })
    emit({ bench: "nano", metric: "novel_forms_right", value: share(novel), unit: "share" })
    emit({ bench: "nano", metric: "told_of_folder_right", value: share(told), unit: "share" })
    emit({ bench: "nano", metric: "malformed_calls", value: malformed, unit: "calls" })
    const { solved, right } = await runtime.runPromise(game24)
    emit({ bench: "nano", metric: "game24_greedy", value: solved, unit: "share" })
    emit({ bench: "nano", metric: "game24_states_judged", value: right, unit: "share" })
    emit({
      bench: "nano",
      metric: "tokens_per_second",
      value: Math.round(generated / seconds),
      unit: "tokens/s"
    })
  } finally {
    await runtime.dispose()
    rmSync(home, { recursive: true, force: true })
  }
}
