/** Calls a built-in tool in a workspace as the kernel does, with arguments checked against its schema first. */
import { Ajv2020 } from "ajv/dist/2020.js"
import { Effect } from "effect"
import { type AnyTool, ToolError } from "../../kernel/tool.ts"
import type { Workspace } from "../../sandbox/sandbox.ts"
import { builtins } from "../../tools/index.ts"
import { contextIn } from "../fixtures/context.ts"

const ajv = new Ajv2020()

export const tool = (name: string): AnyTool => {
  const found = builtins.find((tool) => tool.name === name)
  if (!found) throw new Error(`no tool ${name}`)
  return found
}

/** The result as a value. */
export const call = (workspace: Workspace, name: string, args: object): Effect.Effect<unknown, ToolError> => {
  const { input, execute } = tool(name)
  if (!ajv.validate(input, args)) {
    return Effect.fail(new ToolError({ code: "bad_input", message: ajv.errorsText() }))
  }
  return Effect.scope.pipe(
    Effect.flatMap((scope) => execute(args, contextIn(workspace, scope))),
    Effect.scoped
  )
}

/** The result as the model sees it; an error as `code: message`. */
export const shown = (workspace: Workspace, name: string, args: object): Effect.Effect<string> =>
  call(workspace, name, args).pipe(
    Effect.map((result) => tool(name).toModel?.(result) ?? String(result)),
    Effect.catch((error) => Effect.succeed(`${error.code}: ${error.message}`))
  )
