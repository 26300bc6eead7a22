/** What the tests of MCP share: servers from npm and our own that misbehaves, and calls of their tools by the whole path. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { Effect, Layer } from "effect"
import { makeHandles } from "../../kernel/handles.ts"
import { Journal } from "../../kernel/journal.ts"
import { type Caller, Syscalls } from "../../kernel/syscall.ts"
import type { AnyTool } from "../../kernel/tool.ts"
import { Bubblewrap } from "../../sandbox/bubblewrap.ts"
import { Sandbox } from "../../sandbox/sandbox.ts"
import type { ProgramServer } from "../../tools/mcp/server.ts"
import { marker, running } from "../sandbox/workspace.ts"

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url))
const modules = here("../../node_modules")

/** Where a reference server's program lies in node_modules. */
export const programOf = (name: string) => `@modelcontextprotocol/server-${name}/dist/index.js`

/** A reference server, which sees the workspace at /work. */
export const reference = (name: string, ...args: ReadonlyArray<string>): ProgramServer => ({
  command: ["node", `/opt/node_modules/${programOf(name)}`, ...args],
  mounts: [`${modules}:/opt/node_modules`],
  grant: { workspace: "write" }
})

/** The server of test/fixtures that misbehaves in a way. Its last argument is on no other command line of the machine. */
export const server = (way: string, more: Partial<ProgramServer> = {}): ProgramServer => ({
  command: ["node", "/opt/fixtures/mcp-server.ts", way, marker()],
  mounts: [`${here("../fixtures")}:/opt/fixtures`],
  grant: { workspace: "write" },
  ...more
})

/** How many programs of such a server run, besides what carries them into the sandbox. */
export const programsOf = ({ command }: ProgramServer): number =>
  running(`\0${command.at(-1)}\0`).filter((line) => line.startsWith("/opt/node\0")).length

/** What believes everything, and remembers the hashes. */
export const believing = () => {
  const hashes: Array<string> = []
  const pin = (_: string, hash: string) => Effect.sync(() => void hashes.push(hash))
  return { hashes, pin }
}

const home = mkdtempSync(join(tmpdir(), "noos-mcp-"))
export const live = Layer.mergeAll(Syscalls.layer, Bubblewrap.layer).pipe(
  Layer.provideMerge(Journal.layer(join(home, "journal.db")))
)
export const cleanUp = () => rmSync(home, { recursive: true, force: true })

export const freshFolder = () => mkdtempSync(join(home, "ws-"))

/** A folder, open as a workspace. */
export const workspaceIn = (folder = freshFolder()) =>
  Effect.flatMap(Sandbox, (sandbox) => sandbox.open(folder))

/** A process that calls tools by the whole path. What it holds open goes with the scope, or when it ends. */
export const processWith = Effect.fnUntraced(function* (
  tools: ReadonlyArray<AnyTool>,
  workspace: Caller["workspace"]
) {
  const journal = yield* Journal
  const syscalls = yield* Syscalls
  const run = yield* journal.beginRun({ task: "test", workspace: workspace.root, model: "none" })
  const pid = yield* journal.spawn({ run, program: "test" })
  const told: Array<string> = []
  const caller: Caller = {
    pid,
    tools,
    workspace,
    approve: () => Effect.succeed(true),
    progress: (text) => Effect.sync(() => void told.push(text)),
    handles: makeHandles(yield* Effect.scope)
  }
  const call = (tool: string, args: object = {}) => syscalls.dispatch(caller, { tool, args })
  /** The text of a result; an error as `code: message`. */
  const shown = (tool: string, args: object = {}) =>
    Effect.map(call(tool, args), (o) => (o.ok ? o.text : `${o.error.code}: ${o.error.message}`))
  return { call, shown, told, pid }
})
