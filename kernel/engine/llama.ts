/**
 * The engine on this machine: node-llama-cpp, on a GPU when there is one and the model is worth it, else on the CPU.
 *
 * Steps, rewinds and the giving back of sequences take turns. A step that has begun is always finished, also when its
 * caller is interrupted: a batch cannot be recalled, and what it did has to be on the books.
 */
import { availableParallelism } from "node:os"
import { resolve } from "node:path"
import { Effect, Layer, type Scope, Semaphore } from "effect"
import type { Llama, LlamaContext, LlamaModel } from "node-llama-cpp"
import { chatml, chatTemplate } from "./chat-template.ts"
import {
  type Costs,
  type Decoded,
  Engine,
  EngineError,
  type Sequence,
  type Token,
  type Work
} from "./engine.ts"
import { type ModelFile, readModelFile } from "./gguf.ts"
import { importLibrary, type Library, startLibrary, takeComplaints } from "./llama-library.ts"
import { LlamaSequence, ParsedGrammar, type Row, type Rows } from "./llama-sequence.ts"
import { SnapshotFolders, snapshotStore } from "./snapshot.ts"

export interface LlamaOptions {
  readonly modelPath: string
  /** Tokens one sequence can hold. Default: what the model was trained for, at most 8,192. */
  readonly contextSize?: number
  /** Rows of the KV cache, each of which takes its whole memory at once. Default 1. */
  readonly sequences?: number
  /** Default: 1 for tiny models, for which more would only wait for each other; else one for each physical core. */
  readonly threads?: number
  /** `"auto"` (default) uses a GPU for models that are not tiny; `false` never does. */
  readonly gpu?: "auto" | false
}

/** Below this many parameters a token takes less time than waking a GPU or a second thread. */
const tinyParameters = 50_000_000
const defaultContext = 8192
/** llama.cpp's limit. */
export const mostSequences = 256

const failure = (message: string, hint: string): EngineError => new EngineError({ message, hint })

const reason = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/** Loads the model and its context; both live as long as the scope. */
const make = Effect.fn("LlamaEngine.layer")(function* (options: LlamaOptions) {
  const library = yield* Effect.tryPromise({ try: importLibrary, catch: unstartable })
  const file = yield* readModelFile(library.readGgufFileInfo, resolve(options.modelPath))
  const contextSize = options.contextSize ?? Math.min(file.trained ?? defaultContext, defaultContext)
  const sequences = options.sequences ?? 1
  if (![contextSize, sequences].every((n) => Number.isInteger(n) && n > 0) || sequences > mostSequences) {
    return yield* failure(
      `a context of ${contextSize} tokens for ${sequences} sequences is not possible`,
      `Ask for a whole number of tokens and for 1 to ${mostSequences} sequences.`
    )
  }
  const tiny = file.parameters < tinyParameters
  const llama = yield* Effect.tryPromise({
    try: () => startLibrary(library, tiny ? false : (options.gpu ?? "auto")),
    catch: unstartable
  })
  const gpuLayers = { fitContext: { contextSize: contextSize * sequences } }
  const model = yield* load(file, (loadSignal) =>
    llama.loadModel({ modelPath: file.path, gpuLayers, loadSignal })
  )
  const wanted = {
    contextSize,
    sequences,
    threads:
      options.threads ?? (tiny ? 1 : Math.max(1, Math.min(llama.cpuMathCores, availableParallelism()))),
    batchSize: Math.max(512, sequences)
  }
  if (llama.gpu === false) yield* enoughMemory(file, model, wanted)
  const context = yield* load(file, (createSignal) => model.createContext({ ...wanted, createSignal }))
  const chunk = llama.gpu === false ? 128 : 512
  return yield* service({ library, file, llama, model, context, chunk })
})

const unstartable = (error: unknown): EngineError =>
  failure(
    `the inference engine did not start: ${reason(error)}`,
    "Install the dependencies again (npm ci); on a system without prebuilt binaries, use a remote engine."
  )

/** A part of the loaded model, freed when the scope closes. Interruption stops the loading, which may take minutes. */
const load = <A extends { dispose: () => Promise<void> }>(
  file: ModelFile,
  acquire: (signal: AbortSignal) => Promise<A>
): Effect.Effect<A, EngineError, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.tryPromise({ try: acquire, catch: reason }).pipe(
      Effect.catch((why) =>
        Effect.promise(takeComplaints).pipe(
          Effect.flatMap((complaints) =>
            failure(
              `the model ${file.path} could not be loaded: ${[why, ...complaints].join("; ")}`,
              "Choose another model file, a smaller one, or a smaller context."
            )
          )
        )
      )
    ),
    (part) => Effect.promise(() => part.dispose()),
    { interruptible: true }
  )

interface Loaded {
  readonly library: Library
  readonly file: ModelFile
  readonly llama: Llama
  readonly model: LlamaModel
  readonly context: LlamaContext
  readonly chunk: number
}

const service = Effect.fnUntraced(function* ({ library, file, llama, model, context, chunk }: Loaded) {
  const source = file.template
  const ownTemplate =
    source === undefined
      ? undefined
      : yield* Effect.promise(() => chatTemplate(source, model.tokens.eosString ?? ""))
  const devices = llama.gpu === false ? ["CPU"] : yield* Effect.promise(() => llama.getGpuDeviceNames())
  // The library keeps one position free, and would shift the context to keep it so.
  const contextSize = context.contextSize - 1
  /** Everything that touches the context takes turns: its own lock starves those who wait. */
  const turns = yield* Semaphore.make(1)
  const open = new Map<Sequence, LlamaSequence>()
  const costs = new Averages()
  /** The lowest first: rows that are in use should follow each other. */
  const free: Array<Row> = []
  for (let index = 0; index < context.totalSequences; index++)
    free.push({ index, cells: context.getSequence() })
  const rows: Rows = {
    free: (row) => {
      free.push(row)
      free.sort((a, b) => a.index - b.index)
    },
    model,
    startGrammar: (grammar) => new library.LlamaGrammarEvaluationState({ model, grammar }),
    snapshots: yield* snapshotStore(yield* SnapshotFolders),
    bytes: file.cacheBytes,
    measured: (what, tokens, began) => costs.note(what, tokens, began)
  }
  // What is under way when the engine ends still needs the context and the files.
  yield* Effect.addFinalizer(() => turns.withPermit(Effect.void))

  const attempt = <A>(run: () => Promise<A>): Effect.Effect<A, EngineError> =>
    turns.withPermit(
      Effect.uninterruptible(
        Effect.tryPromise({
          try: run,
          catch: (error) =>
            error instanceof EngineError
              ? error
              : failure(
                  `the engine failed: ${reason(error)}`,
                  "Rewind the sequences of this step to where they were; if that does not help, load the model again."
                )
        })
      )
    )

  const refusal = (batch: ReadonlyArray<Work>): EngineError | undefined => {
    if (new Set(batch.map((work) => work.sequence)).size < batch.length) {
      return failure("a step holds two items for one sequence", "Give each sequence one item in a step.")
    }
    for (const work of batch) {
      const row = open.get(work.sequence)
      if (row === undefined) return closed
      if (!row.resident) return failure("a sequence was stepped without a row", "Swap it in first.")
      if (work._tag === "Restore") continue
      if (row.missing > 0)
        return failure(`${row.missing} tokens of a sequence are missing`, "Restore them first.")
      const added = work._tag === "Weigh" ? 0 : readBy(work)
      if (row.length + added > contextSize) {
        return failure(
          `the context is full: ${row.length} tokens and ${added} more do not fit into ${contextSize}`,
          "Rewind the sequence, or load the model with a larger context."
        )
      }
      if (work._tag === "Prefill") continue
      if (row.length === 0)
        return failure("a decode has no tokens to go on from", "Prefill the sequence first.")
      if (work._tag === "Weigh") continue
      if (row.over)
        return failure("a decode came after the end of the turn", "Prefill or rewind the sequence first.")
      if (work.grammar !== undefined && !(work.grammar instanceof ParsedGrammar)) {
        return failure("a grammar of another engine was used", "Make grammars with the engine that decodes.")
      }
    }
    return undefined
  }

  const run = async (work: Work): Promise<Decoded | undefined> => {
    const row = open.get(work.sequence)!
    if (work._tag === "Decode") return row.decode(work.sampling, work.grammar as ParsedGrammar | undefined)
    if (work._tag === "Weigh") return row.weigh(work.tokens)
    await (work._tag === "Prefill" ? row.prefill(work.tokens) : row.restore(work.count))
    return undefined
  }

  const step = (batch: ReadonlyArray<Work>) =>
    attempt(async () => {
      const refused = refusal(batch)
      if (refused !== undefined) throw refused
      const read = batch.reduce((n, work) => n + readBy(work), 0)
      const began = performance.now()
      const inOrder = [...batch].sort((a, b) => find(a.sequence).row - find(b.sequence).row)
      const results = new Map<Work, PromiseSettledResult<Decoded | undefined>>()
      for (const [i, result] of (await Promise.allSettled(inOrder.map(run))).entries())
        results.set(inOrder[i]!, result)
      const ended = batch.map((work) => {
        const result = results.get(work)!
        if (result.status === "rejected") throw result.reason
        return result.value
      })
      if (batch.every((work) => work._tag === "Prefill" || work._tag === "Restore"))
        costs.note("prefill", read, began)
      return ended
    })

  const find = (sequence: Sequence): LlamaSequence => {
    const row = open.get(sequence)
    if (row === undefined) throw closed
    return row
  }

  /** What the outside sees of a sequence. */
  const show = (row: LlamaSequence): Sequence => {
    const sequence: Sequence = {
      get length() {
        return row.length
      },
      get resident() {
        return row.resident
      },
      get missing() {
        return row.missing
      },
      rewind: (length) =>
        attempt(async () => {
          find(sequence)
          if (!Number.isInteger(length) || length < 0 || length > row.length) {
            throw failure(
              `cannot rewind ${row.length} tokens to ${length}`,
              "Rewind to a length that was reached."
            )
          }
          await row.rewind(length)
        })
    }
    open.set(sequence, row)
    return sequence
  }

  const fork = (sequence: Sequence) => attempt(async () => show(await find(sequence).fork()))

  const swapIn = (sequence: Sequence) =>
    attempt(async () => {
      const row = find(sequence)
      if (row.resident) throw failure("a sequence that has a row was swapped in", "Swap it in once.")
      const lowest = free.shift()
      if (lowest === undefined) {
        throw failure(
          `all ${context.totalSequences} rows of the KV cache are taken`,
          "Swap another sequence out, or load the model with more sequences."
        )
      }
      await row.swapIn(lowest)
    })

  const swapOut = (sequence: Sequence, how: "save" | "drop") =>
    attempt(async () => {
      const row = find(sequence)
      if (!row.resident) throw failure("a sequence without a row was swapped out", "Swap it in first.")
      await row.swapOut(how === "save")
    })

  const giveBack = (sequence: Sequence): Effect.Effect<void> =>
    attempt(async () => {
      const row = open.get(sequence)
      open.delete(sequence)
      await row?.close()
    }).pipe(Effect.orDie)

  const text = pieces(file, model)
  return Engine.of({
    model: {
      path: file.path,
      name: file.name,
      parameters: file.parameters,
      device: devices.join(", "),
      chat: ownTemplate === undefined ? "chatml" : "model"
    },
    contextSize,
    sequences: context.totalSequences,
    chunk,
    template: ownTemplate ?? chatml,
    bos: model.tokens.shouldPrependBosToken && model.tokens.bos !== null ? [model.tokens.bos] : [],
    tokenize: text.tokenize,
    detokenize: text.detokenize,
    grammar: (gbnf) =>
      Effect.tryPromise({
        try: async () => new ParsedGrammar(gbnf, await llama.createGrammar({ grammar: gbnf })),
        catch: (error) =>
          failure(`the grammar was refused: ${reason(error)}`, "Check the schemas that it was made from.")
      }),
    sequence: Effect.acquireRelease(
      Effect.sync(() => show(new LlamaSequence(rows))),
      giveBack
    ),
    fork: (sequence) => Effect.acquireRelease(fork(sequence), giveBack),
    swapIn,
    swapOut,
    costs: () => costs.now,
    step
  })
})

const closed = failure("a sequence was used after it was given back", "Take a new sequence.")

/** Tokens that an item reads. */
const readBy = (work: Work): number => {
  if (work._tag === "Decode" || work._tag === "Weigh") return 1
  return work._tag === "Prefill" ? work.tokens.length : Math.min(work.count, work.sequence.missing)
}

/** What things cost, in ms a token: averages in which the latest measurement counts a quarter. */
class Averages {
  /** Guesses, until something was measured. */
  now: Costs = { prefill: 1, save: 0.02, load: 0.01 }
  readonly #measured = new Set<keyof Costs>()

  /** Few tokens say little: most of their time is overhead. */
  note(what: keyof Costs, tokens: number, began: number): void {
    if (tokens < 16) return
    const cost = (performance.now() - began) / tokens
    const before = this.#measured.has(what) ? this.now[what] : cost
    this.#measured.add(what)
    this.now = { ...this.now, [what]: 0.75 * before + 0.25 * cost }
  }
}

/**
 * The tokenizer for pieces of a longer text. Some vocabularies put a space before a text and take it away again; there
 * a piece is read as what follows a mark, a control character that no vocabulary joins with others.
 */
const pieces = ({ spaced }: ModelFile, model: LlamaModel) => {
  const mark = spaced ? "\u0001" : ""
  const marked = model.tokenize(mark)
  return {
    tokenize: (text: string, special = false): ReadonlyArray<Token> =>
      text === "" ? [] : model.tokenize(mark + text, special).slice(marked.length),
    detokenize: (tokens: ReadonlyArray<Token>, special = false): string =>
      model.detokenize([...marked, ...tokens] as typeof marked, special).slice(mark.length)
  }
}

/**
 * The cache is taken at once, and on the CPU nothing would stop it but the system's killer. The library's estimate is
 * exact also for models that keep less than every layer, but takes memory itself: it is asked only where the simple
 * upper bound does not fit, and not where that is hopeless.
 */
const enoughMemory = Effect.fnUntraced(function* (
  file: ModelFile,
  model: LlamaModel,
  wanted: { readonly contextSize: number; readonly sequences: number; readonly batchSize: number }
) {
  const free = process.availableMemory()
  const most = file.cacheBytes(wanted.contextSize * wanted.sequences)
  if (model.size + most <= free) return
  const needed =
    most > 16 * free
      ? most
      : (yield* Effect.promise(() =>
          model.fileInsights.estimateContextResourceRequirementsV2({ ...wanted, modelGpuLayers: 0 })
        )).cpuRam
  if (model.size + needed <= free) return
  const gib = (bytes: number): string => `${(bytes / 2 ** 30).toFixed(1)} GiB`
  return yield* failure(
    `the model needs ${gib(model.size)} and its context ${gib(needed)}, but ${gib(free)} of memory are free`,
    "Choose a smaller model, a smaller context or fewer sequences."
  )
})

export const LlamaEngine = {
  /** The engine of one model file. */
  layer: (options: LlamaOptions): Layer.Layer<Engine, EngineError> => Layer.effect(Engine, make(options))
}
