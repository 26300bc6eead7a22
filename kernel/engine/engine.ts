/**
 * What the kernel asks of an inference engine: keep sequences, prefill them, decode one token of each at a time.
 *
 * The kernel owns the loop. An engine never runs on its own: `step` takes one batch of work, one item a sequence,
 * and settles when every item has. Stepping sequences together is what fills the engine's batches; pausing a
 * sequence is leaving it out of the next batch.
 */
import { Context, type Effect, Schema, type Scope } from "effect"

/** A token id of the engine's own vocabulary. */
export type Token = number

/** How the next token is chosen. `temperature` 0 is greedy; a limit that is absent is off. */
export interface Sampling {
  readonly temperature: number
  readonly topK?: number
  readonly topP?: number
  readonly minP?: number
  readonly seed: number
}

/** Text put around each role's message, from the model's own chat template. Each is a pair [before, after]. */
export interface ChatTemplate {
  readonly system: readonly [string, string]
  readonly user: readonly [string, string]
  readonly model: readonly [string, string]
}

/** A grammar compiled for this engine. Opaque; made by `Engine.grammar`, shared by any number of sequences. */
export interface Grammar {
  readonly gbnf: string
}

/**
 * One token of output. `done` when the grammar is complete or the model ended its turn: no further decode follows.
 *
 * - A grammar whose text opens with a brace is complete when that object closes; any other when the model ends.
 * - The token that ends the model's turn by itself is told but not kept: it is no part of `length`.
 * - `text` is what the token adds; a character spread over several tokens comes whole with the last of them.
 */
export interface Decoded {
  readonly token: Token
  readonly text: string
  readonly done: boolean
  /** Of a weighing, whose `token` is the likeliest: natural logarithms, up to one constant that they share. */
  readonly weights?: ReadonlyArray<number>
}

/**
 * One sequence of tokens and the turn that is being decoded at its end. It may be resident, in a row of the KV cache, or
 * swapped out; only a resident one can be stepped. `length` counts its tokens, the last decoded one included.
 */
export interface Sequence {
  readonly length: number
  readonly resident: boolean
  /** Tokens that have to be evaluated again before it can go on, because their part of the KV cache was dropped. */
  readonly missing: number
  /** Keeps the first `length` tokens and forgets the rest, and the turn with it. What is saved of them stays good. */
  readonly rewind: (length: number) => Effect.Effect<void, EngineError>
}

/** What one sequence does in a step. A prefill is one chunk: the kernel cuts long prompts. */
export type Work =
  | { readonly _tag: "Prefill"; readonly sequence: Sequence; readonly tokens: ReadonlyArray<Token> }
  /** Evaluates again up to `count` tokens that are `missing`. The turn is not touched. */
  | { readonly _tag: "Restore"; readonly sequence: Sequence; readonly count: number }
  | {
      /**
       * Samples the next token. The first decode after a prefill starts the grammar afresh; the following ones go on
       * with it, also when other sequences were stepped in between or this one was swapped out.
       */
      readonly _tag: "Decode"
      readonly sequence: Sequence
      readonly sampling: Sampling
      readonly grammar?: Grammar
    }
  /** Says how likely these tokens are to come next. None is kept: the sequence stays as it is, and its turn is over. */
  | { readonly _tag: "Weigh"; readonly sequence: Sequence; readonly tokens: ReadonlyArray<Token> }

/** What bringing a sequence back would cost, in ms a token, as measured so far by the engine itself. */
export interface Costs {
  readonly prefill: number
  readonly save: number
  readonly load: number
}

/** The engine failed: loading, memory, a lost device, a grammar it cannot read. */
export class EngineError extends Schema.TaggedError<EngineError>()("EngineError", {
  message: Schema.String,
  hint: Schema.String
}) {}

/** The engine of a model file. One loaded model, one context, `sequences` rows of `contextSize` tokens each: a KV cache
 * that any number of sequences take turns in. */
export class Engine extends Context.Service<
  Engine,
  {
    readonly model: {
      readonly path: string
      readonly name: string
      readonly parameters: number
      readonly device: string
      /** Whose `template` it is: the model's own, or ChatML because the model has none that can be cut into pieces. */
      readonly chat?: "model" | "chatml"
    }
    /** Tokens one sequence can hold, as really loaded. */
    readonly contextSize: number
    /** Rows of the KV cache: so many sequences can be resident at once. */
    readonly sequences: number
    /** The most tokens that the prefills of one step should carry together: what others wait for. */
    readonly chunk: number
    readonly template: ChatTemplate
    /** The token every sequence starts with, if the vocabulary has one and wants it. */
    readonly bos: ReadonlyArray<Token>
    /** The model's own tokenizer. With `special`, control tokens written in the text become those tokens. */
    readonly tokenize: (text: string, special?: boolean) => ReadonlyArray<Token>
    readonly detokenize: (tokens: ReadonlyArray<Token>, special?: boolean) => string
    readonly grammar: (gbnf: string) => Effect.Effect<Grammar, EngineError>
    /** A new, empty sequence, not yet resident. Its row and its saved state go when the scope closes. */
    readonly sequence: Effect.Effect<Sequence, never, Scope.Scope>
    /**
     * A copy of a sequence: the same tokens, the same turn at the same place of its grammar; not yet resident. The KV cache
     * is saved once and shared with all copies until they are swapped in. A sampled (not greedy) turn goes on with
     * random numbers of its own.
     */
    readonly fork: (sequence: Sequence) => Effect.Effect<Sequence, EngineError, Scope.Scope>
    /** Gives the sequence a row, and its saved KV cache back. Waits for none: fails when all rows are taken. */
    readonly swapIn: (sequence: Sequence) => Effect.Effect<void, EngineError>
    /**
     * Takes the row away. `save` keeps the KV cache in a state file, on a memory file system where there is room, else on
     * disk; `drop` keeps only the tokens, which then are `missing`. A state that cannot be saved is dropped.
     */
    readonly swapOut: (sequence: Sequence, how: "save" | "drop") => Effect.Effect<void, EngineError>
    readonly costs: () => Costs
    /**
     * One lockstep batch; at most one item a sequence. Only decoding and weighing give a token. A batch that cannot run, such as
     * one that does not fit into a sequence's context, fails before any of it does. Interruptible between batches: one
     * under way is finished first, so an interrupted caller finds a token more than it was told of and can rewind.
     */
    readonly step: (
      batch: ReadonlyArray<Work>
    ) => Effect.Effect<ReadonlyArray<Decoded | undefined>, EngineError>
  }
>()("noos/Engine") {}
