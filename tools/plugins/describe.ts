/** What a plugin says its tools are, checked before anything in the kernel's process uses it. */
import { callGrammar } from "../../kernel/engine/gbnf.ts"
import { validator } from "../../kernel/syscall.ts"
import { messageOf, toolName } from "../../kernel/tool.ts"
import { isObject, problemOfSchema } from "../foreign-schema.ts"
import { unprintable } from "../text.ts"
import type { Description } from "./protocol.ts"

/** Bytes of all descriptions of one plugin, as JSON. */
const maxDescriptions = 256 * 1024

const names = (list: unknown): list is ReadonlyArray<string> =>
  Array.isArray(list) && list.every((name) => typeof name === "string")

/** What is wrong with one tool, if anything is. */
const problemOf = (tool: unknown): string | undefined => {
  if (!isObject(tool)) return "a tool must be an object"
  const { name, description, input, output, effect, critical, examples } = tool
  if (typeof name !== "string" || !toolName.test(name))
    return `tool name ${JSON.stringify(name)} must match ${toolName}`
  const its = (problem: string) => `${name}: ${problem}`
  if (typeof description !== "string" || description.trim() === "" || unprintable.test(description))
    return its("needs a description of one line")
  if (description.length > 500) return its("its description is longer than 500 characters")
  if (!["pure", "reversible", "irreversible"].includes(effect as string))
    return its(`effect must be pure, reversible or irreversible, not ${JSON.stringify(effect)}`)
  if (!isObject(input) || input.type !== "object") return its('input must be a schema with "type": "object"')
  if (output !== undefined && !isObject(output)) return its("output must be a schema")
  const properties = isObject(input.properties) ? Object.keys(input.properties) : []
  if (critical !== undefined && !(names(critical) && critical.every((arg) => properties.includes(arg))))
    return its("critical must name arguments")
  if (
    examples !== undefined &&
    !(Array.isArray(examples) && examples.every((e) => isObject(e) && "args" in e))
  )
    return its("examples must be a list of { args, result? }")
  const misfit = problemOfSchema(input) ?? problemOfSchema(output)
  if (misfit !== undefined) return its(`its schema cannot be used: ${misfit}`)
  try {
    validator(input)
    if (output !== undefined) validator(output)
    callGrammar([{ name, input }])
  } catch (cause) {
    return its(`its schema cannot be used: ${messageOf(cause)}`)
  }
  return undefined
}

/** The tools of a plugin, or what is wrong with them. */
export const checked = (
  tools: ReadonlyArray<unknown>
): ReadonlyArray<Description> | { readonly problem: string } => {
  if (!Array.isArray(tools) || tools.length === 0) return { problem: "it exports no tool" }
  if (Buffer.byteLength(JSON.stringify(tools)) > maxDescriptions)
    return { problem: `its tools take more than ${maxDescriptions} bytes to describe` }
  const problem = tools.map(problemOf).find((p) => p !== undefined)
  if (problem !== undefined) return { problem }
  const described = tools as ReadonlyArray<Description>
  const twice = described.find(({ name }, i) => described.findIndex((t) => t.name === name) !== i)
  return twice === undefined ? described : { problem: `two of its tools are called ${twice.name}` }
}
