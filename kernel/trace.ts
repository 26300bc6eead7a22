/**
 * A tracer's hold on processes, as ptrace(2) has it: it lets them go from stop to stop, asks them what they think of their
 * state, and makes one of them the other's end. Search is made of this and of fork.
 */
import { Deferred, Effect } from "effect"
import type { Engine, EngineError } from "./engine/engine.ts"
import type { JournalError } from "./journal.ts"
import type { makeLoop } from "./loop.ts"
import type { Window } from "./memory/window.ts"
import { alive, type Exit, type Process, type Stop } from "./process.ts"
import { message } from "./prompt.ts"
import { Syscalls } from "./syscall.ts"
import { badInput, ToolError } from "./tool.ts"

type Failure = JournalError | EngineError | ToolError

export interface Tracer {
  /** Waits until a traced process is at a stop, and says at which. */
  readonly stop: (pid: number) => Effect.Effect<Stop, Failure>
  /** Lets a traced process go on from its stop, and waits for its next one. `call`: what it writes there, word for word. */
  readonly advance: (pid: number, call?: string) => Effect.Effect<Stop, Failure>
  /**
   * Asks a traced process that is about to write a call, and takes the question back: the process is afterwards as it was.
   * Gives how likely each answer is, of those given, by the first token of each. Shares that sum to 1.
   */
  readonly weigh: (
    pid: number,
    question: string,
    answers: ReadonlyArray<string>
  ) => Effect.Effect<ReadonlyArray<number>, Failure>
  /**
   * Ends a process that is traced with the answer of a child that has exited, whose calls that reach past the branch are
   * made first, in the name of the parent, once each. One that fails or is denied ends it as failed or denied.
   */
  readonly adopt: (pid: number, child: number) => Effect.Effect<Exit, Failure>
  /** Ends a traced process that has nothing to adopt. */
  readonly finish: (
    pid: number,
    end: { readonly status: "failed" | "budget"; readonly reason: string; readonly answer?: unknown }
  ) => Effect.Effect<Exit, Failure>
  /** Kills a traced child, unless it has ended, and forgets it. */
  readonly discard: (pid: number) => Effect.Effect<void, Failure>
}

/** What it is made of. */
interface Parts {
  readonly engine: Engine["Service"]
  readonly window: Window
  readonly loop: Effect.Success<ReturnType<typeof makeLoop>>
}

export const makeTracer = Effect.fnUntraced(function* ({ engine, loop, window }: Parts) {
  const syscalls = yield* Syscalls
  const { atRest, callerOf, end, fault, go, table } = loop

  const find = Effect.fnUntraced(function* (pid: number) {
    const p = table.get(pid)
    if (p?.traced === undefined)
      return yield* new ToolError({ code: "not_found", message: `no traced process ${pid}` })
    return { p, traced: p.traced }
  })

  const wait = <A>(deferred: Deferred.Deferred<A>) =>
    Effect.raceFirst(Deferred.await(deferred), Deferred.await(fault))

  /** It must be at a stop, its end aside. */
  const halted = Effect.fnUntraced(function* (pid: number) {
    const { p, traced } = yield* find(pid)
    if (traced.halted && alive(p)) return { p, traced }
    const message = alive(p) ? `process ${pid} is not at a stop` : `process ${pid} has exited`
    return yield* new ToolError({ code: "unavailable", message })
  })

  const aboutToWrite = Effect.fnUntraced(function* (pid: number) {
    const { p, traced } = yield* halted(pid)
    return p.turn === undefined ? { p, traced } : yield* badInput(`process ${pid} has written its call`)
  })

  const stop: Tracer["stop"] = Effect.fn("Kernel.stop")(function* (pid) {
    const { traced } = yield* find(pid)
    return yield* wait(traced.stop)
  })

  const advance: Tracer["advance"] = Effect.fn("Kernel.advance")(function* (pid, call) {
    const start = Effect.gen(function* () {
      const { p } = yield* call === undefined ? halted(pid) : aboutToWrite(pid)
      if (call !== undefined) {
        const tokens = engine.tokenize(call)
        p.pending = tokens
        p.turn = { text: call, tokens }
      }
      yield* go(p)
    })
    yield* atRest(start)
    return yield* stop(pid)
  })

  const weigh: Tracer["weigh"] = Effect.fn("Kernel.weigh")(function* (pid, question, answers) {
    const tokens = answers.map((answer) => engine.tokenize(answer)[0])
    if (tokens.includes(undefined) || new Set(tokens).size < answers.length)
      return yield* badInput(`answers that begin alike cannot be weighed: ${answers.join(", ")}`)
    const start = Effect.gen(function* () {
      const { p, traced } = yield* aboutToWrite(pid)
      const length = p.sequence!.length - window.opening.length
      yield* p.sequence!.rewind(length)
      traced.asked = { answers: tokens as ReadonlyArray<number>, length }
      p.pending = [...message(engine, "user", question), ...window.opening]
      yield* go(p)
      return traced
    })
    const traced = yield* atRest(start)
    const { at } = yield* stop(pid)
    const weights = traced.asked?.weights
    traced.asked = undefined
    if (at === "turn" && weights !== undefined) return shares(weights)
    return yield* new ToolError({ code: "unavailable", message: `process ${pid} ended before it answered` })
  })

  const ended = (p: Process) => wait(p.exited)

  const adopt: Tracer["adopt"] = Effect.fn("Kernel.adopt")(function* (pid, child) {
    const { p } = yield* halted(pid)
    const { p: winner, traced } = yield* find(child)
    if (winner.parent !== p || alive(winner))
      return yield* badInput(`process ${child} is no child of ${pid} that has exited`)
    const { answer, reason, status } = yield* ended(winner)
    for (const request of traced.later ?? []) {
      const outcome = yield* syscalls.dispatch(callerOf(p), request)
      if (outcome.ok) continue
      const denied = outcome.error.code === "denied"
      const why = `${request.tool}, which was to be done last: ${outcome.error.message}`
      yield* atRest(end(p, denied ? "denied" : "failed", why, answer))
      return yield* ended(p)
    }
    yield* atRest(Effect.suspend(() => (alive(p) ? end(p, status, reason, answer) : Effect.void)))
    return yield* ended(p)
  })

  const finish: Tracer["finish"] = Effect.fn("Kernel.finish")(function* (pid, { answer, reason, status }) {
    const { p } = yield* find(pid)
    yield* atRest(Effect.suspend(() => (alive(p) ? end(p, status, reason, answer) : Effect.void)))
    return yield* ended(p)
  })

  const discard: Tracer["discard"] = Effect.fn("Kernel.discard")(function* (pid) {
    const { p } = yield* find(pid)
    const kill = Effect.gen(function* () {
      if (alive(p)) yield* end(p, "killed", "discarded")
      p.parent?.children.delete(p)
      table.delete(pid)
    })
    yield* atRest(kill)
  })

  return { stop, advance, weigh, adopt, finish, discard } satisfies Tracer
})

/** Logarithms as shares of their sum. */
const shares = (weights: ReadonlyArray<number>): ReadonlyArray<number> => {
  const most = Math.max(...weights)
  const scaled = weights.map((weight) => Math.exp(weight - most))
  const sum = scaled.reduce((a, b) => a + b, 0)
  return scaled.map((weight) => weight / sum)
}
