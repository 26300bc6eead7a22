import { execFileSync } from "node:child_process"
import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { lines, scratch, twoLines } from "./launch.ts"

const { at, root: home, workspace } = scratch("think")
const { call } = at(join(home, "home"))

/** The README's: a script whose test fails, and of whose plausible edits only some are right. */
const broken = () => {
  const folder = mkdtempSync(join(home, "ws-"))
  writeFileSync(join(folder, "sigma.csv"), "76\n189\n192\n54\n20\n124\n78\n100\n")
  writeFileSync(join(folder, "top.sh"), "sort -rn sigma.csv | sed 1q\n")
  writeFileSync(
    join(folder, "test.sh"),
    'if [ "$(sh top.sh)" = "78" ]; then\n  echo ok\nelse\n  echo wrong\n  exit 1\nfi\n'
  )
  return folder
}
const task = "sh test.sh fails. Fix top.sh."
const verify = ["--verify", "sh test.sh"]

describe("noos run --agent slow", () => {
  it("does what the README shows: tries edits, keeps the one that passes, and nothing else", async () => {
    const folder = broken()
    const { exitCode, stderr, stdout } = await call(
      "run",
      "--workspace",
      folder,
      "--agent",
      "slow",
      ...verify,
      task
    )
    assert.strictEqual(exitCode, 0, stderr)
    assert.strictEqual(stdout, "fixed")
    assert.match(stderr, /\n {2}\d\.\d\d fs_read top\.sh → .*\n {4}\d\.\d\d fs_edit/s)
    assert.match(stderr, /kept what process \d+ did: 1 file changed\ndone in/)
    assert.strictEqual(execFileSync("sh", ["test.sh"], { cwd: folder, encoding: "utf8" }), "ok\n")
    assert.deepStrictEqual(readdirSync(folder).sort(), ["sigma.csv", "test.sh", "top.sh"])
  })

  it("tells scripts what it tried, and what it used", async () => {
    const folder = broken()
    const flags = ["--workspace", folder, "--agent", "auto", ...verify, "--json", task]
    const { exitCode, stdout } = await call("run", ...flags)
    assert.strictEqual(exitCode, 0)
    const events = lines(stdout)
    const last = events.at(-1)!
    assert.deepInclude(last, { type: "exit", status: "ok" })
    assert.isAbove(events.filter(({ type }) => type === "tried").length, 0)
    const branches = events.filter(({ branch, type }) => type === "start" && branch === true)
    assert.isTrue(branches.every(({ parent }) => parent === last.pid))
  })

  it("leaves the folder alone when the tokens run out before anything passes", async () => {
    const folder = broken()
    const flags = ["--workspace", folder, "--agent", "slow", "--verify", "false", "--budget-tokens", "700"]
    const { exitCode, stdout } = await call("run", ...flags, task)
    assert.strictEqual(exitCode, 3)
    assert.strictEqual(stdout, "")
    assert.strictEqual(readFileSync(join(folder, "top.sh"), "utf8"), "sort -rn sigma.csv | sed 1q\n")
  })

  it("refuses what makes no sense, before a model is loaded", async () => {
    const folder = workspace()
    for (const [flags, what] of [
      [["--verify", "true"], /verify and strategy are for slow thinking/],
      [["--agent", "slow", "--strategy", "bfs"], /no strategy "bfs": the choices are greedy/],
      [["--agent", "slowly"], /cannot read slowly/]
    ] as const) {
      const { exitCode, stderr } = await call("run", "--workspace", folder, ...flags, "Say hello.")
      assert.strictEqual(exitCode, 2)
      twoLines(stderr, what)
    }
  })
})
