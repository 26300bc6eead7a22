/**
 * JSON strings as grammar (RFC 8259, section 7): which characters a string may hold and how each is spelled.
 */
import { alt, type CharSet, chars, type Expr, repeat, seq, text } from "./grammar.ts"

const last = 0x10ffff

/** Every character that Unicode text can hold: surrogates are no characters. */
export const anyChar: CharSet = [
  [0, 0xd7ff],
  [0xe000, last]
]

export const union = (a: CharSet, b: CharSet): CharSet => {
  const out: Array<[number, number]> = []
  for (const [from, to] of [...a, ...b].sort((x, y) => x[0] - y[0])) {
    const previous = out.at(-1)
    if (previous !== undefined && from <= previous[1] + 1) previous[1] = Math.max(previous[1], to)
    else out.push([from, to])
  }
  return out
}

export const intersect = (a: CharSet, b: CharSet): CharSet =>
  a.flatMap(([from, to]) =>
    b.map(([x, y]) => [Math.max(from, x), Math.min(to, y)] as const).filter(([x, y]) => x <= y)
  )

/** All characters that are not in `set`. */
export const complement = (set: CharSet): CharSet => {
  const out: Array<readonly [number, number]> = []
  let next = 0
  for (const [from, to] of union(set, [])) {
    if (from > next) out.push([next, from - 1])
    next = to + 1
  }
  if (next <= last) out.push([next, last])
  return intersect(out, anyChar)
}

/** Characters that stand for themselves in a JSON string. */
const bare = complement([
  [0, 0x1f],
  [0x22, 0x22],
  [0x5c, 0x5c]
])

const shortEscapes = new Map([
  [0x22, '"'],
  [0x5c, "\\"],
  [0x08, "b"],
  [0x09, "t"],
  [0x0a, "n"],
  [0x0c, "f"],
  [0x0d, "r"]
])

/** Characters of `set`, each in the one spelling that JSON.stringify gives it. */
export const spelled = (set: CharSet): Expr => {
  const escaped = intersect(set, [
    [0, 0x1f],
    [0x22, 0x22],
    [0x5c, 0x5c]
  ]).flatMap(([from, to]) => Array.from({ length: to - from + 1 }, (_, i) => from + i))
  const short = escaped
    .filter((code) => shortEscapes.has(code))
    .map((code) => shortEscapes.get(code)!.charCodeAt(0))
  const long = escaped
    .filter((code) => !shortEscapes.has(code))
    .map((code) => code.toString(16).padStart(4, "0"))
  const plain = intersect(set, bare)
  const alternatives: Array<Expr> = []
  if (plain.length > 0) alternatives.push(chars(plain))
  if (short.length > 0)
    alternatives.push(
      seq(
        text("\\"),
        chars(
          union(
            short.map((c) => [c, c] as const),
            []
          )
        )
      )
    )
  for (const half of ["000", "001"]) {
    const digits = long.filter((code) => code.startsWith(half)).map((code) => code.charCodeAt(3))
    if (digits.length > 0) {
      alternatives.push(
        seq(
          text(`\\u${half}`),
          chars(
            union(
              digits.map((c) => [c, c] as const),
              []
            )
          )
        )
      )
    }
  }
  return alt(...alternatives)
}

const set = (...ranges: ReadonlyArray<string>): CharSet =>
  union(
    ranges.map((r) => [r.charCodeAt(0), r.charCodeAt(r.length - 1)] as const),
    []
  )

const hexDigit = chars(set("0-9", "a-f", "A-F"))

/**
 * One character of a free string, in any spelling that JSON allows. A character above U+FFFF may be a pair of \u
 * escapes; half a pair is not a character and is left out.
 */
export const freeChar: Expr = alt(
  chars(bare),
  seq(
    text("\\"),
    alt(
      chars(union(set("b", "f", "n", "r", "t", "/", '"'), [[0x5c, 0x5c]])),
      seq(
        text("u"),
        alt(
          seq(chars(set("0-9", "a-c", "A-C", "e-f", "E-F")), repeat(hexDigit, 3, 3)),
          seq(chars(set("d", "D")), chars(set("0-7")), repeat(hexDigit, 2, 2)),
          seq(
            chars(set("d", "D")),
            chars(set("8-9", "a-b", "A-B")),
            repeat(hexDigit, 2, 2),
            text("\\u"),
            chars(set("d", "D")),
            chars(set("c-f", "C-F")),
            repeat(hexDigit, 2, 2)
          )
        )
      )
    )
  )
)

/**
 * The body of a string, in JSON.stringify's spelling, that is none of `words`: a tree of their first characters where
 * every step off the tree leads to free text of at most `limit` characters.
 */
export const otherThan = (words: ReadonlyArray<string>, limit: number): Expr => {
  const free = repeat(spelled(anyChar), 0, limit)
  const at = (rest: ReadonlyArray<string>): Expr => {
    const next = new Map<number, Array<string>>()
    for (const word of rest) {
      const code = word.codePointAt(0)
      if (code === undefined) continue
      next.set(code, [...(next.get(code) ?? []), word.slice(String.fromCodePoint(code).length)])
    }
    const taken = union(
      [...next.keys()].map((code) => [code, code] as const),
      []
    )
    return alt(
      ...(rest.includes("") ? [] : [text("")]),
      seq(spelled(complement(taken)), free),
      ...[...next].map(([code, more]) => seq(spelled([[code, code]]), at(more)))
    )
  }
  return at(words)
}
