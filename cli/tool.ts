/** `noos tool list` and `noos tool call`: the syscall table, and one call through the whole path without a model. */
import { resolve } from "node:path"
import { Effect } from "effect"
import { Argument, Command } from "effect/cli"
import { exit } from "../kernel/calls.ts"
import { makeHandles } from "../kernel/handles.ts"
import { Journal } from "../kernel/journal.ts"
import { toolLine } from "../kernel/prompt.ts"
import { type Outcome, refusal, Syscalls } from "../kernel/syscall.ts"
import { badInput, type ToolError } from "../kernel/tool.ts"
import { Sandbox } from "../sandbox/sandbox.ts"
import { configOf } from "./config.ts"
import { callLayer } from "./environment.ts"
import { jsonFlag, runFlags, taskFlags } from "./flags.ts"
import { addTool, newTool, testTool } from "./plugin.ts"
import { printable } from "./report.ts"
import { codeOfCall, messageOf, Stop, usage } from "./stop.ts"
import { added, mayAdd, type Sources, standing } from "./toolset.ts"

const { net, plugins, workspace } = taskFlags

const list = Command.make(
  "list",
  { workspace, net, plugins, json: jsonFlag },
  Effect.fn("noos.tool.list")(function* (flags) {
    const folder = resolve(flags.workspace)
    const sources: Sources = { config: yield* configOf(folder), plugins: flags.plugins }
    const own = !mayAdd(sources)
      ? []
      : yield* openFor(folder, flags.net).pipe(
          Effect.flatMap((workspace) => added(sources, workspace)),
          Effect.map(({ tools }) => tools),
          Effect.scoped,
          Effect.provide(callLayer)
        )
    for (const tool of [...standing, exit, ...own]) {
      const { name, description, input, effect } = tool
      console.log(
        flags.json ? JSON.stringify({ name, description, input, effect }) : `${toolLine(tool)}  [${effect}]`
      )
    }
  })
).pipe(Command.withDescription("Show the tools"))

/** A folder to work in, for one command. */
const openFor = Effect.fnUntraced(function* (folder: string, net: ReadonlyArray<string>) {
  const todo = "name an existing folder with --workspace"
  return yield* (yield* Sandbox)
    .open(folder, net)
    .pipe(Effect.catchTag("ToolError", (e) => usage(e.message, todo)))
})

/** What a call came to, with the arguments as they were understood. `pid` is the process it was made for. */
export interface Called {
  readonly pid: number | null
  readonly args: unknown
  readonly outcome: Outcome
}

/** In what a call is made. */
export interface How {
  readonly approved: boolean
  readonly net?: ReadonlyArray<string>
  /** What the folder and the person add; default: nothing. */
  readonly sources?: Sources
}

/** One call by name and JSON text, in a run and a process of its own. */
export const callTool = Effect.fn("noos.callTool")(function* (
  name: string,
  text: string,
  folder: string,
  { approved, net = [], sources }: How
) {
  const parsed = parse(text)
  if ("message" in parsed) {
    const outcome = refusal(badInput(parsed.message))
    return { pid: null, args: null, outcome } satisfies Called
  }
  const journal = yield* Journal
  const syscalls = yield* Syscalls
  const workspace = yield* openFor(folder, net)
  const own = sources === undefined ? [] : (yield* added(sources, workspace)).tools
  const run = yield* journal.beginRun({
    task: `tool call ${name.slice(0, 80)}`,
    workspace: folder,
    model: "none"
  })
  const pid = yield* journal.spawn({ run, program: "tool call" })
  const caller = {
    pid,
    tools: [...standing, exit, ...own],
    workspace,
    approve: () => Effect.succeed(approved),
    handles: makeHandles(yield* Effect.scope),
    progress: (text: string) => Effect.sync(() => process.stderr.write(`${text}\n`))
  }
  const end = (status: "ok" | "failed" | "interrupted") =>
    journal.exit(pid, { status, why: "tool call" }).pipe(Effect.andThen(journal.endRun(run, status)))
  const outcome = yield* syscalls
    .dispatch(caller, { tool: name, args: parsed.args })
    .pipe(Effect.onInterrupt(() => Effect.ignore(end("interrupted"))))
  yield* end(outcome.ok ? "ok" : "failed")
  return { pid, args: parsed.args, outcome } satisfies Called
}, Effect.scoped)

const parse = (text: string): { readonly args: unknown } | { readonly message: string } => {
  try {
    return { args: JSON.parse(text) as unknown }
  } catch (e) {
    return { message: `the arguments are not JSON: ${messageOf(e).slice(0, 120)}` }
  }
}

const call = Command.make(
  "call",
  {
    name: Argument.String("name").pipe(Argument.withDescription("The tool")),
    args: Argument.String("json").pipe(Argument.withDescription("Its arguments, a JSON object")),
    workspace,
    net,
    plugins,
    yes: runFlags.yes,
    json: jsonFlag
  },
  Effect.fn("noos.tool.call")(function* (flags) {
    const folder = resolve(flags.workspace)
    const sources: Sources = { config: yield* configOf(folder), plugins: flags.plugins }
    const how: How = { approved: flags.yes, net: flags.net, sources }
    const { pid, args, outcome } = yield* callTool(flags.name, flags.args, folder, how).pipe(
      Effect.provide(callLayer)
    )
    if (flags.json) {
      const { id, ms, text: _, ...rest } = outcome
      console.log(
        JSON.stringify({ type: "syscall", pid, id: id ?? null, tool: flags.name, args, ...rest, ms })
      )
    } else if (outcome.ok) console.log(printable(outcome.text))
    if (outcome.ok) return
    const { code, message } = outcome.error
    return yield* new Stop({
      code: codeOfCall(code),
      ...(flags.json ? {} : { what: message, todo: hint(code) })
    })
  })
).pipe(Command.withDescription("Run one call: checked, sandboxed, journalled"))

const hint = (error: ToolError["code"]): string => {
  if (error === "bad_input") return "`noos tool list` shows each tool's arguments"
  if (error === "outside_workspace") return "use a path inside --workspace"
  if (error === "denied")
    return "grant what is named there; a call that reaches outside the workspace is approved with --yes"
  return "see the message above; the call changed nothing that it does not name"
}

export const tool = Command.make("tool").pipe(
  Command.withDescription("The tools a process can call"),
  Command.withSubcommands([list, call, newTool, testTool, addTool])
)
