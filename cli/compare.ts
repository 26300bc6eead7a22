/** `noos compare`: ways of thinking on the tasks of a suite, with an honest account of what the numbers show. */
import { Effect, Option } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { modes } from "../compare/records.ts"
import { jsonFlag, names, positive, runFlags, taskFlags } from "./flags.ts"

export const compare = Command.make(
  "compare",
  {
    suite: Argument.String("suite").pipe(
      Argument.withDescription("game24, countdown, blocksworld, repair, or a YAML or JSONL file")
    ),
    modes: Flag.String("modes").pipe(
      Flag.withDefault("fast,slow"),
      Flag.map(names),
      Flag.withDescription(
        `Of ${modes.join(", ")}: a,b,c; beside slow its baselines at equal tokens run always`
      )
    ),
    limit: positive(Flag.Int("limit")).pipe(
      Flag.optional,
      Flag.map(Option.getOrUndefined),
      Flag.withDescription("Only the first tasks of the suite")
    ),
    seeds: positive(Flag.Int("seeds")).pipe(
      Flag.withDefault(1),
      Flag.withDescription("How often each task is done, with another seed each time")
    ),
    strategy: taskFlags.strategy.pipe(
      Flag.withDescription("How slow searches (default: as suits the suite)")
    ),
    tokens: taskFlags.tokens.pipe(
      Flag.withDescription("Tokens that slow may evaluate for a task (default: the suite's)")
    ),
    model: runFlags.model,
    json: jsonFlag,
    html: Flag.String("html").pipe(
      Flag.optional,
      Flag.map(Option.getOrUndefined),
      Flag.withDescription("Write a report of one page, with all search trees, into this file")
    )
  },
  Effect.fn("noos.compare")(function* (flags) {
    // Loaded when it is wanted: no other command needs suites, searches and reports.
    const { runComparison } = yield* Effect.promise(() => import("./comparison.ts"))
    yield* runComparison(flags)
  })
).pipe(Command.withDescription("Compare ways of thinking on the tasks of a suite"))
