/**
 * What a search of agents searches in: its states are traced processes that are about to write a call, each in a branch of
 * the workspace; an action is a fork that has written one. So whatever the model proposes can be tried for real and
 * thrown away: context, KV cache, files, shells.
 */
import { Effect, Exit as EffectExit, Scope } from "effect"
import type { EngineError } from "../kernel/engine/engine.ts"
import { Observer } from "../kernel/event.ts"
import type { JournalError } from "../kernel/journal.ts"
import { Kernel } from "../kernel/kernel.ts"
import type { Exit } from "../kernel/process.ts"
import { aboutCall, callText, judgeAnswers, judgeText } from "../kernel/prompt.ts"
import type { Domain } from "../kernel/search/search.ts"
import { ToolError } from "../kernel/tool.ts"
import type { Branch, Change } from "../sandbox/sandbox.ts"
import type { Item, Made } from "../suites/suite.ts"

export type Failure = JournalError | EngineError | ToolError

/** What is known of a task beside its words. */
export interface Known extends Partial<Pick<Item, "key" | "random">> {
  /** Whether what a process has done is right. */
  readonly verify?: Item["check"]
}

/** A process at rest, in its branch, with all it has called; or one that has ended. */
export interface State {
  readonly pid: number
  readonly branch: Branch
  readonly calls: ReadonlyArray<Made>
  /** Calls that were proposed here: nobody needs them twice. */
  readonly proposed: Set<string>
  readonly exit?: Exit
  /** How good it was before it ended. */
  readonly before: number | undefined
  /** What it was last said to be worth, and what a verifier has said. */
  value?: number
  verified?: boolean
  readonly scope: Scope.Closeable
}

/** A fork that has written its call and has not made it. */
export interface Draft {
  readonly pid: number
  readonly branch: Branch
  readonly text: string
  readonly call: { readonly tool: string; readonly args: unknown }
  readonly scope: Scope.Closeable
}

export interface Options {
  /** The traced process that all branches are children of. */
  readonly root: number
  /** The branch that they all go on from. */
  readonly base: Branch
  readonly known: Known
  /** Of the calls that are proposed. */
  readonly temperature: number
  /** Whether a call that was proposed before is left out. */
  readonly distinct: boolean
  /** Draws calls and values at random instead of asking the model: what is then found, the search alone has found. */
  readonly blind?: boolean
}

export interface Branches extends Domain<State, Draft, Failure> {
  readonly changes: (state: State) => Effect.Effect<ReadonlyArray<Change>, Failure>
}

export const branches = Effect.fn("branches")(function* (options: Options) {
  const { base, blind = false, distinct, known, root, temperature } = options
  const kernel = yield* Kernel
  const observe = yield* Observer
  const trunk = (yield* kernel.processes).find((p) => p.pid === root)
  /** A branch has come to the end of the kernel's budget: so will all others. */
  let broke = false

  /** A fork at the same place, not yet going. */
  const born = Effect.fnUntraced(function* (from: State, seed: number) {
    const scope = yield* Scope.make()
    const make = Effect.gen(function* () {
      const branch = yield* from.branch.fork
      const { workspace } = branch
      const pid = yield* kernel.fork(from.pid, { seed, temperature, branch: { parent: root, workspace } })
      yield* Effect.addFinalizer(() => Effect.ignore(kernel.discard(pid)))
      return { pid, branch, scope }
    })
    return yield* Scope.provide(make, scope).pipe(
      Effect.onError((cause) => Scope.close(scope, EffectExit.failCause(cause)))
    )
  }, Effect.uninterruptible)

  const free = ({ scope }: State | Draft) => Scope.close(scope, EffectExit.void)

  /** The call that a fork writes, or that was drawn for it. */
  const write = Effect.fnUntraced(function* (
    fork: Pick<Draft, "pid" | "branch" | "scope">,
    drawn: string | undefined
  ) {
    const stop = yield* kernel.advance(fork.pid, drawn)
    if (stop.at === "exit" && stop.exit.status === "budget") broke = true
    if (stop.at !== "call" || stop.call === undefined) return undefined
    const { call, text } = stop
    return { ...fork, text, call: { tool: call.tool, args: call.args } } satisfies Draft
  })

  const propose: Branches["propose"] = (state, count, seed) => {
    const forks: Array<Pick<Draft, "pid" | "branch" | "scope">> = []
    const draw = (i: number) => {
      if (!blind || known.random === undefined) return undefined
      const { args, tool } = known.random(state.calls, drawer(mixed(seed, i)))
      return callText(tool, args)
    }
    return Effect.gen(function* () {
      for (let i = 0; i < count; i++) {
        const fork = yield* born(state, mixed(seed, i)).pipe(
          // No room for another beside those that live: fewer are proposed.
          Effect.catchIf(isLimit, () => Effect.undefined)
        )
        if (fork === undefined) break
        forks.push(fork)
      }
      if (forks.length === 0) broke = true
      const drafts = yield* Effect.forEach(forks, (fork, i) => write(fork, draw(i)), {
        concurrency: "unbounded"
      })
      const different = drafts.flatMap((draft) => {
        if (draft === undefined || state.proposed.has(draft.text)) return []
        if (distinct) state.proposed.add(draft.text)
        return [draft]
      })
      const kept = new Set(different.map(({ pid }) => pid))
      yield* Effect.forEach(forks, (fork) =>
        kept.has(fork.pid) ? Effect.void : Scope.close(fork.scope, EffectExit.void)
      )
      return different
    }).pipe(
      Effect.onError((cause) =>
        Effect.forEach(forks, ({ scope }) => Scope.close(scope, EffectExit.failCause(cause)))
      )
    )
  }

  const step: Branches["step"] = Effect.fnUntraced(function* (state, { branch, call, pid, scope }) {
    const stop = yield* kernel.advance(pid)
    const before = state.value
    const proposed = new Set<string>()
    if (stop.at === "exit") {
      if (stop.exit.status === "budget") broke = true
      const calls = [...state.calls, { ...call, ok: true, text: answerOf(stop.exit) }]
      return { pid, branch, calls, proposed, exit: stop.exit, before, scope } satisfies State
    }
    const came = stop.at === "turn" ? stop.came : undefined
    const calls = [...state.calls, { ...call, ok: came?.ok ?? false, text: came?.text ?? "" }]
    return { pid, branch, calls, proposed, before, scope } satisfies State
  })

  /** Asks the verifier, in a branch of its own: what it leaves behind is not the process's doing. */
  const verified = Effect.fnUntraced(function* (
    verify: NonNullable<Known["verify"]>,
    { branch, calls }: State,
    answer: unknown
  ) {
    const { workspace } = yield* branch.fork
    // A check that cannot even be made, for something is gone that it needs, is not passed.
    return yield* verify({ answer, calls, workspace }).pipe(Effect.orElseSucceed(() => false))
  }, Effect.scoped)

  const judge = Effect.fnUntraced(function* (state: State) {
    const { calls, exit, pid } = state
    if (exit !== undefined) {
      if (exit.status !== "ok") state.verified = false
      else if (known.verify !== undefined) state.verified = yield* verified(known.verify, state, exit.answer)
      return state.verified === undefined ? (state.before ?? 0.5) : Number(state.verified)
    }
    if (blind) return drawer(hash(JSON.stringify(calls)))(1000) / 1000
    const [value] = yield* kernel.weigh(pid, judgeText, judgeAnswers).pipe(
      Effect.catchIf(
        (e) => e instanceof ToolError && e.code === "unavailable",
        () => {
          broke = true
          return Effect.succeed([0])
        }
      )
    )
    return value!
  })

  const show = ({ calls, exit }: State): string => {
    if (exit !== undefined) return `answer: ${answerOf(exit)}`
    const last = calls.at(-1)
    return last === undefined
      ? "start"
      : `${aboutCall(last.tool, last.args)} → ${last.text.split("\n", 1)[0]}`
  }

  return {
    root: Effect.map(
      Scope.make(),
      (scope): State => ({
        pid: root,
        branch: base,
        calls: [],
        proposed: new Set(),
        before: undefined,
        scope
      })
    ),
    propose,
    step,
    score: Effect.fnUntraced(function* (state) {
      const value = yield* judge(state)
      state.value = value
      const { calls, pid } = state
      observe({ type: "tried", pid: root, branch: pid, depth: calls.length, text: show(state), value })
      return value
    }),
    terminal: ({ exit, verified }) => exit && { answer: answerOf(exit), verified },
    key: ({ calls, exit }) =>
      exit !== undefined ? undefined : known.key === undefined ? JSON.stringify(calls) : known.key(calls),
    show,
    changes: ({ branch }) => branch.changes,
    spent: () => {
      if (trunk === undefined || broke) return Number.POSITIVE_INFINITY
      const { generatedTokens, prefillTokens, valueTokens } = trunk.usage
      return prefillTokens + generatedTokens + valueTokens
    },
    free
  } satisfies Branches
})

export const answerOf = ({ answer }: Exit): string =>
  typeof answer === "string" ? answer : JSON.stringify(answer)

const isLimit = (e: Failure): boolean => e instanceof ToolError && e.code === "limit"

/** A seed of 31 bits out of two numbers: mixed as MurmurHash3 ends. */
const mixed = (a: number, b: number): number => {
  let h = Math.imul(a ^ Math.imul(b + 1, 0x9e3779b1), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 1
}

const hash = (text: string): number => [...text].reduce((h, c) => mixed(h, c.codePointAt(0)!), 0)

/** Draws numbers below others, from a seed: mulberry32 (Tommy Ettinger, public domain). */
const drawer = (seed: number) => {
  let state = seed
  return (below: number): number => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 4294967296) * below)
  }
}
