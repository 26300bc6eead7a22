/** An engine that computes nothing: the time that is left is the kernel's. */
import { Effect, Layer } from "effect"
import { chatml } from "../../kernel/engine/chat-template.ts"
import { Engine, type Sequence, type Work } from "../../kernel/engine/engine.ts"
import { callText } from "../../kernel/prompt.ts"

/** Tells when a step began that decoded so many sequences. */
type Watch = (decodes: number, at: number) => void

class NullSequence implements Sequence {
  length = 0
  resident = false
  readonly missing = 0
  /** How much of its call it has written. */
  written = 0
  readonly rewind = () => Effect.void
}

/**
 * Every sequence writes the same call of `exit`, `tokens` long and a character a token. Rows are counted and
 * changed hands as in a real engine, at no cost.
 */
export const nullEngine = (rows: number, tokens: number, watch: Watch = () => {}) =>
  Layer.sync(Engine, () => {
    const call = callText("exit", { answer: "x".repeat(tokens - callText("exit", { answer: "" }).length) })
    const own = (sequence: Sequence) => sequence as NullSequence
    const run = (work: Work) => {
      const s = own(work.sequence)
      if (work._tag === "Prefill") s.length += work.tokens.length
      if (work._tag !== "Decode") return undefined
      s.length++
      const text = call[s.written++]!
      return { token: text.charCodeAt(0), text, done: s.written === call.length }
    }
    return Engine.of({
      model: { path: "", name: "null", parameters: 0, device: "none" },
      contextSize: 8191,
      sequences: rows,
      chunk: 512,
      template: chatml,
      bos: [],
      tokenize: (text) => Array.from(text, (c) => c.charCodeAt(0)),
      detokenize: (codes) => String.fromCharCode(...codes),
      grammar: (gbnf) => Effect.succeed({ gbnf }),
      sequence: Effect.sync(() => new NullSequence()),
      fork: (sequence) =>
        Effect.sync(() => {
          const { length, written } = own(sequence)
          return Object.assign(new NullSequence(), { length, written })
        }),
      swapIn: (sequence) =>
        Effect.sync(() => {
          own(sequence).resident = true
        }),
      swapOut: (sequence) =>
        Effect.sync(() => {
          own(sequence).resident = false
        }),
      costs: () => ({ prefill: 1, save: 0.01, load: 0.01 }),
      step: (batch) =>
        Effect.sync(() => {
          watch(batch.filter((work) => work._tag === "Decode").length, performance.now())
          return batch.map(run)
        })
    })
  })
