/** What a server's tool looks like here: its name, its one line, its schemas, its effect. */
import { callGrammar } from "../../kernel/engine/gbnf.ts"
import type { JsonSchema } from "../../kernel/schema.ts"
import { validator } from "../../kernel/syscall.ts"
import { type AnyTool, messageOf, toolName } from "../../kernel/tool.ts"
import { problemOfSchema, tidy, withoutSlow, withoutSlowPatterns } from "../foreign-schema.ts"
import { oneLine } from "../text.ts"
import { mostInSchema } from "./limits.ts"
import type { Listed } from "./listing.ts"
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

const named = ({ $schema: _, $id: __, ...rest }: JsonSchema): JsonSchema => tidy(rest)

/** An input schema as it is used: a model's words are not tried on a pattern that may be slow. */
const inputOf = (tool: Listed): JsonSchema => withoutSlowPatterns(named(tool.input))

/** What is wrong with an input schema, if anything is: tried now, so that it fails no process later. */
const unfit = (input: JsonSchema): string | undefined => {
  if (JSON.stringify(input).length > mostInSchema) return "its schema is too long"
  const problem = problemOfSchema(input)
  if (problem !== undefined) return `its schema cannot be used: ${problem}`
  callGrammar([{ name: "tool", input }])
  validator(input)
  return undefined
}

/** Why a tool cannot be had, if so. */
export const whyNot = (tool: Listed): string | undefined => {
  if (tool.asTask) return "it runs as a task only, which noos does not do"
  try {
    return unfit(inputOf(tool))
  } catch (e) {
    return `its schema cannot be used: ${messageOf(e)}`
  }
}

/** An output schema that can be checked; undefined for one that is missing or better left alone. */
const outputOf = (schema: JsonSchema | undefined): JsonSchema | undefined => {
  if (schema === undefined || JSON.stringify(schema).length > mostInSchema) return undefined
  const output = withoutSlow(named(schema))
  if (output === undefined || problemOfSchema(output) !== undefined) return undefined
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
    description: oneLine(tool.description, longestDescription) || oneLine(tool.name, longestDescription),
    input: inputOf(tool),
    effect: effectOf(server, tool.readOnly),
    ...(output === undefined ? {} : { output })
  }
}
