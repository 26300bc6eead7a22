/**
 * Game of 24 and Countdown: use every number once with + - * / to reach the target.
 *
 * A state is what is left to combine. `propose` asks for the next steps from a state, `value` asks whether the target can
 * still be reached. Arithmetic is exact: fractions are kept as fractions.
 */
import type { Random } from "./language.ts"

/** A fraction in lowest terms, denominator positive. */
export interface Fraction {
  readonly n: number
  readonly d: number
}
const gcd = (a: number, b: number): number => (b === 0 ? Math.abs(a) : gcd(b, a % b))
const fraction = (n: number, d: number): Fraction => {
  const g = gcd(n, d) || 1
  return d < 0 ? { n: -n / g, d: -d / g } : { n: n / g, d: d / g }
}
export const show = (f: Fraction): string => (f.d === 1 ? String(f.n) : `${f.n}/${f.d}`)

/** One way to combine two numbers of a state. `left` is the state after it. */
export interface Move {
  readonly text: string
  readonly left: ReadonlyArray<Fraction>
}

const order = (a: Fraction, b: Fraction) => a.n / a.d - b.n / b.d
const key = (state: ReadonlyArray<Fraction>) => state.map(show).join(" ")

/** Every step from a state. Results stay non-negative, and whole unless `fractions`. */
export const moves = (state: ReadonlyArray<Fraction>, fractions = true): ReadonlyArray<Move> => {
  const found = new Map<string, Move>()
  for (let i = 0; i < state.length; i++)
    for (let j = i + 1; j < state.length; j++) {
      const [a, b] =
        order(state[i] as Fraction, state[j] as Fraction) >= 0
          ? [state[i] as Fraction, state[j] as Fraction]
          : [state[j] as Fraction, state[i] as Fraction]
      const rest = state.filter((_, k) => k !== i && k !== j)
      const results: Array<[string, Fraction]> = [
        [`${show(a)}+${show(b)}`, fraction(a.n * b.d + b.n * a.d, a.d * b.d)],
        [`${show(a)}*${show(b)}`, fraction(a.n * b.n, a.d * b.d)],
        [`${show(a)}-${show(b)}`, fraction(a.n * b.d - b.n * a.d, a.d * b.d)]
      ]
      if (b.n !== 0) results.push([`${show(a)}:${show(b)}`, fraction(a.n * b.d, a.d * b.n)])
      if (a.n !== 0 && order(a, b) !== 0)
        results.push([`${show(b)}:${show(a)}`, fraction(b.n * a.d, b.d * a.n)])
      for (const [text, value] of results) {
        if (!fractions && value.d !== 1) continue
        const left = [...rest, value].sort(order)
        const move = { text: `${text}=${show(value)}`, left }
        found.set(move.text, move)
      }
    }
  return [...found.values()]
}

const memo = new Map<string, boolean>()
/** Whether `target` can be reached with every number used once. */
export const reachable = (state: ReadonlyArray<Fraction>, target: number): boolean => {
  if (state.length === 1) return (state[0] as Fraction).n === target && (state[0] as Fraction).d === 1
  const k = `${target}|${key(state)}`
  const known = memo.get(k)
  if (known !== undefined) return known
  const answer = moves(state).some((m) => reachable(m.left, target))
  if (memo.size > 2_000_000) memo.clear()
  memo.set(k, answer)
  return answer
}

export const stateOf = (numbers: ReadonlyArray<number>): ReadonlyArray<Fraction> =>
  numbers.map((n) => ({ n, d: 1 })).sort(order)

/** What the model is asked, and how it answers. The runtime's search uses the same three functions. */
export const proposeText = (state: ReadonlyArray<Fraction>, target: number): string =>
  `Make ${target} from ${key(state)}.`
export const valueText = (state: ReadonlyArray<Fraction>, target: number): string =>
  `Can ${key(state)} make ${target}?`
export const moveText = (move: Move): string =>
  move.left.length === 1 ? move.text : `${move.text} left ${key(move.left)}`

/** Items 900–999 by rank of game24.csv: the test set of Yao et al., Tree of Thoughts (2023). Never trained on. */
export const testPuzzles = (csv: string): ReadonlyArray<ReadonlyArray<number>> =>
  csv
    .split("\n")
    .slice(901, 1001)
    .map((line) => (line.split(",")[1] ?? "").split(" ").map(Number))

/** The 4-number puzzles over 1..13 that can be solved, without those kept for testing. */
export const trainable = (tested: ReadonlySet<string>): ReadonlyArray<ReadonlyArray<number>> => {
  const all: Array<ReadonlyArray<number>> = []
  for (let a = 1; a <= 13; a++)
    for (let b = a; b <= 13; b++)
      for (let c = b; c <= 13; c++)
        for (let d = c; d <= 13; d++)
          if (!tested.has([a, b, c, d].join(" ")) && reachable(stateOf([a, b, c, d]), 24))
            all.push([a, b, c, d])
  return all
}

/** A question and its ideal answer. */
export interface Exchange {
  readonly user: string
  readonly model: string
}

/** A random solution from a state to the target, one move a line. */
const solve = (r: Random, state: ReadonlyArray<Fraction>, target: number): string => {
  const lines: Array<string> = []
  let s = state
  while (s.length > 1) {
    const good = moves(s).filter((m) => reachable(m.left, target))
    const whole = good.filter((m) => m.left.every((f) => f.d === 1))
    const move = r.pick(whole.length > 0 ? whole : good)
    lines.push(moveText(move))
    s = move.left
  }
  return lines.join("\n")
}

/** One training exchange: solving, or judging a state. */
export const exchange = (r: Random, puzzles: ReadonlyArray<ReadonlyArray<number>>): Exchange => {
  const countdown = r.chance(0.25)
  let state: ReadonlyArray<Fraction>
  let target = 24
  if (countdown) {
    state = stateOf(Array.from({ length: r.pick([2, 3, 3, 4]) }, () => r.int(1, 50)))
    let s = state
    while (s.length > 1) s = r.pick(moves(s, false)).left
    target = (s[0] as Fraction).n
    if (target > 999) return exchange(r, puzzles)
  } else state = stateOf(r.pick(puzzles))
  if (r.chance(0.6)) {
    if (!countdown && r.chance(0.35)) {
      const good = moves(state).filter((m) => reachable(m.left, target))
      state = r.pick(good).left
      if (state.length > 2 && r.chance(0.4))
        state = r.pick(moves(state).filter((m) => reachable(m.left, target))).left
    }
    return { user: proposeText(state, target), model: solve(r, state, target) }
  }
  // Judge a state that is one or two random steps from a puzzle; balance yes and no.
  const want = r.chance(0.5)
  for (let tries = 0; tries < 40; tries++) {
    let s = state
    const size = r.pick(countdown ? [2] : [2, 2, 3, 3])
    while (s.length > size) s = r.pick(moves(s, !countdown && r.chance(0.1))).left
    if (reachable(s, target) === want || tries === 39)
      return { user: valueText(s, target), model: reachable(s, target) ? "yes" : "no" }
  }
  throw new Error("unreachable")
}
