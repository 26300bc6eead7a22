import { assert, describe, it } from "@effect/vitest"
import type { Mode } from "../../agents/think.ts"
import { modes, type Trial } from "../../compare/records.ts"
import { summarize } from "../../compare/summary.ts"
import { cells } from "../../compare/table.ts"
import { sample, trial } from "./sample.ts"

/** So many items on which both were right, only the first, only the second, neither. */
const records = (first: Mode, second: Mode, counts: readonly [number, number, number, number], seeds = 1) => {
  const rights: ReadonlyArray<readonly [boolean, boolean]> = [
    [true, true],
    [true, false],
    [false, true],
    [false, false]
  ]
  const pairs = counts.flatMap((n, i) => Array(n).fill(rights[i]!) as ReadonlyArray<(typeof rights)[number]>)
  return pairs.flatMap(([a, b], i) =>
    [...Array(seeds).keys()].flatMap((seed): ReadonlyArray<Trial> => {
      const at = { item: `${i}`, seed }
      return [trial({ ...at, mode: first, right: a }), trial({ ...at, mode: second, right: b })]
    })
  )
}

const wordsOf = (trials: ReadonlyArray<Trial>, ...of: ReadonlyArray<Mode>) =>
  summarize({ modes: of, trials }).verdicts.map(({ words }) => words)

describe("verdicts", () => {
  it("say what the interval says, and no more", () => {
    assert.deepStrictEqual(wordsOf(records("slow", "fast", [30, 40, 2, 28]), "fast", "slow"), [
      "slow is better than fast: +38 points (27 to 47)"
    ])
    assert.deepStrictEqual(wordsOf(records("slow", "fast", [30, 2, 40, 28]), "fast", "slow"), [
      "slow is worse than fast: −38 points (−47 to −27)"
    ])
    assert.match(
      wordsOf(records("slow", "fast", [30, 6, 3, 61]), "fast", "slow")[0]!,
      /^no difference shown between slow and fast: \+3 points \(−\d to \d+\)$/
    )
    assert.deepStrictEqual(wordsOf([], "fast", "slow"), ["slow and fast: nothing to compare"])
  })

  it("agree with the interval for every table of 25 items", () => {
    for (let first = 0; first <= 25; first++)
      for (let second = 0; second <= 25 - first; second++) {
        const [verdict] = summarize({
          modes: ["fast", "slow"],
          trials: records("slow", "fast", [25 - first - second, first, second, 0])
        }).verdicts
        const { interval, words } = verdict!
        assert.strictEqual(words.includes(" better than "), interval.low > 0, words)
        assert.strictEqual(words.includes(" worse than "), interval.high < 0, words)
        assert.strictEqual(words.startsWith("no difference shown"), interval.low <= 0 && interval.high >= 0)
        // What excludes 0 is not shown as reaching it.
        if (!words.startsWith("no")) assert.notMatch(words, /\((0 |.* 0\))/)
      }
  })

  it("compare slow with each baseline, auto with both, and call equal tokens by their name", () => {
    const { verdicts } = summarize(sample(30, 1))
    assert.deepStrictEqual(
      verdicts.map(({ first, second }) => `${first} ${second}`),
      ["slow fast", "slow best-of-n", "slow self-consistency", "slow random", "auto fast", "auto slow"]
    )
    assert.deepStrictEqual(wordsOf([], "fast", "best-of-n"), ["best-of-n and fast: nothing to compare"])
    const equal = verdicts.filter(({ words }) => words.includes("at equal tokens"))
    assert.deepStrictEqual(
      equal.map(({ first, perDoubling, second }) => [first, second, perDoubling]),
      [
        ["slow", "best-of-n", undefined],
        ["slow", "self-consistency", undefined],
        ["slow", "random", undefined]
      ]
    )
    assert.closeTo(verdicts[0]!.perDoubling! * Math.log2(19), verdicts[0]!.difference, 1e-9)
  })

  it("pair by item and seed, and leave out what only one of the two has done", () => {
    const all = records("slow", "fast", [3, 5, 1, 2])
    const last = all.at(-1)!
    const { verdicts } = summarize({
      modes: ["fast", "slow"],
      trials: all.filter((t) => t !== last).reverse()
    })
    assert.deepInclude(verdicts[0]!, { items: 10, method: "newcombe", difference: 0.4 })
    assert.deepStrictEqual(verdicts[0]!.pairs, { both: 3, first: 5, second: 1, neither: 1 })
    assert.closeTo(verdicts[0]!.p!, 14 / 64, 1e-12)
  })

  it("pair each seed with the same seed", () => {
    const rights = [true, false, true]
    const trials = (["slow", "fast"] as const).flatMap((mode) =>
      rights.map((right, seed) => trial({ mode, seed, right }))
    )
    const { verdicts } = summarize({ modes: ["fast", "slow"], trials })
    assert.deepInclude(verdicts[0]!, { items: 1, difference: 0, method: "bootstrap" })
  })

  it("do not take seeds of one item for more items", () => {
    const once = summarize({ modes: ["fast", "slow"], trials: records("slow", "fast", [2, 5, 1, 2]) })
    const often = summarize({ modes: ["fast", "slow"], trials: records("slow", "fast", [2, 5, 1, 2], 20) })
    const [verdict] = often.verdicts
    assert.deepInclude(verdict!, { items: 10, method: "bootstrap" })
    assert.isUndefined(verdict!.p)
    assert.closeTo(verdict!.interval.high, once.verdicts[0]!.interval.high, 0.12)
    assert.closeTo(verdict!.interval.low, once.verdicts[0]!.interval.low, 0.12)
    assert.deepStrictEqual(
      often.rows.map(({ interval }) => interval),
      once.rows.map(({ interval }) => interval)
    )
  })
})

describe("rows", () => {
  it("are means of what each mode took, with a row for a mode that has done nothing yet", () => {
    const usage = {
      prefillTokens: 10,
      cachedTokens: 20,
      generatedTokens: 30,
      valueTokens: 40,
      wallMs: 500
    }
    const error = trial({
      item: "b",
      mode: "slow",
      right: false,
      status: "error",
      usage: { ...usage, wallMs: 1500 }
    })
    const { rows } = summarize({ modes: ["fast", "slow"], trials: [trial({ mode: "slow", usage }), error] })
    assert.deepInclude(rows[1]!, {
      attempts: 2,
      right: 1,
      errors: 1,
      share: 0.5,
      evaluated: 80,
      prefill: 10,
      cached: 20,
      generated: 30,
      value: 40,
      wallMs: 1000
    })
    assert.deepInclude(rows[0]!, { attempts: 0, right: 0, interval: { low: 0, high: 1 } })
    const [head, fast, slow] = cells({ rows, verdicts: [] })
    assert.strictEqual(head!.length, fast!.length)
    assert.deepStrictEqual(fast!.slice(0, 3), ["fast", "0/0", "–"])
    assert.deepStrictEqual(slow!.slice(0, 5), ["slow", "1/2", "50.0%", "9.5% to 90.5%", "80"])
  })

  it("come in the order of the modes", () => {
    assert.deepStrictEqual(
      summarize(sample(3, 2)).rows.map(({ attempts, mode }) => [mode, attempts]),
      modes.map((mode) => [mode, 6])
    )
  })
})
