/**
 * The kernel: a process table and the loop that advances it.
 *
 * Each pass of the loop gives every running process one step on the engine, all in one batch: a chunk of its prompt, or
 * its next token. When the braces of a call close, the process blocks, the call runs beside the loop, and its
 * result becomes the next page of the prompt. Nothing polls: with no process able to run, the loop sleeps on a latch.
 *
 * The loop is the only writer of the table while processes run; a call leaves its outcome in its process and wakes the loop.
 */
import { Cause, Clock, Context, Deferred, Effect, Exit as EffectExit, Latch, Layer, Scope } from "effect"
import type { Workspace } from "../sandbox/sandbox.ts"
import { type Decoded, Engine, type EngineError } from "./engine/engine.ts"
import { callGrammar } from "./engine/gbnf.ts"
import { type ExitStatus, Journal, type JournalError, type State } from "./journal.ts"
import type { Budget, Exit, Process, Program } from "./process.ts"
import { closeTurn, message, openTurn, resultText, systemText } from "./prompt.ts"
import { admit, nextBatch } from "./scheduler.ts"
import { type Approve, type Caller, exit, refusal, Syscalls, validator } from "./syscall.ts"
import { type AnyTool, badInput, ToolError } from "./tool.ts"

/** What the kernel tells whoever watches. Times in ms. */
export type KernelEvent =
  | { readonly type: "start"; readonly pid: number; readonly run: number; readonly task: string }
  | { readonly type: "state"; readonly pid: number; readonly state: State; readonly why: string }
  | { readonly type: "token"; readonly pid: number; readonly text: string }
  | { readonly type: "progress"; readonly pid: number; readonly text: string }
  | {
      readonly type: "syscall"
      readonly pid: number
      readonly id: number | null
      readonly tool: string
      readonly args: unknown
      readonly ok: boolean
      readonly result?: unknown
      readonly error?: { readonly code: string; readonly message: string }
      readonly ms: number
    }
  | ({ readonly type: "exit" } & Exit)

/** Who watches. Called in the kernel's loop: it must be quick and must not throw. */
export const Observer = Context.Reference<(event: KernelEvent) => void>("noos/Observer", {
  defaultValue: () => () => {}
})

/** A process to start. */
export interface Spawn {
  /** The journal's run that it belongs to. */
  readonly run: number
  readonly program: Program
  readonly task: string
  readonly workspace: Workspace
  /** What it may call; `exit` is added by the kernel. */
  readonly tools: ReadonlyArray<AnyTool>
  readonly priority?: number
  readonly budget?: Partial<Budget>
  /** Asked before an irreversible call; default: always no. */
  readonly approve?: Approve
}

/** What a process may use when nothing else is said. */
export const defaultBudget: Budget = { tokens: 1_000_000, seconds: 3600, syscalls: 200 }

/** The share of the window that one result, and one call, may take. */
const pageShare = 1 / 4

export class Kernel extends Context.Service<
  Kernel,
  {
    /** Starts a process and gives its pid. */
    readonly spawn: (options: Spawn) => Effect.Effect<number, JournalError | EngineError | ToolError>
    /** Waits until a process has exited. Waiting again gives the same answer. */
    readonly wait: (pid: number) => Effect.Effect<Exit, JournalError | EngineError | ToolError>
    /**
     * Ends a process before its next token; a call under way is cancelled. Status `interrupted` leaves it `stopped` in
     * the journal, to be resumed.
     */
    readonly kill: (pid: number, status?: ExitStatus, reason?: string) => Effect.Effect<void, ToolError>
    readonly processes: Effect.Effect<ReadonlyArray<Process>>
  }
>()("noos/Kernel") {
  static readonly layer = Layer.effect(
    Kernel,
    Effect.gen(function* () {
      const engine = yield* Engine
      const journal = yield* Journal
      const syscalls = yield* Syscalls
      const watcher = yield* Observer
      /** A watcher that throws is its own fault, and costs the process nothing. */
      const observe = (event: KernelEvent) => {
        try {
          watcher(event)
        } catch {}
      }
      const kernelScope = yield* Effect.scope

      const table = new Map<number, Process>()
      /** Open when a pass of the loop may find something to do. */
      const work = yield* Latch.make(false)
      /** A fault of the kernel's own (the journal, the engine) reaches everybody who waits. */
      const fault = yield* Deferred.make<never, JournalError | EngineError>()
      const most = Math.floor(engine.contextSize * pageShare)
      /**
       * In a small window the grammar itself ends a string that will not end. In a large one that would cost more than
       * it is worth (a bound of n is n rules), and a call that runs on is cut off by `advance`.
       */
      const stringLimit = most <= 1024 ? { maxStringLength: Math.floor(most * 0.8) } : {}

      const setState = Effect.fnUntraced(function* (
        p: Process,
        state: Exclude<State, "zombie">,
        why: string
      ) {
        p.state = state
        observe({ type: "state", pid: p.pid, state, why })
        yield* journal.transition(p.pid, state, why, { usage: p.usage })
      })

      /** The process becomes a zombie, and gives back its sequence and all it was doing. An interrupted one only stops. */
      const end = Effect.fnUntraced(function* (
        p: Process,
        status: ExitStatus,
        reason: string,
        answer: unknown = null
      ) {
        const wallMs = (yield* Clock.currentTimeMillis) - p.started
        const usage = { ...p.usage, wallMs }
        if (status === "interrupted") yield* journal.transition(p.pid, "stopped", reason, { usage })
        else yield* journal.exit(p.pid, { status, why: reason, answer, usage })
        p.state = status === "interrupted" ? "stopped" : "zombie"
        p.pending = []
        yield* Effect.forkIn(Scope.close(p.scope, EffectExit.void), kernelScope)
        if (p.sequence !== undefined) yield* Scope.close(p.sequence.scope, EffectExit.void)
        p.sequence = undefined
        const exited: Exit = { pid: p.pid, status, answer, reason, usage }
        observe({ type: "exit", ...exited })
        yield* Deferred.succeed(p.exited, exited)
      })

      /** Long results are cut in the middle: the window is for work. */
      const clip = (whole: string): string => {
        // Counting the tokens of a very long text takes longer than anything else here.
        const text = whole.length > most * 32 ? cut(whole, most * 16) : whole
        const tokens = engine.tokenize(text).length
        if (tokens <= most) return text
        return cut(whole, Math.floor((text.length * most) / tokens))
      }

      /** The beginning and the end of a text, about `keep` characters together. */
      const cut = (text: string, keep: number): string => {
        const head = text.slice(0, Math.floor(keep * 0.6)).toWellFormed()
        const tail = text.slice(text.length - Math.floor(keep * 0.3)).toWellFormed()
        return `${head}\n[${text.length - head.length - tail.length} characters left out]\n${tail}`
      }

      /** The call's braces have closed: the process blocks and the call runs beside the loop. */
      const trap = Effect.fnUntraced(function* (p: Process) {
        const turn = p.turn!
        p.turn = undefined
        if (++p.usage.syscalls > p.budget.syscalls)
          return yield* end(p, "budget", `more than ${p.budget.syscalls} syscalls`)
        const request = parse(turn.text)
        yield* setState(p, "blocked", request?.tool ?? "malformed call")
        const serve = Effect.gen(function* () {
          if (request !== undefined) return yield* syscalls.dispatch(callerOf(p), { ...request, page: turn })
          yield* journal.appendPage(p.pid, { role: "call", ...turn })
          return refusal(badInput("malformed call: write one JSON object"))
        })
        yield* serve.pipe(
          Effect.andThen((outcome) => {
            p.outcome = { request, outcome }
            return work.open
          }),
          Effect.catchCause((cause) =>
            Cause.hasInterruptsOnly(cause) ? Effect.void : Deferred.failCause(fault, cause)
          ),
          Effect.forkIn(p.scope)
        )
      })

      const callerOf = (p: Process): Caller => ({
        pid: p.pid,
        tools: p.tools,
        workspace: p.workspace,
        approve: p.approve,
        progress: (text) => Effect.sync(() => observe({ type: "progress", pid: p.pid, text }))
      })

      /** The call has ended: its result becomes the next page of the prompt, or the process exits. */
      const resume = Effect.fnUntraced(function* (p: Process) {
        const { request, outcome } = p.outcome!
        p.outcome = undefined
        observe({
          type: "syscall",
          pid: p.pid,
          id: outcome.id ?? null,
          tool: request?.tool ?? "",
          args: request?.args ?? null,
          ...(outcome.ok ? { ok: true, result: outcome.result } : { ok: false, error: outcome.error }),
          ms: outcome.ms
        })
        if (!outcome.ok && outcome.error.code === "denied") p.denied = true
        if (outcome.ok && request?.tool === exit.name) {
          const failed = (request.args as { readonly failed?: boolean }).failed === true
          if (!failed) return yield* end(p, "ok", "exit", outcome.result)
          return yield* end(p, p.denied ? "denied" : "failed", "the process gave up", outcome.result)
        }
        const text = resultText(outcome.ok, clip(outcome.text))
        const page = message(engine, "user", text)
        yield* journal.appendPage(p.pid, {
          role: "result",
          text,
          tokens: page.length,
          ...(outcome.id === undefined ? {} : { call: outcome.id })
        })
        p.usage.cachedTokens += p.sequence!.row.length
        p.pending = [...p.pending, ...closeTurn(engine), ...page, ...openTurn(engine)]
        yield* setState(p, "running", "result")
      })

      /** Takes in one token of the model's call. A call that takes too much of the window is cut off. */
      const advance = Effect.fnUntraced(function* (p: Process, decoded: Decoded) {
        p.usage.generatedTokens++
        p.turn ??= { text: "", tokens: 0 }
        p.turn.text += decoded.text
        p.turn.tokens++
        observe({ type: "token", pid: p.pid, text: decoded.text })
        if (decoded.done || p.turn.tokens >= most) yield* trap(p)
      })

      /** Ends a running process that has no budget or no room left for its next step. */
      const police = Effect.fnUntraced(function* (p: Process, needs: number) {
        const used = p.usage.prefillTokens + p.usage.generatedTokens
        if (used + needs > p.budget.tokens) yield* end(p, "budget", `more than ${p.budget.tokens} tokens`)
        else if (p.sequence!.row.length + needs > engine.contextSize)
          yield* end(p, "failed", `the context window of ${engine.contextSize} tokens is full`)
      })

      const pass = Effect.gen(function* () {
        for (const p of table.values()) {
          if (p.state === "zombie" || p.state === "stopped") continue
          if (p.doomed !== undefined) yield* end(p, p.doomed.status, p.doomed.reason)
          else if (p.outcome !== undefined) yield* resume(p)
        }
        const holding = [...table.values()].filter((p) => p.sequence !== undefined).length
        for (const p of admit(table.values(), engine.sequences - holding)) {
          const scope = yield* Scope.make()
          p.sequence = { row: yield* Scope.provide(engine.sequence, scope), scope }
          yield* setState(p, "running", "sequence")
        }
        const next = nextBatch(table.values(), engine.chunk)
        for (const { process, work } of next)
          yield* police(process, work._tag === "Prefill" ? work.tokens.length : 1)
        const batch = next.filter(({ process }) => process.state === "running")
        if (batch.length === 0) return false
        const decoded = yield* engine.step(batch.map((b) => b.work))
        for (const [i, { process, work }] of batch.entries()) {
          if (work._tag === "Prefill") {
            process.usage.prefillTokens += work.tokens.length
            process.pending = process.pending.slice(work.tokens.length)
          } else yield* advance(process, decoded[i]!)
        }
        return true
      })

      const loop = Effect.gen(function* () {
        for (;;) {
          yield* work.await
          work.closeUnsafe()
          if (yield* pass) work.openUnsafe()
        }
      })
      yield* loop.pipe(
        Effect.catchCause((cause) => Deferred.failCause(fault, cause)),
        Effect.forkIn(kernelScope)
      )

      const spawn = Effect.fn("Kernel.spawn")(function* (options: Spawn) {
        if (typeof options.task !== "string" || options.task.trim() === "")
          return yield* badInput("the task is empty")
        const names = options.tools.map((t) => t.name)
        const twice = names.find((name, i) => names.indexOf(name) !== i)
        if (twice !== undefined) return yield* badInput(`two tools have the name "${twice}"`)
        const given = Object.entries(options.budget ?? {}).filter(([, limit]) => limit !== undefined)
        const odd = given.find(([, limit]) => !(limit > 0))
        if (odd !== undefined)
          return yield* badInput(`the budget of ${odd[0]} must be above 0, got ${odd[1]}`)
        if (options.tools.some((t) => t.name === exit.name))
          return yield* badInput(`the name "${exit.name}" is the kernel's own`)
        const tools = [...options.tools, exit]
        for (const tool of tools) {
          yield* Effect.try({
            try: () => validator(tool),
            catch: (e) => badInput(`${tool.name}: bad input schema: ${e}`)
          })
        }
        const gbnf = yield* Effect.try({
          try: () => callGrammar(tools, { thought: options.program.thought, ...stringLimit }),
          catch: (e) => badInput(e instanceof Error ? e.message : String(e))
        })
        const grammar = yield* engine.grammar(gbnf)
        const budget: Budget = { ...defaultBudget, ...Object.fromEntries(given) }
        const pid = yield* journal.spawn({
          run: options.run,
          program: options.program.name,
          priority: options.priority ?? 0,
          budget
        })
        const pages = [
          { role: "system", text: systemText(tools, options.program.instructions) },
          { role: "user", text: options.task }
        ] as const
        const rendered = pages.map((page) => message(engine, page.role, page.text))
        for (const [i, page] of pages.entries()) {
          const role = page.role === "system" ? "system" : "task"
          yield* journal.appendPage(pid, { role, text: page.text, tokens: rendered[i]!.length })
        }
        const p: Process = {
          pid,
          program: options.program,
          task: options.task,
          budget,
          workspace: options.workspace,
          tools,
          approve: options.approve ?? (() => Effect.succeed(false)),
          grammar,
          started: yield* Clock.currentTimeMillis,
          usage: { prefillTokens: 0, cachedTokens: 0, generatedTokens: 0, syscalls: 0 },
          scope: yield* Scope.fork(kernelScope),
          exited: yield* Deferred.make<Exit>(),
          state: "ready",
          sequence: undefined,
          pending: [...engine.bos, ...rendered.flat(), ...openTurn(engine)],
          turn: undefined,
          outcome: undefined,
          doomed: undefined,
          denied: false
        }
        table.set(pid, p)
        observe({ type: "start", pid, run: options.run, task: options.task })
        yield* Effect.sleep(budget.seconds * 1000).pipe(
          Effect.andThen(kill(pid, "budget", `more than ${budget.seconds} s`)),
          Effect.forkIn(p.scope)
        )
        yield* work.open
        return pid
      })

      const find = (pid: number): Effect.Effect<Process, ToolError> => {
        const p = table.get(pid)
        if (p !== undefined) return Effect.succeed(p)
        return Effect.fail(new ToolError({ code: "not_found", message: `no process ${pid}` }))
      }

      const wait = Effect.fn("Kernel.wait")(function* (pid: number) {
        const p = yield* find(pid)
        return yield* Effect.raceFirst(Deferred.await(p.exited), Deferred.await(fault))
      })

      const kill = Effect.fn("Kernel.kill")(function* (
        pid: number,
        status: ExitStatus = "killed",
        reason = "killed"
      ) {
        const p = yield* find(pid)
        p.doomed ??= { status, reason }
        yield* work.open
      })

      return Kernel.of({ spawn, wait, kill, processes: Effect.sync(() => [...table.values()]) })
    })
  )
}

/** The call in a model's words, if it is one. */
const parse = (text: string): { readonly tool: string; readonly args: unknown } | undefined => {
  try {
    const call: unknown = JSON.parse(text)
    if (typeof call !== "object" || call === null || !("tool" in call) || typeof call.tool !== "string")
      return undefined
    return { tool: call.tool, args: "args" in call ? call.args : {} }
  } catch {
    return undefined
  }
}
