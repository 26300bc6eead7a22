/**
 * The engine on this machine: node-llama-cpp, on a GPU when there is one and the model is worth it, else on the CPU.
 *
 * The library is imported when the layer is built, not before: it takes a quarter of a second. Nothing is ever built or
 * downloaded, and its log goes nowhere but into error messages.
 */
import { existsSync } from "node:fs"
import { access } from "node:fs/promises"
import { availableParallelism } from "node:os"
import { basename, resolve } from "node:path"
import { Effect, Layer, type Scope, Semaphore } from "effect"
import type { GgufFileInfo, Llama, LlamaContext, LlamaModel } from "node-llama-cpp"
import { chatml, chatTemplate } from "./chat-template.ts"
import { type Decoded, Engine, EngineError, type Sequence, type Token, type Work } from "./engine.ts"
import { LlamaSequence, ParsedGrammar } from "./llama-sequence.ts"

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

const failure = (message: string, hint: string): EngineError => new EngineError({ message, hint })

const reason = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/** Loads the model and its context; both live as long as the scope. */
const make = Effect.fn("LlamaEngine.layer")(function* (options: LlamaOptions) {
  const path = resolve(options.modelPath)
  const library = yield* Effect.tryPromise({
    try: () => import("node-llama-cpp"),
    catch: (error) =>
      failure(
        `node-llama-cpp could not be loaded: ${reason(error)}`,
        "Install the dependencies again: npm ci"
      )
  })
  const file = yield* readHeader(library, path)
  const parameters = parametersOf(file)
  const tiny = parameters < tinyParameters
  const log: Array<string> = []

  const llama = yield* disposable(
    () =>
      library.getLlama({
        gpu: options.gpu === false || tiny || !mayHaveGpu() ? false : "auto",
        build: "never",
        skipDownload: true,
        progressLogs: false,
        maxThreads: 0,
        logLevel: library.LlamaLogLevel.error,
        logger: (_level, message) => void log.push(message)
      }),
    (error) =>
      failure(
        `the inference engine did not start: ${reason(error)}`,
        "Install the dependencies again (npm ci); on a system without prebuilt binaries, use a remote engine."
      )
  )

  const trained = file.metadata[file.metadata.general.architecture]?.context_length
  const contextSize = options.contextSize ?? Math.min(trained ?? defaultContext, defaultContext)
  const sequences = options.sequences ?? 1
  const unloadable = (error: unknown): EngineError =>
    failure(
      `the model ${path} could not be loaded: ${[reason(error), ...log.slice(-2)].join("; ")}`,
      "Choose another model file, a smaller one, or a smaller context."
    )
  const model = yield* disposable(
    () =>
      llama.loadModel({
        modelPath: path,
        gpuLayers: { fitContext: { contextSize: contextSize * sequences } }
      }),
    unloadable
  )
  const threads =
    options.threads ?? (tiny ? 1 : Math.max(1, Math.min(llama.cpuMathCores, availableParallelism())))
  const chunk = tiny || llama.gpu !== false ? 512 : 128
  const wanted = { contextSize, sequences, threads, batchSize: Math.max(512, sequences) }
  yield* enoughMemory(llama, model, wanted)
  const context = yield* disposable(() => model.createContext(wanted), unloadable)

  return yield* service(library, { path, file, parameters, llama, model, context, chunk })
})

type Library = typeof import("node-llama-cpp")

interface Loaded {
  readonly path: string
  readonly file: GgufFileInfo
  readonly parameters: number
  readonly llama: Llama
  readonly model: LlamaModel
  readonly context: LlamaContext
  readonly chunk: number
}

const service = Effect.fnUntraced(function* (library: Library, loaded: Loaded) {
  const { llama, model, context } = loaded
  const ownTemplate = yield* Effect.promise(async () => {
    const source = loaded.file.metadata.tokenizer?.chat_template
    return typeof source === "string" ? chatTemplate(source, model.tokens.eosString ?? "") : undefined
  })
  const devices = llama.gpu === false ? ["CPU"] : yield* Effect.promise(() => llama.getGpuDeviceNames())
  // The library keeps one position free, and would shift the context to keep it so.
  const contextSize = context.contextSize - 1
  /** Everything that touches the context takes turns: its own lock starves those who wait. */
  const turns = yield* Semaphore.make(1)
  const open = new Map<Sequence, LlamaSequence>()

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
                  "Load the model again; the sequence may be incomplete."
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
      if (row === undefined)
        return failure("a sequence was used after it was given back", "Take a new sequence.")
      const added = work._tag === "Prefill" ? work.tokens.length : 1
      if (row.length + added > contextSize) {
        return failure(
          `the context is full: ${row.length} tokens and ${added} more do not fit into ${contextSize}`,
          "Rewind the sequence, or load the model with a larger context."
        )
      }
      if (work._tag === "Prefill") continue
      if (row.length === 0)
        return failure("a decode has no tokens to go on from", "Prefill the sequence first.")
      if (row.over)
        return failure("a decode came after the end of the turn", "Prefill or rewind the sequence first.")
      if (work.grammar !== undefined && !(work.grammar instanceof ParsedGrammar)) {
        return failure("a grammar of another engine was used", "Make grammars with the engine that decodes.")
      }
    }
    return undefined
  }

  const run = (work: Work): Promise<Decoded | undefined> => {
    const row = open.get(work.sequence)!
    return work._tag === "Prefill"
      ? row.prefill(work.tokens).then(() => undefined)
      : row.decode(work.sampling, work.grammar as ParsedGrammar | undefined)
  }

  const step = (batch: ReadonlyArray<Work>) =>
    attempt(async () => {
      const refused = refusal(batch)
      if (refused !== undefined) throw refused
      const results = await Promise.allSettled(batch.map(run))
      return results.map((result) => {
        if (result.status === "rejected") throw result.reason
        return result.value
      })
    })

  const take = Effect.suspend(() => {
    if (context.sequencesLeft === 0) {
      return Effect.fail(
        failure(
          `all ${context.totalSequences} sequences are taken`,
          "Wait until one is given back, or load the model with more sequences."
        )
      )
    }
    const row = new LlamaSequence(
      model,
      context.getSequence(),
      (grammar) => new library.LlamaGrammarEvaluationState({ model, grammar })
    )
    const sequence: Sequence = {
      get length() {
        return row.length
      },
      rewind: (length) =>
        attempt(async () => {
          if (!open.has(sequence))
            throw failure("a sequence was used after it was given back", "Take a new sequence.")
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
    return Effect.succeed(sequence)
  })

  const giveBack = (sequence: Sequence): Effect.Effect<void> =>
    attempt(async () => {
      const row = open.get(sequence)
      open.delete(sequence)
      await row?.close()
    }).pipe(Effect.orDie)

  const encode = tokenizer(loaded)
  return Engine.of({
    model: {
      path: loaded.path,
      name: loaded.file.metadata.general.name ?? basename(loaded.path),
      parameters: loaded.parameters,
      device: devices.join(", "),
      chat: ownTemplate === undefined ? "chatml" : "model"
    },
    contextSize,
    sequences: context.totalSequences,
    chunk: loaded.chunk,
    template: ownTemplate ?? chatml,
    bos: model.tokens.shouldPrependBosToken && model.tokens.bos !== null ? [model.tokens.bos] : [],
    tokenize: encode,
    detokenize: (tokens, special = false) =>
      model.detokenize(tokens as Parameters<LlamaModel["detokenize"]>[0], special),
    grammar: (gbnf) =>
      Effect.tryPromise({
        try: async () => new ParsedGrammar(gbnf, await llama.createGrammar({ grammar: gbnf })),
        catch: (error) =>
          failure(`the grammar was refused: ${reason(error)}`, "Check the schemas that it was made from.")
      }),
    sequence: Effect.acquireRelease(take, giveBack),
    step
  })
})

/** Texts are pieces of a longer one, so no piece gets the space that some vocabularies put before a text. */
const tokenizer = ({ file, model }: Loaded) => {
  const own = file.metadata.tokenizer?.ggml
  const spaced = own?.model === "llama" && own.add_space_prefix !== false
  return (text: string, special = false): ReadonlyArray<Token> =>
    spaced ? model.tokenize(text, special, "trimLeadingSpace") : model.tokenize(text, special)
}

/** A resource of the library, disposed when the scope closes. */
const disposable = <A extends { dispose: () => Promise<void> }>(
  acquire: () => Promise<A>,
  onError: (error: unknown) => EngineError
): Effect.Effect<A, EngineError, Scope.Scope> =>
  Effect.acquireRelease(Effect.tryPromise({ try: acquire, catch: onError }), (resource) =>
    Effect.promise(() => resource.dispose())
  )

const readHeader = (library: Library, path: string): Effect.Effect<GgufFileInfo, EngineError> =>
  Effect.gen(function* () {
    yield* Effect.tryPromise({
      try: () => access(path),
      catch: () =>
        failure(`no model file at ${path}`, "Check the path, or leave it out to use the embedded model.")
    })
    return yield* Effect.tryPromise({
      try: () => library.readGgufFileInfo(path, { sourceType: "filesystem", logWarnings: false }),
      catch: (error) =>
        failure(
          `${path} is not a GGUF model file: ${reason(error)}`,
          "Download the file again, or choose another one."
        )
    })
  })

const parametersOf = (file: GgufFileInfo): number =>
  (file.fullTensorInfo ?? []).reduce(
    (sum, { dimensions }) => sum + dimensions.reduce<number>((n, d) => n * Number(d), 1),
    0
  )

/** On Linux a GPU shows as a device node: NVIDIA, AMD compute, any renderer, WSL. Elsewhere the library finds out. */
const mayHaveGpu = (): boolean =>
  process.platform !== "linux" ||
  ["/dev/nvidiactl", "/dev/kfd", "/dev/dri", "/dev/dxg"].some((path) => existsSync(path))

/** The KV cache is taken at once, and on the CPU nothing but the kernel's killer would stop it. */
const enoughMemory = Effect.fnUntraced(function* (
  llama: Llama,
  model: LlamaModel,
  wanted: { readonly contextSize: number; readonly sequences: number; readonly batchSize: number }
) {
  if (llama.gpu !== false) return
  const needed = yield* Effect.promise(() =>
    model.fileInsights.estimateContextResourceRequirementsV2({ ...wanted, modelGpuLayers: 0 })
  )
  const free = process.availableMemory()
  if (needed.cpuRam + model.size <= free) return
  const gib = (bytes: number): string => `${(bytes / 2 ** 30).toFixed(1)} GiB`
  yield* failure(
    `the model needs ${gib(model.size)} and its context ${gib(needed.cpuRam)}, but ${gib(free)} of memory are free`,
    "Choose a smaller model, a smaller context or fewer sequences."
  )
})

export const LlamaEngine = {
  /** The engine of one model file. */
  layer: (options: LlamaOptions): Layer.Layer<Engine, EngineError> => Layer.effect(Engine, make(options))
}
