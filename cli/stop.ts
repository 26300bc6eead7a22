/** How the command line ends: exit codes, and errors as two lines — what happened, what to do. */
import { Schema } from "effect"
import type { Exit } from "../kernel/process.ts"
import type { ToolError } from "../kernel/tool.ts"

/** The exit codes of `noos`. They are a contract: scripts rely on them. */
export const code = {
  ok: 0,
  failed: 1,
  usage: 2,
  budget: 3,
  denied: 4,
  environment: 5,
  interrupted: 130
} as const

/** Ends the command with an exit code. Without `what` everything has been said already. */
export class Stop extends Schema.TaggedError<Stop>()("Stop", {
  code: Schema.Int,
  what: Schema.optionalKey(Schema.String),
  todo: Schema.optionalKey(Schema.String)
}) {}

/** The exit code of a process's end. */
export const codeOf = (status: Exit["status"]): number =>
  ({
    ok: code.ok,
    failed: code.failed,
    killed: code.failed,
    budget: code.budget,
    denied: code.denied,
    interrupted: code.interrupted
  })[status]

/** The exit code of one failed call: bad input, a refusal, or a call that ran and failed. */
export const codeOfCall = (error: ToolError["code"]): number => {
  if (error === "bad_input") return code.usage
  return error === "denied" || error === "outside_workspace" ? code.denied : code.failed
}

/** What anything that was thrown says of itself. */
export const messageOf = (e: unknown): string => (e instanceof Error ? e.message : String(e))

/** Bad input: what is wrong with it, and what to do. */
export const usage = (what: string, todo: string) => new Stop({ code: code.usage, what, todo })
