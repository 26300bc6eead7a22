/** MCP's streamable HTTP transport (modelcontextprotocol.io, revision 2025-11-25), through the network that was granted. */
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js"
import { Effect, type Scope } from "effect"
import { fetch, ProxyAgent } from "undici"
import { badInput, messageOf, ToolError } from "../../kernel/tool.ts"
import { makeEgress } from "../../sandbox/egress.ts"
import { oneLine } from "../text.ts"
import { leastOfMessage, mostBetween } from "./limits.ts"
import type { HttpServer } from "./server.ts"
import type { Line } from "./stdio.ts"

type Init = NonNullable<Parameters<typeof fetch>[1]>
type Answer = Awaited<ReturnType<typeof fetch>>

/** How long a server may take to end a session. Milliseconds. */
const patience = 2000

/** The SDK's transport, which tells the server when the session is over and can say why it ended. */
class Http extends StreamableHTTPClientTransport implements Line {
  private over = false
  private reason: string | undefined

  readonly why = () => this.reason

  /** Ends it for a reason: whoever waits for an answer is told. */
  async end(reason: string) {
    if (this.over) return
    this.over = true
    this.reason = reason
    await super.close()
  }

  override async close() {
    if (this.over) return
    this.over = true
    await this.terminateSession().catch(() => {})
    await super.close()
  }
}

/** A body that breaks when it grows too long, and tells when it has ended. */
const watched = (
  body: Answer["body"],
  tell: (resumable: boolean) => void
): ReadableStream<Uint8Array> | null => {
  let bytes = 0
  let resumable = false
  const count = new TransformStream<Uint8Array, Uint8Array>({
    transform: (chunk, out) => {
      const text = Buffer.from(chunk).toString("latin1")
      // An event has two lines or more.
      bytes += chunk.byteLength + (text.split("\n").length - 1) * (leastOfMessage / 2)
      if (bytes > mostBetween) throw new Error("a response that is too long")
      resumable ||= /^id:/m.test(text)
      out.enqueue(chunk)
    }
  })
  if (body === null) return null
  const { readable, writable } = count
  // Whoever reads is told of a broken body by the body.
  const end = () => setImmediate(tell, resumable)
  void (body as ReadableStream<Uint8Array>).pipeTo(writable).then(end, end)
  return readable
}

/** What an answer that is none says. */
const refused = async (answer: Answer): Promise<ToolError> => {
  const plain = /^(text\/plain|application\/json)\b/.test(answer.headers.get("content-type") ?? "")
  const body = new Response(watched(answer.body, () => {}))
  const said = plain ? oneLine(await body.text(), 200) : ""
  if (!plain) await body.body?.cancel()
  const code = answer.status === 401 || answer.status === 403 ? "denied" : "unavailable"
  const message = `answers ${answer.status} ${answer.statusText}${said === "" ? "" : `: ${said}`}`
  return new ToolError({ code, message: `the MCP server ${message}` })
}

/** The id of a request; undefined for a message that nobody answers. */
const idOf = (body: unknown): number | undefined => {
  const { id, method } = JSON.parse(String(body)) as { readonly id?: number; readonly method?: string }
  return method === undefined ? undefined : id
}

/** The transport to a server. The session is ended with the scope, and all its connections are closed. */
export const http = Effect.fn("Mcp.http")(function* (
  server: HttpServer
): Effect.fn.Return<Line, ToolError, Scope.Scope> {
  const url = yield* Effect.try({
    try: () => new URL(server.url),
    catch: () => badInput(`not a URL: ${server.url}`)
  })
  const egress = yield* makeEgress(server.net ?? [url.host])
  yield* egress.check(server.url)
  // The proxy is what obeys the rules; through it, answers arrive as they are written.
  const { port, username, password } = yield* egress.proxy
  const token = `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`
  const dispatcher = yield* Effect.acquireRelease(
    Effect.sync(() => new ProxyAgent({ uri: `http://127.0.0.1:${port}`, token })),
    (agent) => Effect.promise(() => agent.destroy())
  )

  const send = async (to: string | URL, init: RequestInit = {}): Promise<Answer> => {
    const signals = init.method === "DELETE" ? [AbortSignal.timeout(patience)] : []
    const signal = AbortSignal.any([...signals, ...(init.signal == null ? [] : [init.signal])])
    try {
      return await fetch(to, { ...(init as unknown as Init), dispatcher, signal })
    } catch (e) {
      const cause = e instanceof Error && e.cause instanceof Error ? e.cause : e
      const message = `the MCP server cannot be reached: ${messageOf(cause)}`
      throw new ToolError({ code: "unavailable", message, retryable: true })
    }
  }
  const transport = new Http(url, {
    fetch: async (to, init) => {
      const answer = await send(to, init)
      const { body, headers, status, statusText } = answer
      const asked = init?.method === "POST" ? idOf(init.body) : undefined
      if (asked !== undefined && status >= 400) {
        if (status === 404 && transport.sessionId !== undefined) await transport.end("has ended the session")
        throw await refused(answer)
      }
      const tell = (resumable: boolean) => {
        // To one that was answered this says nothing.
        const error = { code: -32000, message: "ended without an answer" }
        if (asked !== undefined && !resumable) transport.onmessage?.({ jsonrpc: "2.0", id: asked, error })
      }
      return new Response(watched(body, tell), { headers: [...headers], status, statusText })
    },
    requestInit: { headers: { ...server.headers } }
  })
  // The SDK says in words alone that it has given up.
  transport.onerror = (error) => {
    if (error.message.startsWith("Maximum reconnection attempts"))
      void transport.end("cannot be reached any more")
  }
  return transport
})
