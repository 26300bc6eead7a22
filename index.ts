/**
 * noos as a library: the services as Effect layers, and `noos.run` for those who want a Promise.
 */
import { resolve } from "node:path"
import { Effect } from "effect"
import { fast } from "./agents/programs.ts"
import { runTask } from "./agents/task.ts"
import { driver, mannerOf } from "./agents/think.ts"
import { embeddedModel, home, kernelLayer } from "./cli/environment.ts"
import type { Budget } from "./kernel/budget.ts"
import { type KernelEvent, Observer } from "./kernel/event.ts"
import { pagingCalls } from "./kernel/memory/calls.ts"
import type { Exit, Program } from "./kernel/process.ts"
import type { AnyTool } from "./kernel/tool.ts"
import type { Workspace } from "./sandbox/sandbox.ts"
import { builtins } from "./tools/index.ts"
import { loadPlugins } from "./tools/plugins/index.ts"

export { type Briefing, briefing } from "./agents/instructions.ts"
export { defineAgent, fast } from "./agents/programs.ts"
export { runTask, runTasks, type Task, type TaskOptions } from "./agents/task.ts"
export { driver, type Manner, mannerOf, type Pondered } from "./agents/think.ts"
export { embeddedModel, kernelLayer } from "./cli/environment.ts"
export type { Budget } from "./kernel/budget.ts"
export { processCalls } from "./kernel/calls.ts"
export { Engine, EngineError } from "./kernel/engine/engine.ts"
export { LlamaEngine } from "./kernel/engine/llama.ts"
export { type KernelEvent, Observer } from "./kernel/event.ts"
export { type Handles, makeHandles } from "./kernel/handles.ts"
export { Journal, JournalError } from "./kernel/journal.ts"
export { type Fork, type Instructions, Kernel, type Spawn } from "./kernel/kernel.ts"
export { SchedulerPolicy } from "./kernel/loop.ts"
export { memoryCalls, pagingCalls } from "./kernel/memory/calls.ts"
export { Memories } from "./kernel/memory/memories.ts"
export { cost, lru, Pager, type PagerPolicy, size } from "./kernel/memory/pager.ts"
export type { Exit, Process, Program, Signal, Usage } from "./kernel/process.ts"
export { fair, fifo, mlfq, type Policy, rr } from "./kernel/scheduler.ts"
export type { JsonSchema, StandardSchema } from "./kernel/schema.ts"
export { strategyNamed, UnknownStrategy } from "./kernel/search/named.ts"
export {
  type Budget as SearchBudget,
  type Domain,
  type Found,
  type Strategy,
  search,
  type Tree
} from "./kernel/search/search.ts"
export { Syscalls } from "./kernel/syscall.ts"
export {
  type AnyTool,
  type Definition,
  defineTool,
  type Json,
  type Tool,
  type ToolContext,
  ToolError
} from "./kernel/tool.ts"
export { Bubblewrap } from "./sandbox/bubblewrap.ts"
export { type Branch, type Change, Sandbox, SandboxUnavailable, type Workspace } from "./sandbox/sandbox.ts"
export { builtins, more } from "./tools/index.ts"
export { type McpServer, mcpTools } from "./tools/mcp/index.ts"
export { loadPlugin, loadPlugins, PluginError, type Source as PluginSource } from "./tools/plugins/index.ts"

/** What `noos.run` takes. Everything has a default. */
export interface RunOptions {
  /** The folder to work in. Default: the current one. */
  readonly workspace?: string
  /** A GGUF file. Default: the embedded model. */
  readonly model?: string
  /** Tools besides the built-in ones. */
  readonly tools?: ReadonlyArray<AnyTool>
  /** Folders of plugins, which get what their manifests ask for. */
  readonly plugins?: ReadonlyArray<string>
  /** Hosts that may be reached: `example.com`, `*.example.com`, `127.0.0.1:8080`, or `*` for every public one. Default: none. */
  readonly net?: ReadonlyArray<string>
  readonly program?: Program
  /** Thinks slowly: always, or where its fast answer is not good enough. Default: fast. */
  readonly think?: "slow" | "auto"
  /** For thinking slowly: a command that exits with 0 when the task is done right. */
  readonly verify?: string
  /** For thinking slowly: which search, see `strategyNamed`. */
  readonly strategy?: string
  readonly budget?: Partial<Budget>
  /** Asked before an irreversible call. Default: no. */
  readonly approve?: (tool: string, args: unknown) => boolean | Promise<boolean>
  readonly onEvent?: (event: KernelEvent) => void
  /** Aborting stops the process; the promise rejects. */
  readonly signal?: AbortSignal
}

/** Runs one task to its end. Rejects only when it could not be run at all. */
const run = (task: string, options: RunOptions = {}): Promise<Exit> => {
  const { approve, budget, net = [], signal, think, verify } = options
  const plugins = (options.plugins ?? []).map((from) => ({
    folder: resolve(from),
    from,
    grant: "asked" as const
  }))
  const own = [...builtins, ...pagingCalls, ...(options.tools ?? [])]
  const wish = { seed: 0, strategy: options.strategy, tokens: budget?.tokens, verify }
  const thinking = (mode: "slow" | "auto") =>
    Effect.map(mannerOf(wish), (manner) => ({
      drive: (workspace: Workspace) => driver(mode, manner, workspace, () => {})
    }))
  return Effect.all([
    loadPlugins(
      plugins,
      home(),
      own.map(({ name }) => name)
    ),
    think === undefined ? Effect.succeed({}) : thinking(think)
  ]).pipe(
    Effect.flatMap(([tools, thinks]) =>
      runTask({
        ...thinks,
        task,
        folder: options.workspace ?? ".",
        net,
        program: options.program ?? fast(0),
        tools: [...own, ...tools],
        ...(budget === undefined ? {} : { budget }),
        ...(approve === undefined
          ? {}
          : {
              approve: (tool: AnyTool, args: unknown) => Effect.promise(async () => approve(tool.name, args))
            })
      })
    ),
    Effect.provide(kernelLayer(options.model ?? embeddedModel)),
    Effect.provideService(Observer, options.onEvent ?? (() => {})),
    (effect) => Effect.runPromise(effect, signal === undefined ? undefined : { signal }),
    (promise) =>
      promise.catch((error: unknown) => {
        throw signal?.aborted === true ? signal.reason : error
      })
  )
}

export const noos = { run }
