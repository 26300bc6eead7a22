import { spawnSync } from "node:child_process"
import {
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { expect, it, layer } from "@effect/vitest"
import { Ajv2020 } from "ajv/dist/2020.js"
import { Context, Effect, Exit, Fiber, Layer, Scope } from "effect"
import { afterAll } from "vitest"
import { Engine, EngineError, type Sequence, type Work } from "../../../kernel/engine/engine.ts"
import { callGrammar } from "../../../kernel/engine/gbnf.ts"
import { LlamaEngine } from "../../../kernel/engine/llama.ts"
import { snapshotStore } from "../../../kernel/engine/snapshot.ts"
import { writeRandomModel } from "../../fixtures/random-gguf.ts"
import { random } from "./random.ts"
import { decode, greedy, prefill, taken, texts, tokens, warm } from "./steps.ts"

const folder = mkdtempSync(join(tmpdir(), "noos-swap-"))
afterAll(() => rmSync(folder, { recursive: true }))
const modelPath = join(folder, "random.gguf")
writeRandomModel(modelPath)

/** The folders for saved states that engines of this process have now. */
const folders = (): ReadonlyArray<string> =>
  ["/dev/shm", tmpdir()].filter(existsSync).flatMap((parent) =>
    readdirSync(parent)
      .filter((name) => name.startsWith(`noos-kv-${process.pid}-`))
      .map((name) => join(parent, name))
  )

const states = (): ReadonlyArray<string> =>
  folders().flatMap((path) => readdirSync(path).map((name) => join(path, name)))

/** A call of many short strings: over 100 tokens, and the grammar is in another state after each. */
const call = (strings: object) => ({
  type: "object",
  properties: { lines: { type: "array", items: strings, minItems: 10, maxItems: 10 } },
  required: ["lines"],
  additionalProperties: false
})
const gbnf = callGrammar([{ name: "say", input: call({ type: "string", minLength: 4, maxLength: 9 }) }])
/** The least length is left out: a random model writes control tokens too, which the grammar counts but have no text. */
const isCall = new Ajv2020().compile({
  type: "object",
  properties: { tool: { const: "say" }, args: call({ type: "string", maxLength: 9 }) },
  required: ["tool", "args"],
  additionalProperties: false
})
const prompt = "12345"

/** Somebody else has the row for a while, and leaves other numbers in it. */
const intrude = Effect.gen(function* () {
  const other = yield* taken
  yield* prefill(other, "meanwhile, somebody else")
  yield* decode(other, greedy, 2)
}).pipe(Effect.scoped)

/** Evaluates again all that is missing, in pieces. */
const restore = (sequence: Sequence, piece: number) =>
  Effect.gen(function* () {
    const engine = yield* Engine
    while (sequence.missing > 0) {
      const before = sequence.missing
      expect(yield* engine.step([{ _tag: "Restore", sequence, count: piece }])).toEqual([undefined])
      expect(sequence.missing).toBe(Math.max(0, before - piece))
    }
  })

/** A sequence after the prompt, with a row, and the call that is decoded from there. */
const start = Effect.gen(function* () {
  const engine = yield* Engine
  const grammar = yield* engine.grammar(gbnf)
  const sequence = yield* taken
  yield* prefill(sequence, prompt)
  const { length } = sequence
  const straight = yield* decode(sequence, greedy, 200, grammar)
  yield* sequence.rewind(length)
  return { engine, grammar, sequence, length, straight }
})

layer(LlamaEngine.layer({ modelPath, sequences: 1, contextSize: 512 }))("one row for many", (it) => {
  it.effect("a call that was swapped out and in after any token is the call that never was", () =>
    Effect.gen(function* () {
      const { engine, grammar, sequence, length, straight } = yield* start
      const hundred = straight.slice(0, 100)
      expect(hundred).toHaveLength(100)
      expect(new Set(tokens(hundred)).size).toBeGreaterThan(30)
      for (let k = 0; k <= 100; k++) {
        yield* sequence.rewind(length)
        const before = yield* decode(sequence, greedy, k, grammar)
        yield* engine.swapOut(sequence, "save")
        expect(states()).toHaveLength(1)
        yield* intrude
        expect(sequence).toMatchObject({ resident: false, missing: 0, length: length + k })
        yield* engine.swapIn(sequence)
        expect(states()).toHaveLength(0)
        expect(sequence).toMatchObject({ resident: true, missing: 0, length: length + k })
        const after = yield* decode(sequence, greedy, 100 - k, grammar)
        expect([...before, ...after]).toEqual(hundred)
      }
    }).pipe(Effect.scoped)
  )

  it.effect("a call that is swapped out and in after every token is that call too", () =>
    Effect.gen(function* () {
      const { engine, grammar, sequence, straight } = yield* start
      const out = []
      while (out.at(-1)?.done !== true) {
        out.push(...(yield* decode(sequence, greedy, 1, grammar)))
        yield* engine.swapOut(sequence, "save")
        yield* engine.swapIn(sequence)
      }
      expect(out).toEqual(straight)
      const late = yield* decode(sequence, greedy, 1, grammar).pipe(Effect.flip)
      expect(late.message).toContain("after the end of the turn")
    }).pipe(Effect.scoped)
  )

  it.effect(
    "a call whose KV cache was dropped is restored in pieces, and goes on where its grammar was",
    () =>
      Effect.gen(function* () {
        const { engine, grammar, sequence, length } = yield* start
        for (const [i, k] of [1, 9, 23, 47, 80].entries()) {
          yield* sequence.rewind(length)
          const before = yield* decode(sequence, greedy, k, grammar)
          yield* engine.swapOut(sequence, "drop")
          expect(states()).toHaveLength(0)
          yield* intrude
          yield* engine.swapIn(sequence)
          expect(sequence).toMatchObject({ length: length + k, missing: length + k - 1 })
          const early = yield* decode(sequence, greedy, 1, grammar).pipe(Effect.flip)
          expect(early.message).toBe(`${length + k - 1} tokens of a sequence are missing`)
          expect(early.hint).toBe("Restore them first.")
          expect((yield* prefill(sequence, "more").pipe(Effect.flip)).message).toBe(early.message)
          yield* restore(sequence, [1, 5, 8, 16, 512][i]!)
          const after = yield* decode(sequence, greedy, 200, grammar)
          const text = texts(before) + texts(after)
          expect(isCall(JSON.parse(text)), text).toBe(true)
          expect(sequence.length).toBe(length + before.length + after.length)
        }
      }).pipe(Effect.scoped)
  )

  it.effect("what was restored in part is saved in part", () =>
    Effect.gen(function* () {
      const { engine, grammar, sequence, length, straight } = yield* start
      yield* decode(sequence, greedy, 40, grammar)
      yield* engine.swapOut(sequence, "drop")
      yield* engine.swapIn(sequence)
      yield* engine.step([{ _tag: "Restore", sequence, count: 20 }])
      const missing = length + 40 - 1 - 20
      expect(sequence.missing).toBe(missing)
      yield* engine.swapOut(sequence, "save")
      expect(sequence).toMatchObject({ resident: false, missing })
      const copy = yield* engine.fork(sequence)
      expect(copy).toMatchObject({ resident: false, missing, length: length + 40 })
      for (const each of [sequence, copy]) {
        yield* engine.swapIn(each)
        expect(each.missing).toBe(missing)
        yield* restore(each, 512)
        const text = texts(straight.slice(0, 40)) + texts(yield* decode(each, greedy, 200, grammar))
        expect(isCall(JSON.parse(text)), text).toBe(true)
        yield* engine.swapOut(each, "drop")
      }
    }).pipe(Effect.scoped)
  )

  it.effect("a fork in the middle of a call goes on as its parent does, and disturbs it not", () =>
    Effect.gen(function* () {
      const { engine, grammar, sequence, length, straight } = yield* start
      const rest = (of: Sequence) => decode(of, greedy, 200, grammar)
      // Also in the middle of a character, whose bytes are tokens of their own.
      const inside = straight.flatMap(({ text }, i) => (text === "" ? [i + 1] : []))
      expect(inside.length).toBeGreaterThan(0)
      for (const k of [0, 1, 2, 17, 40, 63, straight.length - 1, ...inside.slice(0, 4)]) {
        yield* sequence.rewind(length)
        yield* decode(sequence, greedy, k, grammar)
        const right = straight.slice(k)
        const child = yield* engine.fork(sequence)
        const grandchild = yield* engine.fork(child)
        expect(states()).toHaveLength(1)
        expect(child).toMatchObject({ resident: false, missing: 0, length: length + k })
        expect(yield* rest(sequence)).toEqual(right)
        yield* engine.swapOut(sequence, "drop")
        for (const each of [child, grandchild]) {
          yield* engine.swapIn(each)
          expect(yield* rest(each)).toEqual(right)
          yield* engine.swapOut(each, "drop")
        }
        expect(states()).toHaveLength(0)
        yield* engine.swapIn(sequence)
        yield* restore(sequence, 512)
      }
    }).pipe(Effect.scoped)
  )

  it.effect("a fork of a sequence that was swapped out shares its file, and outlives it", () =>
    Effect.gen(function* () {
      const { engine, grammar, sequence, length, straight } = yield* start
      const scope = yield* Scope.make()
      const parent = yield* engine.fork(sequence).pipe(Scope.provide(scope))
      yield* engine.swapOut(sequence, "drop")
      yield* engine.swapIn(parent)
      yield* decode(parent, greedy, 30, grammar)
      yield* engine.swapOut(parent, "save")
      const child = yield* engine.fork(parent)
      expect(states()).toHaveLength(1)
      yield* Scope.close(scope, Exit.void)
      expect(states()).toHaveLength(1)
      expect((yield* engine.fork(parent).pipe(Effect.flip)).message).toBe(
        "a sequence was used after it was given back"
      )
      yield* engine.swapIn(child)
      expect(tokens(yield* decode(child, greedy, 200, grammar))).toEqual(tokens(straight).slice(30))
      yield* engine.swapOut(child, "drop")
      const dropped = yield* engine.fork(child)
      expect(dropped.missing).toBe(dropped.length - 1)
      expect(dropped.length).toBe(length + straight.length)
    }).pipe(Effect.scoped)
  )

  it.effect("a file that is of no more use to anybody goes at once", () =>
    Effect.gen(function* () {
      const { grammar, engine, sequence, length } = yield* start
      const changes = [
        decode(sequence, greedy, 1, grammar),
        prefill(sequence, "more"),
        sequence.rewind(length),
        engine.swapOut(sequence, "drop")
      ]
      for (const change of changes) {
        yield* Effect.scoped(engine.fork(sequence))
        expect(states()).toHaveLength(1)
        yield* change
        expect(states()).toHaveLength(0)
      }
    }).pipe(Effect.scoped)
  )

  it.effect("eight forks share one file, which goes with the last that needs it", () =>
    Effect.gen(function* () {
      const { engine, grammar, sequence } = yield* start
      yield* decode(sequence, greedy, 20, grammar)
      const children = yield* Effect.forEach([1, 2, 3, 4, 5, 6, 7, 8], () =>
        Effect.gen(function* () {
          const scope = yield* Effect.acquireRelease(Scope.make(), (s) => Scope.close(s, Exit.void))
          return { scope, child: yield* engine.fork(sequence).pipe(Scope.provide(scope)) }
        })
      )
      expect(states()).toHaveLength(1)
      yield* decode(sequence, greedy, 1, grammar)
      yield* engine.swapOut(sequence, "drop")
      for (const [i, { child, scope }] of children.entries()) {
        expect(states()).toHaveLength(1)
        if (i % 2 === 1) yield* engine.swapIn(child)
        yield* Scope.close(scope, Exit.void)
      }
      expect(states()).toHaveLength(0)
    }).pipe(Effect.scoped)
  )

  it.effect("sampled forks go on each in its own way, and in the same way next time", () =>
    Effect.gen(function* () {
      const engine = yield* Engine
      const grammar = yield* engine.grammar(gbnf)
      const once = Effect.gen(function* () {
        const parent = yield* taken
        yield* prefill(parent, prompt)
        const before = yield* decode(parent, warm(1), 20, grammar)
        const children = yield* Effect.forEach([1, 2, 3], () => engine.fork(parent))
        const nested = yield* engine.fork(children[0]!)
        yield* engine.swapOut(parent, "save")
        return yield* Effect.forEach([parent, ...children, nested], (each) =>
          Effect.gen(function* () {
            yield* engine.swapIn(each)
            const after = yield* decode(each, warm(1), 200, grammar)
            yield* engine.swapOut(each, "drop")
            return texts(before) + texts(after)
          })
        )
      }).pipe(Effect.scoped)
      const calls = yield* once
      expect(new Set(calls).size).toBe(5)
      for (const text of calls) expect(isCall(JSON.parse(text)), text).toBe(true)
      expect(yield* once).toEqual(calls)
    })
  )

  it.effect("refuses what needs a row, without one, and what needs none, with one", () =>
    Effect.gen(function* () {
      const { engine, sequence } = yield* start
      const other = yield* engine.sequence
      const message = (effect: Effect.Effect<unknown, EngineError>) =>
        Effect.map(Effect.flip(effect), (error) => {
          expect(error).toBeInstanceOf(EngineError)
          return error.message
        })
      expect(yield* message(engine.swapIn(other))).toBe("all 1 rows of the KV cache are taken")
      expect(yield* message(engine.swapIn(sequence))).toBe("a sequence that has a row was swapped in")
      expect(yield* message(engine.swapOut(other, "save"))).toBe("a sequence without a row was swapped out")
      expect(yield* message(engine.step([{ _tag: "Prefill", sequence: other, tokens: [9] }]))).toBe(
        "a sequence was stepped without a row"
      )
      expect(yield* message(engine.step([{ _tag: "Restore", sequence: other, count: 1 }]))).toBe(
        "a sequence was stepped without a row"
      )
      expect(yield* message(other.rewind(1))).toBe("cannot rewind 0 tokens to 1")
    }).pipe(Effect.scoped)
  )

  it.effect("a state that was lost or damaged is evaluated again", () =>
    Effect.gen(function* () {
      const { engine, grammar, sequence, length } = yield* start
      for (const damage of [(path: string) => truncateSync(path, 3000), (path: string) => rmSync(path)]) {
        yield* sequence.rewind(length)
        const before = yield* decode(sequence, greedy, 30, grammar)
        yield* engine.swapOut(sequence, "save")
        damage(states()[0]!)
        expect(sequence.missing).toBe(0)
        yield* engine.swapIn(sequence)
        expect(sequence.missing).toBe(length + 30 - 1)
        expect(states()).toHaveLength(0)
        yield* restore(sequence, 512)
        const text = texts(before) + texts(yield* decode(sequence, greedy, 200, grammar))
        expect(isCall(JSON.parse(text)), text).toBe(true)
      }
    }).pipe(Effect.scoped)
  )

  it.effect("saves nothing of an empty sequence", () =>
    Effect.gen(function* () {
      const engine = yield* Engine
      const sequence = yield* taken
      yield* engine.swapOut(sequence, "save")
      const copy = yield* engine.fork(sequence)
      expect(states()).toHaveLength(0)
      yield* engine.swapIn(copy)
      yield* prefill(copy, prompt)
      expect(yield* decode(copy, greedy, 3)).toHaveLength(3)
    }).pipe(Effect.scoped)
  )
})

it.effect("knows what was measured, and only from what was done", () =>
  Effect.gen(function* () {
    const engine = yield* Engine
    const [long, short] = yield* Effect.all([taken, taken])
    const guesses = engine.costs()
    expect(guesses).toEqual({ prefill: 1, save: 0.02, load: 0.01 })
    const read = (sequence: Sequence, n: number): Work => ({
      _tag: "Prefill",
      sequence,
      tokens: Array.from({ length: n }, () => 300)
    })
    yield* engine.step([read(short, 15)])
    yield* engine.step([read(long, 30), { _tag: "Decode", sequence: short, sampling: greedy }])
    yield* engine.swapOut(short, "save")
    yield* engine.swapIn(short)
    expect(engine.costs()).toEqual(guesses)
    yield* engine.step([read(long, 8), read(short, 8)])
    const { prefill, ...others } = engine.costs()
    expect(prefill).not.toBe(guesses.prefill)
    expect(others).toEqual({ save: guesses.save, load: guesses.load })
    yield* engine.fork(long)
    const { save } = engine.costs()
    expect(save).not.toBe(guesses.save)
    // There is a file already: nothing was saved, and so nothing was measured.
    yield* engine.fork(long)
    yield* engine.swapOut(long, "save")
    expect(engine.costs()).toEqual({ prefill, save, load: guesses.load })
    yield* engine.swapIn(long)
    const { load } = engine.costs()
    expect(load).not.toBe(guesses.load)
    yield* engine.swapOut(long, "drop")
    yield* engine.swapIn(long)
    expect(engine.costs()).toEqual({ prefill, save, load })
    yield* engine.step([{ _tag: "Restore", sequence: long, count: 512 }])
    expect(engine.costs().prefill).not.toBe(prefill)
    for (const cost of Object.values(engine.costs())) expect(cost).toBeGreaterThan(0)
  }).pipe(Effect.scoped, Effect.provide(LlamaEngine.layer({ modelPath, sequences: 2, contextSize: 512 })))
)

it.effect("a state for which there is no room is dropped", () =>
  Effect.gen(function* () {
    const engine = yield* Engine
    const sequence = yield* taken
    const own = folders()
    expect(own.length).toBeGreaterThan(0)
    // A disk that is full: what is written is lost, now while it is written, now only when the file is closed.
    for (const path of own) for (let i = 0; i < 20; i++) symlinkSync("/dev/full", join(path, `${i}`))
    for (const text of ["few", "many ".repeat(60)]) {
      yield* prefill(sequence, text)
      yield* engine.swapOut(sequence, "save")
      expect(sequence.missing).toBe(sequence.length - 1)
      yield* engine.swapIn(sequence)
      yield* restore(sequence, 512)
      const copy = yield* engine.fork(sequence)
      expect(copy).toMatchObject({ length: sequence.length, missing: sequence.length - 1 })
    }
    // And folders that are gone.
    for (const path of own) rmSync(path, { recursive: true })
    yield* engine.swapOut(sequence, "save")
    expect(sequence.missing).toBe(sequence.length - 1)
  }).pipe(Effect.scoped, Effect.provide(LlamaEngine.layer({ modelPath, contextSize: 512 })))
)

it.effect("an engine that ends takes its files with it, also while it saves", () =>
  Effect.gen(function* () {
    const sequences = yield* Scope.make()
    const engines = yield* Scope.make()
    const context = yield* Layer.buildWithScope(
      LlamaEngine.layer({ modelPath, sequences: 3, contextSize: 512 }),
      engines
    )
    const engine = Context.get(context, Engine)
    const [saved, saving, resident] = yield* Effect.all([taken, taken, taken]).pipe(
      Effect.provideContext(context),
      Scope.provide(sequences)
    )
    for (const each of [saved, saving, resident])
      yield* prefill(each, "something to keep").pipe(Effect.provideContext(context))
    yield* engine.swapOut(saved, "save")
    expect(states()).toHaveLength(1)
    const fiber = yield* Effect.forkChild(engine.swapOut(saving, "save"), { startImmediately: true })
    yield* Scope.close(engines, Exit.void)
    expect(Exit.isSuccess(yield* Fiber.await(fiber))).toBe(true)
    expect(folders()).toEqual([])
    for (const late of [engine.swapIn(saved), engine.swapOut(resident, "save")])
      expect((yield* late.pipe(Effect.flip)).message).toContain("the engine failed")
    yield* Scope.close(sequences, Exit.void)
  })
)

/** A sequence as it should be: a list of tokens, and how many of them are evaluated or saved. */
interface Expected {
  readonly sequence: Sequence
  readonly scope: Scope.Closeable
  readonly tokens: Array<number>
  evaluated: number
  resident: boolean
  over: boolean
}

layer(LlamaEngine.layer({ modelPath, sequences: 3, contextSize: 256 }))("three rows for many", (it) => {
  it.effect("does what a list of tokens does, whatever is asked in whatever order", () =>
    Effect.gen(function* () {
      const engine = yield* Engine
      const { below, pick, chance } = random(3)
      const all: Array<Expected> = []
      const missing = (e: Expected) => Math.max(0, e.tokens.length - 1 - e.evaluated)
      const seen = { done: 0, refused: 0 }

      const add = (scope: Scope.Closeable, sequence: Sequence, from?: Expected) =>
        all.push({
          scope,
          sequence,
          tokens: [...(from?.tokens ?? [])],
          evaluated: from?.evaluated ?? 0,
          resident: false,
          over: from?.over ?? false
        })
      /** Does something, or sees it refused. */
      const attempt = <A>(effect: Effect.Effect<A, EngineError>, refusal: string | false | undefined) =>
        Effect.gen(function* () {
          if (typeof refusal !== "string") {
            seen.done++
            return yield* effect
          }
          seen.refused++
          expect((yield* Effect.flip(effect)).message).toContain(refusal)
          return undefined
        })

      const refusalOf = ({ e, work }: { e: Expected; work: Work }): string | undefined => {
        if (!e.resident) return "stepped without a row"
        if (work._tag === "Restore") return undefined
        if (missing(e) > 0) return `${missing(e)} tokens of a sequence are missing`
        const added = work._tag === "Prefill" ? work.tokens.length : 1
        if (e.tokens.length + added > engine.contextSize) return "the context is full"
        if (work._tag === "Prefill") return undefined
        if (e.tokens.length === 0) return "no tokens to go on from"
        return e.over ? "after the end of the turn" : undefined
      }
      const workOf = (sequence: Sequence): Work => {
        if (chance(0.3)) return { _tag: "Restore", sequence, count: 1 + below(40) }
        if (chance(0.6)) return { _tag: "Decode", sequence, sampling: greedy }
        return {
          _tag: "Prefill",
          sequence,
          tokens: Array.from({ length: 1 + below(20) }, () => 261 + below(200))
        }
      }

      const step = Effect.gen(function* () {
        const chosen = all.filter((e) => chance(e.resident ? 0.9 : 0.02))
        const items = chosen.map((e) => ({ e, work: workOf(e.sequence) }))
        const refusal = items.map(refusalOf).find((message) => message !== undefined)
        const out = yield* attempt(engine.step(items.map((item) => item.work)), refusal)
        if (out === undefined) return
        for (const [i, { e, work }] of items.entries()) {
          if (work._tag === "Restore") {
            e.evaluated = Math.max(e.evaluated, Math.min(e.evaluated + work.count, e.tokens.length - 1))
            continue
          }
          if (work._tag === "Prefill") e.tokens.push(...work.tokens)
          else if (!out[i]!.done) e.tokens.push(out[i]!.token)
          // The token that ended the turn was made by evaluating the last one of the sequence.
          e.over = work._tag === "Decode" && out[i]!.done
          e.evaluated = e.over ? e.tokens.length : e.tokens.length - 1
        }
      })

      const open = Effect.gen(function* () {
        const scope = yield* Effect.acquireRelease(Scope.make(), (s) => Scope.close(s, Exit.void))
        add(scope, yield* engine.sequence.pipe(Scope.provide(scope)))
      })
      const fork = (e: Expected) =>
        Effect.gen(function* () {
          const scope = yield* Effect.acquireRelease(Scope.make(), (s) => Scope.close(s, Exit.void))
          add(scope, yield* engine.fork(e.sequence).pipe(Scope.provide(scope)), e)
        })
      const close = (e: Expected) =>
        Effect.gen(function* () {
          all.splice(all.indexOf(e), 1)
          yield* Scope.close(e.scope, Exit.void)
          expect((yield* engine.swapIn(e.sequence).pipe(Effect.flip)).message).toContain("given back")
        })
      const swapIn = (e: Expected) =>
        Effect.gen(function* () {
          const full = all.filter((other) => other.resident).length === engine.sequences
          const refusal = e.resident ? "has a row" : full && "all 3 rows"
          yield* attempt(engine.swapIn(e.sequence), refusal)
          if (refusal === false) e.resident = true
        })
      const swapOut = (e: Expected) =>
        Effect.gen(function* () {
          const how = chance(0.7) ? "save" : "drop"
          yield* attempt(engine.swapOut(e.sequence, how), !e.resident && "without a row")
          if (!e.resident) return
          e.resident = false
          if (how === "drop") e.evaluated = 0
        })
      const rewind = (e: Expected) =>
        Effect.gen(function* () {
          const length = below(e.tokens.length + 3)
          const refusal = length > e.tokens.length && "cannot rewind"
          yield* attempt(e.sequence.rewind(length), refusal)
          if (refusal !== false) return
          e.tokens.length = length
          e.evaluated = Math.min(e.evaluated, Math.max(0, length - 1))
          e.over = false
        })

      for (let i = 0; i < 2500; i++) {
        const n = below(100)
        if (all.length === 0 || (n < 5 && all.length < 10)) yield* open
        else if (n < 50) yield* step
        else if (n < 65) yield* swapIn(pick(all))
        else if (n < 80) yield* swapOut(pick(all))
        else if (n < 88) yield* rewind(pick(all))
        else if (n < 95 && all.length < 10) yield* fork(pick(all))
        else if (n >= 95) yield* close(pick(all))
        for (const e of all) {
          expect(e.sequence).toMatchObject({
            length: e.tokens.length,
            resident: e.resident,
            missing: missing(e)
          })
        }
        expect(states().length).toBeLessThanOrEqual(all.length)
      }
      expect(seen.done).toBeGreaterThan(800)
      expect(seen.refused).toBeGreaterThan(200)

      // Each one left is in the state that its tokens lead to. By other batches, so the last bits may differ.
      for (const e of all) if (e.resident) yield* engine.swapOut(e.sequence, "save")
      const next = { same: 0, all: 0 }
      for (const e of all) {
        if (e.tokens.length === 0 || e.tokens.length + 3 > engine.contextSize) continue
        const fresh = yield* taken
        yield* engine.step([{ _tag: "Prefill", sequence: fresh, tokens: e.tokens }])
        yield* engine.swapIn(e.sequence)
        yield* restore(e.sequence, 50)
        yield* e.sequence.rewind(e.tokens.length)
        for (const token of tokens(yield* decode(fresh, greedy, 3))) {
          next.all++
          if ((yield* decode(e.sequence, greedy, 1))[0]!.token === token) next.same++
        }
        yield* engine.swapOut(fresh, "drop")
        yield* engine.swapOut(e.sequence, "drop")
      }
      expect(next.all).toBeGreaterThan(8)
      expect(next.same).toBeGreaterThan(0.8 * next.all)
      for (const e of [...all]) yield* close(e)
      expect(states()).toEqual([])
      yield* Effect.all([taken, taken, taken])
    }).pipe(Effect.scoped)
  )

  it.effect("loses no row and no file, however a sequence ends", () =>
    Effect.gen(function* () {
      const engine = yield* Engine
      const grammar = yield* engine.grammar(gbnf)
      for (let i = 0; i < 200; i++) {
        yield* Effect.gen(function* () {
          const sequence = yield* taken
          yield* prefill(sequence, prompt)
          yield* decode(sequence, greedy, i % 3, grammar)
          const copy = i % 5 === 0 ? yield* engine.fork(sequence) : undefined
          yield* engine.swapOut(sequence, i % 2 === 0 ? "save" : "drop")
          if (i % 4 < 2) yield* engine.swapIn(sequence)
          if (copy !== undefined && i % 3 === 0) yield* engine.swapIn(copy)
        }).pipe(Effect.scoped)
      }
      expect(states()).toEqual([])
      const rows = yield* Effect.all([taken, taken, taken])
      for (const row of rows) {
        yield* prefill(row, prompt)
        expect(row.missing).toBe(0)
      }
      const calls = yield* Effect.forEach(rows, (row) => decode(row, greedy, 200, grammar))
      expect(calls[1]).toEqual(calls[0])
      expect(calls[2]).toEqual(calls[0])
      expect((yield* taken.pipe(Effect.flip)).message).toBe("all 3 rows of the KV cache are taken")
    }).pipe(Effect.scoped)
  )

  it.effect(
    "swaps in its turn when it is asked for while a step runs, and finishes when it is interrupted",
    () =>
      Effect.gen(function* () {
        const engine = yield* Engine
        const [reader, writer] = yield* Effect.all([taken, taken])
        yield* prefill(writer, prompt)
        const long = engine.tokenize("read this ".repeat(20))
        const work = [{ _tag: "Prefill", sequence: reader, tokens: long }] as const
        const reading = yield* Effect.forkChild(engine.step(work), { startImmediately: true })
        const waiting = yield* Effect.forkChild(engine.swapOut(reader, "save"), { startImmediately: true })
        yield* Fiber.interrupt(waiting)
        expect(Exit.isSuccess(yield* Fiber.await(reading))).toBe(true)
        expect(reader).toMatchObject({ resident: true, length: long.length })
        const leaving = yield* Effect.forkChild(engine.swapOut(reader, "save"), { startImmediately: true })
        yield* Fiber.interrupt(leaving)
        expect(reader).toMatchObject({ resident: false, missing: 0, length: long.length })
        expect(yield* decode(writer, greedy, 2)).toHaveLength(2)
      }).pipe(Effect.scoped)
  )
})

/** A process that has ended. */
const deadPid = (): number => spawnSync(process.execPath, ["-e", ""]).pid

it.effect("removes what dead processes left, and only that", () =>
  Effect.gen(function* () {
    const parent = mkdtempSync(join(folder, "stale-"))
    const kept = [
      `noos-kv-${process.pid}-aaaaaa`,
      "noos-kv-1-aaaaaa",
      "noos-kv-x",
      "noos-kv--1-a",
      "other-7-a"
    ]
    const dead = `noos-kv-${deadPid()}-aaaaaa`
    for (const name of [...kept, dead]) {
      mkdirSync(join(parent, name))
      writeFileSync(join(parent, name, "1"), "state")
    }
    // Only root can make a folder that is another user's.
    if (process.getuid?.() === 0) {
      const foreign = `noos-kv-${deadPid()}-foreign`
      mkdirSync(join(parent, foreign))
      chownSync(join(parent, foreign), 65534, 65534)
      kept.push(foreign)
    }
    const target = join(parent, "other-7-a")
    const link = `noos-kv-${deadPid()}-bbbbbb`
    symlinkSync(target, join(parent, link))
    const names = yield* Effect.gen(function* () {
      yield* snapshotStore([parent])
      return readdirSync(parent)
    }).pipe(Effect.scoped)
    const own = names.filter((name) => !kept.includes(name))
    expect(own).toHaveLength(1)
    expect(own[0]).toMatch(new RegExp(`^noos-kv-${process.pid}-.{6}$`))
    expect(names).toEqual(expect.arrayContaining(kept))
    expect(existsSync(join(target, "1"))).toBe(true)
    expect(readdirSync(parent).sort()).toEqual([...kept].sort())
  })
)

it.effect("writes where there is room, first in memory, then on disk, then not at all", () =>
  Effect.gen(function* () {
    const parents = ["memory", "disk"].map((name) => mkdtempSync(join(folder, `${name}-`)))
    const store = yield* snapshotStore([join(folder, "none"), ...parents])
    const own = parents.map((parent) => join(parent, readdirSync(parent)[0]!))
    expect(statSync(own[0]!).mode & 0o777).toBe(0o700)
    const write = (bytes: number, claimed = 5) =>
      Effect.promise(() =>
        store.write(1, bytes, async (path) => {
          writeFileSync(path, "state")
          return claimed
        })
      )
    const first = yield* write(5)
    expect(first).toMatchObject({ tokens: 1, bytes: 5, holders: 1 })
    expect(first!.path.startsWith(own[0]!)).toBe(true)
    // More than any disk has, and less than was said.
    expect(yield* write(1e18)).toBeUndefined()
    expect(yield* write(5, 6)).toBeUndefined()
    expect(readdirSync(own[0]!)).toHaveLength(1)
    store.hold(first!)
    store.release(first)
    expect(existsSync(first!.path)).toBe(true)
    store.release(first)
    expect(existsSync(first!.path)).toBe(false)
    rmSync(own[0]!, { recursive: true })
    const second = yield* write(5)
    expect(second!.path.startsWith(own[1]!)).toBe(true)
    rmSync(own[1]!, { recursive: true })
    expect(yield* write(5)).toBeUndefined()
  }).pipe(Effect.scoped)
)
