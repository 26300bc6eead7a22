import { assert, describe, it } from "@effect/vitest"
import { append, born, type Context } from "../../../kernel/memory/context.ts"
import { compact, cost, lru, type PagerPolicy, size } from "../../../kernel/memory/pager.ts"

const words = (n: number) => Array.from({ length: n }, () => 0)
const window = { most: 250, high: 750, low: 500, workingSet: 60, stub: () => words(30) }
const label = { integrity: "untrusted", source: "f" } as const

/** A context of exchanges of so many tokens; those below zero are notes. */
const contextOf = (...sizes: ReadonlyArray<number>): Context =>
  sizes.reduce(
    (context, tokens) => {
      const page = context.pages + 2
      const exchange = { page, about: "f", whole: true, label, tokens: words(Math.abs(tokens)) }
      return append(context, { ...exchange, pinned: tokens < 0 })
    },
    born(words(80), words(20))
  )

/** Which exchanges go, by their place. */
const gone = (context: Context, policy: PagerPolicy) => {
  const { victims } = compact(context, window, policy)
  return victims.map((frame) => context.frames.indexOf(frame) - 2).sort((a, b) => a - b)
}

describe("the pager", () => {
  it("takes what each policy says, down to the low-water mark", () => {
    const context = contextOf(90, 150, 80, 80, 100, 30, 40, 100)
    assert.deepStrictEqual(gone(context, lru), [0, 1, 2])
    assert.deepStrictEqual(gone(context, size), [0, 1, 4])
    assert.deepStrictEqual(gone(context, cost), [1, 2, 3, 4])
  })

  it("reads least again by cost: what lies in front of the first victim is left alone", () => {
    const context = contextOf(90, 150, 80, 80, 100, 30, 40, 100)
    const again = (policy: PagerPolicy) => {
      const done = compact(context, window, policy)
      return done.context.size - done.kept
    }
    assert.isBelow(again(cost), again(lru))
    assert.isBelow(again(cost), again(size))
    assert.strictEqual(compact(context, window, cost).kept, 100 + 90)
  })

  it("never takes notes or the last two exchanges, and a a third where the three are small", () => {
    const notes = contextOf(-100, 150, -60, 150, 40, 30, 100)
    assert.deepStrictEqual(gone(notes, lru), [1, 3])
    assert.deepStrictEqual(gone(contextOf(100, 100, 200, 50, 220, 100), cost), [0, 1, 2, 3])
    assert.deepStrictEqual(gone(contextOf(100, 100, 200, 150, 50, 80, 100), cost), [1, 2, 3])
    // Notes come before the stub, and nothing else changes its place.
    const { frames } = compact(notes, window, cost).context
    assert.deepStrictEqual(
      frames.map(({ kind, pinned }) => (kind === "exchange" && pinned ? "note" : kind)),
      ["system", "task", "note", "note", "stub", "exchange", "exchange", "exchange"]
    )
  })

  it("leaves only the last exchange where two would not fit", () => {
    const context = contextOf(-220, 60, 250, 240)
    const done = compact(context, window, cost)
    assert.isAtMost(done.context.size, window.high)
    assert.deepStrictEqual(gone(context, cost), [1, 2])
  })
})
