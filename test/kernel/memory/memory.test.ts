import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { expect, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { afterAll } from "vitest"
import { Engine, type Sequence, type Token } from "../../../kernel/engine/engine.ts"
import { LlamaEngine } from "../../../kernel/engine/llama.ts"
import type { KernelEvent } from "../../../kernel/event.ts"
import { Journal } from "../../../kernel/journal.ts"
import { born, type Context, type Frame, frameOf, inView, tokensOf } from "../../../kernel/memory/context.ts"
import { type Holder, makeMemory } from "../../../kernel/memory/memory.ts"
import { cost, lru, type PagerPolicy, size } from "../../../kernel/memory/pager.ts"
import { makeWindow, type Window } from "../../../kernel/memory/window.ts"
import { type Remark, silent } from "../../../kernel/process.ts"
import { callText, message } from "../../../kernel/prompt.ts"
import { writeRandomModel } from "../../fixtures/random-gguf.ts"
import { random } from "../engine/random.ts"
import { greedy } from "../engine/steps.ts"

const folder = mkdtempSync(join(tmpdir(), "noos-memory-"))
afterAll(() => rmSync(folder, { recursive: true }))
const modelPath = join(folder, "random.gguf")
writeRandomModel(modelPath)

const live = Layer.mergeAll(
  LlamaEngine.layer({ modelPath, sequences: 2, contextSize: 1024 }),
  Journal.layer(":memory:")
)

/** A process without a model: the test says its calls. */
const newborn = Effect.gen(function* () {
  const engine = yield* Engine
  const journal = yield* Journal
  const run = yield* journal.beginRun({ task: "test", workspace: folder, model: "random" })
  const pid = yield* journal.spawn({ run, program: "test" })
  const system = [...engine.bos, ...message(engine, "system", "use the tools")]
  const task = message(engine, "user", "do it")
  yield* journal.appendPage(pid, { role: "system", text: "use the tools", tokens: system.length })
  yield* journal.appendPage(pid, { role: "task", text: "do it", tokens: task.length })
  const context = born(system, task)
  const sequence = yield* engine.sequence
  const none = { said: silent, remark: {}, summary: undefined, past: [], doomed: undefined }
  const p: Holder = { pid, sequence, context, pending: [], ...none }
  p.pending = [...tokensOf(context), ...makeWindow(engine).opening]
  return p
})

/** Gives the sequence a row, and all that it lacks. */
const present = Effect.fnUntraced(function* (p: Holder, others: ReadonlyArray<Holder>) {
  const engine = yield* Engine
  const sequence = p.sequence!
  if (!sequence.resident) {
    for (const other of others)
      if (other !== p && other.sequence!.resident) yield* engine.swapOut(other.sequence!, "save")
    yield* engine.swapIn(sequence)
  }
  while (sequence.missing > 0) yield* engine.step([{ _tag: "Restore", sequence, count: 128 }])
  for (const at of Array.from({ length: Math.ceil(p.pending.length / 128) }, (_, i) => i * 128))
    yield* engine.step([{ _tag: "Prefill", sequence, tokens: p.pending.slice(at, at + 128) }])
  p.pending = []
})

/** The process says a call; its tokens are in the sequence as if the model had written them. */
const say = Effect.fnUntraced(function* (p: Holder, text: string) {
  const engine = yield* Engine
  const tokens = engine.tokenize(text)
  yield* engine.step([{ _tag: "Prefill", sequence: p.sequence!, tokens }])
  yield* (yield* Journal).appendPage(p.pid, { role: "call", text, tokens: tokens.length })
  p.said = { text, tokens, about: "read" }
})

/** Greedy, after what the tokens lead to. */
const next = Effect.fnUntraced(function* (sequence: Sequence, length: number) {
  const engine = yield* Engine
  const found: Array<Token> = []
  for (let i = 0; i < 3; i++) {
    const [decoded] = yield* engine.step([{ _tag: "Decode", sequence, sampling: greedy }])
    found.push(decoded!.token)
    if (decoded!.done) break
  }
  yield* sequence.rewind(length)
  return found
})

const isIn = (frame: Frame, page: number) =>
  frame.pages.some(([first, last]) => first <= page && page <= last)

/** What must hold of a context at any time. */
const check = (context: Context, window: Window) => {
  expect(context.size).toBe(tokensOf(context).length)
  expect(context.size + window.opening.length).toBeLessThan(window.size)
  // Every page is in the window or behind the stub, and never in two places.
  for (let page = 1; page <= context.pages; page++)
    expect([page, context.frames.filter((frame) => isIn(frame, page)).length]).toEqual([page, 1])
  expect(context.frames.filter(({ kind }) => kind === "stub").length).toBeLessThanOrEqual(1)
  expect(context.frames.slice(0, 2).map(({ kind }) => kind)).toEqual(["system", "task"])
}

layer(live, { timeout: "60 seconds", excludeTestServices: true })("memory", (it) => {
  const attack = (policy: PagerPolicy, seed: number) =>
    Effect.gen(function* () {
      const engine = yield* Engine
      const journal = yield* Journal
      const window = makeWindow(engine)
      const { below, chance, pick } = random(seed)
      const events: Array<KernelEvent> = []
      const memory = makeMemory({
        window,
        journal,
        policy,
        observe: (event) => events.push(event),
        going: () => Effect.void
      })
      const all: Array<Holder> = [yield* newborn]
      /** What each was told, by page. */
      const texts = new Map<Holder, Map<number, string>>([[all[0]!, new Map()]])
      let pinned = 0
      let forks = 0

      for (let i = 0; i < 110; i++) {
        const p = pick(all)
        if (all.length < 4 && chance(0.08)) {
          // A fork goes on by itself from here.
          yield* present(p, all)
          const origin = yield* journal.process(p.pid)
          const pid = yield* journal.spawn({ run: origin!.run, parent: p.pid, origin: p.pid, program: "t" })
          const child: Holder = { ...p, pid, sequence: yield* engine.fork(p.sequence!) }
          all.push(child)
          texts.set(child, new Map(texts.get(p)))
          forks++
          continue
        }
        if (p.sequence!.resident && chance(0.15)) {
          yield* engine.swapOut(p.sequence!, chance(0.5) ? "save" : "drop")
          continue
        }
        yield* present(p, all)
        expect(p.sequence!.length).toBe(p.context.size + window.opening.length)
        const others = all.filter((other) => other !== p).map((other) => [other, other.context] as const)
        const before = p.context
        yield* say(p, callText("read", { path: `file ${i}`, more: "x".repeat(below(60)) }))
        // The row may be gone when the result comes.
        if (chance(0.2)) yield* engine.swapOut(p.sequence!, chance(0.5) ? "save" : "drop")
        const remark: { -readonly [K in keyof Remark]: Remark[K] } = {}
        if (chance(0.1) && pinned < 8) {
          remark.pinned = true
          pinned++
        }
        if (chance(0.1)) remark.forget = 1 + below(before.pages)
        if (chance(0.1)) remark.touched = [1 + below(before.pages)]
        if (chance(0.2) && before.pages > 4)
          remark.copy = { page: 4 + 2 * below((before.pages - 2) / 2), part: 1 }
        p.remark = remark
        const page = before.pages + 2
        const text = `result: ${i} ${"word ".repeat(chance(0.1) ? 200 + below(300) : below(25))}`
        yield* memory.enter(p, { text, page, source: "read" })
        texts.get(p)!.set(page, text)
        p.doomed = undefined

        check(p.context, window)
        expect(p.context.pages).toBe(page)
        expect(frameOf(p.context, page)?.pages).toEqual([[page - 1, page]])
        if (text.length < 60) expect(inView(p.context, page, 1)).toBe(true)
        // What the cache keeps is what it had: the same tokens up to the first frame that changed.
        const kept = p.sequence!.length
        expect(tokensOf(p.context).slice(0, kept)).toEqual(
          [...tokensOf(before), ...window.opening, ...p.said.tokens].slice(0, kept)
        )
        expect(p.pending).toEqual([...tokensOf(p.context), ...window.opening].slice(kept))
        // What was pinned is still in view, unless it was let go.
        for (const frame of before.frames)
          if (frame.pinned && !isIn(frame, remark.forget ?? 0)) expect(p.context.frames).toContain(frame)
        for (const [other, context] of others) expect(other.context).toBe(context)
      }

      const evictions = events.filter(({ type }) => type === "evict")
      expect(evictions.length).toBeGreaterThan(10)
      expect(forks).toBe(3)
      expect(pinned).toBeGreaterThan(3)
      // Nothing is lost, and each has its own.
      const same = { right: 0, all: 0 }
      for (const p of all) {
        for (const [page, text] of texts.get(p)!) expect((yield* journal.page(p.pid, page))?.text).toBe(text)
        const layout = (yield* journal.process(p.pid))?.layout
        expect(layout?.pages).toBeLessThanOrEqual(p.context.pages)
        // The cache is what its tokens lead to; by other batches, so the last bits may differ.
        yield* present(p, all)
        const length = p.sequence!.length
        const had = yield* next(p.sequence!, length)
        yield* engine.swapOut(p.sequence!, "save")
        const fresh: Holder = { ...p, sequence: yield* engine.sequence }
        fresh.pending = [...tokensOf(p.context), ...window.opening]
        yield* present(fresh, all)
        const expected = yield* next(fresh.sequence!, length)
        yield* engine.swapOut(fresh.sequence!, "drop")
        same.all += expected.length
        same.right += expected.filter((token, i) => had[i] === token).length
      }
      expect(same.right).toBeGreaterThanOrEqual(0.8 * same.all)
    }).pipe(Effect.scoped)

  it.effect("keeps its promises through any calls, pins, recalls, forks and swaps, by each policy", () =>
    Effect.gen(function* () {
      for (const policy of [lru, size, cost]) yield* attack(policy, 7)
    })
  )
})
