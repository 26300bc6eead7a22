import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { defineAgent } from "../../agents/programs.ts"
import { Engine } from "../../kernel/engine/engine.ts"
import { LlamaEngine } from "../../kernel/engine/llama.ts"
import { type KernelEvent, Observer } from "../../kernel/event.ts"
import { Journal } from "../../kernel/journal.ts"
import { Kernel } from "../../kernel/kernel.ts"
import { SchedulerPolicy } from "../../kernel/loop.ts"
import { fair, type Policy, rr } from "../../kernel/scheduler.ts"
import { Syscalls } from "../../kernel/syscall.ts"
import { defineTool } from "../../kernel/tool.ts"
import { Bubblewrap } from "../../sandbox/bubblewrap.ts"
import { Sandbox } from "../../sandbox/sandbox.ts"
import { writeRandomModel } from "../fixtures/random-gguf.ts"

const home = mkdtempSync(join(tmpdir(), "noos-preempt-"))
afterAll(() => rmSync(home, { recursive: true, force: true }))
const modelPath = join(home, "random.gguf")
writeRandomModel(modelPath)

/** Takes the row away after every single token. */
const everyToken: Policy = {
  ...rr,
  join: (_, before, __, clock) => ({ ...before, joined: clock.served }),
  charge: ({ share }, _, clock) => ({ ...share, joined: clock.served })
}

/** Nothing is worth saving: what is swapped out has to be evaluated again. */
const forgetful = Layer.effect(
  Engine,
  Effect.map(Engine, (engine) => Engine.of({ ...engine, costs: () => ({ prefill: 0, save: 1, load: 1 }) }))
)

const say = defineTool({
  name: "say",
  description: "Say something.",
  input: {
    type: "object",
    properties: { text: { type: "string" }, times: { type: "integer" } },
    required: ["text", "times"],
    additionalProperties: false
  },
  effect: "pure",
  execute: () => Effect.succeed("said")
})

/** Two calls each of these tasks, one process after the other or all together on one row; the tokens of each. */
const run = (together: boolean, policy: Policy, engine: Layer.Layer<Engine, unknown>) => {
  const texts = new Map<number, string>()
  const counts = new Map<number, number>()
  const swaps: Array<string> = []
  const watch = (e: KernelEvent) => {
    if (e.type === "swap") swaps.push(e.how)
    if (e.type !== "token") return
    texts.set(e.pid, (texts.get(e.pid) ?? "") + e.text)
    counts.set(e.pid, (counts.get(e.pid) ?? 0) + 1)
  }
  const live = Kernel.layer.pipe(
    Layer.provideMerge(Layer.mergeAll(Syscalls.layer, Bubblewrap.layer, engine)),
    Layer.provideMerge(Journal.layer(":memory:")),
    Layer.provide(Layer.mergeAll(Layer.succeed(Observer, watch), Layer.succeed(SchedulerPolicy, policy)))
  )
  return Effect.gen(function* () {
    const kernel = yield* Kernel
    const workspace = yield* (yield* Sandbox).open(home)
    const run = yield* (yield* Journal).beginRun({ task: "", workspace: home, model: "" })
    const process = Effect.fnUntraced(function* (task: string) {
      const program = defineAgent({ name: "test", sampling: { temperature: 0, seed: 1 } })
      const budget = { syscalls: 2 }
      const pid = yield* kernel.spawn({ run, program, task, workspace, tools: [say], budget })
      return { pid, exit: yield* kernel.wait(pid) }
    })
    const tasks = ["one", "two two", "three three three"]
    // The first reads the system page for all others, in both cases.
    yield* process("zero")
    const done = yield* Effect.forEach(tasks, process, { concurrency: together ? "unbounded" : 1 })
    return {
      texts: done.map(({ pid }) => texts.get(pid)!),
      counts: done.map(({ pid }) => counts.get(pid)!),
      statuses: done.map(({ exit }) => exit.status),
      swaps
    }
  }).pipe(Effect.scoped, Effect.provide(live))
}

const oneRow = LlamaEngine.layer({ modelPath, sequences: 1, contextSize: 1024 })

describe("a process that is preempted", () => {
  it.live(
    "at every token, swapped out and in, writes what it writes alone, in its grammar",
    () =>
      Effect.gen(function* () {
        const alone = yield* run(false, fair, oneRow)
        assert.isAtLeast(Math.max(...alone.counts), 100)
        const preempted = yield* run(true, everyToken, oneRow)
        assert.isAtLeast(preempted.swaps.filter((how) => how === "save").length, 200)
        assert.deepStrictEqual(preempted.texts, alone.texts)
        assert.deepStrictEqual(preempted.counts, alone.counts)
        assert.deepStrictEqual(preempted.statuses, alone.statuses)
      }),
    60_000
  )

  it.live(
    "and whose KV cache is dropped each time, still writes calls that its grammar allows",
    () =>
      Effect.gen(function* () {
        const few: Policy = { ...everyToken, name: "few", charge: rr.charge, join: rr.join }
        const dropped = yield* run(true, few, Layer.provide(forgetful, oneRow))
        assert.include(dropped.swaps, "drop")
        assert.notInclude(dropped.swaps, "save")
        for (const text of dropped.texts) {
          const [first, second] = text
            .split("}}")
            .map((call) => JSON.parse(`${call}}}`.replace(/^}}$/, "null")))
          for (const call of [first, second]) assert.include(["say", "exit", undefined], call?.tool)
        }
      }),
    60_000
  )
})
