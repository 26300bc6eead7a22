/** Commands in the workspace's sandbox, one after the other in the process's own shell. */
import { Effect } from "effect"
import { defineTool, type ToolContext, ToolError } from "../kernel/tool.ts"
import { defaultLimits, refusedTexts } from "../sandbox/bubblewrap.ts"
import { checkSeconds } from "./interactive.ts"
import { type Ended, openShell, type Recorded, runIn, stateAfter } from "./shell-process.ts"
import { quote } from "./shell-text.ts"

interface Args {
  readonly command: string | ReadonlyArray<string>
  readonly seconds?: number
}

/**
 * What the command gave. `killed` says what ended it, if it did not end by itself. `cwd` is the shell's folder now, if that
 * is not the workspace's; `env` are the exported variables that the call changed.
 */
interface Result extends Omit<Ended, "cwd" | "changes">, Recorded {
  readonly killed?: string
}

const whyKilled = (ended: Ended, seconds: number): string | undefined => {
  if (ended.reason === "timeout") return `timeout after ${seconds} s`
  if (ended.reason === "output") return `more than ${defaultLimits.outputBytes} bytes of output`
  if (ended.reason === "memory") return "out of memory"
  if (ended.signal === "SIGXFSZ") return `file larger than ${defaultLimits.fileMiB} MiB`
  return ended.signal ?? undefined
}

/** The tool, and the shell that a process holds. */
const name = "shell"

export const shell = defineTool({
  name,
  description: "Run a command line in the workspace.",
  input: {
    type: "object",
    properties: {
      command: { anyOf: [{ type: "string" }, { type: "array", items: { type: "string" } }] },
      seconds: { type: "number" }
    },
    required: ["command"],
    additionalProperties: false
  },
  effect: "reversible",
  egress: true,
  critical: ["command"],
  execute: Effect.fn("shell")(function* (
    { command, seconds = defaultLimits.seconds }: Args,
    { handles, history, workspace }: ToolContext
  ) {
    const refuse = (message: string) => new ToolError({ code: "bad_input", message })
    yield* checkSeconds(seconds)
    const words = typeof command === "string" ? [command] : command
    if (typeof command !== "string" && (words[0] ?? "") === "") return yield* refuse("no command")
    const refused = refusedTexts(words)
    if (refused !== undefined) return yield* refuse(refused)
    // Words are a program and its arguments, whatever the shell would make of them.
    const line = typeof command === "string" ? command : `(exec ${words.map(quote).join(" ")})`
    const shell = yield* handles.open(
      name,
      Effect.flatMap(history, (past) => openShell(workspace, stateAfter(past)))
    )
    const ended = yield* runIn(shell, line, seconds)
    const killed = whyKilled(ended, seconds)
    const { cwd, changes, ...end } = ended
    const result: Result = {
      ...end,
      ...(killed !== undefined && { killed }),
      ...(cwd !== "" && { cwd }),
      ...(changes.size > 0 && { env: Object.fromEntries(changes) })
    }
    return result
  }),
  toModel: (result: Result): string => {
    const said = [result.stdout.replace(/\r?\n$/, ""), result.stderr.trim()].filter((part) => part !== "")
    const end =
      result.killed !== undefined
        ? `[killed: ${result.killed}]`
        : result.exitCode !== 0
          ? `[exit ${result.exitCode}]`
          : undefined
    const text = said.length === 0 ? [] : [said.join("\n")]
    return [...text, ...(end === undefined ? [] : [end])].join("\n") || "done"
  }
})
