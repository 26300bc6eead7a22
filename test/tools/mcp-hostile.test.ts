import { execFileSync } from "node:child_process"
import { open } from "node:fs/promises"
import { join } from "node:path"
import { afterAll, assert, layer } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { mcpTools } from "../../tools/mcp/index.ts"
import { secondsOfCall, secondsToOpen } from "../../tools/mcp/limits.ts"
import { believing, cleanUp, live, processWith, programsOf, server, workspaceIn } from "./mcp.ts"

afterAll(cleanUp)

const { pin } = believing()

/** A folder with a gate that a server opens when a request has reached it. */
const gated = Effect.gen(function* () {
  const workspace = yield* workspaceIn()
  const gate = join(workspace.root, "gate")
  execFileSync("mkfifo", ["-m", "666", gate])
  const entered = Effect.promise(async () => (await open(gate, "r")).close())
  return { workspace, entered }
})

/** What a load of the tools fails with. */
const refusedWith = Effect.fnUntraced(function* (way: string) {
  const workspace = yield* workspaceIn()
  const from = server(way)
  const error = yield* Effect.flip(mcpTools("s", from, { pin, workspace }))
  assert.strictEqual(programsOf(from), 0, way)
  return `${error.code}: ${error.message}`
})

/** A process with the server's usual tools. */
const ready = Effect.gen(function* () {
  const { entered, workspace } = yield* gated
  const from = server("usual")
  const { tools } = yield* mcpTools("s", from, { pin, workspace })
  return { ...(yield* processWith(tools, workspace)), entered, from, tools }
})

layer(live, { excludeTestServices: true })("a server that will not start", (it) => {
  it.effect(
    "ends, says too much, says nonsense, lists too much or unclearly: a typed error, and nothing left",
    () =>
      Effect.gen(function* () {
        for (const [way, says] of [
          ["exits", /^unavailable: the MCP server s ended \(exit 4\)/],
          ["endless_start", /^unavailable: the MCP server s sent a message of more than \d+ characters/],
          ["future", /^failed: .*protocol version is not supported: 2999-01-01/],
          ["many", /^limit: .*more than 1000 tools/],
          ["twins", /^failed: .*two tools have the name "ask"/],
          ["nameless", /^failed: .*a tool without a name/],
          ["pages", /^limit: .*more than 100 pages/]
        ] as const)
          assert.match(yield* refusedWith(way), says)
        const missing = { command: ["/usr/bin/no-such-program"] } as const
        const error = yield* Effect.flip(mcpTools("s", missing, { pin, workspace: yield* workspaceIn() }))
        assert.strictEqual(error.code, "unavailable")
      })
  )

  it.effect("greets on stdout, speaks an older revision, or has no tools: nothing wrong with that", () =>
    Effect.gen(function* () {
      for (const [way, some] of [
        ["banner", true],
        ["old", true],
        ["toolless", false]
      ] as const) {
        const { tools } = yield* mcpTools("s", server(way), { pin, workspace: yield* workspaceIn() })
        assert.strictEqual(tools.length > 0, some, way)
      }
    })
  )
})

layer(live, { excludeTestServices: true })("a call that goes wrong costs itself alone", (it) => {
  it.effect("the server ends, floods or babbles: it is gone, and the next call has a new one", () =>
    Effect.gen(function* () {
      const { from, shown } = yield* ready
      for (const [tool, says] of [
        ["dies", /ended \(exit 3\): TypeError: the disk is on fire$/],
        ["floods", /sent more than anybody asked for$/],
        ["pings", /sent more than anybody asked for$/],
        ["endless", /sent a message of more than \d+ characters$/],
        ["garbage", /sent what is no message: "\{not a message"$/]
      ] as const) {
        const said = yield* shown(`s_${tool}`)
        assert.match(said, /^unavailable: the MCP server s /)
        assert.match(said, says)
        assert.strictEqual(yield* shown("s_heard"), "notifications/initialized", tool)
        assert.strictEqual(programsOf(from), 1, tool)
      }
    })
  )

  it.effect("the call is cancelled: the server is told, and goes on", () =>
    Effect.gen(function* () {
      const { entered, shown } = yield* ready
      const calling = yield* Effect.forkChild(shown("s_hang"))
      yield* entered
      yield* Fiber.interrupt(calling)
      assert.strictEqual(yield* shown("s_heard"), "notifications/initialized notifications/cancelled")
    })
  )

  it.effect(
    "the tool fails, refuses, breaks its promise, or asks for a model, a form and folders that are not there",
    () =>
      Effect.gen(function* () {
        const { shown, tools } = yield* ready
        for (const [tool, says] of [
          ["fails", "failed: no such customer"],
          ["refuses", "bad_input: the MCP server s: n must be even"],
          ["liar", "failed: s_liar: its result does not fit its output schema: n must be integer"],
          ["nothing", "done"],
          ["asks", "-32601 -32601 -32601"],
          [
            "media",
            "see:\n[image image/png, 3 bytes]\n[audio audio/wav, 6 bytes]\n[resource file:///a.txt a.txt]\ninside b"
          ]
        ] as const)
          assert.strictEqual(yield* shown(`s_${tool}`), says)
        // A pattern that takes for ever is not tried on what the server itself made.
        assert.notInclude(
          JSON.stringify(tools.find(({ name }) => name === "s_slow_output")!.output),
          "pattern"
        )
        assert.strictEqual(yield* shown("s_slow_output"), "s")
      })
  )
})

layer(live)("time limits", (it) => {
  it.effect("a server that never answers is given up", () =>
    Effect.gen(function* () {
      const { entered, workspace } = yield* gated
      const from = server("mute")
      const loading = yield* Effect.forkChild(Effect.flip(mcpTools("s", from, { pin, workspace })))
      yield* entered
      yield* TestClock.adjust(`${secondsToOpen} seconds`)
      assert.deepInclude(yield* Fiber.join(loading), { code: "timeout", retryable: true })
      assert.strictEqual(programsOf(from), 0)
    })
  )

  it.effect("a server that answers other requests than ours is told that the call is cancelled", () =>
    Effect.gen(function* () {
      const { entered, shown } = yield* ready
      const calling = yield* Effect.forkChild(shown("s_wrong_ids"))
      yield* entered
      yield* TestClock.adjust(`${secondsOfCall} seconds`)
      assert.match(yield* Fiber.join(calling), /^timeout: wrong_ids took more than \d+ s/)
      assert.strictEqual(yield* shown("s_heard"), "notifications/initialized notifications/cancelled")
    })
  )
})
