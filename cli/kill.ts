/** `noos kill`: a signal to processes, whichever noos process they live in. The command line is that of kill(1). */
import { Effect, Option } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { Journal } from "../kernel/journal.ts"
import { hasJournal, journalLayer } from "./environment.ts"
import { signals } from "./processes.ts"
import { code, Stop } from "./stop.ts"

/** Rewrites `-KILL` and `-SIGKILL`, which are no flags to the parser of the command line, as `--signal=…`. */
export const killArguments = (args: ReadonlyArray<string>): ReadonlyArray<string> => {
  if (args[0] !== "kill") return args
  const end = args.indexOf("--")
  return args.map((arg, i) =>
    /^-[A-Z0-9]{2,}$|^-\d$/i.test(arg) && (end < 0 || i < end) ? `--signal=${arg.slice(1)}` : arg
  )
}

const signalOf = (name: string) => {
  const bare = name.toUpperCase().replace(/^SIG/, "")
  return Option.fromUndefinedOr(signals.find((signal) => signal === bare))
}

/** Why a process could not be signalled: what the journal knows of it. */
const excuse = Effect.fnUntraced(function* (pid: number, silent: boolean) {
  const known = hasJournal()
    ? yield* Effect.flatMap(Journal, (journal) => journal.process(pid)).pipe(Effect.provide(journalLayer))
    : undefined
  if (known === undefined) return `there is no process ${pid}`
  if (known.state === "zombie") return `process ${pid} has exited (${known.status})`
  return silent
    ? `process ${pid} did not answer: the signal takes effect when its noos wakes`
    : `process ${pid} was not reached: no noos answers for it`
})

export const kill = Command.make(
  "kill",
  {
    pids: Argument.Int("pid").pipe(
      Argument.withDescription("The processes, as `noos ps` shows them"),
      Argument.variadic()
    ),
    signal: Flag.String("signal").pipe(
      Flag.withAlias("s"),
      Flag.filterMap(signalOf, () => `one of ${signals.join(", ")}`),
      Flag.withDefault("TERM" as const),
      Flag.withDescription(`One of ${signals.join(", ")}; also written -KILL or -SIGKILL (default: TERM)`)
    ),
    list: Flag.Boolean("list").pipe(
      Flag.withAlias("l"),
      Flag.withDefault(false),
      Flag.withDescription("Show the signals")
    )
  },
  Effect.fn("noos.kill")(function* ({ list, pids, signal }) {
    if (list) return console.log(signals.join(" "))
    if (pids.length === 0)
      return yield* new Stop({ code: code.usage, what: "no process named", todo: "`noos ps` shows them" })
    const { askAll } = yield* Effect.promise(() => import("./control.ts"))
    const { answers, silent } = yield* askAll((kernel) =>
      Effect.forEach(pids, (pid) => kernel.kill({ pid, signal }))
    )
    const missed = pids.filter((_, i) => !answers.some((sent) => sent[i]))
    if (missed.length === 0) return
    const excuses = yield* Effect.forEach(missed, (pid) => excuse(pid, silent.length > 0))
    const quiet = silent.map((pid) => `the noos process ${pid} does not answer`)
    return yield* new Stop({
      code: code.failed,
      what: [...excuses, ...quiet].join("; "),
      todo: "`noos ps` shows the processes that can be signalled"
    })
  })
).pipe(Command.withDescription("Signal processes"))
