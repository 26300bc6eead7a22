/** `noos batch`: a file of tasks, one a line, run side by side. */
import { readFileSync } from "node:fs"
import { dirname, resolve } from "node:path"
import { text } from "node:stream/consumers"
import { Effect, Schema } from "effect"
import { Argument, Command } from "effect/cli"
import { runFlags, taskFlags } from "./flags.ts"
import { messageOf, usage } from "./stop.ts"
import { isAgent, type Plan, plan, runPlans, type Settings, settle } from "./tasks.ts"

const Positive = Schema.Finite.check(Schema.isGreaterThan(0))

/** A line: what to do, and where it differs from the flags. */
const Line = Schema.Struct({
  task: Schema.String,
  /** Told with the task's start and exit. */
  id: Schema.optionalKey(Schema.String),
  workspace: Schema.optionalKey(Schema.NonEmptyString),
  priority: Schema.optionalKey(Schema.Int),
  seed: Schema.optionalKey(Schema.Int),
  agent: Schema.optionalKey(Schema.NonEmptyString),
  budget_tokens: Schema.optionalKey(Schema.Int.check(Schema.isGreaterThan(0))),
  budget_seconds: Schema.optionalKey(Positive),
  grant: Schema.optionalKey(Schema.Array(Schema.String)),
  verify: Schema.optionalKey(Schema.NonEmptyString),
  strategy: Schema.optionalKey(Schema.NonEmptyString)
})
const decodeLine = Schema.decodeUnknownEffect(Line, { onExcessProperty: "error" })

const howTo = 'write a JSON string, or an object such as {"task": "…", "workspace": "…"}, on each line'

const parse = Effect.fnUntraced(function* (line: string, where: string) {
  const value = yield* Effect.try({
    try: () => JSON.parse(line) as unknown,
    catch: (e) => usage(`${where}not JSON: ${messageOf(e)}`, howTo)
  })
  return yield* decodeLine(typeof value === "string" ? { task: value } : value).pipe(
    Effect.mapError((e) => usage(`${where}${e.message.replace(/\s*\n\s*/g, " ")}`, howTo))
  )
})

/** The tasks of a file. Paths in it are relative to its folder. */
const plansOf = Effect.fnUntraced(function* (content: string, name: string, folder: string, flags: Settings) {
  // What is wrong with the flags is not the fault of a line.
  yield* settle(flags, "")
  const plans: Array<Plan> = []
  for (const [i, line] of content.split("\n").entries()) {
    if (line.trim() === "") continue
    const where = `${name}:${i + 1}: `
    const { agent, id, task, workspace, ...rest } = yield* parse(line, where)
    const settings: Settings = {
      agent: agent === undefined ? flags.agent : isAgent(agent) ? agent : resolve(folder, agent),
      workspace: workspace === undefined ? flags.workspace : resolve(folder, workspace),
      seed: rest.seed ?? flags.seed,
      priority: rest.priority ?? flags.priority,
      tokens: rest.budget_tokens ?? flags.tokens,
      seconds: rest.budget_seconds ?? flags.seconds,
      grant: rest.grant ?? flags.grant,
      net: flags.net,
      plugins: flags.plugins,
      summaries: flags.summaries,
      verify: rest.verify ?? flags.verify,
      strategy: rest.strategy ?? flags.strategy
    }
    const label = { line: i + 1, ...(id === undefined ? {} : { task_id: id }) }
    plans.push({ ...(yield* plan(task, settings, where)), label })
  }
  return plans
})

export const batch = Command.make(
  "batch",
  {
    file: Argument.String("file").pipe(
      Argument.withDescription("A task a line, as JSON; `-` reads them from stdin")
    ),
    ...taskFlags,
    ...runFlags
  },
  Effect.fn("noos.batch")(function* (flags) {
    const { file } = flags
    const [name, folder] = file === "-" ? ["stdin", "."] : [file, dirname(file)]
    const content = yield* Effect.tryPromise({
      try: async () => (file === "-" ? await text(process.stdin) : readFileSync(file, "utf8")),
      catch: (e) => usage(`cannot read ${name}: ${messageOf(e)}`, howTo)
    })
    const plans = yield* plansOf(content, name, folder, flags)
    if (plans.length === 0) return yield* usage(`${name}: no tasks`, howTo)
    yield* runPlans(plans, flags)
  })
).pipe(Command.withDescription("Do the tasks of a file"))
