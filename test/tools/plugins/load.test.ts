import {
  chmodSync,
  chownSync,
  cpSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync
} from "node:fs"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { join } from "node:path"
import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { type AnyTool, Rendered } from "../../../kernel/tool.ts"
import { Bubblewrap } from "../../../sandbox/bubblewrap.ts"
import { Sandbox } from "../../../sandbox/sandbox.ts"
import { loadPlugin, loadPlugins } from "../../../tools/plugins/load.ts"
import { contextIn } from "../../fixtures/context.ts"
import { caller, folder, loaded, plugin, write } from "./plugin.ts"

const workspace = Effect.flatMap(Effect.all([Sandbox, folder]), ([sandbox, root]) => sandbox.open(root))

const modules = new URL("../../../node_modules", import.meta.url).pathname

/** A plugin of one module, in TypeScript. */
const module = Effect.fn("test.module")(function* (text: string, manifest: object = {}) {
  const root = yield* folder
  write(root, {
    "noos.plugin.json": JSON.stringify({ name: "tested", main: "index.ts", ...manifest }),
    "index.ts": text
  })
  return root
})

const tool = (fields: string) =>
  `export default { name: "t", description: "A tool.", effect: "pure", input: { type: "object" }, execute: () => "done", ${fields} }`

const asked = (root: string) => ({ folder: root, grant: "asked" as const })

layer(Bubblewrap.layer, { excludeTestServices: true })("loadPlugin", (it) => {
  it.effect("says what is wrong with a manifest", () =>
    Effect.gen(function* () {
      const wrong: ReadonlyArray<readonly [text: string | undefined, message: RegExp]> = [
        [undefined, /has no noos\.plugin\.json/],
        ["{", /not JSON/],
        ["[]", /must be object/],
        ['{"name":"a"}', /required property 'main'/],
        ['{"name":"A b","main":"index.ts"}', /name must match/],
        ['{"name":"a","main":"none.ts"}', /main is no file of the plugin: none\.ts/],
        ['{"name":"a","main":"../x.ts"}', /main is no file of the plugin/],
        ['{"name":"a","main":"index.ts","permisions":{}}', /additional properties: permisions/],
        [
          '{"name":"a","main":"index.ts","permissions":{"workspace":"all"}}',
          /permissions\.workspace .*: read, write/
        ],
        [
          '{"name":"a","main":"index.ts","permissions":{"state":false}}',
          /permissions\.state must be equal to constant: true/
        ],
        ['{"name":"a","main":"index.ts","permissions":{"env":["A=B"]}}', /permissions\.env\.0 must match/],
        ['{"name":"a","main":"index.ts","seconds":0}', /seconds must be > 0/]
      ]
      for (const [text, message] of wrong) {
        const root = yield* folder
        write(root, { "index.ts": tool(""), "../x.ts": "" })
        if (text !== undefined) write(root, { "noos.plugin.json": text })
        const error = yield* Effect.flip(loadPlugin(asked(root), yield* folder))
        assert.strictEqual(error._tag, "PluginError")
        assert.match(error.message, message)
      }
      const missing = yield* Effect.flip(loadPlugin(asked("/nowhere"), yield* folder))
      assert.match(missing.message, /no such plugin: \/nowhere/)
    }).pipe(Effect.scoped)
  )

  it.effect("grants no more than it was granted, and says what to write", () =>
    Effect.gen(function* () {
      const permissions = {
        net: ["127.0.0.1:8099"],
        workspace: "write",
        state: true,
        env: ["A", "B"]
      } as const
      const root = yield* module(tool(""), { permissions })
      const home = yield* folder
      const grants = [{}, { ...permissions, env: ["A"] }, { ...permissions, workspace: "read" as const }]
      const lacking = [
        /workspace: write; net: 127\.0\.0\.1:8099; state; env: A; env: B/,
        /\(env: B\)/,
        /\(workspace: write\)/
      ]
      for (const [i, grant] of grants.entries()) {
        const error = yield* Effect.flip(loadPlugin({ folder: root, from: "./weather", grant }, home))
        assert.match(error.message, lacking[i]!)
        assert.deepStrictEqual(JSON.parse("hint" in error ? /\{.*$/.exec(error.hint)![0] : ""), {
          plugins: [{ from: "./weather", grant: permissions }]
        })
      }
      yield* loadPlugin({ folder: root, grant: permissions }, home)
    }).pipe(Effect.scoped)
  )

  it.effect("refuses what no kernel should read", () =>
    Effect.gen(function* () {
      const wrong: ReadonlyArray<readonly [module: string, message: RegExp]> = [
        ["export const none = 1", /must be a tool made with defineTool/],
        ["export default []", /exports no tool/],
        ["export default {", /cannot be loaded: .*\(index\.ts:1\)/],
        ["import 'nothing-like-it'; export default 1", /cannot be loaded: Cannot find package/],
        ["throw new Error('at birth')", /cannot be loaded: at birth/],
        ["process.exit(7)", /ended with exit code 7/],
        [tool('name: "Shout"'), /tool name "Shout" must match/],
        [tool("name: 1"), /tool name 1 must match/],
        [tool('description: ""'), /needs a description of one line/],
        [tool('description: "a\\nb"'), /needs a description of one line/],
        [tool('effect: "none"'), /effect must be pure, reversible or irreversible/],
        [tool('critical: ["x"]'), /critical must name arguments/],
        [tool("examples: [1]"), /examples must be a list/],
        [tool('input: { type: "string" }'), /input must be a schema with "type": "object"/],
        [tool('input: { type: "object", properties: { a: { type: "text" } } }'), /its schema cannot be used/],
        [
          tool('input: { type: "object", required: ["a"], properties: { a: false } }'),
          /its schema cannot be used: no arguments/
        ],
        [tool('input: { type: "object", $id: "x" }'), /\$id is not taken/],
        [tool('output: { $async: true, type: "string" }'), /\$async is not taken/],
        [
          tool('input: { type: "object", properties: { a: { $ref: "https://example.com/" } } }'),
          /leads out of its schema/
        ],
        [
          tool('input: { type: "object", properties: { a: { $ref: "#/properties/a" } } }'),
          /leads back to itself/
        ],
        [
          tool('input: { type: "object", properties: { a: { type: "string", pattern: "^(a+)+$" } } }'),
          /may be slow to match/
        ],
        [tool(`description: "x".repeat(501)`), /longer than 500/],
        [
          tool(`input: { type: "object", description: "x".repeat(300000) }`),
          /more than \d+ bytes to describe/
        ],
        [
          tool("").replace(/export default (.*)/, "const t = $1\nexport default [t, t]"),
          /two of its tools are called t/
        ]
      ]
      const home = yield* folder
      for (const [text, message] of wrong) {
        const error = yield* Effect.flip(loadPlugin(asked(yield* module(text)), home))
        assert.match(error.message, message)
        assert.strictEqual(error._tag, "PluginError")
      }
    }).pipe(Effect.scoped)
  )

  it.effect("asks a plugin once, and again when a file of it has changed", () =>
    Effect.gen(function* () {
      const root = yield* module(tool("description: String(performance.timeOrigin)"))
      const home = yield* folder
      const load = Effect.map(loadPlugin(asked(root), home), ([only]) => only!.description)
      const first = yield* load
      assert.strictEqual(yield* load, first)
      write(root, { "deep/other.txt": "new" })
      const second = yield* load
      assert.notStrictEqual(second, first)
      const cache = join(home, "cache/plugins")
      for (const file of readdirSync(cache).filter((name) => name.endsWith(".json")))
        writeFileSync(join(cache, file), "not JSON")
      assert.notStrictEqual(yield* load, second)
    }).pipe(Effect.scoped)
  )

  it.effect("gives tools with all that they say, and the text that they make", () =>
    Effect.gen(function* () {
      const ws = yield* workspace
      const root = yield* module(`
        import { defineTool } from "noos/plugin"
        const input = { type: "object", properties: { n: { type: "integer" } }, required: ["n"], additionalProperties: false }
        interface Args { n: number }
        export default [
          defineTool({ name: "twice", description: "Twice.", input, output: { type: "integer" }, effect: "irreversible",
            critical: ["n"], examples: [{ args: { n: 1 }, result: 2 }], execute: ({ n }: Args) => n * 2, toModel: (r) => "it is " + r }),
          defineTool({ name: "plain", description: "Data.", input, effect: "pure", execute: ({ n }: Args) => ({ n }) }),
          defineTool({ name: "nothing", description: "Nothing.", input, effect: "pure", execute: () => undefined })
        ]`)
      const tools = yield* loadPlugin(asked(root), yield* folder)
      const { execute, ...twice } = tools[0]!
      assert.deepStrictEqual(twice, {
        name: "twice",
        description: "Twice.",
        input: {
          type: "object",
          properties: { n: { type: "integer" } },
          required: ["n"],
          additionalProperties: false
        },
        output: { type: "integer" },
        effect: "irreversible",
        critical: ["n"],
        examples: [{ args: { n: 1 }, result: 2 }]
      })
      const ctx = contextIn(ws, yield* Effect.scope)
      const given = yield* Effect.forEach(tools, (t) => t.execute({ n: 4 }, ctx))
      assert.deepStrictEqual(given, [
        new Rendered(8, "it is 8"),
        new Rendered({ n: 4 }, '{"n":4}'),
        new Rendered(undefined, "done")
      ])
      assert.strictEqual(typeof execute, "function")
    }).pipe(Effect.scoped)
  )

  it.effect("takes schemas of libraries and effects, its own packages, and TypeScript", () =>
    Effect.gen(function* () {
      const ws = yield* workspace
      const root = yield* module(`
        import { Effect, Schema } from "effect"
        import { defineTool, ToolError } from "noos/plugin"
        import { z } from "zod"
        export default [
          defineTool({ name: "zod", description: "Zod.", input: z.object({ n: z.number().default(3) }), output: z.number(), effect: "pure",
            execute: ({ n }) => n + 1 }),
          defineTool({ name: "effect", description: "Effect.", input: Schema.Struct({ n: Schema.Int }), effect: "pure",
            execute: ({ n }) => n === 0 ? Effect.fail(new ToolError({ code: "not_found", message: "zero" })) : Effect.succeed(n + 1) })
        ]`)
      write(root, { "package.json": '{"type":"module","dependencies":{"zod":"*"}}' })
      // As npm installs it: the plugin beside what it needs.
      const project = yield* folder
      write(project, { "node_modules/.keep": "" })
      symlinkSync(join(modules, "zod"), join(project, "node_modules/zod"))
      cpSync(root, join(project, "node_modules/tested"), { recursive: true })
      const tools = yield* loadPlugin(asked(join(project, "node_modules/tested")), yield* folder)
      assert.deepInclude(tools[1]!.input, { type: "object", required: ["n"], additionalProperties: false })
      const call = caller(tools, ws, yield* Effect.scope)
      assert.strictEqual(yield* call("zod", {}), 4)
      assert.strictEqual(yield* call("effect", { n: 1 }), 2)
      assert.strictEqual(yield* call("effect", { n: 0 }), "not_found: zero")
    }).pipe(Effect.scoped)
  )

  it.effect("shows what was granted: workspace, state, environment", () =>
    Effect.gen(function* () {
      const ws = yield* workspace
      write(ws.root, { "a.txt": "mine" })
      process.env.NOOS_TEST_A = "a"
      process.env.NOOS_TEST_B = "b"
      const head = "import { appendFileSync, readFileSync, writeFileSync } from 'node:fs'"
      const tools = {
        read: "return readFileSync(ctx.workspace + '/a.txt', 'utf8')",
        write: "writeFileSync(ctx.workspace + '/b.txt', 'new')",
        keep: "appendFileSync(ctx.state + '/log', 'x'); return readFileSync(ctx.state + '/log', 'utf8')",
        env: "return [process.env.NOOS_TEST_A, process.env.NOOS_TEST_B]",
        key: "return ctx.idempotencyKey"
      }
      const reads = yield* loaded(
        { head, tools, permissions: { workspace: "read", env: ["NOOS_TEST_A"] } },
        ws
      )
      assert.strictEqual(yield* reads("read"), "mine")
      assert.match(String(yield* reads("write")), /^failed: .*EROFS/)
      assert.deepStrictEqual(yield* reads("env"), ["a", null])
      assert.strictEqual(yield* reads("key", {}, { idempotencyKey: "k-1" }), "k-1")

      const root = yield* plugin({ head, tools, permissions: { workspace: "write", state: true } })
      const home = yield* folder
      const writes = yield* loadPlugin(asked(root), home)
      const process_ = () => Effect.map(Effect.scope, (scope) => caller(writes, ws, scope))
      const one = yield* process_()
      yield* one("write")
      assert.strictEqual(readFileSync(join(ws.root, "b.txt"), "utf8"), "new")
      assert.strictEqual(yield* one("keep"), "x")
      assert.strictEqual(yield* (yield* process_())("keep"), "xx")

      // Another plugin of the same name has nothing to do with it.
      const other = caller(
        yield* loadPlugin(asked(yield* plugin({ head, tools, permissions: { state: true } })), home),
        ws,
        yield* Effect.scope
      )
      assert.strictEqual(yield* other("keep"), "x")
    }).pipe(Effect.scoped)
  )

  it.effect("fetches from granted hosts, and from no other", () =>
    Effect.gen(function* () {
      const ws = yield* workspace
      const server = yield* Effect.acquireRelease(
        Effect.promise(async () => {
          const made = createServer((request, response) => {
            if (request.url === "/big") return response.end(Buffer.alloc(9 * 1024 * 1024))
            const body: Array<Buffer> = []
            request.on("data", (piece) => body.push(piece))
            request.on("end", () => {
              response.writeHead(201, { "x-had": request.headers["x-mine"] ?? "" })
              response.end(`${request.method} ${request.url} ${Buffer.concat(body)}`)
            })
          })
          await new Promise<void>((done) => made.listen(0, "127.0.0.1", done))
          return made
        }),
        (made) => Effect.sync(() => made.close())
      )
      const { port } = server.address() as AddressInfo
      const call = yield* loaded(
        {
          tools: {
            post: "const r = await fetch(text, { method: 'POST', body: 'é', headers: { 'x-mine': '1' } }); return [r.status, r.ok, r.headers.get('x-had'), await r.text(), r.url]",
            get: "return (await fetch(text)).status",
            many: "return (await Promise.all(Array.from({ length: 20 }, async (_, i) => (await fetch(text + i)).text()))).length",
            flood:
              "return (await Promise.all(Array.from({ length: 2000 }, (_, i) => fetch(text + i)))).length"
          },
          permissions: { net: [`127.0.0.1:${port}`] }
        },
        ws
      )
      const url = `http://127.0.0.1:${port}`
      assert.deepStrictEqual(yield* call("post", { text: `${url}/a?b` }), [
        201,
        true,
        "1",
        "POST /a?b é",
        `${url}/a?b`
      ])
      assert.strictEqual(yield* call("many", { text: `${url}/` }), 20)
      assert.match(String(yield* call("get", { text: `${url}/big` })), /^too_large: /)
      for (const text of [
        "http://127.0.0.1:1/",
        "http://localhost:1/",
        "http://169.254.169.254/",
        "http://example.com/"
      ])
        assert.match(String(yield* call("get", { text })), /^denied: /)
      assert.match(String(yield* call("get", { text: "file:///etc/passwd" })), /^(bad_input|denied|failed): /)
      assert.match(String(yield* call("flood", { text: `${url}/` })), /^limit: .*requests at a time/)
      assert.strictEqual(yield* call("get", { text: `${url}/` }), 201)
    }).pipe(Effect.scoped)
  )

  it.effect("serves a workspace of somebody else's", () =>
    Effect.gen(function* () {
      if (process.getuid?.() !== 0) return
      const theirs = yield* folder
      chownSync(theirs, 4321, 4321)
      const ws = yield* (yield* Sandbox).open(theirs)
      const root = yield* plugin({
        head: "import { writeFileSync } from 'node:fs'",
        tools: {
          keep: "writeFileSync(ctx.state + '/a', 'x'); writeFileSync(ctx.workspace + '/b', 'y'); return 'kept'"
        },
        permissions: { state: true, workspace: "write" }
      })
      chmodSync(root, 0o755)
      const call = caller(yield* loadPlugin(asked(root), yield* folder), ws, yield* Effect.scope)
      assert.strictEqual(yield* call("keep"), "kept")
      assert.strictEqual(statSync(join(theirs, "b")).uid, 4321)
    }).pipe(Effect.scoped)
  )

  it.effect("is shown no folder that only its own links and names lead to", () =>
    Effect.gen(function* () {
      const ws = yield* workspace
      const project = yield* folder
      const names = ["linked", "../../secret", "@s/../../secret", "mine"]
      write(project, {
        "secret/package.json": '{"name":"linked"}',
        "secret/key.txt": "hidden",
        "p/noos.plugin.json": JSON.stringify({ name: "tested", main: "index.js" }),
        "p/package.json": JSON.stringify({
          dependencies: Object.fromEntries(names.map((name) => [name, "*"]))
        }),
        "p/index.js": `import { readdirSync, readFileSync } from "node:fs"
          import { defineTool } from "noos/plugin"
          const find = (path) => { try { return readdirSync(path, { recursive: true }).map((name) => path + "/" + name) } catch { return [] } }
          export default defineTool({ name: "find", description: "All there is.", effect: "pure", input: { type: "object" },
            execute: () => ["/node_modules", "/plugin", "/secret"].flatMap(find).filter((path) => path.endsWith("key.txt")) })`,
        "p/node_modules/.keep": "",
        "node_modules/.keep": ""
      })
      symlinkSync(join(project, "secret"), join(project, "p/node_modules/mine"))
      symlinkSync(join(project, "secret"), join(project, "node_modules/linked"))
      const tools = yield* loadPlugin(asked(join(project, "p")), yield* folder)
      assert.deepStrictEqual(yield* caller(tools, ws, yield* Effect.scope)("find"), [])
    }).pipe(Effect.scoped)
  )

  it.effect("lets no plugin take another's name for a tool", () =>
    Effect.gen(function* () {
      const home = yield* folder
      const one = { ...asked(yield* module(tool(""))), from: "./one" }
      const two = { ...asked(yield* module(tool(""))), from: "./two" }
      const twice = yield* Effect.flip(loadPlugins([one, two], home))
      assert.match(twice.message, /the plugin \.\/two has a tool t, which is one of \.\/one's/)
      const shadow = yield* Effect.flip(loadPlugins([one], home, ["t"]))
      assert.match(shadow.message, /one of noos's/)
      const names = (tools: ReadonlyArray<AnyTool>) => tools.map(({ name }) => name)
      assert.deepStrictEqual(names(yield* loadPlugins([one, { ...one, from: "again" }], home)), ["t"])
    }).pipe(Effect.scoped)
  )
})
