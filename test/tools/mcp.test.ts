import { chownSync, existsSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { Journal } from "../../kernel/journal.ts"
import { toolLine } from "../../kernel/prompt.ts"
import { ToolError, toolName } from "../../kernel/tool.ts"
import { effectOf, nameOf } from "../../tools/mcp/card.ts"
import { type McpServer, mcpTools, type Pin } from "../../tools/mcp/index.ts"
import { random } from "../kernel/engine/random.ts"
import { marker } from "../sandbox/workspace.ts"
import {
  believing,
  cleanUp,
  freshFolder,
  live,
  processWith,
  programsOf,
  reference,
  server,
  workspaceIn
} from "./mcp.ts"

afterAll(cleanUp)

/** A server's tools and a process that has them, in a folder of its own. */
const withTools = Effect.fnUntraced(function* (
  name: string,
  from: McpServer,
  pin: Pin = believing().pin,
  folder?: string
) {
  const workspace = yield* workspaceIn(folder)
  const { tools, left } = yield* mcpTools(name, from, { pin, workspace })
  return { ...(yield* processWith(tools, workspace)), tools, left, workspace }
})

layer(live, { excludeTestServices: true })("the tools of the reference servers", (it) => {
  it.effect("filesystem: works in the workspace and nowhere else, and says what changes something", () =>
    Effect.gen(function* () {
      // Another user's, where there is another.
      const folder = freshFolder()
      if (process.getuid?.() === 0) chownSync(folder, 1234, 1234)
      const from = reference("filesystem", "/work")
      const { pid, shown, tools, workspace } = yield* withTools("fs", from, believing().pin, folder)
      const effects = Object.fromEntries(tools.map(({ effect, name }) => [name, effect]))
      assert.deepInclude(effects, { fs_read_text_file: "pure", fs_write_file: "reversible" })

      assert.match(yield* shown("fs_write_file", { path: "/work/a.txt", content: "hello" }), /Successfully/)
      assert.strictEqual(readFileSync(join(workspace.root, "a.txt"), "utf8"), "hello")
      assert.strictEqual(yield* shown("fs_read_text_file", { path: "/work/a.txt" }), "hello")
      assert.match(yield* shown("fs_read_text_file", { path: "/etc/passwd" }), /^failed: .*denied/)
      assert.match(yield* shown("fs_read_text_file", { path: 3 }), /^bad_input: .*path must be string/)
      // The calls are in the journal with what they gave.
      const [write, read] = yield* (yield* Journal).calls({ pid })
      assert.deepInclude(write, { tool: "fs_write_file", ok: true })
      assert.deepInclude(read, { tool: "fs_read_text_file", result: { content: "hello" } })
    })
  )

  it.effect("everything: text, structure, pictures, links and progress", () =>
    Effect.gen(function* () {
      const { call, left, shown, told } = yield* withTools("everything", reference("everything"))
      assert.deepStrictEqual(
        left.map(({ name }) => name),
        ["simulate-research-query"]
      )
      assert.strictEqual(yield* shown("everything_echo", { message: "hi" }), "Echo: hi")
      assert.match(yield* shown("everything_get_sum", { a: 2, b: 40 }), /42/)
      const weather = yield* call("everything_get_structured_content", { location: "New York" })
      assert.deepInclude(weather, {
        ok: true,
        result: { temperature: 33, conditions: "Cloudy", humidity: 82 }
      })
      assert.match(yield* shown("everything_get_tiny_image"), /\[image image\/png, \d+ bytes\]/)
      assert.match(yield* shown("everything_get_resource_links", { count: 2 }), /\[resource demo:\/\//)
      assert.match(
        yield* shown("everything_trigger_long_running_operation", { duration: 0.2, steps: 2 }),
        /completed/
      )
      assert.strictEqual(told[0], "1/2")
      // The environment of noos is not the server's.
      const env = yield* shown("everything_get_env")
      assert.notInclude(env, process.env.HOME ?? "no home")
    })
  )

  it.effect("memory: a server for each process, which keeps its state and goes with it", () =>
    Effect.gen(function* () {
      const from = { ...reference("memory", marker()), env: { MEMORY_FILE_PATH: "/work/memory.jsonl" } }
      yield* Effect.scoped(
        Effect.gen(function* () {
          const { shown, tools, workspace } = yield* withTools("memory", from)
          assert.strictEqual(programsOf(from), 0)
          const entities = [{ name: "Ada", entityType: "person", observations: ["writes programs"] }]
          yield* shown("memory_create_entities", { entities })
          assert.match(yield* shown("memory_search_nodes", { query: "programs" }), /Ada/)
          assert.isTrue(existsSync(join(workspace.root, "memory.jsonl")))
          assert.strictEqual(programsOf(from), 1)
          yield* Effect.scoped(
            Effect.gen(function* () {
              const other = yield* processWith(tools, workspace)
              assert.match(yield* other.shown("memory_read_graph"), /Ada/)
              assert.strictEqual(programsOf(from), 2)
            })
          )
          assert.strictEqual(programsOf(from), 1)
        })
      )
      assert.strictEqual(programsOf(from), 0)
    })
  )
})

layer(live, { excludeTestServices: true })("a server's grant", (it) => {
  it.effect("is all that it sees: nothing, the workspace to read, or to write", () =>
    Effect.gen(function* () {
      for (const [grant, files, wrote] of [
        [{}, [], false],
        [{ workspace: "read" }, ["a.txt"], false],
        [{ workspace: "write" }, ["a.txt"], true]
      ] as const) {
        const { call, workspace } = yield* withTools("s", server("usual", { grant, env: { TOKEN: "1" } }))
        writeFileSync(join(workspace.root, "a.txt"), "")
        const outcome = yield* call("s_looks")
        assert.isTrue(outcome.ok, outcome.text)
        const seen = (outcome as unknown as { readonly result: Record<string, unknown> }).result
        assert.deepInclude(seen, { files, shadow: false })
        assert.strictEqual(existsSync(join(workspace.root, "mine.txt")), wrote, JSON.stringify(grant))
        assert.include(seen.env, "TOKEN")
        assert.notInclude(seen.env, "VITEST")
      }
    })
  )
})

layer(live, { excludeTestServices: true })("what is told of a server's tools", (it) => {
  it.effect("their names fit ours and are all different", () =>
    Effect.gen(function* () {
      const { tools, shown } = yield* withTools("My Server", server("names"))
      assert.deepStrictEqual(
        tools.map(({ name }) => name),
        [
          "my_server_1st",
          "my_server_get_thing",
          "my_server_get_thing_2",
          "my_server_get_thing_3",
          `my_server_${"x".repeat(54)}`,
          `my_server_${"x".repeat(52)}_2`,
          "my_server_n"
        ]
      )
      assert.strictEqual(yield* shown("my_server_n"), "fine")
    })
  )

  it.effect("descriptions are one line of ordinary characters", () =>
    Effect.gen(function* () {
      const { tools } = yield* withTools("s", server("words"))
      const line = toolLine(tools[0]!)
      assert.match(line, /^s_ask\(\) One \[31m two three long .*…$/)
      assert.isBelow(line.length, 220)
    })
  )

  it.effect("tools whose schemas cannot be used are left out, with why", () =>
    Effect.gen(function* () {
      const { left, tools, shown } = yield* withTools("s", server("schemas"))
      assert.deepStrictEqual(
        tools.map(({ name }) => name),
        ["s_draft7"]
      )
      assert.match(yield* shown("s_draft7", { n: "one" }), /^bad_input: .*n must be integer/)
      assert.strictEqual(yield* shown("s_draft7", { n: 1 }), "fine")
      const why = Object.fromEntries(left.map((l) => [l.name, l.why]))
      assert.deepStrictEqual(Object.keys(why).sort(), [
        "bomb",
        "bomb_in_list",
        "circle",
        "impossible",
        "long",
        "nonsense",
        "outside",
        "own_name",
        "task"
      ])
      for (const [name, says] of [
        ["bomb", /references/],
        ["bomb_in_list", /references/],
        ["circle", /leads back to itself/],
        ["long", /too long/],
        ["task", /task/],
        ["own_name", /\$id is not taken/]
      ] as const)
        assert.match(why[name]!, says)
    })
  )

  it.effect("a server that reaches the network is not believed about effects, unless it is trusted", () =>
    Effect.gen(function* () {
      const own = server("reads")
      const open = server("reads", { grant: { net: ["example.com"] } })
      const http = { url: "https://example.com/mcp" }
      const effects = (from: McpServer) => [effectOf(from, true), effectOf(from, false)]
      assert.deepStrictEqual(effects(own), ["pure", "reversible"])
      for (const from of [open, http]) {
        assert.deepStrictEqual(effects(from), ["irreversible", "irreversible"])
        assert.deepStrictEqual(effects({ ...from, trust: true }), ["pure", "irreversible"])
      }
      assert.strictEqual((yield* withTools("s", open)).tools[0]!.effect, "irreversible")
    })
  )

  it("names are right and different whatever the servers call their tools", () => {
    const { below } = random(7)
    const letters = [..."aZ9_-. é/\u0000🙂"]
    const taken = new Set<string>()
    for (let i = 0; i < 2000; i++) {
      const word = () => Array.from({ length: below(70) }, () => letters[below(letters.length)]).join("")
      const name = nameOf(word(), word(), taken)
      assert.match(name, toolName)
      assert.isFalse(taken.has(name))
      taken.add(name)
    }
  })
})

layer(live, { excludeTestServices: true })("pins", (it) => {
  it.effect("the hash is that of all that the server says, and of nothing else", () =>
    Effect.gen(function* () {
      const hashOf = Effect.fnUntraced(function* (name: string, way: string) {
        const { hashes, pin } = believing()
        yield* withTools(name, server(way), pin)
        return hashes[0]!
      })
      const plain = yield* hashOf("a", "usual")
      assert.match(plain, /^[0-9a-f]{64}$/)
      assert.strictEqual(yield* hashOf("b", "banner"), plain)
      for (const way of ["instructs", "words"]) assert.notStrictEqual(yield* hashOf("a", way), plain, way)
    })
  )

  it.effect("one that does not hold stops the load, and the connection", () =>
    Effect.gen(function* () {
      const from = server("usual")
      const denied = new ToolError({ code: "denied", message: "s has changed: noos trust --mcp s" })
      const failed = yield* Effect.flip(withTools("s", from, () => Effect.fail(denied)))
      assert.strictEqual(failed, denied)
      assert.strictEqual(programsOf(from), 0)

      // Trusted when its tools were listed, and no more when one is called.
      let asked = 0
      const { shown } = yield* withTools("s", from, () => (asked++ === 0 ? Effect.void : Effect.fail(denied)))
      assert.strictEqual(yield* shown("s_heard"), `denied: ${denied.message}`)
      assert.strictEqual(programsOf(from), 0)
    })
  )

  it.effect("a tool that changes while it is connected is refused; the others go on", () =>
    Effect.gen(function* () {
      const { shown } = yield* withTools("s", server("changes"))
      assert.strictEqual(yield* shown("s_changes"), "before")
      assert.match(yield* shown("s_changes"), /^denied: .*has changed changes since it was pinned/)
      assert.match(yield* shown("s_heard"), /initialized/)
      assert.match(yield* shown("s_changes"), /^denied: /)
    })
  )
})
