/**
 * Agents without the kernel's memory, each a loop of its own over the same engine: what they do when the window is full is
 * what chat programs do.
 */
import { Effect } from "effect"
import { exit } from "../../kernel/calls.ts"
import { Engine, type Token } from "../../kernel/engine/engine.ts"
import { closeTurn, message, openTurn, parse, resultText, systemText } from "../../kernel/prompt.ts"
import type { AnyTool, ToolContext } from "../../kernel/tool.ts"

/** An exchange as it lies in the prompt, or what stands for several. */
interface Said {
  readonly text: string
  readonly tokens: ReadonlyArray<Token>
}

/** What is left of the exchanges when they take more than `most` tokens. The newest always stays. */
export type Trim = (engine: Engine["Service"], said: ReadonlyArray<Said>, most: number) => ReadonlyArray<Said>

const sizeOf = (said: ReadonlyArray<Said>): number => said.reduce((n, { tokens }) => n + tokens.length, 0)

/** The oldest go, and nothing says so. */
export const truncation: Trim = (_, said, most) => {
  let left = said
  while (left.length > 1 && sizeOf(left) > most) left = left.slice(1)
  return left
}

/** Words of a summary, and those of them that an earlier summary keeps. */
const words = { summary: 64, earlier: 32 }

/** All goes but the newest; the first words of each stand for it, and those of an earlier summary for that. */
export const summaries: Trim = (engine, said) => {
  const old = said.slice(0, -1)
  const each = Math.floor((words.summary - words.earlier) / Math.max(1, old.length - 1))
  const beginnings = old.map(({ text }, i) =>
    text
      .split(/\s+/)
      .slice(0, i === 0 ? words.earlier : each)
      .join(" ")
  )
  const text = beginnings.join(" ")
  return [{ text, tokens: message(engine, "user", text) }, ...said.slice(-1)]
}

/** Where trimming begins and how far it goes, as tokens of the whole prompt. */
export interface Marks {
  readonly high: number
  readonly low: number
}

/** A window that is used to its end, but for the next call. */
export const full = ({ contextSize }: Engine["Service"]): Marks => ({
  high: contextSize - 32,
  low: contextSize - 32
})

export interface Session {
  readonly task: string
  readonly tools: ReadonlyArray<AnyTool>
  readonly trim: Trim
  readonly marks: Marks
  /** Whether the KV cache of what lies in front of the first change is kept, or the whole prompt is read again. */
  readonly cached: boolean
}

/** How a session went: tokens that it read, and those that it would have read in a window without an end. */
export interface Ended {
  readonly answer: unknown
  readonly read: number
  readonly needed: number
  /** How often the prompt was trimmed. */
  readonly trims: number
}

/** No tool of a session asks for any of it. */
const noContext: ToolContext = {
  idempotencyKey: "",
  progress: () => Effect.void,
  self: undefined,
  history: Effect.succeed([]),
  signal: new AbortController().signal,
  get handles(): never {
    throw new Error("a session holds nothing open")
  },
  get workspace(): never {
    throw new Error("a session has no workspace")
  }
}

const greedy = { temperature: 0, seed: 0 }

/** One agent, from its task to its answer. */
export const session = Effect.fnUntraced(function* ({ cached, marks, task, tools, trim }: Session) {
  const engine = yield* Engine
  const sequence = yield* engine.sequence
  yield* engine.swapIn(sequence)
  const opening = openTurn(engine)
  const closing = closeTurn(engine)
  const fixed = [
    ...engine.bos,
    ...message(engine, "system", systemText([...tools, exit])),
    ...message(engine, "user", task)
  ]
  let said: ReadonlyArray<Said> = []
  let read = 0
  let needed = 0
  let trims = 0

  /** Reads all of the prompt that the sequence does not hold yet. */
  const catchUp = Effect.gen(function* () {
    const due = [...fixed, ...said.flatMap(({ tokens }) => tokens), ...opening].slice(sequence.length)
    for (let at = 0; at < due.length; at += engine.chunk)
      yield* engine.step([{ _tag: "Prefill", sequence, tokens: due.slice(at, at + engine.chunk) }])
    read += due.length
  })

  /** The next call: its text, and its tokens as far as the sequence has them. */
  const write = Effect.gen(function* () {
    const from = sequence.length
    const tokens: Array<Token> = []
    for (let text = ""; ; ) {
      const [decoded] = yield* engine.step([{ _tag: "Decode", sequence, sampling: greedy }])
      tokens.push(decoded!.token)
      text += decoded!.text
      if (decoded!.done) return { text, tokens: tokens.slice(0, sequence.length - from) }
    }
  })

  yield* catchUp
  needed += read
  for (;;) {
    const written = yield* write
    const call = parse(written.text)
    if (call?.tool === exit.name)
      return {
        answer: (call.args as { readonly answer: string }).answer,
        read,
        needed,
        trims
      } satisfies Ended
    const tool = tools.find(({ name }) => name === call?.tool)
    if (tool === undefined) return yield* Effect.die(`a session called ${written.text}`)
    const text = resultText(true, yield* tool.execute(call?.args, noContext))
    const came = [...closing, ...message(engine, "user", text)]
    needed += came.length + opening.length
    const before = said
    said = [...said, { text, tokens: [...opening, ...written.tokens, ...came] }]
    if (fixed.length + sizeOf(said) + opening.length > marks.high) {
      said = trim(engine, said, marks.low - fixed.length - opening.length)
      trims++
      const same = before.findIndex((one, i) => said[i] !== one)
      if (same >= 0) yield* sequence.rewind(cached ? fixed.length + sizeOf(before.slice(0, same)) : 0)
    }
    yield* catchUp
  }
}, Effect.scoped)
