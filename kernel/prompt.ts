/**
 * The words around a process: how its tools, task and results are written for the model.
 *
 * This file is the only place where prompt text is made: the kernel renders a running process with it and
 * models/nano/generate.ts renders the embedded model's training traces with it. A change here means training again.
 * Everything is append-only: a page, once written, never changes, so the KV cache of what came before it stays good.
 */
import type { ChatTemplate, Token } from "./engine/engine.ts"
import type { JsonSchema } from "./schema.ts"

/** The part of a tool that the model reads. */
export interface ToolCard {
  readonly name: string
  readonly description: string
  readonly input: JsonSchema
}

/** A JSON Schema as the type a programmer would write: `string`, `"a"|"b"`, `integer[]`, `{x: number}`. */
export const typeOf = (schema: JsonSchema): string => {
  if (Array.isArray(schema.enum)) return schema.enum.map((v) => JSON.stringify(v)).join("|")
  if ("const" in schema) return JSON.stringify(schema.const)
  const alternatives = schema.anyOf ?? schema.oneOf
  if (Array.isArray(alternatives)) return alternatives.map(typeOf).join("|")
  if (Array.isArray(schema.type)) return schema.type.join("|")
  if (schema.type === "array") {
    const items = typeof schema.items === "object" ? typeOf(schema.items as JsonSchema) : "any"
    return items.includes("|") ? `(${items})[]` : `${items}[]`
  }
  if (schema.type === "object" || schema.properties)
    return schema.properties ? `{${fieldsOf(schema)}}` : "object"
  return typeof schema.type === "string" ? schema.type : "any"
}

const fieldsOf = (schema: JsonSchema): string => {
  const required = new Set((schema.required as ReadonlyArray<string> | undefined) ?? [])
  return Object.entries((schema.properties as Record<string, JsonSchema> | undefined) ?? {})
    .map(([name, field]) => `${name}${required.has(name) ? "" : "?"}: ${typeOf(field)}`)
    .join(", ")
}

/** One tool on one line: `name(arg: type, option?: type) What it does.`, with described arguments after it. */
export const toolLine = (tool: ToolCard): string => {
  const described = Object.entries((tool.input.properties as Record<string, JsonSchema> | undefined) ?? {})
    .filter(([, field]) => typeof field.description === "string")
    .map(([name, field]) => ` ${name}: ${field.description}`)
  return `${tool.name}(${fieldsOf(tool.input)}) ${tool.description}${described.join("")}`.replace(
    /\s*\n\s*/g,
    " "
  )
}

/** The system page: how to work, and the tools that this process was granted. */
export const systemText = (tools: ReadonlyArray<ToolCard>, instructions = ""): string =>
  `Do the task with the tools. Each turn, write one call as JSON: {"tool":NAME,"args":{...}}. Its result comes next. ` +
  `When the task is done, call exit with the answer.\n${instructions === "" ? "" : `${instructions}\n`}Tools:\n${tools.map(toolLine).join("\n")}`

/** A result page. Errors say so first, so that a model need not guess from the text. */
export const resultText = (ok: boolean, text: string): string => `${ok ? "result" : "error"}: ${text}`

/** What a call that reaches past its branch gives there. */
export const pendingText = "pending: this will be done once, if what was done here is kept"

/** Asked of a process at rest, to learn how good its state is; how likely the first answer is, of the two, is its value. */
export const judgeText = "Can this still succeed? yes or no"
export const judgeAnswers: readonly [string, string] = ["yes", "no"]

/** The first and the last of pages that follow each other. */
export type Span = readonly [first: number, last: number]

/** An exchange that has been paged out: the number of its result's page, and the call in a few words. */
export interface Gone {
  readonly page: number
  readonly about: string
}

/** What a stub names of the pages that it stands for: the latest ones. */
const named = 3

const spansText = (spans: ReadonlyArray<Span>): string =>
  spans.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`)).join(", ")

/** What stands for exchanges that have been paged out, with a summary of them if there is one. */
export const stubText = (spans: ReadonlyArray<Span>, gone: ReadonlyArray<Gone>, summary?: string): string => {
  const latest = gone.slice(-named).map(({ about, page }) => `${page} ${about}`)
  const last = latest.length === 0 ? "" : ` last ${latest.join(", ")};`
  const said = summary === undefined ? "" : `\nsummary: ${summary}`
  return `[paged out: pages ${spansText(spans)};${last} recall reads them]${said}`
}

/** Asks for a summary, where the result of a call would stand. */
export const askSummary = (spans: ReadonlyArray<Span>): string =>
  `pages ${spansText(spans)} go out of view. Call exit now: its answer is a summary, in at most 60 words, of what all ` +
  "pages so far say that matters for the task."

/** The beginning and the end of a result of so many characters that is too long to be shown whole. */
export const longText = (head: string, page: number, characters: number, tail: string): string =>
  `${head}\n[page ${page} is longer, ${characters} characters: recall reads it in parts]\n${tail}`

/** A part of a long page that was recalled. */
export const partText = (page: number, part: number, more: boolean, text: string): string =>
  `[page ${page}, part ${part}${more ? "" : ", the last"}]\n${text}`

/** A page, or a part of a long one, by its name. */
export const partName = (page: number, part: number, long: boolean): string =>
  long ? `part ${part} of page ${page}` : `page ${page}`

/** What is added to a result when its process begins to go round in circles. */
export const warningText = (text: string, warning: string): string => `${text}\n[${warning}]`

/** Lines in which searched words were found, each with where it is: a page's number, or a memory's. */
export const foundText = (
  found: ReadonlyArray<{ readonly where: string; readonly line: string }>,
  /** How to get those that come next, if there are more. */
  more?: string
): string =>
  found.length === 0
    ? "nothing found"
    : found.map(({ line, where }) => `${where}: ${line}`).join("\n") +
      (more === undefined ? "" : `\n[more: ${more}]`)

/** The call as the model writes it, in the one spelling that traces use. */
export const callText = (tool: string, args: unknown): string => JSON.stringify({ tool, args })

/** What of an engine the rendering needs. */
export interface Renderer {
  readonly template: ChatTemplate
  readonly bos: ReadonlyArray<Token>
  readonly tokenize: (text: string, special?: boolean) => ReadonlyArray<Token>
}

/** Tokens of one whole message. Only the template's own text may hold control tokens; `text` never does. */
export const message = (engine: Renderer, role: keyof ChatTemplate, text: string): Array<Token> => {
  const [before, after] = engine.template[role]
  return [...engine.tokenize(before, true), ...engine.tokenize(text), ...engine.tokenize(after, true)]
}

/** Tokens that open the model's turn; what it writes next is its call. */
export const openTurn = (engine: Renderer): ReadonlyArray<Token> =>
  engine.tokenize(engine.template.model[0], true)

/** Tokens that close the model's turn after its call. */
export const closeTurn = (engine: Renderer): ReadonlyArray<Token> =>
  engine.tokenize(engine.template.model[1], true)

/** The call in a model's words, if it is one. */
export const parse = (text: string): { readonly tool: string; readonly args: unknown } | undefined => {
  try {
    const call: unknown = JSON.parse(text)
    if (typeof call !== "object" || call === null || !("tool" in call) || typeof call.tool !== "string")
      return undefined
    return { tool: call.tool, args: "args" in call ? call.args : {} }
  } catch {
    return undefined
  }
}

/** Characters of an argument by which a call is named. */
const aboutLength = 32

/** A call in a few words: its tool, and the beginning of its first argument that is a text. */
export const aboutCall = (tool: string, args: unknown): string => {
  const texts = typeof args === "object" && args !== null ? Object.values(args) : []
  const text = texts.find((value) => typeof value === "string")
  return text === undefined
    ? tool
    : `${tool} ${text.slice(0, aboutLength).toWellFormed().replace(/\s+/g, " ").trim()}`
}
