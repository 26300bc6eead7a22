/** `noos memory`: what processes remembered of a folder, for those who work there later. */
import { realpathSync, statSync } from "node:fs"
import { Effect, Option } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { Memories, type Memory } from "../kernel/memory/memories.ts"
import { hasJournal, journalLayer } from "./environment.ts"
import { jsonFlag } from "./flags.ts"
import { oneLine } from "./report.ts"
import { usage } from "./stop.ts"
import { clock, table } from "./table.ts"

/** A folder by the name under which its memories are kept. */
const folderOf = (workspace: string) =>
  Effect.try({
    try: () => {
      if (!statSync(workspace).isDirectory()) throw new Error("not a folder")
      return realpathSync(workspace)
    },
    catch: () => usage(`workspace: not a folder: ${workspace}`, "name an existing folder")
  })

/** Asks the memories; where there is no journal, nothing is remembered. */
const ask = <A, E>(query: (memories: Memories["Service"]) => Effect.Effect<A, E>, nothing: A) =>
  hasJournal() ? Effect.flatMap(Memories, query).pipe(Effect.provide(journalLayer)) : Effect.succeed(nothing)

const head = ["ID", "KEY", "VERSION", "FROM", "WHEN", "TEXT"]

const row = ({ created, id, key, pid, retracted, run, text, version }: Memory): ReadonlyArray<string> => [
  `${id}`,
  oneLine(key ?? "-", 30),
  `${version}`,
  `run ${run}, process ${pid}`,
  clock(created),
  retracted === null ? text : `(retracted ${clock(retracted)}) ${text}`
]

const show = (memories: ReadonlyArray<Memory>, json: boolean) => {
  if (json) for (const memory of memories) console.log(JSON.stringify(memory))
  else {
    const width = process.stdout.columns || Number.POSITIVE_INFINITY
    for (const line of table([head, ...memories.map(row)], [0, 2], width)) console.log(line)
  }
}

const shared = Command.make("memory").pipe(
  Command.withSharedFlags({
    workspace: Flag.String("workspace").pipe(
      Flag.withDefault("."),
      Flag.withDescription("The folder that it is about")
    ),
    json: jsonFlag
  })
)

const source = (name: string, what: string) =>
  Flag.Int(name).pipe(Flag.optional, Flag.map(Option.getOrUndefined), Flag.withDescription(what))

const rollback = Command.make(
  "rollback",
  { run: source("run", "What this run remembered"), pid: source("pid", "What this process remembered") },
  Effect.fn("noos.memory.rollback")(function* ({ pid, run }) {
    const { json, workspace } = yield* shared
    const folder = yield* folderOf(workspace)
    const from = run === undefined ? pid !== undefined && { pid } : pid === undefined && { run }
    if (from === false)
      return yield* usage("memories are rolled back by one source", "name it: --run N or --pid N")
    const retracted = yield* ask((memories) => memories.rollback(folder, from), 0)
    if (json) return console.log(JSON.stringify({ retracted }))
    const whose = "run" in from ? `run ${from.run}` : `process ${from.pid}`
    if (retracted === 0) console.log(`nothing of ${whose} is remembered of ${folder}`)
    else console.log(`retracted ${retracted === 1 ? "1 memory" : `${retracted} memories`} of ${whose}`)
  })
).pipe(Command.withDescription("Take back what one run or one process remembered"))

const versions = Command.make(
  "versions",
  { key: Argument.String("key").pipe(Argument.withDescription("What the memories were kept under")) },
  Effect.fn("noos.memory.versions")(function* ({ key }) {
    const { json, workspace } = yield* shared
    const folder = yield* folderOf(workspace)
    const all = yield* ask((memories) => memories.versions(folder, key), [])
    if (all.length > 0 || json) show(all, json)
    else console.log(`nothing was ever remembered under ${key} of ${folder}`)
  })
).pipe(Command.withDescription("Show all that a key ever was"))

export const memory = shared.pipe(
  Command.withHandler(
    Effect.fn("noos.memory")(function* ({ json, workspace }) {
      const folder = yield* folderOf(workspace)
      const all = yield* ask((memories) => memories.list(folder), [])
      if (all.length > 0 || json) show(all, json)
      else console.log(`nothing is remembered of ${folder}`)
    })
  ),
  Command.withDescription("Show what is remembered of a folder"),
  Command.withSubcommands([rollback, versions])
)
