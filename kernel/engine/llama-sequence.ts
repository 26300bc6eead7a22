/**
 * A sequence in node-llama-cpp's terms: its tokens, the turn that is being decoded, and its row of the KV cache while it
 * has one.
 *
 * The last token of a sequence is always kept back, not yet evaluated: evaluating it is what gives the next token.
 * A turn is the run of decodes after a prefill or a rewind. While the sequence is resident it keeps one iterator
 * alive, so that the sampler's random numbers go on where they were, however long the sequence was left out of steps.
 * The grammar's state outlives the iterator: a sequence that was swapped out, or forked, goes on with it. Its random
 * numbers then start anew, from a seed made of the turn's own, of which fork it is and of how far it has come, and so
 * are not those that it has drawn before.
 */
import type {
  ControlledEvaluateInputItem,
  LlamaContextSequence,
  LlamaGrammar,
  LlamaGrammarEvaluationState,
  LlamaModel,
  SequenceEvaluateOptions
} from "node-llama-cpp"
import type { Costs, Decoded, Grammar, Sampling, Token } from "./engine.ts"
import type { Snapshot, SnapshotStore } from "./snapshot.ts"

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
  /** Alive between two decodes of a resident sequence. */
  iterator: AsyncGenerator<Token, void, undefined> | undefined
  readonly sampling: Sampling
  readonly grammar: ParsedGrammar | undefined
  readonly state: LlamaGrammarEvaluationState | undefined
  readonly object: ObjectEnd
  /** Tokens whose text ends inside a character. */
  readonly held: Array<Token>
  over: boolean
}

/** A row of the KV cache. */
export interface Row {
  /** llama.cpp evaluates rows together whose numbers follow each other, in this order. */
  readonly index: number
  readonly cells: LlamaContextSequence
}

/** What all sequences of an engine share. */
export interface Rows {
  readonly model: LlamaModel
  readonly startGrammar: StartGrammar
  readonly snapshots: SnapshotStore
  /** Takes an emptied row back. */
  readonly free: (row: Row) => void
  /** Bytes of the KV cache of so many tokens. */
  readonly bytes: (tokens: number) => number
  /** Takes in what was done to so many tokens since a time of `performance.now()`. */
  readonly measured: (what: keyof Costs, tokens: number, began: number) => void
}

export class LlamaSequence {
  readonly #rows: Rows
  readonly #tokens: Array<Token>
  #row: Row | undefined
  /** What was evaluated, all of it: while there is a row too, it is forgotten as soon as anything changes there. */
  #snapshot: Snapshot | undefined
  #turn: Turn | undefined
  /** How often it was forked, and which of its parent's forks it is while it is in the turn that it was forked in. */
  #forks = 0
  #stream = 0

  constructor(rows: Rows, tokens: ReadonlyArray<Token> = []) {
    this.#rows = rows
    this.#tokens = [...tokens]
  }

  get length(): number {
    return this.#tokens.length
  }

  get resident(): boolean {
    return this.#row !== undefined
  }

  /** The number of its row; sequences without one come first. */
  get row(): number {
    return this.#row?.index ?? -1
  }

  /** Tokens whose evaluation is there, in the row or in a state file: more than it has, if it was rewound without a row. */
  get #evaluated(): number {
    return this.#row?.cells.nextTokenIndex ?? this.#snapshot?.tokens ?? 0
  }

  get missing(): number {
    return Math.max(0, this.#tokens.length - 1 - this.#evaluated)
  }

  /** Whether the turn has come to its end, so that only a prefill or a rewind may follow. */
  get over(): boolean {
    return this.#turn?.over ?? false
  }

  /** Takes a row, and puts the saved state into it. A file that cannot be read is only a loss of time. */
  async swapIn(row: Row): Promise<void> {
    this.#row = row
    const snapshot = this.#snapshot
    if (snapshot === undefined) return
    const began = performance.now()
    const load = (path: string) => row.cells.loadStateFromFile(path, { acceptRisk: true })
    if (await this.#rows.snapshots.read(snapshot, load)) this.#rows.measured("load", snapshot.tokens, began)
    this.#forget()
    checkAlive(row.cells)
    await this.#keepBackLast()
  }

  /** Gives the row away, and keeps its state in a file if `save` and if there is room for one. */
  async swapOut(save: boolean): Promise<void> {
    if (save) await this.#save()
    else this.#forget()
    await this.#stopIterator()
    await this.#leave()
  }

  async #leave(): Promise<void> {
    const row = this.#row
    this.#row = undefined
    if (row === undefined) return
    if (row.cells.disposed) return // with the whole engine
    await row.cells.clearHistory()
    this.#rows.free(row)
  }

  /** A copy of it, not resident, which shares its state. */
  async fork(): Promise<LlamaSequence> {
    if (this.#row !== undefined) await this.#save()
    const copy = new LlamaSequence(this.#rows, this.#tokens)
    copy.#snapshot = this.#snapshot && this.#rows.snapshots.hold(this.#snapshot)
    const turn = this.#turn
    if (turn === undefined) return copy
    copy.#stream = mixed(this.#stream, ++this.#forks)
    copy.#turn = {
      ...turn,
      iterator: undefined,
      state: turn.state?.clone(),
      object: turn.object.clone(),
      held: [...turn.held]
    }
    return copy
  }

  /** Evaluates again up to `count` of the tokens that are missing. */
  async restore(count: number): Promise<void> {
    const from = this.#evaluated
    const due = this.#tokens.slice(from, Math.min(from + count, this.#tokens.length - 1))
    await this.#evaluate(due)
  }

  async prefill(tokens: ReadonlyArray<Token>): Promise<void> {
    await this.#endTurn()
    for (const token of tokens) this.#tokens.push(token)
    await this.#evaluate(this.#tokens.slice(this.#evaluated, -1))
  }

  async #evaluate(due: ReadonlyArray<Token>): Promise<void> {
    this.#forget()
    if (due.length > 0) await this.#row!.cells.evaluateWithoutGeneratingNewTokens(due as Tokens, noShift)
  }

  async decode(sampling: Sampling, grammar: ParsedGrammar | undefined): Promise<Decoded> {
    this.#forget()
    const turn = await this.#continueTurn(sampling, grammar)
    const next = await turn.iterator!.next()
    if (next.done) throw new Error("the sequence ended by itself")
    const token = next.value
    if (this.#rows.model.isEogToken(token as Tokens[number])) {
      const text = this.#rows.model.detokenize(turn.held as Tokens)
      await this.#finishTurn(turn)
      return { token, text, done: true }
    }
    const before = this.#tokens.slice(-8 - turn.held.length, this.#tokens.length - turn.held.length)
    this.#tokens.push(token)
    turn.held.push(token)
    let text = this.#rows.model.detokenize(turn.held as Tokens, false, before as Tokens)
    // A character takes at most four bytes, each of them a token in the worst case.
    if (text.endsWith("\ufffd") && turn.held.length < 4) text = ""
    else turn.held.length = 0
    const done = grammar !== undefined && turn.object.closedBy(text)
    if (done) await this.#finishTurn(turn)
    return { token, text, done }
  }

  async weigh(tokens: ReadonlyArray<Token>): Promise<Decoded> {
    await this.#endTurn()
    this.#forget()
    await this.#keepBackLast()
    const due = this.#tokens.slice(this.#evaluated)
    const logits = { filter: { tokens } }
    const asked = due.map((token, i) =>
      i < due.length - 1 ? token : [token, { generateNext: { logits } }]
    ) as ControlledEvaluateInputItem[]
    const told = (await this.#row!.cells.controlledEvaluate(asked, noShift)).at(-1)?.next.logits
    const weights = tokens.map((token) => told?.get(token as Tokens[number]) ?? Number.NEGATIVE_INFINITY)
    const token = tokens[weights.indexOf(Math.max(...weights))]!
    return { token, text: "", done: true, weights }
  }

  async rewind(length: number): Promise<void> {
    await this.#endTurn()
    this.#tokens.length = length
    if (this.#row === undefined) return
    this.#forget()
    await this.#keepBackLast()
  }

  async close(): Promise<void> {
    await this.#endTurn()
    await this.#leave()
    this.#forget()
  }

  /** Sees to it that there is a file of all that was evaluated, if there is room for one. */
  async #save(): Promise<void> {
    const { cells } = this.#row!
    const tokens = this.#evaluated
    if (tokens === 0 || this.#snapshot !== undefined) return
    const began = performance.now()
    const save = async (path: string) => (await cells.saveStateToFile(path)).fileSize
    this.#snapshot = await this.#rows.snapshots.write(tokens, this.#rows.bytes(tokens), save)
    if (this.#snapshot !== undefined) this.#rows.measured("save", tokens, began)
    checkAlive(cells)
  }

  /** The state in the file is not, or no longer, what is wanted. */
  #forget(): void {
    this.#rows.snapshots.release(this.#snapshot)
    this.#snapshot = undefined
  }

  async #continueTurn(sampling: Sampling, grammar: ParsedGrammar | undefined): Promise<Turn> {
    const turn = this.#turn
    const same = turn !== undefined && turn.grammar === grammar && sameSampling(turn.sampling, sampling)
    if (same && turn.iterator !== undefined) return turn
    await turn?.iterator?.return()
    const goesOn = turn !== undefined && turn.grammar === grammar
    const state = goesOn
      ? turn.state
      : grammar === undefined
        ? undefined
        : this.#rows.startGrammar(grammar.parsed)
    await this.#keepBackLast()
    const due = this.#tokens.slice(this.#evaluated)
    const first = !goesOn && this.#stream === 0
    const seed = first ? sampling.seed : mixed(mixed(sampling.seed, this.#stream), this.#tokens.length)
    this.#turn = {
      iterator: this.#row!.cells.evaluate(due as Tokens, {
        ...samplerOf(sampling, seed),
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
    if (this.#evaluated > kept)
      await this.#row!.cells.adaptStateToTokens(this.#tokens.slice(0, kept) as Tokens, false)
  }

  async #finishTurn(turn: Turn): Promise<void> {
    turn.over = true
    await this.#stopIterator()
  }

  async #stopIterator(): Promise<void> {
    const iterator = this.#turn?.iterator
    if (this.#turn !== undefined) this.#turn.iterator = undefined
    await iterator?.return()
  }

  async #endTurn(): Promise<void> {
    await this.#stopIterator()
    this.#turn = undefined
    this.#stream = 0
  }
}

/** A state that cannot be saved or loaded costs time; an engine that has ended is an error. */
const checkAlive = (row: LlamaContextSequence): void => {
  if (row.disposed) throw new Error("it has ended")
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
const samplerOf = ({ temperature, topK, topP, minP }: Sampling, seed: number): SequenceEvaluateOptions => ({
  temperature,
  topK: topK ?? 0,
  topP: topP ?? 1,
  minP: minP ?? 0,
  seed: (seed >>> 0) % anySeed,
  yieldEogToken: true
})

/** The one seed that llama.cpp takes for none, and replaces by one of its own (LLAMA_DEFAULT_SEED). */
const anySeed = 0xffffffff

/** A seed made of another and a number (the steps are those that end MurmurHash3, by A. Appleby). */
const mixed = (seed: number, n: number): number => {
  let h = seed ^ Math.imul(n, 0x9e3779b1)
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}

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

  clone(): ObjectEnd {
    const copy = new ObjectEnd()
    copy.#depth = this.#depth
    copy.#quoted = this.#quoted
    copy.#escaped = this.#escaped
    copy.#other = this.#other
    return copy
  }

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
