/**
 * One row of the KV cache in node-llama-cpp's terms: what is in it, and the turn that is being decoded.
 *
 * The last token of a sequence is always kept back, not yet evaluated: evaluating it is what gives the next token.
 * A turn is the run of decodes after a prefill or a rewind. It keeps one iterator alive, so that the sampler's random
 * numbers and the grammar's state go on where they were, however long the sequence was left out of steps.
 */
import type {
  LlamaContextSequence,
  LlamaGrammar,
  LlamaGrammarEvaluationState,
  LlamaModel,
  SequenceEvaluateOptions
} from "node-llama-cpp"
import type { Decoded, Grammar, Sampling, Token } from "./engine.ts"

/** A grammar parsed by llama.cpp. */
export class ParsedGrammar implements Grammar {
  readonly gbnf: string
  readonly parsed: LlamaGrammar
  constructor(gbnf: string, parsed: LlamaGrammar) {
    this.gbnf = gbnf
    this.parsed = parsed
  }
}

/** Makes the state in which a grammar follows one text. Given by the loader, as the library is imported lazily. */
export type StartGrammar = (grammar: LlamaGrammar) => LlamaGrammarEvaluationState

interface Turn {
  readonly iterator: AsyncGenerator<Token, void, undefined>
  readonly sampling: Sampling
  readonly grammar: ParsedGrammar | undefined
  readonly state: LlamaGrammarEvaluationState | undefined
  readonly object: ObjectEnd
  /** Tokens whose text ends inside a character. */
  readonly held: Array<Token>
  over: boolean
}

export class LlamaSequence {
  readonly #model: LlamaModel
  readonly #row: LlamaContextSequence
  readonly #startGrammar: StartGrammar
  readonly #tokens: Array<Token> = []
  #turn: Turn | undefined

  constructor(model: LlamaModel, row: LlamaContextSequence, startGrammar: StartGrammar) {
    this.#model = model
    this.#row = row
    this.#startGrammar = startGrammar
  }

  get length(): number {
    return this.#tokens.length
  }

  /** Whether the turn has come to its end, so that only a prefill or a rewind may follow. */
  get over(): boolean {
    return this.#turn?.over ?? false
  }

  async prefill(tokens: ReadonlyArray<Token>): Promise<void> {
    await this.#endTurn()
    for (const token of tokens) this.#tokens.push(token)
    const due = this.#tokens.slice(this.#row.nextTokenIndex, -1)
    if (due.length > 0) await this.#row.evaluateWithoutGeneratingNewTokens(due as Tokens, noShift)
  }

  async decode(sampling: Sampling, grammar: ParsedGrammar | undefined): Promise<Decoded> {
    const turn = await this.#continueTurn(sampling, grammar)
    const next = await turn.iterator.next()
    if (next.done) throw new Error("the sequence ended by itself")
    const token = next.value
    if (this.#model.isEogToken(token as Tokens[number])) {
      const text = this.#model.detokenize(turn.held as Tokens)
      await this.#finishTurn(turn)
      return { token, text, done: true }
    }
    const before = this.#tokens.slice(-8 - turn.held.length, this.#tokens.length - turn.held.length)
    this.#tokens.push(token)
    turn.held.push(token)
    let text = this.#model.detokenize(turn.held as Tokens, false, before as Tokens)
    // A character takes at most four bytes, each of them a token in the worst case.
    if (text.endsWith("\ufffd") && turn.held.length < 4) text = ""
    else turn.held.length = 0
    const done = grammar !== undefined && turn.object.closedBy(text)
    if (done) await this.#finishTurn(turn)
    return { token, text, done }
  }

  async rewind(length: number): Promise<void> {
    await this.#endTurn()
    this.#tokens.length = length
    await this.#keepBackLast()
  }

  async close(): Promise<void> {
    await this.#endTurn()
    await this.#row.dispose()
  }

  async #continueTurn(sampling: Sampling, grammar: ParsedGrammar | undefined): Promise<Turn> {
    const turn = this.#turn
    if (turn !== undefined && turn.grammar === grammar && sameSampling(turn.sampling, sampling)) return turn
    await turn?.iterator.return()
    const goesOn = turn !== undefined && turn.grammar === grammar
    const state = goesOn ? turn.state : grammar === undefined ? undefined : this.#startGrammar(grammar.parsed)
    await this.#keepBackLast()
    const due = this.#tokens.slice(this.#row.nextTokenIndex)
    this.#turn = {
      iterator: this.#row.evaluate(due as Tokens, {
        ...samplerOf(sampling),
        ...grammarOf(state),
        ...noShift
      }),
      sampling,
      grammar,
      state,
      object: goesOn ? turn.object : new ObjectEnd(),
      held: goesOn ? turn.held : [],
      over: false
    }
    return this.#turn
  }

  /** Drops from the cache what is no longer in the sequence, and its last token. */
  async #keepBackLast(): Promise<void> {
    const kept = Math.max(0, this.#tokens.length - 1)
    if (this.#row.nextTokenIndex > kept)
      await this.#row.adaptStateToTokens(this.#tokens.slice(0, kept) as Tokens, false)
  }

  async #finishTurn(turn: Turn): Promise<void> {
    turn.over = true
    await turn.iterator.return()
  }

  async #endTurn(): Promise<void> {
    const turn = this.#turn
    this.#turn = undefined
    await turn?.iterator.return()
  }
}

/** The library brands its token numbers; they are the same numbers. */
type Tokens = Parameters<LlamaContextSequence["evaluateWithoutGeneratingNewTokens"]>[0]

/** A full row is an error of the kernel's memory management; throwing away its beginning would hide it. */
const noShift: Pick<SequenceEvaluateOptions, "contextShift"> = {
  contextShift: {
    strategy: () => {
      throw new Error("the context of the sequence is full")
    }
  }
}

/** Absent limits are off: 0 most likely tokens means all of them, 1 the whole probability. */
const samplerOf = ({ temperature, topK, topP, minP, seed }: Sampling): SequenceEvaluateOptions => ({
  temperature,
  topK: topK ?? 0,
  topP: topP ?? 1,
  minP: minP ?? 0,
  seed: seed >>> 0,
  yieldEogToken: true
})

const grammarOf = (state: LlamaGrammarEvaluationState | undefined): SequenceEvaluateOptions =>
  state === undefined ? {} : { grammarEvaluationState: state }

const sameSampling = (a: Sampling, b: Sampling): boolean =>
  a === b ||
  (a.temperature === b.temperature &&
    a.topK === b.topK &&
    a.topP === b.topP &&
    a.minP === b.minP &&
    a.seed === b.seed)

/** Follows a text that opens with a brace to the brace that closes it. Other texts are never closed. */
class ObjectEnd {
  #depth = 0
  #quoted = false
  #escaped = false
  #other = false

  closedBy(text: string): boolean {
    for (const c of text) {
      if (this.#depth === 0 && c !== "{") this.#other = true
      if (this.#other) return false
      if (this.#escaped) this.#escaped = false
      else if (this.#quoted) {
        if (c === "\\") this.#escaped = true
        else if (c === '"') this.#quoted = false
      } else if (c === '"') this.#quoted = true
      else if (c === "{" || c === "[") this.#depth++
      else if (c === "}" || c === "]") this.#depth--
      if (this.#depth === 0) return true
    }
    return false
  }
}
