import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, assert, describe, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { fast } from "../../agents/programs.ts"
import { embeddedModel } from "../../cli/environment.ts"
import { LlamaEngine } from "../../kernel/engine/llama.ts"
import { Journal } from "../../kernel/journal.ts"
import { Kernel, type Spawn } from "../../kernel/kernel.ts"
import type { Process, Stop } from "../../kernel/process.ts"
import { callText } from "../../kernel/prompt.ts"
import { Syscalls } from "../../kernel/syscall.ts"
import { type AnyTool, defineTool } from "../../kernel/tool.ts"
import { Bubblewrap } from "../../sandbox/bubblewrap.ts"
import { Sandbox } from "../../sandbox/sandbox.ts"
import { builtins } from "../../tools/index.ts"

const home = mkdtempSync(join(tmpdir(), "noos-trace-"))
const live = Kernel.layer.pipe(
  Layer.provideMerge(
    Layer.mergeAll(
      Syscalls.layer,
      Bubblewrap.layer,
      LlamaEngine.layer({ modelPath: embeddedModel, sequences: 2, contextSize: 1024 })
    )
  ),
  Layer.provideMerge(Journal.layer(join(home, "journal.db")))
)
afterAll(() => rmSync(home, { recursive: true, force: true }))

/** What was sent, and with which text: it cannot be taken back. */
const sent: Array<string> = []
const send = defineTool({
  name: "post",
  description: "Post a text where everybody can read it.",
  input: {
    type: "object",
    properties: { text: { type: "string" } },
    required: ["text"],
    additionalProperties: false
  },
  effect: "irreversible",
  execute: ({ text }: { readonly text: string }) => {
    sent.push(text)
    return "posted"
  }
})

const countAndSave = "How many lines are in data.csv, then save that number to count.txt."

const start = Effect.fnUntraced(function* (options: Partial<Spawn> = {}) {
  const journal = yield* Journal
  const folder = mkdtempSync(join(home, "ws-"))
  writeFileSync(join(folder, "data.csv"), "a\n".repeat(12))
  const workspace = yield* (yield* Sandbox).open(folder)
  const task = countAndSave
  const run = yield* journal.beginRun({ task, workspace: folder, model: "nano" })
  const tools: ReadonlyArray<AnyTool> = builtins
  const asked = { run, program: fast(0), task, workspace, tools, ...options }
  const pid = yield* (yield* Kernel).spawn(asked)
  return { pid, folder, workspace, run }
})

const traced = (options: Partial<Spawn> = {}) => start({ traced: true, ...options })

const processOf = (pid: number) =>
  Effect.gen(function* () {
    return (yield* (yield* Kernel).processes).find((p) => p.pid === pid) as Process
  })

const question = ["Can this still succeed? yes or no", ["yes", "no"]] as const

/** Lets a process go on to its end; all stops on the way. */
const through = Effect.fnUntraced(function* (
  pid: number,
  each: () => Effect.Effect<unknown, unknown, Kernel>
) {
  const kernel = yield* Kernel
  const stops: Array<Stop> = [yield* kernel.stop(pid)]
  while (stops.at(-1)!.at !== "exit") {
    if (stops.at(-1)!.at === "turn") yield* each()
    stops.push(yield* kernel.advance(pid))
  }
  return stops
})

layer(live, { timeout: "60 seconds", excludeTestServices: true })("a traced process", (it) => {
  describe("alone", () => {
    it.effect("stops before each call and before it is made, and does what it would have done", () =>
      Effect.gen(function* () {
        const { folder, pid } = yield* traced()
        const stops = yield* through(pid, () => Effect.void)
        assert.deepStrictEqual(
          stops.map(({ at }) => at),
          ["turn", "call", "turn", "call", "turn", "call", "exit"]
        )
        const calls = stops.flatMap((stop) => (stop.at === "call" ? [stop.call?.tool] : []))
        assert.deepStrictEqual(calls, ["shell", "fs_write", "exit"])
        const came = stops.flatMap((stop) =>
          stop.at === "turn" && stop.came !== undefined ? [stop.came] : []
        )
        assert.deepStrictEqual(came[0], { ok: true, text: "12" })
        const last = stops.at(-1)!
        assert(last.at === "exit")
        assert.deepInclude(last.exit, { status: "ok", answer: "12" })
        assert.strictEqual(readFileSync(join(folder, "count.txt"), "utf8"), "12")
      })
    )

    it.effect("is the same after it was asked what it thinks of its state", () =>
      Effect.gen(function* () {
        const kernel = yield* Kernel
        const plain = yield* traced()
        const before = yield* through(plain.pid, () => Effect.void)
        const { pid } = yield* traced()
        const values: Array<number> = []
        const ask = Effect.gen(function* () {
          const length = (yield* processOf(pid)).sequence!.length
          const [yes, no] = yield* kernel.weigh(pid, ...question)
          assert.closeTo(yes! + no!, 1, 1e-9)
          values.push(yes!)
          assert.strictEqual((yield* processOf(pid)).sequence!.length, length)
        })
        const stops = yield* through(pid, () => ask)
        assert.strictEqual(values.length, 3)
        const calls = (list: ReadonlyArray<Stop>) => list.flatMap((s) => (s.at === "call" ? [s.text] : []))
        assert.deepStrictEqual(calls(stops), calls(before))
        const end = stops.at(-1)!
        const other = before.at(-1)!
        assert(end.at === "exit" && other.at === "exit")
        assert.strictEqual(other.exit.usage.valueTokens, 0)
        assert.isAbove(end.exit.usage.valueTokens, 3 * 5)
        assert.strictEqual(end.exit.usage.prefillTokens, other.exit.usage.prefillTokens)
        assert.strictEqual(end.exit.usage.generatedTokens, other.exit.usage.generatedTokens)
      })
    )

    it.effect("gives the same weights for the same question, and shares them as a softmax would", () =>
      Effect.gen(function* () {
        const kernel = yield* Kernel
        const { pid } = yield* traced()
        yield* kernel.stop(pid)
        const one = yield* kernel.weigh(pid, ...question)
        assert.deepStrictEqual(yield* kernel.weigh(pid, ...question), one)
        const [yes, no, maybe] = yield* kernel.weigh(pid, question[0], ["yes", "no", "7"])
        assert.closeTo(yes! / (yes! + no!), one[0]!, 1e-4)
        assert.isAbove(maybe!, 0)
        const alike = yield* Effect.flip(kernel.weigh(pid, "Which?", ["yes", "yes"]))
        assert.include(alike.message, "begin alike")
      })
    )

    it.effect("writes what its tracer says instead", () =>
      Effect.gen(function* () {
        const kernel = yield* Kernel
        const { folder, pid } = yield* traced()
        yield* kernel.stop(pid)
        const text = callText("fs_write", { path: "own.txt", text: "mine" })
        const stop = yield* kernel.advance(pid, text)
        assert.deepInclude(stop, { at: "call", text })
        const after = yield* kernel.advance(pid)
        assert(after.at === "turn")
        assert.deepInclude(after.came!, { ok: true })
        assert.strictEqual(readFileSync(join(folder, "own.txt"), "utf8"), "mine")
        const again = yield* kernel.advance(pid)
        const written = yield* Effect.flip(kernel.advance(pid, text))
        assert.strictEqual(again.at, "call")
        assert.include(written.message, "has written its call")
      })
    )

    it.effect("cannot be moved by CONT, and can be ended: by TERM, KILL and its time", () =>
      Effect.gen(function* () {
        const kernel = yield* Kernel
        for (const signal of ["TERM", "KILL"] as const) {
          const { pid } = yield* traced()
          yield* kernel.stop(pid)
          yield* kernel.kill(pid, "CONT")
          yield* kernel.kill(pid, signal)
          assert.deepInclude(yield* kernel.wait(pid), { status: "killed" })
          assert.deepInclude(yield* Effect.flip(kernel.advance(pid)), { code: "not_found" })
        }
        const { pid } = yield* traced({ budget: { seconds: 0.2 } })
        assert.deepInclude(yield* kernel.wait(pid), { status: "budget" })
      })
    )
  })

  describe("with branches", () => {
    it.effect("spends one budget with them, and says all that was used", () =>
      Effect.gen(function* () {
        const kernel = yield* Kernel
        const { pid, workspace } = yield* traced({ budget: { tokens: 400 } })
        yield* kernel.stop(pid)
        const root = yield* processOf(pid)
        const branch = { parent: pid, workspace }
        const ended: Array<string> = []
        for (let seed = 1; seed < 30 && ended.at(-1) !== "budget"; seed++) {
          const child = yield* kernel.fork(pid, { seed, temperature: 1, branch })
          const stop = yield* kernel.advance(child)
          ended.push(stop.at === "exit" ? stop.exit.status : stop.at)
          yield* kernel.discard(child)
        }
        assert.strictEqual(ended.at(-1), "budget")
        assert.isAbove(ended.length, 2)
        const { generatedTokens, prefillTokens } = root.usage
        assert.isAtMost(prefillTokens + generatedTokens, 400)
        assert.isAbove(generatedTokens, 100)
        assert.strictEqual(root.lent.processes, 0)
        assert.strictEqual(root.children.size, 0)
        const exit = yield* kernel.finish(pid, { status: "budget", reason: "all of it" })
        assert.deepInclude(exit, { status: "budget", reason: "all of it" })
      })
    )

    it.effect("is adopted from, and only then reaches past them, once", () =>
      Effect.gen(function* () {
        const kernel = yield* Kernel
        sent.length = 0
        const approved: Array<unknown> = []
        const approve = (_: AnyTool, args: unknown) => Effect.sync(() => approved.push(args) > 0)
        const { pid, workspace } = yield* traced({ tools: [...builtins, send], approve })
        yield* kernel.stop(pid)
        const branch = { parent: pid, workspace }
        const parent = yield* kernel.fork(pid, { seed: 1, branch })
        yield* kernel.advance(parent, callText("post", { text: "hello" }))
        const stop = yield* kernel.advance(parent)
        assert(stop.at === "turn")
        assert.include(stop.came?.text, "pending")
        const child = yield* kernel.fork(parent, { seed: 2, branch })
        const loser = yield* kernel.fork(parent, { seed: 3, branch })
        yield* kernel.advance(loser, callText("post", { text: "never" }))
        yield* kernel.advance(loser)
        yield* kernel.discard(loser)
        yield* kernel.advance(child, callText("exit", { answer: "said" }))
        assert.strictEqual((yield* kernel.advance(child)).at, "exit")
        assert.deepStrictEqual([sent, approved], [[], []])
        const exit = yield* kernel.adopt(pid, child)
        assert.deepInclude(exit, { pid, status: "ok", answer: "said" })
        assert.deepStrictEqual(sent, ["hello"])
        assert.deepStrictEqual(approved, [{ text: "hello" }])
        assert.deepStrictEqual(yield* kernel.wait(pid), exit)
      })
    )

    it.effect("ends as denied if what they left to do is not approved", () =>
      Effect.gen(function* () {
        const kernel = yield* Kernel
        sent.length = 0
        const { pid, workspace } = yield* traced({ tools: [send] })
        yield* kernel.stop(pid)
        const child = yield* kernel.fork(pid, { branch: { parent: pid, workspace } })
        yield* kernel.advance(child, callText("post", { text: "hello" }))
        yield* kernel.advance(child)
        yield* kernel.advance(child, callText("exit", { answer: "said" }))
        yield* kernel.advance(child)
        const exit = yield* kernel.adopt(pid, child)
        assert.strictEqual(exit.status, "denied")
        assert.deepStrictEqual(sent, [])
      })
    )

    it.effect("ends with all of them", () =>
      Effect.gen(function* () {
        const kernel = yield* Kernel
        const { pid, workspace } = yield* traced()
        yield* kernel.stop(pid)
        const branch = { parent: pid, workspace }
        const child = yield* kernel.fork(pid, { seed: 1, branch })
        const grandchild = yield* kernel.fork(child, { seed: 2, branch })
        yield* kernel.kill(pid, "KILL")
        yield* kernel.wait(pid)
        for (const other of [child, grandchild])
          assert.deepInclude(yield* kernel.wait(other), { status: "killed", reason: "its parent ended" })
      })
    )

    it.effect("refuses what would break them", () =>
      Effect.gen(function* () {
        const kernel = yield* Kernel
        const { pid, workspace } = yield* traced()
        yield* kernel.stop(pid)
        const plain = yield* start()
        const branch = { parent: pid, workspace }
        const refused = (effect: Effect.Effect<unknown, { readonly message: string }>) =>
          Effect.map(Effect.flip(effect), ({ message }) => message)
        assert.include(yield* refused(kernel.fork(pid)), "branches are forked from traced processes")
        assert.include(yield* refused(kernel.fork(plain.pid, { branch })), "branches are forked from traced")
        assert.include(yield* refused(kernel.advance(plain.pid)), "no traced process")
        const child = yield* kernel.fork(pid, { branch })
        const foreign = yield* traced()
        yield* kernel.stop(foreign.pid)
        assert.include(
          yield* refused(kernel.fork(child, { branch: { parent: foreign.pid, workspace } })),
          "is no child of"
        )
        assert.include(yield* refused(kernel.adopt(pid, child)), "is no child of")
        yield* kernel.advance(child)
        assert.include(yield* refused(kernel.fork(child, { branch })), "not about to write")
        assert.include(yield* refused(kernel.weigh(child, ...question)), "has written its call")
        for (const one of [pid, foreign.pid]) yield* kernel.finish(one, { status: "failed", reason: "done" })
        yield* kernel.wait(plain.pid)
      })
    )
  })
})
