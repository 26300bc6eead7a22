/** What noos processes tell each other of those that run in them, and which signals they take for them. */
import { Schema } from "effect"
import type { Process, Signal } from "../kernel/process.ts"

export const signals = ["STOP", "CONT", "TERM", "KILL", "INT"] as const satisfies ReadonlyArray<Signal>

/** A living process, as its kernel tells of it. */
export const Row = Schema.Struct({
  pid: Schema.Int,
  parent: Schema.NullOr(Schema.Int),
  run: Schema.Int,
  /** The operating system's pid of the noos process that it lives in. */
  kernel: Schema.Int,
  state: Schema.Literals(["ready", "running", "blocked", "stopped"]),
  /** What it does or waits for. */
  why: Schema.String,
  priority: Schema.Int,
  usage: Schema.Struct({
    prefillTokens: Schema.Int,
    cachedTokens: Schema.Int,
    generatedTokens: Schema.Int,
    syscalls: Schema.Int,
    wallMs: Schema.Int
  }),
  task: Schema.String
})
export type Row = typeof Row.Type

/** What it does or waits for. */
const what = (p: Process): string => {
  if (p.state === "stopped") return "CONT"
  if (p.calling !== undefined) return p.calling
  if (p.state === "ready") return p.sequence === undefined ? "its program" : "a row"
  return p.pending.length > 0 ? `${p.pending.length} tokens to read` : "writing"
}

/** What this kernel tells of a living process. */
export const row = (p: Process): Row => ({
  pid: p.pid,
  parent: p.parent?.pid ?? null,
  run: p.run,
  kernel: process.pid,
  state: p.state as Row["state"],
  why: what(p),
  priority: p.priority,
  usage: { ...p.usage, wallMs: Date.now() - p.started },
  task: p.task
})
