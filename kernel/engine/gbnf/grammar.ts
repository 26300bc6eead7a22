/**
 * Grammars as data: built by the schema compiler, cleaned of dead ends, printed as GBNF.
 *
 * GBNF is llama.cpp's grammar notation (grammars/README.md in its repository). A dead end is a piece that no text can
 * satisfy, such as an alternative whose schema is `false`: a decoder that walks into one is stuck, so they are pruned.
 */

/** Inclusive ranges of code points, sorted and disjoint. */
export type CharSet = ReadonlyArray<readonly [number, number]>

/** A piece of grammar. `Repeat.max` may be Infinity; `Alt` of nothing matches nothing. */
export type Expr =
  | { readonly _tag: "Text"; readonly text: string }
  | { readonly _tag: "Chars"; readonly set: CharSet }
  | { readonly _tag: "Seq"; readonly items: ReadonlyArray<Expr> }
  | { readonly _tag: "Alt"; readonly items: ReadonlyArray<Expr> }
  | { readonly _tag: "Repeat"; readonly item: Expr; readonly min: number; readonly max: number }
  | { readonly _tag: "Rule"; readonly name: string }

export const text = (value: string): Expr => ({ _tag: "Text", text: value })
export const chars = (set: CharSet): Expr => ({ _tag: "Chars", set })
export const rule = (name: string): Expr => ({ _tag: "Rule", name })
export const never: Expr = { _tag: "Alt", items: [] }
export const empty: Expr = text("")

export const seq = (...items: ReadonlyArray<Expr>): Expr => {
  const flat: Array<Expr> = []
  for (const item of items.flatMap((item) => (item._tag === "Seq" ? item.items : [item]))) {
    const previous = flat.at(-1)
    if (item._tag !== "Text") flat.push(item)
    else if (previous?._tag === "Text") flat[flat.length - 1] = text(previous.text + item.text)
    else if (item.text !== "") flat.push(item)
  }
  return flat.length === 1 ? flat[0]! : flat.length === 0 ? empty : { _tag: "Seq", items: flat }
}

export const alt = (...items: ReadonlyArray<Expr>): Expr => {
  const flat = items.flatMap((item) => (item._tag === "Alt" ? item.items : [item]))
  return flat.length === 1 ? flat[0]! : { _tag: "Alt", items: flat }
}

/** llama.cpp refuses counts from 2,000 on and writes each repetition out as a rule, so long counts go in blocks. */
const mostRepeats = 1999
const block = 100

/** `item` from `min` to `max` times. Exact up to 199,999; a larger `max` becomes no limit. */
export const repeat = (item: Expr, min: number, max: number): Expr => {
  if (max < min) return never
  if (max === 0) return empty
  if (min === 1 && max === 1) return item
  const plain = (min: number, max: number): Expr => (max === 0 ? empty : { _tag: "Repeat", item, min, max })
  if (max === Number.POSITIVE_INFINITY || max >= block * (mostRepeats + 1)) {
    return min <= block
      ? plain(min, Number.POSITIVE_INFINITY)
      : seq(repeat(item, min, min), plain(0, Infinity))
  }
  if (max <= block * 2) return plain(min, max)
  // A count is `blocks` full blocks and a rest below one block: one way to read every text, so the decoder keeps few
  // alternatives alive.
  const full = (min: number, max: number): Expr =>
    max === 0 ? empty : { _tag: "Repeat", item: plain(block, block), min, max }
  const first = Math.floor(min / block)
  const last = Math.floor(max / block)
  if (first === last) return seq(full(first, first), plain(min % block, max % block))
  const between = last - first - 1
  return seq(
    full(first, first),
    alt(
      plain(min % block, block - 1),
      ...(between > 0 ? [seq(full(1, between), plain(0, block - 1))] : []),
      seq(full(last - first, last - first), plain(0, max % block))
    )
  )
}

export const optional = (item: Expr): Expr => repeat(item, 0, 1)

/** The rules of a grammar. The text starts at `root`. */
export type Rules = Map<string, Expr>

/** Whether some finite text satisfies `expr`, given the rules known to be satisfiable. */
const satisfiable = (expr: Expr, known: ReadonlySet<string>): boolean => {
  switch (expr._tag) {
    case "Text":
      return true
    case "Chars":
      return expr.set.length > 0
    case "Seq":
      return expr.items.every((item) => satisfiable(item, known))
    case "Alt":
      return expr.items.some((item) => satisfiable(item, known))
    case "Repeat":
      return expr.min === 0 || satisfiable(expr.item, known)
    case "Rule":
      return known.has(expr.name)
  }
}

const prune = (expr: Expr, known: ReadonlySet<string>): Expr => {
  switch (expr._tag) {
    case "Seq":
      return seq(...expr.items.map((item) => prune(item, known)))
    case "Alt":
      return alt(...expr.items.filter((item) => satisfiable(item, known)).map((item) => prune(item, known)))
    case "Repeat":
      return satisfiable(expr.item, known) ? { ...expr, item: prune(expr.item, known) } : empty
    default:
      return expr
  }
}

const names = (expr: Expr): ReadonlyArray<string> =>
  expr._tag === "Rule"
    ? [expr.name]
    : expr._tag === "Seq" || expr._tag === "Alt"
      ? expr.items.flatMap(names)
      : expr._tag === "Repeat"
        ? names(expr.item)
        : []

/** The same language without dead ends and unused rules; undefined when no text satisfies `root`. */
export const clean = (rules: Rules): Rules | undefined => {
  const known = new Set<string>()
  for (let before = -1; before < known.size; ) {
    before = known.size
    for (const [name, body] of rules) if (!known.has(name) && satisfiable(body, known)) known.add(name)
  }
  if (!known.has("root")) return undefined
  const used: Rules = new Map()
  const visit = (name: string): void => {
    if (used.has(name)) return
    const body = prune(rules.get(name)!, known)
    used.set(name, body)
    names(body).forEach(visit)
  }
  visit("root")
  return used
}

const hex = (code: number): string =>
  code <= 0xff
    ? `\\x${code.toString(16).padStart(2, "0")}`
    : code <= 0xffff
      ? `\\u${code.toString(16).padStart(4, "0")}`
      : `\\U${code.toString(16).padStart(8, "0")}`

const inText = (value: string): string =>
  value.replace(/["\\\x00-\x1f\x7f]/g, (c) => (c === '"' || c === "\\" ? `\\${c}` : hex(c.charCodeAt(0))))

const inSet = (code: number): string =>
  /[A-Za-z0-9 ]/.test(String.fromCodePoint(code)) ? String.fromCodePoint(code) : hex(code)

const count = (min: number, max: number): string =>
  max === Number.POSITIVE_INFINITY
    ? min === 0
      ? "*"
      : min === 1
        ? "+"
        : `{${min},}`
    : min === 0 && max === 1
      ? "?"
      : min === max
        ? `{${min}}`
        : `{${min},${max}}`

/** The rules as GBNF, one rule a line, `root` first. */
export const toGbnf = (rules: Rules): string => {
  /** Groups that are counted, by their text: llama.cpp multiplies a count with the size of what it repeats inline. */
  const groups = new Map<string, string>()

  const print = (expr: Expr, inside: "rule" | "seq"): string => {
    switch (expr._tag) {
      case "Text":
        return `"${inText(expr.text)}"`
      case "Chars":
        return `[${expr.set.map(([a, b]) => (a === b ? inSet(a) : `${inSet(a)}-${inSet(b)}`)).join("")}]`
      case "Rule":
        return expr.name
      case "Repeat":
        return `${repeated(expr)}${count(expr.min, expr.max)}`
      case "Seq":
        return expr.items.map((item) => print(item, "seq")).join(" ")
      case "Alt": {
        const body = expr.items.map((item) => print(item, "rule")).join(" | ")
        return inside === "rule" ? body : `(${body})`
      }
    }
  }

  const repeated = ({ item, min, max }: Expr & { _tag: "Repeat" }): string => {
    if (item._tag !== "Seq" && item._tag !== "Alt" && item._tag !== "Repeat") return print(item, "seq")
    const body = print(item, "rule")
    const isCounted = min > 1 || (max > 1 && max !== Number.POSITIVE_INFINITY)
    if (!isCounted) return `(${body})`
    const name = groups.get(body) ?? `group-${groups.size}`
    groups.set(body, name)
    return name
  }

  const lines = [...rules].map(([name, body]) => `${name} ::= ${print(body, "rule")}`)
  return [...lines, ...[...groups].map(([body, name]) => `${name} ::= ${body}`)].join("\n")
}
