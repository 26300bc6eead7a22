/**
 * Random schemas of the keywords that grammars bind exactly, and random values near what they ask for.
 *
 * Left out, as grammars only approach them: a pattern and a length for one string, which allOf can bring together, and
 * enums of objects and arrays that have other keywords beside them.
 */
import type { JsonSchema } from "../../../kernel/schema.ts"
import type { Json } from "../../../kernel/tool.ts"
import type { Random } from "./random.ts"

const names = ["a", "b", "ab", "a b", 'q"', "é", "\n\n", "path"]
const words = [
  "",
  "a",
  "ab",
  "abc",
  "x y",
  'say "hi"',
  "back\\slash",
  "line\nbreak",
  "tab\t",
  "é",
  "€uro",
  "😀",
  "\u0001",
  "\u007f"
]
const patterns = ["^a+$", "^[a-c]{2,3}$", "b", "^(foo|ba[rz])?$", '^[^\\s"]*$', "\\d", "^\\w+\\.ts$", "^a|b$"]
const matching = ["a", "aaa", "ab", "abc", "b", "foo", "bar", "baz", "7", "x7", "a.ts", "ba"]

/** Two whole numbers in order. */
const span = (r: Random, below: number): readonly [number, number] => {
  const a = r.below(below)
  return [a, a + r.below(3)]
}

/** Where schemas are joined, `joined` keeps patterns out. */
const leaf = (r: Random, joined: boolean): JsonSchema => {
  const [low, high] = span(r, 3)
  switch (r.below(14)) {
    case 0:
      return { type: "string" }
    case 1:
      return { type: "string", minLength: low, maxLength: high }
    case 2:
      return joined ? { type: "string" } : { type: "string", pattern: r.pick(patterns) }
    case 3:
      return { type: "integer" }
    case 4: {
      const from = r.below(400) - 200
      return { type: "integer", minimum: from, maximum: from + r.below(r.pick([3, 30, 300])) }
    }
    case 5:
      return { type: "integer", exclusiveMinimum: r.below(40) - 20 }
    case 6:
      return { type: "integer", maximum: r.below(2000) - 1000.5 }
    case 7:
      return { type: "number" }
    case 8: {
      const from = r.below(40) - 20
      return { type: "number", minimum: from, maximum: from + r.below(5) }
    }
    case 9:
      return { type: "boolean" }
    case 10:
      return { type: ["null", r.pick(["string", "integer", "boolean"])] }
    case 11:
      return { enum: [r.pick(words), 7, null, true] }
    case 12:
      return { const: r.pick<Json>([r.pick(words), -3, true]) }
    default:
      return r.pick<JsonSchema>([
        {},
        { type: "object" },
        { type: "array" },
        { type: "array", minItems: low, maxItems: high }
      ])
  }
}

export const schema = (r: Random, depth: number, joined = false): JsonSchema => {
  if (depth === 0) return leaf(r, joined)
  const inner = (): JsonSchema => schema(r, depth - 1, joined)
  const object = (joined = false): JsonSchema => {
    const inner = (): JsonSchema => schema(r, depth - 1, joined)
    const listed = names.filter(() => r.chance(0.35))
    return {
      type: "object",
      properties: Object.fromEntries(listed.map((name) => [name, inner()])),
      required: listed.filter(() => r.chance(0.5)),
      additionalProperties: r.pick<unknown>([false, false, true, inner()])
    }
  }
  const [low, high] = span(r, 3)
  switch (r.below(9)) {
    case 0:
    case 1:
      return object()
    case 2:
      return { type: "array", items: inner(), ...(r.chance(0.5) ? { minItems: low, maxItems: high } : {}) }
    case 3:
      return {
        type: "array",
        prefixItems: [inner(), inner()],
        items: r.pick<unknown>([false, inner()]),
        minItems: low
      }
    case 4:
      return { anyOf: [inner(), inner()] }
    case 5:
      return { allOf: [object(true), object(true)] }
    case 6:
      return {
        type: "object",
        properties: { a: inner() },
        additionalProperties: false,
        anyOf: [{ required: ["a"] }, {}]
      }
    case 7:
      return { $ref: "#/$defs/shared" }
    default:
      return leaf(r, joined)
  }
}

/** A document: a schema, with one definition that may refer to itself. */
export const document = (r: Random, depth: number): JsonSchema => ({
  allOf: [schema(r, depth)],
  $defs: {
    shared: r.pick<JsonSchema>([
      { type: "array", items: { $ref: "#/$defs/shared" } },
      {
        anyOf: [
          { type: "null" },
          { type: "object", properties: { a: { $ref: "#/$defs/shared" } }, additionalProperties: false }
        ]
      },
      leaf(r, true)
    ])
  }
})

/** Any value, made of the same words. */
const anything = (r: Random, depth: number): Json => {
  switch (r.below(depth === 0 ? 5 : 7)) {
    case 0:
      return r.pick([...words, ...matching])
    case 1:
      return r.below(600) - 300
    case 2:
      return r.pick([0, 0.5, -1.25, 3.75, 12.5, 1e-7])
    case 3:
      return r.chance(0.5)
    case 4:
      return null
    case 5:
      return Array.from({ length: r.below(4) }, () => anything(r, depth - 1))
    default:
      return Object.fromEntries(
        names.filter(() => r.chance(0.3)).map((name) => [name, anything(r, depth - 1)])
      )
  }
}

/** A value that has a fair chance to satisfy the schema, keys in the schema's order. */
export const near = (r: Random, root: JsonSchema, s: JsonSchema | boolean, depth: number): Json => {
  if (typeof s === "boolean") return anything(r, 1)
  if (r.chance(0.05)) return anything(r, 0)
  const one = (x: unknown): Json => near(r, root, x as JsonSchema, depth - 1)
  if (depth < 0) return null
  if (s.$ref !== undefined) return one((root.$defs as Record<string, JsonSchema>).shared)
  if (Array.isArray(s.anyOf) && s.type === undefined) return one(r.pick(s.anyOf))
  if (Array.isArray(s.allOf)) {
    const parts = s.allOf.map(one)
    const objects = parts.every((p) => typeof p === "object" && p !== null && !Array.isArray(p))
    if (!objects) return parts[0]!
    const order = s.allOf.flatMap((p) => Object.keys((p as JsonSchema).properties ?? {}))
    const merged: Record<string, Json> = Object.assign({}, ...parts)
    const keys = [...new Set([...order.filter((k) => k in merged), ...Object.keys(merged)])]
    return Object.fromEntries(keys.map((k) => [k, merged[k]!]))
  }
  if (Array.isArray(s.enum)) return r.pick(s.enum)
  if (s.const !== undefined) return s.const as Json
  const type = Array.isArray(s.type) ? r.pick(s.type) : s.type
  switch (type) {
    case "string":
      return r.pick(s.pattern === undefined ? words : [...matching, ...words])
    case "integer": {
      const low = Number(s.minimum ?? s.exclusiveMinimum ?? Number(s.maximum ?? 100) - 200)
      return Math.ceil(low) + r.below(Number(s.maximum ?? low + 200) - low + 3) - 1
    }
    case "number":
      return Number(s.minimum ?? 0) + r.below(8) / r.pick([1, 2, 8])
    case "boolean":
      return r.chance(0.5)
    case "null":
      return null
    case "array": {
      const prefix = (s.prefixItems ?? []) as ReadonlyArray<JsonSchema>
      return Array.from({ length: r.below(4) }, (_, i) => one(prefix[i] ?? s.items ?? {}))
    }
    case "object": {
      const listed = Object.entries((s.properties ?? {}) as Record<string, JsonSchema>)
      const required = new Set((s.required ?? []) as ReadonlyArray<string>)
      const kept = listed.filter(([name]) => r.chance(required.has(name) ? 0.95 : 0.5))
      const more = names.filter(
        (n) => !listed.some(([name]) => n === name) && r.chance(s.additionalProperties ? 0.3 : 0.03)
      )
      return Object.fromEntries([
        ...kept.map(([name, inner]) => [name, one(inner)]),
        ...more.map((name) => [name, one(s.additionalProperties ?? {})])
      ])
    }
    default:
      return anything(r, 1)
  }
}
