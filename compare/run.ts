/** Runs a comparison: every mode on every item with every seed, at tokens that can be compared. */
import { Cause, Effect, Option } from "effect"
import type { Mode, Attempt as Thinking, Thought } from "../agents/think.ts"
import { ToolError } from "../kernel/tool.ts"
import type { Workspace } from "../sandbox/sandbox.ts"
import type { End, Item, Suite } from "../suites/suite.ts"
import { evaluated, matched, modes, type Trial } from "./records.ts"
import { freshWorkspace } from "./workspace.ts"

/** One attempt at an item. */
export interface Attempt extends Pick<Thinking, "item" | "seed" | "tokens"> {
  readonly mode: Mode
}

/** What a comparison asks for. */
export interface Options<E, R> {
  readonly suite: Suite
  /** Those of the suite that count. */
  readonly items: ReadonlyArray<Item>
  readonly modes: ReadonlyArray<Mode>
  /** How many; they are 0, 1, 2 … */
  readonly seeds: number
  /** One attempt in a fresh workspace, in which it leaves what it wants to be judged by. */
  readonly think: (attempt: Attempt, workspace: Workspace) => Effect.Effect<Thought, E, R>
  readonly begins?: (attempt: Attempt) => void
  readonly ended: (trial: Trial) => void
}

/**
 * What is really compared when these are asked for: where slow is, so are its baselines at equal tokens, and nobody can leave
 * them out. Only a suite that cannot draw calls at random has no such control.
 */
export const withBaselines = (asked: ReadonlyArray<Mode>, items: ReadonlyArray<Item>): ReadonlyArray<Mode> =>
  modes
    .filter((mode) => asked.includes(mode) || (asked.includes("slow") && matched.has(mode)))
    .filter((mode) => items.some((item) => can(mode, item)))

/** How many attempts that takes. */
export const attemptsOf = ({
  items,
  modes,
  seeds
}: Pick<Options<never, never>, "items" | "modes" | "seeds">) =>
  seeds * items.reduce((sum, item) => sum + withBaselines(modes, [item]).length, 0)

const can = (mode: Mode, item: Item): boolean => mode !== "random" || item.random !== undefined

/** One after another, so that what they take can be compared: an attempt has the whole engine. */
export const compare = Effect.fn("compare")(function* <E, R>(options: Options<E, R>) {
  const { suite } = options
  for (let seed = 0; seed < options.seeds; seed++) {
    for (const item of options.items) {
      let spentBySlow: number | undefined
      // A try that is under way when the tokens are spent would be lost: the baselines may end it.
      let oneTry = 0
      for (const mode of withBaselines(options.modes, [item])) {
        const tokens = matched.has(mode) ? (spentBySlow ?? suite.tokens) + oneTry : suite.tokens
        const trial = yield* attempt({ mode, item, seed, tokens }, options)
        if (mode === "fast" && trial.status !== "error") oneTry = evaluated(trial.usage)
        // Where slow broke down, what it would have spent is not known.
        if (mode === "slow" && trial.status !== "error") spentBySlow = evaluated(trial.usage)
        options.ended(trial)
      }
    }
  }
})

const unused: Thought["usage"] = {
  prefillTokens: 0,
  cachedTokens: 0,
  generatedTokens: 0,
  valueTokens: 0,
  wallMs: 0
}

const attempt = <E, R>(one: Attempt, options: Options<E, R>) => {
  const { item, mode, seed } = one
  const who = { suite: options.suite.name, item: item.id, mode, seed }
  return Effect.gen(function* () {
    options.begins?.(one)
    const workspace = yield* freshWorkspace(item)
    const { answer, calls, reason, status, ...rest } = yield* options.think(one, workspace)
    const judged = yield* judge(item, { answer, calls, workspace })
    const { changes, escalated, nodes, sure, tree, usage } = rest
    const why = judged.why ?? (status === "ok" ? undefined : reason)
    return {
      ...who,
      // Who never says that it is done has not done it, whatever lies in the workspace.
      right: judged.right && status === "ok",
      status: judged.why === undefined ? status : "error",
      answer,
      ...(why === undefined ? {} : { why }),
      usage,
      nodes,
      ...(escalated === undefined ? {} : { escalated }),
      ...(sure === undefined ? {} : { sure }),
      changes,
      ...(tree === undefined ? {} : { tree })
    } satisfies Trial
  }).pipe(
    Effect.scoped,
    orReason(
      (why): Trial => ({
        ...who,
        right: false,
        status: "error",
        answer: null,
        why,
        usage: unused,
        nodes: 0,
        changes: []
      })
    )
  )
}

const judge = (item: Item, end: End) =>
  item.check(end).pipe(
    Effect.map((right) => ({ right, why: undefined as string | undefined })),
    orReason((why) => ({ right: false, why: `the check failed: ${why}` }))
  )

/** What a tool's failure or a fault in one item's code comes to. A kernel, sandbox or engine that is broken ends all. */
const orReason =
  <B>(instead: (why: string) => B) =>
  <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A | B, E, R> =>
    Effect.catchCause(effect, (cause): Effect.Effect<B, E> => {
      const error = Option.getOrUndefined(Cause.findErrorOption(cause))
      if (error === undefined) return Effect.succeed(instead(Cause.pretty(cause).split("\n", 1)[0]!))
      return error instanceof ToolError ? Effect.succeed(instead(error.message)) : Effect.failCause(cause)
    })
