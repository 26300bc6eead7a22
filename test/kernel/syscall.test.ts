import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, assert, describe, layer } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer } from "effect"
import { exit } from "../../kernel/calls.ts"
import { makeHandles } from "../../kernel/handles.ts"
import { Journal } from "../../kernel/journal.ts"
import { type Caller, type Outcome, Syscalls } from "../../kernel/syscall.ts"
import { type AnyTool, defineTool, ToolError } from "../../kernel/tool.ts"
import { Bubblewrap } from "../../sandbox/bubblewrap.ts"
import { Sandbox } from "../../sandbox/sandbox.ts"

const folder = mkdtempSync(join(tmpdir(), "noos-syscall-"))
const live = Layer.mergeAll(Syscalls.layer, Bubblewrap.layer).pipe(
  Layer.provideMerge(Journal.layer(join(folder, "journal.db")))
)

const input = {
  type: "object",
  properties: { text: { type: "string", maxLength: 10 }, mode: { enum: ["a", "b"] } },
  required: ["text"],
  additionalProperties: false
}
const tool = (name: string, execute: AnyTool["execute"], effect: AnyTool["effect"] = "pure"): AnyTool =>
  defineTool({ name, description: "For tests.", input, effect, execute })

const echo = tool("echo", ({ text }: { text: string }) => Effect.succeed(text))

const callerFor = Effect.fnUntraced(function* (tools: ReadonlyArray<AnyTool>, yes = false) {
  const journal = yield* Journal
  const sandbox = yield* Sandbox
  const run = yield* journal.beginRun({ task: "test", workspace: folder, model: "none" })
  const pid = yield* journal.spawn({ run, program: "test" })
  const caller: Caller = {
    pid,
    tools,
    workspace: yield* sandbox.open(folder),
    approve: () => Effect.succeed(yes),
    progress: () => Effect.void,
    handles: makeHandles(yield* Effect.scope)
  }
  return { run, pid, caller }
})

const codeOf = (o: Outcome) => (o.ok ? "ok" : o.error.code)

layer(live)("syscall", (it) => {
  describe("dispatch", () => {
    it.effect("runs a call and journals both halves, with the result", () =>
      Effect.gen(function* () {
        const { caller, pid } = yield* callerFor([echo])
        const outcome = yield* (yield* Syscalls).dispatch(caller, { tool: "echo", args: { text: "hi" } })
        assert.deepInclude(outcome, { ok: true, result: "hi", text: "hi" })
        const calls = yield* (yield* Journal).calls({ pid })
        assert.strictEqual(calls.length, 1)
        assert.strictEqual(calls[0]!.id, outcome.id)
        assert.deepStrictEqual(calls[0]!.args, { text: "hi" })
        assert.strictEqual(calls[0]!.ok, true)
        assert.isNotNull(calls[0]!.ended)
      })
    )

    it.effect("refuses what is wrong before anything runs, and says what is wrong", () =>
      Effect.gen(function* () {
        let ran = 0
        const counter = tool("counter", () => Effect.sync(() => ++ran))
        const { caller, pid } = yield* callerFor([counter])
        let deep: unknown = "x"
        for (let i = 0; i < 100; i++) deep = [deep]
        const wrong: ReadonlyArray<readonly [string, unknown, RegExp]> = [
          ["nothing", {}, /no such tool: nothing/],
          ["__proto__", {}, /no such tool/],
          ["x".repeat(5000), {}, /no such tool/],
          ["counter", null, /must be object/],
          ["counter", [], /must be object/],
          ["counter", "text", /must be object/],
          ["counter", {}, /required property 'text'/],
          ["counter", { text: 3 }, /text must be string/],
          ["counter", { text: "x".repeat(11) }, /more than 10/],
          ["counter", { text: "a", mode: "c" }, /mode must be equal.*\["a","b"\]/],
          ["counter", { text: "a", extra: 1 }, /additional properties: extra/],
          ["counter", { text: deep }, /nested deeper/],
          ["counter", { text: "x".repeat(2_000_000) }, /bytes, at most/]
        ]
        for (const [name, args, says] of wrong) {
          const outcome = yield* (yield* Syscalls).dispatch(caller, { tool: name, args })
          assert.strictEqual(codeOf(outcome), "bad_input", name)
          assert.match(outcome.text, says)
          assert.isBelow(outcome.text.length, 400)
        }
        assert.strictEqual(ran, 0)
        assert.deepStrictEqual(yield* (yield* Journal).calls({ pid }), [])
      })
    )

    it.effect("turns a tool's failure, throw, rejection and nonsense result into that call's own error", () =>
      Effect.gen(function* () {
        const cycle: Record<string, unknown> = {}
        cycle.self = cycle
        const { caller, pid } = yield* callerFor([
          tool("fails", () => Effect.fail(new ToolError({ code: "not_found", message: "no such thing" }))),
          tool("throws", () => {
            throw new Error("boom\nstack")
          }),
          tool("dies", () => Effect.die("dead")),
          tool("rejects", () => Effect.promise(() => Promise.reject(new Error("later")))),
          // What somebody writes who does not know Effect.
          tool("promises", (async () => "x") as unknown as AnyTool["execute"]),
          tool("cycle", () => Effect.succeed(cycle)),
          tool("bigint", () => Effect.succeed(10n))
        ])
        const outcomes: Record<string, Outcome> = {}
        for (const { name } of caller.tools)
          outcomes[name] = yield* (yield* Syscalls).dispatch(caller, { tool: name, args: { text: "" } })
        assert.strictEqual(codeOf(outcomes.fails!), "not_found")
        assert.strictEqual(outcomes.throws!.text, "throws crashed: boom")
        assert.strictEqual(outcomes.dies!.text, "dies crashed: dead")
        assert.strictEqual(outcomes.rejects!.text, "rejects crashed: later")
        assert.strictEqual(outcomes.promises!.text, "x")
        for (const name of ["cycle", "bigint"]) {
          assert.strictEqual(codeOf(outcomes[name]!), "failed", name)
          assert.match(outcomes[name]!.text, /not plain data/)
        }
        const calls = yield* (yield* Journal).calls({ pid })
        assert.deepStrictEqual(
          calls.map((c) => [c.tool, c.ok]),
          caller.tools.map((t) => [t.name, t.name === "promises"])
        )
      })
    )

    it.effect("asks before an irreversible call and denies it when nobody says yes", () =>
      Effect.gen(function* () {
        let sent = 0
        const send = tool("send", () => Effect.sync(() => ++sent), "irreversible")
        const no = yield* callerFor([send])
        const denied = yield* (yield* Syscalls).dispatch(no.caller, { tool: "send", args: { text: "" } })
        assert.strictEqual(codeOf(denied), "denied")
        assert.strictEqual(sent, 0)
        const broken = yield* (yield* Syscalls).dispatch(
          { ...no.caller, approve: () => Effect.die("the prompt broke") },
          { tool: "send", args: { text: "" } }
        )
        assert.strictEqual(codeOf(broken), "denied")
        assert.strictEqual(sent, 0)
        const yes = yield* callerFor([send], true)
        const allowed = yield* (yield* Syscalls).dispatch(yes.caller, { tool: "send", args: { text: "" } })
        assert.strictEqual(codeOf(allowed), "ok")
        assert.strictEqual(sent, 1)
      })
    )

    it.effect("journals a cancelled call as cancelled, once", () =>
      Effect.gen(function* () {
        const started = yield* Deferred.make<void>()
        let released = false
        const slow = tool("slow", () =>
          Deferred.succeed(started, undefined).pipe(
            Effect.andThen(Effect.never),
            Effect.ensuring(Effect.sync(() => (released = true)))
          )
        )
        const { caller, pid } = yield* callerFor([slow])
        const fiber = yield* (yield* Syscalls)
          .dispatch(caller, { tool: "slow", args: { text: "" } })
          .pipe(Effect.forkChild)
        yield* Deferred.await(started)
        yield* Fiber.interrupt(fiber)
        assert.isTrue(released)
        const calls = yield* (yield* Journal).calls({ pid })
        assert.deepStrictEqual(
          calls.map((c) => c.ok),
          [false]
        )
        assert.deepInclude(calls[0]!.error as object, { message: "cancelled" })
      })
    )

    it.effect("serves exit like any other call", () =>
      Effect.gen(function* () {
        const { caller } = yield* callerFor([exit])
        const outcome = yield* (yield* Syscalls).dispatch(caller, { tool: "exit", args: { answer: "42" } })
        assert.deepInclude(outcome, { ok: true, result: "42" })
      })
    )
  })
})

afterAll(() => rmSync(folder, { recursive: true, force: true }))
