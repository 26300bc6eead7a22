import { execFile, execFileSync, spawn } from "node:child_process"
import { existsSync, readdirSync, realpathSync, symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { promisify } from "node:util"
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { isRoot, systemPath } from "../../sandbox/launch.ts"
import { fill, script, shape } from "./branches.ts"
import { folder } from "./workspace.ts"

const program = join(import.meta.dirname, "branch-user.ts")

/** Root's processes become an ordinary user by a namespace in which they have no rights. */
const asUser = isRoot ? ["unshare", "--user", "--map-user=1000", "--map-group=1000"] : ["env"]

const run = (...args: ReadonlyArray<string>) =>
  Effect.promise(async () => {
    const [file = "", ...more] = [...asUser, process.execPath, program, ...args]
    const { stdout } = await promisify(execFile)(file, more)
    return JSON.parse(stdout) as { readonly changes: ReadonlyArray<{ path: string }>; readonly left: unknown }
  })

const filled = Effect.tap(folder, (cwd) => Effect.sync(() => execFileSync("/bin/sh", ["-c", fill], { cwd })))

/** What the same lines do in a folder where they are run as an ordinary user without any branch. */
const plainly = Effect.fnUntraced(function* (lines: string) {
  const cwd = yield* filled
  const [file = "", ...args] = [...asUser, "/bin/sh", "-c", lines]
  execFileSync("/bin/sh", ["-c", '"$@" || :', "sh", file, ...args], { cwd, stdio: "ignore" })
  return shape(cwd)
})

describe("branches of a process that was killed", () => {
  it.live("are removed by the next one that makes any", () =>
    Effect.gen(function* () {
      const [root, state] = [yield* filled, yield* folder]
      const before = shape(root)
      const [file = "", ...args] = [
        ...asUser,
        process.execPath,
        join(import.meta.dirname, "abandoner.ts"),
        root,
        state
      ]
      const child = spawn(file, args, { stdio: ["ignore", "pipe", "inherit"] })
      yield* Effect.callback<void>((resume) => void child.stdout.once("data", () => resume(Effect.void)))
      child.kill("SIGKILL")
      yield* Effect.callback<void>((resume) => void child.once("exit", () => resume(Effect.void)))
      const [left] = readdirSync(join(state, "branches"))
      expect(readdirSync(join(state, "branches", left ?? "")).length).toBeGreaterThan(1)
      yield* run(root, state, "echo next > next")
      expect(readdirSync(join(state, "branches"))).toEqual([])
      execFileSync("rm", [join(root, "next")])
      expect(shape(root)).toBe(before)
    })
  )
})

describe("an ordinary user's branch", () => {
  it.live("ends, committed, as a folder does in which the same is done", () =>
    Effect.gen(function* () {
      for (const seed of [11]) {
        const [root, state] = [yield* filled, yield* folder]
        const lines = script(seed, 24)
        const { changes, left } = yield* run(root, state, lines)
        expect(changes.length).toBeGreaterThan(0)
        expect(shape(root), `seed ${seed}`).toBe(yield* plainly(lines))
        expect(left).toEqual([])
        expect(readdirSync(join(state, "branches"))).toEqual([])
      }
    })
  )

  it.live("is a copy where overlayfs cannot be had", () =>
    Effect.gen(function* () {
      const [root, state, programs] = [yield* folder, yield* folder, yield* folder]
      const names = ["bwrap", "nsenter", "unshare", "cp", "rm", "chmod", "mkdir", "rmdir", "umount", "env"]
      for (const name of names) {
        const found = systemPath.split(":").find((path) => existsSync(join(path, name)))
        symlinkSync(realpathSync(join(found ?? "", name)), join(programs, name))
      }
      writeFileSync(join(root, "a"), "first")
      const lines =
        "echo second > a; mkdir d\nchmod 0 a; echo x > d/x; mkdir closed; touch closed/x; chmod 0 closed"
      const { changes, left } = yield* run(root, state, lines, programs)
      expect(changes.map(({ path }) => path)).toEqual(["a", "closed", "closed/x", "d", "d/x"])
      expect(shape(root)).toMatch(/\["a","100000","\d+:\d+","0","second\\n"\]/)
      expect(shape(root)).not.toContain("lost")
      expect(left).toEqual([])
    })
  )
})
