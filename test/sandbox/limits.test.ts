import { watch } from "node:fs"
import { stat } from "node:fs/promises"
import { join } from "node:path"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { marker, running, workspace } from "./workspace.ts"

/** Settles when a file of that name appears in the folder. */
const appears = (folder: string, name: string) =>
  Effect.callback<void>((resume) => {
    const watcher = watch(folder, (_, file) => {
      if (file === name) resume(Effect.void)
    })
    return Effect.sync(() => watcher.close())
  })

describe("a command that goes too far", () => {
  it.live("in time is ended, though it ignores SIGTERM", () =>
    Effect.gen(function* () {
      const { run } = yield* workspace
      const id = marker()
      const line = `trap '' TERM INT HUP; echo begun; while :; do sleep ${id}; done`
      const ended = yield* run(["/bin/sh", "-c", line], { limits: { seconds: 1 } })
      expect(ended).toMatchObject({ exitCode: null, signal: "SIGKILL", stdout: "begun\n", reason: "timeout" })
      expect(running(id)).toEqual([])
    })
  )

  it.live("in an endless loop is ended", () =>
    Effect.gen(function* () {
      const { run } = yield* workspace
      const ended = yield* run(["/bin/sh", "-c", "while :; do :; done"], { limits: { seconds: 1 } })
      expect(ended.reason).toBe("timeout")
    })
  )

  it.live("in output is ended, and the beginning is kept", () =>
    Effect.gen(function* () {
      const { run } = yield* workspace
      const ended = yield* run(["yes", "héé"], { limits: { outputBytes: 10_000 } })
      expect(ended).toMatchObject({ reason: "output", exitCode: null })
      expect(Buffer.byteLength(ended.stdout)).toBeGreaterThan(9_990)
      expect(Buffer.byteLength(ended.stdout)).toBeLessThanOrEqual(10_000)
      expect(ended.stdout).not.toContain("\ufffd")
      const errors = yield* run(["/bin/sh", "-c", "yes >&2"], { limits: { outputBytes: 10_000 } })
      expect(errors).toMatchObject({ reason: "output", stdout: "" })
    })
  )

  it.live("in processes gets no more of them", () =>
    Effect.gen(function* () {
      const { run } = yield* workspace
      const id = marker()
      const line = `n=0; while sleep ${id} & do n=$((n+1)); echo $n; done`
      const ended = yield* run(["/bin/sh", "-c", line], { limits: { processes: 20, seconds: 20 } })
      const started = ended.stdout.trim().split("\n").length
      expect(started).toBeGreaterThan(10)
      expect(started).toBeLessThanOrEqual(20)
      expect(ended.exitCode).not.toBe(0)
      expect(running(id)).toEqual([])
    })
  )

  it.live("as a fork bomb ends, and the next command runs", () =>
    Effect.gen(function* () {
      const { run } = yield* workspace
      const id = marker()
      const bomb = `f() { f ${id} | f ${id} & f ${id}; }; f ${id}`
      const ended = yield* run(["/bin/sh", "-c", bomb], { limits: { processes: 64, seconds: 2 } })
      expect(["timeout", "exit", "signal", "output"]).toContain(ended.reason)
      expect(running(id)).toEqual([])
      expect((yield* run(["echo", "alive"])).stdout).toBe("alive\n")
    })
  )

  it.live("in memory is told so by the system", () =>
    Effect.gen(function* () {
      const { run } = yield* workspace
      // tail keeps the last line, which is all of it
      const ended = yield* run(["/bin/sh", "-c", "head -c 2000000000 /dev/zero | tail -n 1"], {
        limits: { memoryMiB: 64 }
      })
      expect(ended.exitCode).not.toBe(0)
      expect(ended.stdout).toBe("")
    })
  )

  it.live("in file size is ended, in the workspace and in /tmp", () =>
    Effect.gen(function* () {
      const { run, root } = yield* workspace
      const limits = { fileMiB: 4 }
      const large = yield* run(["dd", "if=/dev/zero", "of=big", "bs=1M", "count=10000"], { limits })
      expect(large).toMatchObject({ signal: "SIGXFSZ", reason: "signal" })
      expect((yield* Effect.promise(() => stat(join(root, "big")))).size).toBe(4 * 1024 * 1024)
      const many =
        "for i in 0 1 2 3 4 5 6 7 8 9; do dd if=/dev/zero of=/tmp/$i bs=1M count=64 || exit 9; done"
      expect((yield* run(["/bin/sh", "-c", many])).exitCode).toBe(9)
      const elsewhere = "for d in / /dev /etc /usr /proc /run /home; do echo x > $d/x && exit 9; done; exit 0"
      expect((yield* run(["/bin/sh", "-c", elsewhere])).exitCode).toBe(0)
    })
  )
})

describe("nothing is left running", () => {
  it.live("of a command that leaves children behind", () =>
    Effect.gen(function* () {
      const { run } = yield* workspace
      for (const line of ["sleep ID & exit 3", "(setsid nohup sleep ID >/dev/null 2>&1 &); exit 3"]) {
        const id = marker()
        const ended = yield* run(["/bin/sh", "-c", line.replace("ID", id)])
        expect(ended).toMatchObject({ exitCode: 3, reason: "exit" })
        expect(running(id)).toEqual([])
      }
    })
  )

  it.live("of a command whose child is killed", () =>
    Effect.gen(function* () {
      const { run } = yield* workspace
      const line = "sleep 1000 & kill -KILL $!; wait $!; echo child $?"
      expect(yield* run(["/bin/sh", "-c", line])).toMatchObject({ exitCode: 0, stdout: "child 137\n" })
    })
  )

  it.live("of a command that is interrupted", () =>
    Effect.gen(function* () {
      const { run, root } = yield* workspace
      const id = marker()
      const started = yield* appears(root, "started").pipe(Effect.forkChild({ startImmediately: true }))
      const line = `trap '' TERM; (setsid sleep ${id} &); > started; sleep ${id}`
      const fiber = yield* run(["/bin/sh", "-c", line], { limits: { seconds: 1000 } }).pipe(Effect.forkChild)
      yield* Fiber.join(started)
      expect(running(id).length).toBeGreaterThan(0)
      yield* Fiber.interrupt(fiber)
      expect(running(id)).toEqual([])
    })
  )

  it.live("of commands interrupted while they start", () =>
    Effect.gen(function* () {
      const { run } = yield* workspace
      const id = marker()
      for (const wait of [0, 1, 2, 4, 8, 12, 16, 20, 24, 32]) {
        const fiber = yield* run(["sleep", id]).pipe(Effect.forkChild({ startImmediately: true }))
        yield* Effect.sleep(wait)
        yield* Fiber.interrupt(fiber)
        expect(running(id)).toEqual([])
      }
    })
  )

  it.live("of several commands at once", () =>
    Effect.gen(function* () {
      const { run } = yield* workspace
      const numbers = [1, 2, 3, 4, 5, 6]
      const ended = yield* Effect.forEach(numbers, (n) => run(["/bin/sh", "-c", `echo ${n}; exit ${n}`]), {
        concurrency: "unbounded"
      })
      expect(ended.map((e) => [e.stdout, e.exitCode])).toEqual(numbers.map((n) => [`${n}\n`, n]))
    })
  )
})
