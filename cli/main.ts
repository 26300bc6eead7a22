/** The command line: `noos …`. Each command is a file beside this one. */
// Each by its own name: the package as a whole takes a quarter of a second to load.
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Cause, Effect, Exit, Option, References } from "effect"
import { CliError, CliOutput, Command } from "effect/cli"
import { batch } from "./batch.ts"
import { compare } from "./compare.ts"
import { version } from "./environment.ts"
import { kill, killArguments } from "./kill.ts"
import { logs } from "./logs.ts"
import { mcp } from "./mcp.ts"
import { memory } from "./memory.ts"
import { ps } from "./ps.ts"
import { run } from "./run.ts"
import { code, Stop } from "./stop.ts"
import { tool } from "./tool.ts"
import { trust } from "./trust.ts"

const noos = Command.make("noos").pipe(
  Command.withDescription("The operating system for language models"),
  Command.withSubcommands([run, batch, compare, ps, logs, kill, memory, tool, mcp, trust])
)

const complain = (what: string, todo: string) => process.stderr.write(`noos: ${what}\nnoos: ${todo}\n`)

/** A command line that cannot be understood is told so in two lines; help is for those who ask. */
const presenter = CliOutput.layerPresenter({
  present: (event) =>
    event._tag === "InvalidInvocation"
      ? Effect.sync(() => {
          const command = event.commandPath.join(" ")
          complain(
            event.errors.map((e) => e.message.replace(/\s*\n\s*/g, " ")).join("; "),
            `see \`${command} --help\``
          )
        })
      : CliOutput.defaultPresenter.present(event)
})

/** Whether what was to be read on stdout could not be written: the reader has gone, or the disk is full. */
let lost: Error | undefined
process.stdout.on("error", (error) => {
  if (lost === undefined) process.kill(process.pid, "SIGINT")
  lost ??= error
})
process.stderr.on("error", () => {})
// A closed terminal ends a run as Ctrl-C does.
process.on("SIGHUP", () => process.kill(process.pid, "SIGINT"))

/** The exit code of the whole command; says what went wrong, in two lines, when nobody has yet. */
const codeOf = (exit: Exit.Exit<unknown, unknown>): number => {
  if (lost !== undefined) {
    complain(`stdout cannot be written: ${lost.message}`, "the journal has what was done")
    return code.failed
  }
  if (Exit.isSuccess(exit)) return code.ok
  if (Cause.hasInterruptsOnly(exit.cause)) return code.interrupted
  const error = Option.getOrUndefined(Cause.findErrorOption(exit.cause))
  if (error instanceof Stop) {
    if (error.what !== undefined) complain(error.what, error.todo ?? "see `noos --help`")
    return error.code
  }
  if (CliError.isCliError(error)) return code.usage
  if (typeof error === "object" && error !== null && "message" in error && "hint" in error) {
    complain(String(error.message), String(error.hint))
    return code.environment
  }
  complain(`internal error: ${Cause.pretty(exit.cause)}`, "please report this with the command that led here")
  return code.failed
}

Command.runWith(noos, { version })(killArguments(process.argv.slice(2))).pipe(
  Effect.provide([NodeServices.layer, presenter]),
  // What is logged is no answer.
  Effect.provideService(References.LogToStderr, true),
  NodeRuntime.runMain({ disableErrorReporting: true, teardown: (exit, onExit) => onExit(codeOf(exit)) })
)
