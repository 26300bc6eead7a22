/**
 * The program that a plugin's process is: loads the plugin's module, says what its tools are, and makes calls.
 *
 * It runs inside the sandbox, with nothing of noos around it but the few files it imports; effect and what reads the
 * schemas of libraries are loaded only by plugins that use them.
 */
import { Socket } from "node:net"
import { pathToFileURL } from "node:url"
import "./hooks.ts"
import type { PluginContext, PluginTool } from "./plugin.ts"
import { ToolError } from "./plugin.ts"
import {
  type Description,
  descriptors,
  type Failure,
  type FromPlugin,
  lines,
  maxBody,
  maxLine,
  maxResult,
  places,
  type ToPlugin
} from "./protocol.ts"

const [, , main = "", asked = ""] = process.argv
const granted = new Set(asked.split(","))

const out = new Socket({ fd: descriptors.say, readable: false, writable: true })
const say = (message: FromPlugin): unknown => out.write(`${JSON.stringify(message)}\n`)

const messageOf = (cause: unknown): string =>
  (cause instanceof Error ? cause.message : String(cause)).split("\n", 1)[0]!.slice(0, 300)

const isFailure = (cause: unknown): cause is Failure =>
  typeof cause === "object" && cause !== null && "_tag" in cause && cause._tag === "ToolError"

const failureOf = (name: string, cause: unknown): Failure =>
  isFailure(cause)
    ? {
        code: cause.code,
        message: String(cause.message),
        ...(cause.retryable === undefined ? {} : { retryable: cause.retryable })
      }
    : { code: "failed", message: `${name} crashed: ${messageOf(cause)}` }

/** Requests that wait for their response. */
const requests = new Map<number, (response: (ToPlugin & { type: "fetched" })["response"]) => void>()
let requestCount = 0

/** Goes to the kernel, which asks the hosts that were granted: there is no network here. */
const fetchThroughKernel = async (input: string | URL | Request, init?: RequestInit): Promise<Response> => {
  const request = new Request(input, init)
  request.signal.throwIfAborted()
  const body = Buffer.from(await request.arrayBuffer())
  if (body.length > maxBody)
    throw new ToolError({
      code: "too_large",
      message: `a request of ${body.length} bytes, at most ${maxBody}`
    })
  const id = ++requestCount
  const answer = new Promise<(ToPlugin & { type: "fetched" })["response"]>((resolve, reject) => {
    requests.set(id, resolve)
    request.signal.addEventListener("abort", () => reject(request.signal.reason), { once: true })
  })
  const { url, method } = request
  say({
    type: "fetch",
    id,
    url,
    method,
    headers: Object.fromEntries(request.headers),
    ...(body.length === 0 ? {} : { body: body.toString("base64") })
  })
  const response = await answer.finally(() => requests.delete(id))
  if ("code" in response) throw new ToolError(response)
  const empty = [101, 204, 205, 304].includes(response.status)
  const made = new Response(empty ? null : Buffer.from(response.body, "base64"), response)
  return Object.defineProperty(made, "url", { value: response.url })
}

type AnyPluginTool = PluginTool<unknown, unknown>
interface Loaded {
  readonly tool: AnyPluginTool
  readonly description: Description
  readonly parse: (args: unknown) => Promise<{ readonly value: unknown } | { readonly problem: string }>
}

/** Plain JSON Schema is data; the schema of a library says its own. */
const isPlain = (schema: unknown): boolean =>
  typeof schema === "object" &&
  schema !== null &&
  Object.getPrototypeOf(schema) === Object.prototype &&
  !("~standard" in schema)

const readSchema = async (schema: unknown) => {
  if (isPlain(schema)) {
    const { $schema: _, ...json } = schema as Description["input"]
    return { json, parse: async (value: unknown) => ({ value }) }
  }
  const described = (await import("../../kernel/schema.ts")).describe(schema)
  if (described === undefined) throw new TypeError("a schema must be JSON Schema or follow Standard Schema")
  return described
}

const load = async (tool: AnyPluginTool): Promise<Loaded> => {
  if (typeof tool !== "object" || tool === null || typeof tool.execute !== "function")
    throw new TypeError("the default export must be a tool made with defineTool, or a list of them")
  const { name, description, effect, critical, examples } = tool
  const { json, parse } = await readSchema(tool.input)
  const output = tool.output === undefined ? undefined : (await readSchema(tool.output)).json
  return {
    tool,
    parse,
    description: {
      name,
      description,
      input: json,
      ...(output === undefined ? {} : { output }),
      effect,
      ...(critical === undefined ? {} : { critical }),
      ...(examples === undefined ? {} : { examples })
    }
  }
}

const calls = new Map<number, AbortController>()

const contextOf = (key: string, signal: AbortSignal): PluginContext => {
  const place = (permission: "workspace" | "state"): string => {
    if (granted.has(permission)) return places[permission]
    throw new ToolError({
      code: "denied",
      message: `the plugin did not ask for "${permission}" in the permissions of its noos.plugin.json`
    })
  }
  return {
    signal,
    idempotencyKey: key,
    progress: (text) => {
      // Nobody has to hear all of it: one that talks faster than it is read fills no memory.
      if (out.writableLength < maxLine) say({ type: "progress", text: String(text).slice(0, 2000) })
    },
    get workspace() {
      return place("workspace")
    },
    get state() {
      return place("state")
    }
  }
}

const perform = async ({ tool, parse }: Loaded, args: unknown, ctx: PluginContext) => {
  const parsed = await parse(args)
  if ("problem" in parsed) throw new ToolError({ code: "bad_input", message: parsed.problem })
  const given = tool.execute(parsed.value, ctx)
  if (typeof given !== "object" || given === null || !("~effect/Effect" in given)) return await given
  const { Effect } = await import("effect")
  return await Effect.runPromise(given as never, { signal: ctx.signal })
}

const textOf = (tool: AnyPluginTool, result: unknown): string => {
  if (tool.toModel !== undefined) return tool.toModel(result)
  return typeof result === "string" ? result : (JSON.stringify(result) ?? "done")
}

const call = async (
  tools: ReadonlyMap<string, Loaded>,
  { id, tool: name, args, key }: ToPlugin & { type: "call" }
) => {
  const loaded = tools.get(name)!
  const controller = new AbortController()
  calls.set(id, controller)
  try {
    const result = await perform(loaded, args, contextOf(key, controller.signal))
    const text = textOf(loaded.tool, result)
    if (typeof text !== "string") throw new TypeError("toModel gave no text")
    const line = JSON.stringify({ type: "result", id, result, text } satisfies FromPlugin)
    const size = Buffer.byteLength(line)
    if (size > maxResult)
      throw new ToolError({
        code: "too_large",
        message: `${name}: a result of ${size} bytes, at most ${maxResult}`
      })
    out.write(`${line}\n`)
  } catch (cause) {
    say({ type: "error", id, error: failureOf(name, cause) })
  } finally {
    calls.delete(id)
  }
}

const hear = (tools: ReadonlyMap<string, Loaded>) =>
  lines((line) => {
    const message = JSON.parse(line) as ToPlugin
    if (message.type === "call") void call(tools, message)
    else if (message.type === "cancel") calls.get(message.id)?.abort()
    else requests.get(message.id)?.(message.response)
  })

globalThis.fetch = fetchThroughKernel
try {
  const { default: exported } = (await import(pathToFileURL(main).href)) as { default?: unknown }
  const tools = await Promise.all(
    ((Array.isArray(exported) ? exported : [exported]) as Array<AnyPluginTool>).map(load)
  )
  const input = new Socket({ fd: descriptors.hear, readable: true, writable: false })
  input.on("data", hear(new Map(tools.map((tool) => [tool.description.name, tool]))))
  input.on("end", () => process.exit())
  say({ type: "ready", tools: tools.map((tool) => tool.description) })
} catch (cause) {
  const place = cause instanceof Error ? /\/plugin\/([^\s)]+:\d+)/.exec(cause.stack ?? "")?.[1] : undefined
  say({ type: "broken", message: `${messageOf(cause)}${place === undefined ? "" : ` (${place})`}` })
}
