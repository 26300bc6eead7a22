/**
 * Schemas that somebody else wrote: a plugin, an MCP server. The kernel matches values against them, and a schema is a
 * program, some of which never end; and the model reads parts of them, which could say anything.
 */
import type { JsonSchema } from "../kernel/schema.ts"
import { isSimple } from "./pattern.ts"
import { oneLine, unprintable } from "./text.ts"

export const isObject = (value: unknown): value is JsonSchema =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** Keys that make a schema more than data about one value: names that others see, another dialect, promises. */
const foreign = new Set([
  ...["$id", "$schema", "$async", "$vocabulary", "$anchor"],
  ...["$dynamicRef", "$dynamicAnchor", "$recursiveRef", "$recursiveAnchor"]
])

/** Keys whose value is no schema itself: it gives names to schemas. */
const naming = new Set(["properties", "patternProperties", "$defs", "definitions", "dependentSchemas"])

/** Schemas inside a schema, with each reference counted as what it refers to. */
const maxSize = 10_000

/** Characters of a property's name and of a value that is given in the schema: the model reads both. */
const maxWord = 64

/** Characters of a description inside a schema. */
const maxDescription = 200

const propertyName = /^[A-Za-z0-9_.-]{1,64}$/

const show = (text: string): string => JSON.stringify(oneLine(text, 60))

/** What a reference inside a schema leads to (RFC 6901). */
const target = (root: unknown, ref: string): unknown =>
  ref
    .split("/")
    .slice(1)
    .map((key) => decodeURIComponent(key).replaceAll("~1", "/").replaceAll("~0", "~"))
    .reduce<unknown>(
      (at, key) =>
        typeof at === "object" && at !== null && Object.hasOwn(at, key)
          ? (at as { readonly [key: string]: unknown })[key]
          : undefined,
      root
    )

const checkName = (name: unknown): void => {
  if (typeof name === "string" && !propertyName.test(name))
    throw new Error(`the property name ${show(name)} must match ${propertyName}`)
}

/** Texts in a value that the schema gives. */
const checkValue = (value: unknown): void => {
  if (typeof value === "string" && (value.length > maxWord || unprintable.test(value)))
    throw new Error(`the value ${show(value)} must be one line of at most ${maxWord} characters`)
  if (Array.isArray(value)) value.forEach(checkValue)
  if (!isObject(value)) return
  Object.keys(value).forEach(checkName)
  Object.values(value).forEach(checkValue)
}

/** What is said in one object of the schema itself. */
const checkWords = (schema: JsonSchema): void => {
  if (isObject(schema.properties)) Object.keys(schema.properties).forEach(checkName)
  if (Array.isArray(schema.required)) schema.required.forEach(checkName)
  if (Array.isArray(schema.enum)) schema.enum.forEach(checkValue)
  checkValue(schema.const)
  const patterns = [
    schema.pattern,
    ...(isObject(schema.patternProperties) ? Object.keys(schema.patternProperties) : [])
  ]
  for (const pattern of patterns)
    if (typeof pattern === "string" && !isSimple(pattern))
      throw new Error(`the pattern ${show(pattern)} may be slow to match`)
}

/** Why a schema is not taken, if so. */
export const problemOfSchema = (root: unknown): string | undefined => {
  const sizes = new Map<string, number>()
  const sizeOf = (schema: unknown, open: ReadonlyArray<string>, names = false): number => {
    if (Array.isArray(schema)) return schema.reduce<number>((sum, inside) => sum + sizeOf(inside, open), 1)
    if (!isObject(schema)) return 1
    let size = 1
    for (const [key, value] of Object.entries(schema)) {
      if (foreign.has(key) && !names) throw new Error(`${key} is not taken`)
      size +=
        key === "$ref" && typeof value === "string"
          ? sizeOfRef(value, open)
          : sizeOf(value, open, !names && naming.has(key))
    }
    if (!names) checkWords(schema)
    return size
  }
  const sizeOfRef = (ref: string, open: ReadonlyArray<string>): number => {
    if (!ref.startsWith("#/")) throw new Error(`the reference ${show(ref)} leads out of its schema`)
    if (open.includes(ref)) throw new Error(`the reference ${show(ref)} leads back to itself`)
    const to = target(root, ref)
    if (to === undefined) throw new Error(`the reference ${show(ref)} leads nowhere`)
    const size = sizes.get(ref) ?? sizeOf(to, [...open, ref])
    sizes.set(ref, size)
    return size
  }
  try {
    return sizeOf(root, []) > maxSize ? "its references written out, it is too large" : undefined
  } catch (cause) {
    return (cause as Error).message
  }
}

/** The same schema with every keyword as `change` gives it; without those for which it gives undefined. */
const changed = (
  schema: unknown,
  change: (key: string, value: unknown) => unknown,
  names = false
): unknown => {
  if (Array.isArray(schema)) return schema.map((inside) => changed(inside, change))
  if (!isObject(schema)) return schema
  return Object.fromEntries(
    Object.entries(schema).flatMap(([key, value]) => {
      const kept = names ? value : change(key, value)
      if (kept === undefined) return []
      const data = !names && ["enum", "const", "default", "examples"].includes(key)
      return [[key, data ? kept : changed(kept, change, !names && naming.has(key))]]
    })
  )
}

/** With descriptions of one short line. */
export const tidy = (schema: JsonSchema): JsonSchema =>
  changed(schema, (key, value) =>
    key === "description" && typeof value === "string" ? oneLine(value, maxDescription) : value
  ) as JsonSchema

const uses = (schema: unknown, keys: ReadonlyArray<string>): boolean =>
  Array.isArray(schema)
    ? schema.some((inside) => uses(inside, keys))
    : isObject(schema) &&
      Object.entries(schema).some(([key, inside]) => keys.includes(key) || uses(inside, keys))

/** Where a part that takes more makes the whole take less. */
const turning = ["not", "if", "oneOf", "dependentSchemas"]

/**
 * Without the patterns that may be slow: any string is taken in their place. The same schema where that could make it
 * refuse what it took.
 */
export const withoutSlowPatterns = (schema: JsonSchema): JsonSchema =>
  uses(schema, turning)
    ? schema
    : (changed(schema, (key, value) =>
        key === "pattern" && typeof value === "string" && !isSimple(value) ? undefined : value
      ) as JsonSchema)

/**
 * Without the keywords that take more time than the value is long: here the same hand writes schema and value. Undefined
 * where the rest could refuse what the whole takes.
 */
export const withoutSlow = (schema: JsonSchema): JsonSchema | undefined => {
  if (uses(schema, ["patternProperties"])) return undefined
  const slow = ["pattern", "uniqueItems"]
  if (uses(schema, slow) && uses(schema, turning)) return undefined
  return changed(schema, (key, value) => (slow.includes(key) ? undefined : value)) as JsonSchema
}
