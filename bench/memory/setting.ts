/** What the parts of this bench share. */
import { embeddedModel } from "../../cli/environment.ts"
import { LlamaEngine } from "../../kernel/engine/llama.ts"

/** The model of the tasks that nano does itself. */
export const nanoModel = process.env.NOOS_BENCH_MODEL ?? embeddedModel

/** Tokens of the window, and how many times that all results together have. */
export const window = 1024
export const times = 20

/** One thread each, as two would wait for each other on small machines. */
export const llama = (modelPath: string, sequences: number, contextSize = window) =>
  LlamaEngine.layer({ modelPath, sequences, contextSize, threads: 1, gpu: false })

/** What a process of a long task may do. */
export const budget = { tokens: 10_000_000, syscalls: 10_000 }

/** Says on stderr how the bench is getting on. */
export const progress = (text: string): void => console.error(`memory: ${text}`)
