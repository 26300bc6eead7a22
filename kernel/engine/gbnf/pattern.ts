/**
 * Regular expressions as grammar: the regular part of ECMAScript's syntax, read with the `u` flag as the validator does.
 *
 * Understood: literals, `.`, classes, `\d \w \s` and their opposites, character escapes, groups, alternation, all
 * quantifiers, `^` and `$` at the ends of the top alternatives. Not understood, because they are not regular or not
 * worth their size: lookaround, back references, word boundaries, `\p{…}`, anchors elsewhere.
 */
import { alt, type CharSet, type Expr, empty, repeat, seq } from "./grammar.ts"
import { anyChar, complement, spelled, union } from "./text.ts"

class NotRegular extends Error {}

const code = (c: string): number => c.codePointAt(0)!
const only = (n: number): CharSet => [[n, n]]

const digitSet: CharSet = [[0x30, 0x39]]
const wordSet: CharSet = union(
  [
    [0x30, 0x39],
    [0x41, 0x5a],
    [0x5f, 0x5f]
  ],
  [[0x61, 0x7a]]
)
/** White space and line ends (ECMA-262, 12.2 and 12.3). */
const spaceSet: CharSet = [
  [0x09, 0x0d],
  [0x20, 0x20],
  [0xa0, 0xa0],
  [0x1680, 0x1680],
  [0x2000, 0x200a],
  [0x2028, 0x2029],
  [0x202f, 0x202f],
  [0x205f, 0x205f],
  [0x3000, 0x3000],
  [0xfeff, 0xfeff]
]
const dotSet = complement([
  [0x0a, 0x0a],
  [0x0d, 0x0d],
  [0x2028, 0x2029]
])

const sets: Readonly<Record<string, CharSet>> = {
  d: digitSet,
  D: complement(digitSet),
  w: wordSet,
  W: complement(wordSet),
  s: spaceSet,
  S: complement(spaceSet)
}
const controls: Readonly<Record<string, number>> = { t: 9, n: 10, v: 11, f: 12, r: 13 }

/** A reader over one expression. `limit` stands in for "without end". */
const reader = (source: string, limit: number) => {
  const input = Array.from(source)
  let at = 0
  const peek = (): string | undefined => input[at]
  const eat = (s: string): boolean => {
    if (input.slice(at, at + s.length).join("") !== s) return false
    at += s.length
    return true
  }
  const match = (re: RegExp): RegExpExecArray | undefined => {
    const found = re.exec(input.slice(at).join(""))
    if (found === null) return undefined
    at += Array.from(found[0]).length
    return found
  }

  /** What a backslash says, the backslash itself already read. */
  const escaped = (): CharSet => {
    const c = peek()
    if (c === undefined || /[1-9bBkpP]/.test(c)) throw new NotRegular()
    at++
    if (sets[c] !== undefined) return sets[c]
    if (controls[c] !== undefined) return only(controls[c])
    if (c === "0") return only(0)
    if (c === "c") return only(code(match(/^[A-Za-z]/)?.[0] ?? "@") % 32)
    if (c === "x") return only(Number.parseInt(match(/^[0-9a-fA-F]{2}/)![0], 16))
    if (c === "u") {
      const braced = match(/^\{([0-9a-fA-F]+)\}/)
      if (braced !== undefined) return only(Number.parseInt(braced[1]!, 16))
      const pair = match(/^([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})/)
      if (pair !== undefined) {
        return only(code(String.fromCharCode(Number.parseInt(pair[1]!, 16), Number.parseInt(pair[2]!, 16))))
      }
      return only(Number.parseInt(match(/^[0-9a-fA-F]{4}/)![0], 16))
    }
    return only(code(c))
  }

  const inClass = (): CharSet => (eat("\\") ? escaped() : only(code(input[at++]!)))

  /** A class, its opening bracket already read. */
  const charClass = (): CharSet => {
    const negated = eat("^")
    let set: CharSet = []
    while (!eat("]")) {
      const from = inClass()
      const isRange = peek() === "-" && input[at + 1] !== "]"
      if (!isRange) {
        set = union(set, from)
        continue
      }
      at++
      set = union(set, [[from[0]![0], inClass()[0]![0]]])
    }
    return negated ? complement(set) : set
  }

  const atom = (): Expr => {
    if (eat("(")) {
      if (eat("?") && !eat(":") && match(/^<[^=!>][^>]*>/) === undefined) throw new NotRegular()
      const body = disjunction()
      if (!eat(")")) throw new NotRegular()
      return body
    }
    if (eat("[")) return spelled(charClass())
    if (eat(".")) return spelled(dotSet)
    if (eat("\\")) return spelled(escaped())
    const c = input[at++]!
    if ("^$*+?{}])".includes(c)) throw new NotRegular()
    return spelled(only(code(c)))
  }

  const quantified = (): Expr => {
    const item = atom()
    const counts: readonly [number, number] | undefined = eat("*")
      ? [0, limit]
      : eat("+")
        ? [1, limit]
        : eat("?")
          ? [0, 1]
          : braces()
    if (counts === undefined) return item
    eat("?")
    return repeat(item, counts[0], Math.max(counts[0], counts[1]))
  }

  const braces = (): readonly [number, number] | undefined => {
    const found = match(/^\{(\d+)(,)?(\d+)?\}/)
    if (found === undefined) return undefined
    const min = Number(found[1])
    return [min, found[2] === undefined ? min : found[3] === undefined ? limit : Number(found[3])]
  }

  /** Terms up to the end of an alternative. */
  const terms = (top: boolean): Expr => {
    const items: Array<Expr> = []
    for (let c = peek(); c !== undefined && c !== "|" && c !== ")"; c = peek()) {
      if (top && c === "$" && [undefined, "|"].includes(input[at + 1])) break
      items.push(quantified())
    }
    return seq(...items)
  }

  const disjunction = (): Expr => {
    const items = [terms(false)]
    while (eat("|")) items.push(terms(false))
    return alt(...items)
  }

  /** The whole expression. Where it is not anchored, anything may stand before and after. */
  const whole = (): Expr => {
    const free = repeat(spelled(anyChar), 0, limit)
    const items: Array<Expr> = []
    do {
      const before = eat("^") ? empty : free
      const body = terms(true)
      items.push(seq(before, body, eat("$") ? empty : free))
    } while (eat("|"))
    if (at < input.length) throw new NotRegular()
    return alt(...items)
  }

  return whole
}

/**
 * The strings that match `source`, as the body of a JSON string; undefined when the expression is not one of those
 * understood. `limit` is the most times that an endless quantifier repeats.
 */
export const pattern = (source: string, limit: number): Expr | undefined => {
  try {
    new RegExp(source, "u")
    return reader(source, limit)()
  } catch (error) {
    if (error instanceof NotRegular || error instanceof SyntaxError) return undefined
    throw error
  }
}

/** Whether `value` matches; any does when the expression is not even well formed. */
export const matches = (source: string, value: string): boolean => {
  try {
    return new RegExp(source, "u").test(value)
  } catch {
    return true
  }
}

const dateFormat = String.raw`\d{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\d|30)|02-(?:0[1-9]|[12]\d))`
const timeFormat = String.raw`(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,9})?(?:Z|[+\-](?:[01]\d|2[0-3]):[0-5]\d)`
const byte = String.raw`(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)`
const label = "[A-Za-z0-9](?:[A-Za-z0-9\\-]{0,61}[A-Za-z0-9])?"

/** Formats that bind, as patterns: dates and times of RFC 3339, UUIDs of RFC 9562, plain mail addresses of RFC 5321. */
export const formats: Readonly<Record<string, string>> = {
  date: `^${dateFormat}$`,
  time: `^${timeFormat}$`,
  "date-time": `^${dateFormat}T${timeFormat}$`,
  uuid: "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$",
  email: `^[A-Za-z0-9_+\\-]{1,30}(?:\\.[A-Za-z0-9_+\\-]{1,30})?@${label}(?:\\.${label}){1,3}$`,
  ipv4: `^${byte}(?:\\.${byte}){3}$`
}
