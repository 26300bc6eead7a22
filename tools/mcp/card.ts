/** What a server's tool looks like here: its name, its one line, its schemas, its effect. */
import { callGrammar } from "../../kernel/engine/gbnf.ts"
import type { JsonSchema } from "../../kernel/schema.ts"
import { validator } from "../../kernel/syscall.ts"
import { type AnyTool, messageOf, toolName } from "../../kernel/tool.ts"
import { mostInSchema } from "./limits.ts"
import { isFields, type Listed } from "./listing.ts"
import { type McpServer, sealed } from "./server.ts"

/** All of a tool but what it does. */
export type Card = Pick<AnyTool, "name" | "description" | "input" | "output" | "effect">

const longestName = 64
const longestDescription = 200

/** A name as it fits among ours: lower case, with `_` between words. */
const plain = (name: string): string =>
  name
    .replace(/([a-z0-9])([A-Z])/g, "$1_$2")
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "_")
    .replace(/^_+|_+$/g, "")

/** `server_tool`, with a number behind it if the name is taken. The number grows until the name is free. */
export const nameOf = (server: string, tool: string, taken: ReadonlySet<string>): string => {
  const whole = `${plain(server)}_${plain(tool)}`.replace(/^[^a-z]+/, "")
  const base = whole === "" ? "mcp" : whole
  for (let i = 1; ; i++) {
    const end = i === 1 ? "" : `_${i}`
    const name = `${base.slice(0, longestName - end.length)}${end}`
    if (toolName.test(name) && !taken.has(name)) return name
  }
}

/** One line without what a terminal or a model could take for something else. */
export const oneLine = (text: string, most = longestDescription): string => {
  const line = text.replace(/[\p{Cc}\p{Cf}\p{Co}\p{Cn}\p{Zl}\p{Zp}\s]+/gu, " ").trim()
  return line.length <= most ? line : `${line.slice(0, most - 1).trimEnd()}…`
}

/** The same schema with one-line descriptions, and without what only names it. */
const tidy = (schema: unknown): unknown => {
  if (Array.isArray(schema)) return schema.map(tidy)
  if (!isFields(schema)) return schema
  return Object.fromEntries(
    Object.entries(schema).map(([key, value]) => [
      key,
      key === "description" && typeof value === "string" ? oneLine(value) : tidy(value)
    ])
  )
}

const named = (schema: JsonSchema): JsonSchema => {
  const { $schema: _, $id: __, ...rest } = schema
  return tidy(rest) as JsonSchema
}

/** Keywords whose check can take a time that grows faster than the result. A server makes both, so it could stop us with them. */
const slow = new Set(["$ref", "$dynamicRef", "$recursiveRef", "pattern", "patternProperties", "uniqueItems"])

/** Keywords that give a part of a schema a name that all schemas share. */
const naming = new Set(["$id", "$anchor", "$dynamicAnchor", "$dynamicRef", "$recursiveRef"])

const uses = (schema: unknown, keywords: ReadonlySet<string>): boolean => {
  if (Array.isArray(schema)) return schema.some((part) => uses(part, keywords))
  return isFields(schema) && Object.entries(schema).some(([key, v]) => keywords.has(key) || uses(v, keywords))
}

/** What a reference leads to: a fragment that is a JSON Pointer (RFC 6901). */
const at = (root: JsonSchema, ref: string): unknown =>
  ref
    .split("/")
    .slice(1)
    .map((part) => decodeURIComponent(part).replaceAll("~1", "/").replaceAll("~0", "~"))
    .reduce<unknown>(
      (inside, part) =>
        typeof inside === "object" && inside !== null && Object.hasOwn(inside, part)
          ? (inside as JsonSchema)[part]
          : undefined,
      root
    )

/**
 * How many schemas a schema stands for when its references are written out. Endless for one that holds itself, because a
 * check of such a one can take for ever, and for one whose references lead nowhere that we can see.
 */
const weight = (root: JsonSchema): number => {
  const known = new Map<string, number>()
  const of = (schema: unknown): number => {
    if (Array.isArray(schema)) return schema.reduce((sum: number, part) => sum + of(part), 0)
    if (!isFields(schema)) return 0
    const { $ref } = schema
    const there = typeof $ref === "string" ? referred($ref) : 0
    return 1 + there + Object.values(schema).reduce((sum: number, part) => sum + of(part), 0)
  }
  const referred = (ref: string): number => {
    const before = known.get(ref)
    if (before !== undefined) return before
    known.set(ref, Number.POSITIVE_INFINITY)
    const target = at(root, ref)
    const found = target === undefined ? Number.POSITIVE_INFINITY : of(target)
    known.set(ref, found)
    return found
  }
  return of(root)
}

const heaviest = 20_000

/** What is wrong with an input schema, if anything is: tried now, so that it fails no process later. */
const unfit = (input: JsonSchema): string | undefined => {
  if (JSON.stringify(input).length > mostInSchema) return "its schema is too long"
  if (uses(input, naming)) return "its schema has parts with names of their own"
  if (weight(input) > heaviest) return "the references of its schema cannot be written out"
  callGrammar([{ name: "tool", input }])
  validator(input)
  return undefined
}

/** Why a tool cannot be had, if so. */
export const whyNot = (tool: Listed): string | undefined => {
  if (tool.asTask) return "it runs as a task only, which noos does not do"
  try {
    return unfit(named(tool.input))
  } catch (e) {
    return `its schema cannot be used: ${messageOf(e)}`
  }
}

/** An output schema that can be checked; undefined for one that is missing or better left alone. */
const outputOf = (schema: JsonSchema | undefined): JsonSchema | undefined => {
  if (schema === undefined || JSON.stringify(schema).length > mostInSchema || uses(schema, slow))
    return undefined
  const output = named(schema)
  try {
    validator(output)
    return output
  } catch {
    return undefined
  }
}

/**
 * What the kernel is told of a tool's effect. What a server says of itself is a hint that nobody has checked. So the sandbox
 * decides: a sealed server reaches nothing but the workspace, whatever it says; any other reaches past it, and is believed
 * to read only where the person trusts it.
 */
export const effectOf = (server: McpServer, readOnly: boolean): AnyTool["effect"] => {
  if (sealed(server)) return readOnly ? "pure" : "reversible"
  return readOnly && server.trust === true ? "pure" : "irreversible"
}

/** A server's tool as one of ours. */
export const cardOf = (name: string, tool: Listed, server: McpServer): Card => {
  const output = outputOf(tool.output)
  return {
    name,
    description: oneLine(tool.description) || oneLine(tool.name),
    input: named(tool.input),
    effect: effectOf(server, tool.readOnly),
    ...(output === undefined ? {} : { output })
  }
}
