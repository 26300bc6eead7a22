/**
 * Search: what is searched (Domain), in which order (Strategy), for how long (Budget), and the one loop that does it. It
 * knows nothing of processes or models. Why it is so: docs/decisions/0011-search.md.
 */
import { Effect, Option, type Scope } from "effect"
import type { Change } from "../../sandbox/sandbox.ts"
import { type Held, makeHolder } from "./held.ts"
import { addNode, type Growing, type Node, plain, plant, worth } from "./tree.ts"

/** A world to search in. Of its effects, one that fails or is interrupted has given nothing and cleans up after itself. */
export interface Domain<State, Action, E> {
  readonly root: Effect.Effect<State, E>
  /** At most `count` different actions from here. `seed` decides the random choices. May run several times at once. */
  readonly propose: (state: State, count: number, seed: number) => Effect.Effect<ReadonlyArray<Action>, E>
  /** Does it. Where this succeeds, the action has become the state, and only the state is freed. */
  readonly step: (state: State, action: Action) => Effect.Effect<State, E>
  /** How good it is, 0 to 1. For a terminal with a verifier: 0 or 1. */
  readonly score: (state: State) => Effect.Effect<number, E>
  /**
   * How it ended, if it has: its answer as text, and whether a verifier has said yes (true), no (false) or nothing
   * (undefined). It is asked again after `score`, so that the verifier can be asked there.
   */
  readonly terminal: (state: State) => Terminal | undefined
  /** Equal for states that are the same; undefined: like no other. */
  readonly key: (state: State) => string | undefined
  /** A line for people. */
  readonly show: (state: State) => string
  /** What it has changed in the world, for reports; asked once it has been scored. */
  readonly changes?: (state: State) => Effect.Effect<ReadonlyArray<Change>, E>
  /** Tokens spent so far (evaluated: prefilled + generated + value). */
  readonly spent: () => number
  /** Gives back what it holds. Called once for each state and each action; a parent's may come before its children's. */
  readonly free: (what: State | Action) => Effect.Effect<void>
}

export interface Terminal {
  readonly answer: string
  readonly verified: boolean | undefined
}

/** What a search may use up; without a limit it ends when it is solved or exhausted. */
export interface Budget {
  /**
   * The search ends when `spent` has reached it. This is looked at between the parts of a round, and answers that have been
   * paid for are still scored.
   */
  readonly tokens?: number
  /** States besides the root, duplicates included. */
  readonly nodes?: number
  /** By the clock; what is under way is then interrupted. */
  readonly seconds?: number
}

/** Plain data, for reports. */
export interface Tree {
  readonly nodes: ReadonlyArray<TreeNode>
  /** The ids from the root to the answer; empty without an answer. */
  readonly chosen: ReadonlyArray<number>
}

export interface TreeNode {
  readonly id: number
  readonly parent: number | undefined
  readonly text: string
  readonly value: number | undefined
  readonly visits: number
  readonly state: "open" | "expanded" | "terminal" | "pruned" | "duplicate"
  readonly why?: string
  readonly changes?: ReadonlyArray<Change>
}

/** The order in which a tree grows. It holds no state but what it marks in the tree, so one can serve many searches. */
export interface Strategy {
  readonly name: string
  /** Whether it needs the values of all states, or of answers alone. */
  readonly scores: "all" | "terminals"
  /** Whether a state that there has been already is dropped. False for samples, which must not depend on each other. */
  readonly distinct: boolean
  /** Which nodes to expand now, together; one may be there more than once. None: it has nothing left to do. */
  readonly pick: (tree: Growing) => ReadonlyArray<Node>
  /** How many actions to ask for. */
  readonly width: (node: Node) => number
  /** Looks at what a round has brought, and marks what it will not need again (`prune`, `close`). */
  readonly absorb: (tree: Growing, round: ReadonlyArray<Expansion>) => void
  /** The answers that it may still commit to, the best first. The states of others are freed. */
  readonly answers: (tree: Growing) => ReadonlyArray<Node>
}

export interface Expansion {
  readonly node: Node
  /** What is new. */
  readonly children: ReadonlyArray<Node>
}

export interface Best<State> {
  readonly id: number
  /** Freed when the search's scope closes. */
  readonly state: State
  readonly value: number
  readonly terminal: Terminal
}

export interface Found<State> {
  /** The one answer to commit to. */
  readonly best: Best<State> | undefined
  readonly tree: Tree
  readonly stopped: "solved" | "budget" | "exhausted"
}

export interface Options {
  readonly budget: Budget
  /** Of all random choices of the search: the same seed, domain and strategy give the same tree, if no time ran out. */
  readonly seed: number
}

const beside = { concurrency: "unbounded" } as const

/**
 * Grows a tree until it is solved, the strategy has nothing left to do, or the budget has run out; then gives the best
 * answer so far. When it returns, the state of that answer is all that is still held.
 */
export const search = Effect.fn("search")(function* <State, Action, E>(
  domain: Domain<State, Action, E>,
  strategy: Strategy,
  { budget, seed }: Options
): Effect.fn.Return<Found<State>, E, Scope.Scope> {
  const tree = plant()
  const states = new Map<Node, Held<State>>()
  const seen = new Map<string, Node>()
  const { hold, holding, release, releaseOthers, turn } = yield* makeHolder<State | Action>(domain.free)

  const { nodes = Number.POSITIVE_INFINITY, seconds, tokens = Number.POSITIVE_INFINITY } = budget
  const spent = () => domain.spent() >= tokens
  const room = () => nodes - (tree.nodes.length - 1)
  const solution = () => tree.nodes.find((n) => n.terminal?.verified === true)

  /** Frees the states of those that are still held. */
  const drop = Effect.fnUntraced(function* (these: ReadonlyArray<Node>) {
    const held = these.flatMap((node) => states.get(node) ?? [])
    for (const node of these) states.delete(node)
    yield* release(held)
  })

  /** Gives a state to its node, and says whether there has been no other like it. */
  const enter = (node: Node, held: Held<State>) => {
    states.set(node, held)
    node.text = domain.show(held.what)
    const key = strategy.distinct ? domain.key(held.what) : undefined
    const twin = key === undefined ? undefined : seen.get(key)
    if (twin !== undefined) {
      node.state = "duplicate"
      node.why = `the same as node ${twin.id}`
      return false
    }
    if (key !== undefined) seen.set(key, node)
    node.parent?.children.push(node)
    return true
  }

  const judge = Effect.fnUntraced(function* (node: Node) {
    const state = states.get(node)!.what
    if (domain.terminal(state) === undefined && (strategy.scores === "terminals" || spent())) return
    const value = yield* domain.score(state)
    const changes = domain.changes && (yield* domain.changes(state))
    // All at once: time may run out at any other point.
    node.value = value
    node.changes = changes
    node.terminal = domain.terminal(state)
    if (node.terminal !== undefined) node.state = "terminal"
    if (node.terminal?.verified === false) node.why = "the verifier said no"
  })

  /** Asks for actions, as many as the budget for nodes allows. */
  const propose = Effect.fnUntraced(function* (picked: ReadonlyArray<Node>) {
    let left = room()
    const turns = picked.flatMap((node) => {
      const width = Math.min(strategy.width(node), left)
      left -= width
      if (width < 1) return []
      node.expansions += 1
      return [{ node, state: states.get(node)!.what, width, seed: mixed(seed, node.id, node.expansions) }]
    })
    const ask = ({ node, seed, state, width }: (typeof turns)[number]) =>
      holding(domain.propose(state, width, seed), (made) =>
        made.map((action) => ({ node, state, action: hold(action) }))
      )
    return { asked: turns.map((t) => t.node), proposed: (yield* Effect.forEach(turns, ask, beside)).flat() }
  })

  /** One round. Its parts wait for each other, so that the order in which they end decides nothing. */
  const expand = Effect.fnUntraced(function* (picked: ReadonlyArray<Node>) {
    const { asked, proposed } = yield* propose(picked)
    if (spent()) return
    const step = ({ action, node, state }: (typeof proposed)[number]) =>
      holding(domain.step(state, action.what), (next) => ({ parent: node, held: turn(action, next) }))
    const made = yield* Effect.forEach(proposed, step, beside)
    const children: Array<Node> = []
    const twins: Array<Node> = []
    for (const { held, parent } of made) {
      const node = addNode(tree.nodes, parent)
      if (enter(node, held)) children.push(node)
      else twins.push(node)
    }
    yield* drop(twins)
    yield* Effect.forEach(children, judge, beside)
    for (const child of children) backUp(child)
    if (spent() || solution() !== undefined) return
    const round = [...new Set(asked)].map((node) => ({
      node,
      children: children.filter((child) => child.parent === node)
    }))
    for (const { children, node } of round) {
      if (node.state === "open") node.state = "expanded"
      node.barren = children.length === 0 ? node.barren + 1 : 0
    }
    strategy.absorb(tree, round)
    const answers = strategy.answers(tree)
    const over = (node: Node) => (node.terminal === undefined ? node.closed : !answers.includes(node))
    yield* drop([...states.keys()].filter(over))
  })

  const grow = Effect.gen(function* () {
    enter(tree.root, yield* holding(domain.root, hold))
    if (domain.terminal(states.get(tree.root)!.what) !== undefined) yield* judge(tree.root)
    while (true) {
      if (solution() !== undefined) return "solved"
      if (spent() || room() < 1) return "budget"
      const picked = strategy.pick(tree)
      if (picked.length === 0) return "exhausted"
      yield* expand(picked)
    }
  })

  const end = seconds === undefined ? Effect.asSome(grow) : Effect.timeoutOption(grow, seconds * 1000)
  const stopped = Option.getOrElse(yield* end, () => "budget" as const)
  const node = solution() ?? strategy.answers(tree)[0]
  const held = node && states.get(node)
  yield* releaseOthers(held)
  const best = node && held && { id: node.id, state: held.what, value: worth(node), terminal: node.terminal! }
  return { best, tree: plain(tree, node), stopped }
})

/** Adds the value of a state to all those that led to it. */
const backUp = (node: Node) => {
  if (node.value === undefined) return
  for (let above: Node | undefined = node; above !== undefined; above = above.parent) {
    above.visits += 1
    above.total += node.value
  }
}

/** A seed of 31 bits for one expansion: numbers mixed as MurmurHash3 ends. */
const mixed = (...numbers: ReadonlyArray<number>) => {
  let h = 0
  for (const n of numbers) {
    h = Math.imul(h ^ n, 0x85ebca6b)
    h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
    h ^= h >>> 16
  }
  return h >>> 1
}
