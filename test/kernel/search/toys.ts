/** Small worlds to search in, and a wrapper that counts what is alive. */
import { Effect } from "effect"
import type { Domain, Terminal } from "../../../kernel/search/search.ts"
import { randoms } from "./game24.ts"

/** A tree that is written down: the value of each node, its children in order, and how it ends, if it does. */
export interface Drawn {
  readonly name: string
  readonly value: number
  readonly children?: ReadonlyArray<Drawn>
  readonly end?: Terminal
  readonly key?: string
}

/** Proposes the children of a drawn node in their order, never one twice from the same place. Each step is a token. */
export const drawn = (root: Drawn): Domain<Drawn, Drawn, never> => {
  let spent = 0
  const given = new Map<Drawn, number>()
  return {
    root: Effect.succeed(root),
    propose: (node, count) =>
      Effect.sync(() => {
        const from = given.get(node) ?? 0
        given.set(node, from + count)
        return (node.children ?? []).slice(from, from + count)
      }),
    step: (_node, child) =>
      Effect.sync(() => {
        spent += 1
        return child
      }),
    score: (node) => Effect.succeed(node.value),
    terminal: (node) => node.end,
    key: (node) => node.key,
    show: (node) => node.name,
    spent: () => spent,
    free: () => Effect.void
  }
}

export type Place = readonly [x: number, y: number]

/** A maze: `#` walls, `S` start, `G` goal. The value falls with the distance to the goal as the crow flies. */
export const maze = (map: string): Domain<Place, Place, never> => {
  const rows = map.trim().split("\n")
  const at = ([x, y]: Place) => rows[y]?.[x] ?? "#"
  const find = (mark: string): Place => {
    const y = rows.findIndex((row) => row.includes(mark))
    return [rows[y]!.indexOf(mark), y]
  }
  const goal = find("G")
  const far = rows.length + rows[0]!.length
  let spent = 0
  return {
    root: Effect.sync(() => find("S")),
    propose: ([x, y], count, seed) =>
      Effect.sync(() => {
        const around: ReadonlyArray<Place> = [
          [x + 1, y],
          [x, y + 1],
          [x - 1, y],
          [x, y - 1]
        ]
        const open = around.filter((place) => at(place) !== "#")
        const from = seed % open.length
        return [...open.slice(from), ...open.slice(0, from)].slice(0, count)
      }),
    step: (_from, to) =>
      Effect.sync(() => {
        spent += 1
        return to
      }),
    score: (place) =>
      Effect.sync(() => 1 - (Math.abs(place[0] - goal[0]) + Math.abs(place[1] - goal[1])) / far),
    terminal: (place) => (at(place) === "G" ? { answer: `${place}`, verified: true } : undefined),
    key: (place) => `${place}`,
    show: (place) => `${place}`,
    spent: () => spent,
    free: () => Effect.void
  }
}

interface Thing<T> {
  readonly what: T
}

export interface Counts {
  /** Made, and neither freed nor become another. */
  readonly alive: Set<unknown>
  /** What must not happen: something freed or used that is not alive. */
  readonly wrong: Array<string>
  /** Most that were ever alive together. */
  most: number
  made: number
}

/**
 * The same world, with everything in it counted. Each effect takes some turns of the runtime first, as many as `shuffle`
 * says, and `before` is run with the number of effects that have begun.
 */
export const counted = <S, A, E>(
  domain: Domain<S, A, E>,
  options: { readonly shuffle?: number; readonly before?: (effects: number) => Effect.Effect<void> } = {}
) => {
  const { before = () => Effect.void, shuffle } = options
  const counts: Counts = { alive: new Set(), wrong: [], most: 0, made: 0 }
  const random = randoms(shuffle ?? 0)
  let effects = 0
  const make = <T>(what: T): Thing<T> => {
    const thing = { what }
    counts.alive.add(thing)
    counts.made += 1
    counts.most = Math.max(counts.most, counts.alive.size)
    return thing
  }
  const need = (thing: Thing<unknown>, use: string) => {
    if (!counts.alive.has(thing)) counts.wrong.push(use)
  }
  /** What it makes, it makes in the last moment. */
  const late = <T, R>(effect: Effect.Effect<T, E>, then: (made: T) => R) =>
    Effect.gen(function* () {
      effects += 1
      yield* before(effects)
      const turns = shuffle === undefined ? 0 : Math.floor(random() * 5)
      for (let i = 0; i < turns; i++) yield* Effect.yieldNow
      return then(yield* effect)
    })
  const counting: Domain<Thing<S>, Thing<A>, E> = {
    root: late(domain.root, make),
    propose: (state, count, seed) => {
      need(state, "propose")
      return late(domain.propose(state.what, count, seed), (actions) => actions.map(make))
    },
    step: (state, action) => {
      need(state, "step")
      need(action, "step by")
      return late(domain.step(state.what, action.what), (next) => {
        counts.alive.delete(action)
        return make(next)
      })
    },
    score: (state) => {
      need(state, "score")
      return late(domain.score(state.what), (value) => value)
    },
    terminal: (state) => domain.terminal(state.what),
    key: (state) => domain.key(state.what),
    show: (state) => domain.show(state.what),
    spent: domain.spent,
    free: (thing) =>
      Effect.sync(() => {
        need(thing, "free")
        counts.alive.delete(thing)
      })
  }
  return { domain: counting, counts, effects: () => effects }
}
