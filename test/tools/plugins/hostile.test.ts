/** What a plugin can do to harm others, and that it costs its own call and nothing else. */
import { join } from "node:path"
import { assert, layer } from "@effect/vitest"
import { Deferred, Effect, Fiber } from "effect"
import { Bubblewrap } from "../../../sandbox/bubblewrap.ts"
import { Sandbox } from "../../../sandbox/sandbox.ts"
import { marker, running } from "../../sandbox/workspace.ts"
import { folder, loaded, write } from "./plugin.ts"

const fine = { fine: "return 'fine'" }
const workspace = Effect.flatMap(Effect.all([Sandbox, folder]), ([sandbox, root]) => sandbox.open(root))

/** Writes to the descriptor of the protocol, as a plugin that knows of it could. */
const head = `import { writeSync } from "node:fs"
const forge = async (text) => {
  for (let rest = Buffer.from(text); rest.length > 0; )
    try {
      rest = rest.subarray(writeSync(3, rest))
    } catch (e) {
      if (e.code !== "EAGAIN") throw e
      await new Promise(setImmediate)
    }
}`

/** Each is called once, must fail so, and must leave the plugin callable. */
const misdeeds: ReadonlyArray<readonly [title: string, body: string, error: RegExp]> = [
  ["throws", "throw new Error('no luck')", /^failed: bad\d+ crashed: no luck$/],
  ["throws nothing", "throw undefined", /^failed: bad\d+ crashed: undefined$/],
  ["throws a ToolError", "throw new ToolError({ code: 'not_found', message: 'gone' })", /^not_found: gone$/],
  ["makes up an error code", "throw new ToolError({ code: 'fatal', message: 'x' })", /^failed: x$/],
  [
    "rejects outside its call",
    "Promise.reject(new Error('stray')); await new Promise(() => {})",
    /^failed: .*exit code 1.*stray/
  ],
  [
    "writes what a terminal obeys",
    "throw new ToolError({ code: 'failed', message: '\\x1b[2Jgone\\nand more' })",
    /^failed: {2}\[2Jgone and more$/
  ],
  ["exits", "process.exit(3)", /^failed: .*ended with exit code 3/],
  ["kills itself", "process.kill(process.pid, 'SIGKILL'); await new Promise(() => {})", /^failed: .*SIGKILL/],
  ["recurses without end", "const f = () => f() + 1; f()", /^failed: bad\d+ crashed: Maximum call stack/],
  [
    "fills its heap",
    "const l = []; for (;;) l.push(new Array(1000).fill(text))",
    /^failed: .*(memory|heap)/i
  ],
  ["fills memory outside its heap", "const l = []; for (;;) l.push(Buffer.alloc(50e6, 1))", /^failed: /],
  ["gives a cycle", "const a = {}; a.a = a; return a", /^failed: bad\d+ crashed: .*circular/],
  ["gives a big integer", "return 10n", /^failed: bad\d+ crashed: .*BigInt/],
  [
    "gives more than a result may hold",
    "return 'x'.repeat(5e6)",
    /^too_large: bad\d+: a result of \d+ bytes/
  ],
  [
    "floods stdout",
    "for (;;) await new Promise((done) => process.stdout.write('x'.repeat(65536), done))",
    /^limit: .*printed more than/
  ],
  [
    "floods both, without newlines, by descriptor",
    "const fs = await import('node:fs'); for (;;) { fs.writeSync(1, 'x'.repeat(65536)); fs.writeSync(2, 'y') }",
    /^limit: .*printed more than/
  ],
  [
    "floods progress",
    "for (;;) { ctx.progress('x'.repeat(1000)); await new Promise(setImmediate) }",
    /^limit: .*printed more than/
  ],
  [
    "writes nonsense into the protocol",
    "await forge('nonsense\\n'); await new Promise(() => {})",
    /^failed: .*does not keep to the protocol/
  ],
  [
    "writes nothing of a kind into the protocol",
    `await forge('null\\n'); await new Promise(() => {})`,
    /^failed: .*does not keep to the protocol/
  ],
  [
    "gives more than a result may hold, past its host",
    "await forge(JSON.stringify({ type: 'result', id: 1, result: 'x'.repeat(5e6) }) + '\\n'); await new Promise(() => {})",
    /^failed: .*does not keep to the protocol/
  ],
  [
    "writes a line without end into the protocol",
    "for (;;) await forge('x'.repeat(65536))",
    /^failed: .*does not keep to the protocol/
  ],
  [
    "asks for the network",
    "return (await fetch('http://127.0.0.1:1/')).text()",
    /^denied: no network: .*"net"/
  ],
  ["asks for a place it has not", "return ctx.state", /^denied: .*"state"/],
  ["asks for another", "return ctx.workspace", /^denied: .*"workspace"/],
  [
    "opens a socket",
    "const net = await import('node:net'); await new Promise((_, no) => net.connect(80, '1.1.1.1').on('error', no))",
    /^failed: bad\d+ crashed: .*(ENETUNREACH|EPERM|EACCES)/
  ]
]

layer(Bubblewrap.layer, { excludeTestServices: true })("a plugin that", (it) => {
  it.effect("does wrong costs its own call, and can be called again", () =>
    Effect.gen(function* () {
      const tools = Object.fromEntries(misdeeds.map(([, body], i) => [`bad${i}`, body]))
      const call = yield* loaded({ head, tools: { ...tools, ...fine } }, yield* workspace)
      for (const [i, [title, , error]] of misdeeds.entries()) {
        assert.match(String(yield* call(`bad${i}`, { text: "t" })), error, title)
        assert.strictEqual(yield* call("fine"), "fine", title)
      }
    }).pipe(Effect.scoped)
  )

  it.effect("takes longer than it may is ended", () =>
    Effect.gen(function* () {
      const tools = {
        spins: "for (;;);",
        prints: "for (;;) { await new Promise((r) => setTimeout(r, 1)); console.log('still') }",
        // Answers, and then hears nothing any more: not even a call that is more than a pipe holds.
        leaves: "setTimeout(() => { for (;;); }, 0); return 'left'"
      }
      const call = yield* loaded({ tools: { ...tools, ...fine }, seconds: 2 }, yield* workspace)
      for (const name of ["spins", "prints"]) {
        assert.match(String(yield* call(name)), /^timeout: .*longer than 2 s/)
        assert.strictEqual(yield* call("fine"), "fine")
      }
      yield* call("leaves")
      assert.match(
        String(yield* call("fine", { text: "x".repeat(1_000_000) })),
        /^timeout: .*longer than 2 s/
      )
      assert.strictEqual(yield* call("fine"), "fine")
    }).pipe(Effect.scoped)
  )

  it.effect("never stops describing itself cannot be loaded", () =>
    Effect.gen(function* () {
      const ws = yield* workspace
      for (const head of ["for (;;);", "await new Promise(() => {})"]) {
        const error = yield* Effect.flip(loaded({ head, tools: fine, seconds: 2 }, ws))
        assert.match(error.message, /did not start within 2 s|ended with exit code 13/)
      }
    }).pipe(Effect.scoped)
  )

  it.effect("is cancelled has a moment to end, then is ended, and leaves no process", () =>
    Effect.gen(function* () {
      const ws = yield* workspace
      const mark = marker()
      const call = yield* loaded(
        {
          head: "import { spawn } from 'node:child_process'\nlet aborted = 0",
          tools: {
            obeys: `ctx.progress("go"); await new Promise((done) => ctx.signal.addEventListener("abort", done)); aborted++`,
            defies: `spawn("sleep", ["${mark}"], { detached: true }); ctx.progress("go"); await new Promise(() => {})`,
            count: "return aborted"
          }
        },
        ws
      )
      const cancel = Effect.fn("cancel")(function* (tool: string) {
        const going = yield* Deferred.make<void>()
        const progress = (text: string) =>
          text.endsWith("go") ? Effect.asVoid(Deferred.succeed(going, undefined)) : Effect.void
        const fiber = yield* Effect.forkChild(call(tool, {}, { progress }))
        yield* Deferred.await(going)
        yield* Fiber.interrupt(fiber)
      })
      yield* cancel("obeys")
      assert.strictEqual(yield* call("count"), 1)
      yield* cancel("defies")
      assert.deepStrictEqual(running(mark), [])
      assert.strictEqual(yield* call("count"), 0)
    }).pipe(Effect.scoped)
  )

  it.effect("forks without end ends with its process", () =>
    Effect.gen(function* () {
      const mark = marker()
      yield* Effect.gen(function* () {
        const call = yield* loaded(
          {
            head: "import { spawn } from 'node:child_process'",
            tools: {
              bad: `let n = 0; for (let i = 0; i < 300; i++) { const c = spawn("sleep", ["${mark}"]); c.on("error", () => {}); if (c.pid) n++ } return n`
            }
          },
          yield* workspace
        )
        const started = yield* call("bad")
        if (typeof started === "number") assert.isBelow(started, 150)
        else assert.match(String(started), /^failed: /)
      }).pipe(Effect.scoped)
      assert.deepStrictEqual(running(mark), [])
    })
  )

  it.effect("looks around sees its own folder and nothing of the person's", () =>
    Effect.gen(function* () {
      const ws = yield* workspace
      const secrets = yield* folder
      write(secrets, { "secret.txt": "hidden" })
      write(ws.root, { "mine.txt": "the task's" })
      process.env.NOOS_TEST_SECRET = "hidden"
      const call = yield* loaded(
        {
          head: "import { readFileSync, readdirSync, writeFileSync } from 'node:fs'",
          tools: {
            read: "return readFileSync(text, 'utf8')",
            list: "return readdirSync(text)",
            write: "writeFileSync(text, 'x')",
            env: "return process.env"
          }
        },
        ws
      )
      for (const text of [
        join(secrets, "secret.txt"),
        "/etc/shadow",
        "/root",
        join(ws.root, "mine.txt"),
        "/work/mine.txt"
      ])
        assert.match(String(yield* call("read", { text })), /^failed: .*(ENOENT|EACCES|EISDIR)/)
      assert.deepStrictEqual(yield* call("list", { text: "/work" }), [])
      for (const text of ["/plugin/index.js", "/noos/tools/plugins/host.ts", "/usr/x", "/state/x", "/x"])
        assert.match(String(yield* call("write", { text })), /^failed: .*(EROFS|ENOENT|EACCES)/)
      const env = yield* call("env")
      assert.notInclude(JSON.stringify(env), "hidden")
    }).pipe(Effect.scoped)
  )

  it.effect("says other things about itself each time is refused when it is called", () =>
    Effect.gen(function* () {
      const ws = yield* workspace
      const call = yield* loaded(
        {
          description: "String(performance.timeOrigin)",
          tools: fine
        },
        ws
      )
      assert.match(String(yield* call("fine")), /^failed: .*not those that it was loaded with/)
    }).pipe(Effect.scoped)
  )
})
