import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { type Asked, runComparison } from "../../cli/comparison.ts"
import { Stop } from "../../cli/stop.ts"
import { lines, scratch, twoLines } from "./launch.ts"

const { at, root } = scratch("compare")
const { call, start } = at(join(root, "home"))

const file = (name: string, text: string) => {
  writeFileSync(join(root, name), text)
  return join(root, name)
}
const task = (id: string, check: object, rest: object = {}) =>
  JSON.stringify({ id, task: "What is 12 times 34?", check, ...rest })
const sums = file(
  "sums.jsonl",
  `${task("good", { answer: "408" })}\n${task("bad", { pattern: "^never$" })}\n`
)

describe("noos compare", () => {
  it("does each task in each mode, shows it, and writes a report", async () => {
    const html = join(root, "report.html")
    const done = await call("compare", sums, "--modes", "fast", "--seeds", "2", "--html", html)
    assert.strictEqual(done.exitCode, 0, done.stderr)
    const said = done.stderr.split("\n")
    assert.match(said[0]!, /^noos compare · sums · 2 tasks · fast · /)
    assert.deepStrictEqual(
      said.slice(1).map((line) => line.replace(/ {2}\(.*/, "")),
      ["✓ good fast: 408", "✗ bad fast: 408", "✓ good fast (seed 1): 408", "✗ bad fast (seed 1): 408"]
    )
    assert.match(done.stdout, /^mode +right +accuracy .*\nfast +2\/4 +50\.0% +9\.5% to 90\.5% /)
    const page = readFileSync(html, "utf8")
    assert.match(page, /^<!doctype html>/)
    assert.notInclude(page, "Interrupted")
  })

  it("has records and verdicts for scripts, and baselines at the tokens of slow", async () => {
    const short = file(
      "short.yaml",
      "grant: [calc]\ntasks:\n  - id: good\n    task: What is 12 times 34?\n    check: { answer: '408' }\n"
    )
    const done = await call("compare", short, "--modes", "slow", "--budget-tokens", "400", "--json")
    assert.strictEqual(done.exitCode, 0, done.stderr)
    assert.strictEqual(done.stderr, "")
    const told = lines(done.stdout)
    assert.deepStrictEqual(
      told.map(({ item, mode, type }) => [type, item, mode]),
      [
        ["attempt", "good", "slow"],
        ["attempt", "good", "best-of-n"],
        ["attempt", "good", "self-consistency"],
        ["verdict", undefined, undefined]
      ]
    )
    const { tree, usage } = told[0] as unknown as {
      readonly tree: { readonly nodes: ReadonlyArray<unknown> }
      readonly usage: { readonly prefillTokens: number }
    }
    assert.isAbove(tree.nodes.length, 1)
    assert.isAbove(usage.prefillTokens, 0)
    const { verdicts } = told.at(-1) as unknown as {
      readonly verdicts: ReadonlyArray<{ readonly words: string }>
    }
    assert.deepStrictEqual(
      verdicts.map(({ words }) => words.replace(/:.*/, "")),
      [
        "no difference shown between slow and best-of-n at equal tokens",
        "no difference shown between slow and self-consistency at equal tokens"
      ]
    )
  })

  it("counts what cannot be done as wrong, says why, and ends with 1", async () => {
    const outside = file("outside.jsonl", task("deep", { answer: "408" }, { files: { a: "", "a/b": "" } }))
    const failed = await call("compare", outside, "--modes", "fast")
    assert.strictEqual(failed.exitCode, 1)
    assert.match(failed.stderr, /! deep fast: .*a/)
    assert.match(failed.stdout, /fast +0\/1 .* 1$/m)
  })

  it("prints what there is when it is interrupted", async () => {
    const html = join(root, "half.html")
    const slow = file(
      "slow.jsonl",
      `${task("one", { answer: "408" })}\n${task("two", { command: "sleep 100" })}\n`
    )
    const { child, until } = start("compare", slow, "--modes", "fast", "--html", html)
    await until(/✓ one fast/)
    child.kill("SIGINT")
    const done = await child
    assert.strictEqual(done.exitCode, 130)
    assert.match(done.stdout, /fast +1\/1 /)
    assert.include(readFileSync(html, "utf8"), "Interrupted: 1 of 2 attempts")
  })

  it.effect("says what is wrong before anything is loaded", () =>
    Effect.gen(function* () {
      const usual: Asked = {
        suite: sums,
        modes: ["fast"],
        limit: undefined,
        seeds: 1,
        strategy: undefined,
        tokens: undefined,
        model: join(root, "none.gguf"),
        json: false,
        html: undefined
      }
      const badTask = file("bad.yaml", "tasks:\n  - task: a\n")
      const badTool = file(
        "tool.yaml",
        'grant: [teleport]\ntasks:\n  - task: a\n    check: { answer: "1" }\n'
      )
      const wrong: ReadonlyArray<readonly [asked: Partial<Asked>, what: RegExp]> = [
        [{ suite: "nowhere" }, /no suite nowhere/],
        [{ suite: badTask }, /bad\.yaml:2: tasks\.0 must have required property 'check'/],
        [{ suite: badTool }, /task-1: grant: no such tool: teleport/],
        [{ modes: ["fast", "quick"] }, /no mode quick/],
        [{ modes: [] }, /--modes names none/],
        [{ modes: ["random"] }, /sums cannot draw calls at random/],
        [{ strategy: "luck" }, /no strategy "luck"/],
        [{ html: join(root, "no/where.html") }, /no folder .*no/]
      ]
      for (const [asked, what] of wrong) {
        const error = yield* Effect.flip(runComparison({ ...usual, ...asked }))
        assert.instanceOf(error, Stop)
        assert.strictEqual(error.code, 2)
        assert.match(error.what!, what)
      }
      assert.isFalse(existsSync(join(root, "no")))
    })
  )

  it("shows no numbers where there is no engine", async () => {
    const { exitCode, stderr, stdout } = await call("compare", sums, "--model", join(root, "none.gguf"))
    assert.strictEqual(exitCode, 5)
    twoLines(stderr, /none\.gguf/)
    assert.strictEqual(stdout, "")
  })
})
