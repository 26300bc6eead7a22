/** What a server says of itself and its tools: nothing of it is believed yet. */
import { createHash } from "node:crypto"
import type { JsonSchema } from "../../kernel/schema.ts"
import { isObject } from "../foreign-schema.ts"

/** A tool as its server describes it. */
export interface Listed {
  readonly name: string
  readonly description: string
  readonly input: JsonSchema
  readonly output: JsonSchema | undefined
  readonly readOnly: boolean
  /** Only its server can run it: as a task that is polled, which noos does not do. */
  readonly asTask: boolean
  /** Stands for all that a model or a person is told of the tool: another text, another tool. */
  readonly text: string
}

export interface Listing {
  /** In the order of their names: the list's own order means nothing. */
  readonly tools: ReadonlyArray<Listed>
  /** SHA-256 of all of it, in hex. */
  readonly hash: string
}

/** JSON with the keys of every object in order. */
const canonical = (value: unknown): string => {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`
  if (!isObject(value)) return JSON.stringify(value) ?? "null"
  const fields = Object.keys(value)
    .sort()
    .map((key) => `${JSON.stringify(key)}:${canonical(value[key])}`)
  return `{${fields.join(",")}}`
}

const textIn = (value: unknown): string => (typeof value === "string" ? value : "")

/** One entry of the list. Throws for one that is no tool. */
const listed = (entry: unknown): Listed => {
  if (!isObject(entry) || typeof entry.name !== "string" || !isObject(entry.inputSchema))
    throw new TypeError("a tool without a name or a schema")
  const { name, title, description, inputSchema, outputSchema, annotations, execution } = entry
  const told = { name, title, description, inputSchema, outputSchema, annotations }
  return {
    name,
    description: textIn(description) || textIn(title),
    input: inputSchema,
    output: isObject(outputSchema) ? outputSchema : undefined,
    readOnly: isObject(annotations) && annotations.readOnlyHint === true,
    asTask: isObject(execution) && execution.taskSupport === "required",
    text: canonical(told)
  }
}

/** A server's whole list. Throws for one that cannot be meant. */
export const listingOf = (instructions: string | undefined, entries: ReadonlyArray<unknown>): Listing => {
  const tools = entries.map(listed).sort((a, b) => (a.name < b.name ? -1 : 1))
  const twice = tools.find((tool, i) => tool.name === tools[i - 1]?.name)
  if (twice !== undefined) throw new TypeError(`two tools have the name ${JSON.stringify(twice.name)}`)
  const all = [JSON.stringify(instructions ?? ""), ...tools.map((tool) => tool.text)].join("\n")
  return { tools, hash: createHash("sha256").update(all).digest("hex") }
}
