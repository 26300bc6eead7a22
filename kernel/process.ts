/**
 * A process: one language model at work on one task. This struct is all there is to it; the journal can rebuild it.
 */
import type { Deferred, Queue, Scope } from "effect"
import type { Workspace } from "../sandbox/sandbox.ts"
import type { Budget, Slice } from "./budget.ts"
import type { Sampling, Sequence, Token } from "./engine/engine.ts"
import type { Handles } from "./handles.ts"
import type { Image } from "./image.ts"
import type { ExitStatus, State } from "./journal.ts"
import type { Instructions } from "./kernel.ts"
import type { Context, Copy } from "./memory/context.ts"
import type { Past } from "./memory/progress.ts"
import type { Share } from "./scheduler.ts"
import type { Approve, Outcome, Request } from "./syscall.ts"
import type { Label } from "./tables.ts"
import type { AnyTool } from "./tool.ts"

/** What a process runs: how it is told to work, and how its tokens are chosen. */
export interface Program {
  readonly name: string
  /** Added to the system page, under the kernel's own words. */
  readonly instructions: string
  /** Whether a call may be preceded by a `thought`. */
  readonly thought: boolean
  readonly sampling: Sampling
  /** Whether pages that are paged out leave a summary of them behind, which a fork writes. Default: no. */
  readonly summaries?: boolean
}

/** What a process has used. `cachedTokens` were in the KV cache when a turn began, and were not evaluated again. */
export interface Usage {
  prefillTokens: number
  /** Evaluated to learn how good its state is, and taken back again. */
  valueTokens: number
  cachedTokens: number
  generatedTokens: number
  syscalls: number
}

/** The usage of a process that has done nothing yet. */
export const unused: Readonly<Usage> = {
  prefillTokens: 0,
  valueTokens: 0,
  cachedTokens: 0,
  generatedTokens: 0,
  syscalls: 0
}

/** How a process ended. `reason` says why, for people. */
export interface Exit {
  readonly pid: number
  readonly status: ExitStatus
  readonly answer: unknown
  readonly reason: string
  readonly usage: Readonly<Usage> & { readonly wallMs: number }
}

/**
 * Where a traced process waits to be let on: before it writes its next call; with a call that is written but not made; or at
 * its end. (ptrace(2), PTRACE_SYSCALL, stops at the same places.)
 */
export type Stop =
  | { readonly at: "turn"; readonly came: Came | undefined }
  | { readonly at: "call"; readonly text: string; readonly call: Request | undefined }
  | { readonly at: "exit"; readonly exit: Exit }

/** What came of a call, as its process reads it. */
export interface Came {
  readonly ok: boolean
  readonly text: string
}

/** What a traced process is to its tracer. */
export interface Traced {
  /** Whether it waits at a stop. */
  halted: boolean
  /** Its next stop, or the one that it waits at. */
  stop: Deferred.Deferred<Stop>
  /** What came of its last call. */
  came: Came | undefined
  /** What it is being asked: the answers to weigh, and what came of that. It is back at `length` tokens afterwards. */
  asked:
    | { readonly answers: ReadonlyArray<Token>; readonly length: number; weights?: ReadonlyArray<number> }
    | undefined
  /** Calls of a branch that reach past it. They are made when it is adopted; undefined outside of branches. */
  readonly later: Array<Request> | undefined
}

/** A message from another process of the same run. */
export interface Message {
  readonly from: number
  readonly text: string
}

/**
 * STOP takes it off the engine until CONT; a call under way goes on. TERM ends it when the call that it is writing or
 * making is done; KILL before its next token, and cancels its call. INT is KILL for one that shall be resumed later: the
 * journal has it as `stopped`. (signal(7), where they mean much the same.)
 */
export type Signal = "STOP" | "CONT" | "TERM" | "KILL" | "INT"

/** What a call says of its own page, and of others, for when its result is there. */
export interface Remark {
  /** It stays in view. */
  readonly pinned?: true
  /** It repeats a page, or a part of one. */
  readonly copy?: Copy
  /** Not the tool's own words, but these are what the result is made of. */
  readonly label?: Label
  /** Pages that it found. */
  readonly touched?: ReadonlyArray<number>
  /** A page that may go. */
  readonly forget?: number
}

export interface Process {
  readonly pid: number
  /** Who spawned or forked it; undefined for one that a person started. */
  readonly parent: Process | undefined
  /** The journal's run that it belongs to, the same for a whole family. */
  readonly run: number
  readonly program: Program
  /** What it shares with all processes of the same program and tools. */
  readonly image: Image
  /** The tools it was granted, `exit` last. */
  readonly tools: ReadonlyArray<AnyTool>
  readonly task: string
  /** What it was told of its folder; its children are told the same. */
  readonly instructions: ReadonlyArray<Instructions>
  readonly priority: number
  readonly budget: Budget
  readonly workspace: Workspace
  readonly approve: Approve
  /** When it was spawned, ms since the epoch. */
  readonly started: number
  readonly usage: Usage
  /** Holds its timer, its running call and its handles; closed when it exits. */
  readonly scope: Scope.Closeable
  /** Holds its sequence, which must be free before the next step; closed when it exits. */
  readonly memory: Scope.Closeable
  /** What it holds open between its calls; released with `scope`. */
  readonly handles: Handles
  readonly exited: Deferred.Deferred<Exit>
  /** Messages that it has not received yet. */
  readonly mailbox: Queue.Queue<Message>
  /** Its children, zombies too, until it has waited for them. */
  readonly children: Set<Process>
  /** It has no budget of its own, but spends its parent's: what it uses counts as used by both. */
  readonly pooled: boolean
  /** Undefined for a process that runs by itself. */
  readonly traced: Traced | undefined
  /** What its children hold of its budget, and what those that have ended used of it. */
  lent: Slice

  state: State
  /** When it came into its state: tokens served by the engine until then. */
  since: number
  /** What the scheduler's policy remembers of it. */
  share: Share
  /** Its tokens and its KV cache, from when its program is loaded. */
  sequence: Sequence | undefined
  /** What lies in its window. */
  context: Context
  /** Tokens of its context that the sequence does not have yet. */
  pending: ReadonlyArray<Token>
  /** What the model has written of its present call; undefined between turns. */
  turn: { text: string; tokens: ReadonlyArray<Token> } | undefined
  /** The call that is under way: as it was written, its tokens as far as the sequence has them, and in a few words. */
  said: { readonly text: string; readonly tokens: ReadonlyArray<Token>; readonly about: string }
  /** What the call under way has said. */
  remark: Remark
  /** Who sums up what was last paged out, and what it has written. */
  summariser: Process | undefined
  summary: string | undefined
  /** Its latest exchanges, by which a loop shows. */
  past: ReadonlyArray<Past>
  /** The tool whose call is under way; undefined outside calls. */
  calling: string | undefined
  /** What became of its call, put here by the call and taken by the kernel's loop. */
  outcome: { readonly request: Request | undefined; readonly outcome: Outcome } | undefined
  /** Signals that the loop has not delivered yet. */
  signals: Array<Signal>
  /** TERM has come: it ends at the end of its turn. */
  terminating: boolean
  /** It must end, before its next token. */
  doomed: { readonly status: ExitStatus; readonly reason: string } | undefined
  /** A person said no to one of its calls. */
  denied: boolean
}

/** Of a process that has called nothing yet. */
export const silent: Process["said"] = { text: "", tokens: [], about: "" }

export const alive = (p: Process): boolean => p.state !== "zombie"
