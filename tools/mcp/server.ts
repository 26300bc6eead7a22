/** An MCP server as a person configures it, and how one that is a program is started in the sandbox. */
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

/** What is started, and with what. */
export const startOf = (server: ProgramServer): readonly [argv: ProgramServer["command"], start: Start] => {
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
