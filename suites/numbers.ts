/**
 * Game of 24 and Countdown as states: use every number once with + - * : to reach the target.
 *
 * A state is what is left to combine. Arithmetic is exact: fractions are kept as fractions. `:` divides, `/` writes a
 * fraction. No state needs a negative number: who subtracts the larger one can as well swap the two, and the sign moves
 * outwards until it is gone.
 */

/** A fraction in lowest terms, denominator positive. */
export interface Fraction {
  readonly n: number
  readonly d: number
}
const gcd = (a: number, b: number): number => (b === 0 ? Math.abs(a) : gcd(b, a % b))
export const fraction = (n: number, d = 1): Fraction => {
  const g = gcd(n, d) || 1
  return d < 0 ? { n: -n / g, d: -d / g } : { n: n / g, d: d / g }
}
export const show = (f: Fraction): string => (f.d === 1 ? String(f.n) : `${f.n}/${f.d}`)
export const same = (a: Fraction, b: Fraction): boolean => a.n === b.n && a.d === b.d

export type Operator = "+" | "-" | "*" | ":"

/** What an operator makes of two numbers; undefined for a division by zero. */
export const apply = (a: Fraction, operator: Operator, b: Fraction): Fraction | undefined => {
  if (operator === "+") return fraction(a.n * b.d + b.n * a.d, a.d * b.d)
  if (operator === "-") return fraction(a.n * b.d - b.n * a.d, a.d * b.d)
  if (operator === "*") return fraction(a.n * b.n, a.d * b.d)
  return b.n === 0 ? undefined : fraction(a.n * b.d, a.d * b.n)
}

export const order = (a: Fraction, b: Fraction): number => a.n / a.d - b.n / b.d

export type State = ReadonlyArray<Fraction>
export const stateOf = (numbers: ReadonlyArray<number>): State => numbers.map((n) => fraction(n)).sort(order)
/** Equal for equal states: its numbers in order. */
export const stateText = (state: State): string => state.map(show).join(" ")

/** One way to combine two numbers of a state: `8*9`. `left` is the state after it. */
export interface Move {
  readonly text: string
  readonly left: State
}

/** Every step from a state that gives no negative number; only whole ones unless `fractions`. */
export const moves = (state: State, fractions = true): ReadonlyArray<Move> => {
  const found = new Map<string, Move>()
  for (let i = 0; i < state.length; i++)
    for (let j = 0; j < state.length; j++) {
      const [a, b] = [state[i]!, state[j]!]
      if (i === j || order(a, b) < 0) continue
      const add = (x: Fraction, operator: Operator, y: Fraction) => {
        const value = apply(x, operator, y)
        if (value === undefined || (!fractions && value.d !== 1)) return
        const left = [...state.filter((_, k) => k !== i && k !== j), value].sort(order)
        const text = `${show(x)}${operator}${show(y)}`
        found.set(text, { text, left })
      }
      for (const operator of ["+", "*", "-", ":"] as const) add(a, operator, b)
      if (order(a, b) > 0) add(b, ":", a)
    }
  return [...found.values()]
}

/** Answers of `reachable` that are kept: enough for all puzzles of four numbers up to 16, and for training. */
const kept = 2_000_000
const memo = new Map<string, boolean>()
/** Whether the target can be reached with every number used once. */
export const reachable = (state: State, target: number): boolean => {
  if (state.length === 1) return same(state[0]!, fraction(target))
  const key = `${target}|${stateText(state)}`
  const known = memo.get(key)
  if (known !== undefined) return known
  const answer = moves(state).some((m) => reachable(m.left, target))
  if (memo.size > kept) memo.clear()
  memo.set(key, answer)
  return answer
}
