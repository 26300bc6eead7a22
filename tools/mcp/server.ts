/** An MCP server as a person configures it, and how one that is a program is started in the sandbox. */
import { existsSync, realpathSync } from "node:fs"
import { posix } from "node:path"
import { ToolError } from "../../kernel/tool.ts"
import type { Mount, Start } from "../../sandbox/sandbox.ts"

/** A program that speaks MCP over its standard input and output. It runs in the sandbox of whoever calls its tools. */
export interface ProgramServer {
  /** Started as it stands. `node` is the Node.js that noos itself runs on. */
  readonly command: readonly [string, ...ReadonlyArray<string>]
  readonly env?: { readonly [name: string]: string }
  /**
   * What it reads of the host besides /usr, such as the folder of its code: absolute paths. `HERE:THERE` is at another
   * place in the sandbox than on the host; /work, where the workspace is, is no such place.
   */
  readonly mounts?: ReadonlyArray<string>
  readonly grant?: {
    /** How it sees the workspace, which is its folder. Default: not at all. */
    readonly workspace?: "read" | "write"
    /** Hosts that it may reach, as in sandbox/egress.ts. Default: none. */
    readonly net?: ReadonlyArray<string>
  }
  /** Believe what it says of its tools' effects even if it reaches the network. */
  readonly trust?: boolean
}

/** A server that is reached by HTTP (the transport that MCP calls streamable HTTP). */
export interface HttpServer {
  readonly url: string
  readonly headers?: { readonly [name: string]: string }
  /** Hosts that may be reached, as in sandbox/egress.ts. Default: that of the URL. */
  readonly net?: ReadonlyArray<string>
  /** Believe what it says of its tools' effects. */
  readonly trust?: boolean
}

export type McpServer = ProgramServer | HttpServer

/** Whether the sandbox leaves it nothing to reach but the workspace. */
export const sealed = (server: McpServer): boolean =>
  "command" in server && (server.grant?.net ?? []).length === 0

/** Bytes that a program may have written and nobody has read. */
const unread = 8 * 1024 * 1024

/** Node.js and other runtimes reserve far more address space than they use. MiB. */
const addressSpace = 1024 * 1024

/** Where the sandbox has our Node.js. */
const node = "/opt/node"

const mountOf = (path: string): Mount => {
  const [from = "", to = from] = path.split(":")
  return { from, to }
}

/** Whether one of two paths of the host holds the other. */
const meet = (a: string, b: string): boolean => `${a}/`.startsWith(`${b}/`) || `${b}/`.startsWith(`${a}/`)

/** Programs whose first argument that is no flag is the program. */
const interpreter = /^(node|deno|bun|python[\d.]*|ruby|perl|php|(ba|da|z|k)?sh|env)$/

/** A relative path is one below the workspace, which is the server's folder. */
const inWork = (path: string): boolean => posix.resolve("/work", path).startsWith("/work/")

/** What of a command line is code that lies in the workspace. */
const codeInWork = ([program, ...args]: ProgramServer["command"]): string | undefined => {
  const [first, last] = [program, args.findIndex((arg) => !arg.startsWith("-"))]
  if (first.includes("/") && inWork(first)) return first
  if (!interpreter.test(posix.basename(first))) return undefined
  return args
    .slice(0, last === -1 ? args.length : last + 1)
    .find((arg) => inWork(arg.startsWith("-") ? `/${arg.slice(arg.indexOf("=") + 1)}` : arg))
}

/**
 * A person agrees to the server's code together with what it is given; whoever works in the workspace could write other
 * code there.
 *
 * @throws ToolError `denied`
 */
const refuseChangeable = (server: ProgramServer, root: string): void => {
  const workspace = realpathSync(root)
  const refuse = (message: string): never => {
    throw new ToolError({ code: "denied", message })
  }
  for (const { from } of (server.mounts ?? []).map(mountOf))
    if (existsSync(from) && meet(realpathSync(from), workspace))
      refuse(`mounts: ${from} and the workspace hold the same files: keep the server's code elsewhere`)
  if (server.env === undefined && server.trust !== true && sealed(server)) return
  const code = codeInWork(server.command)
  if (code !== undefined)
    refuse(`${code} lies in the workspace: a server with env, net or trust must have its code elsewhere`)
}

/** What is started, and with what, in a workspace whose folder is `root`. Throws ToolError `denied`. */
export const startOf = (
  server: ProgramServer,
  root: string
): readonly [argv: ProgramServer["command"], start: Start] => {
  refuseChangeable(server, root)
  const [program, ...args] = server.command
  const ours = program === "node"
  return [
    [ours ? node : program, ...args],
    {
      mounts: [
        ...(server.mounts ?? []).map(mountOf),
        ...(ours ? [{ from: process.execPath, to: node }] : [])
      ],
      workspace: server.grant?.workspace ?? "none",
      limits: { memoryMiB: addressSpace, outputBytes: unread },
      ...(server.env === undefined ? {} : { env: server.env })
    }
  ]
}
