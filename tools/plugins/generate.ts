/** Arguments made up from a schema, at its edges: what fits it must never crash a tool. The same seed gives the same ones. */
import type { JsonSchema } from "../../kernel/schema.ts"
import type { Json } from "../../kernel/tool.ts"
import { isObject } from "../foreign-schema.ts"

type Random = () => number

/** Numbers in [0, 1), splitmix32 (Steele, Lea, Flood 2014). */
export const random = (seed: number): Random => {
  let state = seed >>> 0
  return () => {
    state = (state + 0x9e3779b9) >>> 0
    let z = state
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad)
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97)
    return ((z ^ (z >>> 15)) >>> 0) / 2 ** 32
  }
}

const pick = <A>(from: ReadonlyArray<A>, next: Random): A => from[Math.floor(next() * from.length)]!

/** Texts that programs trip over. */
const texts = [
  "",
  " ",
  "a",
  "0",
  "-1",
  "null",
  "../..",
  "/",
  "--help",
  "a\nb",
  "é",
  "👍",
  "'; --",
  "\0",
  "x".repeat(300)
]

const numbers = [0, 1, -1, 0.5, 1e21, -1e21, 2 ** 31, 2 ** 53]

/** How deep values nest where nothing else ends them. */
const depth = 4

const count = (value: unknown, otherwise: number): number => (typeof value === "number" ? value : otherwise)

const string = ({ minLength, maxLength }: JsonSchema, next: Random): string => {
  const characters = Array.from(pick(texts, next))
  const most = count(maxLength, Number.POSITIVE_INFINITY)
  return characters.slice(0, most).join("").padEnd(count(minLength, 0), "x")
}

const number = (schema: JsonSchema, next: Random): number => {
  const least = count(schema.minimum, count(schema.exclusiveMinimum, Number.NEGATIVE_INFINITY) + 1)
  const most = count(schema.maximum, count(schema.exclusiveMaximum, Number.POSITIVE_INFINITY) - 1)
  const edges = [least, most].filter(Number.isFinite)
  const value = pick([...edges, ...numbers.filter((n) => n >= least && n <= most)], next)
  return schema.type === "integer" ? Math.round(value) : value
}

/** A value for a schema; it fits in all but rare cases, such as patterns, and whoever uses it checks that. */
export const valueFor = (schema: unknown, root: JsonSchema, next: Random, deep = depth): Json => {
  if (!isObject(schema)) return pick(texts, next)
  const of = (inner: unknown) => valueFor(inner, root, next, deep - 1)
  if ("const" in schema) return schema.const as Json
  if (Array.isArray(schema.enum)) return pick(schema.enum, next)
  if (typeof schema.$ref === "string") {
    const path = schema.$ref.split("/").slice(1)
    return of(path.reduce<unknown>((at, key) => (isObject(at) ? at[key] : undefined), root))
  }
  for (const key of ["anyOf", "oneOf"]) {
    const choices = schema[key]
    if (Array.isArray(choices)) return of({ ...schema, [key]: undefined, ...pick(choices, next) })
  }
  if (Array.isArray(schema.allOf)) return of(Object.assign({ ...schema, allOf: undefined }, ...schema.allOf))
  const type = Array.isArray(schema.type) ? pick(schema.type, next) : schema.type
  if (type === "object" || isObject(schema.properties)) return object(schema, of, next, deep)
  if (type === "array") {
    const least = count(schema.minItems, 0)
    const most = Math.min(count(schema.maxItems, least + 3), least + 3)
    const length = deep <= 0 ? least : least + Math.floor(next() * (most - least + 1))
    return Array.from({ length }, () => of(schema.items))
  }
  if (type === "integer" || type === "number") return number(schema, next)
  if (type === "boolean") return next() < 0.5
  return type === "null" ? null : string(schema, next)
}

const object = (schema: JsonSchema, of: (inner: unknown) => Json, next: Random, deep: number): Json => {
  const properties = isObject(schema.properties) ? schema.properties : {}
  const required = Array.isArray(schema.required) ? schema.required : []
  const chosen = Object.keys(properties).filter((key) => required.includes(key) || (deep > 0 && next() < 0.6))
  return Object.fromEntries(chosen.map((key) => [key, of(properties[key])]))
}

/** Arguments with one text of so many characters, where the schema has room for one; undefined where it has none. */
export const longText = (schema: JsonSchema, args: Json, length: number): Json | undefined => {
  const properties = isObject(schema.properties) ? schema.properties : {}
  const room = Object.entries(properties).find(
    ([, of]) => isObject(of) && of.type === "string" && !("enum" in of) && !("maxLength" in of)
  )
  return room === undefined || !isObject(args) ? undefined : { ...args, [room[0]]: "x".repeat(length) }
}
