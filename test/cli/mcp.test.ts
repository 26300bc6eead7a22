import { execFileSync } from "node:child_process"
import { readFileSync, writeFileSync } from "node:fs"
import { open } from "node:fs/promises"
import { join } from "node:path"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Client } from "@modelcontextprotocol/sdk/client/index.js"
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js"
import type { CallToolResult } from "@modelcontextprotocol/sdk/types.js"
import { Effect } from "effect"
import { McpClient, McpProtocol } from "effect/ai"
import { ChildProcess } from "effect/process"
import { execa } from "execa"
import { marker, running } from "../sandbox/workspace.ts"
import { server } from "../tools/mcp.ts"
import { noos, scratch } from "./launch.ts"

const { at, gate, root, workspace } = scratch("mcp")
const home = join(root, "home")
const { call: command, read } = at(home)
const task = "How many lines are in data.csv, then save that number to count.txt."

/** The official client, connected to `noos mcp` in a folder. */
const connect = async (folder: string, ...flags: ReadonlyArray<string>) => {
  const client = new Client({ name: "test", version: "1" })
  const args = ["mcp", "--workspace", folder, ...flags]
  const env = { ...(process.env as Record<string, string>), NOOS_HOME: home }
  const transport = new StdioClientTransport({ command: noos, args, env, stderr: "ignore" })
  await client.connect(transport)
  const call = async (name: string, args: object = {}, options: { readonly signal?: AbortSignal } = {}) =>
    (await client.callTool({ name, arguments: { ...args } }, undefined, options)) as CallToolResult
  const shown = async (name: string, args: object = {}) => textOf(await call(name, args))
  return { client, call, shown }
}

const textOf = ({ content, isError }: CallToolResult): string => {
  const [first] = content
  assert.strictEqual(first?.type, "text")
  return `${isError === true ? "error " : ""}${first?.type === "text" ? first.text : ""}`
}

describe("noos mcp", () => {
  it("serves the tools: described, checked, journalled, with state between the calls", async () => {
    const folder = workspace()
    const { client, shown } = await connect(folder)
    const { tools } = await client.listTools()
    const hints = Object.fromEntries(tools.map(({ annotations, name }) => [name, annotations]))
    assert.containsAllKeys(hints, ["shell", "fs_read", "calc", "spawn", "wait", "kill"])
    for (const name of ["recall", "exit", "fork", "send"]) assert.notProperty(hints, name)
    assert.deepStrictEqual(hints.fs_read, {
      readOnlyHint: true,
      destructiveHint: false,
      openWorldHint: false
    })
    assert.deepInclude(hints.shell, { readOnlyHint: false, openWorldHint: false })

    // Calls that come at once take turns, with one shell.
    const counted = [1, 2, 3].map(() => shown("shell", { command: "echo $((n = n + 1))" }))
    assert.deepStrictEqual((await Promise.all(counted)).sort(), ["1", "2", "3"])
    assert.strictEqual(await shown("shell", { command: "wc -l < data.csv" }), "12")
    await shown("shell", { command: "cd /tmp; seen=5" })
    assert.strictEqual(await shown("shell", { command: "pwd; echo $seen" }), "/tmp\n5")
    assert.match(await shown("fs_read", { path: 3 }), /^error bad_input: .*path must be string/)
    assert.match(await shown("fs_read", { path: "../x" }), /^error outside_workspace: /)
    assert.match(await shown("nothing"), /^error bad_input: no such tool: nothing/)
    await client.close()

    const [run] = await read((journal) => journal.runs())
    assert.strictEqual(run!.task, "mcp")
    const calls = await read((journal) => journal.calls({ run: run!.id }))
    assert.deepStrictEqual(
      calls.map(({ ok, tool }) => [tool, ok]),
      [...Array.from({ length: 6 }, () => ["shell", true]), ["fs_read", false]]
    )
  })

  it("runs processes of the kernel for the client", async () => {
    const folder = workspace()
    const { call, client, shown } = await connect(folder)
    const pid = Number(await shown("spawn", { task }))
    const waited = await call("wait", { pid })
    assert.deepStrictEqual(waited.structuredContent, { pid, status: "ok", answer: "12" })
    assert.strictEqual(readFileSync(join(folder, "count.txt"), "utf8"), "12")
    assert.match(await shown("wait", { pid }), /^error not_found: no process \d+ of yours/)
    assert.match(await shown("spawn", { task, tools: ["nothing"] }), /^error denied: not granted: nothing/)
    assert.match(await shown("spawn", { task: " " }), /^error bad_input: the task is empty/)
    await client.close()
  })

  it("grants what it is told to, and denies what nobody can approve", async () => {
    const folder = workspace()
    // A server that may reach the network, so that its tools reach past the workspace.
    const own = server("usual", { grant: { net: ["example.com"] } })
    writeFileSync(join(folder, "noos.json"), JSON.stringify({ mcp: { own } }))
    assert.strictEqual((await command("trust", "--yes", "--workspace", folder)).exitCode, 0)
    for (const [flags, says] of [
      [[], /^error denied: .*own_fails reaches outside the workspace/],
      [["--yes"], /^error failed: no such customer/]
    ] as const) {
      const { client, shown } = await connect(folder, "--grant", "calc,own_fails", ...flags)
      const { tools } = await client.listTools()
      assert.deepStrictEqual(
        tools.map(({ name }) => name),
        ["calc", "own_fails", "spawn", "wait", "kill"]
      )
      assert.deepInclude(tools[1]!.annotations, { openWorldHint: true, destructiveHint: true })
      assert.match(await shown("own_fails"), says)
      assert.match(await shown("shell", { command: "true" }), /^error bad_input: no such tool: shell/)
      assert.match(await shown("spawn", { task, tools: ["shell"] }), /^error denied: not granted: shell/)
      await client.close()
    }
  })

  it("cancels a call when the client does, and nothing of it goes on", async () => {
    const folder = workspace()
    execFileSync("mkfifo", ["-m", "666", join(folder, "gate")])
    const { call, client, shown } = await connect(folder)
    const seconds = marker()
    const controller = new AbortController()
    const calling = call("shell", { command: `: > gate; exec sleep ${seconds}` }, controller)
    await (await open(join(folder, "gate"), "r")).close()
    controller.abort()
    assert.isTrue(
      await calling.then(
        () => false,
        () => true
      )
    )
    assert.strictEqual(await shown("shell", { command: "echo next" }), "next")
    assert.isEmpty(running(seconds))
    await client.close()
    const [run] = await read((journal) => journal.runs())
    const [first] = await read((journal) => journal.calls({ run: run!.id }))
    assert.strictEqual(first?.ok, false)
  })

  it("ends when stdin does: with exit code 0, its calls and processes stopped, and nothing left", async () => {
    // A process reads data.csv, and a call has its own gate: both wait for what nobody writes.
    const { folder } = gate()
    execFileSync("mkfifo", ["-m", "666", join(folder, "gate")])
    const child = execa(noos, ["mcp", "--workspace", folder], {
      env: { NOOS_HOME: home },
      reject: false,
      stdin: "pipe"
    })
    const seconds = marker()
    const say = (message: object) => child.stdin.write(`${JSON.stringify({ jsonrpc: "2.0", ...message })}\n`)
    const call = (id: number, name: string, args: object) =>
      say({ id, method: "tools/call", params: { name, arguments: args } })
    const clientInfo = { name: "raw", version: "1" }
    say({
      id: 1,
      method: "initialize",
      params: { protocolVersion: "2025-11-25", capabilities: {}, clientInfo }
    })
    say({ method: "notifications/initialized" })
    child.stdin.write("this is no message\n")
    call(2, "shell", { command: `: > gate; exec sleep ${seconds}` })
    call(3, "spawn", { task: "How many lines are in data.csv?" })
    const files = [await open(join(folder, "gate"), "r"), await open(join(folder, "data.csv"), "w")]
    child.stdin.end()
    const { exitCode, stderr, stdout } = await child
    for (const file of files) await file.close()
    assert.strictEqual(exitCode, 0, stderr)
    // Nothing but the protocol is on stdout.
    const answers = stdout.split("\n").map((line) => JSON.parse(line) as { readonly id: number })
    assert.deepStrictEqual(
      answers.map(({ id }) => id),
      [1, 3]
    )
    assert.isEmpty(running(seconds))
    const [run] = await read((journal) => journal.runs())
    assert.strictEqual(run?.status, "ok")
    const processes = await read((journal) => journal.processes(run!.id))
    assert.deepStrictEqual(
      processes.map(({ state }) => state),
      ["zombie", "stopped"]
    )
  })

  it("is understood by a second client, which shares no code with the server", async () => {
    const folder = workspace()
    const said = await Effect.gen(function* () {
      const client = yield* McpClient.McpClient
      const tools = yield* client.listTools()
      const tool = tools.find(({ name }) => name === "shell")!
      const result = yield* client.callTool({ tool, arguments: { command: "wc -l < data.csv" } })
      const wrong = yield* client.callTool({ tool, arguments: { cmd: "" } })
      return { result, wrong }
    }).pipe(
      Effect.provide(
        McpClient.layerStdio({
          name: "second",
          version: "1",
          command: ChildProcess.make(noos, ["mcp", "--workspace", folder], {
            env: { NOOS_HOME: home },
            extendEnv: true
          }),
          protocol: McpProtocol.v2025_11_25
        })
      ),
      Effect.provide(NodeServices.layer),
      Effect.scoped,
      Effect.runPromise
    )
    assert.deepInclude(said.result.content[0], { type: "text", text: "12" })
    assert.deepInclude(said.result.structuredContent as object, { exitCode: 0, stdout: "12\n" })
    assert.isTrue(said.wrong.isError)
  })

  it("says what is wrong with its flags, in two lines and with exit code 2", async () => {
    const { exitCode, stdout } = await command("mcp", "--workspace", join(root, "nowhere"))
    assert.deepStrictEqual([exitCode, stdout], [2, ""])
  })
})
