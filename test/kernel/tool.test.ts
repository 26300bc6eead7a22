import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, assert, describe, it, layer } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Layer, Schema, Scope } from "effect"
import { z } from "zod"
import { callGrammar } from "../../kernel/engine/gbnf.ts"
import { makeHandles } from "../../kernel/handles.ts"
import { Journal } from "../../kernel/journal.ts"
import { type Caller, Syscalls } from "../../kernel/syscall.ts"
import { type AnyTool, badInput, defineTool, type PastCall, Rendered, ToolError } from "../../kernel/tool.ts"
import { Bubblewrap } from "../../sandbox/bubblewrap.ts"
import { Sandbox } from "../../sandbox/sandbox.ts"

const home = mkdtempSync(join(tmpdir(), "noos-tool-"))
afterAll(() => rmSync(home, { recursive: true, force: true }))
const live = Layer.mergeAll(Syscalls.layer, Bubblewrap.layer).pipe(
  Layer.provideMerge(Journal.layer(join(home, "journal.db")))
)

const open = Effect.fnUntraced(function* (tools: ReadonlyArray<AnyTool>) {
  const journal = yield* Journal
  const run = yield* journal.beginRun({ task: "test", workspace: home, model: "none" })
  const caller: Caller = {
    pid: yield* journal.spawn({ run, program: "test" }),
    tools,
    workspace: yield* (yield* Sandbox).open(mkdtempSync(join(home, "ws-"))),
    approve: () => Effect.succeed(false),
    progress: () => Effect.void,
    handles: makeHandles(yield* Effect.scope)
  }
  const { dispatch } = yield* Syscalls
  return { caller, call: (tool: string, args: unknown) => dispatch(caller, { tool, args }) }
})

const card = { description: "For tests.", effect: "pure" } as const
const anything = { type: "object" } as const

describe("library schemas", () => {
  const zod = defineTool({
    ...card,
    name: "zod",
    input: z.object({ city: z.string().min(2), days: z.int().min(1).max(9).default(3) }),
    output: z.object({ text: z.string() }),
    execute: ({ city, days }) => ({ text: `${city} ${days.toFixed(1)}` })
  })
  const effect = defineTool({
    ...card,
    name: "effect",
    input: Schema.Struct({
      at: Schema.DateFromString,
      n: Schema.optionalKey(Schema.Int)
    }),
    execute: ({ at, n = 7 }) => `${at.getUTCFullYear()} ${n}`
  })

  it("become JSON Schema that the model's grammar can be made of", () => {
    assert.deepStrictEqual(zod.input, {
      type: "object",
      properties: {
        city: { type: "string", minLength: 2 },
        days: { type: "integer", minimum: 1, maximum: 9, default: 3 }
      },
      required: ["city"],
      additionalProperties: false
    })
    assert.strictEqual(effect.input.additionalProperties, false)
    assert.isAbove(callGrammar([zod, effect]).length, 100)
  })

  it("that cannot say their JSON Schema are refused when the tool is declared", () => {
    const mute = { "~standard": { version: 1, vendor: "mute", validate: (value: unknown) => ({ value }) } }
    assert.throws(
      () => defineTool({ ...card, name: "mute", input: mute, execute: () => "" }),
      "a schema of mute cannot say its JSON Schema: use a newer mute, or JSON Schema"
    )
  })

  layer(live)((it) => {
    it.effect("give what they make of the arguments, and refuse what they do not take", () =>
      Effect.gen(function* () {
        const { call } = yield* open([zod, effect])
        assert.strictEqual((yield* call("zod", { city: "Oslo" })).text, '{"text":"Oslo 3.0"}')
        assert.strictEqual((yield* call("zod", { city: "Oslo", days: 9 })).text, '{"text":"Oslo 9.0"}')
        for (const args of [{ city: "O" }, { city: "Oslo", days: 10 }, { city: "Oslo", more: 1 }, {}, []]) {
          const { error } = (yield* call("zod", args)) as { readonly error?: { readonly code: string } }
          assert.strictEqual(error?.code, "bad_input", JSON.stringify(args))
        }
        assert.strictEqual((yield* call("effect", { at: "1969-07-20" })).text, "1969 7")
        const never = yield* call("effect", { at: "no date", n: 1 })
        assert.match(never.text, /^bad arguments: at /)
      })
    )
  })
})

layer(live)("a call", (it) => {
  it.effect("may give an effect, a promise or a value, and fail by a ToolError in each way", () =>
    Effect.gen(function* () {
      const tool = (name: string, execute: (args: object) => unknown) =>
        defineTool({ ...card, name, input: anything, execute: execute as () => string })
      const { call } = yield* open([
        tool("value", () => "v"),
        tool("promise", async () => "p"),
        tool("effect", () => Effect.succeed("e")),
        tool("throws", () => {
          throw new ToolError({ code: "not_found", message: "gone" })
        }),
        tool("rejects", async () => {
          throw new ToolError({ code: "exists", message: "there" })
        }),
        tool("fails", () => badInput("bad"))
      ])
      const outcomes: Array<unknown> = []
      for (const name of ["value", "promise", "effect", "throws", "rejects", "fails"]) {
        const outcome = yield* call(name, {})
        outcomes.push(outcome.ok ? outcome.text : outcome.error)
      }
      assert.deepStrictEqual(outcomes, [
        "v",
        "p",
        "e",
        { code: "not_found", message: "gone" },
        { code: "exists", message: "there" },
        { code: "bad_input", message: "bad" }
      ])
    })
  )

  it.effect("that is cancelled aborts the signal of its promise", () =>
    Effect.gen(function* () {
      const started = yield* Deferred.make<void>()
      const aborted = yield* Deferred.make<void>()
      const slow = defineTool({
        ...card,
        name: "slow",
        input: anything,
        execute: (_: object, { signal }) =>
          new Promise<string>(() => {
            signal.addEventListener("abort", () => Deferred.doneUnsafe(aborted, Effect.void))
            Deferred.doneUnsafe(started, Effect.void)
          })
      })
      const { call } = yield* open([slow])
      const running = yield* Effect.forkChild(call("slow", {}))
      yield* Deferred.await(started)
      yield* Fiber.interrupt(running)
      yield* Deferred.await(aborted)
    })
  )

  it.effect("whose result does not fit the tool's own output schema is that call's error", () =>
    Effect.gen(function* () {
      const output = {
        type: "object",
        properties: { n: { type: "integer" } },
        required: ["n"],
        additionalProperties: false
      }
      const echo = defineTool({
        ...card,
        name: "echo",
        input: anything,
        output,
        execute: (args: object) => args
      })
      const { call } = yield* open([echo])
      assert.isTrue((yield* call("echo", { n: 1 })).ok)
      const wrong = yield* call("echo", { n: "1" })
      assert.strictEqual(wrong.text, "echo: its result does not fit its output schema: n must be integer")
    })
  )

  it.effect("shows the model what toModel says, and gives the caller all of it", () =>
    Effect.gen(function* () {
      const rows = Array.from({ length: 1000 }, (_, n) => n)
      const table = defineTool({
        ...card,
        name: "table",
        input: anything,
        execute: (_: object) => ({ rows }),
        toModel: ({ rows }) => `${rows.length} rows`
      })
      const page = defineTool({
        ...card,
        name: "page",
        input: anything,
        execute: (_: object) => new Rendered({ whole: "page" }, "in short", "http://a.test/")
      })
      const silent = defineTool({
        ...card,
        name: "silent",
        input: anything,
        execute: (_: object) => "x",
        toModel: () => undefined as unknown as string
      })
      const { call, caller } = yield* open([table, page, silent])
      const long = yield* call("table", {})
      assert.deepStrictEqual([long.text, long.ok && long.result], ["1000 rows", { rows }])
      const rendered = yield* call("page", {})
      assert.deepStrictEqual(
        [rendered.text, rendered.ok && rendered.result, rendered.source],
        ["in short", { whole: "page" }, "http://a.test/"]
      )
      assert.strictEqual((yield* call("silent", {})).text, "silent: its result has no text for the model")
      const kept = yield* (yield* Journal).calls({ pid: caller.pid })
      assert.deepStrictEqual(kept[0]!.result, { rows })
      assert.strictEqual(kept[0]!.text, "1000 rows")
    })
  )

  it.effect("of a tool that can reach granted hosts is journalled as irreversible where there are any", () =>
    Effect.gen(function* () {
      const runs = defineTool({ ...card, name: "runs", input: anything, egress: true, execute: () => "ran" })
      const { caller } = yield* open([runs])
      const { dispatch } = yield* Syscalls
      const net = yield* (yield* Sandbox).open(caller.workspace.root, ["example.com"])
      yield* dispatch(caller, { tool: "runs", args: {} })
      yield* dispatch({ ...caller, workspace: net }, { tool: "runs", args: {} })
      const kept = yield* (yield* Journal).calls({ pid: caller.pid })
      assert.deepStrictEqual(
        kept.map(({ effect, ok }) => [effect, ok]),
        [
          ["pure", true],
          ["irreversible", true]
        ]
      )
    })
  )

  it.effect("knows the earlier calls of its tool that had a result", () =>
    Effect.gen(function* () {
      const counts = defineTool({
        ...card,
        name: "counts",
        input: anything,
        execute: Effect.fnUntraced(function* ({ fail }: { readonly fail?: boolean }, { history }) {
          const before = yield* history
          if (fail === true) return yield* badInput("no")
          return before.map((call: PastCall) => [call.args, call.result])
        })
      })
      const { call } = yield* open([counts, defineTool({ ...counts, name: "other" })])
      yield* call("counts", { a: 1 })
      yield* call("counts", { fail: true })
      yield* call("other", {})
      const last = yield* call("counts", {})
      assert.deepStrictEqual(last.ok && last.result, [[{ a: 1 }, []]])
    })
  )
})

describe("handles", () => {
  it("are made once, released when closed or with their scope, and not kept when they cannot be made", () =>
    Effect.runPromise(
      Effect.gen(function* () {
        const log: Array<string> = []
        const thing = (name: string) =>
          Effect.acquireRelease(
            Effect.sync(() => {
              log.push(`+${name}`)
              return { name }
            }),
            () => Effect.sync(() => log.push(`-${name}`))
          )
        const scope = yield* Scope.make()
        const { close, open } = makeHandles(scope)
        const a = yield* open("a", thing("a"))
        assert.strictEqual(yield* open("a", thing("again")), a)
        yield* open("b", thing("b"))
        yield* close("a")
        yield* close("a")
        yield* open("a", thing("a2"))
        const half = Effect.andThen(thing("half"), badInput("no"))
        yield* Effect.flip(open("c", half))
        const stuck = yield* Effect.forkChild(open("d", Effect.andThen(thing("stuck"), Effect.never)))
        yield* Effect.yieldNow
        yield* Fiber.interrupt(stuck)
        assert.deepStrictEqual(log, ["+a", "+b", "-a", "+a2", "+half", "-half", "+stuck", "-stuck"])
        yield* Scope.close(scope, Exit.void)
        assert.deepStrictEqual(log.slice(8), ["-a2", "-b"])
      })
    ))
})
