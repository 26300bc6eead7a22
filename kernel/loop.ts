/**
 * The process table and the loop that advances it.
 *
 * Between two steps of the engine the loop delivers signals and results, lets the scheduler say who holds a row of the KV
 * cache, and swaps; a step then advances all of those together, each by a piece of what it has to read or by a token.
 * When the braces of a call close, the process blocks, the call runs beside the loop, and its result becomes the next
 * page of the prompt. Nothing polls: with no process able to run, the loop sleeps on a latch.
 *
 * The loop is the only writer of a process that is in the table; a call leaves its outcome in its process and wakes the loop.
 */
import { Cause, Clock, Context, Deferred, Effect, Exit as EffectExit, Latch, Scope } from "effect"
import { giveBack, overSyscalls, overTokens, spend } from "./budget.ts"
import { exit } from "./calls.ts"
import { type Decoded, Engine, type EngineError } from "./engine/engine.ts"
import type { KernelEvent } from "./event.ts"
import { type ExitStatus, Journal, type JournalError, type State } from "./journal.ts"
import { recall } from "./memory/calls.ts"
import type { Memory } from "./memory/memory.ts"
import type { Window } from "./memory/window.ts"
import { alive, type Exit, type Process, type Stop } from "./process.ts"
import { aboutCall, parse, resultText } from "./prompt.ts"
import * as scheduler from "./scheduler.ts"
import { type Caller, type Request, refusal, Syscalls } from "./syscall.ts"
import { badInput, type Self } from "./tool.ts"

/** The policy by which rows of the KV cache and slices are given. */
export const SchedulerPolicy = Context.Reference<scheduler.Policy>("noos/SchedulerPolicy", {
  defaultValue: () => scheduler.fair
})

/** Starts the loop; it ends with the scope. `selfOf` gives what a process's own calls may ask of the kernel. */
export const makeLoop = Effect.fnUntraced(function* (
  window: Window,
  memory: Memory,
  observe: (event: KernelEvent) => void,
  selfOf: (p: Process) => Self
) {
  const engine = yield* Engine
  const journal = yield* Journal
  const syscalls = yield* Syscalls
  const policy = yield* SchedulerPolicy
  const kernelScope = yield* Effect.scope

  const table = new Map<number, Process>()
  let clock = scheduler.epoch
  /** Open when a pass of the loop may find something to do. */
  const work = yield* Latch.make(false)
  /** What has to see the table between two steps. */
  const errands: Array<Effect.Effect<unknown>> = []
  /** A fault of the kernel's own (the journal, the engine) reaches everybody who waits. */
  const fault = yield* Deferred.make<never, JournalError | EngineError>()

  const setState = Effect.fnUntraced(function* (p: Process, state: Exclude<State, "zombie">, why: string) {
    p.state = state
    p.since = clock.served
    observe({ type: "state", pid: p.pid, state, why })
    const waiting = state === "blocked" ? { waiting: why } : {}
    yield* journal.transition(p.pid, state, why, { usage: p.usage, ...waiting })
  })

  /** It can run again: it joins the line, with what it has to read first. */
  const ready = (p: Process, why: string) => {
    p.share = policy.join(p, p.share, p.pending.length, clock)
    return setState(p, "ready", why)
  }

  /** A traced process has come to its next stop. */
  const halt = Effect.fnUntraced(function* (p: Process, stop: Stop) {
    const traced = p.traced!
    traced.halted = true
    yield* setState(p, "stopped", `traced: ${stop.at}`)
    yield* Deferred.succeed(traced.stop, stop)
  })

  /** What there was to read has been read: a traced process stops here, or says what it was asked. */
  const upToDate = (p: Process) => {
    if (p.traced === undefined || p.pending.length > 0) return Effect.void
    const { asked } = p.traced
    if (asked !== undefined && asked.weights === undefined) return Effect.void
    if (p.turn === undefined) return halt(p, { at: "turn", came: p.traced.came })
    return halt(p, { at: "call", text: p.turn.text, call: parse(p.turn.text) })
  }

  /** The answers were weighed: the question is taken back, so that the process is where it was. */
  const answered = Effect.fnUntraced(function* (p: Process, weights: ReadonlyArray<number>) {
    const asked = p.traced!.asked!
    asked.weights = weights
    yield* p.sequence!.rewind(asked.length)
    p.pending = window.opening
    yield* upToDate(p)
  })

  /**
   * The process becomes a zombie and gives back all it had; its children end before it, and nobody is left to wait for
   * them. An interrupted one is only stopped, as far as the journal goes.
   */
  const end = Effect.fnUntraced(function* (
    p: Process,
    status: ExitStatus,
    reason: string,
    answer: unknown = null
  ): Effect.fn.Return<void, JournalError> {
    for (const child of p.summariser === undefined ? p.children : [...p.children, p.summariser]) {
      if (child.state !== "zombie")
        yield* end(child, status === "interrupted" ? status : "killed", "its parent ended")
      table.delete(child.pid)
    }
    const usage = { ...p.usage, wallMs: (yield* Clock.currentTimeMillis) - p.started }
    if (status === "interrupted") yield* journal.transition(p.pid, "stopped", reason, { usage })
    else yield* journal.exit(p.pid, { status, why: reason, answer, usage })
    p.state = "zombie"
    p.since = clock.served
    p.pending = []
    p.turn = undefined
    if (p.parent !== undefined) giveBack(p.parent, p)
    if (p.parent?.summariser === p) {
      p.parent.summariser = undefined
      p.parent.summary = status === "ok" ? String(answer) : undefined
      table.delete(p.pid)
    }
    yield* Effect.forkIn(Scope.close(p.scope, EffectExit.void), kernelScope)
    yield* Scope.close(p.memory, EffectExit.void)
    p.sequence = undefined
    const exited: Exit = { pid: p.pid, status, answer, reason, usage }
    observe({ type: "exit", ...exited })
    if (p.traced !== undefined) yield* Deferred.succeed(p.traced.stop, { at: "exit", exit: exited })
    yield* Deferred.succeed(p.exited, exited)
  })

  const callerOf = (p: Process): Caller => {
    const { approve, handles, pid, tools, traced, workspace } = p
    const progress = (text: string) => Effect.sync(() => observe({ type: "progress", pid, text }))
    const later = traced?.later
    const branch = later === undefined ? {} : { later: (request: Request) => void later.push(request) }
    return { pid, tools, workspace, approve, progress, handles, self: selfOf(p), ...branch }
  }

  /** The call's braces have closed: the process blocks and the call runs beside the loop. */
  const trap = Effect.fnUntraced(function* (p: Process) {
    const turn = p.turn!
    p.turn = undefined
    spend(p, "syscalls", 1)
    const broken = overSyscalls(p)
    if (broken !== undefined) return yield* end(p, "budget", `more than ${broken.syscalls} syscalls`)
    const request = parse(turn.text)
    p.calling = request?.tool ?? "malformed call"
    // A token that only ended the turn is not in the sequence.
    const kept = p.sequence!.length - p.context.size - window.opening.length
    const about = request === undefined ? p.calling : aboutCall(request.tool, request.args)
    p.said = { text: turn.text, tokens: turn.tokens.slice(0, kept), about }
    // Who looks for words shall not find those that say what was looked for.
    const copy = request?.tool === recall.name ? { copy: 0 } : {}
    const page = { text: turn.text, tokens: p.said.tokens.length + window.opening.length, ...copy }
    yield* setState(p, "blocked", p.calling)
    const serve = Effect.gen(function* () {
      if (request !== undefined) {
        return yield* syscalls.dispatch(callerOf(p), { ...request, page })
      }
      yield* journal.appendPage(p.pid, { role: "call", ...page })
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

  /** The call has ended: its result becomes the next page of the prompt, or the process exits. */
  const resume = Effect.fnUntraced(function* (p: Process) {
    const { request, outcome } = p.outcome!
    p.outcome = undefined
    p.calling = undefined
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
    yield* memory.enter(p, {
      text: resultText(outcome.ok, outcome.text),
      // The call has a page, and so has its result.
      page: p.context.pages + 2,
      source: outcome.source ?? request?.tool ?? "kernel",
      ...(outcome.id === undefined ? {} : { call: outcome.id })
    })
    if (p.doomed !== undefined) return yield* end(p, p.doomed.status, p.doomed.reason)
    if (p.traced !== undefined) p.traced.came = { ok: outcome.ok, text: outcome.text }
    spend(p, "cachedTokens", p.sequence!.length)
    yield* ready(p, "result")
  })

  /** Delivers what has come for a process since the last step. */
  const settle = Effect.fnUntraced(function* (p: Process) {
    if (p.doomed !== undefined) return yield* end(p, p.doomed.status, p.doomed.reason)
    for (const signal of p.signals.splice(0)) {
      yield* journal.event(p.pid, "signal", { signal })
      if (signal === "KILL") return yield* end(p, "killed", "killed")
      if (signal === "INT") return yield* end(p, "interrupted", "interrupted")
      if (signal === "TERM") p.terminating = true
      if (signal === "STOP" && p.state !== "stopped") yield* setState(p, "stopped", "STOP")
      if (signal === "CONT" && p.state === "stopped" && p.traced?.halted !== true)
        yield* p.calling === undefined ? ready(p, "CONT") : setState(p, "blocked", p.calling)
    }
    if (p.state === "stopped" && !(p.terminating && p.traced?.halted === true)) return
    if (p.outcome !== undefined) yield* resume(p)
    const between = p.turn === undefined && p.calling === undefined
    if (p.terminating && between && alive(p)) yield* end(p, "killed", "terminated")
  })

  /**
   * Gives a new process its tokens: a fork of its program's prefix, or an empty sequence in which it reads the prefix for
   * all who come later. While somebody does that, the others wait.
   */
  const load = Effect.fnUntraced(function* (p: Process) {
    const { image } = p
    if (image.shared !== undefined) {
      p.sequence = yield* Scope.provide(engine.fork(image.shared), p.memory)
      p.pending = p.pending.slice(image.prefix.length)
      spend(p, "cachedTokens", image.prefix.length)
    } else if (mayRead(p, image.reader)) {
      image.reader = p
      p.sequence = yield* Scope.provide(engine.sequence, p.memory)
    } else return
    yield* ready(p, "loaded")
  })

  /** What the scheduler says: rows change hands. */
  const place = Effect.fnUntraced(function* (plan: scheduler.Dispatch) {
    const swap = Effect.fnUntraced(function* (p: Process, how: "in" | "save" | "drop") {
      const sequence = p.sequence!
      const at = performance.now()
      yield* how === "in" ? engine.swapIn(sequence) : engine.swapOut(sequence, how)
      const ms = performance.now() - at
      observe({ type: "swap", at, ms, pid: p.pid, how, tokens: sequence.length })
    })
    for (const p of plan.out) yield* swap(p, scheduler.swapMethod(p.sequence!.length, engine.costs()))
    for (const p of plan.in) yield* swap(p, "in")
    const running = new Set(plan.run)
    for (const p of table.values()) {
      if (p.state === "running" && !running.has(p)) yield* setState(p, "ready", "preempted")
      else if (p.state === "ready" && running.has(p)) yield* setState(p, "running", "dispatched")
    }
  })

  /** Why a running process has no budget or no room left for its next step, if so. */
  const refused = (p: Process, tokens: number): readonly [ExitStatus, string] | undefined => {
    const broken = overTokens(p, tokens)
    if (broken !== undefined) return ["budget", `more than ${broken.tokens} tokens`]
    if (p.sequence!.length + Math.max(p.pending.length, 1) > engine.contextSize)
      return ["failed", `the context window of ${engine.contextSize} tokens is full`]
    return undefined
  }

  /** Takes in one token of the model's call. A call that takes too much of the window is cut off. */
  const advance = (p: Process, decoded: Decoded): boolean => {
    spend(p, "generatedTokens", 1)
    const { text, tokens } = p.turn ?? { text: "", tokens: [] }
    p.turn = { text: text + decoded.text, tokens: [...tokens, decoded.token] }
    observe({ type: "token", pid: p.pid, text: decoded.text })
    return decoded.done || p.turn.tokens.length >= window.most
  }

  const pass = Effect.gen(function* () {
    for (const errand of errands.splice(0)) yield* errand
    for (const p of table.values()) if (alive(p)) yield* settle(p)
    for (const p of table.values()) if (p.state === "ready" && p.sequence === undefined) yield* load(p)
    const plan = scheduler.dispatch(policy, [...table.values()], engine.sequences, clock)
    yield* place(plan)
    const next = scheduler.nextBatch(plan.run, engine.chunk)
    for (const { process, tokens } of next) {
      const why = refused(process, tokens)
      if (why !== undefined) yield* end(process, ...why)
    }
    const batch = next.filter(({ process }) => process.state === "running")
    if (batch.length === 0) return next.length > 0

    const at = performance.now()
    const decoded = yield* engine.step(batch.map((item) => item.work))
    const items = batch.map(({ process, tokens, work }) => ({ pid: process.pid, does: work._tag, tokens }))
    observe({ type: "step", at, ms: performance.now() - at, items })
    // A program's prefix is read for all who come later, and so at nobody's charge.
    const charges = batch.map(({ process, tokens }) => ({
      process,
      tokens: process.image.reader === process ? 0 : tokens
    }))
    const served = scheduler.serve(policy, clock, charges, [...table.values()].filter(scheduler.runnable))
    clock = served.clock
    for (const [i, { process: p, tokens, work }] of batch.entries()) {
      // Its parent's end, earlier in this batch, was its own.
      if (!alive(p)) continue
      p.share = served.shares[i]!
      if (work._tag === "Decode") {
        if (advance(p, decoded[i]!)) yield* p.traced === undefined ? trap(p) : upToDate(p)
      } else if (work._tag === "Weigh") {
        spend(p, "valueTokens", tokens)
        yield* answered(p, decoded[i]!.weights!)
      } else if (work._tag === "Restore") {
        spend(p, "cachedTokens", -Math.min(p.usage.cachedTokens, work.count))
      } else {
        spend(p, p.traced?.asked === undefined ? "prefillTokens" : "valueTokens", tokens)
        p.pending = p.pending.slice(tokens)
        const { image } = p
        if (image.reader === p && p.sequence!.length === image.prefix.length) {
          image.shared = yield* Scope.provide(engine.fork(p.sequence!), image.scope)
          image.reader = undefined
        }
        yield* upToDate(p)
      }
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

  /** Runs an effect between two steps. */
  const atRest = Effect.fnUntraced(function* <A, E>(effect: Effect.Effect<A, E>) {
    const done = yield* Deferred.make<A, E>()
    errands.push(Effect.exit(effect).pipe(Effect.andThen((result) => Deferred.done(done, result))))
    yield* work.open
    return yield* Effect.raceFirst(Deferred.await(done), Deferred.await(fault))
  })

  /** Lets a traced process that waits at a stop go on to its next one. */
  const go = Effect.fnUntraced(function* (p: Process) {
    const traced = p.traced!
    traced.halted = false
    traced.stop = Deferred.makeUnsafe()
    if (p.turn === undefined || p.pending.length > 0) yield* ready(p, "traced")
    else yield* trap(p)
  })

  return { table, ready, atRest, callerOf, end, fault, go, halt, wake: work.open, served: () => clock.served }
})

/** Whether a process reads its program's prefix itself: nobody does it now, or somebody who has to wait longer. */
const mayRead = (p: Process, reader: Process | undefined): boolean =>
  reader === undefined ||
  reader.state === "zombie" ||
  reader.state === "stopped" ||
  (reader.state === "ready" && reader.priority < p.priority)
