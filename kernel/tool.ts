/**
 * What a tool is: the one shape that the kernel can call.
 *
 * A tool names its input as JSON Schema. The grammar that the model decodes under, the check before
 * the call runs and the line the model reads in its prompt all come from that one schema.
 */
import { Effect, Schema } from "effect"
import type { Workspace } from "../sandbox/sandbox.ts"
import type { Handles } from "./handles.ts"
import type { Recall } from "./memory/calls.ts"
import type { Exit, Message, Signal } from "./process.ts"
import { describe, type JsonSchema, type LibrarySchema } from "./schema.ts"

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
  /** What the calling process holds open between its calls. */
  readonly handles: Handles
  /** Earlier calls of this tool that had a result, the oldest first; a fork's begin with those of the process it continues. */
  readonly history: Effect.Effect<ReadonlyArray<PastCall>, ToolError>
  /** Aborted when the call is cancelled. Interruption says the same to an `execute` that is an Effect. */
  readonly signal: AbortSignal
}

/** A call that had a result. */
export interface PastCall {
  readonly args: unknown
  readonly result: unknown
}

/**
 * A tool, ready for the kernel's table.
 *
 * - `output`: JSON Schema of the result. A result that does not fit it is an error of the tool.
 * - `effect`: `pure` reads only; `reversible` changes the workspace alone; `irreversible` reaches past it.
 * - `egress`: what it runs can reach the hosts that its process was granted. Where there are any, its calls count as
 *   irreversible; the person who granted the hosts is not asked again for each.
 * - `critical`: arguments whose provenance decides whether a tainted process may make the call.
 * - `toModel`: the text the model sees; default: a string as it is, anything else as compact JSON. It can be much shorter
 *   than the result, which goes whole to whoever watches, and into the journal.
 * - `examples`: calls, with their results where these are always the same. The conformance suite tries them.
 * - interruption of `execute` cancels the call: it must leave nothing running.
 */
export interface Tool<Args = never, Result = unknown> {
  readonly name: string
  readonly description: string
  readonly input: JsonSchema
  readonly output?: JsonSchema
  readonly effect: "pure" | "reversible" | "irreversible"
  readonly egress?: boolean
  readonly critical?: ReadonlyArray<string>
  readonly examples?: ReadonlyArray<Example>
  readonly execute: (args: Args, ctx: ToolContext) => Effect.Effect<Result, ToolError>
  readonly toModel?: (result: Result) => string
}

export interface Example {
  readonly args: Json
  readonly result?: Json
}

/**
 * A result with what a tool may know better than its `toModel`: its text for the model, made in another process, or where it
 * comes from: an address, a file. The page is labelled with that; without it, with the name of the tool.
 */
export class Rendered {
  readonly result: unknown
  readonly text: string
  readonly source: string | undefined
  constructor(result: unknown, text: string, source?: string) {
    this.result = result
    this.text = text
    this.source = source
  }
}

/** A tool whose argument and result types have been forgotten: what the kernel's table holds. */
// biome-ignore lint/suspicious/noExplicitAny: the table holds tools of every argument type; ajv checks the arguments.
export type AnyTool = Tool<any, any>

/** The names a tool may have. */
export const toolName = /^[a-z][a-z0-9_]{0,63}$/

/** A tool as its author writes it: schemas of a library are welcome, and `execute` may give a value or a promise. */
export interface Definition<Args, Result> extends Omit<Tool<Args, Result>, "input" | "output" | "execute"> {
  readonly input: JsonSchema | LibrarySchema<Args>
  readonly output?: JsonSchema | LibrarySchema<Result>
  readonly execute: (
    args: Args,
    ctx: ToolContext
  ) => Effect.Effect<Result, ToolError> | Promise<Result> | Result
}

/** What a broken promise or a defect says, in a line. */
export const messageOf = (defect: unknown): string =>
  (defect instanceof Error ? defect.message : String(defect)).split("\n", 1)[0]!.slice(0, 200)

/** Whatever `execute` gives, as an effect whose interruption aborts the signal. */
const perform =
  <Args, Result>(name: string, execute: Definition<Args, Result>["execute"]): Tool<Args, Result>["execute"] =>
  (args, ctx) =>
    Effect.suspend(() => {
      const controller = new AbortController()
      const crashed = (e: unknown) =>
        e instanceof ToolError
          ? e
          : new ToolError({ code: "failed", message: `${name} crashed: ${messageOf(e)}` })
      const started = Effect.try({
        try: () => execute(args, { ...ctx, signal: controller.signal }),
        catch: crashed
      })
      const ended = Effect.flatMap(started, (running) =>
        Effect.isEffect(running) ? running : Effect.tryPromise({ try: async () => running, catch: crashed })
      )
      return Effect.onInterrupt(ended, () => Effect.sync(() => controller.abort()))
    })

/**
 * Declares a tool. Arguments are checked against `input` before `execute` is called.
 *
 * - A failure is a `ToolError`: fail with one, or throw it.
 * - `input` as plain JSON Schema leaves the type of the arguments to the author; a library's schema gives it.
 *
 * @example
 * const shout = defineTool({
 *   name: "shout",
 *   description: "Say a text in capitals.",
 *   input: { type: "object", properties: { text: { type: "string" } }, required: ["text"], additionalProperties: false },
 *   effect: "pure",
 *   execute: ({ text }: { text: string }) => text.toUpperCase()
 * })
 */
export const defineTool = <Args, Result>(tool: Definition<Args, Result>): Tool<Args, Result> => {
  if (!toolName.test(tool.name))
    throw new TypeError(`tool name ${JSON.stringify(tool.name)} must match ${toolName}`)
  const input = describe(tool.input)
  const execute = perform(tool.name, tool.execute)
  const { output } = tool
  return {
    ...tool,
    input: input?.json ?? (tool.input as JsonSchema),
    ...(output === undefined ? {} : { output: describe(output)?.json ?? (output as JsonSchema) }),
    execute:
      input === undefined
        ? execute
        : (args, ctx) =>
            Effect.flatMap(
              Effect.promise(() => input.parse(args)),
              (parsed) =>
                "problem" in parsed ? badInput(parsed.problem) : execute(parsed.value as Args, ctx)
            )
  } as Tool<Args, Result>
}
