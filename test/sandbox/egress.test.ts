import { gzipSync } from "node:zlib"
import { describe, expect, it } from "@effect/vitest"
import { Deferred, Effect, Fiber } from "effect"
import ip from "ipaddr.js"
import type { ToolError } from "../../kernel/tool.ts"
import { Resolver } from "../../sandbox/egress/connect.ts"
import { type Egress, type HttpResponse, makeEgress } from "../../sandbox/egress.ts"
import { bodyOf, serve, serveRaw } from "../fixtures/web.ts"

/** Names for one test: each time one is asked for, its next answer, and the last one for ever. */
const named = (names: { readonly [name: string]: ReadonlyArray<ReadonlyArray<string>> }) => {
  const asked: Array<string> = []
  const resolve = async (name: string) => {
    const answers = names[name] ?? []
    const answer = answers[Math.min(asked.filter((it) => it === name).length, answers.length - 1)]
    asked.push(name)
    if (answer === undefined) throw Object.assign(new Error("no such name"), { code: "ENOTFOUND" })
    return answer
  }
  return { asked, with: Effect.provideService(Resolver, resolve) }
}

const outcome = (effect: Effect.Effect<HttpResponse | undefined, ToolError>) =>
  Effect.match(effect, {
    onFailure: ({ code, message }) => `${code}: ${message}`,
    onSuccess: (it) => (it ? `${it.status} ${Buffer.from(it.body)}` : "ok")
  })
const checked = (net: Egress, url: string) => Effect.as(net.check(url), undefined)
const code = (text: string) => text.split(":", 1)[0]

describe("grants", () => {
  it.live("that name no host are refused", () =>
    Effect.gen(function* () {
      const wrong = [
        "",
        "a b",
        "http://a",
        "a/b",
        "a:0",
        "a:65536",
        "a:x",
        "*.*",
        "*.1.2.3.4",
        "a@b",
        "*x",
        "a..",
        ":80"
      ]
      for (const host of wrong)
        expect(
          yield* makeEgress([host]).pipe(
            Effect.flip,
            Effect.map((it) => it.code)
          ),
          host
        ).toBe("bad_input")
    })
  )

  it.live("cover a name, a port, all names below one, every spelling", () =>
    Effect.gen(function* () {
      const names = named({
        "example.com": [["93.184.216.34"]],
        "a.example.com": [["93.184.216.34"]],
        "notexample.com": [["93.184.216.34"]],
        "xn--bcher-kva.example": [["2606:2800:220:1::1"]]
      })
      const check = (grants: ReadonlyArray<string>, url: string) =>
        names.with(makeEgress(grants)).pipe(
          Effect.flatMap((it) => outcome(checked(it, url))),
          Effect.map(code)
        )
      expect(yield* check(["example.com"], "http://example.com/")).toBe("ok")
      expect(yield* check(["example.com"], "https://EXAMPLE.com./")).toBe("ok")
      expect(yield* check(["EXAMPLE.COM."], "https://example.com/")).toBe("ok")
      expect(yield* check(["example.com"], "https://example.com:8443/")).toBe("denied")
      expect(yield* check(["example.com:8443"], "https://example.com:8443/")).toBe("ok")
      expect(yield* check(["example.com:8443"], "https://example.com/")).toBe("denied")
      expect(yield* check(["example.com"], "https://a.example.com/")).toBe("denied")
      expect(yield* check(["*.example.com"], "https://a.example.com/")).toBe("ok")
      expect(yield* check(["*.example.com"], "https://example.com/")).toBe("denied")
      expect(yield* check(["*.example.com"], "https://notexample.com/")).toBe("denied")
      expect(yield* check(["bücher.example"], "https://xn--bcher-kva.example/")).toBe("ok")
      expect(yield* check(["*"], "https://bücher.example/")).toBe("ok")
      expect(yield* check(["*"], "https://example.com:22/")).toBe("denied")
      expect(yield* check([], "https://example.com/")).toBe("denied")
      expect(yield* check(["*"], "ftp://example.com/")).toBe("bad_input")
      expect(yield* check(["*"], "file:///etc/passwd")).toBe("bad_input")
      expect(yield* check(["*"], "https://me:secret@example.com/")).toBe("bad_input")
      expect(yield* check(["*"], "https://nowhere.example/")).toBe("unavailable")
    })
  )
})

describe("addresses", () => {
  const refused = [
    ...[
      "127.0.0.1",
      "127.1",
      "2130706433",
      "0x7f000001",
      "0177.0.0.1",
      "0x7f.1",
      "127.0.0.1.",
      "127.255.0.9"
    ],
    ...[
      "0.0.0.0",
      "0",
      "10.1.2.3",
      "172.16.0.1",
      "192.168.1.1",
      "169.254.169.254",
      "100.64.0.1",
      "100.100.100.200"
    ],
    ...[
      "224.0.0.1",
      "255.255.255.255",
      "240.0.0.1",
      "198.18.0.1",
      "192.0.2.1",
      "168.63.129.16",
      "192.0.0.192"
    ],
    ...["[::]", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::ffff:a9fe:a9fe]", "[::127.0.0.1]"],
    ...[
      "[64:ff9b::7f00:1]",
      "[64:ff9b::a9fe:a9fe]",
      "[64:ff9b:1::808:808]",
      "[2002:7f00:1::]",
      "[2002:808:808::]"
    ],
    ...[
      "[2001:0:808:808::]",
      "[fd00::1]",
      "[fd00:ec2::254]",
      "[fe80::1]",
      "[fec0::1]",
      "[ff02::1]",
      "[2001:db8::1]"
    ],
    ...["[100::1]", "[4000::1]", "localhost", "localhost.", "LOCALHOST"]
  ]
  const open = ["93.184.216.34", "[2606:4700::1111]", "[64:ff9b::808:808]", "[::ffff:8.8.8.8]", "0x08080808"]

  it.live("that are not public are refused in every spelling, with every host granted", () =>
    Effect.gen(function* () {
      const net = yield* makeEgress(["*", "*:81"])
      for (const host of refused)
        for (const port of ["", ":81"])
          expect(yield* outcome(checked(net, `http://${host}${port}/`)), host).toMatch(
            /^denied: not a public address/
          )
      for (const host of open) expect(yield* outcome(checked(net, `http://${host}/`)), host).toBe("ok")
      expect(yield* outcome(checked(net, "http://[fe80::1%25eth0]/"))).toMatch(/^bad_input/)
    })
  )

  it.live("behind a name are refused likewise, and reached where they are granted themselves", () =>
    Effect.gen(function* () {
      for (const address of ["127.0.0.1", "::1", "169.254.169.254", "::ffff:10.0.0.1", "fe80::1%eth0"]) {
        const names = named({ "a.test": [[address]] })
        const check = (grants: ReadonlyArray<string>) =>
          names
            .with(makeEgress(grants))
            .pipe(Effect.flatMap((it) => outcome(checked(it, "http://a.test:81/"))))
        expect(yield* check(["a.test:81"]), address).toMatch(/^(denied|unavailable)/)
        if (address === "127.0.0.1") {
          expect(yield* check(["a.test:81", "127.0.0.1:81"])).toBe("ok")
          expect(yield* check(["a.test:81", "localhost:81"])).toBe("ok")
          expect(yield* check(["a.test:81", "127.0.0.1:80"])).toMatch(/^denied/)
          expect(yield* check(["127.0.0.1:81"])).toMatch(/^denied: not granted: a.test:81/)
        }
      }
    })
  )

  it.live("of IPv4 mean the same in IPv6 clothes", () =>
    Effect.gen(function* () {
      const net = yield* makeEgress(["*"])
      // Every pair of first octets that begins something special, and a few that begin nothing.
      const firsts = [
        0, 1, 8, 10, 99, 100, 126, 127, 128, 168, 169, 172, 192, 198, 203, 223, 224, 239, 240, 255
      ]
      const seconds = [0, 16, 18, 31, 51, 63, 64, 88, 127, 128, 168, 254, 255]
      const all = firsts.flatMap((a) => seconds.map((b) => [a, b, 100, 63]))
      for (const octets of all) {
        const plain = code(yield* outcome(checked(net, `http://${octets.join(".")}/`)))
        expect(plain === "ok", octets.join(".")).toBe(new ip.IPv4(octets).range() === "unicast")
        const hex = `${octets.map((it) => it.toString(16).padStart(2, "0")).join("")}`
        const tail = `${hex.slice(0, 4)}:${hex.slice(4)}`
        const number = octets.reduce((sum, it) => sum * 256 + it, 0)
        for (const other of [`[::ffff:${tail}]`, `[64:ff9b::${tail}]`, `${number}`, `0x${hex}`])
          expect(code(yield* outcome(checked(net, `http://${other}/`))), other).toBe(plain)
      }
    })
  )
})

describe("fetch", () => {
  it.live("connects to the address that was checked, whatever the name says next", () =>
    Effect.gen(function* () {
      const port = yield* serve((_, response) => response.end("public"))
      yield* serve((_, response) => response.end("private"), { host: "127.0.0.2", port })
      const names = named({
        "rebind.test": [["127.0.0.1"], ["127.0.0.2"]],
        "both.test": [["127.0.0.2", "127.0.0.1"]]
      })
      const grants = [`rebind.test:${port}`, `both.test:${port}`, `127.0.0.1:${port}`]
      const net = yield* names.with(makeEgress(grants))
      const url = `http://rebind.test:${port}/`
      expect(yield* outcome(net.fetch({ url }))).toBe("200 public")
      expect(names.asked).toEqual(["rebind.test"])
      expect(yield* outcome(net.fetch({ url }))).toMatch(
        /^denied: not a public address: rebind.test is 127.0.0.2/
      )
      expect(yield* outcome(net.fetch({ url: `http://both.test:${port}/` }))).toBe("200 public")
    })
  )

  it.live("checks every redirect, and takes secrets along to no other origin", () =>
    Effect.gen(function* () {
      const other = yield* serve((request, response) => response.end(JSON.stringify(request.headers)))
      const port = yield* serve(async (request, response) => {
        const [, status = "", to = ""] = /^\/(\d+)\/(.*)$/.exec(request.url!) ?? []
        if (status !== "")
          return response.writeHead(Number(status), { location: decodeURIComponent(to) }).end()
        const { authorization } = request.headers
        response.end(`${request.method} ${authorization} ${await bodyOf(request)}`)
      })
      const net = yield* makeEgress([`127.0.0.1:${port}`, `localhost:${other}`])
      const via = (status: number, to: string, more = {}) =>
        outcome(
          net.fetch({
            url: `http://127.0.0.1:${port}/${status}/${encodeURIComponent(to)}`,
            headers: { Authorization: "secret", "X-Key": "key", Accept: "a/b" },
            ...more
          })
        )
      for (const to of [
        "http://127.0.0.1:1/",
        "http://169.254.169.254/latest/",
        "http://[::1]/",
        "file:///etc/passwd"
      ])
        expect(yield* via(302, to), to).toMatch(/^denied/)
      expect(yield* via(302, "javascript:alert(1)")).toMatch(/^denied/)
      expect(yield* via(302, "/302/%2F302%2F..%2Fx")).toMatch(/^200 GET secret/)
      expect(yield* via(302, "")).toMatch(/^failed: more than 10 redirects/)
      const seen = yield* via(307, `http://localhost:${other}/`)
      expect(seen).toContain('"accept":"a/b"')
      expect(seen).not.toMatch(/secret|"key"/)
      const post = { method: "POST", body: "text" }
      expect(yield* via(302, "/x", post)).toBe("200 GET secret ")
      expect(yield* via(303, "/x", post)).toBe("200 GET secret ")
      expect(yield* via(307, "/x", post)).toBe("200 POST secret text")
    })
  )

  it.live("reads so much and no more, packed or not", () =>
    Effect.gen(function* () {
      const zeros = gzipSync(Buffer.alloc(64 * 1024 * 1024))
      const port = yield* serve((request, response) => {
        const packed = request.url === "/small" ? gzipSync("packed") : zeros
        if (request.url === "/endless") {
          const flood = () => {
            while (response.write("x".repeat(65_536)));
          }
          response.on("drain", flood)
          return flood()
        }
        const coding = request.url === "/strange" ? "strange" : "gzip"
        response.writeHead(200, { "content-encoding": coding }).end(request.url === "/broken" ? "x" : packed)
      })
      const net = yield* makeEgress([`127.0.0.1:${port}`])
      const get = (path: string, more = {}) =>
        outcome(net.fetch({ url: `http://127.0.0.1:${port}${path}`, ...more }))
      expect(yield* get("/small")).toBe("200 packed")
      expect(yield* get("/bomb")).toMatch(/^too_large: more than 8388608 bytes/)
      expect(yield* get("/small", { maxBytes: 5 })).toMatch(/^too_large/)
      expect(yield* get("/endless")).toMatch(/^too_large/)
      expect(yield* get("/strange")).toMatch(/^failed: 127.0.0.1 sent a body in an unknown coding/)
      expect(yield* get("/broken")).toMatch(/^unavailable/)
    })
  )

  it.live("survives servers that speak no HTTP, too much of it, too slowly or too little", () =>
    Effect.gen(function* () {
      const answers: { readonly [name: string]: string } = {
        junk: "SSH-2.0-OpenSSH\r\n",
        header: `HTTP/1.1 200 OK\r\n${"x: y\r\n".repeat(20_000)}\r\n`,
        long: `HTTP/1.1 200 OK\r\nx: ${"y".repeat(200_000)}\r\n\r\n`,
        short: "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc",
        both: "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\nabc",
        chunk: "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        upgrade: "HTTP/1.1 101 X\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
        empty: ""
      }
      const two =
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil"
      for (const [name, answer] of Object.entries({ ...answers, two })) {
        const port = yield* serveRaw((socket) => socket.once("data", () => socket.end(answer)))
        const net = yield* makeEgress([`127.0.0.1:${port}`])
        const got = yield* outcome(net.fetch({ url: `http://127.0.0.1:${port}/` }))
        if (name === "two") expect(got).toBe("200 ok")
        else expect(got, name).toMatch(/^unavailable: cannot reach 127.0.0.1/)
      }
      const gone = yield* Deferred.make<void>()
      const silent = yield* serveRaw((socket) => {
        socket.write("HTTP/1.1 200 OK\r\n\r\n")
        const drip = setInterval(() => socket.write("."), 20)
        socket.once("close", () => {
          clearInterval(drip)
          Effect.runFork(Deferred.succeed(gone, undefined))
        })
      })
      const net = yield* makeEgress([`127.0.0.1:${silent}`])
      const url = `http://127.0.0.1:${silent}/`
      expect(yield* outcome(net.fetch({ url, seconds: 0.3 }))).toMatch(
        /^timeout: no whole answer within 0.3 s/
      )
      yield* Deferred.await(gone)
    })
  )

  it.live("leaves no connection behind when it is interrupted", () =>
    Effect.gen(function* () {
      const here = yield* Deferred.make<void>()
      const gone = yield* Deferred.make<void>()
      const port = yield* serveRaw((socket) => {
        Effect.runFork(Deferred.succeed(here, undefined))
        socket.once("close", () => Effect.runFork(Deferred.succeed(gone, undefined)))
        socket.resume()
      })
      const net = yield* makeEgress([`127.0.0.1:${port}`])
      const fiber = yield* Effect.forkChild(net.fetch({ url: `http://127.0.0.1:${port}/` }))
      yield* Deferred.await(here)
      yield* Fiber.interrupt(fiber)
      yield* Deferred.await(gone)
    })
  )

  it.live("says what no request can have, and what cannot be reached", () =>
    Effect.gen(function* () {
      const net = yield* makeEgress(["127.0.0.1:1"])
      const url = "http://127.0.0.1:1/"
      expect(yield* outcome(net.fetch({ url }))).toBe("unavailable: cannot reach 127.0.0.1: ECONNREFUSED")
      const port = yield* serve((request, response) => response.end(`${request.headers.host}`))
      const open = yield* makeEgress([`127.0.0.1:${port}`])
      const to = `http://127.0.0.1:${port}/`
      expect(yield* outcome(open.fetch({ url: to, headers: { a: "b\r\nx: y" } }))).toMatch(/^bad_input/)
      expect(yield* outcome(open.fetch({ url: to, method: "GE T" }))).toMatch(/^bad_input/)
      expect(yield* outcome(open.fetch({ url: to, headers: { Host: "other" } }))).toBe(
        `200 127.0.0.1:${port}`
      )
      expect(yield* outcome(open.fetch({ url: `https://127.0.0.1:${port}/` }))).toMatch(/^unavailable/)
    })
  )
})
