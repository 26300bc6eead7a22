import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { beam } from "../../../kernel/search/beam.ts"
import { dfs } from "../../../kernel/search/dfs.ts"
import { greedy } from "../../../kernel/search/greedy.ts"
import { mcts, uct } from "../../../kernel/search/mcts.ts"
import { strategyNamed } from "../../../kernel/search/named.ts"
import { bestOfN, selfConsistency } from "../../../kernel/search/rollouts.ts"
import { type Options, type Strategy, search } from "../../../kernel/search/search.ts"
import { addNode, plant } from "../../../kernel/search/tree.ts"
import { randoms } from "./game24.ts"
import { type Drawn, drawn } from "./toys.ts"

const node = (name: string, value: number, ...children: ReadonlyArray<Drawn>): Drawn => ({
  name,
  value,
  children
})
const answer = (text: string, value: number, verified?: boolean): Drawn => ({
  name: `answer ${text}`,
  value,
  end: { answer: text, verified }
})
const of = (root: Drawn, strategy: Strategy, options: Partial<Options> = {}) =>
  Effect.scoped(search(drawn(root), strategy, { budget: {}, seed: 1, ...options }))

describe("greedy", () => {
  it.effect("goes on from the best child alone, and says why not from the others", () =>
    Effect.gen(function* () {
      const root = node("root", 1, node("a", 0.4, answer("right", 1)), node("b", 0.6, answer("wrong", 0.2)))
      const { best, tree } = yield* of(root, greedy({ width: 2 }))
      assert.strictEqual(best?.terminal.answer, "wrong")
      assert.deepStrictEqual(
        tree.nodes.map((n) => [n.text, n.state, n.why]),
        [
          ["root", "expanded", undefined],
          ["a", "pruned", "value 0.40, and 0.60 for node 2"],
          ["b", "expanded", undefined],
          ["answer wrong", "terminal", undefined]
        ]
      )
      assert.deepStrictEqual(tree.chosen, [0, 2, 3])
    })
  )
})

describe("rollouts", () => {
  const votes = () =>
    node("root", 1, answer("7", 0.9), answer("4", 0.5), answer("5", 0.6), answer("4", 0.4), answer("5", 0.1))

  it.effect("best-of-n commits to the most valuable answer, self-consistency to the most frequent", () =>
    Effect.gen(function* () {
      const valued = yield* of(votes(), bestOfN({ tries: 5 }))
      assert.deepStrictEqual([valued.best?.terminal.answer, valued.best?.value], ["7", 0.9])
      // Two votes each for 5 and for 4, whose values add up to more.
      const voted = yield* of(votes(), selfConsistency({ tries: 5 }))
      assert.deepStrictEqual([voted.best?.terminal.answer, voted.best?.id], ["4", 2])
      const fewer = yield* of(votes(), selfConsistency({ tries: 3 }))
      assert.strictEqual(fewer.best?.terminal.answer, "7")
    })
  )

  it.effect("are independent: an equal state is no duplicate, and nothing but answers is scored", () =>
    Effect.gen(function* () {
      const way = (n: number): Drawn => ({ ...node("same", 0.5, answer(`${n}`, n / 10)), key: "same" })
      for (const strategy of [bestOfN({ tries: 3 }), selfConsistency({ tries: 3 })]) {
        const { tree } = yield* of(node("root", 1, way(1), way(2), way(3)), strategy)
        assert.deepStrictEqual(
          tree.nodes.map((n) => n.value),
          [undefined, undefined, 0.1, undefined, 0.2, undefined, 0.3]
        )
      }
    })
  )

  it.effect("stop at the try that a verifier accepts", () =>
    Effect.gen(function* () {
      const wrong = Array.from({ length: 6 }, () => answer("no", 0, false))
      const { best, stopped, tree } = yield* of(
        node("root", 1, ...wrong, answer("yes", 1, true), ...wrong, ...wrong),
        bestOfN({ tries: Number.POSITIVE_INFINITY })
      )
      assert.deepStrictEqual([best?.terminal.answer, stopped], ["yes", "solved"])
      assert.isBelow(tree.nodes.length, 10)
    })
  )
})

/** A tree of random values, whose leaves are answers, `wide` children at each of `deep` levels. */
const grown = (random: () => number, deep: number, wide: number, name = "r"): Drawn =>
  deep === 0
    ? answer(name, random())
    : node(
        name,
        random(),
        ...Array.from({ length: wide }, (_, i) => grown(random, deep - 1, wide, `${name}${i}`))
      )

describe("beam", () => {
  it.effect("keeps the best of each level", () =>
    Effect.gen(function* () {
      for (let seed = 0; seed < 20; seed++) {
        const root = grown(randoms(seed), 3, 3)
        const { best } = yield* of(root, beam({ keep: 2, width: 3 }))
        // The same by hand: all children of a level together, the two best of them go on.
        let level: ReadonlyArray<Drawn> = [root]
        while (level[0]!.end === undefined)
          level = level
            .flatMap((n) => n.children!)
            .toSorted((a, b) => b.value - a.value)
            .slice(0, 2)
        assert.strictEqual(best?.terminal.answer, level[0]!.end.answer)
      }
    })
  )

  it.effect("that is wide enough finds what trying all finds", () =>
    Effect.gen(function* () {
      const leaves = (n: Drawn): ReadonlyArray<Drawn> =>
        n.end === undefined ? n.children!.flatMap(leaves) : [n]
      for (let seed = 0; seed < 20; seed++) {
        const root = grown(randoms(seed), 3, 3)
        const [top] = leaves(root).toSorted((a, b) => b.value - a.value)
        const { best } = yield* of(root, beam({ keep: 27, width: 3 }))
        assert.strictEqual(best?.terminal.answer, top!.end!.answer)
      }
    })
  )

  it.effect("lets answers take the places of states, and says why it drops others", () =>
    Effect.gen(function* () {
      const root = node(
        "root",
        1,
        answer("a", 0.5),
        node("b", 0.4, answer("c", 0.6)),
        node("d", 0.3),
        node("e", 0.2)
      )
      const { best, tree } = yield* of(root, beam({ keep: 2, width: 4 }))
      assert.strictEqual(best?.terminal.answer, "c")
      assert.deepStrictEqual(
        tree.nodes.slice(3, 5).map((n) => n.why),
        ["answers have taken its place", "answers have taken its place"]
      )
      const { tree: other } = yield* of(
        node("root", 1, node("a", 0.1), node("b", 0.4)),
        beam({ keep: 1, width: 2 })
      )
      assert.strictEqual(other.nodes[1]!.why, "not among the 1 best of its level")
    })
  )
})

describe("dfs", () => {
  it.effect("tries the best, goes back, and asks for more only when all else was of no use", () =>
    Effect.gen(function* () {
      const root = node(
        "root",
        1,
        node("a", 0.5, answer("x", 0, false)),
        node("b", 0.9, node("b1", 0.05), node("b2", 0.02), answer("late", 1, true)),
        node("c", 0.9, answer("y", 0, false))
      )
      const { best, tree } = yield* of(root, dfs({ width: 2, threshold: 0.1, widen: 1 }))
      assert.strictEqual(best?.terminal.answer, "late")
      assert.deepStrictEqual(
        tree.nodes.map((n) => [n.text, n.why]),
        [
          ["root", undefined],
          ["a", undefined],
          ["b", undefined],
          ["b1", "value 0.05 below 0.1"],
          ["b2", "value 0.02 below 0.1"],
          ["answer x", "the verifier said no"],
          ["answer late", undefined]
        ]
      )
      assert.deepStrictEqual(tree.chosen, [0, 2, 6])
    })
  )

  it.effect("gives up what nothing comes of, and stops at an answer that is good enough", () =>
    Effect.gen(function* () {
      const root = node(
        "root",
        1,
        node("a", 0.9, answer("x", 0, false)),
        node("b", 0.8, answer("y", 0.95), node("b2", 0.9))
      )
      const { best, stopped, tree } = yield* of(root, dfs({ width: 1, threshold: 0.1, widen: 1 }))
      assert.deepStrictEqual([best?.terminal.answer, stopped], ["y", "exhausted"])
      assert.deepStrictEqual(
        tree.nodes.map((n) => n.text),
        ["root", "a", "answer x", "b", "answer y"]
      )
      const all = yield* of(
        node("root", 1, node("a", 0.9), node("b", 0.8)),
        dfs({ width: 2, threshold: 0.1, widen: 1 })
      )
      assert.deepStrictEqual(
        all.tree.nodes.map((n) => n.why),
        Array.from({ length: 3 }, () => "no way on from here was good enough")
      )
    })
  )
})

describe("what brings nothing new", () => {
  it.effect("is asked again, and given up only when it does so twice in a row", () =>
    Effect.gen(function* () {
      // Every second time it is asked, a state has nothing to say.
      const root = node(
        "root",
        1,
        node("a", 0.9, ...["1", "2", "3", "4"].map((text) => answer(text, 0, false)))
      )
      for (const strategy of [
        dfs({ width: 1, threshold: 0.1, widen: 1 }),
        mcts({ width: 1, explore: 0.5 })
      ]) {
        const domain = drawn(root)
        const asked = new Map<Drawn, number>()
        const halting: typeof domain = {
          ...domain,
          propose: (from, count, seed) =>
            Effect.suspend(() => {
              const before = asked.get(from) ?? 0
              asked.set(from, before + 1)
              return before % 2 === 0 ? Effect.succeed([]) : domain.propose(from, count, seed)
            })
        }
        const { stopped, tree } = yield* Effect.scoped(search(halting, strategy, { budget: {}, seed: 1 }))
        assert.deepStrictEqual([stopped, tree.nodes.length], ["exhausted", 6])
      }
    })
  )
})

describe("mcts", () => {
  it("weighs children by their upper confidence bounds", () => {
    const { nodes, root } = plant()
    const child = (total: number, visits: number) => Object.assign(addNode(nodes, root), { total, visits })
    root.visits = 10
    // By hand: 3/6 + √2·√(ln 10 / 6) and 0.4/1 + √2·√(ln 10).
    assert.closeTo(uct(child(3, 6), Math.SQRT2), 0.5 + 0.8761, 1e-4)
    assert.closeTo(uct(child(0.4, 1), Math.SQRT2), 0.4 + 2.146, 1e-4)
    assert.strictEqual(uct(child(3, 6), 0), 0.5)
  })

  it.effect("goes where the mean is highest, of all values on the way", () =>
    Effect.gen(function* () {
      const root = node(
        "root",
        1,
        node("a", 0.9, node("a1", 0.45, node("a11", 0.1), node("a12", 0.1)), node("a2", 0.4)),
        node("b", 0.5, node("b1", 0.7), node("b2", 0.9)),
        node("c", 0.4)
      )
      const { tree } = yield* of(root, mcts({ width: 2, explore: 0 }), { budget: { nodes: 8 } })
      // a's children bring it to 1.75/3, still above 0.5; theirs to 1.95/5. The root is not widened yet: √(6/2) < 2.
      assert.deepStrictEqual(
        tree.nodes.map((n) => n.text),
        ["root", "a", "b", "a1", "a2", "a11", "a12", "b1", "b2"]
      )
      assert.deepStrictEqual(
        tree.nodes.map((n) => n.visits),
        [8, 5, 3, 3, 1, 1, 1, 1, 1]
      )
    })
  )

  it.effect("asks a state that was visited often for more", () =>
    Effect.gen(function* () {
      const chain = (n: number): Drawn => (n === 0 ? node("end", 0.9) : node(`${n}`, 0.9, chain(n - 1)))
      const { tree } = yield* of(
        node("root", 1, chain(5), node("second", 0.1)),
        mcts({ width: 1, explore: 0.5 }),
        {
          budget: { nodes: 6 }
        }
      )
      // After four visits: √(4/1) is 2.
      assert.deepStrictEqual(
        tree.nodes.map((n) => n.text),
        ["root", "5", "4", "3", "2", "second", "1"]
      )
    })
  )
})

describe("strategyNamed", () => {
  it.effect("reads the name that each strategy has", () =>
    Effect.gen(function* () {
      const full = ["greedy:2", "best-of-n:7", "self-consistency", "beam:5x3", "dfs:4x2@0.25", "mcts:3@1.4"]
      for (const name of full) assert.strictEqual((yield* strategyNamed(name)).name, name)
      const usual = ["greedy", "best-of-n", "beam", "dfs", "dfs:4", "dfs:4@0.5", "mcts"]
      for (const name of usual) {
        const strategy = yield* strategyNamed(name)
        assert.strictEqual((yield* strategyNamed(strategy.name)).name, strategy.name)
      }
    })
  )

  it.effect("refuses others with the choices", () =>
    Effect.gen(function* () {
      const bad = [
        "",
        "bfs",
        "beam:",
        "beam:3",
        "beam:0x3",
        "dfs:x",
        "dfs:3x0",
        "mcts:3:3",
        "greedy:-1",
        "toString"
      ]
      for (const name of bad) {
        const error = yield* Effect.flip(strategyNamed(name))
        assert.strictEqual(error._tag, "UnknownStrategy")
        assert.include(error.message, `"${name}"`)
        assert.include(error.message, "beam[:KEPTxWIDTH], dfs")
      }
    })
  )
})
