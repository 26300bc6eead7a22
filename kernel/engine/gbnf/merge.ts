/**
 * Schemas taken apart: `$ref`, `allOf`, `anyOf`, `oneOf` and `const` resolved into a list of plain alternatives.
 *
 * An instance satisfies the schema when it satisfies one alternative. `oneOf` is read as `anyOf`: that at most one
 * matches is left to the validator.
 */
import type { JsonSchema } from "../../schema.ts"

/** A schema that cannot be turned into a grammar. `where` is a JSON Pointer into the tool's input schema. */
export class GrammarError extends Error {
  readonly _tag = "GrammarError"
  readonly reason: string
  readonly where: string
  constructor(reason: string, where: string) {
    super(`${reason} (at ${where === "" ? "the top" : where})`)
    this.name = "GrammarError"
    this.reason = reason
    this.where = where
  }
}

export type Schema = JsonSchema | boolean

/** `boolean` schemas as objects: `true` allows everything, `false` has no type that an instance could be of. */
export const asObject = (schema: unknown, where: string): JsonSchema => {
  if (schema === true) return {}
  if (schema === false) return { type: [] }
  if (typeof schema === "object" && schema !== null && !Array.isArray(schema)) return schema as JsonSchema
  throw new GrammarError("a schema must be an object or a boolean", where)
}

/** Follows a reference inside the same document (RFC 6901). */
export const resolve = (root: JsonSchema, ref: unknown, where: string): unknown => {
  if (typeof ref !== "string" || (ref !== "#" && !ref.startsWith("#/"))) {
    throw new GrammarError(
      `only references inside the schema are followed, not ${JSON.stringify(ref)}`,
      where
    )
  }
  let at: unknown = root
  for (const part of decoded(ref).split("/").slice(1)) {
    const key = part.replaceAll("~1", "/").replaceAll("~0", "~")
    if (typeof at !== "object" || at === null || !Object.hasOwn(at, key)) {
      throw new GrammarError(`nothing is at the reference ${JSON.stringify(ref)}`, where)
    }
    at = (at as Record<string, unknown>)[key]
  }
  return at
}

/** References are URI fragments (RFC 6901, section 6). One that is not well formed leads nowhere as it stands. */
const decoded = (ref: string): string => {
  try {
    return decodeURIComponent(ref)
  } catch {
    return ref
  }
}

/** A keyword that must be an array. */
export const list = (value: unknown, where: string): ReadonlyArray<unknown> => {
  if (!Array.isArray(value)) throw new GrammarError("must be an array", where)
  return value
}

const typesOf = (type: unknown): ReadonlyArray<unknown> => (Array.isArray(type) ? type : [type])

const commonTypes = (a: unknown, b: unknown): ReadonlyArray<unknown> => {
  const both = typesOf(a).flatMap((x) =>
    typesOf(b).flatMap((y) =>
      x === y
        ? [x]
        : (x === "integer" && y === "number") || (x === "number" && y === "integer")
          ? ["integer"]
          : []
    )
  )
  return [...new Set(both)]
}

const pairs = new WeakMap<object, WeakMap<object, JsonSchema>>()

/** The schema that says both. The same pair gives the same object, so that recursion through it is recognised. */
const both = (a: unknown, b: unknown): unknown => {
  if (a === undefined || a === true || b === false) return b
  if (b === undefined || b === true || a === false) return a
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return { allOf: [a, b] }
  const known = pairs.get(a) ?? new WeakMap<object, JsonSchema>()
  const pair = known.get(b) ?? { allOf: [a, b] }
  pairs.set(a, known.set(b, pair))
  return pair
}

const record = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {}

/** `own` as the other schema sees it: names that it does not list must satisfy its `additionalProperties`. */
const properties = (a: JsonSchema, b: JsonSchema): Record<string, unknown> => {
  const left = record(a.properties)
  const right = record(b.properties)
  const of = (name: string): unknown =>
    both(
      Object.hasOwn(left, name) ? left[name] : a.patternProperties ? undefined : a.additionalProperties,
      Object.hasOwn(right, name) ? right[name] : b.patternProperties ? undefined : b.additionalProperties
    )
  return Object.fromEntries(
    [...new Set([...Object.keys(left), ...Object.keys(right)])].map((n) => [n, of(n)])
  )
}

const prefixes = (a: JsonSchema, b: JsonSchema): ReadonlyArray<unknown> => {
  const left = (a.prefixItems ?? []) as ReadonlyArray<unknown>
  const right = (b.prefixItems ?? []) as ReadonlyArray<unknown>
  return Array.from({ length: Math.max(left.length, right.length) }, (_, i) =>
    both(i < left.length ? left[i] : a.items, i < right.length ? right[i] : b.items)
  )
}

const atMost = new Set(["maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"])
const atLeast = new Set(["minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"])

/** One plain schema for the instances that satisfy both. Of two patterns or formats the first is kept. */
export const merge = (a: JsonSchema, b: JsonSchema): JsonSchema => {
  const out: Record<string, unknown> = { ...b, ...a }
  for (const key of Object.keys(out)) {
    const x = a[key]
    const y = b[key]
    if (x === undefined || y === undefined) continue
    if (atMost.has(key)) out[key] = Math.min(Number(x), Number(y))
    else if (atLeast.has(key)) out[key] = Math.max(Number(x), Number(y))
    else if (key === "type") out[key] = commonTypes(x, y)
    else if (key === "required") out[key] = [...new Set([...(x as Array<string>), ...(y as Array<string>)])]
    else if (key === "items" || key === "additionalProperties") out[key] = both(x, y)
    else if (key === "enum") {
      const right = new Set((y as ReadonlyArray<unknown>).map((v) => JSON.stringify(v)))
      out[key] = (x as ReadonlyArray<unknown>).filter((v) => right.has(JSON.stringify(v)))
    }
  }
  if (a.properties !== undefined || b.properties !== undefined) out.properties = properties(a, b)
  if (a.prefixItems !== undefined || b.prefixItems !== undefined) out.prefixItems = prefixes(a, b)
  return out
}

const combinators = new Set(["$ref", "allOf", "anyOf", "oneOf", "const", "$defs", "definitions"])

/** More alternatives than this are a mistake rather than a tool. */
const mostAlternatives = 256

/** The plain alternatives of a schema, which hold none of the combining keywords. */
export const alternatives = (
  root: JsonSchema,
  schema: unknown,
  where: string,
  above: ReadonlyArray<unknown> = []
): ReadonlyArray<JsonSchema> => {
  if (above.includes(schema)) throw new GrammarError("the schema is defined as itself", where)
  if (above.length > 64) throw new GrammarError("the schema combines schemas too deeply", where)
  const s = asObject(schema, where)
  const inside = [...above, schema]
  const plain: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(s)) if (!combinators.has(key)) plain[key] = value
  if (Array.isArray(plain.items)) {
    // The tuple form of older drafts.
    plain.prefixItems = plain.items
    if (s.additionalItems === undefined) delete plain.items
    else plain.items = s.additionalItems
  }
  let out: ReadonlyArray<JsonSchema> = ["const" in s ? merge(plain, { enum: [s.const] }) : plain]
  const and = (more: ReadonlyArray<JsonSchema>): void => {
    if (out.length * more.length > mostAlternatives) throw new GrammarError("too many alternatives", where)
    out = out.flatMap((a) => more.map((b) => merge(a, b)))
  }
  if ("$ref" in s) and(alternatives(root, resolve(root, s.$ref, where), where, inside))
  for (const [i, part] of ("allOf" in s ? list(s.allOf, `${where}/allOf`) : []).entries()) {
    and(alternatives(root, part, `${where}/allOf/${i}`, inside))
  }
  for (const key of ["anyOf", "oneOf"] as const) {
    if (!(key in s)) continue
    and(
      list(s[key], `${where}/${key}`).flatMap((p, i) => alternatives(root, p, `${where}/${key}/${i}`, inside))
    )
  }
  return out
}
