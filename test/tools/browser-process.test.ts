import { spawn } from "node:child_process"
import { once } from "node:events"
import { readFileSync } from "node:fs"
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { chromium } from "../../sandbox/chromium.ts"
import { serve } from "../fixtures/web.ts"
import { folder, opened } from "../sandbox/workspace.ts"
import { descendants, ownTemporaryFolder, user } from "./browser-user.ts"

const temporary = ownTemporaryFolder()

const status = (pid: number) => readFileSync(`/proc/${pid}/status`, "utf8")
const chromiums = () =>
  descendants(process.pid).filter((pid) =>
    readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("--user-data-dir")
  )

/** Starts Chromium in a process of its own, and says so. */
const other = `
import { Effect } from "effect"
import { chromium } from ${JSON.stringify(new URL("../../sandbox/chromium.ts", import.meta.url).href)}
await Effect.runPromise(Effect.scoped(Effect.andThen(chromium, Effect.sync(() => console.log("up")).pipe(Effect.andThen(Effect.never)))))`

describe("the Chromium of a kernel", () => {
  it.live("is one, confined, and gone with the last who uses it", () =>
    Effect.gen(function* () {
      const before = descendants(process.pid)
      yield* Effect.scoped(
        Effect.gen(function* () {
          const one = yield* chromium
          expect(yield* chromium).toBe(one)
          const page = yield* Effect.promise(() => one.newPage())
          yield* Effect.promise(() => page.setContent("<p>x"))
          const renderer = descendants(process.pid).find((pid) =>
            readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("--type=renderer")
          )
          expect(status(renderer!)).toMatch(/^Seccomp:\s*2$/m)
          for (const pid of descendants(process.pid).filter((it) => !before.includes(it)))
            expect(status(pid)).not.toMatch(/^Uid:\s*0\b/m)
          expect(chromiums().length).toBeGreaterThan(0)
        })
      )
      expect(descendants(process.pid)).toEqual(before)
      expect(temporary()).toEqual([])
    })
  )

  it.live("is started again when it was ended from outside", () =>
    Effect.gen(function* () {
      const port = yield* serve((_, response) =>
        response.setHeader("content-type", "text/html").end("<title>t</title>")
      )
      const call = yield* user(yield* opened(yield* folder, [`127.0.0.1:${port}`]))
      const url = `http://127.0.0.1:${port}/`
      expect(yield* call("open", { url })).toBe(`t ${url}`)
      const browser = yield* chromium
      const lost = new Promise((resolve) => browser.once("disconnected", resolve))
      process.kill(chromiums()[0]!, "SIGKILL") // the outermost: all others end with it
      yield* Effect.promise(() => lost)
      expect(yield* call("read")).toBe("unavailable: the browser ended: open the page again")
      expect(yield* call("open", { url })).toBe(`t ${url}`)
    })
  )

  it.live("dies with its kernel, however that is ended", () =>
    Effect.gen(function* () {
      const child = spawn(process.execPath, ["--input-type=module", "-e", other], {
        stdio: ["ignore", "pipe", "inherit"]
      })
      yield* Effect.promise(() => once(child.stdout, "data"))
      const started = descendants(child.pid!)
      expect(started.length).toBeGreaterThan(3)
      const gone = Promise.all(started.map((pid) => ended(pid)))
      child.kill("SIGKILL")
      yield* Effect.promise(() => gone)
    })
  )

  it.live("is asked for where there is none", () =>
    Effect.gen(function* () {
      const call = yield* user(yield* opened(yield* folder, ["127.0.0.1:81"]))
      process.env.NOOS_CHROMIUM = "/nowhere/chromium"
      yield* Effect.addFinalizer(() => Effect.sync(() => delete process.env.NOOS_CHROMIUM))
      const url = "http://127.0.0.1:81/"
      expect(yield* call("open", { url })).toBe("unavailable: NOOS_CHROMIUM names no file: /nowhere/chromium")
      process.env.NOOS_CHROMIUM = "/bin/false"
      expect(yield* call("open", { url })).toMatch(/^unavailable: Chromium did not start/)
    })
  )
})

/** Resolves when a process is no more: tail(1) watches it. */
const ended = (pid: number) =>
  once(spawn("tail", [`--pid=${pid}`, "-f", "/dev/null"], { stdio: "ignore" }), "close")
