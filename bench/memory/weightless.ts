/**
 * An engine that does no arithmetic: a real one's tokenizer and window, with a policy in place of the weights.
 *
 * What a policy reads and writes is the same as on the real engine, where a grammar lets it write nothing else. It stands
 * in where only the answers of a long task count, or only the time that the kernel takes.
 */
import { Effect, Layer } from "effect"
import { Engine, type Grammar, type Sequence, type Token, type Work } from "../../kernel/engine/engine.ts"
import { callText } from "../../kernel/prompt.ts"
import type { Policy } from "../../test/fixtures/policy-engine.ts"

class Text implements Sequence {
  tokens: ReadonlyArray<Token>
  /** What it has yet to write of its call; undefined between turns. */
  due: ReadonlyArray<Token> | undefined
  resident = false
  readonly missing = 0

  constructor({ due, tokens }: Pick<Text, "tokens" | "due">) {
    this.tokens = tokens
    this.due = due
  }

  get length(): number {
    return this.tokens.length
  }

  readonly rewind = (length: number) =>
    Effect.sync(() => {
      this.tokens = this.tokens.slice(0, length)
      this.due = undefined
    })
}

const own = (sequence: Sequence): Text => sequence as Text

export const weightless = (policy: Policy) =>
  Layer.effect(
    Engine,
    Effect.map(Engine, (engine) => {
      const run = (work: Work) => {
        const s = own(work.sequence)
        if (work._tag === "Prefill") {
          s.tokens = [...s.tokens, ...work.tokens]
          s.due = undefined
        }
        if (work._tag !== "Decode") return undefined
        if (s.due === undefined) {
          const [tool, args = {}] = policy(engine.detokenize(s.tokens, true))
          s.due = engine.tokenize(callText(tool, args))
        }
        const [token, ...due] = s.due
        if (token === undefined) throw new Error("a decode came after the end of the turn")
        s.tokens = [...s.tokens, token]
        s.due = due
        return { token, text: engine.detokenize([token]), done: due.length === 0 }
      }
      const reside = (resident: boolean) => (sequence: Sequence) =>
        Effect.sync(() => {
          own(sequence).resident = resident
        })
      return Engine.of({
        ...engine,
        grammar: (gbnf): Effect.Effect<Grammar> => Effect.succeed({ gbnf }),
        sequence: Effect.sync(() => new Text({ tokens: [], due: undefined })),
        fork: (sequence) => Effect.sync(() => new Text(own(sequence))),
        swapIn: reside(true),
        swapOut: reside(false),
        step: (batch) => Effect.sync(() => batch.map(run))
      })
    })
  )
