/**
 * `noos/plugin`: all that the module of a plugin imports. It loads nothing, so that a plugin starts fast.
 *
 * A plugin is a folder with this module's user and a `noos.plugin.json`; it runs in a sandboxed process of its own,
 * which is why what its tools are given (`PluginContext`) is less than what a tool inside the kernel's process has.
 */
import type { Effect } from "effect"
import type { JsonSchema, LibrarySchema } from "../../kernel/schema.ts"
import type { Example, ToolError as KernelToolError } from "../../kernel/tool.ts"

/** What a tool of a plugin may use while a call runs. */
export interface PluginContext {
  /** Aborted when the call is cancelled or takes too long. What has not stopped a second later is ended. */
  readonly signal: AbortSignal
  /** The same for every attempt of one call: pass it to services that can drop duplicates. */
  readonly idempotencyKey: string
  /** Tells the person, not the model, how the call is getting on. */
  readonly progress: (text: string) => void
  /** The folder that the calling process works in. Throws a ToolError unless the manifest asks for `workspace`. */
  readonly workspace: string
  /** A folder whose files stay. Throws a ToolError unless the manifest asks for `state`. */
  readonly state: string
}

/** Why a call gave no result: throw it, and the model reads the message. Anything else that is thrown is a crash. */
export class ToolError extends Error {
  readonly _tag = "ToolError"
  override readonly name = "ToolError"
  readonly code: KernelToolError["code"]
  readonly retryable: boolean | undefined
  constructor(why: {
    readonly code: KernelToolError["code"]
    readonly message: string
    readonly retryable?: boolean
  }) {
    super(why.message)
    this.code = why.code
    this.retryable = why.retryable
  }
}

/**
 * A tool as its author writes it.
 *
 * - `input`, `output`: JSON Schema, or a schema of a library that follows Standard Schema (Zod, ArkType, Effect, …).
 *   Arguments are checked against `input` before `execute` runs, results against `output` after it.
 * - `effect`: `pure` only reads; `reversible` changes the workspace or the plugin's state alone; `irreversible` reaches
 *   past them, and is approved by a person each time.
 * - `critical`: arguments that decide what the call does to whom.
 * - `examples`: calls with their results, or without where these change. `noos tool test` makes them all.
 * - `toModel`: the text that the model reads; default: a string as it is, anything else as compact JSON.
 */
export interface PluginTool<Args, Result> {
  readonly name: string
  readonly description: string
  readonly input: JsonSchema | LibrarySchema<Args>
  readonly output?: JsonSchema | LibrarySchema<Result>
  readonly effect: "pure" | "reversible" | "irreversible"
  readonly critical?: ReadonlyArray<string>
  readonly examples?: ReadonlyArray<Example>
  readonly execute: (
    args: Args,
    ctx: PluginContext
  ) => Result | Promise<Result> | Effect.Effect<Result, ToolError>
  readonly toModel?: (result: Result) => string
}

/**
 * Declares a tool of a plugin: export it, or a list of them, as the module's default.
 *
 * @example
 * export default defineTool({
 *   name: "shout",
 *   description: "Say a text in capitals.",
 *   input: { type: "object", properties: { text: { type: "string" } }, required: ["text"], additionalProperties: false },
 *   effect: "pure",
 *   examples: [{ args: { text: "hi" }, result: "HI" }],
 *   execute: ({ text }: { text: string }) => text.toUpperCase()
 * })
 */
export const defineTool = <Args, Result>(tool: PluginTool<Args, Result>): PluginTool<Args, Result> => tool

/** What a test of a plugin calls a tool with: nothing is cancelled, and nobody hears of progress. */
export const testContext = (context: Partial<PluginContext> = {}): PluginContext => ({
  signal: new AbortController().signal,
  idempotencyKey: "test",
  progress: () => {},
  workspace: "/work",
  state: "/state",
  ...context
})
