/** An HTTP proxy within the rules, for programs that speak to one: RFC 9110, 9.3.6 (CONNECT) and 7.2 (absolute form). */
import { randomBytes, timingSafeEqual } from "node:crypto"
import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { type Duplex, pipeline } from "node:stream"
import { Effect, FiberSet } from "effect"
import { badInput, messageOf, ToolError } from "../../kernel/tool.ts"
import { connect } from "./connect.ts"
import type { Grant } from "./rules.ts"
import { targetOf } from "./url.ts"

/** What one program may have open at once. */
const maxConnections = 512

/** Headers about one connection, not about the request: RFC 9110, 7.6.1. */
const hopByHop = [
  "connection",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade"
]

const forwarded = (headers: IncomingMessage["headers"]): IncomingMessage["headers"] => {
  const named = (headers.connection ?? "").split(",").map((name) => name.trim().toLowerCase())
  return Object.fromEntries(
    Object.entries(headers).filter(([name]) => !hopByHop.includes(name) && !named.includes(name))
  )
}

/** How an error is told over HTTP. */
const statusOf = ({ code }: ToolError) => (code === "denied" ? 403 : code === "bad_input" ? 400 : 502)

/** Messages can hold what a server or a program said: nothing of it may end the line. */
const line = (text: string) => text.replace(/[^\x20-\x7e]/g, "?")

const answerRaw = (socket: Duplex, status: number, message: string, headers = "") => {
  const body = `${line(message)}\n`
  socket.end(
    `HTTP/1.1 ${status} ${status === 407 ? "Proxy Authentication Required" : "Refused"}\r\n${headers}` +
      `content-type: text/plain\r\ncontent-length: ${body.length}\r\nconnection: close\r\n\r\n${body}`
  )
}

/** What the proxy calls itself where it, and no server, is what answers: the header Proxy-Status, RFC 9209. */
export const proxyName = "noos; "
const proxyStatus = (message: string) => `${proxyName}details=${JSON.stringify(line(message))}`

const challenge = 'Basic realm="noos"'

/** A proxy on loopback with credentials of its own. All its connections end with the scope. */
export const openProxy = Effect.fnUntraced(function* (grants: ReadonlyArray<Grant>) {
  const username = "noos"
  const password = randomBytes(24).toString("base64url")
  const expected = Buffer.from(`Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`)
  const authorised = ({ headers }: IncomingMessage) => {
    const given = Buffer.from(headers["proxy-authorization"] ?? "")
    return given.length === expected.length && timingSafeEqual(given, expected)
  }
  const run = yield* FiberSet.makeRuntime()
  const open = new Set<Duplex>()
  const track = (socket: Duplex) => {
    open.add(socket)
    socket.on("error", () => {}) // it closes, which ends the other side
    socket.once("close", () => open.delete(socket))
  }

  /** Runs until done or until the client has gone. */
  const serve = (client: Duplex, work: Effect.Effect<void, ToolError>, fail: (error: ToolError) => void) => {
    const tell = (error: ToolError) =>
      Effect.sync(() => {
        if (!client.destroyed) fail(error)
      })
    const fiber = run(
      work.pipe(
        Effect.catchDefect((defect) => new ToolError({ code: "failed", message: messageOf(defect) })),
        Effect.catch(tell)
      )
    )
    const stop = () => fiber.interruptUnsafe()
    client.once("close", stop)
    fiber.addObserver(() => client.off("close", stop))
  }

  const tunnel = (request: IncomingMessage, client: Duplex, head: Buffer) => {
    track(client)
    if (!authorised(request))
      return answerRaw(client, 407, "authentication required", `proxy-authenticate: ${challenge}\r\n`)
    const work = Effect.gen(function* () {
      // The authority form is a host and a port, nothing else.
      const to = /^[^/?#@\\]+:\d{1,5}$/.test(request.url ?? "")
        ? targetOf(`https://${request.url}`)
        : undefined
      if (to === undefined || "problem" in to) return yield* badInput("not a host and port")
      const upstream = yield* connect(grants, to)
      track(upstream)
      if (client.destroyed) return void upstream.destroy()
      client.write("HTTP/1.1 200 Connected\r\n\r\n")
      if (head.length > 0) upstream.write(head)
      client.pipe(upstream).pipe(client)
      client.once("close", () => upstream.destroy())
      upstream.once("close", () => client.destroy())
    })
    serve(client, work, (error) => answerRaw(client, statusOf(error), error.message))
  }

  const forward = (request: IncomingMessage, response: ServerResponse) => {
    const tell = (status: number, message: string, headers = {}) =>
      response
        .writeHead(status, {
          ...headers,
          "content-type": "text/plain",
          "proxy-status": proxyStatus(message),
          connection: "close"
        })
        .end(`${line(message)}\n`)
    if (!authorised(request))
      return void tell(407, "authentication required", { "proxy-authenticate": challenge })
    const work = Effect.gen(function* () {
      const to = targetOf(request.url ?? "")
      if ("problem" in to) return yield* badInput(to.problem)
      if (to.secure) return yield* badInput("https goes through CONNECT")
      const upstream = yield* connect(grants, to)
      track(upstream)
      if (response.destroyed) return void upstream.destroy()
      const outgoing = httpRequest(to.url, {
        method: request.method,
        headers: { ...forwarded(request.headers), host: to.url.host },
        createConnection: () => upstream // and no agent, which would make another
      })
      response.once("close", () => upstream.destroy())
      const none = (cause: unknown) => {
        if (response.headersSent) response.destroy()
        else tell(502, `${to.host} gave no answer: ${messageOf(cause)}`)
      }
      outgoing.on("error", none)
      outgoing.once("upgrade", () => {
        none("it changed the protocol")
        upstream.destroy()
      })
      outgoing.once("response", (answer) => {
        // Node reads more than it writes, a status like 099: what it throws here would end the kernel.
        try {
          if (answer.statusCode === 101) throw new TypeError("it changed the protocol")
          response.writeHead(answer.statusCode ?? 502, forwarded(answer.headers))
        } catch (cause) {
          none(cause)
          return void upstream.destroy()
        }
        pipeline(answer, response, () => {})
      })
      pipeline(request, outgoing, () => {})
    })
    serve(request.socket, work, (error) => tell(statusOf(error), error.message))
  }

  const server = createServer(forward)
  server.on("connect", tunnel)
  server.on("connection", track)
  server.maxConnections = maxConnections
  yield* Effect.acquireRelease(
    Effect.callback<void, ToolError>((resume) => {
      server.once("error", (cause) =>
        resume(Effect.fail(new ToolError({ code: "unavailable", message: `no proxy: ${cause.message}` })))
      )
      server.listen(0, "127.0.0.1", () => resume(Effect.void))
    }),
    () =>
      Effect.callback<void>((resume) => {
        server.close(() => resume(Effect.void))
        for (const socket of open) socket.destroy()
      })
  )
  return { port: (server.address() as AddressInfo).port, username, password }
})
