/** What a call of a server's tool came to: a value for the caller, a text for the model. */
import { Rendered, ToolError } from "../../kernel/tool.ts"
import { isObject } from "../foreign-schema.ts"

type Result = { readonly [key: string]: unknown }

/** Characters of an error. */
const longestError = 16_384

const bytesOf = (base64: unknown): string =>
  typeof base64 === "string" ? `${Math.floor((base64.length * 3) / 4)} bytes` : "empty"

const text = (value: unknown): string => (typeof value === "string" ? value : "")

/** A part of a result as text. Pictures and sounds are named, for the model reads text alone. */
const block = (part: unknown): string => {
  if (!isObject(part)) return ""
  switch (part.type) {
    case "text":
      return text(part.text)
    case "image":
    case "audio":
      return `[${part.type} ${text(part.mimeType)}, ${bytesOf(part.data)}]`
    case "resource_link":
      return `[resource ${text(part.uri)}${part.name === undefined ? "" : ` ${text(part.name)}`}]`
    case "resource": {
      const resource = isObject(part.resource) ? part.resource : {}
      if (typeof resource.text === "string") return resource.text
      return `[resource ${text(resource.uri)}, ${bytesOf(resource.blob)}]`
    }
    default:
      return ""
  }
}

/** The result of a `tools/call` as ours, from the server that `source` names. What the tool calls an error is one. */
export const resultOf = (result: Result, source: string): Rendered | ToolError => {
  const parts = Array.isArray(result.content) ? result.content.map(block) : []
  const said = parts.filter((part) => part !== "").join("\n")
  if (result.isError === true) {
    const message = said === "" ? "the tool failed and does not say why" : said.slice(0, longestError)
    return new ToolError({ code: "failed", message })
  }
  const { structuredContent } = result
  if (!isObject(structuredContent)) return new Rendered(said, said === "" ? "done" : said, source)
  return new Rendered(structuredContent, said === "" ? JSON.stringify(structuredContent) : said, source)
}
