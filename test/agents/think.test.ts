import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, assert, describe, layer } from "@effect/vitest"
import { Effect, Fiber, Layer } from "effect"
import type { Known } from "../../agents/branches.ts"
import { fast } from "../../agents/programs.ts"
import { runTasks, type Task } from "../../agents/task.ts"
import { driver, type Mode, type Pondered, think, usualStrategy } from "../../agents/think.ts"
import { embeddedModel } from "../../cli/environment.ts"
import { LlamaEngine } from "../../kernel/engine/llama.ts"
import { type KernelEvent, Observer } from "../../kernel/event.ts"
import { Journal } from "../../kernel/journal.ts"
import { Kernel } from "../../kernel/kernel.ts"
import { strategyNamed } from "../../kernel/search/named.ts"
import { Syscalls } from "../../kernel/syscall.ts"
import { Bubblewrap } from "../../sandbox/bubblewrap.ts"
import { Sandbox } from "../../sandbox/sandbox.ts"
import { checkOf } from "../../suites/check.ts"
import { puzzleItem } from "../../suites/combine.ts"
import { builtins } from "../../tools/index.ts"

// The embedded model, the real engine, sandbox, branches and journal.
const home = mkdtempSync(join(tmpdir(), "noos-think-"))
const events: Array<KernelEvent> = []
const live = Kernel.layer.pipe(
  Layer.provideMerge(
    Layer.mergeAll(
      Syscalls.layer,
      Bubblewrap.layer,
      LlamaEngine.layer({ modelPath: embeddedModel, sequences: 4, contextSize: 1024 })
    )
  ),
  Layer.provideMerge(Journal.layer(join(home, "journal.db"))),
  Layer.provideMerge(Layer.succeed(Observer, (e: KernelEvent) => void events.push(e)))
)
afterAll(() => rmSync(home, { recursive: true, force: true }))

const countAndSave = "How many lines are in data.csv, then save that number to count.txt."

const folderOf = () => {
  const folder = mkdtempSync(join(home, "ws-"))
  writeFileSync(join(folder, "data.csv"), "a\n".repeat(12))
  return folder
}

/** A task thought about in one way, as the command line does it. */
const start = Effect.fnUntraced(function* (
  mode: Exclude<Mode, "fast">,
  known: Known,
  more: { readonly nodes?: number; readonly confidence?: number } & Partial<Task> = {}
) {
  const { nodes = 24, confidence, ...options } = more
  const folder = folderOf()
  const workspace = yield* (yield* Sandbox).open(folder)
  const strategy = yield* strategyNamed(usualStrategy)
  const told: Array<Pondered> = []
  const sure = confidence === undefined ? {} : { confidence }
  const manner = { seed: 1, strategy, budget: { nodes }, known, ...sure }
  const drive = driver(mode, manner, workspace, (what) => void told.push(what))
  const task = { task: countAndSave, program: fast(0), workspace, tools: builtins, drive, ...options }
  const run = Effect.map(runTasks([task]), ([exit]) => ({ exit: exit!, told, folder }))
  return { run, folder, workspace }
})

const done = Effect.fnUntraced(function* (...args: Parameters<typeof start>) {
  return yield* (yield* start(...args)).run
})

const rightCount = checkOf({ command: '[ "$(cat count.txt)" = 12 ]' })
const never: Known["verify"] = () => Effect.succeed(false)

/** Processes that are left in the table. */
const alive = Effect.gen(function* () {
  return (yield* (yield* Kernel).processes).filter((p) => p.state !== "zombie").length
})

layer(live, { timeout: "90 seconds", excludeTestServices: true })("thinking", (it) => {
  describe("slowly", () => {
    it.effect("keeps what the best branch did, and nothing of the others", () =>
      Effect.gen(function* () {
        events.length = 0
        const { exit, folder, told } = yield* done("slow", { verify: rightCount })
        assert.deepInclude(exit, { status: "ok" })
        assert.strictEqual(readFileSync(join(folder, "count.txt"), "utf8").trim(), "12")
        assert.deepStrictEqual(readdirSync(folder).sort(), ["count.txt", "data.csv"])
        const [{ calls, changes, tree }] = told as [Pondered]
        assert.deepStrictEqual(
          changes.map(({ kind, path }) => [kind, path]),
          [["added", "count.txt"]]
        )
        assert.strictEqual(calls.at(-1)?.tool, "exit")
        assert.strictEqual(tree.chosen.length, calls.length + 1)
        assert.strictEqual(yield* alive, 0)
        const tried = events.filter((e) => e.type === "tried")
        assert.strictEqual(tried.length, tree.nodes.filter((n) => n.value !== undefined).length)
        // All that the branches used is the family's.
        assert.isAbove(exit.usage.generatedTokens, 0)
        assert.isAbove(exit.usage.valueTokens, 0)
        assert.isAbove(exit.usage.cachedTokens, exit.usage.prefillTokens)
      })
    )

    it.effect("leaves the folder alone when nothing passes the check", () =>
      Effect.gen(function* () {
        const { exit, folder } = yield* done("slow", { verify: never }, { nodes: 12 })
        assert.include(["failed", "budget"], exit.status)
        assert.isNull(exit.answer)
        assert.deepStrictEqual(readdirSync(folder), ["data.csv"])
        assert.strictEqual(yield* alive, 0)
      })
    )

    it.effect("does not let the verifier's own traces into the folder", () =>
      Effect.gen(function* () {
        const command = 'touch traces; [ "$(cat count.txt)" = 12 ]'
        const { exit, folder } = yield* done("slow", { verify: checkOf({ command }) })
        assert.strictEqual(exit.status, "ok")
        assert.deepStrictEqual(readdirSync(folder).sort(), ["count.txt", "data.csv"])
      })
    )

    it.effect("refuses to overwrite what somebody else changed meanwhile", () =>
      Effect.gen(function* () {
        let other = ""
        const meddle = Effect.sync(() => writeFileSync(other, "changed\n"))
        const { folder, run } = yield* start("slow", { verify: (end) => Effect.tap(rightCount(end), meddle) })
        other = join(folder, "data.csv")
        const { exit } = yield* run
        assert.strictEqual(exit.status, "failed")
        assert.include(exit.reason, "data.csv")
        assert.deepStrictEqual(readdirSync(folder), ["data.csv"])
      })
    )

    it.effect("can be stopped at any time, and then has done nothing", () =>
      Effect.gen(function* () {
        const { folder, run } = yield* start("slow", { verify: never }, { nodes: 500 })
        events.length = 0
        const fiber = yield* Effect.forkChild(run)
        const kernel = yield* Kernel
        while (!events.some((e) => e.type === "tried")) yield* Effect.sleep(5)
        const root = events.find((e) => e.type === "tried")!
        yield* kernel.kill((root as { readonly pid: number }).pid, "TERM")
        const { exit } = yield* Fiber.join(fiber)
        assert.deepInclude(exit, { status: "killed" })
        assert.deepStrictEqual(readdirSync(folder), ["data.csv"])
        assert.strictEqual(yield* alive, 0)
      })
    )
  })

  describe("automatically", () => {
    it.effect("keeps a fast answer that passes the check", () =>
      Effect.gen(function* () {
        const { exit, folder, told } = yield* done("auto", { verify: rightCount })
        assert.deepInclude(exit, { status: "ok", answer: "12" })
        assert.isUndefined(told[0]?.escalated)
        assert.strictEqual(exit.usage.valueTokens, 0)
        assert.strictEqual(readFileSync(join(folder, "count.txt"), "utf8"), "12")
      })
    )

    it.effect("says why it went on slowly: a failed check, or too little confidence", () =>
      Effect.gen(function* () {
        let asked = 0
        const second: Known["verify"] = (end) => Effect.map(rightCount(end), (right) => right && ++asked > 1)
        const checked = yield* done("auto", { verify: second })
        assert.strictEqual(checked.exit.status, "ok")
        assert.strictEqual(checked.told[0]?.escalated, "its fast answer failed the check")
        const unsure = yield* done("auto", {}, { confidence: 1.1, nodes: 6 })
        assert.match(unsure.told[0]!.escalated!, /not sure of its fast answer: \d\.\d\d, below 1\.10/)
      })
    )
  })

  describe("about an item of a suite", () => {
    const item = puzzleItem("small", { numbers: [2, 3, 4], target: 24 })
    const attempt = Effect.fnUntraced(function* (mode: Mode, tokens = 4000) {
      const workspace = yield* (yield* Sandbox).open(folderOf())
      const strategy = yield* strategyNamed("dfs:4x8@0")
      const tools = item.tools ?? []
      return yield* think({ mode, item, tools, workspace, seed: 3, tokens, strategy })
    })

    it.effect("at random: the search alone finds what is easy to find", () =>
      Effect.gen(function* () {
        const { answer, status, tree, usage } = yield* attempt("random")
        assert.deepInclude({ status }, { status: "ok" })
        assert.isTrue(yield* item.check({ answer, calls: [], workspace: undefined as never }))
        assert.strictEqual(usage.generatedTokens, 0)
        assert.strictEqual(usage.valueTokens, 0)
        assert.strictEqual(tree!.nodes.find((n) => n.id === tree!.chosen.at(-1))?.state, "terminal")
      })
    )

    it.effect("the same at random with the same seed", () =>
      Effect.gen(function* () {
        const [one, other] = [yield* attempt("random"), yield* attempt("random")]
        assert.deepStrictEqual(one.tree, other.tree)
      })
    )

    it.effect("never spends more than it may, by more than what is under way", () =>
      Effect.gen(function* () {
        for (const mode of ["best-of-n", "self-consistency", "slow"] as const) {
          const { usage } = yield* attempt(mode, 300)
          const spent = usage.prefillTokens + usage.generatedTokens + usage.valueTokens
          assert.isAtMost(spent, 300 + 1024)
        }
      })
    )
  })
})
