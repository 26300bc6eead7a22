/** Arithmetic that the model need not do in its head. */
import { Effect } from "effect"
import { defineTool, ToolError } from "../kernel/tool.ts"
import { ArithmeticError, evaluate } from "./arithmetic.ts"

export const calc = defineTool({
  name: "calc",
  description: "Compute an arithmetic expression.",
  input: {
    type: "object",
    properties: { expression: { type: "string" } },
    required: ["expression"],
    additionalProperties: false
  },
  effect: "pure",
  execute: ({ expression }: { readonly expression: string }) =>
    Effect.try({
      try: () => evaluate(expression),
      catch: (cause) =>
        cause instanceof ArithmeticError
          ? new ToolError({ code: cause.code, message: cause.message })
          : new ToolError({ code: "failed", message: String(cause) })
    })
})
