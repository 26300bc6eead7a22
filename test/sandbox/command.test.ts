import { lstatSync, readFileSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { Bubblewrap } from "../../sandbox/bubblewrap.ts"
import { Sandbox } from "../../sandbox/sandbox.ts"
import { workspace } from "./workspace.ts"

describe("a sandboxed command", () => {
  it.live("gives its output and exit code", () =>
    Effect.gen(function* () {
      const { run } = yield* workspace
      expect(yield* run(["/bin/sh", "-c", "echo out; echo err >&2; exit 7"])).toMatchObject({
        exitCode: 7,
        signal: null,
        stdout: "out\n",
        stderr: "err\n",
        reason: "exit"
      })
      expect(yield* run(["printf", "%s|", "a b", "$HOME", "*"])).toMatchObject({
        stdout: "a b|$HOME|*|",
        exitCode: 0
      })
    })
  )

  it.live("reads what it is given, or nothing", () =>
    Effect.gen(function* () {
      const { run } = yield* workspace
      expect((yield* run(["cat"], { stdin: "hello" })).stdout).toBe("hello")
      expect((yield* run(["cat"])).stdout).toBe("")
      const large = "x".repeat(200_000)
      expect((yield* run(["cat"], { stdin: large })).stdout).toBe(large)
      expect((yield* run(["true"], { stdin: large })).exitCode).toBe(0)
    })
  )

  it.live("works in the workspace, and what it makes belongs to the workspace's owner", () =>
    Effect.gen(function* () {
      const { run, root } = yield* workspace
      writeFileSync(join(root, "in.txt"), "3\n1\n2\n")
      yield* run(["/bin/sh", "-c", "pwd > where; sort in.txt > sorted; mkdir -p a/b; echo x > a/b/c"])
      expect(readFileSync(join(root, "where"), "utf8")).toBe("/work\n")
      expect(readFileSync(join(root, "sorted"), "utf8")).toBe("1\n2\n3\n")
      const [made, folder] = [lstatSync(join(root, "a/b/c")), statSync(root)]
      expect([made.uid, made.gid]).toEqual([folder.uid, folder.gid])
      expect((yield* run(["pwd"], { cwd: "a/b" })).stdout).toBe("/work/a/b\n")
    })
  )

  it.live("finds the usual programs", () =>
    Effect.gen(function* () {
      const { run } = yield* workspace
      const line =
        "printf 'b 2\\na 1\\n' | sort | awk '{s+=$2} END {print s}' | sed 's/3/three/' | grep th; find . -name x"
      expect(yield* run(["/bin/sh", "-c", line])).toMatchObject({
        stdout: "three\n",
        stderr: "",
        exitCode: 0
      })
    })
  )

  it.live("is told apart by how it ended", () =>
    Effect.gen(function* () {
      const { run } = yield* workspace
      expect(yield* run(["/bin/sh", "-c", "kill -TERM $$"])).toMatchObject({
        exitCode: null,
        signal: "SIGTERM",
        reason: "signal",
        stderr: ""
      })
      expect(yield* run(["no-such-program"])).toMatchObject({ exitCode: 127, reason: "exit" })
      expect(yield* run(["/bin/sh", "-c", "exit 250"])).toMatchObject({ exitCode: 250, signal: null })
    })
  )

  it.live("is refused in words when it cannot be run", () =>
    Effect.gen(function* () {
      const { run } = yield* workspace
      const refused = (effect: ReturnType<typeof run>) => effect.pipe(Effect.flip)
      expect(yield* refused(run(["echo", "a\0b"]))).toMatchObject({ code: "bad_input" })
      expect(yield* refused(run(["echo", "x".repeat(200_000)]))).toMatchObject({ code: "bad_input" })
      expect(yield* refused(run(["true"], { cwd: "missing" }))).toMatchObject({ code: "not_found" })
      expect(yield* refused(run(["true"], { cwd: ".." }))).toMatchObject({ code: "outside_workspace" })
      expect(yield* refused(run(["true"], { cwd: "/etc" }))).toMatchObject({ code: "outside_workspace" })
    })
  )

  it.live("needs a folder", () =>
    Effect.gen(function* () {
      const sandbox = yield* Sandbox
      expect(yield* sandbox.open("/no/such/folder").pipe(Effect.flip)).toMatchObject({ code: "not_found" })
      expect(yield* sandbox.open(import.meta.filename).pipe(Effect.flip)).toMatchObject({
        code: "not_a_directory"
      })
      for (const system of ["/", "/usr", "/proc/self", "/dev", "/sys/", "/bin/.."]) {
        expect(yield* sandbox.open(system).pipe(Effect.flip)).toMatchObject({ code: "bad_input" })
      }
    }).pipe(Effect.provide(Bubblewrap.layer))
  )
})
