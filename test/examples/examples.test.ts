import { mkdtempSync, readdirSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { afterAll, assert, describe, it } from "@effect/vitest"
import { execa } from "execa"
import { noos } from "../../index.ts"

const folder = fileURLToPath(new URL("../../examples/", import.meta.url))
const home = mkdtempSync(join(tmpdir(), "noos-examples-"))
afterAll(() => rmSync(home, { recursive: true, force: true }))

/** What each example prints. An example that is not here fails the test. */
const prints: Record<string, string> = {
  "browse.ts": "One assam ordered; 5 calls in the journal",
  "forecast.ts": "ok Oslo: 4 °C, snow",
  "relay.ts": "ok K7Q2",
  "shout.ts": "ok GOOD MORNING",
  "survey.ts": "ok 1 6 11 3 8 13 5 10 2 7 12 4 | web6: 13 slow requests"
}

describe("examples", () => {
  for (const file of readdirSync(folder).filter((name) => name.endsWith(".ts")))
    it(`${file} runs and prints what it says`, async () => {
      const { stdout } = await execa(process.execPath, [join(folder, file)], {
        cwd: mkdtempSync(join(home, "ws-")),
        env: { NOOS_HOME: home },
        stdin: "ignore"
      })
      assert.strictEqual(stdout, prints[file])
    })
})

describe("noos.run", () => {
  it("rejects, typed, when the task cannot be run at all", async () => {
    const wrong = [
      () => noos.run("List the files.", { workspace: join(home, "nowhere") }),
      () => noos.run("List the files.", { model: join(home, "none.gguf") })
    ]
    for (const attempt of wrong) {
      const error = await attempt().then(
        () => undefined,
        (e: unknown) => e
      )
      assert.match((error as { _tag: string })._tag, /^(ToolError|EngineError)$/)
    }
  })

  it("stops when its signal aborts", async () => {
    const abort = new AbortController()
    const running = noos.run("List the files.", {
      workspace: home,
      signal: abort.signal,
      onEvent: (e) => {
        if (e.type === "start") abort.abort()
      }
    })
    const outcome = await running.then(
      () => "ended",
      () => "rejected"
    )
    assert.strictEqual(outcome, "rejected")
  })
})
