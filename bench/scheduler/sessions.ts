/** Agents on node-llama-cpp without noos's kernel: each writes, calls and reads in a loop of its own. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { Effect } from "effect"
import {
  getLlama,
  type LlamaContextSequence,
  LlamaGrammarEvaluationState,
  LlamaLogLevel
} from "node-llama-cpp"
import { closeTurn, message, openTurn, type Renderer, resultText, systemText } from "../../kernel/prompt.ts"
import type { AnyTool, ToolContext } from "../../kernel/tool.ts"
import { parse } from "../../kernel/turn.ts"
import type { Task } from "../../models/nano/task.ts"
import { Sandbox } from "../../sandbox/sandbox.ts"

type Tokens = Parameters<LlamaContextSequence["evaluate"]>[0]

/** Reads some tokens and writes the next call. */
type Write = (tokens: ReadonlyArray<number>) => Promise<string>

/** A sequence for each agent, all on one context. */
export const sessions = (modelPath: string, count: number, gbnf: string) =>
  Effect.gen(function* () {
    const llama = yield* Effect.acquireRelease(
      Effect.promise(() => getLlama({ gpu: false, build: "never", logLevel: LlamaLogLevel.error })),
      (llama) => Effect.promise(() => llama.dispose())
    )
    const model = yield* Effect.promise(() => llama.loadModel({ modelPath }))
    const context = yield* Effect.promise(() =>
      model.createContext({ contextSize: 2048, sequences: count, threads: 1, batchSize: 512 })
    )
    const grammar = yield* Effect.promise(() => llama.createGrammar({ grammar: gbnf }))
    return Array.from({ length: count }, (): Write => {
      const sequence = context.getSequence()
      return async (tokens) => {
        const grammarEvaluationState = new LlamaGrammarEvaluationState({ model, grammar })
        const written: Array<Tokens[number]> = []
        for await (const token of sequence.evaluate(tokens as Tokens, {
          temperature: 0,
          grammarEvaluationState
        })) {
          written.push(token)
          const text = model.detokenize(written)
          if (text.endsWith("}") && parse(text) !== undefined) return text
        }
        return model.detokenize(written)
      }
    })
  })

/** The text that a model reads of a call. */
const call = (tools: ReadonlyArray<AnyTool>, name: string, args: unknown, context: ToolContext) => {
  const tool = tools.find((t) => t.name === name)!
  return tool.execute(args, context).pipe(
    Effect.map(
      (result) => tool.toModel?.(result) ?? (typeof result === "string" ? result : JSON.stringify(result))
    ),
    Effect.map((text) => resultText(true, text)),
    Effect.catch((error) => Effect.succeed(resultText(false, error.message)))
  )
}

/** One agent: prepared, and then at its task, to its answer. Tells whether that is the right one. */
export const session = Effect.fnUntraced(function* (
  renderer: Renderer,
  write: Write,
  tools: ReadonlyArray<AnyTool>,
  { answer, text, world }: Task
) {
  const folder = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "noos-bench-"))),
    (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
  )
  for (const [file, content] of world.initial) {
    mkdirSync(dirname(join(folder, file)), { recursive: true })
    writeFileSync(join(folder, file), content)
  }
  const workspace = yield* (yield* Sandbox).open(folder)
  const context = { workspace, idempotencyKey: "", progress: () => Effect.void, self: undefined }
  return Effect.gen(function* () {
    const open = openTurn(renderer)
    let due: ReadonlyArray<number> = [
      ...renderer.bos,
      ...message(renderer, "system", systemText(tools)),
      ...message(renderer, "user", text),
      ...open
    ]
    for (let turn = 0; turn < 16; turn++) {
      const said = parse(yield* Effect.promise(() => write(due)))
      if (said === undefined) return false
      if (said.tool === "exit") return (said.args as { readonly answer: string }).answer === answer
      const result = yield* call(tools, said.tool, said.args, context)
      due = [...closeTurn(renderer), ...message(renderer, "user", result), ...open]
    }
    return false
  })
})
