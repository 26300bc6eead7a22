/** What `noos run` and `noos batch` have in common: tasks and how each is to be done, checked, then run side by side. */
import { readFileSync, statSync } from "node:fs"
import { basename, resolve } from "node:path"
import { Effect, Fiber } from "effect"
import type { Briefing } from "../agents/instructions.ts"
import { fast, fromMarkdown } from "../agents/programs.ts"
import { runTasks, type Task } from "../agents/task.ts"
import { driver, mannerOf, type Manner as Thinking } from "../agents/think.ts"
import { processCalls } from "../kernel/calls.ts"
import { Engine } from "../kernel/engine/engine.ts"
import { type KernelEvent, Observer } from "../kernel/event.ts"
import type { Exit } from "../kernel/process.ts"
import { Sandbox, type Workspace } from "../sandbox/sandbox.ts"
import { approval } from "./approval.ts"
import { configOf } from "./config.ts"
import { kernelLayer } from "./environment.ts"
import { jsonReport, type Label, personReport, printable } from "./report.ts"
import { code, codeOf, Stop, usage } from "./stop.ts"
import { added, granted, type Sources, surely } from "./toolset.ts"
import { openTrace } from "./trace.ts"

/** How a task is to be done, as a person says it. */
export interface Settings {
  readonly agent: string
  readonly workspace: string
  readonly seed: number
  readonly priority: number
  readonly tokens: number | undefined
  readonly seconds: number | undefined
  /** Names of tools; undefined: the usual ones, and those that the folder adds. */
  readonly grant: ReadonlyArray<string> | undefined
  /** Hosts that it may reach. */
  readonly net: ReadonlyArray<string>
  /** Folders of plugins. */
  readonly plugins: ReadonlyArray<string>
  /** Whether pages that leave the window are summed up. */
  readonly summaries: boolean
  /** A command that says whether it was done right. */
  readonly verify: string | undefined
  /** By which search it is thought about slowly. */
  readonly strategy: string | undefined
}

/** How it is thought about, otherwise than fast. */
interface Thinks extends Thinking {
  readonly mode: "slow" | "auto"
}

/** A task that has been checked. */
export interface Plan {
  readonly task: Omit<Task, "workspace" | "tools" | "instructions" | "approve" | "begun">
  readonly folder: string
  readonly net: ReadonlyArray<string>
  readonly grant: ReadonlyArray<string> | undefined
  readonly sources: Sources
  /** Undefined: fast. */
  readonly thinks: Thinks | undefined
  /** Where it was written, put in front of what is wrong with it. */
  readonly where: string
  /** What scripts are told with its start and its exit. */
  readonly label?: Label
}

/** The most processes that the engine holds at a time unless a person says so. */
const usualRows = 8

const isThinking = (agent: string): agent is Thinks["mode"] => agent === "slow" || agent === "auto"

/** Names of agents, which are no files. */
export const isAgent = (agent: string): boolean => agent === "fast" || isThinking(agent)

/** How a task is thought about slowly, if it is to be. */
const thinksOf = Effect.fnUntraced(function* (settings: Settings, where: string) {
  const { agent, strategy, verify } = settings
  if (!isThinking(agent)) {
    if (verify === undefined && strategy === undefined) return undefined
    return yield* usage(
      `${where}verify and strategy are for slow thinking`,
      "add `--agent slow` or `--agent auto`"
    )
  }
  const manner = yield* mannerOf(settings).pipe(
    Effect.mapError(({ message }) => usage(`${where}strategy: ${message}`, "see `noos run --help`"))
  )
  return { ...manner, mode: agent } satisfies Thinks
})

/** `fast`, or a Markdown file whose text is the program's instructions. */
const programOf = (agent: string, seed: number, where: string) => {
  if (isAgent(agent)) return Effect.succeed({ ...fast(seed), name: agent })
  return Effect.try({
    try: () => fromMarkdown(basename(agent, ".md"), readFileSync(agent, "utf8"), seed),
    catch: () =>
      usage(
        `${where}agent: cannot read ${agent}`,
        "use `fast`, `slow`, `auto` or the path of a Markdown file"
      )
  })
}

/** Checks how a task is to be done. */
export const settle = Effect.fnUntraced(function* (settings: Settings, where: string) {
  const program = yield* programOf(settings.agent, settings.seed, where)
  if (settings.workspace === "")
    return yield* usage(`${where}workspace: the name is empty`, "name a folder, or leave it out")
  const folder = resolve(settings.workspace)
  if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() !== true)
    return yield* usage(`${where}workspace: not a folder: ${folder}`, "name an existing folder")
  const { grant, net, plugins, priority, seconds, tokens } = settings
  const sources: Sources = { config: yield* configOf(folder), plugins }
  yield* surely(grant, sources, where)
  const thinks = yield* thinksOf(settings, where)
  const budget = {
    ...(tokens === undefined ? {} : { tokens }),
    ...(seconds === undefined ? {} : { seconds })
  }
  const task = { program: { ...program, summaries: settings.summaries }, priority, budget }
  return { folder, net, grant, sources, task, thinks }
})

/** Checks a task. */
export const plan = Effect.fnUntraced(function* (text: string, settings: Settings, where: string) {
  if (text.trim() === "") return yield* usage(`${where}the task is empty`, "say what to do, in words")
  const { task, ...rest } = yield* settle(settings, where)
  return { ...rest, task: { ...task, task: text }, where } satisfies Plan
})

/** A folder that tasks work in, open, with what it adds. */
interface Opened {
  readonly workspace: Workspace
  readonly added: Briefing
}

/** Opens the folders that tasks work in, each once. */
const openAll = Effect.fnUntraced(function* (plans: ReadonlyArray<Plan>) {
  const sandbox = yield* Sandbox
  const opened = new Map<string, Opened>()
  for (const { folder, net, sources, where } of plans) {
    if (opened.has(folder)) continue
    const workspace = yield* sandbox
      .open(folder, net)
      .pipe(
        Effect.catchTag("ToolError", (e) => usage(`${where}${e.message}`, "name another folder to work in"))
      )
    opened.set(folder, { workspace, added: yield* added(sources, workspace) })
  }
  return opened
})

/** How all tasks of one command are run. */
export interface Manner {
  readonly model: string
  readonly parallel: number | undefined
  readonly trace: string | undefined
  readonly yes: boolean
  readonly noInput: boolean
  readonly json: boolean
}

/** Runs checked tasks to their ends, shows what they do and says what came of them. */
export const runPlans = Effect.fn("noos.runPlans")(function* (plans: ReadonlyArray<Plan>, manner: Manner) {
  const several = plans.length > 1
  // Without children there are never more processes than tasks, and a row that nobody uses takes memory all the same.
  const family = plans.some(
    ({ grant, thinks }) => thinks !== undefined || processCalls.some(({ name }) => grant?.includes(name))
  )
  const most = family ? Number.POSITIVE_INFINITY : plans.length
  const usual = plans.some(({ thinks }) => thinks !== undefined) ? usualRows : plans.length
  const rows = Math.min(manner.parallel ?? Math.min(usual, usualRows), most)
  const trace = manner.trace === undefined ? undefined : yield* openTrace(manner.trace)
  const labels = new Map<number, Label>()
  /** The tasks' own processes in their order, and how those ended that have. */
  const started: Array<number> = []
  const ended = new Map<number, Exit>()
  const note = (event: KernelEvent) => {
    if (event.type === "start" && event.parent === undefined) started.push(event.pid)
    if (event.type === "exit") ended.set(event.pid, event)
  }
  let head = ""
  const report = manner.json ? jsonReport(labels) : personReport(() => head, plans.length)
  const approve = approval(manner)

  // Loaded while the engine starts, for it must be there before the first process is, and is not needed sooner.
  const control = yield* Effect.forkChild(Effect.promise(() => import("./control.ts")))
  const exits = yield* Effect.gen(function* () {
    const { model } = yield* Engine
    const where = several
      ? `${plans.length} tasks, ${Math.min(rows, plans.length)} at a time`
      : plans[0]!.folder
    head = `noos · ${model.name} (${size(model.parameters)}, ${model.device}) · ${where}`
    const opened = yield* openAll(plans)
    yield* (yield* Fiber.join(control)).serve
    const tasks: Array<Task> = []
    for (const { folder, grant, label, task, thinks, where } of plans) {
      const { added, workspace } = opened.get(folder)!
      const tools = yield* granted(grant, added, where)
      const begun = (run: number) => label && labels.set(run, label)
      const drive = thinks && { drive: driver(thinks.mode, thinks, workspace, () => {}) }
      tasks.push({ ...task, workspace, tools, instructions: added.instructions, approve, begun, ...drive })
    }
    return yield* runTasks(tasks)
  }).pipe(
    Effect.scoped,
    Effect.catchTag("ToolError", (e) => usage(e.message, "check the task, the workspace and the tools")),
    Effect.provide(kernelLayer(manner.model, rows)),
    Effect.provideService(Observer, (event) => {
      note(event)
      report(event)
      trace?.(event)
    }),
    // What was finished before Ctrl-C is not lost.
    Effect.ensuring(
      Effect.sync(() => {
        if (manner.json) return
        for (const pid of started) {
          const answer = ended.get(pid)?.answer ?? null
          // One that gave no answer leaves its line empty, so that those of the others stay where they belong.
          if (answer !== null || several) console.log(printable(asText(answer ?? "")))
        }
      })
    )
  )

  const bad = [...new Set(exits.map((exit) => codeOf(exit.status)))].filter((c) => c !== code.ok)
  if (bad.length > 0) return yield* new Stop({ code: bad.length === 1 ? bad[0]! : code.failed })
}, Effect.scoped)

const size = (parameters: number): string =>
  parameters >= 1e9
    ? `${(parameters / 1e9).toFixed(1)} B parameters`
    : `${(parameters / 1e6).toFixed(1)} M parameters`

const asText = (answer: unknown): string => (typeof answer === "string" ? answer : JSON.stringify(answer))
