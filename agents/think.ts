/**
 * Ways of thinking about one task: fast writes the next token and goes on; slow tries several ways in branches, looks at
 * what really happened, goes back, and keeps the best; auto begins fast and goes on slowly where that is needed. The
 * baselines spend the same tokens without looking.
 */
import { Effect, type Scope } from "effect"
import { Engine } from "../kernel/engine/engine.ts"
import { Observer } from "../kernel/event.ts"
import { Journal } from "../kernel/journal.ts"
import { Kernel } from "../kernel/kernel.ts"
import type { Exit } from "../kernel/process.ts"
import { greedy } from "../kernel/search/greedy.ts"
import { strategyNamed, type UnknownStrategy } from "../kernel/search/named.ts"
import { bestOfN, selfConsistency } from "../kernel/search/rollouts.ts"
import { type Budget, type Found, type Strategy, search, type Tree } from "../kernel/search/search.ts"
import type { ExitStatus } from "../kernel/tables.ts"
import type { AnyTool } from "../kernel/tool.ts"
import type { Change, Workspace } from "../sandbox/sandbox.ts"
import { checkOf } from "../suites/check.ts"
import type { Item, Made } from "../suites/suite.ts"
import { branches, type Failure, type Known, type State } from "./branches.ts"
import { fast } from "./programs.ts"
import { runTasks } from "./task.ts"

export type Mode = "fast" | "slow" | "auto" | "best-of-n" | "self-consistency" | "random"

/** Those that need a driver. `gauge` is how `auto` begins, for its calibration. */
type Driven = Exclude<Mode, "fast"> | "gauge"

/** The search that slow thinking uses when nobody names another. */
export const usualStrategy = "dfs"

/** States that a search may come to where nobody says how many tokens it may use. */
const usualNodes = 256

/** Of proposals: they have to differ. */
const temperature = 1

/** How sure `auto` has to be of a fast answer that nothing checks, if nobody has calibrated it. */
export const usualConfidence = 0.8

/** Fast answers that have to agree with the first, where nothing checks it. */
const witnesses = 2

export interface Manner {
  readonly seed: number
  readonly strategy: Strategy
  readonly budget: Budget
  /** Of `auto`: how sure it has to be. */
  readonly confidence?: number
  readonly known: Known
}

/** How a person asks for slow thinking. */
export interface Wish {
  readonly seed: number
  readonly strategy?: string | undefined
  readonly tokens?: number | undefined
  /** A command that exits with 0 when the task is done right. */
  readonly verify?: string | undefined
}

export const mannerOf = ({ seed, strategy, tokens, verify }: Wish): Effect.Effect<Manner, UnknownStrategy> =>
  Effect.map(strategyNamed(strategy ?? usualStrategy), (strategy) => ({
    seed,
    strategy,
    budget: tokens === undefined ? { nodes: usualNodes } : { tokens },
    known: verify === undefined ? {} : { verify: checkOf({ command: verify }) }
  }))

/** What thinking left behind, besides the end of its process. */
export interface Pondered {
  readonly tree: Tree
  readonly changes: ReadonlyArray<Change>
  readonly calls: ReadonlyArray<Made>
  /** Of `auto`: why it went on to think slowly. */
  readonly escalated?: string
  /** Of `auto`: how sure it was of its fast answer, if that was not checked. */
  readonly sure?: number
}

const noAnswer: Readonly<Record<Found<State>["stopped"], string>> = {
  solved: "no answer",
  budget: "the budget ran out before there was an answer to keep",
  exhausted: "nothing that was tried leads to an answer"
}

const decide = (pid: number, text: string) =>
  Effect.map(Observer, (observe) => observe({ type: "decided", pid, text }))

/** Keeps the best of a search: its branch becomes the workspace, its answer the process's. */
const settle = Effect.fnUntraced(function* (pid: number, { best, stopped, tree }: Found<State>) {
  const kernel = yield* Kernel
  if (best === undefined) {
    const status = stopped === "budget" ? "budget" : "failed"
    yield* kernel.finish(pid, { status, reason: noAnswer[stopped] })
    return { tree, changes: [], calls: [] } satisfies Pondered
  }
  const changes = yield* best.state.branch.commit
  const files = changes.length === 1 ? "1 file changed" : `${changes.length} files changed`
  yield* decide(pid, `kept what process ${best.state.pid} did: ${files}`)
  yield* kernel.adopt(pid, best.state.pid)
  return { tree, changes, calls: best.state.calls } satisfies Pondered
})

/** One search from where a process is. */
const tryOut = Effect.fnUntraced(function* (
  pid: number,
  workspace: Workspace,
  { budget, known, seed, strategy }: Manner,
  how: { readonly temperature: number; readonly blind?: boolean }
) {
  const base = yield* workspace.branch
  const { distinct } = strategy
  const domain = yield* branches({ root: pid, base, known, distinct, ...how })
  return yield* search(domain, strategy, { budget, seed })
})

type Thinks = (
  pid: number,
  workspace: Workspace,
  manner: Manner
) => Effect.Effect<Pondered, Failure, Kernel | Scope.Scope>

/** What is left of a budget in nodes. Tokens are counted by the process, over all of its searches. */
const left = ({ nodes, ...budget }: Budget, { tree }: Found<State>): Budget =>
  nodes === undefined ? budget : { ...budget, nodes: nodes - (tree.nodes.length - 1) }

/** Two trees of the same root as one. */
const joined = (one: Tree, other: Tree): Tree => {
  const shift = one.nodes.length - 1
  const moved = (id: number) => (id === 0 ? 0 : id + shift)
  const nodes = other.nodes
    .slice(1)
    .map((node) => ({ ...node, id: moved(node.id), parent: moved(node.parent ?? 0) }))
  return { nodes: [...one.nodes, ...nodes], chosen: other.chosen.map(moved) }
}

/**
 * Searches, and keeps the best. Where the model thought too little of everything that there was, its values are no help: then
 * whole tries are made for the rest of the budget, and only their answers are looked at.
 */
const slowly: Thinks = Effect.fnUntraced(function* (pid, workspace, manner) {
  const found = yield* tryOut(pid, workspace, manner, { temperature })
  const rest = left(manner.budget, found)
  if (found.best !== undefined || found.stopped !== "exhausted" || (rest.nodes ?? 1) < 1)
    return yield* settle(pid, found)
  yield* decide(pid, "nothing seemed good enough: it tries without asking what it thinks of it")
  const strategy = bestOfN({ tries: Number.POSITIVE_INFINITY })
  const again = yield* tryOut(pid, workspace, { ...manner, budget: rest, strategy }, { temperature })
  return yield* settle(pid, { ...again, tree: joined(found.tree, again.tree) })
})

/** The same search, with calls and values drawn at random. */
const blindly: Thinks = (pid, workspace, manner) =>
  Effect.flatMap(tryOut(pid, workspace, manner, { temperature, blind: true }), (found) => settle(pid, found))

const rollouts =
  (strategy: Strategy): Thinks =>
  (pid, workspace, manner) =>
    Effect.flatMap(tryOut(pid, workspace, { ...manner, strategy }, { temperature }), (found) =>
      settle(pid, found)
    )

/** The answers of a tree, as branches show them. */
const answersOf = ({ nodes }: Tree) =>
  nodes.flatMap(({ state, text }) => (state === "terminal" ? [text.replace(/^answer: /, "")] : []))

/** Why a fast answer is not good enough, if it is not. */
const doubt = Effect.fnUntraced(function* (
  pid: number,
  workspace: Workspace,
  manner: Manner,
  { best }: Found<State>
) {
  const { confidence = usualConfidence, known } = manner
  if (best === undefined)
    return known.verify === undefined ? "fast thinking came to no answer" : "its fast answer failed the check"
  if (best.terminal.verified === true) return undefined
  if (best.value < confidence)
    return `it is not sure of its fast answer: ${best.value.toFixed(2)}, below ${confidence.toFixed(2)}`
  const sampled = { ...manner, strategy: selfConsistency({ tries: witnesses }) }
  const others = yield* Effect.scoped(tryOut(pid, workspace, sampled, { temperature }))
  const answers = new Set([best.terminal.answer, ...answersOf(others.tree)])
  return answers.size === 1 ? undefined : `its fast answers differ: ${[...answers].join(", ")}`
})

/** Thinks fast, in a branch, and is asked on the way how sure it is where nothing will check the answer. */
const quickly: (...args: Parameters<Thinks>) => Effect.Effect<Found<State>, Failure, Kernel | Scope.Scope> = (
  pid,
  workspace,
  manner
) => {
  const strategy = manner.known.verify === undefined ? greedy({ width: 1 }) : bestOfN({ tries: 1 })
  return tryOut(pid, workspace, { ...manner, strategy }, { temperature: 0 })
}

const auto: Thinks = Effect.fnUntraced(function* (pid, workspace, manner) {
  const found = yield* quickly(pid, workspace, manner)
  const { best } = found
  const sure = best === undefined || best.terminal.verified === true ? {} : { sure: best.value }
  const escalated = yield* doubt(pid, workspace, manner, found)
  if (escalated === undefined) return { ...(yield* settle(pid, found)), ...sure }
  yield* decide(pid, `thinks slowly: ${escalated}`)
  return { ...(yield* slowly(pid, workspace, manner)), ...sure, escalated }
})

/** As `auto` begins, and no more: how sure it would have been. */
const gauge: Thinks = Effect.fnUntraced(function* (pid, workspace, manner) {
  const found = yield* quickly(pid, workspace, manner)
  return { ...(yield* settle(pid, found)), sure: found.best?.value ?? 0 }
})

const thinks: Readonly<Record<Driven, Thinks>> = {
  slow: slowly,
  auto,
  gauge,
  "best-of-n": rollouts(bestOfN({ tries: Number.POSITIVE_INFINITY })),
  "self-consistency": rollouts(selfConsistency({ tries: Number.POSITIVE_INFINITY })),
  random: blindly
}

/** What drives the process of a task in a mode other than fast (see `Task.drive`). `told` hears what it left behind. */
export const driver =
  (mode: Driven, manner: Manner, workspace: Workspace, told: (what: Pondered) => void) =>
  (pid: number): Effect.Effect<unknown, Failure, Kernel> =>
    Effect.scoped(Effect.map(thinks[mode](pid, workspace, manner), told))

/** What came of thinking about an item of a suite. */
export interface Thought {
  readonly answer: unknown
  readonly status: Exclude<ExitStatus, "interrupted">
  readonly reason: string
  readonly calls: ReadonlyArray<Made>
  readonly usage: Omit<Exit["usage"], "syscalls">
  /** States that were made. */
  readonly nodes: number
  readonly changes: ReadonlyArray<Change>
  /** What was searched; fast has none. */
  readonly tree?: Tree
  readonly escalated?: string
  readonly sure?: number
}

/** A task of a suite, and how it is to be thought about. */
export interface Attempt {
  readonly mode: Mode | Driven
  readonly item: Item
  /** All that it may call, the item's own tools among them. */
  readonly tools: ReadonlyArray<AnyTool>
  readonly workspace: Workspace
  readonly seed: number
  /** Tokens that may be evaluated for it. */
  readonly tokens: number
  readonly strategy: Strategy
  readonly confidence?: number
}

/** Thinks about an item of a suite, to the end. */
export const think = Effect.fn("think")(function* (
  attempt: Attempt
): Effect.fn.Return<Thought, Failure, Kernel | Engine | Journal> {
  const { confidence, item, mode, seed, strategy, tokens, tools, workspace } = attempt
  const journal = yield* Journal
  const { contextSize } = yield* Engine
  const known = {
    ...(item.verifier ? { verify: item.check } : {}),
    ...(item.key === undefined ? {} : { key: item.key }),
    ...(item.random === undefined ? {} : { random: item.random })
  }
  const sure = confidence === undefined ? {} : { confidence }
  const manner = { seed, strategy, budget: { tokens }, known, ...sure }
  const left: Array<Pondered> = []
  const drive = (mode: Driven) => driver(mode, manner, workspace, (what) => void left.push(what))
  let run = 0
  const [exit] = yield* runTasks([
    {
      task: item.task,
      program: fast(seed),
      tools,
      workspace,
      // A search ends itself; the kernel's budget is what it cannot run past.
      budget: { tokens: mode === "fast" ? tokens : tokens + contextSize },
      begun: (id) => {
        run = id
      },
      ...(mode === "fast" ? {} : { drive: drive(mode) })
    }
  ])
  const { answer, reason, status, usage } = exit!
  const { syscalls: _, ...used } = usage
  const end = { answer, reason, status: status === "interrupted" ? "killed" : status, usage: used } as const
  const [pondered] = left
  if (pondered !== undefined) return { ...end, ...pondered, nodes: pondered.tree.nodes.length - 1 }
  const rows = yield* journal.calls({ run })
  const calls = rows.map(({ args, ok, text, tool }) => ({ tool, args, ok: ok === true, text: text ?? "" }))
  return { ...end, calls, changes: [], nodes: rows.length }
})
