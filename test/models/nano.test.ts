import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, assert, describe, layer } from "@effect/vitest"
import { Effect } from "effect"
import { benchLayer, builtinTrials, runTrial, type Trial, unseenTrials } from "../../bench/nano.ts"
import { embeddedModel } from "../../cli/environment.ts"
import { Engine } from "../../kernel/engine/engine.ts"
import type { KernelEvent } from "../../kernel/event.ts"
import { Journal } from "../../kernel/journal.ts"
import { fileName, Random } from "../../models/nano/language.ts"

const home = mkdtempSync(join(tmpdir(), "noos-nano-"))
afterAll(() => rmSync(home, { recursive: true, force: true }))
const events: Array<KernelEvent> = []

layer(
  benchLayer(embeddedModel, join(home, "journal.db"), (e) => void events.push(e)),
  {
    timeout: "60 seconds",
    excludeTestServices: true
  }
)("nano", (it) => {
  describe("the file", () => {
    it.effect("is small, and has the vocabulary and the chat template of its recipe", () =>
      Effect.gen(function* () {
        assert.isBelow(statSync(embeddedModel).size, 20 * 1024 * 1024)
        const engine = yield* Engine
        assert.deepStrictEqual(engine.template, {
          system: ["<|system|>", "<|end|>"],
          user: ["<|user|>", "<|end|>"],
          model: ["<|assistant|>", "<|end|>"]
        })
        const vocabulary = JSON.parse(
          readFileSync(new URL("../../models/nano/vocab.json", import.meta.url), "utf8")
        ) as ReadonlyArray<{ piece: string; type: number }>
        for (const [id, { piece, type }] of vocabulary.entries())
          if (type === 4) assert.deepStrictEqual(engine.tokenize(piece), [id], piece)
      })
    )

    it.effect("cuts a name into the same pieces wherever it stands", () =>
      Effect.gen(function* () {
        const { tokenize, detokenize } = yield* Engine
        const r = new Random(3)
        for (let i = 0; i < 200; i++) {
          const name = fileName(r)
          const alone = tokenize(name)
          for (const [before, after] of [
            ['{"path":"', '"}'],
            ["`", "`"],
            ["'", "'"],
            ["> ", " "]
          ] as const) {
            const there = tokenize(`${before}${name}${after}`)
            const pieces = there.map((t) => detokenize([t]).trim()).join("|")
            assert.include(pieces, alone.map((t) => detokenize([t]).trim()).join("|"), `${before}${name}`)
          }
        }
      })
    )
  })

  describe("at work", () => {
    const right = Effect.fnUntraced(function* (trials: ReadonlyArray<Trial>) {
      const run = yield* (yield* Journal).beginRun({ task: "trials", workspace: home, model: "nano" })
      const verdicts = yield* Effect.forEach(trials, (trial) => runTrial(run, trial), { concurrency: 4 })
      return verdicts.filter((v) => v.wrong === undefined).length / verdicts.length
    })

    it.effect("does most held-out tasks of several steps wholly right, without one malformed call", () =>
      Effect.gen(function* () {
        assert.isAtLeast(yield* right(builtinTrials(77, 30)), 0.6)
        assert.isEmpty(events.filter((e) => e.type === "syscall" && !e.ok && e.id === null))
      })
    )

    it.effect("uses tools that it finds in its prompt and never saw before", () =>
      Effect.gen(function* () {
        assert.isAtLeast(yield* right(unseenTrials(78, 12)), 0.4)
      })
    )
  })
})
