/**
 * Numbers as grammar: ranges of integers written out digit by digit, and bounded numbers of digits everywhere, so that
 * a model that repeats itself comes to an end.
 */
import { alt, chars, type Expr, empty, never, optional, repeat, seq, text } from "./grammar.ts"

const digit = (from: number, to: number): Expr =>
  from === to ? text(String(from)) : chars([[0x30 + from, 0x30 + to]])

const digits = (min: number, max: number): Expr => repeat(digit(0, 9), min, max)

/** Digit strings of one length between `low` and `high`, both included. */
const sameLength = (low: string, high: string): Expr => {
  if (low === "") return empty
  const size = low.length - 1
  if (/^0*$/.test(low) && /^9*$/.test(high)) return digits(size + 1, size + 1)
  const first = Number(low[0])
  const end = Number(high[0])
  if (first === end) return seq(digit(first, first), sameLength(low.slice(1), high.slice(1)))
  const lowRest = low.slice(1)
  const highRest = high.slice(1)
  const fromHere = /^0*$/.test(lowRest) ? first : first + 1
  const toHere = /^9*$/.test(highRest) ? end : end - 1
  return alt(
    ...(fromHere > first ? [seq(digit(first, first), sameLength(lowRest, "9".repeat(size)))] : []),
    ...(fromHere <= toHere ? [seq(digit(fromHere, toHere), digits(size, size))] : []),
    ...(toHere < end ? [seq(digit(end, end), sameLength("0".repeat(size), highRest))] : [])
  )
}

/** Natural numbers from `low` to `high`, without leading zeros. */
const naturals = (low: bigint, high: bigint): Expr => {
  if (low > high) return never
  if (low === 0n) return alt(text("0"), high === 0n ? never : naturals(1n, high))
  const a = String(low)
  const b = String(high)
  if (a.length === b.length && !(/^10*$/.test(a) && /^9*$/.test(b))) return sameLength(a, b)
  // Lengths that are covered whole share one rule; the first and the last length may be covered in part.
  const whole = [/^10*$/.test(a) ? a.length : a.length + 1, /^9*$/.test(b) ? b.length : b.length - 1] as const
  return alt(
    ...(whole[0] > a.length ? [sameLength(a, "9".repeat(a.length))] : []),
    ...(whole[0] <= whole[1] ? [seq(digit(1, 9), digits(whole[0] - 1, whole[1] - 1))] : []),
    ...(whole[1] < b.length ? [sameLength(`1${"0".repeat(b.length - 1)}`, b)] : [])
  )
}

/** Lower and upper bound, both included; absent means none. */
export interface Bounds {
  readonly min: number | undefined
  readonly max: number | undefined
}

/** The largest integer that is written: 15 digits, which a double holds exactly. */
const largest = 10 ** 15 - 1

/** Integers within the bounds, at most 15 digits long. */
export const integer = ({ min, max }: Bounds): Expr => {
  const low = BigInt(Math.max(Math.ceil(min ?? -largest), -largest))
  const high = BigInt(Math.min(Math.floor(max ?? largest), largest))
  const negative = low < 0n ? seq(text("-"), naturals(high < 0n ? -high : 1n, -low)) : never
  return alt(high >= 0n ? naturals(low > 0n ? low : 0n, high) : never, negative)
}

const fraction = seq(text("."), digits(1, 22))
const exponent = seq(
  chars([
    [0x45, 0x45],
    [0x65, 0x65]
  ]),
  optional(
    chars([
      [0x2b, 0x2b],
      [0x2d, 0x2d]
    ])
  ),
  digits(1, 2)
)
/** The longest that JSON.stringify makes: 21 digits before the point and 22 after it, then it turns to exponents. */
const mostDigits = 10n ** 21n - 1n

/** Values from `low` to `high` without sign, in plain digits. A bound with a fraction is widened to the next integer. */
const magnitude = (low: number, high: number): Expr => {
  if (low > high) return never
  const from = BigInt(Math.floor(low))
  if (high === Number.POSITIVE_INFINITY) return seq(naturals(from, mostDigits), optional(fraction))
  const to = BigInt(Math.ceil(high))
  const exactly = seq(text(String(to)), optional(seq(text("."), repeat(text("0"), 1, 22))))
  return from >= to ? exactly : alt(seq(naturals(from, to - 1n), optional(fraction)), exactly)
}

/** Numbers within the bounds. Without bounds, or with `min` 0 alone, exponents up to two digits too. */
export const number = ({ min, max }: Bounds): Expr => {
  const any = seq(naturals(0n, mostDigits), optional(fraction), optional(exponent))
  if (max === undefined && min === undefined) return seq(optional(text("-")), any)
  if (max === undefined && min === 0) return any
  const low = Math.max(min ?? Number.NEGATIVE_INFINITY, -1e21)
  const high = Math.min(max ?? Number.POSITIVE_INFINITY, 1e21)
  return alt(
    high >= 0 ? magnitude(Math.max(low, 0), max === undefined ? Number.POSITIVE_INFINITY : high) : never,
    low < 0
      ? seq(text("-"), magnitude(Math.max(-high, 0), min === undefined ? Number.POSITIVE_INFINITY : -low))
      : never
  )
}
