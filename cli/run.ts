/** `noos run`: one process, from a task in words to its answer. */

import { readFileSync } from "node:fs"
import { basename, resolve } from "node:path"
import { createInterface } from "node:readline/promises"
import { Effect, Option } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { fast, fromMarkdown } from "../agents/programs.ts"
import { runTask } from "../agents/task.ts"
import { exit } from "../kernel/calls.ts"
import { Engine } from "../kernel/engine/engine.ts"
import { Observer } from "../kernel/event.ts"
import type { Approve } from "../kernel/syscall.ts"
import { builtins } from "../tools/index.ts"
import { embeddedModel, kernelLayer } from "./environment.ts"
import { jsonReport, personReport } from "./report.ts"
import { code, codeOf, Stop } from "./stop.ts"

const usage = (what: string, todo: string) => new Stop({ code: code.usage, what, todo })

/** The tools that `--grant a,b` names; all of them without it. */
const granted = (grant: Option.Option<string>) => {
  if (Option.isNone(grant)) return Effect.succeed(builtins)
  const names = grant.value
    .split(",")
    .map((n) => n.trim())
    .filter((n) => n !== "")
  const unknown = names.find((n) => n !== exit.name && !builtins.some((t) => t.name === n))
  return unknown === undefined
    ? Effect.succeed(builtins.filter((t) => names.includes(t.name)))
    : Effect.fail(usage(`--grant: no such tool: ${unknown}`, "`noos tool list` names them"))
}

/** `fast`, or a Markdown file whose text is the program's instructions. */
const program = (agent: string, seed: number) => {
  if (agent === "fast") return Effect.succeed(fast(seed))
  return Effect.try({
    try: () => fromMarkdown(basename(agent, ".md"), readFileSync(agent, "utf8"), seed),
    catch: () => usage(`--agent: cannot read ${agent}`, "use `fast` or the path of a Markdown file")
  })
}

/** Asks on the terminal about one exact call; without a terminal nobody can say yes. */
const approval = (yes: boolean, noInput: boolean): Approve => {
  if (yes) return () => Effect.succeed(true)
  if (noInput || process.stdin.isTTY !== true) return () => Effect.succeed(false)
  return (tool, args) =>
    Effect.promise(async (signal) => {
      const terminal = createInterface({ input: process.stdin, output: process.stderr })
      try {
        const answer = await terminal.question(`\nallow ${tool.name} ${JSON.stringify(args)}? [y/N] `, {
          signal
        })
        return /^y(es)?$/i.test(answer.trim())
      } finally {
        terminal.close()
      }
    })
}

const positive = (flag: Flag.Flag<number>) =>
  flag.pipe(
    Flag.filter(
      (n) => n > 0,
      (n) => `must be above 0, got ${n}`
    )
  )

export const run = Command.make(
  "run",
  {
    task: Argument.String("task").pipe(Argument.withDescription("What to do, in words")),
    agent: Flag.String("agent").pipe(
      Flag.withDefault("fast"),
      Flag.withDescription("`fast`, or a Markdown file of instructions")
    ),
    model: Flag.String("model").pipe(
      Flag.withDefault(embeddedModel),
      Flag.withDescription("A GGUF file (default: the embedded model)")
    ),
    workspace: Flag.String("workspace").pipe(
      Flag.withDefault("."),
      Flag.withDescription("The folder to work in")
    ),
    seed: Flag.Int("seed").pipe(Flag.withDefault(0), Flag.withDescription("Seed of every random choice")),
    priority: Flag.Int("priority").pipe(Flag.withDefault(0), Flag.withDescription("Scheduling priority")),
    tokens: positive(Flag.Int("budget-tokens")).pipe(
      Flag.optional,
      Flag.withDescription("Tokens it may evaluate")
    ),
    seconds: positive(Flag.Finite("budget-seconds")).pipe(
      Flag.optional,
      Flag.withDescription("Wall clock it may take")
    ),
    grant: Flag.String("grant").pipe(Flag.optional, Flag.withDescription("Only these tools: a,b,c")),
    yes: Flag.Boolean("yes").pipe(
      Flag.withDefault(false),
      Flag.withDescription("Approve calls that reach outside the workspace")
    ),
    noInput: Flag.Boolean("no-input").pipe(
      Flag.withDefault(false),
      Flag.withDescription("Never ask; deny instead")
    ),
    json: Flag.Boolean("json").pipe(Flag.withDefault(false), Flag.withDescription("NDJSON events on stdout"))
  },
  Effect.fn("noos.run")(function* (flags) {
    if (flags.task.trim() === "") return yield* usage("the task is empty", 'say what to do: noos run "…"')
    if (flags.workspace === "") return yield* usage("--workspace is empty", "name a folder, or leave it out")
    const folder = resolve(flags.workspace)
    const tools = yield* granted(flags.grant)
    const agent = yield* program(flags.agent, flags.seed)
    let head = ""
    const report = flags.json ? jsonReport : personReport(() => head)

    const end = yield* Effect.gen(function* () {
      const { model } = yield* Engine
      head = `noos · ${model.name} (${size(model.parameters)}, ${model.device}) · ${folder}`
      return yield* runTask({
        task: flags.task,
        folder,
        program: agent,
        tools,
        priority: flags.priority,
        approve: approval(flags.yes, flags.noInput),
        budget: {
          ...(Option.isSome(flags.tokens) ? { tokens: flags.tokens.value } : {}),
          ...(Option.isSome(flags.seconds) ? { seconds: flags.seconds.value } : {})
        }
      })
    }).pipe(
      Effect.catchTag("ToolError", (e) =>
        Effect.fail(usage(e.message, "check the task, --workspace and the tools"))
      ),
      Effect.provide(kernelLayer(flags.model)),
      Effect.provideService(Observer, report)
    )
    if (!flags.json && end.answer !== null) console.log(asText(end.answer))
    if (end.status !== "ok") return yield* new Stop({ code: codeOf(end.status) })
  })
).pipe(Command.withDescription("Do a task in a folder"))

const size = (parameters: number): string =>
  parameters >= 1e9
    ? `${(parameters / 1e9).toFixed(1)} B parameters`
    : `${(parameters / 1e6).toFixed(1)} M parameters`

const asText = (answer: unknown): string => (typeof answer === "string" ? answer : JSON.stringify(answer))
