/**
 * Schemas that somebody else wrote, and that the kernel's process is to match values against: a schema is a program, and
 * some never end. What is let through takes time that grows with the value, not with its power.
 */

/** Keys that make a schema more than data about one value: names that others see, another dialect, promises. */
const foreign = new Set([
  ...["$id", "$schema", "$async", "$vocabulary"],
  ...["$dynamicRef", "$dynamicAnchor", "$recursiveRef", "$recursiveAnchor"]
])

/** Schemas inside a schema, with each reference counted as what it refers to. */
const maxSize = 10_000

export const isObject = (value: unknown): value is { readonly [key: string]: unknown } =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/**
 * Whether matching a pattern can take time out of proportion to the text: a repetition of what repeats or branches, what
 * looks ahead or back, or three repetitions without an end. It errs on the safe side.
 */
const isSlow = (pattern: string): boolean => {
  const plain = pattern.replace(/\\[^1-9k]/g, "x").replace(/\[[^\]]*\]/g, "x")
  const endless = plain.match(/[*+]|\{\d+,\}/g) ?? []
  return (
    pattern.length > 500 ||
    endless.length > 2 ||
    /\\|\(\?[=!<]/.test(plain) ||
    /\([^()]*[*+{|(][\s\S]*\)[*+{]/.test(plain)
  )
}

const patternsOf = (schema: { readonly [key: string]: unknown }): ReadonlyArray<unknown> => [
  schema.pattern,
  ...(isObject(schema.patternProperties) ? Object.keys(schema.patternProperties) : [])
]

/** What a reference inside a schema leads to (RFC 6901). */
const target = (root: unknown, ref: string): unknown =>
  ref
    .split("/")
    .slice(1)
    .map((key) => decodeURIComponent(key).replaceAll("~1", "/").replaceAll("~0", "~"))
    .reduce<unknown>((at, key) => (at as { readonly [key: string]: unknown } | undefined)?.[key], root)

/** Why a schema is not taken, if so. */
export const problemOfSchema = (root: unknown): string | undefined => {
  const sizes = new Map<string, number>()
  const sizeOf = (schema: unknown, open: ReadonlyArray<string>): number => {
    if (Array.isArray(schema)) return schema.reduce<number>((sum, inside) => sum + sizeOf(inside, open), 1)
    if (!isObject(schema)) return 1
    let size = 1
    for (const [key, value] of Object.entries(schema)) {
      if (foreign.has(key)) throw new Error(`${key} is not taken`)
      size += key === "$ref" && typeof value === "string" ? sizeOfRef(value, open) : sizeOf(value, open)
    }
    const slow = patternsOf(schema).find((pattern) => typeof pattern === "string" && isSlow(pattern))
    if (slow !== undefined) throw new Error(`the pattern ${String(slow).slice(0, 60)} may be slow to match`)
    return size
  }
  const sizeOfRef = (ref: string, open: ReadonlyArray<string>): number => {
    if (!ref.startsWith("#/")) throw new Error(`the reference ${ref.slice(0, 60)} leads out of its schema`)
    if (open.includes(ref)) throw new Error(`the reference ${ref.slice(0, 60)} leads back to itself`)
    const size = sizes.get(ref) ?? sizeOf(target(root, ref), [...open, ref])
    sizes.set(ref, size)
    return size
  }
  try {
    return sizeOf(root, []) > maxSize ? "it is too large" : undefined
  } catch (cause) {
    return (cause as Error).message
  }
}

/** Without the keywords that take more time than the value is long. Here the same hand writes schema and value. */
export const withoutSlow = (schema: unknown): unknown => {
  if (Array.isArray(schema)) return schema.map(withoutSlow)
  if (!isObject(schema)) return schema
  return Object.fromEntries(
    Object.entries(schema).flatMap(([key, value]) => {
      if (key === "properties" && isObject(value))
        return [[key, Object.fromEntries(Object.entries(value).map(([name, s]) => [name, withoutSlow(s)]))]]
      return (key === "pattern" && typeof value === "string") || key === "uniqueItems"
        ? []
        : [[key, withoutSlow(value)]]
    })
  )
}
