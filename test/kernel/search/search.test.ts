import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { strategyNamed } from "../../../kernel/search/named.ts"
import { type Domain, type Options, type Strategy, search } from "../../../kernel/search/search.ts"
import { game24, type Player, randoms, solvable } from "./game24.ts"
import { counted, type Drawn, drawn, maze } from "./toys.ts"

const names = ["greedy", "best-of-n", "self-consistency", "beam:3x3", "dfs", "mcts"]
const player: Player = { insight: 2, whim: 4, sight: 0.9, verifier: true }
const puzzle = [4, 9, 10, 13]

/** What a search has found, once its scope is closed. */
const found = <S, A, E>(domain: Domain<S, A, E>, strategy: Strategy, options: Partial<Options> = {}) =>
  Effect.scoped(search(domain, strategy, { budget: {}, seed: 1, ...options }))

const named = Effect.fnUntraced(function* <S, A, E>(
  domain: Domain<S, A, E>,
  name: string,
  options: Partial<Options> = {}
) {
  return yield* found(domain, yield* strategyNamed(name), options)
})

describe("every strategy", () => {
  it.effect.each(names)("%s frees everything once, and only the best outlives the search", (name) =>
    Effect.gen(function* () {
      for (const verifier of [true, false]) {
        const { counts, domain } = counted(game24(puzzle, { ...player, verifier }), { shuffle: 3 })
        yield* Effect.scoped(
          Effect.gen(function* () {
            const strategy = yield* strategyNamed(name)
            const { best } = yield* search(domain, strategy, { budget: { tokens: 1500 }, seed: 1 })
            assert.deepStrictEqual([...counts.alive], best === undefined ? [] : [best.state])
          })
        )
        assert.deepStrictEqual([...counts.alive], [])
        assert.deepStrictEqual(counts.wrong, [])
        assert.isAbove(counts.made, 10)
      }
    })
  )

  it.effect.each(names)("%s gives the same tree whatever ends first", (name) =>
    Effect.gen(function* () {
      const options = { budget: { tokens: 1200 }, seed: 5 }
      const first = yield* named(game24(puzzle, player), name, options)
      assert.isAbove(first.tree.nodes.length, 5)
      for (const shuffle of [1, 2, 3]) {
        const { domain } = counted(game24(puzzle, player), { shuffle })
        assert.deepStrictEqual((yield* named(domain, name, options)).tree, first.tree)
      }
      const other = yield* named(game24(puzzle, player), name, { ...options, seed: 6 })
      assert.notDeepEqual(other.tree, first.tree)
    })
  )

  it.effect.each(names)("%s gives the best so far wherever its budget ends", (name) =>
    Effect.gen(function* () {
      const random = randoms(11)
      for (let round = 0; round < 6; round++) {
        const numbers = Array.from({ length: 4 }, () => 1 + Math.floor(random() * 13))
        const fair = { ...player, verifier: round % 2 === 0 }
        const full = yield* named(game24(numbers, fair), name, { budget: { tokens: 1500 } })
        let before = 0
        for (let tokens = 0; tokens <= 1500; tokens += 1 + Math.floor(random() * 150)) {
          const { counts, domain } = counted(game24(numbers, fair))
          const { best, stopped, tree } = yield* named(domain, name, { budget: { tokens } })
          assert.deepStrictEqual([...counts.alive, ...counts.wrong], [])
          // What a smaller budget has seen, a bigger one has seen too, in the same order.
          const texts = tree.nodes.map((n) => n.text)
          assert.deepStrictEqual(texts, full.tree.nodes.map((n) => n.text).slice(0, texts.length))
          assert.isAtLeast(best?.value ?? 0, name.startsWith("self") ? 0 : before)
          before = best?.value ?? 0
          assert.strictEqual(stopped === "solved", best?.terminal.verified === true)
          const last = tree.chosen.at(-1)
          assert.strictEqual(last, best?.id)
          if (last !== undefined) assert.strictEqual(tree.nodes[last]!.state, "terminal")
        }
      }
    })
  )

  it.effect.each(names)("%s makes no more nodes than it may", (name) =>
    Effect.gen(function* () {
      for (let nodes = 0; nodes < 25; nodes++) {
        const { counts, domain } = counted(game24([1, 1, 1, 1], player))
        const { stopped, tree } = yield* named(domain, name, { budget: { nodes } })
        assert.isAtMost(tree.nodes.length - 1, nodes)
        if (stopped === "budget") assert.strictEqual(tree.nodes.length - 1, nodes)
        assert.deepStrictEqual([...counts.alive, ...counts.wrong], [])
      }
    })
  )

  it.effect.each(names)(
    "%s frees everything when it is interrupted or a domain fails, at any effect",
    (name) =>
      Effect.gen(function* () {
        const strategy = yield* strategyNamed(name)
        const whole = counted(game24(puzzle, player))
        yield* found(whole.domain, strategy, { budget: { tokens: 700 } })
        assert.isAbove(whole.effects(), 10)
        for (let stop = 1; stop <= whole.effects(); stop++) {
          const reached = yield* Deferred.make<void>()
          const world = counted(game24(puzzle, player), {
            shuffle: stop,
            before: (n) => (n === stop ? Effect.asVoid(Deferred.succeed(reached, undefined)) : Effect.void)
          })
          const fiber = yield* Effect.forkChild(found(world.domain, strategy, { budget: { tokens: 700 } }))
          yield* Deferred.await(reached)
          yield* Fiber.interrupt(fiber)
          assert.deepStrictEqual([...world.counts.alive, ...world.counts.wrong], [])

          const failing = counted(game24(puzzle, player), {
            before: (n) => (n === stop ? Effect.die("the machine is on fire") : Effect.void)
          })
          const exit = yield* Effect.exit(found(failing.domain, strategy, { budget: { tokens: 700 } }))
          assert.isTrue(Exit.isFailure(exit))
          assert.deepStrictEqual([...failing.counts.alive, ...failing.counts.wrong], [])
        }
      })
  )

  it.effect.each(names)("%s ends where there is nowhere to go", (name) =>
    Effect.gen(function* () {
      const { best, stopped, tree } = yield* named(drawn({ name: "rock", value: 1 }), name)
      assert.deepStrictEqual([best, stopped, tree.nodes.length], [undefined, "exhausted", 1])
    })
  )

  it.effect.each(names)("%s commits to a root that has ended already", (name) =>
    Effect.gen(function* () {
      const end = { answer: "here", verified: undefined }
      const { best, stopped } = yield* named(drawn({ name: "done", value: 0.5, end }), name)
      assert.deepStrictEqual([best?.terminal.answer, stopped], ["here", "exhausted"])
    })
  )
})

describe("the loop", () => {
  const leaf = (name: string, value: number, more: Partial<Drawn> = {}): Drawn => ({ name, value, ...more })

  it.effect("drops what was there before, with its reason and before it is scored", () =>
    Effect.gen(function* () {
      let scored = 0
      const domain = drawn(
        leaf("root", 1, {
          key: "r",
          children: [
            leaf("a", 0.9, { key: "a", children: [leaf("back", 1, { key: "r" })] }),
            leaf("b", 0.8, { key: "a" })
          ]
        })
      )
      const counting = {
        ...domain,
        score: (n: Drawn) => Effect.tap(domain.score(n), () => Effect.sync(() => scored++))
      }
      const { tree } = yield* named(counting, "beam:2x2")
      assert.deepStrictEqual(
        tree.nodes.map((n) => [n.text, n.state, n.why, n.value]),
        [
          ["root", "expanded", undefined, undefined],
          ["a", "expanded", undefined, 0.9],
          ["b", "duplicate", "the same as node 1", undefined],
          ["back", "duplicate", "the same as node 0", undefined]
        ]
      )
      assert.strictEqual(scored, 1)
    })
  )

  it.effect("takes its time by the clock, and gives what it has by then", () =>
    Effect.gen(function* () {
      const end = { answer: "soon", verified: undefined }
      const world = drawn(
        leaf("root", 1, {
          children: [leaf("end", 0.4, { end }), leaf("on", 0.3, { children: [leaf("far", 0)] })]
        })
      )
      const slow: typeof world = { ...world, step: (s, a) => Effect.delay(world.step(s, a), 1000) }
      const { counts, domain } = counted(slow)
      const strategy = yield* strategyNamed("beam:3x3")
      const fiber = yield* Effect.forkChild(found(domain, strategy, { budget: { seconds: 1.5 } }))
      yield* TestClock.adjust(1000)
      yield* TestClock.adjust(500)
      const { best, stopped, tree } = yield* Fiber.join(fiber)
      assert.deepStrictEqual([best?.terminal.answer, stopped, tree.nodes.length], ["soon", "budget", 3])
      assert.deepStrictEqual([...counts.alive, ...counts.wrong], [])
    })
  )

  it.effect("scores an answer that the last of its tokens paid for", () =>
    Effect.gen(function* () {
      const end = { answer: "paid", verified: undefined }
      const world = drawn(leaf("root", 1, { children: [leaf("end", 0.4, { end }), leaf("on", 0.9)] }))
      const { best, stopped, tree } = yield* named(world, "beam:3x3", { budget: { tokens: 2 } })
      assert.deepStrictEqual([best?.terminal.answer, stopped], ["paid", "budget"])
      assert.deepStrictEqual(
        tree.nodes.map((n) => n.value),
        [undefined, 0.4, undefined]
      )
    })
  )

  it.effect("does not make the calls that the last of its tokens went into", () =>
    Effect.gen(function* () {
      const { counts, domain } = counted(game24(puzzle, player))
      const { stopped, tree } = yield* named(domain, "dfs", { budget: { tokens: domain.spent() + 1 } })
      assert.isAbove(domain.spent(), 41)
      assert.deepStrictEqual([stopped, tree.nodes.length], ["budget", 1])
      assert.deepStrictEqual([...counts.alive, ...counts.wrong], [])
    })
  )

  it.effect("never commits to what a verifier has refused", () =>
    Effect.gen(function* () {
      const no = { answer: "no", verified: false }
      const world = () =>
        drawn(leaf("root", 1, { children: [leaf("a", 0, { end: no }), leaf("b", 0, { end: no })] }))
      for (const name of names) {
        const { best, tree } = yield* named(world(), name, { budget: { nodes: 4 } })
        assert.isUndefined(best)
        assert.deepStrictEqual(tree.chosen, [])
        assert.strictEqual(tree.nodes[1]!.why, "the verifier said no")
      }
    })
  )

  it.effect("keeps few states alive", () =>
    Effect.gen(function* () {
      // The beam's states and their children, and nothing of the levels above.
      const { counts, domain } = counted(game24(puzzle, player))
      const { tree } = yield* named(domain, "beam:3x3", { budget: { nodes: 20 } })
      assert.isAbove(tree.nodes.length, 16)
      assert.isAtMost(counts.most, 3 + 9)
      // Duplicates are gone before the others are scored.
      const twice = leaf("b", 0.8, { key: "a" })
      const world = counted(drawn(leaf("root", 1, { children: [leaf("a", 0.9, { key: "a" }), twice] })))
      const alive: Array<number> = []
      const watched: typeof world.domain = {
        ...world.domain,
        score: (state) => {
          alive.push(world.counts.alive.size)
          return world.domain.score(state)
        }
      }
      yield* named(watched, "beam:2x2")
      assert.deepStrictEqual(alive, [2])
    })
  )

  it.effect("gives every expansion a seed of its own", () =>
    Effect.gen(function* () {
      for (const name of names) {
        const seeds: Array<number> = []
        const world = game24(puzzle, { ...player, verifier: false })
        const watched: typeof world = {
          ...world,
          propose: (hand, count, seed) => {
            seeds.push(seed)
            return world.propose(hand, count, seed)
          }
        }
        yield* named(watched, name, { budget: { tokens: 1500 } })
        assert.isAbove(seeds.length, 2, name)
        assert.strictEqual(new Set(seeds).size, seeds.length, name)
      }
    })
  )

  it.effect("finds its way through a maze", () =>
    Effect.gen(function* () {
      // One way of 29 places; and the same with a wall less, where there is a shorter one of 17.
      const long = `
###########
#S..#.....#
###.#.###.#
#...#.#...#
#.###.#.###
#.....#..G#
###########`
      const short = long.replace("#S..#", "#S...")
      for (const [map, name, length] of [
        [long, "dfs:4@0", 29],
        [long, "mcts:4", 29],
        [long, "beam:9x4", 29],
        // A beam that drops nothing goes breadth first.
        [short, "beam:9x4", 17]
      ] as const) {
        const { best, tree } = yield* named(maze(map), name)
        assert.strictEqual(best?.terminal.answer, "9,5", name)
        const way = tree.chosen.map((id) => tree.nodes[id]!.text.split(",").map(Number))
        for (const [i, [x, y]] of way.entries()) {
          const [fromX, fromY] = way[i - 1] ?? [x! - 1, y]
          assert.strictEqual(Math.abs(x! - fromX!) + Math.abs(y! - fromY!), 1)
        }
        assert.strictEqual(way.length, length)
      }
    })
  )

  it.effect("solves the Game of 24, the better the more it may think", () =>
    Effect.gen(function* () {
      const random = randoms(24)
      const puzzles: Array<ReadonlyArray<number>> = []
      while (puzzles.length < 40) {
        const numbers = Array.from({ length: 4 }, () => 1 + Math.floor(random() * 13))
        if (solvable(numbers.map((p) => ({ p, q: 1, text: `${p}` })))) puzzles.push(numbers)
      }
      const solved = Effect.fnUntraced(function* (name: string, tokens: number) {
        let count = 0
        for (const [seed, numbers] of puzzles.entries()) {
          const { stopped } = yield* named(game24(numbers, player), name, { budget: { tokens }, seed })
          if (stopped === "solved") count += 1
        }
        return count
      })
      const once = yield* solved("best-of-n:1", 1000)
      const samples = yield* solved("best-of-n", 1000)
      const slow = yield* solved("dfs", 1000)
      assert.isAtLeast(samples, once + 8)
      assert.isAtLeast(slow, samples + 4)
    })
  )
})
