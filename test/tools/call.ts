/** Calls a tool in a workspace as the kernel does, with arguments checked against its schema first. */
import { Ajv2020 } from "ajv/dist/2020.js"
import { Effect } from "effect"
import { type AnyTool, type PastCall, ToolError } from "../../kernel/tool.ts"
import type { Workspace } from "../../sandbox/sandbox.ts"
import { code } from "../../tools/code.ts"
import { builtins } from "../../tools/index.ts"
import { contextIn } from "../fixtures/context.ts"

const ajv = new Ajv2020()

export const tool = (name: string): AnyTool => {
  const found = [...builtins, code].find((tool) => tool.name === name)
  if (!found) throw new Error(`no tool ${name}`)
  return found
}

const textOf = (name: string, result: unknown): string => tool(name).toModel?.(result) ?? String(result)

const shownBy = (name: string, calling: Effect.Effect<unknown, ToolError>): Effect.Effect<string> =>
  calling.pipe(
    Effect.map((result) => textOf(name, result)),
    Effect.catch((error) => Effect.succeed(`${error.code}: ${error.message}`))
  )

/**
 * A process that calls tools in a workspace: what they hold open lasts until the scope closes. `past` are the calls, by
 * tool, of the process that it continues; `history` are those and its own.
 */
export const processIn = Effect.fnUntraced(function* (
  workspace: Workspace,
  past: { readonly [tool: string]: ReadonlyArray<PastCall> } = {}
) {
  const history = new Map(Object.entries(past).map(([name, calls]) => [name, [...calls]]))
  const context = contextIn(workspace, yield* Effect.scope)
  const call = (name: string, args: object): Effect.Effect<unknown, ToolError> =>
    Effect.suspend(() => {
      const { input, execute } = tool(name)
      if (!ajv.validate(input, args)) {
        return Effect.fail(new ToolError({ code: "bad_input", message: ajv.errorsText() }))
      }
      const calls = history.get(name) ?? []
      history.set(name, calls)
      return execute(args, { ...context, history: Effect.sync(() => [...calls]) }).pipe(
        Effect.tap((result) => Effect.sync(() => calls.push(JSON.parse(JSON.stringify({ args, result })))))
      )
    })
  return {
    call,
    shown: (name: string, args: object) => shownBy(name, call(name, args)),
    past: (): { readonly [tool: string]: ReadonlyArray<PastCall> } => Object.fromEntries(history)
  }
})

/** The result as a value, of a process that makes no other call. */
export const call = (workspace: Workspace, name: string, args: object): Effect.Effect<unknown, ToolError> =>
  processIn(workspace).pipe(
    Effect.flatMap((process) => process.call(name, args)),
    Effect.scoped
  )

/** The result as the model sees it; an error as `code: message`. */
export const shown = (workspace: Workspace, name: string, args: object): Effect.Effect<string> =>
  shownBy(name, call(workspace, name, args))
