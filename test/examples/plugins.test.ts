/** The example plugins pass the suite that every plugin is to pass, and do what they are for. */
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { createServer, type Server } from "node:http"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { Bubblewrap } from "../../sandbox/bubblewrap.ts"
import { Sandbox } from "../../sandbox/sandbox.ts"
import { conformance, loadPlugin } from "../../tools/plugins/index.ts"
import { contextIn } from "../fixtures/context.ts"

const plugins = fileURLToPath(new URL("../../examples/plugins/", import.meta.url))

const temporary = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "noos-examples-"))),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
)

/** The service that the weather comes from. */
const service = Effect.acquireRelease(
  Effect.promise(
    () =>
      new Promise<Server>((resolve) => {
        const server = createServer((request, response) => {
          const place = new URL(request.url!, "http://here").searchParams.get("place")
          if (place === "Storm") return response.writeHead(503).end()
          if (place === "Maze") return response.end("<html>")
          if (place !== "Porto") return response.writeHead(404).end()
          response.end(JSON.stringify({ temperature: 18.5, sky: "clear", station: 7 }))
        })
        server.listen(0, "127.0.0.1", () => resolve(server))
      })
  ),
  (server) => Effect.sync(() => server.close())
)

/** A copy of an example, which asks a free port in place of its own. */
const copyOf = Effect.fn("copyOf")(function* (name: string) {
  const copy = join(yield* temporary, name)
  cpSync(join(plugins, name), copy, { recursive: true })
  if (name === "weather") {
    const { port } = (yield* service).address() as AddressInfo
    for (const file of ["noos.plugin.json", "index.ts"])
      writeFileSync(join(copy, file), readFileSync(join(copy, file), "utf8").replaceAll("8099", `${port}`))
  }
  return copy
})

layer(Bubblewrap.layer, { excludeTestServices: true })("example plugins", (it) => {
  for (const name of readdirSync(plugins))
    it.effect(`${name} passes \`noos tool test\``, () =>
      Effect.gen(function* () {
        const checks = yield* conformance(yield* copyOf(name), () => {})
        assert.deepStrictEqual(
          checks.filter(({ ok }) => !ok),
          []
        )
        assert.isAbove(checks.length, 5)
      }).pipe(Effect.scoped)
    )

  const callsOf = Effect.fn("callsOf")(function* (name: string) {
    const tools = yield* loadPlugin({ folder: yield* copyOf(name), grant: "asked" }, yield* temporary)
    const workspace = yield* (yield* Sandbox).open(yield* temporary)
    const ctx = contextIn(workspace, yield* Effect.scope)
    const call = (tool: string, args: object) =>
      tools
        .find((t) => t.name === tool)!
        .execute(args, ctx)
        .pipe(
          Effect.map((given) => (given as { readonly text: string }).text),
          Effect.catch((e) => Effect.succeed(`${e.code}: ${e.message}`))
        )
    return { call, workspace }
  })

  it.effect("weather reads its service, and says what went wrong there", () =>
    Effect.gen(function* () {
      const { call } = yield* callsOf("weather")
      assert.strictEqual(yield* call("weather", { place: "Porto" }), "Porto: 18.5 °C, clear")
      assert.strictEqual(yield* call("weather", { place: "Atlantis" }), "not_found: no such place: Atlantis")
      assert.match(yield* call("weather", { place: "Storm" }), /^unavailable: .*503/)
      assert.match(yield* call("weather", { place: "Maze" }), /^failed: .*something else/)
    }).pipe(Effect.scoped)
  )

  it.effect("diff compares files of the workspace", () =>
    Effect.gen(function* () {
      const { call, workspace } = yield* callsOf("diff")
      yield* workspace.writeFile("a", "1\n")
      yield* workspace.writeFile("--b", "2\n")
      assert.strictEqual(yield* call("diff", { from: "a", to: "a" }), "no difference")
      assert.match(yield* call("diff", { from: "a", to: "--b" }), /-1\n\+2\n$/)
      assert.match(yield* call("diff", { from: "a", to: "none" }), /^bad_input: .*none/)
    }).pipe(Effect.scoped)
  )

  it.effect("todo keeps its list", () =>
    Effect.gen(function* () {
      const { call } = yield* callsOf("todo")
      assert.strictEqual(yield* call("todo_list", {}), "nothing to do")
      assert.strictEqual(yield* call("todo_add", { text: "sweep" }), "1 [ ] sweep")
      assert.strictEqual(yield* call("todo_done", { id: 1 }), "done: 1")
      assert.match(yield* call("todo_done", { id: 2 }), /^not_found: /)
      assert.strictEqual(yield* call("todo_list", {}), "1 [x] sweep")
    }).pipe(Effect.scoped)
  )
})
