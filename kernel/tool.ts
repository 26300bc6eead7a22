/**
 * What a tool is: the one shape that the kernel can call.
 *
 * A tool names its input as JSON Schema. The grammar that the model decodes under, the check before
 * the call runs and the line the model reads in its prompt all come from that one schema.
 */
import { Effect, Schema } from "effect"
import type { Workspace } from "../sandbox/sandbox.ts"
import type { Recall } from "./memory/calls.ts"
import type { Exit, Message, Signal } from "./process.ts"

/** A JSON Schema (draft 2020-12) as plain data. */
export type JsonSchema = { readonly [key: string]: unknown }

/** Anything JSON can carry. */
export type Json = null | boolean | number | string | ReadonlyArray<Json> | { readonly [key: string]: Json }

/**
 * Why a call gave no result, in terms the model and the person can act on.
 *
 * `code` is stable and machine readable; `message` says what happened, in one line; `retryable` says that the
 * same call may succeed later (a timeout, a busy resource).
 */
export class ToolError extends Schema.TaggedError<ToolError>()("ToolError", {
  code: Schema.Literals([
    "not_found",
    "exists",
    "not_a_file",
    "not_a_directory",
    "outside_workspace",
    "too_large",
    "not_text",
    "no_match",
    "ambiguous",
    "bad_input",
    "limit",
    "timeout",
    "denied",
    "unavailable",
    "failed"
  ]),
  message: Schema.String,
  retryable: Schema.optionalKey(Schema.Boolean)
}) {}

/** What a call, a schema or a request that cannot be served comes to. */
export const badInput = (message: string): ToolError => new ToolError({ code: "bad_input", message })

/** A call that fails with this. */
export const refuse = (code: ToolError["code"], message: string): Effect.Effect<never, ToolError> =>
  Effect.fail(new ToolError({ code, message }))

/** A kernel that cannot do its work fails by itself; the call only says so. */
export const asToolError = <A, E extends { readonly message: string }>(
  effect: Effect.Effect<A, E>
): Effect.Effect<A, ToolError> =>
  Effect.mapError(effect, (e) =>
    e instanceof ToolError ? e : new ToolError({ code: "failed", message: e.message })
  )

/** What a call may ask of the kernel in the name of its process: the process-control half of POSIX, in small. */
export interface Self {
  readonly pid: number
  /** A child with this task, some of the caller's tools, and a slice of its budget. Gives its pid. */
  readonly spawn: (options: {
    readonly task: string
    /** Names; default: all of the caller's. */
    readonly tools?: ReadonlyArray<string>
    readonly tokens?: number
  }) => Effect.Effect<number, ToolError>
  /** A copy of the caller for each text, which reads the text as the result of this call. Gives their pids. */
  readonly fork: (texts: ReadonlyArray<string>) => Effect.Effect<ReadonlyArray<number>, ToolError>
  /** Waits for a child, or for whichever ends first. Each is told once. */
  readonly wait: (pid?: number) => Effect.Effect<Exit, ToolError>
  /** Puts a message into the mailbox of a process of the same run. */
  readonly send: (pid: number, text: string) => Effect.Effect<void, ToolError>
  /** Takes the oldest message, waiting for one at most so many seconds. */
  readonly receive: (seconds: number) => Effect.Effect<Message, ToolError>
  /** A page again, or where words are found: in the process's pages and in what is remembered of its folder. */
  readonly recall: (what: Recall) => Effect.Effect<string, ToolError>
  /** Keeps the page of this call in view from now on. */
  readonly note: (text: string) => Effect.Effect<void, ToolError>
  /** Lets a page go out of view before all others. */
  readonly forget: (page: number) => Effect.Effect<void, ToolError>
  /** Keeps a text for later processes in the same folder. */
  readonly remember: (what: {
    readonly text: string
    readonly key?: string
  }) => Effect.Effect<void, ToolError>
  /** Signals a descendant. */
  readonly kill: (pid: number, signal: Signal) => Effect.Effect<void, ToolError>
}

/** What a running call may use. The workspace is its only way to the world. */
export interface ToolContext {
  /** Files and commands of the calling process's workspace, sandboxed. */
  readonly workspace: Workspace
  /** The same for every attempt of one call: pass it to services that can drop duplicates. */
  readonly idempotencyKey: string
  /** Tells the person, not the model, how the call is getting on. */
  readonly progress: (text: string) => Effect.Effect<void>
  /** The calling process; undefined for a call that no process made. */
  readonly self: Self | undefined
}

/**
 * A tool, ready for the kernel's table.
 *
 * - `effect`: `pure` reads only; `reversible` changes the workspace alone; `irreversible` reaches past it.
 * - `critical`: arguments whose provenance decides whether a tainted process may make the call.
 * - `toModel`: the text the model sees; default: a string as it is, anything else as compact JSON.
 * - interruption of `execute` cancels the call: it must leave nothing running.
 */
export interface Tool<Args = never, Result = unknown> {
  readonly name: string
  readonly description: string
  readonly input: JsonSchema
  readonly output?: JsonSchema
  readonly effect: "pure" | "reversible" | "irreversible"
  readonly critical?: ReadonlyArray<string>
  readonly execute: (args: Args, ctx: ToolContext) => Effect.Effect<Result, ToolError>
  readonly toModel?: (result: Result) => string
}

/** A tool whose argument and result types have been forgotten: what the kernel's table holds. */
// biome-ignore lint/suspicious/noExplicitAny: the table holds tools of every argument type; ajv checks the arguments.
export type AnyTool = Tool<any, any>

/** The names a tool may have. */
export const toolName = /^[a-z][a-z0-9_]{0,63}$/

/**
 * Declares a tool, with its argument type stated by the author and checked at run time against `input`.
 *
 * @example
 * const shout = defineTool({
 *   name: "shout",
 *   description: "Say a text in capitals.",
 *   input: { type: "object", properties: { text: { type: "string" } }, required: ["text"], additionalProperties: false },
 *   effect: "pure",
 *   execute: ({ text }: { text: string }) => Effect.succeed(text.toUpperCase())
 * })
 */
export const defineTool = <Args, Result>(tool: Tool<Args, Result>): Tool<Args, Result> => {
  if (!toolName.test(tool.name))
    throw new TypeError(`tool name ${JSON.stringify(tool.name)} must match ${toolName}`)
  return tool
}
