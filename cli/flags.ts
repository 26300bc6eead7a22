/** The flags that `noos run` and `noos batch` share. */
import { Option } from "effect"
import { Flag } from "effect/cli"
import { mostSequences } from "../kernel/engine/llama.ts"
import { embeddedModel } from "./environment.ts"

export const positive = (flag: Flag.Flag<number>) =>
  flag.pipe(
    Flag.filter(
      (n) => n > 0,
      (n) => `must be above 0, got ${n}`
    )
  )

/** Tool names as a person writes them: `a,b,c`. */
export const names = (list: string): ReadonlyArray<string> =>
  list
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "")

export const jsonFlag = Flag.Boolean("json").pipe(
  Flag.withDefault(false),
  Flag.withDescription("NDJSON on stdout")
)

/** How each task is done. In `noos batch` a line may say otherwise. */
export const taskFlags = {
  agent: Flag.String("agent").pipe(
    Flag.withDefault("fast"),
    Flag.withDescription("`fast`, `slow`, `auto`, or a Markdown file of instructions")
  ),
  verify: Flag.String("verify").pipe(
    Flag.optional,
    Flag.map(Option.getOrUndefined),
    Flag.withDescription("For slow and auto: a command that exits with 0 when the task is done right")
  ),
  strategy: Flag.String("strategy").pipe(
    Flag.optional,
    Flag.map(Option.getOrUndefined),
    Flag.withDescription("How to search: dfs, beam, mcts, greedy, best-of-n, self-consistency")
  ),
  workspace: Flag.String("workspace").pipe(
    Flag.withDefault("."),
    Flag.withDescription("The folder to work in")
  ),
  seed: Flag.Int("seed").pipe(Flag.withDefault(0), Flag.withDescription("Seed of every random choice")),
  priority: Flag.Int("priority").pipe(
    Flag.withDefault(0),
    Flag.withDescription("Scheduling priority: each step up is a quarter more of the engine")
  ),
  tokens: positive(Flag.Int("budget-tokens")).pipe(
    Flag.optional,
    Flag.map(Option.getOrUndefined),
    Flag.withDescription("Tokens it may evaluate")
  ),
  seconds: positive(Flag.Finite("budget-seconds")).pipe(
    Flag.optional,
    Flag.map(Option.getOrUndefined),
    Flag.withDescription("Wall clock it may take")
  ),
  grant: Flag.String("grant").pipe(
    Flag.map(names),
    Flag.optional,
    Flag.map(Option.getOrUndefined),
    Flag.withDescription("Only these tools: a,b,c")
  ),
  net: Flag.String("net").pipe(
    Flag.withDefault(""),
    Flag.map(names),
    Flag.withDescription(
      "Hosts that it may reach: example.com,*.example.org,127.0.0.1:8080, or * for all public ones"
    )
  ),
  plugins: Flag.String("plugin").pipe(
    Flag.atLeast(0),
    Flag.withDescription("The folder of a plugin, which gets what its manifest asks for; may be repeated")
  ),
  summaries: Flag.Boolean("summaries").pipe(
    Flag.withDefault(false),
    Flag.withDescription("Sum up pages that leave the window (for models that can)")
  )
}

/** How all tasks of one command are run. */
export const runFlags = {
  model: Flag.String("model").pipe(
    Flag.withDefault(embeddedModel),
    Flag.withDescription("A GGUF file (default: the embedded model)")
  ),
  parallel: positive(Flag.Int("parallel")).pipe(
    Flag.filter(
      (n) => n <= mostSequences,
      (n) => `must be at most ${mostSequences}, got ${n}`
    ),
    Flag.optional,
    Flag.map(Option.getOrUndefined),
    Flag.withDescription(
      "Processes that the engine holds at a time; more take turns (default: one a task, at most 8)"
    )
  ),
  trace: Flag.String("trace").pipe(
    Flag.optional,
    Flag.map(Option.getOrUndefined),
    Flag.withDescription("Write what the scheduler did into a file that ui.perfetto.dev opens")
  ),
  yes: Flag.Boolean("yes").pipe(
    Flag.withDefault(false),
    Flag.withDescription("Approve calls that reach outside the workspace")
  ),
  noInput: Flag.Boolean("no-input").pipe(
    Flag.withDefault(false),
    Flag.withDescription("Never ask; deny instead")
  ),
  json: jsonFlag
}
