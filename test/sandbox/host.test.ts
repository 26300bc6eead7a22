import { spawn } from "node:child_process"
import { closeSync, openSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { open } from "node:fs/promises"
import { join } from "node:path"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { folder, marker, running, workspace } from "./workspace.ts"

const kernel = join(import.meta.dirname, "kernel.ts")

/** Waits until a process has opened the FIFO for writing; the second effect, until all that had it open are gone. */
const watchFifo = (path: string) =>
  Effect.acquireRelease(
    Effect.promise(() => open(path, "r")),
    (fifo) => Effect.promise(() => fifo.close())
  ).pipe(Effect.map((fifo) => Effect.promise(() => fifo.readFile("utf8"))))

describe("when the host interferes", () => {
  it.live("a command ends with the process that runs it, kill -9 included", () =>
    Effect.gen(function* () {
      const w = yield* workspace
      const id = marker()
      yield* w.run(["mkfifo", "alive"])
      const line = `exec 9> alive; trap '' TERM; (setsid sleep ${id} &); sleep ${id}`
      const child = spawn(process.execPath, [kernel, w.root, line], { stdio: "ignore" })
      const gone = yield* watchFifo(join(w.root, "alive"))
      child.kill("SIGKILL")
      expect(yield* gone).toBe("")
      expect(running(`sleep\0${id}`)).toEqual([])
    })
  )

  it.live("a command that is killed from outside ends in a clear result", () =>
    Effect.gen(function* () {
      const { run, root } = yield* workspace
      const id = marker()
      yield* run(["mkfifo", "alive"])
      const fiber = yield* run(["/bin/sh", "-c", `exec 9> alive; sleep ${id}`]).pipe(Effect.forkChild)
      yield* watchFifo(join(root, "alive"))
      const children = (pid: number) =>
        readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ").map(Number)
      const bwrap = children(process.pid)
        .flatMap(children)
        .find((pid) => readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(id))
      process.kill(Number(bwrap), "SIGKILL")
      expect(yield* Fiber.join(fiber)).toMatchObject({ exitCode: null, signal: "SIGKILL", reason: "signal" })
      expect((yield* run(["echo", "on"])).stdout).toBe("on\n")
    })
  )

  it.live(
    "a launcher that is killed costs the commands that it ran, and the next one has a new launcher",
    () =>
      Effect.gen(function* () {
        const { run, root } = yield* workspace
        const id = marker()
        yield* run(["mkfifo", "alive"])
        const fiber = yield* run(["/bin/sh", "-c", `exec 9> alive; sleep ${id}`]).pipe(
          Effect.flip,
          Effect.forkChild
        )
        const gone = yield* watchFifo(join(root, "alive"))
        const children = readFileSync(`/proc/self/task/${process.pid}/children`, "utf8").trim().split(" ")
        const launchers = children.filter((pid) =>
          readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("sandbox/launcher.")
        )
        for (const pid of launchers) process.kill(Number(pid), "SIGKILL")
        expect(yield* gone).toBe("")
        const message = "the launcher of the sandbox ended"
        expect(yield* Fiber.join(fiber)).toMatchObject({ code: "unavailable", message })
        expect((yield* run(["echo", "on"])).stdout).toBe("on\n")
      })
  )

  it.live("programs in the person's PATH do not stand in for the sandbox's own", () =>
    Effect.gen(function* () {
      const w = yield* workspace
      const path = process.env.PATH
      yield* Effect.addFinalizer(() =>
        Effect.sync(() => {
          process.env.PATH = path
        })
      )
      process.env.PATH = `${w.root}:${path}`
      const names = ["bwrap", "unshare", "choom", "setpriv", "mount", "sh", "prlimit"]
      for (const name of names) {
        writeFileSync(join(w.root, name), `#!/bin/sh\necho ${name} >> ${w.root}/planted\n`, { mode: 0o755 })
      }
      expect((yield* w.run(["echo", "on"])).stdout).toBe("on\n")
      expect(readdirSync(w.root)).not.toContain("planted")
    })
  )

  it.live("a file that another program left open does not reach the command", () =>
    Effect.gen(function* () {
      const root = yield* folder
      const secret = yield* Effect.acquireRelease(
        Effect.sync(() => openSync("/etc", "r")),
        (fd) => Effect.sync(() => closeSync(fd))
      )
      // Far from the others, where Node does not look for descriptors that it was started with.
      const stdio = [..."ignore pipe inherit".split(" "), ...Array<string>(197).fill("ignore"), secret]
      const line = "ls -l /proc/self/fd; ls /proc/self/fd/200/"
      const said = yield* Effect.callback<string>((resume) => {
        const child = spawn(process.execPath, [kernel, root, line], { stdio: stdio as never })
        let text = ""
        child.stdout?.on("data", (chunk) => {
          text += chunk
        })
        child.on("close", () => resume(Effect.succeed(text)))
      })
      expect(said).toMatch(/ 1 -> socket:/)
      expect(said).toMatch(/ 200 -> socket:/)
      expect(said).not.toContain("/etc")
      expect(said).not.toContain("passwd")
    })
  )
})
