/** Commands in the workspace's sandbox. */
import { Effect } from "effect"
import { defineTool, type ToolContext, ToolError } from "../kernel/tool.ts"
import { defaultLimits } from "../sandbox/bubblewrap.ts"
import type { Completed } from "../sandbox/sandbox.ts"

/** The longest time a call may ask for, seconds. */
const maxSeconds = 3600

interface Args {
  readonly command: string | ReadonlyArray<string>
  readonly seconds?: number
}

/** What the command gave. `killed` says what ended it, if it did not end by itself. */
interface Result extends Pick<Completed, "exitCode" | "signal" | "stdout" | "stderr" | "reason"> {
  readonly killed?: string
}

const isCommand = (argv: ReadonlyArray<string>): argv is readonly [string, ...ReadonlyArray<string>] =>
  argv.length > 0

const whyKilled = (ended: Completed, seconds: number): string | undefined => {
  if (ended.reason === "timeout") return `timeout after ${seconds} s`
  if (ended.reason === "output") return `more than ${defaultLimits.outputBytes} bytes of output`
  if (ended.reason === "memory") return "out of memory"
  if (ended.signal === "SIGXFSZ") return `file larger than ${defaultLimits.fileMiB} MiB`
  return ended.signal ?? undefined
}

export const shell = defineTool({
  name: "shell",
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
  critical: ["command"],
  execute: Effect.fn("shell")(function* (
    { command, seconds = defaultLimits.seconds }: Args,
    { workspace }: ToolContext
  ) {
    const refuse = (message: string) => new ToolError({ code: "bad_input", message })
    if (!(seconds > 0 && seconds <= maxSeconds))
      return yield* refuse(`seconds must be above 0, up to ${maxSeconds}`)
    const argv = typeof command === "string" ? (["/bin/sh", "-c", command] as const) : command
    if (!isCommand(argv) || argv[0] === "") return yield* refuse("no command")
    const ended = yield* workspace.run(argv, { limits: { seconds } })
    const killed = whyKilled(ended, seconds)
    const { exitCode, signal, stdout, stderr, reason } = ended
    const result: Result = {
      exitCode,
      signal,
      stdout,
      stderr,
      reason,
      ...(killed !== undefined && { killed })
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
