import { assert, describe, it } from "@effect/vitest"
import { Random } from "../../models/nano/language.ts"
import {
  act,
  distance,
  holds,
  nearer,
  possible,
  readTowers,
  type World,
  worldOf,
  worldText
} from "../../suites/blocks.ts"
import { blocksText, blocksworld, published, randomInstance, shape } from "../../suites/blocksworld.ts"

/** The domain as PDDL states it: facts that an action needs, takes away and adds. */
const pddl = (name: string, a: string, b: string) => {
  const holding = `holding ${a}`
  const onto = [`clear ${a}`, "handempty"]
  if (name === "pick-up") return { needs: [`clear ${a}`, `ontable ${a}`, "handempty"], adds: [holding] }
  if (name === "put-down") return { needs: [holding], adds: [...onto, `ontable ${a}`] }
  if (name === "stack") return { needs: [`clear ${b}`, holding], adds: [...onto, `on ${a} ${b}`] }
  return { needs: [`on ${a} ${b}`, `clear ${a}`, "handempty"], adds: [holding, `clear ${b}`] }
}

const factsOf = ({ hand, towers }: World): Set<string> =>
  new Set([
    hand === undefined ? "handempty" : `holding ${hand}`,
    ...towers.flatMap((tower) => [
      `clear ${tower[0]}`,
      `ontable ${tower.at(-1)}`,
      ...tower.slice(1).map((under, i) => `on ${tower[i]} ${under}`)
    ])
  ])

describe("blocks", () => {
  it("move as PDDL's four actions say, and no other way", () => {
    const r = new Random(8)
    for (let i = 0; i < 60; i++) {
      let now = worldOf(randomInstance(r).init)
      for (let n = 0; n < 15; n++) {
        const blocks = [...now.towers.flat(), ...(now.hand === undefined ? [] : [now.hand])]
        const legal: Array<string> = []
        for (const name of ["pick-up", "put-down", "stack", "unstack"])
          for (const a of blocks)
            for (const b of name === "stack" || name === "unstack" ? blocks : [""]) {
              const facts = factsOf(now)
              const { adds, needs } = pddl(name, a, b)
              const step = b === "" ? `${name} ${a}` : `${name} ${a} ${b}`
              const then = act(now, step)
              assert.strictEqual(
                typeof then !== "string",
                needs.every((fact) => facts.has(fact)),
                step
              )
              if (typeof then === "string") continue
              legal.push(step)
              for (const fact of needs) facts.delete(fact)
              for (const fact of adds) facts.add(fact)
              assert.deepStrictEqual([...factsOf(then)].sort(), [...facts].sort(), step)
            }
        assert.deepStrictEqual([...possible(now)].sort(), legal.sort())
        now = act(now, r.pick(legal)) as World
      }
    }
  })

  it("refuse what is no action", () => {
    for (const step of ["", "pick-up", "pick-up a b", "stack a", "put-down", "jump a", "unstack a b c"])
      assert.include(act(worldOf("a b, c"), step) as string, "write", step)
    assert.strictEqual(act(worldOf("a b, c"), "pick-up z"), "no block z")
    assert.strictEqual(act(worldOf("a b, c"), "stack c z"), "no block z")
  })

  it("are as far from their goals as PlanBench's shortest plans are long", () => {
    for (const { goal, id, init, length } of published)
      assert.strictEqual(distance(worldOf(init), readTowers(goal)), length, id)
  })

  it("get to the goal by any of the actions that bring them nearer", () => {
    const r = new Random(4)
    for (const { goal: text, init, length } of published) {
      const goal = readTowers(text)
      let now = worldOf(init)
      for (let left = length; left > 0; left--) {
        assert.isFalse(holds(now, goal))
        now = act(now, r.pick(nearer(now, goal))) as World
      }
      assert.isTrue(holds(now, goal))
      assert.include(blocksText(now, text), "done")
    }
  })

  it("hold a goal only in one piece, and with nothing else between", () => {
    assert.isTrue(holds(worldOf("a b c, d"), [["b", "c"]]))
    assert.isFalse(holds(worldOf("a b c, d"), [["a", "c"]]))
    assert.isFalse(
      holds(worldOf("a b, c"), [
        ["a", "b"],
        ["c", "a"]
      ])
    )
  })
})

describe("blocksworld", () => {
  it("has 24 instances of each length, in turns, and no two alike", () => {
    assert.deepStrictEqual(
      published.slice(0, 5).map((row) => row.length),
      [4, 6, 8, 10, 12]
    )
    assert.strictEqual(blocksworld.items.length, 120)
    assert.strictEqual(new Set(published.map((row) => `${row.init}|${row.goal}`)).size, 120)
    assert.strictEqual(new Set(published.map((row) => row.id)).size, 120)
  })

  it("calls instances alike that only names tell apart", () => {
    assert.strictEqual(shape({ init: "a b, c", goal: "c a" }), shape({ init: "a, b c", goal: "a b" }))
    assert.notStrictEqual(shape({ init: "a b, c", goal: "c a" }), shape({ init: "a b, c", goal: "c b" }))
  })

  it("draws instances that are not solved, of which each can be", () => {
    const r = new Random(6)
    for (let i = 0; i < 200; i++) {
      const { goal, init } = randomInstance(r)
      assert.isAtLeast(distance(worldOf(init), readTowers(goal)), 2)
      assert.strictEqual(worldText(worldOf(init)), init)
    }
  })
})
