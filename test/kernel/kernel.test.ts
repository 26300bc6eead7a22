import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, assert, describe, layer } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer } from "effect"
import { fast } from "../../agents/programs.ts"
import { runTask } from "../../agents/task.ts"
import { embeddedModel } from "../../cli/environment.ts"
import { Engine } from "../../kernel/engine/engine.ts"
import { LlamaEngine } from "../../kernel/engine/llama.ts"
import { type KernelEvent, Observer } from "../../kernel/event.ts"
import { Journal } from "../../kernel/journal.ts"
import { Kernel, type Spawn } from "../../kernel/kernel.ts"
import { Syscalls } from "../../kernel/syscall.ts"
import { type AnyTool, defineTool } from "../../kernel/tool.ts"
import { Bubblewrap } from "../../sandbox/bubblewrap.ts"
import { Sandbox } from "../../sandbox/sandbox.ts"
import { builtins } from "../../tools/index.ts"
import { gateOf } from "../fixtures/gate.ts"

// The real engine, the embedded model, the real sandbox and a real journal: nothing here is simulated.
const home = mkdtempSync(join(tmpdir(), "noos-kernel-"))
const events: Array<KernelEvent> = []
const live = Kernel.layer.pipe(
  Layer.provideMerge(
    Layer.mergeAll(
      Syscalls.layer,
      Bubblewrap.layer,
      LlamaEngine.layer({ modelPath: embeddedModel, sequences: 2, contextSize: 1024 })
    )
  ),
  Layer.provideMerge(Journal.layer(join(home, "journal.db"))),
  Layer.provide(Layer.succeed(Observer, (e: KernelEvent) => void events.push(e)))
)
afterAll(() => rmSync(home, { recursive: true, force: true }))

/** A process in a fresh folder that holds a file of twelve lines. */
const start = Effect.fnUntraced(function* (task: string, options: Partial<Spawn> = {}) {
  const kernel = yield* Kernel
  const journal = yield* Journal
  const folder = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(home, "ws-"))),
    (f) => Effect.sync(() => rmSync(f, { recursive: true, force: true }))
  )
  writeFileSync(join(folder, "data.csv"), "a\n".repeat(12))
  const workspace = yield* (yield* Sandbox).open(folder)
  const run = yield* journal.beginRun({ task, workspace: folder, model: "nano" })
  const pid = yield* kernel.spawn({ run, program: fast(0), task, workspace, tools: builtins, ...options })
  return { pid, run, folder }
})

const countAndSave = "How many lines are in data.csv, then save that number to count.txt."

const gate = () =>
  gateOf(
    {
      name: "restart_service",
      description: "Restart a service.",
      input: {
        type: "object",
        properties: { service: { type: "string" } },
        required: ["service"],
        additionalProperties: false
      },
      effect: "reversible"
    },
    "ok"
  )

layer(live, { timeout: "60 seconds", excludeTestServices: true })("kernel", (it) => {
  describe("a process", () => {
    it.effect("does a task of several calls, and the journal has every step of it", () =>
      Effect.gen(function* () {
        const { pid, run, folder } = yield* start(countAndSave)
        const exit = yield* (yield* Kernel).wait(pid)
        assert.deepInclude(exit, { status: "ok", answer: "12" })
        assert.strictEqual(readFileSync(join(folder, "count.txt"), "utf8"), "12")
        assert.deepStrictEqual(yield* (yield* Kernel).wait(pid), exit)

        const journal = yield* Journal
        const calls = yield* journal.calls({ run })
        assert.deepStrictEqual(
          calls.map((c) => [c.tool, c.ok]),
          [
            ["shell", true],
            ["fs_write", true],
            ["exit", true]
          ]
        )
        const pages = yield* journal.pages(pid)
        assert.deepStrictEqual(
          pages.map((p) => p.role),
          ["system", "task", "call", "result", "call", "result", "call"]
        )
        const [process] = yield* journal.processes(run)
        assert.deepInclude(process!, { state: "zombie", status: "ok" })
        const states = (yield* journal.events(run)).filter((e) => e.kind === "state")
        assert.isAtLeast(states.length, 8)
      })
    )

    it.effect("counts its tokens: read once, cached afterwards", () =>
      Effect.gen(function* () {
        const { pid, run } = yield* start(countAndSave)
        const { usage } = yield* (yield* Kernel).wait(pid)
        const pages = yield* (yield* Journal).pages(pid)
        // The system page was read by the first process of this program, for all.
        const inPages = pages.filter((p) => p.role !== "system").reduce((n, p) => n + p.tokens, 0)
        assert.strictEqual(usage.syscalls, (yield* (yield* Journal).calls({ run })).length)
        // Besides its pages a context has the template's own tokens around each turn.
        assert.isAtLeast(usage.prefillTokens + usage.generatedTokens, inPages)
        assert.isAtMost(usage.prefillTokens + usage.generatedTokens, inPages + 4 * usage.syscalls)
        assert.isAbove(usage.cachedTokens, usage.prefillTokens)
      })
    )

    it.effect("shares the engine with others, more of them than it has sequences", () =>
      Effect.gen(function* () {
        const kernel = yield* Kernel
        const started = yield* Effect.forEach(Array.from({ length: 6 }), () => start(countAndSave))
        const exits = yield* Effect.forEach(started, ({ pid }) => kernel.wait(pid), {
          concurrency: "unbounded"
        })
        for (const [i, exit] of exits.entries()) {
          assert.deepInclude(exit, { status: "ok", answer: "12" })
          assert.strictEqual(readFileSync(join(started[i]!.folder, "count.txt"), "utf8"), "12")
        }
      })
    )

    it.effect("goes on while another waits in a call", () =>
      Effect.gen(function* () {
        const kernel = yield* Kernel
        const { tool, entered, open } = yield* gate()
        const waiting = yield* start("Restart the service atlas.", { tools: [...builtins, tool] })
        yield* Deferred.await(entered)
        const other = yield* start(countAndSave)
        assert.strictEqual((yield* kernel.wait(other.pid)).answer, "12")
        yield* Deferred.succeed(open, undefined)
        assert.strictEqual((yield* kernel.wait(waiting.pid)).status, "ok")
      })
    )

    it.effect("reads an error of a call and reports it", () =>
      Effect.gen(function* () {
        const { pid } = yield* start("Show the content of ghost.txt.")
        const exit = yield* (yield* Kernel).wait(pid)
        assert.strictEqual(exit.status, "failed")
        assert.match(String(exit.answer), /ghost\.txt/)
      })
    )
  })

  describe("limits", () => {
    it.effect("a budget of tokens, calls or seconds ends it with status budget", () =>
      Effect.gen(function* () {
        const kernel = yield* Kernel
        const { tool } = yield* gate()
        const tokens = yield* start(countAndSave, { budget: { tokens: 60 } })
        const calls = yield* start(countAndSave, { budget: { syscalls: 1 } })
        const seconds = yield* start("Restart the service atlas.", {
          tools: [...builtins, tool],
          budget: { seconds: 0.5 }
        })
        const byTokens = yield* kernel.wait(tokens.pid)
        assert.strictEqual(byTokens.status, "budget")
        assert.isAtMost(byTokens.usage.prefillTokens + byTokens.usage.generatedTokens, 60)
        const byCalls = yield* kernel.wait(calls.pid)
        assert.deepInclude(byCalls, { status: "budget", reason: "more than 1 syscalls" })
        assert.strictEqual((yield* (yield* Journal).calls({ run: calls.run })).length, 1)
        const bySeconds = yield* kernel.wait(seconds.pid).pipe(Effect.forkChild)
        assert.strictEqual((yield* Fiber.join(bySeconds)).status, "budget")
      })
    )

    it.effect("a task that leaves no room in the window is refused before anything is done", () =>
      Effect.gen(function* () {
        const refused = yield* start(`Write "${"word ".repeat(1200)}" to a.txt.`).pipe(Effect.flip)
        assert.match(refused.message, /^the task and the tools take \d+ tokens of a window of 102\d: shorten/)
      })
    )

    it.effect("of a long result the model sees both ends, and the journal keeps it whole", () =>
      Effect.gen(function* () {
        // So long that counting its tokens would take minutes.
        const long = `start ${"é漢😀 ".repeat(300_000)}end`
        const tool = defineTool({
          name: "get_title",
          description: "Get the title of a web page.",
          input: {
            type: "object",
            properties: { url: { type: "string" } },
            required: ["url"],
            additionalProperties: false
          },
          effect: "pure",
          execute: () => Effect.succeed(long)
        })
        const { pid, run } = yield* start("What is the title of http://atlas.org?", {
          tools: [...builtins, tool],
          budget: { syscalls: 1 }
        })
        const kernel = yield* Kernel
        const [process] = yield* kernel.processes
        yield* kernel.wait(pid)
        const journal = yield* Journal
        assert.strictEqual((yield* journal.calls({ run }))[0]!.result, long)
        const page = (yield* journal.pages(pid)).find((p) => p.role === "result")!
        assert.isTrue(page.text === `result: ${long}`)
        const seen = (yield* Engine).detokenize(process!.context.frames.at(-1)!.tokens)
        const notice = `[page 4 is longer, ${page.text.length} characters: recall reads it in parts]`
        assert.include(seen, "result: start é漢😀")
        assert.isTrue(seen.includes(notice) && seen.endsWith("end"))
        assert.isBelow(page.tokens, 300)
      })
    )
  })

  describe("kill", () => {
    it.effect("ends a process in a call, and the call with it", () =>
      Effect.gen(function* () {
        const kernel = yield* Kernel
        const { tool, entered, seen } = yield* gate()
        const { pid, run } = yield* start("Restart the service atlas.", { tools: [...builtins, tool] })
        yield* Deferred.await(entered)
        yield* kernel.kill(pid, "KILL")
        assert.deepInclude(yield* kernel.wait(pid), { status: "killed", answer: null })
        assert.deepInclude(yield* Effect.flip(kernel.kill(pid, "KILL")), { code: "not_found" })
        yield* Effect.yieldNow
        const [call] = yield* (yield* Journal).calls({ run })
        assert.isTrue(seen.cancelled)
        assert.deepInclude(call!, { tool: "restart_service", ok: false })
      })
    )

    it.effect("an interrupted process is stopped in the journal, with its context, to be resumed", () =>
      Effect.gen(function* () {
        const kernel = yield* Kernel
        const { tool, entered } = yield* gate()
        const { pid, run } = yield* start(`How many lines are in data.csv, then restart the service atlas.`, {
          tools: [...builtins, tool]
        })
        yield* Deferred.await(entered)
        yield* kernel.kill(pid, "INT")
        yield* kernel.wait(pid)
        const journal = yield* Journal
        const [process] = yield* journal.processes(run)
        assert.strictEqual(process!.state, "stopped")
        assert.deepStrictEqual(
          (yield* journal.pages(pid)).map((p) => p.role),
          ["system", "task", "call", "result", "call"]
        )
      })
    )

    it.effect("a pid that never was is a typed error", () =>
      Effect.gen(function* () {
        const kernel = yield* Kernel
        for (const wrong of [kernel.wait(999_999), kernel.kill(999_999, "TERM")]) {
          const error = yield* Effect.flip(wrong)
          assert.deepInclude(error, { _tag: "ToolError", code: "not_found" })
        }
      })
    )
  })

  describe("spawn", () => {
    it.effect("refuses an empty task, two tools of one name, and a budget that is no limit", () =>
      Effect.gen(function* () {
        const { tool } = yield* gate()
        const wrong: ReadonlyArray<readonly [string, Partial<Spawn>]> = [
          [" ", {}],
          ["x", { tools: [tool, tool] }],
          ["x", { tools: [...builtins, { ...tool, name: "shell" }] }],
          ["x", { budget: { tokens: Number.NaN } }],
          ["x", { budget: { seconds: -1 } }]
        ]
        for (const [task, options] of wrong)
          assert.deepInclude(yield* Effect.flip(start(task, options)), {
            _tag: "ToolError",
            code: "bad_input"
          })
      })
    )

    it.effect("interrupted at any moment, leaves no process behind that could still act", () =>
      Effect.gen(function* () {
        const kernel = yield* Kernel
        const journal = yield* Journal
        const folder = mkdtempSync(join(home, "ws-"))
        for (let turns = 0; turns < 60; turns += 3) {
          const options = { task: "List the files.", folder, program: fast(0), tools: builtins }
          const fiber = yield* runTask(options).pipe(Effect.forkChild)
          for (let i = 0; i < turns; i++) yield* Effect.yieldNow
          yield* Fiber.interrupt(fiber)
        }
        const alive = (yield* kernel.processes).filter((p) =>
          ["ready", "running", "blocked"].includes(p.state)
        )
        assert.deepStrictEqual(
          alive.filter((p) => p.task === "List the files."),
          []
        )
        const open = (yield* journal.runs()).filter((r) => r.task === "List the files." && r.status === null)
        assert.deepStrictEqual(open, [])
      })
    )

    it.effect("refuses tools that cannot be served", () =>
      Effect.gen(function* () {
        const bad = (input: AnyTool["input"], name = "bad"): AnyTool =>
          defineTool({
            name,
            description: "",
            input,
            effect: "pure",
            execute: () => Effect.succeed("")
          })
        for (const tools of [
          [bad({ type: "object" }, "exit")],
          [bad({ type: "nonsense" })],
          [bad({ $ref: "#/$defs/nowhere" })],
          [bad({ type: "string" })]
        ]) {
          const error = yield* Effect.flip(start("x", { tools }))
          assert.deepInclude(error, { _tag: "ToolError", code: "bad_input" })
        }
      })
    )
  })
})
