/** Agents on node-llama-cpp without noos's kernel: each writes, calls and reads in a loop of its own. */
import { Effect } from "effect"
import { LlamaGrammarEvaluationState } from "node-llama-cpp"
import {
  closeTurn,
  message,
  openTurn,
  parse,
  type Renderer,
  resultText,
  systemText
} from "../../kernel/prompt.ts"
import { textOf } from "../../kernel/syscall.ts"
import type { AnyTool, ToolContext } from "../../kernel/tool.ts"
import type { Task } from "../../models/nano/task.ts"
import { Sandbox } from "../../sandbox/sandbox.ts"
import { contextIn } from "../../test/fixtures/context.ts"
import { folderOf } from "../nano.ts"
import { open, type Tokens } from "./bare.ts"

/** Reads some tokens and writes the next call. */
type Write = (tokens: ReadonlyArray<number>) => Promise<string>

/** A sequence for each agent, all on one context. */
export const sessions = (modelPath: string, count: number, gbnf: string) =>
  Effect.gen(function* () {
    const { context, llama, model } = yield* Effect.acquireRelease(
      Effect.promise(() => open(modelPath, count)),
      ({ llama }) => Effect.promise(() => llama.dispose())
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
    Effect.map((result) => resultText(true, textOf(tool, result))),
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
  const workspace = yield* (yield* Sandbox).open(yield* folderOf(world))
  const context = contextIn(workspace, yield* Effect.scope)
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
