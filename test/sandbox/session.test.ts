import { chownSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { chmod } from "node:fs/promises"
import { dirname, join } from "node:path"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import type { Session } from "../../sandbox/sandbox.ts"
import { folder, marker, opened, roomForNode, running, workspace } from "./workspace.ts"

/** Reads until `stream` has said at least `length` bytes, or the program has ended. */
const hear = (session: Session, length: number, stream = "stdout") =>
  Effect.gen(function* () {
    let said = Buffer.alloc(0)
    while (said.length < length) {
      const next = yield* session.read
      if (next === undefined) break
      if (next.stream === stream) said = Buffer.concat([said, next.bytes])
    }
    return said
  })

const sh = (line: string) => ["/bin/sh", "-c", line] as const

describe("a session", () => {
  it.live("is talked to, in bytes, and says how it ended", () =>
    Effect.gen(function* () {
      const w = yield* workspace
      const session = yield* w.start(["cat"])
      const bytes = Buffer.from([0, 255, 10, 195])
      yield* session.write(bytes)
      expect(yield* hear(session, 4)).toEqual(bytes)
      yield* session.write("héé")
      expect(`${yield* hear(session, 5)}`).toBe("héé")
      const other = yield* w.start(sh("read x; echo got $x; echo no >&2; exit 3"))
      yield* other.write("it\n")
      expect(yield* other.ended).toMatchObject({ exitCode: 3, signal: null, reason: "exit" })
      expect(`${yield* hear(other, 7)}`).toBe("got it\n")
      expect(yield* Effect.repeat(other.read, { until: (next) => next === undefined })).toBe(undefined)
      expect(yield* Effect.flip(other.write("more"))).toMatchObject({ code: "unavailable" })
    })
  )

  it.live("carries much in both directions, whoever is slow", () =>
    Effect.gen(function* () {
      const session = yield* (yield* workspace).start(["cat"], { limits: { outputBytes: 10_000 } })
      const much = Buffer.alloc(5_000_000, "0123456789abc")
      const writing = yield* Effect.forkChild(session.write(much))
      expect((yield* hear(session, much.length)).equals(much)).toBe(true)
      yield* Fiber.join(writing)
    })
  )

  it.live("that nobody reads waits, and what it wrote is there later", () =>
    Effect.gen(function* () {
      const w = yield* workspace
      const line = "head -c 1000000 /dev/zero; echo done > done; exec sleep 60"
      const session = yield* w.start(sh(line), { limits: { outputBytes: 1000 } })
      yield* w.run(["sleep", "0.2"])
      expect((yield* w.run(["ls"])).stdout).toBe("")
      expect((yield* hear(session, 1_000_000)).length).toBe(1_000_000)
    })
  )

  it.live("is gone with its scope, and with it all that it started", () =>
    Effect.gen(function* () {
      const w = yield* workspace
      const id = marker()
      yield* Effect.scoped(
        Effect.gen(function* () {
          const session = yield* w.start(sh(`trap '' TERM; (setsid sleep ${id} &); echo on; sleep ${id}`))
          yield* hear(session, 3)
          expect(running(id).length).toBeGreaterThan(1)
        })
      )
      expect(running(id)).toEqual([])
    })
  )

  it.live("ends in its time, if it is given one", () =>
    Effect.gen(function* () {
      const session = yield* (yield* workspace).start(["cat"], { limits: { seconds: 0.1 } })
      expect(yield* session.ended).toMatchObject({ exitCode: null, signal: "SIGKILL", reason: "timeout" })
      expect(yield* session.read).toBe(undefined)
    })
  )

  it.live("that cannot be started says why", () =>
    Effect.gen(function* () {
      const w = yield* workspace
      const at = (from: string, to: string) => Effect.flip(w.start(["true"], { mounts: [{ from, to }] }))
      expect(yield* at("/no/such", "/x")).toMatchObject({ code: "not_found" })
      expect(yield* at("etc", "/x")).toMatchObject({ code: "bad_input" })
      expect(yield* at("/proc", "/x")).toMatchObject({ code: "bad_input" })
      for (const to of ["x", "/", "/work/x", "/proc", "/dev/x", "/a/../work", "/a//b"])
        expect(yield* at("/etc", to)).toMatchObject({ code: "bad_input" })
      expect(yield* at("/etc", "/usr/no/such")).toMatchObject({
        code: "unavailable",
        message: expect.stringContaining("the sandbox did not start: bwrap: ")
      })
      expect(yield* Effect.flip(w.start(["true"], { env: { "A=B": "" } }))).toMatchObject({
        code: "bad_input"
      })
      expect(yield* Effect.flip(w.start(["true"], { cwd: "nowhere" }))).toMatchObject({
        code: "not_found"
      })
    })
  )

  it.live("sees its variables, which nobody else on the machine does", () =>
    Effect.gen(function* () {
      const secret = marker()
      const session = yield* (yield* workspace).start(sh(`printf %s "$TOKEN"; exec cat`), {
        env: { TOKEN: `${secret}\n'"` }
      })
      expect(`${yield* hear(session, secret.length + 3)}`).toBe(`${secret}\n'"`)
      expect(running(secret)).toEqual([])
    })
  )

  it.live("sees the workspace as it is told to", () =>
    Effect.gen(function* () {
      const w = yield* workspace
      yield* w.writeFile("a/b", "text")
      const line = "pwd; ls; touch x 2>/dev/null && echo wrote; exit 0"
      const said = (workspace: "write" | "read" | "none") =>
        w.start(sh(line), { workspace, cwd: "a" }).pipe(
          Effect.flatMap((session) => hear(session, 1000)),
          Effect.map(String),
          Effect.scoped
        )
      expect(yield* said("none")).toBe("/work\n")
      expect(yield* said("read")).toBe("/work/a\nb\n")
      expect(yield* said("write")).toBe("/work/a\nb\nwrote\n")
    })
  )

  // Below a folder that only its owner can enter; as root, for a workspace of somebody else.
  it.live("sees what is mounted, wherever that is on the host", () =>
    Effect.gen(function* () {
      const w = yield* workspace
      const closed = yield* folder
      yield* Effect.promise(() => chmod(closed, 0o700))
      for (const name of ["in", "out"]) mkdirSync(join(closed, name))
      writeFileSync(join(closed, "in", "text"), "hello")
      if (process.getuid?.() === 0) {
        chownSync(w.root, 12345, 12345)
        chownSync(join(closed, "out"), 12345, 12345)
      }
      const mounts = [
        { from: join(closed, "in"), to: "/data/in" },
        { from: join(closed, "out"), to: "/data/out", write: true },
        { from: dirname(process.execPath), to: "/opt/node" },
        { from: join(closed, "in", "text"), to: "/tmp/text" }
      ]
      const line = `cat /data/in/text /tmp/text; (echo x > /data/in/text; echo x > /tmp/text) 2>/dev/null && echo wrote
        echo out > /data/out/made; /opt/node/node -p 6*7; touch here && stat -c %u here`
      const session = yield* (yield* opened(w.root)).start(sh(line), { mounts, limits: roomForNode })
      expect(`${yield* hear(session, 1000)}`).toBe("hellohello42\n1000\n")
      expect(readFileSync(join(closed, "out", "made"), "utf8")).toBe("out\n")
    })
  )
})
