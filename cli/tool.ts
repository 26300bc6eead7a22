/** `noos tool list` and `noos tool call`: the syscall table, and one call through the whole path without a model. */
import { resolve } from "node:path"
import { Effect } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { exit, processCalls } from "../kernel/calls.ts"
import { makeHandles } from "../kernel/handles.ts"
import { Journal } from "../kernel/journal.ts"
import { memoryCalls } from "../kernel/memory/calls.ts"
import { toolLine } from "../kernel/prompt.ts"
import { type Outcome, refusal, Syscalls } from "../kernel/syscall.ts"
import { badInput, type ToolError } from "../kernel/tool.ts"
import { Sandbox } from "../sandbox/sandbox.ts"
import { builtins } from "../tools/index.ts"
import { callLayer } from "./environment.ts"
import { jsonFlag } from "./flags.ts"
import { code, codeOfCall, messageOf, Stop } from "./stop.ts"

const tools = [...builtins, ...memoryCalls, ...processCalls, exit]

const list = Command.make("list", { json: jsonFlag }, ({ json }) =>
  Effect.sync(() => {
    for (const tool of tools) {
      const { name, description, input, effect } = tool
      console.log(
        json ? JSON.stringify({ name, description, input, effect }) : `${toolLine(tool)}  [${effect}]`
      )
    }
  })
).pipe(Command.withDescription("Show the tools"))

/** What a call came to, with the arguments as they were understood. `pid` is the process it was made for. */
export interface Called {
  readonly pid: number | null
  readonly args: unknown
  readonly outcome: Outcome
}

/** One call by name and JSON text, in a run and a process of its own. */
export const callTool = Effect.fn("noos.callTool")(function* (
  name: string,
  text: string,
  folder: string,
  approved: boolean
) {
  const parsed = parse(text)
  if ("message" in parsed) {
    const outcome = refusal(badInput(parsed.message))
    return { pid: null, args: null, outcome } satisfies Called
  }
  const journal = yield* Journal
  const syscalls = yield* Syscalls
  const workspace = yield* (yield* Sandbox)
    .open(folder)
    .pipe(
      Effect.catchTag(
        "ToolError",
        (e) =>
          new Stop({ code: code.usage, what: e.message, todo: "name an existing folder with --workspace" })
      )
    )
  const run = yield* journal.beginRun({
    task: `tool call ${name.slice(0, 80)}`,
    workspace: folder,
    model: "none"
  })
  const pid = yield* journal.spawn({ run, program: "tool call" })
  const caller = {
    pid,
    tools,
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
    workspace: Flag.String("workspace").pipe(
      Flag.withDefault("."),
      Flag.withDescription("The folder to work in")
    ),
    yes: Flag.Boolean("yes").pipe(
      Flag.withDefault(false),
      Flag.withDescription("Approve a call that reaches outside the workspace")
    ),
    json: jsonFlag
  },
  Effect.fn("noos.tool.call")(function* (flags) {
    const { pid, args, outcome } = yield* callTool(
      flags.name,
      flags.args,
      resolve(flags.workspace),
      flags.yes
    ).pipe(Effect.provide(callLayer))
    if (flags.json) {
      const { id, ms, text: _, ...rest } = outcome
      console.log(
        JSON.stringify({ type: "syscall", pid, id: id ?? null, tool: flags.name, args, ...rest, ms })
      )
    } else if (outcome.ok) console.log(outcome.text)
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
  if (error === "denied") return "approve the call with --yes, or see who may use that file"
  return "see the message above; the call changed nothing that it does not name"
}

export const tool = Command.make("tool").pipe(
  Command.withDescription("The tools a process can call"),
  Command.withSubcommands([list, call])
)
