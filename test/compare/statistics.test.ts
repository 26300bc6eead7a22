import { assert, describe, it } from "@effect/vitest"
import {
  bootstrap,
  type Interval,
  mcnemar,
  mean,
  newcombe,
  type Pairs,
  pairsOf,
  perDoubling,
  wilson
} from "../../compare/statistics.ts"

const near = ({ high, low }: Interval, [a, b]: readonly [number, number], digits: number) => {
  assert.strictEqual(low.toFixed(digits), a.toFixed(digits))
  assert.strictEqual(high.toFixed(digits), b.toFixed(digits))
}

/** All tables of `n` pairs. */
const tables = (n: number): ReadonlyArray<Pairs> => {
  const all: Array<Pairs> = []
  for (let both = 0; both <= n; both++)
    for (let first = 0; first <= n - both; first++)
      for (let second = 0; second <= n - both - first; second++)
        all.push({ both, first, second, neither: n - both - first - second })
  return all
}

describe("Wilson's interval", () => {
  it("is the published one", () => {
    // Newcombe, Two-sided confidence intervals for the single proportion, Statistics in Medicine 17 (1998), table I, method 3.
    near(wilson(81, 263), [0.2553, 0.3662], 4)
    near(wilson(15, 148), [0.0624, 0.1605], 4)
    near(wilson(0, 20), [0, 0.1611], 4)
    near(wilson(1, 29), [0.0061, 0.1718], 4)
    assert.deepStrictEqual(wilson(0, 0), { low: 0, high: 1 })
  })

  it("holds its share, lies within 0 and 1, mirrors, and narrows with more of the same", () => {
    for (let n = 1; n <= 60; n++)
      for (let right = 0; right <= n; right++) {
        const { high, low } = wilson(right, n)
        assert.isTrue(low >= 0 && low <= right / n && right / n <= high && high <= 1)
        const mirror = wilson(n - right, n)
        assert.closeTo(mirror.low, 1 - high, 1e-12)
        assert.closeTo(mirror.high, 1 - low, 1e-12)
        const more = wilson(2 * right, 2 * n)
        assert.isBelow(more.high - more.low, high - low)
      }
  })

  it("holds the true share in about 95 of 100 experiments, each counted by its probability", () => {
    for (const [n, p] of [
      [100, 0.5],
      [100, 0.1],
      [200, 0.75]
    ] as const) {
      let held = 0
      let mass = (1 - p) ** n
      for (let k = 0; k <= n; k++) {
        const { high, low } = wilson(k, n)
        if (low <= p && p <= high) held += mass
        mass *= ((n - k) / (k + 1)) * (p / (1 - p))
      }
      assert.isTrue(held > 0.93 && held < 0.98, `${n} ${p}: ${held}`)
    }
  })
})

describe("McNemar's exact test", () => {
  it("is the binomial test of the pairs that differ", () => {
    const p = (first: number, second: number) => mcnemar({ both: 3, first, second, neither: 9 })
    assert.strictEqual(p(0, 0), 1)
    assert.strictEqual(p(5, 5), 1)
    assert.closeTo(p(0, 6), 2 / 64, 1e-12)
    // Complete response before and after consolidation therapy (Fagerland, Lydersen, Laake 2014, with Cavo et al. 2012).
    assert.closeTo(p(6, 16), 0.0525, 5e-5)
    // R: binom.test(1, 8)
    assert.closeTo(p(1, 7), 0.0703125, 1e-12)
    assert.strictEqual(p(7, 1), p(1, 7))
    assert.closeTo(p(1500, 1500), 1, 1e-9)
    assert.isTrue(p(1000, 1400) > 0 && p(1000, 1400) < 1e-14)
  })
})

describe("Newcombe's interval of a paired difference", () => {
  it("is the published one", () => {
    // Fagerland, Lydersen, Laake, Recommended tests and confidence intervals for paired binomial proportions (2014).
    near(newcombe({ both: 59, first: 6, second: 16, neither: 80 }), [-0.1186, -0.0046], 4)
    near(newcombe({ both: 1, first: 1, second: 7, neither: 12 }), [-0.507, -0.026], 3)
  })

  it("holds the difference, mirrors when the two change places, and lies within -1 and 1", () => {
    for (const table of tables(12)) {
      const difference = (table.first - table.second) / 12
      const { high, low } = newcombe(table)
      assert.isTrue(low <= difference + 1e-12 && difference <= high + 1e-12, JSON.stringify(table))
      assert.isTrue(low >= -1 - 1e-12 && high <= 1 + 1e-12, JSON.stringify(table))
      const mirror = newcombe({ ...table, first: table.second, second: table.first })
      assert.closeTo(mirror.low, -high, 1e-12)
      assert.closeTo(mirror.high, -low, 1e-12)
      const opposite = newcombe({ ...table, both: table.neither, neither: table.both })
      assert.closeTo(opposite.low, low, 1e-12, JSON.stringify(table))
    }
    assert.deepStrictEqual(newcombe({ both: 0, first: 0, second: 0, neither: 0 }), { low: -1, high: 1 })
  })

  it("shows nothing where the two were right on as many", () => {
    for (const table of tables(12).filter(({ first, second }) => first === second)) {
      const { high, low } = newcombe(table)
      assert.isTrue(low < 0 && high > 0, JSON.stringify(table))
    }
  })
})

describe("the bootstrap over tasks", () => {
  const differences = [1, 1, 0, 1, -1, 0, 0.5, 1, 0, 1, 0.5, 1, 0, 0, 1, 1]

  it("gives the same for the same seed, and much the same for another one", () => {
    const [one, other] = [bootstrap(differences, 1), bootstrap(differences, 2)]
    assert.deepStrictEqual(bootstrap(differences, 1), one)
    assert.notDeepEqual(bootstrap(differences, 1, 40), bootstrap(differences, 2, 40))
    assert.closeTo(one.low, other.low, 0.03)
    assert.closeTo(one.high, other.high, 0.03)
  })

  it("mirrors, holds the mean, and is half as wide with four times the tasks", () => {
    const one = bootstrap(differences, 1)
    assert.isTrue(one.low < mean(differences) && mean(differences) < one.high)
    const mirror = bootstrap(
      differences.map((d) => -d),
      1
    )
    assert.closeTo(mirror.low, -one.high, 0.06)
    const four = bootstrap([...differences, ...differences, ...differences, ...differences], 1)
    assert.closeTo((four.high - four.low) / (one.high - one.low), 0.5, 0.06)
  })

  it("agrees with Newcombe's interval where each task has one seed and there are many", () => {
    const table = { both: 60, first: 70, second: 20, neither: 50 }
    const each = (n: number, d: number) => Array<number>(n).fill(d)
    const drawn = bootstrap([...each(110, 0), ...each(70, 1), ...each(20, -1)], 3)
    const computed = newcombe(table)
    assert.closeTo(drawn.low, computed.low, 0.015)
    assert.closeTo(drawn.high, computed.high, 0.015)
  })

  it("does not believe three equal differences", () => {
    const { high, low } = bootstrap([1, 1, 1], 1)
    assert.isTrue(low <= 0 && high === 1)
    assert.deepStrictEqual(bootstrap([], 1), { low: -1, high: 1 })
  })
})

it("pairs are counted, and doublings are logarithms to the base 2", () => {
  const pairs = [
    [true, true],
    [true, false],
    [true, false],
    [false, true],
    [false, false]
  ] as const
  assert.deepStrictEqual(pairsOf(pairs), { both: 1, first: 2, second: 1, neither: 1 })
  assert.closeTo(perDoubling({ share: 0.2, tokens: 100 }, { share: 0.5, tokens: 800 })!, 0.1, 1e-12)
  assert.isUndefined(perDoubling({ share: 0.2, tokens: 100 }, { share: 0.5, tokens: 100 }))
  assert.isUndefined(perDoubling({ share: 0.2, tokens: 0 }, { share: 0.5, tokens: 100 }))
  assert.strictEqual(mean([]), 0)
})
