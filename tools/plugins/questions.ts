/** What `noos tool test` asks of each tool of a plugin. */
import { isDeepStrictEqual } from "node:util"
import { Deferred, Effect, Fiber, Result } from "effect"
import { validator } from "../../kernel/syscall.ts"
import type { AnyTool, Example, Json, ToolError } from "../../kernel/tool.ts"
import { longText, random, valueFor } from "./generate.ts"

/** Made-up calls of each tool, and the seed that they come from. */
const madeUp = { calls: 16, seed: 1 }

/** Characters of a long argument. */
const long = 256 * 1024

const show = (value: unknown): string => (JSON.stringify(value) ?? "nothing").slice(0, 200)

/** Why a call is no good, if so. An error that the tool chose is an answer like any other. */
const wrongIn = (tool: AnyTool, outcome: Result.Result<unknown, ToolError>): string | undefined => {
  if (Result.isFailure(outcome)) {
    const { message } = outcome.failure
    const broke = message.startsWith(`${tool.name} crashed: `) || message.startsWith("plugin ")
    return broke ? `${message} (throw a ToolError, or narrow the schema)` : undefined
  }
  if (tool.output === undefined) return undefined
  const fits = validator(tool.output)
  return fits(outcome.success) ? undefined : `its result does not fit output: ${show(outcome.success)}`
}

const examplesOf = (tool: AnyTool): ReadonlyArray<Example> => tool.examples ?? []

/** An example that does not fail as it is made. */
const wrongInExample = (tool: AnyTool, example: Example, call: Call) =>
  Effect.gen(function* () {
    const fits = validator(tool.input)
    if (!fits(example.args)) return `its arguments do not fit input: ${show(example.args)}`
    const outcome = yield* Effect.result(call(tool, example.args))
    if (Result.isFailure(outcome))
      return `${show(example.args)}: ${outcome.failure.code}: ${outcome.failure.message}`
    const wrong = wrongIn(tool, outcome)
    if (wrong !== undefined) return wrong
    if (example.result === undefined || isDeepStrictEqual(outcome.success, example.result)) return undefined
    return `${show(example.args)} gave ${show(outcome.success)}, not ${show(example.result)}`
  })

/** Makes one call as a process of the plugin's own does. */
export type Call = (tool: AnyTool, args: Json, idempotencyKey?: string) => Effect.Effect<unknown, ToolError>

/** What is asked of each tool: why it fails, or nothing. Those that do not apply are not asked. */
interface Question {
  readonly name: string
  readonly applies: (tool: AnyTool, asksForNet: boolean) => boolean
  /** `another`: a second process. `before`: the tools in front of it, upon whose examples its own may build. */
  readonly wrong: (
    tool: AnyTool,
    call: Call,
    another: Call,
    before: ReadonlyArray<AnyTool>
  ) => Effect.Effect<string | undefined>
}

const always = () => true
const usable = (tool: AnyTool) => examplesOf(tool).find(({ args }) => validator(tool.input)(args))
const hasExample = (tool: AnyTool) => usable(tool) !== undefined
const first = (tool: AnyTool): Json => usable(tool)!.args

/** What gives the first of a list that is wrong. */
const firstWrong = <A, E>(
  list: ReadonlyArray<A>,
  wrong: (item: A) => Effect.Effect<string | undefined, E>
): Effect.Effect<string | undefined, E> =>
  Effect.gen(function* () {
    for (const item of list) {
      const found = yield* wrong(item)
      if (found !== undefined) return found
    }
    return undefined
  })

export const questions: ReadonlyArray<Question> = [
  {
    name: "has an example",
    applies: always,
    wrong: (tool) =>
      Effect.succeed(
        examplesOf(tool).length > 0
          ? undefined
          : "add an example: that is how callers and tests know what it does"
      )
  },
  {
    name: "examples give their results",
    applies: (tool) => examplesOf(tool).length > 0,
    wrong: (tool, call, _, before) =>
      Effect.gen(function* () {
        for (const other of before)
          for (const { args } of examplesOf(other)) yield* Effect.result(call(other, args))
        return yield* firstWrong(examplesOf(tool), (example) => wrongInExample(tool, example, call))
      })
  },
  {
    name: "refuses malformed arguments",
    applies: always,
    wrong: (tool) => {
      const fits = validator(tool.input)
      const taken = [null, [], "text", 1, { "no such argument": 1 }].find((args) => fits(args))
      return Effect.succeed(
        taken === undefined ? undefined : `its input takes ${show(taken)}: set "additionalProperties": false`
      )
    }
  },
  {
    name: "answers whatever fits its schema",
    applies: (tool) => tool.effect !== "irreversible",
    wrong: (tool, call) =>
      Effect.gen(function* () {
        const next = random(madeUp.seed)
        const fits = validator(tool.input)
        const calls = Array.from({ length: madeUp.calls }, () => valueFor(tool.input, tool.input, next))
        return yield* firstWrong(
          calls.filter((args) => fits(args)),
          (args) =>
            Effect.map(Effect.result(call(tool, args)), (outcome) => {
              const wrong = wrongIn(tool, outcome)
              return wrong === undefined ? undefined : `${show(args)}: ${wrong}`
            })
        )
      })
  },
  {
    name: "takes long arguments",
    applies: (tool) =>
      tool.effect !== "irreversible" &&
      hasExample(tool) &&
      longText(tool.input, first(tool), 1) !== undefined,
    wrong: (tool, call) =>
      Effect.gen(function* () {
        return wrongIn(tool, yield* Effect.result(call(tool, longText(tool.input, first(tool), long)!)))
      })
  },
  {
    name: "can be cancelled",
    applies: (tool) => hasExample(tool) && tool.effect !== "irreversible",
    wrong: (tool, call) =>
      Effect.gen(function* () {
        const begun = yield* Deferred.make<void>()
        const running = Effect.andThen(Deferred.succeed(begun, undefined), call(tool, first(tool)))
        const fiber = yield* Effect.forkChild(Effect.result(running))
        yield* Deferred.await(begun)
        yield* Fiber.interrupt(fiber)
        const wrong = wrongIn(tool, yield* Effect.result(call(tool, first(tool))))
        return wrong === undefined ? undefined : `the call after a cancelled one: ${wrong}`
      })
  },
  {
    name: "serves two processes at a time",
    applies: hasExample,
    wrong: (tool, call, another) =>
      Effect.gen(function* () {
        const both = [call, another].map((of) => Effect.result(of(tool, first(tool))))
        const outcomes = yield* Effect.all(both, { concurrency: "unbounded" })
        return outcomes.map((outcome) => wrongIn(tool, outcome)).find((wrong) => wrong !== undefined)
      })
  },
  {
    name: "pure: gives the same again",
    applies: (tool, asksForNet) => tool.effect === "pure" && hasExample(tool) && !asksForNet,
    wrong: (tool, call, another) =>
      Effect.gen(function* () {
        const args = first(tool)
        const [once, again] = [
          yield* Effect.result(call(tool, args)),
          yield* Effect.result(another(tool, args))
        ]
        return isDeepStrictEqual(once, again)
          ? undefined
          : `${show(args)} gave another result the second time`
      })
  },
  {
    name: "irreversible: does it once for a key",
    applies: (tool) => tool.effect === "irreversible" && hasExample(tool),
    wrong: (tool, call) =>
      Effect.gen(function* () {
        const attempt = Effect.result(call(tool, first(tool), "once"))
        const [one, two] = [yield* attempt, yield* attempt]
        const exists = Result.isFailure(two) && two.failure.code === "exists"
        return exists || isDeepStrictEqual(one, two)
          ? undefined
          : "a second attempt with the same idempotency key must give the same result, or fail with `exists`"
      })
  }
]
