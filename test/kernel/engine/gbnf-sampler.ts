/**
 * Random texts from a GBNF grammar: reads the notation as llama.cpp does, walks it with a budget of characters and then
 * takes the shortest way out.
 */
import type { Random } from "./random.ts"

type Node =
  | { readonly _tag: "Text"; readonly text: string }
  | {
      readonly _tag: "Set"
      readonly negated: boolean
      readonly ranges: ReadonlyArray<readonly [number, number]>
    }
  | { readonly _tag: "Seq"; readonly items: ReadonlyArray<Node> }
  | { readonly _tag: "Alt"; readonly items: ReadonlyArray<Node> }
  | { readonly _tag: "Repeat"; readonly item: Node; readonly min: number; readonly max: number }
  | { readonly _tag: "Rule"; readonly name: string }

export const parseGbnf = (source: string): ReadonlyMap<string, Node> => {
  const input = Array.from(source)
  let at = 0
  const blank = (): void => {
    while (input[at] === " ") at++
  }
  const char = (): string => {
    const c = input[at++]!
    if (c !== "\\") return c
    const e = input[at++]!
    const size = ({ x: 2, u: 4, U: 8 } as Readonly<Record<string, number>>)[e]
    if (size === undefined) return ({ n: "\n", r: "\r", t: "\t" } as Readonly<Record<string, string>>)[e] ?? e
    at += size
    return String.fromCodePoint(Number.parseInt(input.slice(at - size, at).join(""), 16))
  }
  const word = (allowed: RegExp): string => {
    let out = ""
    while (at < input.length && allowed.test(input[at]!)) out += input[at++]
    return out
  }
  const atom = (): Node => {
    if (input[at] === '"') {
      let text = ""
      for (at++; input[at] !== '"'; ) text += char()
      at++
      return { _tag: "Text", text }
    }
    if (input[at] === "[") {
      at++
      const negated = input[at] === "^"
      if (negated) at++
      const ranges: Array<readonly [number, number]> = []
      while (input[at] !== "]") {
        const from = char().codePointAt(0)!
        if (input[at] === "-") at++
        else {
          ranges.push([from, from])
          continue
        }
        ranges.push([from, char().codePointAt(0)!])
      }
      at++
      return { _tag: "Set", negated, ranges }
    }
    if (input[at] === "(") {
      at++
      const inner = alternatives()
      if (input[at++] !== ")") throw new Error(`expected ) at ${at}`)
      return inner
    }
    const name = word(/[A-Za-z0-9-]/)
    if (name === "") throw new Error(`unexpected ${JSON.stringify(input.slice(at, at + 10).join(""))}`)
    return { _tag: "Rule", name }
  }
  const repeated = (): Node => {
    let item = atom()
    for (;;) {
      if (input[at] === "*") item = { _tag: "Repeat", item, min: 0, max: Number.POSITIVE_INFINITY }
      else if (input[at] === "+") item = { _tag: "Repeat", item, min: 1, max: Number.POSITIVE_INFINITY }
      else if (input[at] === "?") item = { _tag: "Repeat", item, min: 0, max: 1 }
      else if (input[at] === "{") {
        at++
        const min = Number(word(/\d/))
        const comma = input[at] === ","
        if (comma) at++
        const max = word(/\d/)
        item = {
          _tag: "Repeat",
          item,
          min,
          max: !comma ? min : max === "" ? Number.POSITIVE_INFINITY : Number(max)
        }
      } else return item
      at++
    }
  }
  const sequence = (): Node => {
    const items: Array<Node> = []
    for (blank(); at < input.length && !"|)\n".includes(input[at]!); blank()) items.push(repeated())
    return { _tag: "Seq", items }
  }
  const alternatives = (): Node => {
    const items = [sequence()]
    while (input[at] === "|") {
      at++
      items.push(sequence())
    }
    return { _tag: "Alt", items }
  }
  const rules = new Map<string, Node>()
  while (at < input.length) {
    const name = word(/[A-Za-z0-9-]/)
    blank()
    if (input.slice(at, at + 3).join("") !== "::=") throw new Error(`expected ::= after ${name}`)
    at += 3
    rules.set(name, alternatives())
    if (input[at] === "\n") at++
  }
  return rules
}

/** Characters that are worth trying: the ones that JSON treats specially, and one of each UTF-8 length. */
const interesting = Array.from('"\\/bfnrtu \u0000\u001f\u007faé€😀{}[]:,0')

const fromSet = (node: Node & { _tag: "Set" }, random: Random): string => {
  const has = (code: number): boolean => node.ranges.some(([a, b]) => code >= a && code <= b) !== node.negated
  const nice = interesting.filter((c) => has(c.codePointAt(0)!))
  if (nice.length > 0 && (node.negated || random.chance(0.3))) return random.pick(nice)
  if (node.negated) throw new Error("a negated class without a known member")
  const [from, to] = random.pick(node.ranges)
  return String.fromCodePoint(from + random.below(Math.min(to - from + 1, 200)))
}

/** How many characters the shortest text of each rule has; Infinity for a rule that has none. */
const shortest = (rules: ReadonlyMap<string, Node>): ((node: Node) => number) => {
  const known = new Map<string, number>()
  const size = (node: Node): number => {
    switch (node._tag) {
      case "Text":
        return node.text.length
      case "Set":
        return 1
      case "Seq":
        return node.items.reduce((sum, item) => sum + size(item), 0)
      case "Alt":
        return Math.min(...node.items.map(size))
      case "Repeat":
        return node.min === 0 ? 0 : node.min * size(node.item)
      case "Rule":
        return known.get(node.name) ?? Number.POSITIVE_INFINITY
    }
  }
  for (let changed = true; changed; ) {
    changed = false
    for (const [name, body] of rules) {
      const now = size(body)
      if (now < (known.get(name) ?? Number.POSITIVE_INFINITY)) {
        known.set(name, now)
        changed = true
      }
    }
  }
  return size
}

/** A function that gives random texts of the grammar, most of them not much longer than `budget`. */
export const sampler = (gbnf: string, random: Random, budget = 60): (() => string) => {
  const rules = parseGbnf(gbnf)
  const size = shortest(rules)
  return () => {
    let out = ""
    const walk = (node: Node): void => {
      const tired = out.length >= budget
      switch (node._tag) {
        case "Text":
          out += node.text
          return
        case "Set":
          out += fromSet(node, random)
          return
        case "Seq":
          node.items.forEach(walk)
          return
        case "Alt": {
          const open = node.items.filter((item) => Number.isFinite(size(item)))
          const least = Math.min(...open.map(size))
          walk(random.pick(tired ? open.filter((item) => size(item) === least) : open))
          return
        }
        case "Repeat": {
          for (let i = 0; i < node.min; i++) walk(node.item)
          for (let i = node.min; i < node.max && out.length < budget && random.chance(0.6); i++)
            walk(node.item)
          return
        }
        case "Rule":
          walk(rules.get(node.name)!)
      }
    }
    walk({ _tag: "Rule", name: "root" })
    return out
  }
}
