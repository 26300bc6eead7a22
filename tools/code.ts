/**
 * Code in the workspace's sandbox, cell by cell in the process's own interpreter, which keeps variables, imports and
 * functions from one call to the next.
 *
 * A fork, or a process that goes on after a restart, never had an interpreter: the cells of the calls before are run again
 * in their order to make one, without showing their output. Cells that change files change them again then. Where hosts are
 * granted nothing is run again, as that would send again what was sent: the variables are said to be gone instead.
 * They are gone, too, with a call that is cancelled.
 */
import { Effect } from "effect"
import { defineTool, type ToolContext } from "../kernel/tool.ts"
import { defaultLimits } from "../sandbox/bubblewrap.ts"
import {
  type Cell,
  cellsIn,
  type Interpreter,
  type Language,
  openInterpreter,
  type Recorded,
  rebuild
} from "./code/interpreter.ts"
import { checkSeconds } from "./interactive.ts"

interface Args {
  readonly language: Language
  readonly code: string
  readonly seconds?: number
}

interface Result extends Cell {
  /** How many earlier cells were run again to have their variables, and the numbers of those that failed this time. */
  readonly rebuilt?: { readonly cells: number; readonly failed: ReadonlyArray<number> }
}

/** What a process holds for a language. */
interface Held {
  readonly interpreter: Interpreter
  /** What the interpreter does not have yet: taken by the first call, whatever becomes of that. */
  past: ReadonlyArray<Recorded>
}

const notAgain = "the interpreter is a new one, this was not run"

const open = Effect.fnUntraced(function* ({ workspace, history }: ToolContext, language: Language) {
  const interpreter = yield* openInterpreter(workspace, language)
  const held: Held = { interpreter, past: cellsIn(yield* history, language, defaultLimits.seconds) }
  return held
})

export const code = defineTool({
  name: "code",
  description: "Run Python or JavaScript code; variables stay.",
  input: {
    type: "object",
    properties: {
      language: { enum: ["python", "javascript"] },
      code: { type: "string" },
      seconds: { type: "number" }
    },
    required: ["language", "code"],
    additionalProperties: false
  },
  effect: "reversible",
  egress: true,
  critical: ["code"],
  examples: [
    { args: { language: "python", code: "6 * 7" }, result: { stdout: "", stderr: "", value: "42" } },
    { args: { language: "javascript", code: "6 * 7" }, result: { stdout: "", stderr: "", value: "42" } }
  ],
  execute: Effect.fn("code")(function* (
    { language, code, seconds = defaultLimits.seconds }: Args,
    ctx: ToolContext
  ) {
    yield* checkSeconds(seconds)
    const held = yield* ctx.handles.open(`code ${language}`, open(ctx, language))
    const { interpreter, past } = held
    held.past = []
    if (past.length === 0) return (yield* interpreter.run(code, seconds)) satisfies Result
    if (ctx.workspace.net.hosts.length > 0) return { stdout: "", stderr: "", lost: notAgain } satisfies Result
    const failed = yield* rebuild(interpreter, past)
    const cell = yield* interpreter.run(code, seconds)
    return { ...cell, rebuilt: { cells: past.length, failed } } satisfies Result
  }),
  toModel: ({ stdout, stderr, value, error, lost, rebuilt }: Result): string => {
    const failed = rebuilt?.failed ?? []
    const parts = [
      ...(failed.length === 0 ? [] : [`[run again, failed: cell ${failed.join(", ")}]`]),
      stdout.replace(/\r?\n$/, ""),
      stderr.trim(),
      value ?? "",
      error ?? "",
      ...(lost === undefined ? [] : [`[${lost}; all variables are gone]`])
    ]
    return parts.filter((part) => part !== "").join("\n") || "done"
  }
})
