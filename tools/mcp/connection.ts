/** A connection to a server: what it offers, pinned, and calls of it. */
import { Client } from "@modelcontextprotocol/sdk/client/index.js"
import {
  ErrorCode,
  McpError,
  type Progress,
  ResultSchema,
  ToolListChangedNotificationSchema
} from "@modelcontextprotocol/sdk/types.js"
import { Effect, type Scope } from "effect"
import { messageOf, refuse, ToolError } from "../../kernel/tool.ts"
import { isObject } from "../foreign-schema.ts"
import { mostPages, mostTools, secondsOfCall, secondsToOpen } from "./limits.ts"
import { type Listed, type Listing, listingOf } from "./listing.ts"
import type { Line } from "./stdio.ts"

/** Holds a server to what it offered before: fails with `denied` when the hash is another one. */
export type Pin = (name: string, hash: string) => Effect.Effect<void, ToolError>

export interface Connection {
  /** As it was when the connection was opened. */
  readonly listing: Listing
  /** Why it has ended, if it has. */
  readonly why: () => string | undefined
  /** Calls a tool as it was pinned. Gives the `result` member of the response. */
  readonly call: (
    tool: Listed,
    args: unknown,
    progress: (text: string) => Effect.Effect<void>
  ) => Effect.Effect<{ readonly [key: string]: unknown }, ToolError>
}

/** Time limits are Effect's, here. Milliseconds. */
const never = 2 ** 31 - 1

const late = (what: string, seconds: number) =>
  Effect.timeoutOrElse({
    duration: seconds * 1000,
    orElse: () =>
      Effect.fail(
        new ToolError({ code: "timeout", message: `${what} took more than ${seconds} s`, retryable: true })
      )
  })

/** Opens a connection over a transport that nobody uses yet, and closes it with the scope. */
export const connect = Effect.fn("Mcp.connect")(function* (
  name: string,
  line: Line,
  pin: Pin
): Effect.fn.Return<Connection, ToolError, Scope.Scope> {
  const client = new Client({ name: "noos", version: "1" }, { capabilities: {} })
  const failure = (e: unknown): ToolError => {
    const why = line.why()
    if (why !== undefined)
      return new ToolError({ code: "unavailable", message: `the MCP server ${name} ${why}`, retryable: true })
    if (e instanceof ToolError) return e
    // What the server itself answers is told without the SDK's own words in front.
    const said = e instanceof McpError ? e.message.replace(/^MCP error -?\d+: /, "") : messageOf(e)
    const code = e instanceof McpError && e.code === ErrorCode.InvalidParams ? "bad_input" : "failed"
    return new ToolError({ code, message: `the MCP server ${name}: ${said.slice(0, 400)}` })
  }
  const asked = <A>(ask: (signal: AbortSignal) => Promise<A>) =>
    Effect.tryPromise({ try: ask, catch: failure })

  const list = Effect.gen(function* () {
    if (client.getServerCapabilities()?.tools === undefined) return listingOf(client.getInstructions(), [])
    const entries: Array<unknown> = []
    let cursor: unknown
    for (let page = 0; page < mostPages; page++) {
      const params = typeof cursor === "string" ? { cursor } : {}
      const result = yield* asked((signal) =>
        client.request({ method: "tools/list", params }, ResultSchema, { signal, timeout: never })
      )
      if (!Array.isArray(result.tools))
        return yield* refuse("failed", `the MCP server ${name} listed no tools`)
      entries.push(...result.tools)
      if (entries.length > mostTools)
        return yield* refuse("limit", `the MCP server ${name} has more than ${mostTools} tools`)
      cursor = result.nextCursor
      if (typeof cursor !== "string")
        return yield* Effect.try({ try: () => listingOf(client.getInstructions(), entries), catch: failure })
    }
    return yield* refuse("limit", `the list of the MCP server ${name} has more than ${mostPages} pages`)
  })

  yield* Effect.addFinalizer(() => Effect.promise(() => client.close().catch(() => {})))
  let changed = false
  client.setNotificationHandler(ToolListChangedNotificationSchema, () => {
    changed = true
  })
  const listing = yield* asked((signal) => client.connect(line, { signal, timeout: never })).pipe(
    Effect.andThen(list),
    late(`the MCP server ${name}: opening`, secondsToOpen)
  )
  yield* pin(name, listing.hash)

  let now = listing
  /** Fails if a tool is no longer what it was. */
  const same = Effect.fnUntraced(function* (tool: Listed) {
    if (changed) {
      changed = false
      now = yield* list.pipe(
        late(`the MCP server ${name}: listing`, secondsToOpen),
        Effect.onError(() => Effect.sync(() => (changed = true)))
      )
    }
    if (now.tools.find((t) => t.name === tool.name)?.text !== tool.text)
      return yield* refuse("denied", `the MCP server ${name} has changed ${tool.name} since it was pinned`)
  })

  const call: Connection["call"] = Effect.fn("Mcp.call")(function* (tool, args, progress) {
    yield* same(tool)
    const params = { name: tool.name, ...(isObject(args) ? { arguments: args } : {}) }
    const onprogress = (step: Progress) => Effect.runFork(progress(stepText(step)))
    return yield* asked((signal) =>
      client.request({ method: "tools/call", params }, ResultSchema, { signal, timeout: never, onprogress })
    ).pipe(late(tool.name, secondsOfCall))
  })

  return { listing, why: line.why, call }
})

const stepText = ({ progress, total, message }: Progress): string =>
  `${progress}${total === undefined ? "" : `/${total}`}${message === undefined ? "" : ` ${message.slice(0, 200)}`}`
