/**
 * The kernel's own syscalls: how a process ends, and how it makes, awaits and talks to others. They are served on the
 * same path as every tool. `exit` is granted to everybody, the others like any tool.
 */
import { Effect } from "effect"
import type { Exit, Message, Signal } from "./process.ts"
import type { JsonSchema } from "./schema.ts"
import { type AnyTool, defineTool, type Self, ToolError } from "./tool.ts"

export const string = { type: "string" } as const
export const positive = { type: "integer", minimum: 1 } as const

/** The schema of a call's arguments. */
export const object = (properties: JsonSchema, required: ReadonlyArray<string>): JsonSchema => ({
  type: "object",
  properties,
  required,
  additionalProperties: false
})

/** `noos tool call` makes calls that belong to no process: those cannot have children. */
export const self = (ctx: { readonly self: Self | undefined }): Effect.Effect<Self, ToolError> =>
  ctx.self === undefined
    ? Effect.fail(new ToolError({ code: "unavailable", message: "only a running process can call this" }))
    : Effect.succeed(ctx.self)

/** The system call by which a process ends. */
export const exit = defineTool({
  name: "exit",
  description: "End with the answer.",
  input: object({ answer: string, failed: { type: "boolean" } }, ["answer"]),
  effect: "pure",
  execute: ({ answer }: { answer: string; failed?: boolean }) => Effect.succeed(answer)
})

const spawn = defineTool({
  name: "spawn",
  description: "Start a child process on a task of its own. Gives its pid.",
  input: object({ task: string, tools: { type: "array", items: string }, tokens: positive }, ["task"]),
  effect: "reversible",
  execute: (
    options: { readonly task: string; readonly tools?: ReadonlyArray<string>; readonly tokens?: number },
    ctx
  ) => Effect.flatMap(self(ctx), (s) => s.spawn(options))
})

const fork = defineTool({
  name: "fork",
  description: "Continue as several copies, each of which reads one of the texts next. Gives their pids.",
  input: object({ texts: { type: "array", items: string, minItems: 1, maxItems: 64 } }, ["texts"]),
  effect: "reversible",
  execute: ({ texts }: { readonly texts: ReadonlyArray<string> }, ctx) =>
    Effect.flatMap(self(ctx), (s) => s.fork(texts))
})

const wait = defineTool({
  name: "wait",
  description: "Wait until a child ends. Gives its pid, status and answer.",
  input: object({ pid: positive }, []),
  effect: "reversible",
  execute: (args: { readonly pid?: number }, ctx) =>
    self(ctx).pipe(
      Effect.flatMap((s) => s.wait(args.pid)),
      Effect.map(({ answer, pid, status }: Exit) => ({ pid, status, answer }))
    )
})

const send = defineTool({
  name: "send",
  description: "Send a message to another process.",
  input: object({ pid: positive, text: string }, ["pid", "text"]),
  effect: "reversible",
  execute: ({ pid, text }: { readonly pid: number; readonly text: string }, ctx) =>
    self(ctx).pipe(
      Effect.flatMap((s) => s.send(pid, text)),
      Effect.as("ok")
    )
})

const receive = defineTool({
  name: "receive",
  description: "Take the next message, waiting for it.",
  input: object({ seconds: { type: "number", exclusiveMinimum: 0, maximum: 3600 } }, []),
  effect: "reversible",
  execute: ({ seconds = 60 }: { readonly seconds?: number }, ctx) =>
    Effect.flatMap(self(ctx), (s): Effect.Effect<Message, ToolError> => s.receive(seconds))
})

const kill = defineTool({
  name: "kill",
  description: "Signal a child process.",
  input: object({ pid: positive, signal: { enum: ["STOP", "CONT", "TERM", "KILL"] } }, ["pid", "signal"]),
  effect: "reversible",
  execute: ({ pid, signal }: { readonly pid: number; readonly signal: Signal }, ctx) =>
    self(ctx).pipe(
      Effect.flatMap((s) => s.kill(pid, signal)),
      Effect.as("ok")
    )
})

/** The syscalls of process control, for those who are granted them. */
export const processCalls: ReadonlyArray<AnyTool> = [spawn, fork, wait, send, receive, kill]
