/** The tools of an MCP server (modelcontextprotocol.io), as tools that the kernel can call. */
import { Effect, type Scope } from "effect"
import { type AnyTool, defineTool, messageOf, type ToolContext, ToolError } from "../../kernel/tool.ts"
import { makeEgress } from "../../sandbox/egress.ts"
import type { Workspace } from "../../sandbox/sandbox.ts"
import { oneLine } from "../text.ts"
import { cardOf, nameOf, whyNot } from "./card.ts"
import { type Connection, connect, type Pin } from "./connection.ts"
import { http } from "./http.ts"
import type { Listed } from "./listing.ts"
import { resultOf } from "./result.ts"
import { type McpServer, startOf } from "./server.ts"
import { stdio } from "./stdio.ts"

export type { Pin } from "./connection.ts"
export type { McpServer } from "./server.ts"

export interface McpTools {
  readonly tools: ReadonlyArray<AnyTool>
  /** Those that cannot be had, with why. */
  readonly left: ReadonlyArray<{ readonly name: string; readonly why: string }>
}

/** A connection to a server: a program of its own in the sandbox, or a session of its own over HTTP. */
const open = Effect.fn("Mcp.open")(function* (
  name: string,
  server: McpServer,
  workspace: Workspace,
  pin: Pin
): Effect.fn.Return<Connection, ToolError, Scope.Scope> {
  if ("url" in server) return yield* connect(name, yield* http(server), pin)
  const [argv, start] = yield* Effect.try({
    try: () => startOf(server, workspace.root),
    catch: (e) => (e instanceof ToolError ? e : new ToolError({ code: "failed", message: messageOf(e) }))
  })
  const hosts = server.grant?.net ?? []
  const net = hosts.length === 0 ? {} : { net: yield* makeEgress(hosts) }
  return yield* connect(name, yield* stdio(yield* workspace.start(argv, { ...start, ...net })), pin)
})

/** Runs a tool of a server over the connection that the calling process holds; the first call opens it. */
const executeOf = (name: string, server: McpServer, tool: Listed, pin: Pin) =>
  Effect.fnUntraced(function* (args: unknown, { handles, progress, workspace }: ToolContext) {
    const handle = `mcp ${name}`
    const make = open(name, server, workspace, pin)
    let connection = yield* handles.open(handle, make)
    // One that has ended since costs nothing but a new one.
    if (connection.why() !== undefined) {
      yield* handles.close(handle)
      connection = yield* handles.open(handle, make)
    }
    const result = resultOf(yield* connection.call(tool, args, progress), handle)
    return "result" in result ? result : yield* result
  })

/**
 * The tools of a server, named `server_tool`.
 *
 * They are asked for once, now, over a connection that is closed again: in `workspace` if the server is a program. Each
 * process that calls one of them opens a connection of its own, in its own workspace, which ends with it. `pin` is asked
 * whenever one has been opened, with the hash of all that the server then said of itself and its tools.
 */
export const mcpTools = Effect.fn("mcpTools")(function* (
  name: string,
  server: McpServer,
  { pin, workspace }: { readonly workspace: Workspace; readonly pin: Pin }
) {
  const { listing } = yield* Effect.scoped(open(name, server, workspace, pin))
  const tools = new Map<string, AnyTool>()
  const left: Array<McpTools["left"][number]> = []
  for (const tool of listing.tools) {
    const why = whyNot(tool)
    if (why !== undefined) {
      left.push({ name: oneLine(tool.name, 200), why })
      continue
    }
    const card = cardOf(nameOf(name, tool.name, new Set(tools.keys())), tool, server)
    tools.set(card.name, defineTool({ ...card, execute: executeOf(name, server, tool, pin) }))
  }
  return { tools: [...tools.values()], left } satisfies McpTools
})
