import { assert, describe, it } from "@effect/vitest"
import { ToolError } from "../../kernel/tool.ts"
import { Random } from "../../models/nano/language.ts"
import { begin, leftText, puzzleKey, solves, take, valuesOf } from "../../suites/combine.ts"
import { countdown, given } from "../../suites/countdown.ts"
import { evaluate } from "../../suites/expression.ts"
import { game24, held, published, trainable } from "../../suites/game24.ts"
import { fraction, moves, reachable, same, show, stateOf, stateText } from "../../suites/numbers.ts"

const left = (numbers: ReadonlyArray<number>, ...steps: ReadonlyArray<string>): string => {
  let parts = begin({ numbers, target: 24 })
  for (const step of steps) {
    const next = take(parts, step)
    if (next instanceof ToolError) return next.message
    parts = next
  }
  return leftText(parts, 24)
}

describe("numbers", () => {
  it("know what can be made, with fractions where these are needed", () => {
    assert.isTrue(reachable(stateOf([3, 3, 8, 8]), 24), "8/(3-8/3)")
    assert.isTrue(reachable(stateOf([1, 5, 5, 5]), 24), "5*(5-1/5)")
    assert.isFalse(reachable(stateOf([1, 1, 1, 1]), 24))
    assert.isFalse(reachable(stateOf([24, 1]), 26))
  })

  it("have right moves, none of them below zero", () => {
    const state = [fraction(1, 3), ...stateOf([0, 2, 7])]
    for (const { left, text } of moves(state)) {
      const [, a, operator, b] = /^([\d/]+)([-+*:])([\d/]+)$/.exec(text)!
      const number = (s: string) =>
        s
          .split("/")
          .map(Number)
          .reduce((x, y) => x / y)
      const [x, y] = [number(a!), number(b!)]
      const value = operator === "+" ? x + y : operator === "-" ? x - y : operator === "*" ? x * y : x / y
      assert.isAtLeast(value, 0)
      assert.isTrue(
        left.some((f) => Math.abs(f.n / f.d - value) < 1e-9),
        text
      )
      assert.strictEqual(left.length, 3)
    }
  })
})

describe("a step", () => {
  it("says what is left, and at the end the whole expression", () => {
    assert.strictEqual(left([4, 6, 8, 9], "9*8"), "4 6 72 to 24")
    assert.strictEqual(left([3, 3, 8, 8], "8:3", "3-8/3"), "1/3 8 to 24")
    assert.strictEqual(left([3, 3, 8, 8], "8:3", "3-8/3", "8:1/3"), "24 = 8/(3-8/3)")
    assert.strictEqual(left([2, 3], "3-2"), "1 = 3-2")
  })

  it("is refused when it is none, or not of numbers that are left", () => {
    assert.strictEqual(left([2, 3, 4], "5+2"), "no 5 left")
    assert.strictEqual(left([2, 3, 4], "2+2"), "no 2 left")
    assert.strictEqual(left([2, 3, 4], "3-4"), "3-4 is below 0")
    assert.strictEqual(left([2, 2, 4], "2-2", "4:0"), "no division by 0")
    for (const step of ["", "2", "2+3+4", "2/3", "a+b", "2+3/0", "(2+3)"])
      assert.strictEqual(left([2, 3, 4], step), "write one step, like 8*9", step)
  })

  it("is known by every move: the same numbers are left, and the expression is worth what it says", () => {
    const r = new Random(5)
    for (let i = 0; i < 500; i++) {
      const numbers = Array.from({ length: r.int(2, 5) }, () => r.int(1, 30))
      let parts = begin({ numbers, target: 24 })
      while (parts.length > 1) {
        const move = r.pick(moves(valuesOf(parts)))
        parts = take(parts, move.text) as typeof parts
        assert.strictEqual(stateText(valuesOf(parts)), stateText(move.left))
      }
      const [{ text, value }] = parts as [(typeof parts)[number]]
      const read = evaluate(text)!
      assert.isTrue(same(read.value, value), `${text} = ${show(value)}`)
      assert.strictEqual(puzzleKey({ numbers: read.numbers, target: 0 }), puzzleKey({ numbers, target: 0 }))
      if (value.d === 1) assert.isTrue(solves({ numbers, target: value.n }, text))
    }
  })
})

describe("an answer", () => {
  const puzzle = { numbers: [4, 4, 6, 8], target: 24 }

  it("is right in any usual spelling", () => {
    for (const answer of ["(4+8)*(6-4)", " ( 4 + 8 ) × ( 6 − 4 ) ", "4*8-4:4*6-8+6"])
      assert.strictEqual(solves(puzzle, answer), !answer.includes(":"), answer)
    assert.isTrue(solves({ numbers: [3, 3, 8, 8], target: 24 }, "8÷(3-8/3)"))
    assert.isTrue(solves({ numbers: [24], target: 24 }, "24"))
    assert.isTrue(solves({ numbers: [10, 4, 2, 1], target: 5 }, "10-4-2+1"), "from the left")
  })

  it("is wrong with other numbers, another value, or anything that is no expression", () => {
    for (const answer of [
      "(4+8)*(6-4)+4-4",
      "4*6",
      "24",
      "4+4+6+8",
      "(4+8)*(6-4",
      "(4+8)*(6-4))",
      "24 = (4+8)*(6-4)",
      "(4+8)(6-4)",
      "44-6*8:2",
      "+4+8*6-4",
      "4/(4-4)+6+8",
      "process.exit()",
      "",
      "(".repeat(150)
    ])
      assert.isFalse(solves(puzzle, answer), answer)
    for (const answer of [24, null, undefined, ["(4+8)*(6-4)"], { answer: "(4+8)*(6-4)" }])
      assert.isFalse(solves(puzzle, answer))
  })
})

describe("game24", () => {
  it("has the published test set first, and none of its puzzles may be trained on", () => {
    assert.strictEqual(game24.items.length, 200)
    assert.deepStrictEqual([game24.items[0]!.id, game24.items[99]!.id], ["24-900", "24-999"])
    assert.strictEqual(new Set([...game24.items, ...game24.calibration].map((i) => i.task)).size, 250)
    const asked = new Set(held.map(puzzleKey))
    const { over13, to13 } = trainable()
    assert.strictEqual(to13.length, 1362 - published.length)
    for (const numbers of [...to13, ...over13]) {
      assert.isFalse(asked.has(puzzleKey({ numbers, target: 24 })), numbers.join(" "))
      assert.isTrue(reachable(stateOf(numbers), 24))
    }
    for (const { numbers } of held.slice(100)) {
      assert.isTrue(reachable(stateOf(numbers), 24))
      assert.isAbove(Math.max(...numbers), 13)
    }
  })
})

describe("countdown", () => {
  it("asks what can be solved, and calibrates on other puzzles", () => {
    assert.strictEqual(countdown.items.length, 300)
    for (const { numbers, target } of given) assert.isTrue(reachable(stateOf(numbers), target))
    const tasks = [...countdown.items, ...countdown.calibration].map((item) => item.task)
    assert.strictEqual(new Set(tasks).size, 350)
  })
})
