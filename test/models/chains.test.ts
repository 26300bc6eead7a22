/** Training's views and calls of chains against the real kernel, in which a policy makes the ideal calls. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { afterAll, assert, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { fast } from "../../agents/programs.ts"
import { embeddedModel } from "../../cli/environment.ts"
import { Engine } from "../../kernel/engine/engine.ts"
import { LlamaEngine } from "../../kernel/engine/llama.ts"
import { Journal } from "../../kernel/journal.ts"
import { Kernel } from "../../kernel/kernel.ts"
import { pagingCalls } from "../../kernel/memory/calls.ts"
import { append, born } from "../../kernel/memory/context.ts"
import { compact, cost, lru } from "../../kernel/memory/pager.ts"
import { makeWindow, share } from "../../kernel/memory/window.ts"
import { aboutCall, callText, message, resultText, systemText } from "../../kernel/prompt.ts"
import { Syscalls } from "../../kernel/syscall.ts"
import { type Chain, chain, trace } from "../../models/nano/chains.ts"
import { defaultCards } from "../../models/nano/disguises.ts"
import { Random } from "../../models/nano/language.ts"
import { viewsOf } from "../../models/nano/views.ts"
import { Bubblewrap } from "../../sandbox/bubblewrap.ts"
import { Sandbox } from "../../sandbox/sandbox.ts"
import { builtins } from "../../tools/index.ts"
import { policed } from "../fixtures/policy-engine.ts"

const home = mkdtempSync(join(tmpdir(), "noos-chains-"))
afterAll(() => rmSync(home, { recursive: true, force: true }))

/** What the model says, turn by turn. */
let plan: Array<readonly [tool: string, args: object]> = []
const live = Kernel.layer.pipe(
  Layer.provideMerge(
    Layer.mergeAll(
      Syscalls.layer,
      Bubblewrap.layer,
      policed(() => plan.shift()!).pipe(
        Layer.provide(LlamaEngine.layer({ modelPath: embeddedModel, sequences: 1, contextSize: 2048 }))
      )
    )
  ),
  Layer.provideMerge(Journal.layer(join(home, "journal.db")))
)

layer(live, { timeout: "60 seconds", excludeTestServices: true })("a chain", (it) => {
  const run = Effect.fnUntraced(function* (c: Chain, calls: ReturnType<typeof trace>) {
    plan = [...calls.map(({ args, tool }) => [tool, args] as const), ["exit", { answer: c.answer }]]
    const journal = yield* Journal
    const folder = mkdtempSync(join(home, "ws-"))
    for (const [file, text] of c.files) {
      mkdirSync(dirname(join(folder, file)), { recursive: true })
      writeFileSync(join(folder, file), text)
    }
    const kernel = yield* Kernel
    const pid = yield* kernel.spawn({
      run: yield* journal.beginRun({ task: c.task, workspace: folder, model: "policy" }),
      program: fast(0),
      task: c.task,
      workspace: yield* (yield* Sandbox).open(folder),
      tools: [...builtins, ...pagingCalls],
      budget: { tokens: 1_000_000, seconds: 300, syscalls: 100 }
    })
    const exit = yield* kernel.wait(pid)
    assert.deepStrictEqual([exit.status, exit.answer], ["ok", c.answer], c.task)
    return (yield* journal.pages(pid)).filter((p) => p.role === "result").map((p) => p.text)
  })

  for (const [variant, place] of [
    ["note", 2],
    ["recall", 2],
    ["page", 2],
    ["page", 0]
  ] as const)
    it.effect(`has the answers that the kernel gives (${variant}, ${place})`, () =>
      Effect.gen(function* () {
        const r = new Random(41, "held")
        const c = chain(r, { files: place === 0 ? 3 : 12, variant, place })
        const calls = trace(r, c, place === 0)
        const results = yield* run(c, calls)
        for (const [i, { text, tool }] of calls.entries())
          if (tool === "recall" && variant === "recall")
            assert.include(results[i]!, text.split("\n").find((line) => line.startsWith("page 8: "))!)
          else assert.strictEqual(results[i], `result: ${text}`)
      })
    )

  it.effect("is paged as the kernel pages", () =>
    Effect.gen(function* () {
      const engine = yield* Engine
      const window = makeWindow(engine)
      const count = (text: string) => engine.tokenize(text).length
      const system = systemText(defaultCards)
      const label = { integrity: "trusted", source: "test" } as const
      const r = new Random(42, "held")
      for (let n = 0; n < 12; n++) {
        const c = chain(r, {
          files: r.int(1, 60),
          variant: r.pick(["note", "recall"] as const),
          place: r.int(0, 9)
        })
        const calls = trace(r, c, false)
        const policy = r.pick([cost, lru])

        const expected: Array<ReadonlyArray<string>> = []
        let context = born(message(engine, "system", system), message(engine, "user", c.task))
        const show = () =>
          expected.push(
            context.frames
              .slice(2)
              .map(({ kind, pages, tokens }) =>
                kind === "stub" ? engine.detokenize(tokens).trim() : String(pages[0]![0])
              )
          )
        for (const [i, { args, ok, text, tool }] of calls.entries()) {
          const { tokens } = window.exchange(engine.tokenize(callText(tool, args)), resultText(ok, text))
          const about = { page: 4 + 2 * i, about: aboutCall(tool, args) }
          context = append(context, { ...about, tokens, pinned: tool === "note", whole: true, label })
          if (context.size + window.opening.length <= window.high) continue
          show()
          context = compact(context, window, policy).context
        }
        show()

        const { high, low } = window
        const first = policy === lru ? "oldest" : "newest"
        const [most, workingSet] = [window.most, Math.floor(engine.contextSize * share.workingSet)]
        const views = viewsOf(
          calls,
          c.task,
          { system: count(system), high, low, most, workingSet, first, count },
          (call) => call.tool === "note"
        )
        assert.deepStrictEqual(
          views.map(({ seen }) => seen.map((s) => ("stub" in s ? s.stub : String(3 + 2 * s.at)))),
          expected
        )
      }
    })
  )
})
