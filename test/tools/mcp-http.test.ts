import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { text } from "node:stream/consumers"
import { fileURLToPath } from "node:url"
import { afterAll, assert, layer } from "@effect/vitest"
import { Deferred, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { execa } from "execa"
import { type McpServer, mcpTools } from "../../tools/mcp/index.ts"
import { secondsOfCall } from "../../tools/mcp/limits.ts"
import { believing, cleanUp, live, processWith, programOf, server, workspaceIn } from "./mcp.ts"

afterAll(cleanUp)

const { pin } = believing()

const listening = (server: ReturnType<typeof createServer>) =>
  new Promise<number>((resolve) =>
    server.listen(0, "127.0.0.1", () => resolve((server.address() as AddressInfo).port))
  )

/** The reference server over HTTP, and what it has said so far. */
const everything = Effect.gen(function* () {
  // It takes no port 0: a port that was free a moment ago is the next best.
  const port = yield* Effect.promise(async () => {
    const server = createServer()
    const free = await listening(server)
    await new Promise((resolve) => server.close(resolve))
    return free
  })
  const path = fileURLToPath(new URL(`../../node_modules/${programOf("everything")}`, import.meta.url))
  let said = ""
  const child = yield* Effect.acquireRelease(
    Effect.sync(() =>
      execa(process.execPath, [path, "streamableHttp"], { env: { PORT: `${port}` }, reject: false })
    ),
    (child) =>
      Effect.promise(async () => {
        child.kill()
        await child
      })
  )
  yield* Effect.callback<void>((resume) => {
    for (const stream of [child.stdout, child.stderr])
      stream.on("data", (chunk: Buffer) => {
        said += chunk
        if (said.includes("listening")) resume(Effect.void)
      })
  })
  return { url: `http://127.0.0.1:${port}/mcp`, said: () => said }
})

/** What a server does with a call, once it has been listed. */
type Way = (request: IncomingMessage, response: ServerResponse, id: number) => void

/** A server of our own. `heard` are the methods that it was sent, HTTP's and MCP's. */
const serverThat = Effect.fnUntraced(function* (way: Way, begins: Way = () => {}) {
  const heard: Array<string> = []
  const entered = yield* Deferred.make<void>()
  const server = createServer(async (request, response) => {
    if (request.method !== "POST") {
      heard.push(request.method!)
      return response.writeHead(405).end()
    }
    const { id, method } = JSON.parse(await text(request)) as { readonly id: number; readonly method: string }
    heard.push(method)
    const answer = (result: object) =>
      response
        .writeHead(200, { "content-type": "application/json", "mcp-session-id": "one" })
        .end(JSON.stringify({ jsonrpc: "2.0", id, result }))
    if (method === "initialize") {
      begins(request, response, id)
      if (response.writableEnded) return
      const serverInfo = { name: "own", version: "1" }
      return answer({ protocolVersion: "2025-11-25", capabilities: { tools: {} }, serverInfo })
    }
    if (method === "tools/list") return answer({ tools: [{ name: "ask", inputSchema: { type: "object" } }] })
    if (method !== "tools/call") return response.writeHead(202).end()
    way(request, response, id)
    Deferred.doneUnsafe(entered, Effect.void)
  })
  const port = yield* Effect.acquireRelease(
    Effect.promise(() => listening(server)),
    () =>
      Effect.sync(() => {
        server.closeAllConnections()
        server.close()
      })
  )
  return { url: `http://127.0.0.1:${port}/mcp`, port, heard, entered: Deferred.await(entered) }
})

const load = Effect.fnUntraced(function* (from: McpServer) {
  const workspace = yield* workspaceIn()
  const { tools } = yield* mcpTools("s", from, { pin, workspace })
  return { ...(yield* processWith(tools, workspace)), tools }
})

const events = { "content-type": "text/event-stream" }

layer(live, { excludeTestServices: true })("an MCP server over HTTP", (it) => {
  it.effect("the reference server: sessions, progress, results, and an end that it is told of", () =>
    Effect.gen(function* () {
      const { said, url } = yield* everything
      yield* Effect.scoped(
        Effect.gen(function* () {
          const { shown, told, tools } = yield* load({ url })
          assert.isTrue(tools.every(({ effect }) => effect === "irreversible"))
          assert.strictEqual(yield* shown("s_echo", { message: "hi" }), "Echo: hi")
          const long = { duration: 0.2, steps: 2 }
          assert.match(yield* shown("s_trigger_long_running_operation", long), /completed/)
          assert.deepStrictEqual(told.slice(0, 1), ["1/2"])
          assert.match(yield* shown("s_get_sum", { a: 1 }), /^bad_input: .*required property 'b'/)
        })
      )
      assert.strictEqual(said().split("session termination request").length - 1, 2)
    })
  )

  it.effect("only a host that is granted is reached, and no redirect leads to another", () =>
    Effect.gen(function* () {
      const other = yield* serverThat(() => {})
      const { heard, url } = yield* serverThat((_, response) =>
        response.writeHead(307, { location: other.url }).end()
      )
      const workspace = yield* workspaceIn()
      for (const [from, code] of [
        [{ url, net: ["example.com"] }, "denied"],
        [{ url: "http://169.254.169.254/mcp", net: ["*"] }, "denied"],
        [{ url: "nonsense" }, "bad_input"]
      ] as const)
        assert.strictEqual((yield* Effect.flip(mcpTools("s", from, { pin, workspace }))).code, code)
      assert.deepStrictEqual(heard, [])

      const { shown } = yield* load({ url })
      assert.match(yield* shown("s_ask"), /^failed: /)
      assert.deepStrictEqual(other.heard, [])
    })
  )

  it.effect("a program reaches the hosts that it was granted, and no other", () =>
    Effect.gen(function* () {
      const { heard, port, url } = yield* serverThat(() => {})
      for (const [net, says, requests] of [
        [[`127.0.0.1:${port}`], "", 1],
        [["example.com"], "no way", 1],
        [[], "no way", 1]
      ] as const) {
        const { shown } = yield* load(server("usual", { grant: { net } }))
        assert.include(yield* shown("s_fetches", { url }), says)
        assert.strictEqual(heard.length, requests)
      }
    })
  )

  it.effect("that refuses, breaks off, answers nothing or too much costs the call alone", () =>
    Effect.gen(function* () {
      const ways: ReadonlyArray<readonly [Way, RegExp]> = [
        [(_, r) => r.writeHead(401).end("who are you?"), /^denied: the MCP server answers 401/],
        [
          (_, r) => r.writeHead(500, { "content-type": "text/plain" }).end("out of\npaper"),
          /^unavailable: the MCP server answers 500 Internal Server Error: out of paper$/
        ],
        [(request) => request.socket.destroy(), /^unavailable: the MCP server answers 502/],
        [(_, r) => r.writeHead(200, events).end(), /^failed: the MCP server s: ended without an answer/],
        [
          (request, r) => r.writeHead(200, events).write("data: {", () => request.socket.destroy()),
          /^failed: the MCP server s: ended without an answer/
        ],
        [(_, r) => r.writeHead(200, events).end("data: nonsense\n\n"), /ended without an answer/],
        [(_, r) => r.writeHead(200, events).end("data: {}\n\n".repeat(100_000)), /ended without an answer/],
        [(_, r) => r.writeHead(200, { "content-type": "text/html" }).end("<p>"), /Unexpected content type/],
        [
          (_, r) => r.writeHead(200, { "content-type": "application/json" }).end("[".repeat(1000)),
          /^failed: /
        ]
      ]
      let way: Way = () => {}
      const { url } = yield* serverThat((...call) => way(...call))
      const { shown } = yield* load({ url })
      for (const [next, says] of ways) {
        way = next
        assert.match(yield* shown("s_ask"), says)
      }
      way = (_, response, id) => {
        const result = { content: [{ type: "text", text: "at last" }] }
        response.writeHead(200, events).end(`data: ${JSON.stringify({ jsonrpc: "2.0", id, result })}\n\n`)
      }
      assert.strictEqual(yield* shown("s_ask"), "at last")
    })
  )

  it.effect("that has forgotten the session gets a new one at the next call", () =>
    Effect.gen(function* () {
      const { heard, url } = yield* serverThat((_, response) => response.writeHead(404).end())
      const { shown } = yield* load({ url })
      for (let i = 0; i < 2; i++)
        assert.strictEqual(yield* shown("s_ask"), "unavailable: the MCP server s has ended the session")
      assert.strictEqual(heard.filter((method) => method === "initialize").length, 3)
    })
  )
})

layer(live)("time limits over HTTP", (it) => {
  it.effect(
    "a call that nobody answers is cancelled after the time limit; headers of the person go with every request",
    () =>
      Effect.gen(function* () {
        const keys: Array<unknown> = []
        const { entered, heard, url } = yield* serverThat(
          (request) => keys.push(request.headers["x-key"]),
          (request) => keys.push(request.headers["x-key"])
        )
        yield* Effect.scoped(
          Effect.gen(function* () {
            const { shown } = yield* load({ url, headers: { "x-key": "k" } })
            const calling = yield* Effect.forkChild(shown("s_ask"))
            yield* entered
            yield* TestClock.adjust(`${secondsOfCall} seconds`)
            assert.match(yield* Fiber.join(calling), /^timeout: /)
          })
        )
        assert.deepStrictEqual(keys, ["k", "k", "k"])
        assert.include(heard, "notifications/cancelled")
        assert.strictEqual(heard.at(-1), "DELETE")
      })
  )
})
