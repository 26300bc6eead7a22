/**
 * Program images: what all processes of one program share, as processes share the text segment of one executable.
 *
 * The system page is the same for all of them, so it is prefilled once: the first process that runs reads it, its sequence
 * is forked there, and all later ones start from that fork.
 */
import { Effect, Exit, Scope, Semaphore } from "effect"
import type { Engine, EngineError, Grammar, Sequence, Token } from "./engine/engine.ts"
import { callGrammar } from "./engine/gbnf.ts"
import type { Process, Program } from "./process.ts"
import { message, systemText } from "./prompt.ts"
import { validator } from "./syscall.ts"
import { type AnyTool, badInput, type ToolError } from "./tool.ts"

export interface Image {
  readonly grammar: Grammar
  /** The system page: its text, and its length in tokens. */
  readonly system: { readonly text: string; readonly tokens: number }
  /** The tokens that every context of this image begins with. */
  readonly prefix: ReadonlyArray<Token>
  /** A sequence of just those tokens, never run itself. */
  shared: Sequence | undefined
  /** Who is reading them for all, as long as nobody has. */
  reader: Process | undefined
  /** Holds `shared`. */
  readonly scope: Scope.Closeable
}

/** Images that nobody uses are kept for the next process, so many of them. */
const keep = 4

/** All images of a kernel, by the text and the schemas that make them differ. They go with the scope. */
export const makeImages = Effect.fnUntraced(function* (engine: Engine["Service"], maxStringLength?: number) {
  const scope = yield* Effect.scope
  const limits = maxStringLength === undefined ? {} : { maxStringLength }
  /** The least recently used first. */
  const images = new Map<string, Image>()

  const make = Effect.fnUntraced(function* (program: Program, tools: ReadonlyArray<AnyTool>) {
    const gbnf = yield* Effect.try({
      try: () => callGrammar(tools, { thought: program.thought, ...limits }),
      catch: (e) => badInput(e instanceof Error ? e.message : String(e))
    })
    const text = systemText(tools, program.instructions)
    const page = message(engine, "system", text)
    const image: Image = {
      grammar: yield* engine.grammar(gbnf),
      system: { text, tokens: engine.bos.length + page.length },
      prefix: [...engine.bos, ...page],
      shared: undefined,
      reader: undefined,
      scope: yield* Scope.fork(scope)
    }
    return image
  })

  /** Processes that start at once must not make the same image twice. */
  const turns = yield* Semaphore.make(1)

  /** The image of a program with these tools. Refuses tools that cannot be served. */
  return Effect.fnUntraced(function* (
    program: Program,
    tools: ReadonlyArray<AnyTool>,
    table: Iterable<Process>
  ): Effect.fn.Return<Image, ToolError | EngineError> {
    for (const tool of tools) {
      yield* Effect.try({
        try: () => [tool.input, ...(tool.output === undefined ? [] : [tool.output])].map(validator),
        catch: (e) => badInput(`${tool.name}: bad schema: ${e}`)
      })
    }
    const cards = tools.map(({ description, input, name }) => ({ name, description, input }))
    const key = JSON.stringify([program.instructions, program.thought, cards])
    const image = images.get(key) ?? (yield* make(program, tools))
    images.delete(key)
    images.set(key, image)
    if (images.size > keep) {
      const used = new Set([...table].map((p) => p.image))
      for (const [old, unused] of images) {
        if (images.size <= keep) break
        if (unused === image || used.has(unused)) continue
        images.delete(old)
        yield* Scope.close(unused.scope, Exit.void)
      }
    }
    return image
  }, turns.withPermit)
})
