import { assert, describe, layer } from "@effect/vitest"
import { Effect } from "effect"
import { embeddedModel } from "../../../cli/environment.ts"
import { Engine } from "../../../kernel/engine/engine.ts"
import { LlamaEngine } from "../../../kernel/engine/llama.ts"
import { makeWindow } from "../../../kernel/memory/window.ts"
import { random } from "../engine/random.ts"

const notice = /\n\[page 7 is longer, \d+ characters: recall reads it in parts\]\n/

layer(LlamaEngine.layer({ modelPath: embeddedModel, contextSize: 1024 }))("a window", (it) => {
  describe("a result that is too long", () => {
    it.effect("is shown with a good part of its beginning and of its end, however long it is", () =>
      Effect.gen(function* () {
        const window = makeWindow(yield* Engine)
        const lines = Array.from({ length: 400 }, (_, i) => `the rain fell on hill ${i}`)
        for (let n = 24; n <= 400; n += n < 80 ? 1 : 40) {
          const text = lines.slice(0, n).join("\n")
          const [head = "", tail = ""] = window.view(text, 7, window.most).split(notice)
          assert.isTrue(text.startsWith(head) && text.endsWith(tail), `${n} lines`)
          assert.isAbove(window.count(head), window.most * 0.4, `${n} lines`)
          assert.isAbove(window.count(tail), window.most * 0.15, `${n} lines`)
          assert.isAtMost(window.count(window.view(text, 7, window.most)), window.most, `${n} lines`)
        }
        assert.strictEqual(window.view("short", 7, window.most), "short")
      })
    )

    it.effect("comes in parts that fit and together are the whole, whatever the text", () =>
      Effect.gen(function* () {
        const window = makeWindow(yield* Engine)
        const { below, pick } = random(3)
        for (let round = 0; round < 60; round++) {
          const text = Array.from({ length: below(3000) }, () =>
            pick(["a", " word", "\n", "é", "漢", "😀", "0", "<|end|>"])
          ).join("")
          const parts = [...window.parts(text)]
          assert.strictEqual(parts.join(""), text)
          for (const part of parts) {
            assert.isTrue(part.isWellFormed())
            assert.isAtMost(window.count(part), window.most)
          }
        }
      })
    )
  })

  it.effect("gives a stub no more than its share, and always the way back", () =>
    Effect.gen(function* () {
      const window = makeWindow(yield* Engine)
      const gone = [3, 5, 7].map((n) => ({
        page: n,
        about: "read 雨が丘に降った雨が丘に降った雨が丘に降った"
      }))
      const engine = yield* Engine
      for (const summary of [undefined, "short", "雨が降った ".repeat(60)]) {
        const stub = window.stub([[3, 8]], gone, summary)
        assert.isAtMost(stub.length, window.stubSize)
        assert.match(engine.detokenize(stub), /\[paged out: pages 3-8;.* recall reads them\]/s)
      }
    })
  )
})
