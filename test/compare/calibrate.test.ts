import { assert, describe, it } from "@effect/vitest"
import { type Gauged, threshold } from "../../compare/calibrate.ts"

const of = (...gauged: ReadonlyArray<readonly [sure: number, right: boolean]>): ReadonlyArray<Gauged> =>
  gauged.map(([sure, right]) => ({ sure, right }))

describe("the threshold of auto", () => {
  it("is the lowest at which 95% of the answers kept were right", () => {
    const right = Array.from({ length: 19 }, (_, i) => [0.6 + i / 100, true] as const)
    assert.strictEqual(threshold(of(...right, [0.5, false])), 0.5)
    assert.strictEqual(threshold(of(...right, [0.5, false], [0.4, false])), 0.5)
    assert.strictEqual(threshold(of(...right, [0.7, false], [0.7, false])), 0.71)
  })

  it("does not part those that are equally sure", () => {
    assert.strictEqual(threshold(of([0.9, true], [0.8, true], [0.8, false])), 0.9)
  })

  it("keeps nothing where the surest are wrong, or there is nothing to go by", () => {
    assert.strictEqual(threshold(of([0.9, false], [0.8, true])), Number.POSITIVE_INFINITY)
    assert.strictEqual(threshold([]), Number.POSITIVE_INFINITY)
  })
})
