import { createServer, type RequestListener } from "node:http"
import { type AddressInfo, connect } from "node:net"
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { shell } from "../../tools/shell.ts"
import { contextIn } from "../fixtures/context.ts"
import { folder, marker, opened, roomForNode, running } from "./workspace.ts"

/** A web server on loopback. Gives its `host:port`. */
const web = (answer: RequestListener) =>
  Effect.acquireRelease(
    Effect.callback<ReturnType<typeof createServer>>((resume) => {
      const server = createServer(answer)
      server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
    }),
    (server) =>
      Effect.callback<void>((resume) => {
        server.closeAllConnections()
        server.close(() => resume(Effect.void))
      })
  ).pipe(Effect.map((server) => `127.0.0.1:${(server.address() as AddressInfo).port}`))

const reach = (port: number) =>
  new Promise<string | undefined>((resolve) => {
    const socket = connect(port, "127.0.0.1", () => socket.destroy())
    socket
      .once("error", (error: NodeJS.ErrnoException) => resolve(error.code))
      .once("close", () => resolve("open"))
  })

/** What a shell command prints, with the hosts that a workspace may reach. */
const shellWith = Effect.fnUntraced(function* (hosts: ReadonlyArray<string>) {
  const w = yield* opened(yield* folder, hosts)
  const context = contextIn(w, yield* Effect.scope)
  const said = (command: string) =>
    shell.execute({ command }, context).pipe(Effect.map((result) => shell.toModel?.(result)))
  return { w, said }
})

const fetchWith = (url: string) =>
  `python3 -c 'import urllib.request as u, urllib.error as e, sys
try: print(u.urlopen(sys.argv[1], timeout=20).read().decode())
except e.HTTPError as x: print(x.code, x.reason)
except Exception as x: print(type(x).__name__)' ${url}`

describe("the way to the network", () => {
  it.live("leads to what is granted, and to nothing else", () =>
    Effect.gen(function* () {
      const granted = yield* web((request, response) => {
        request.pipe(response)
        if (request.method === "GET") response.end(`hello from ${request.url}`)
      })
      const other = yield* web((_, response) => response.end("never"))
      const { said, w } = yield* shellWith([granted])
      expect(yield* said(fetchWith(`http://${granted}/x`))).toBe("hello from /x")
      expect(yield* said(fetchWith(`http://${other}/x`))).toMatch(/^403 /)
      expect(yield* said(fetchWith("http://169.254.169.254/"))).toMatch(/^403 /)
      // Beside the proxy there is no network.
      expect(yield* said(`env -u http_proxy -u HTTP_PROXY ${fetchWith(`http://${granted}/x`)}`)).toBe(
        "URLError"
      )
      expect(yield* said("cat /proc/net/dev | grep -c :; [ -e /proc/self/fd/8 ] || echo closed")).toBe(
        "1\nclosed"
      )
      const node = `/opt/noos/node -e 'fetch("http://${granted}/", { method: "POST", body: "a".repeat(1e6) }).then((r) => r.text()).then((t) => console.log(t.length))'`
      const session = yield* w.start(["/bin/sh", "-c", node], { net: w.net, limits: roomForNode })
      expect(String((yield* session.read)?.bytes)).toBe("1000000\n")
    })
  )

  it.live("carries many at once, slow ones and those that break", () =>
    Effect.gen(function* () {
      const host = yield* web((request, response) => {
        if (request.url === "/break") response.destroy()
        else if (request.url === "/slow") response.write("begun")
        else response.end("y".repeat(300_000))
      })
      const { said } = yield* shellWith([host])
      yield* said(
        `for i in 1 2 3 4 5; do ${fetchWith(`http://${host}/slow`)} & ${fetchWith(`http://${host}/break`)} & done >/dev/null 2>&1`
      )
      expect(
        yield* said(`${fetchWith(`http://${host}/`)} | wc -c; ${fetchWith(`http://${host}/break`)}`)
      ).toMatch(/^300001\n(RemoteDisconnected|50\d .*)$/)
    })
  )

  it.live("is not there without a grant, and ends with its scope", () =>
    Effect.gen(function* () {
      const none = yield* shellWith([])
      expect(yield* none.said("env | grep -ci proxy; ls /opt 2>/dev/null")).toBe("0\n[exit 2]")
      const host = yield* web((_, response) => response.end("on"))
      const w = yield* opened(yield* folder, [host])
      const ports: Array<number> = []
      const proxy = Effect.tap(w.net.proxy, ({ port }) => Effect.sync(() => ports.push(port)))
      const id = marker()
      yield* Effect.scoped(
        Effect.gen(function* () {
          const command = ["/bin/sh", "-c", `${fetchWith(`http://${host}`)}; exec sleep ${id}`] as const
          const session = yield* w.start(command, { net: { ...w.net, proxy } })
          expect(String((yield* session.read)?.bytes)).toBe("on\n")
          expect(running(id).length).toBeGreaterThan(0)
        })
      )
      expect(running(id)).toEqual([])
      expect(yield* Effect.promise(() => reach(ports[0]!))).toBe("ECONNREFUSED")
      expect(ports.length).toBe(1)
    })
  )
})
