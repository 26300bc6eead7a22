/**
 * A process: one language model at work on one task. This struct is all there is to it; the journal can rebuild it.
 */
import type { Deferred, Scope } from "effect"
import type { Workspace } from "../sandbox/sandbox.ts"
import type { Grammar, Sampling, Sequence, Token } from "./engine/engine.ts"
import type { ExitStatus, State } from "./journal.ts"
import type { Approve, Outcome, Request } from "./syscall.ts"
import type { AnyTool } from "./tool.ts"

/** What a process runs: how it is told to work, and how its tokens are chosen. */
export interface Program {
  readonly name: string
  /** Added to the system page, under the kernel's own words. */
  readonly instructions: string
  /** Whether a call may be preceded by a `thought`. */
  readonly thought: boolean
  readonly sampling: Sampling
}

/** Ceilings of a process. Reaching one ends it with status `budget`. */
export interface Budget {
  /** Tokens evaluated: prefilled and generated. */
  readonly tokens: number
  /** Wall clock, seconds. */
  readonly seconds: number
  readonly syscalls: number
}

/** What a process has used. `cachedTokens` were in the KV cache when a turn began, and were not evaluated again. */
export interface Usage {
  prefillTokens: number
  cachedTokens: number
  generatedTokens: number
  syscalls: number
}

/** How a process ended. `reason` says why, for people. */
export interface Exit {
  readonly pid: number
  readonly status: ExitStatus
  readonly answer: unknown
  readonly reason: string
  readonly usage: Readonly<Usage> & { readonly wallMs: number }
}

export interface Process {
  readonly pid: number
  readonly program: Program
  readonly task: string
  readonly budget: Budget
  readonly workspace: Workspace
  /** The tools it was granted, `exit` last. */
  readonly tools: ReadonlyArray<AnyTool>
  readonly approve: Approve
  readonly grammar: Grammar
  /** When it was spawned, ms since the epoch. */
  readonly started: number
  readonly usage: Usage
  /** Holds its timer and its running call; closed when it exits. */
  readonly scope: Scope.Closeable
  readonly exited: Deferred.Deferred<Exit>

  state: State
  /** Row of the KV cache, while it has one, and the scope that gives it back. */
  sequence: { readonly row: Sequence; readonly scope: Scope.Closeable } | undefined
  /** Tokens of its context that the KV cache has not seen. */
  pending: ReadonlyArray<Token>
  /** What the model has written of its present call; undefined between turns. */
  turn: { text: string; tokens: number } | undefined
  /** What became of its call, put here by the call and taken by the kernel's loop. */
  outcome: { readonly request: Request | undefined; readonly outcome: Outcome } | undefined
  /** Somebody wants it ended: the loop does so before its next token. */
  doomed: { readonly status: ExitStatus; readonly reason: string } | undefined
  /** A person said no to one of its calls. */
  denied: boolean
}
