/**
 * From a JSON Schema to the grammar of its instances, compactly spelled. Which keywords bind is listed in ../gbnf.ts.
 */
import type { JsonSchema } from "../../schema.ts"
import { alt, type Expr, empty, never, optional, type Rules, repeat, rule, seq, text } from "./grammar.ts"
import { alternatives, asObject, GrammarError, list, resolve } from "./merge.ts"
import { type Bounds, integer, number } from "./number.ts"
import { formats, matches, pattern } from "./pattern.ts"
import { freeChar, otherThan } from "./text.ts"

/** At most one space, as some models are used to write after a colon or a comma. */
export const space = rule("space")
const colon = seq(text(":"), space)
const comma = seq(text(","), space)
const quoted = (body: Expr): Expr => seq(text('"'), body, text('"'))

export interface SchemaOptions {
  /** Longest string, in characters, where the schema sets no limit. */
  readonly maxStringLength: number
}

/** The rules that all schemas share. */
export const sharedRules = ({ maxStringLength }: SchemaOptions): Rules =>
  new Map<string, Expr>([
    ["space", optional(text(" "))],
    ["char", freeChar],
    ["string", quoted(repeat(rule("char"), 0, maxStringLength))],
    ["integer", integer({ min: undefined, max: undefined })],
    ["number", number({ min: undefined, max: undefined })],
    ["boolean", alt(text("true"), text("false"))],
    ["null", text("null")],
    ["json", alt(...["object", "array", "string", "number", "boolean", "null"].map(rule))],
    ["member", seq(rule("string"), colon, rule("json"))],
    ["object", seq(text("{"), optional(commas(rule("member"))), text("}"))],
    ["array", seq(text("["), optional(commas(rule("json"))), text("]"))]
  ])

const commas = (item: Expr): Expr => seq(item, repeat(seq(comma, item), 0, Number.POSITIVE_INFINITY))

const allTypes = ["object", "array", "string", "number", "boolean", "null"]

/** A schema without `type` is about the type that its keywords speak of; without such keywords, about all. */
const speaksOf: ReadonlyArray<readonly [string, ReadonlyArray<string>]> = [
  [
    "object",
    ["properties", "required", "additionalProperties", "patternProperties", "minProperties", "maxProperties"]
  ],
  ["array", ["items", "prefixItems", "minItems", "maxItems", "uniqueItems", "contains"]],
  ["string", ["minLength", "maxLength", "pattern", "format"]],
  ["number", ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"]]
]

const typesOf = (s: JsonSchema, where: string): ReadonlyArray<string> => {
  if (s.type === undefined) {
    const spoken = speaksOf.filter(([, keys]) => keys.some((key) => key in s)).map(([type]) => type)
    return spoken.length > 0 ? spoken : allTypes
  }
  const types = Array.isArray(s.type) ? s.type : [s.type]
  for (const type of types) {
    if (type !== "integer" && !allTypes.includes(type)) {
      throw new GrammarError(`unknown type ${JSON.stringify(type)}`, `${where}/type`)
    }
  }
  return types
}

const isOfType = (value: unknown, type: string): boolean => {
  switch (type) {
    case "null":
      return value === null
    case "array":
      return Array.isArray(value)
    case "object":
      return typeof value === "object" && value !== null && !Array.isArray(value)
    case "integer":
      return Number.isInteger(value)
    default:
      return typeof value === type
  }
}

/** Whether a number or a string of an enum keeps to the limits beside it. */
const isWithin = (value: unknown, s: JsonSchema): boolean => {
  const n =
    typeof value === "string" ? Array.from(value).length : typeof value === "number" ? value : undefined
  if (n === undefined) return true
  const [min, max] = typeof value === "string" ? ["minLength", "maxLength"] : ["minimum", "maximum"]
  const holds = (limit: unknown, test: (limit: number) => boolean): boolean =>
    typeof limit !== "number" || test(limit)
  return (
    holds(s[min!], (limit) => n >= limit) &&
    holds(s[max!], (limit) => n <= limit) &&
    (typeof value === "string"
      ? typeof s.pattern !== "string" || matches(s.pattern, value)
      : holds(s.exclusiveMinimum, (limit) => n > limit) && holds(s.exclusiveMaximum, (limit) => n < limit))
  )
}

const size = (value: unknown, otherwise: number, where: string): number => {
  if (value === undefined) return otherwise
  if (typeof value === "number" && value >= 0) return Math.floor(value)
  throw new GrammarError("must be a number that is not negative", where)
}

/** The bounds of a number; of a `whole` one, exclusive bounds are the next whole numbers. */
const bounds = (s: JsonSchema, where: string, whole: boolean): Bounds => {
  const at = (key: string): number | undefined => {
    const value = s[key]
    if (value === undefined || typeof value === "number") return value
    throw new GrammarError("must be a number", `${where}/${key}`)
  }
  const above = at("exclusiveMinimum")
  const below = at("exclusiveMaximum")
  const mins = [at("minimum"), whole && above !== undefined ? Math.floor(above) + 1 : above]
  const maxs = [at("maximum"), whole && below !== undefined ? Math.ceil(below) - 1 : below]
  const given = (values: ReadonlyArray<number | undefined>) => values.filter((n) => n !== undefined)
  return {
    min: given(mins).length === 0 ? undefined : Math.max(...given(mins)),
    max: given(maxs).length === 0 ? undefined : Math.min(...given(maxs))
  }
}

const isFree = ({ min, max }: Bounds): boolean => min === undefined && max === undefined

/** Compiles the schemas of one document into `rules`. Names of rules made on the way start with `prefix`. */
export const schemaCompiler = (root: JsonSchema, rules: Rules, prefix: string, options: SchemaOptions) => {
  const named = new Map<unknown, string>()
  const unlimited = Number.POSITIVE_INFINITY

  const define = (body: Expr): Expr => {
    const name = `${prefix}-${rules.size}`
    rules.set(name, body)
    return rule(name)
  }

  /** One rule for each schema that is referred to or combined: what makes recursion finite. */
  const shared = (schema: unknown, where: string): Expr => {
    const known = named.get(schema)
    if (known !== undefined) return rule(known)
    const name = `${prefix}-${rules.size}`
    named.set(schema, name)
    rules.set(name, never)
    rules.set(name, alt(...alternatives(root, schema, where).map((one) => plain(one, where))))
    return rule(name)
  }

  const integerOf = (s: JsonSchema, where: string): Expr => {
    const limits = bounds(s, where, true)
    return isFree(limits) ? rule("integer") : integer(limits)
  }

  const numberOf = (s: JsonSchema, where: string): Expr => {
    const limits = bounds(s, where, false)
    return isFree(limits) ? rule("number") : number(limits)
  }

  const stringOf = (s: JsonSchema, where: string): Expr => {
    const shaped =
      (typeof s.pattern === "string" ? pattern(s.pattern, options.maxStringLength) : undefined) ??
      (typeof s.format === "string" && formats[s.format] !== undefined
        ? pattern(formats[s.format]!, options.maxStringLength)
        : undefined)
    if (shaped !== undefined) return quoted(shaped)
    const min = size(s.minLength, 0, `${where}/minLength`)
    const max = size(s.maxLength, unlimited, `${where}/maxLength`)
    if (min === 0 && max === unlimited) return rule("string")
    return quoted(repeat(rule("char"), min, Math.min(max, Math.max(min, options.maxStringLength))))
  }

  const arrayOf = (s: JsonSchema, where: string): Expr => {
    const first = Array.isArray(s.prefixItems) ? s.prefixItems : []
    const min = size(s.minItems, 0, `${where}/minItems`)
    const max = size(s.maxItems, unlimited, `${where}/maxItems`)
    if (max < min) return never
    const more = s.items ?? first.length === 0
    const item = seq(comma, value(more, `${where}/items`))
    /** What follows item `i`, comma included. */
    const after = (i: number): Expr => {
      if (i >= max) return empty
      const rest =
        i < first.length
          ? seq(comma, value(first[i], `${where}/prefixItems/${i}`), after(i + 1))
          : repeat(item, Math.max(0, min - i), max - i)
      return i >= first.length || i < min ? rest : optional(rest)
    }
    if (max === 0) return text("[]")
    const filled = seq(
      first.length > 0 ? value(first[0], `${where}/prefixItems/0`) : value(more, `${where}/items`),
      after(1)
    )
    return seq(text("["), min > 0 ? filled : optional(filled), text("]"))
  }

  const objectOf = (s: JsonSchema, where: string): Expr => {
    const listed = asObject(s.properties ?? {}, `${where}/properties`)
    const required = new Set(list(s.required ?? [], `${where}/required`) as ReadonlyArray<string>)
    const open = s.properties === undefined && s.additionalProperties === undefined
    /** What a key that is not listed may hold. */
    const unlisted = s.patternProperties !== undefined ? true : s.additionalProperties
    const others = unlisted ?? open
    const names = [...new Set([...Object.keys(listed), ...required])]
    if (names.length === 0 && others === true) return rule("object")
    const member = (name: string): Expr => {
      const own = Object.hasOwn(listed, name)
      const schema = own ? listed[name] : (unlisted ?? true)
      return seq(
        text(JSON.stringify(name)),
        colon,
        value(schema, own ? `${where}/properties/${pointer(name)}` : where)
      )
    }
    const other =
      others === false
        ? never
        : define(
            seq(
              quoted(otherThan(names, options.maxStringLength)),
              colon,
              value(others, `${where}/additionalProperties`)
            )
          )
    // From the last name to the first: what may stand from name i on, when something was written before and when not.
    let later: Expr = repeat(seq(comma, other), 0, unlimited)
    let first: Expr = optional(commas(other))
    for (const name of names.toReversed()) {
      const here = define(member(name))
      first = required.has(name) ? seq(here, later) : alt(seq(here, later), first)
      later = define(required.has(name) ? seq(comma, here, later) : seq(optional(seq(comma, here)), later))
    }
    return seq(text("{"), first, text("}"))
  }

  const plain = (s: JsonSchema, where: string): Expr => {
    const types = typesOf(s, where)
    if (s.enum !== undefined) {
      const all = list(s.enum, `${where}/enum`)
      const typed = s.type === undefined ? all : all.filter((v) => types.some((t) => isOfType(v, t)))
      return alt(...typed.filter((v) => isWithin(v, s)).map((v) => text(JSON.stringify(v))))
    }
    return alt(
      ...types.map((type) => {
        switch (type) {
          case "object":
            return objectOf(s, where)
          case "array":
            return arrayOf(s, where)
          case "string":
            return stringOf(s, where)
          case "integer":
            return integerOf(s, where)
          case "number":
            return numberOf(s, where)
          default:
            return rule(type)
        }
      })
    )
  }

  /** The grammar of one schema's instances. `where` is its place in the document, for errors. */
  const value = (schema: unknown, where: string): Expr => {
    if (where.length > deepest) throw new GrammarError("the schema nests too deeply", where.slice(0, 200))
    const s = asObject(schema, where)
    const keys = Object.keys(s).filter((key) => !annotations.has(key))
    if (keys.length === 0) return rule("json")
    if (keys.length === 1 && keys[0] === "$ref") return shared(resolve(root, s.$ref, where), where)
    if (keys.some((key) => combinators.has(key))) return shared(schema, where)
    return alt(...alternatives(root, schema, where).map((one) => plain(one, where)))
  }

  return value
}

/** Longest path into a schema, in characters: well beyond any tool's, well before the stack ends. */
const deepest = 5000

const combinators = new Set(["$ref", "allOf", "anyOf", "oneOf"])

/** Keywords that say nothing about instances. */
const annotations = new Set([
  "title",
  "description",
  "default",
  "examples",
  "deprecated",
  "readOnly",
  "writeOnly",
  "$comment",
  "$schema",
  "$id",
  "$defs",
  "definitions"
])

const pointer = (name: string): string => name.replaceAll("~", "~0").replaceAll("/", "~1")
