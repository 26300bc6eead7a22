/** `noos run`: tasks in words, each a process, to their answers. */
import { Effect } from "effect"
import { Argument, Command } from "effect/cli"
import { runFlags, taskFlags } from "./flags.ts"
import { plan, runPlans } from "./tasks.ts"

export const run = Command.make(
  "run",
  {
    tasks: Argument.String("task").pipe(
      Argument.withDescription("What to do, in words; several tasks run side by side"),
      Argument.variadic({ min: 1 })
    ),
    ...taskFlags,
    ...runFlags
  },
  Effect.fn("noos.run")(function* (flags) {
    const plans = yield* Effect.forEach(flags.tasks, (text) => plan(text, flags, ""))
    yield* runPlans(plans, flags)
  })
).pipe(Command.withDescription("Do tasks in a folder"))
