/** The statistics of a comparison: pure functions, each with its source. Shares and their differences are from 0 to 1. */

/** A range that holds the true value in 95 of 100 experiments. */
export interface Interval {
  readonly low: number
  readonly high: number
}

/** The normal deviate of 95%, two-sided. */
const z = 1.959963984540054

/**
 * The interval of a share: `right` of `n`. With nothing seen, anything is possible.
 * E. B. Wilson, Probable inference, the law of succession, and statistical inference, JASA 22 (1927).
 */
export const wilson = (right: number, n: number): Interval => {
  if (n === 0) return { low: 0, high: 1 }
  const p = right / n
  const middle = (p + z ** 2 / (2 * n)) / (1 + z ** 2 / n)
  const half = (z / (1 + z ** 2 / n)) * Math.sqrt((p * (1 - p)) / n + z ** 2 / (4 * n ** 2))
  // Rounding must not push the ends of 0 of n and n of n away from where they are by definition.
  return { low: right === 0 ? 0 : middle - half, high: right === n ? 1 : middle + half }
}

/** How often both, only the first, only the second and neither of two were right on the same items. */
export interface Pairs {
  readonly both: number
  readonly first: number
  readonly second: number
  readonly neither: number
}

export const pairsOf = (pairs: ReadonlyArray<readonly [first: boolean, second: boolean]>): Pairs => {
  const count = (first: boolean, second: boolean) =>
    pairs.filter(([a, b]) => a === first && b === second).length
  return {
    both: count(true, true),
    first: count(true, false),
    second: count(false, true),
    neither: count(false, false)
  }
}

/**
 * How likely the items on which only one was right are to fall at least so unevenly by chance: exact and two-sided.
 * Q. McNemar, Psychometrika 12 (1947).
 */
export const mcnemar = ({ first, second }: Pairs): number => {
  const n = first + second
  // Terms of the binomial distribution at 1/2, by their logarithms: 2^-n is 0 as a number from n = 1075 on.
  let term = -n * Math.LN2
  let tail = 0
  for (let k = 0; k <= Math.min(first, second); k++) {
    tail += Math.exp(term)
    term += Math.log((n - k) / (k + 1))
  }
  return Math.min(1, 2 * tail)
}

/**
 * The interval of the share of the first less that of the second.
 * R. G. Newcombe, Improved confidence intervals for the difference between binomial proportions based on paired data,
 * Statistics in Medicine 17 (1998), method 10.
 */
export const newcombe = (pairs: Pairs): Interval => {
  const { both, first, second, neither } = pairs
  const n = both + first + second + neither
  if (n === 0) return { low: -1, high: 1 }
  const p1 = (both + first) / n
  const p2 = (both + second) / n
  const one = wilson(both + first, n)
  const two = wilson(both + second, n)
  const phi = correlation(pairs, n)
  const reach = (a: number, b: number) => Math.sqrt(Math.max(0, a ** 2 - 2 * phi * a * b + b ** 2))
  return {
    low: p1 - p2 - reach(p1 - one.low, two.high - p2),
    high: p1 - p2 + reach(one.high - p1, p2 - two.low)
  }
}

/** The correlation of the two, corrected for continuity where it is positive. */
const correlation = ({ both, first, second, neither }: Pairs, n: number): number => {
  const margins = (both + first) * (second + neither) * (both + second) * (first + neither)
  if (margins === 0) return 0
  const apart = both * neither - first * second
  return (apart > 0 ? Math.max(0, apart - n / 2) : apart) / Math.sqrt(margins)
}

/**
 * The interval of the mean of `differences`, one a task (the mean over its seeds), by drawing tasks anew: seeds of one task
 * are no independent evidence. B. Efron and R. J. Tibshirani, An Introduction to the Bootstrap (1993), chapter 13: percentiles.
 *
 * Two more tasks, one won and one lost, are drawn with the others: without them three equal differences would have an interval
 * without width. D. G. Bonett and R. M. Price, J. Educational and Behavioral Statistics 37 (2012), correct theirs in this way.
 */
export const bootstrap = (differences: ReadonlyArray<number>, seed: number, draws = 10_000): Interval => {
  if (differences.length === 0) return { low: -1, high: 1 }
  const pool = [...differences, 1, -1]
  const unit = uniform(seed)
  const means = Float64Array.from({ length: draws }, () => {
    let sum = 0
    for (let i = 0; i < pool.length; i++) sum += pool[Math.floor(unit() * pool.length)]!
    return sum / pool.length
  }).sort()
  return { low: means[Math.floor(0.025 * draws)]!, high: means[Math.ceil(0.975 * draws) - 1]! }
}

/** Uniform in [0, 1), the same for the same seed: mulberry32, public domain. */
const uniform = (seed: number) => {
  let state = seed >>> 0
  return (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

/** What each doubling of the tokens brought, as a share; undefined where both took the same. */
export const perDoubling = (
  less: { readonly share: number; readonly tokens: number },
  more: { readonly share: number; readonly tokens: number }
): number | undefined => {
  const doublings = Math.log2(more.tokens / less.tokens)
  return Number.isFinite(doublings) && doublings !== 0 ? (more.share - less.share) / doublings : undefined
}

export const mean = (values: ReadonlyArray<number>): number =>
  values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length
