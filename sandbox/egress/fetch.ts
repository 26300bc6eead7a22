/** HTTP requests within the rules (RFC 9110). */
import { request as httpRequest, type IncomingMessage, type RequestOptions } from "node:http"
import { request as httpsRequest } from "node:https"
import type { Socket } from "node:net"
import type { Readable } from "node:stream"
import { connect as startTls } from "node:tls"
import { createBrotliDecompress, createGunzip, createInflate } from "node:zlib"
import { Effect } from "effect"
import { badInput, refuse, ToolError } from "../../kernel/tool.ts"
import type { HttpRequest, HttpResponse } from "../egress.ts"
import { connect, unreachable } from "./connect.ts"
import type { Grant } from "./rules.ts"
import { targetOf, type Url } from "./url.ts"

const defaultBytes = 8 * 1024 * 1024
const defaultSeconds = 30
const maxRedirects = 10

/** Headers that are ours to write. */
const own = new Set([
  "host",
  "connection",
  "content-length",
  "transfer-encoding",
  "accept-encoding",
  "upgrade"
])
/** Headers that go along when a redirect leads to another origin: none that could be a secret. */
const harmless = new Set(["accept", "accept-language", "content-type", "user-agent"])

/** How bodies may come packed, and what unpacks them. */
const unpack: { readonly [coding: string]: () => NodeJS.ReadWriteStream & Readable } = {
  gzip: createGunzip,
  "x-gzip": createGunzip,
  deflate: createInflate,
  br: createBrotliDecompress
}

interface Ask {
  readonly to: Url
  readonly method: string
  readonly headers: { readonly [name: string]: string }
  readonly body: string | Uint8Array | undefined
  readonly maxBytes: number
}

/** The body, unpacked. What it comes to when unpacked is bounded, not what is sent. */
const bodyOf = ({ to, maxBytes }: Ask, response: IncomingMessage): Effect.Effect<Uint8Array, ToolError> =>
  Effect.gen(function* () {
    const coding = response.headers["content-encoding"]?.trim().toLowerCase() ?? "identity"
    const unpacker = coding === "identity" || coding === "" ? undefined : unpack[coding]?.()
    if (coding !== "identity" && coding !== "" && unpacker === undefined)
      return yield* refuse("failed", `${to.host} sent a body in an unknown coding: ${coding.slice(0, 40)}`)
    return yield* Effect.callback<Uint8Array, ToolError>((resume) => {
      const pieces: Array<Uint8Array> = []
      let bytes = 0
      const end = (how: Effect.Effect<Uint8Array, ToolError>) => {
        response.destroy()
        unpacker?.destroy()
        resume(how)
      }
      const broken = (cause: Error) => end(Effect.fail(unreachable(to.host, cause)))
      response.once("error", broken)
      const body = unpacker === undefined ? response : response.pipe(unpacker)
      unpacker?.once("error", broken)
      body.on("data", (piece: Uint8Array) => {
        pieces.push(piece)
        bytes += piece.length
        if (bytes > maxBytes) end(refuse("too_large", `more than ${maxBytes} bytes: ${to.url.href}`))
      })
      body.once("end", () => end(Effect.succeed(Buffer.concat(pieces))))
    })
  })

/** Sends a request over a connection, and gives the head of the answer. The connection serves this one request. */
const send = (
  { to, method, headers, body }: Ask,
  socket: Socket
): Effect.Effect<IncomingMessage, ToolError> =>
  Effect.callback((resume) => {
    const options: RequestOptions = {
      method,
      headers: { ...headers, "accept-encoding": "gzip, deflate, br" },
      // Without an agent: one would make a connection of its own, to wherever the name leads by then.
      createConnection: () =>
        to.secure
          ? startTls({ socket, ...(isName(to) ? { servername: to.host } : {}), host: to.host })
          : socket
    }
    const failed = (cause: unknown) => resume(Effect.fail(unreachable(to.host, cause)))
    try {
      const request = (to.secure ? httpsRequest : httpRequest)(to.url, options)
      request.once("error", failed)
      request.once("upgrade", () => failed("it changed the protocol"))
      request.once("response", (response) => {
        request.on("error", (cause) => response.destroy(cause))
        resume(Effect.succeed(response))
      })
      request.end(body)
    } catch (cause) {
      // A header that no request can have.
      resume(badInput(cause instanceof Error ? cause.message : String(cause)))
    }
  })

const isName = ({ url }: Url) => !/^[\d.]+$|^\[/.test(url.hostname)

const flat = (headers: IncomingMessage["headers"]): HttpResponse["headers"] =>
  Object.fromEntries(
    Object.entries(headers).map(([name, value = ""]) => [
      name,
      Array.isArray(value) ? value.join(", ") : value
    ])
  )

/** One request and its answer; a redirect is an answer like any other. */
const exchange = Effect.fnUntraced(function* (grants: ReadonlyArray<Grant>, ask: Ask) {
  const socket = yield* Effect.acquireRelease(
    connect(grants, ask.to),
    (it) => Effect.sync(() => it.destroy()),
    {
      interruptible: true
    }
  )
  const response = yield* send(ask, socket)
  const body = yield* bodyOf(ask, response)
  return { url: ask.to.url.href, status: response.statusCode ?? 0, headers: flat(response.headers), body }
}, Effect.scoped)

/** What is asked next after a redirect: RFC 9110, 15.4. Undefined if the answer is none. */
const redirected = (
  ask: Ask,
  { status, headers, url }: HttpResponse
): Effect.Effect<Ask | undefined, ToolError> => {
  if (![301, 302, 303, 307, 308].includes(status) || headers.location === undefined)
    return Effect.succeed(undefined)
  const to = targetOf(headers.location, url)
  if ("problem" in to) return refuse("denied", `redirected to where nothing may be opened: ${to.problem}`)
  const toGet = status === 303 ? ask.method !== "HEAD" : status < 303 && ask.method === "POST"
  const sameOrigin = to.url.origin === ask.to.url.origin
  const kept = Object.entries(ask.headers).filter(
    ([name]) => (sameOrigin || harmless.has(name)) && !(toGet && name === "content-type")
  )
  return Effect.succeed({
    ...ask,
    to,
    headers: Object.fromEntries(kept),
    ...(toGet ? { method: "GET", body: undefined } : {})
  })
}

/** A request and its redirects, each checked, within one time limit. */
export const fetchThrough = Effect.fnUntraced(function* (grants: ReadonlyArray<Grant>, request: HttpRequest) {
  const {
    url,
    method = "GET",
    headers = {},
    body,
    maxBytes = defaultBytes,
    seconds = defaultSeconds
  } = request
  const to = targetOf(url)
  if ("problem" in to) return yield* badInput(to.problem)
  const given = Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value] as const)
  let ask: Ask = {
    to,
    method: method.toUpperCase(),
    headers: { "user-agent": "noos", ...Object.fromEntries(given.filter(([name]) => !own.has(name))) },
    body,
    maxBytes
  }
  const follow = Effect.gen(function* () {
    for (let hop = 0; hop <= maxRedirects; hop++) {
      const response = yield* exchange(grants, ask)
      const next = yield* redirected(ask, response)
      if (next === undefined) return response
      ask = next
    }
    return yield* refuse("failed", `more than ${maxRedirects} redirects: ${url.slice(0, 200)}`)
  })
  return yield* Effect.timeoutOrElse(follow, {
    duration: `${seconds} seconds`,
    orElse: () =>
      Effect.fail(
        new ToolError({
          code: "timeout",
          message: `no whole answer within ${seconds} s: ${ask.to.host}`,
          retryable: true
        })
      )
  })
})
