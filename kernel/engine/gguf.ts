/**
 * What a model file says about itself, read from its header alone (docs/gguf.md of the ggml repository).
 */
import { access } from "node:fs/promises"
import { basename } from "node:path"
import { Effect } from "effect"
import type { GgufFileInfo } from "node-llama-cpp"
import { EngineError } from "./engine.ts"

export interface ModelFile {
  readonly path: string
  readonly name: string
  readonly parameters: number
  /** Tokens of context it was trained for. */
  readonly trained: number | undefined
  /** Its chat template, in Jinja. */
  readonly template: string | undefined
  /** Whether its tokenizer puts a space before a text. */
  readonly spaced: boolean
  /** Bytes that the keys and values of this many tokens take at most, at 16 bits a number in every layer. */
  readonly cacheBytes: (tokens: number) => number
}

type Reader = typeof import("node-llama-cpp").readGgufFileInfo

/** Reads the header. Fails for a file that is missing or no model. */
export const readModelFile = Effect.fn("Gguf.read")(function* (read: Reader, path: string) {
  yield* Effect.tryPromise({
    try: () => access(path),
    catch: () =>
      new EngineError({
        message: `no model file at ${path}`,
        hint: "Check the path, or leave it out to use the embedded model."
      })
  })
  const file = yield* Effect.tryPromise({
    try: () => read(path, { sourceType: "filesystem", logWarnings: false }),
    catch: (error) =>
      new EngineError({
        message: `${path} is not a GGUF model file: ${error instanceof Error ? error.message : String(error)}`,
        hint: "Download the file again, or choose another one."
      })
  })
  const { general, tokenizer } = file.metadata
  return {
    path,
    name: general.name ?? basename(path),
    parameters: parameters(file),
    trained: file.metadata[general.architecture]?.context_length,
    template: typeof tokenizer?.chat_template === "string" ? tokenizer.chat_template : undefined,
    spaced: tokenizer?.ggml?.model === "llama" && tokenizer.ggml.add_space_prefix !== false,
    cacheBytes: (tokens) => tokens * cacheBytesPerToken(file)
  } satisfies ModelFile
})

const parameters = (file: GgufFileInfo): number =>
  (file.fullTensorInfo ?? []).reduce(
    (sum, { dimensions }) => sum + dimensions.reduce<number>((n, size) => n * Number(size), 1),
    0
  )

const cacheBytesPerToken = ({ architectureMetadata }: GgufFileInfo): number => {
  const own = architectureMetadata as {
    readonly block_count?: number
    readonly embedding_length?: number
    readonly attention?: {
      readonly head_count?: number | ReadonlyArray<number>
      readonly head_count_kv?: number | ReadonlyArray<number>
      readonly key_length?: number
      readonly value_length?: number
    }
  }
  const most = (n: number | ReadonlyArray<number> | undefined): number | undefined =>
    Array.isArray(n) ? Math.max(...n) : (n as number | undefined)
  const heads = most(own.attention?.head_count) ?? 1
  const size = (own.embedding_length ?? 0) / heads
  const perHead = (own.attention?.key_length ?? size) + (own.attention?.value_length ?? size)
  return (own.block_count ?? 0) * (most(own.attention?.head_count_kv) ?? heads) * perHead * 2
}
