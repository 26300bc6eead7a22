/** node-llama-cpp without noos: the loops that the kernel is compared with. */
import {
  getLlama,
  type LlamaContextSequence,
  LlamaGrammarEvaluationState,
  LlamaLogLevel
} from "node-llama-cpp"

export type Tokens = Parameters<LlamaContextSequence["evaluate"]>[0]

export interface Bare {
  /** Rows whose prompts have been read, all but the last token; each gives its next token when it is asked. */
  readonly start: (
    prompts: ReadonlyArray<ReadonlyArray<number>>,
    gbnf: string
  ) => Promise<ReadonlyArray<AsyncGenerator<number, void, undefined>>>
  readonly close: () => Promise<void>
}

/** A model and a context of the same shape as the kernel's engine has. */
export const open = async (modelPath: string, sequences: number) => {
  const llama = await getLlama({ gpu: false, build: "never", logLevel: LlamaLogLevel.error })
  const model = await llama.loadModel({ modelPath })
  const context = await model.createContext({ contextSize: 2048, sequences, threads: 1, batchSize: 512 })
  return { llama, model, context }
}

export const bare = async (modelPath: string, sequences: number): Promise<Bare> => {
  const { context, llama, model } = await open(modelPath, sequences)
  const rows = Array.from({ length: sequences }, () => context.getSequence())
  return {
    start: async (prompts, gbnf) => {
      const grammar = await llama.createGrammar({ grammar: gbnf })
      for (const [i, prompt] of prompts.entries()) {
        const [row, known] = [rows[i]!, prompt.slice(0, -1) as Tokens]
        // What was read for an earlier start is still there.
        await row.adaptStateToTokens(known, false)
        await row.evaluateWithoutGeneratingNewTokens(known.slice(row.nextTokenIndex))
      }
      return prompts.map((prompt, i) =>
        rows[i]!.evaluate(prompt.slice(-1) as Tokens, {
          temperature: 0,
          grammarEvaluationState: new LlamaGrammarEvaluationState({ model, grammar })
        })
      )
    },
    close: () => llama.dispose()
  }
}

/** Every row a token, together, again and again. Gives ms. */
export const lockstep = async (
  rows: ReadonlyArray<AsyncGenerator<number, void, undefined>>,
  tokens: number
): Promise<number> => {
  const began = performance.now()
  for (let i = 0; i < tokens; i++) await Promise.all(rows.map((row) => row.next()))
  const ms = performance.now() - began
  await Promise.all(rows.map((row) => row.return()))
  return ms
}

/** Every row on its own, as the library is used. Gives ms. */
export const freeRunning = async (
  rows: ReadonlyArray<AsyncGenerator<number, void, undefined>>,
  tokens: number
): Promise<number> => {
  const began = performance.now()
  await Promise.all(
    rows.map(async (row) => {
      for (let i = 0; i < tokens; i++) await row.next()
      await row.return()
    })
  )
  return performance.now() - began
}
