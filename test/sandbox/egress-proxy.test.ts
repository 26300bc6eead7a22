import { request as httpRequest } from "node:http"
import { connect } from "node:net"
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { Resolver } from "../../sandbox/egress/connect.ts"
import { type Proxy as HttpProxy, makeEgress } from "../../sandbox/egress.ts"
import { bodyOf, exchangeRaw, serve, serveRaw } from "../fixtures/web.ts"

const basic = ({ username, password }: HttpProxy) =>
  `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`

/** Asks the proxy in its absolute form. */
const ask = (proxy: HttpProxy, url: string, headers: { readonly [name: string]: string } = {}, body = "") =>
  Effect.promise(
    () =>
      new Promise<string>((resolve, reject) => {
        const request = httpRequest(
          {
            host: "127.0.0.1",
            port: proxy.port,
            path: url,
            method: body === "" ? "GET" : "POST",
            headers: { host: "x", "proxy-authorization": basic(proxy), ...headers }
          },
          async (response) => resolve(`${response.statusCode} ${await bodyOf(response)}`)
        )
        request.once("error", reject)
        request.end(body)
      })
  )

/** Asks for a tunnel, sends a text through it, and gives all that comes back. */
const tunnel = (proxy: HttpProxy, to: string, text = "", credentials = basic(proxy)) =>
  exchangeRaw(
    proxy.port,
    `CONNECT ${to} HTTP/1.1\r\nhost: x\r\nproxy-authorization: ${credentials}\r\n\r\n${text}`
  )

describe("the proxy", () => {
  it.live("carries requests and tunnels to granted hosts, for who knows its password", () =>
    Effect.gen(function* () {
      const port = yield* serve(async (request, response) =>
        response.end(
          `${request.method} ${request.url} ${await bodyOf(request)} ${Object.keys(request.headers)}`
        )
      )
      const echo = yield* serveRaw((socket) => socket.pipe(socket))
      const proxy = yield* (yield* makeEgress([`127.0.0.1:${port}`, `127.0.0.1:${echo}`])).proxy
      const url = `http://127.0.0.1:${port}/a?b`
      expect(yield* ask(proxy, url, { connection: "x-mine", "x-mine": "1", te: "x" })).toBe(
        "200 GET /a?b  host,connection"
      )
      expect(yield* ask(proxy, url, {}, "body")).toMatch(/^200 POST \/a\?b body /)
      expect(yield* tunnel(proxy, `127.0.0.1:${echo}`, "to and fro")).toBe(
        "HTTP/1.1 200 Connected\r\n\r\nto and fro"
      )
      for (const wrong of ["", "Basic x", `${basic(proxy)}x`]) {
        expect(yield* ask(proxy, url, { "proxy-authorization": wrong })).toMatch(/^407/)
        expect(yield* tunnel(proxy, `127.0.0.1:${echo}`, "", wrong)).toMatch(/^HTTP\/1.1 407/)
      }
    })
  )

  it.live("refuses all others in one line, and junk", () =>
    Effect.gen(function* () {
      const port = yield* serve((_, response) => response.end("never"))
      const proxy = yield* (yield* makeEgress(["*", "localhost:1"])).proxy
      const hosts = [`127.0.0.1:${port}`, "169.254.169.254:80", "[::1]:80", "10.0.0.1:443", "example.com:25"]
      for (const host of hosts) {
        expect(yield* ask(proxy, `http://${host}/`), host).toMatch(
          /^403 not (a public address|granted): .*\n$/
        )
        expect(yield* tunnel(proxy, host), host).toMatch(
          /^HTTP\/1.1 403 [\s\S]*\r\n\r\nnot (a public|granted).*\n$/
        )
      }
      for (const junk of ["/", "*", "ftp://a/", "https://example.com/", "http://a b/", "file:///etc/passwd"])
        expect(
          yield* exchangeRaw(
            proxy.port,
            `GET ${junk} HTTP/1.1\r\nhost: x\r\nproxy-authorization: ${basic(proxy)}\r\n\r\n`
          ),
          junk
        ).toMatch(/^HTTP\/1.1 400/)
      for (const junk of ["127.0.0.1", "a@b:80", "a/b:80", ":80", "a:b:80", "x:99999", "http://a:80"])
        expect(yield* tunnel(proxy, junk), junk).toMatch(/^HTTP\/1.1 400/)
      expect(yield* tunnel(proxy, "localhost:1")).toMatch(
        /^HTTP\/1.1 502 [\s\S]*cannot reach localhost: ECONNREFUSED\n$/
      )
      expect(yield* exchangeRaw(proxy.port, "\x16\x03\x01\x00junk\r\n\r\n")).toMatch(/^HTTP\/1.1 400/)
    })
  )

  it.live("connects to the address that was checked, whatever the name says next", () =>
    Effect.gen(function* () {
      const port = yield* serve((_, response) => response.end("public"))
      yield* serve((_, response) => response.end("private"), { host: "127.0.0.2", port })
      const answers = ["127.0.0.1", "127.0.0.2"]
      const resolve = async () => [answers.shift() ?? "127.0.0.2"]
      const net = yield* Effect.provideService(
        makeEgress([`rebind.test:${port}`, `127.0.0.1:${port}`]),
        Resolver,
        resolve
      )
      const proxy = yield* net.proxy
      expect(yield* ask(proxy, `http://rebind.test:${port}/`)).toBe("200 public")
      expect(yield* ask(proxy, `http://rebind.test:${port}/`)).toMatch(
        /^403 not a public address: rebind.test is/
      )
      expect(yield* tunnel(proxy, `rebind.test:${port}`)).toMatch(/^HTTP\/1.1 403/)
    })
  )

  it.live("outlives servers that answer what is no HTTP", () =>
    Effect.gen(function* () {
      const answers = new Map(
        Object.entries({
          low: "HTTP/1.1 099 x\r\ncontent-length: 0\r\n\r\n",
          zero: "HTTP/1.1 000 x\r\ncontent-length: 0\r\n\r\n",
          upgrade: "HTTP/1.1 101 x\r\nconnection: upgrade\r\nupgrade: x\r\n\r\nmore",
          changed: "HTTP/1.1 200 x\r\nconnection: upgrade\r\nupgrade: x\r\n\r\nmore",
          bare: "HTTP/1.1 101 x\r\n\r\n",
          silent: "",
          junk: "\x16\x03\x01junk\r\n\r\n",
          name: "HTTP/1.1 200 x\r\na b: c\r\n\r\n",
          value: "HTTP/1.1 200 x\r\na: \x01\x02\r\n\r\n",
          high: "HTTP/1.1 200 \xff\r\na: \xff\x80\r\ncontent-length: 2\r\n\r\nok",
          proto: "HTTP/1.1 200 x\r\n__proto__: x\r\nconnection: __proto__, ,\r\ncontent-length: 2\r\n\r\nok",
          early: "HTTP/1.1 103 x\r\na: b\r\n\r\nHTTP/1.1 200 x\r\ncontent-length: 2\r\n\r\nok",
          most: "HTTP/1.1 999 x\r\ncontent-length: 2\r\n\r\nok",
          empty: "HTTP/1.1 204 x\r\n\r\n",
          surplus: "HTTP/1.1 204 x\r\ncontent-length: 2\r\n\r\nok",
          trailer: "HTTP/1.1 200 x\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\na b: \x01\r\n\r\n",
          chunk: "HTTP/1.1 200 x\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\nzz\r\n"
        })
      )
      const port = yield* serveRaw((socket) =>
        socket.once("data", (head) =>
          socket.end(answers.get(/^GET \/(\w+) /.exec(String(head))?.[1] ?? "") ?? "", "latin1")
        )
      )
      const proxy = yield* (yield* makeEgress([`127.0.0.1:${port}`])).proxy
      /** What comes back, from who does not hang up first. */
      const get = (name: string) =>
        Effect.promise(
          () =>
            new Promise<string>((resolve) => {
              const socket = connect(proxy.port, "127.0.0.1")
              let text = ""
              socket.setEncoding("latin1").on("data", (piece) => {
                text += piece
              })
              socket.once("close", () => resolve(text))
              socket.write(
                `GET http://127.0.0.1:${port}/${name} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nproxy-authorization: ${basic(proxy)}\r\n\r\n`
              )
            })
        )
      for (const name of ["low", "zero", "upgrade", "bare", "silent", "junk", "name", "value"])
        expect(yield* get(name), name).toMatch(/^HTTP\/1.1 502 [\s\S]*\r\n127.0.0.1 gave no answer: .*\n/)
      for (const name of ["high", "proto", "early"])
        expect(yield* get(name), name).toMatch(/^HTTP\/1.1 200 [\s\S]*ok/)
      expect(yield* get("most")).toMatch(/^HTTP\/1.1 999 [\s\S]*ok/)
      expect(yield* get("empty")).toMatch(/^HTTP\/1.1 204 [\s\S]*\r\n\r\n$/)
      expect(yield* get("changed")).toMatch(/^HTTP\/1.1 200 /)
      // One that breaks on the way ends where it broke.
      for (const name of ["trailer", "chunk", "surplus"])
        expect(yield* get(name), name).toMatch(/^(HTTP\/1.1 20[04] [\s\S]*)?$/)
      // A tunnel carries bytes, whatever they are.
      for (const [name, answer] of answers)
        expect(yield* tunnel(proxy, `127.0.0.1:${port}`, `GET /${name} x`), name).toBe(
          `HTTP/1.1 200 Connected\r\n\r\n${answer}`
        )
    })
  )

  it.live("ends with its scope, with all its connections", () =>
    Effect.gen(function* () {
      const gone: Array<Promise<unknown>> = []
      const port = yield* serveRaw((socket) => {
        gone.push(new Promise((resolve) => socket.once("close", resolve)))
        socket.resume()
      })
      const net = yield* makeEgress([`127.0.0.1:${port}`])
      const open = yield* Effect.scoped(
        Effect.gen(function* () {
          const proxy = yield* net.proxy
          const socket = connect(proxy.port, "127.0.0.1")
          socket.write(
            `CONNECT 127.0.0.1:${port} HTTP/1.1\r\nhost: x\r\nproxy-authorization: ${basic(proxy)}\r\n\r\n`
          )
          yield* Effect.promise(() => new Promise((resolve) => socket.once("data", resolve)))
          return { port: proxy.port, closed: new Promise((resolve) => socket.once("close", resolve)) }
        })
      )
      yield* Effect.promise(() => Promise.all([open.closed, ...gone]))
      expect(gone.length).toBe(1)
      const refused = yield* Effect.promise(
        () => new Promise((resolve) => connect(open.port, "127.0.0.1").once("error", resolve))
      )
      expect(refused).toMatchObject({ code: "ECONNREFUSED" })
    })
  )
})
