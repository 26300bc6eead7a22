/** A number puzzle as a task: a tool that takes one step, and the check of the answer. */
import { Effect } from "effect"
import { type AnyTool, defineTool, type ToolContext, ToolError } from "../kernel/tool.ts"
import { evaluate, join, type Written } from "./expression.ts"
import {
  apply,
  type Fraction,
  fraction,
  moves,
  type Operator,
  order,
  type State,
  same,
  show,
  stateOf,
  stateText
} from "./numbers.ts"
import type { Item, Made } from "./suite.ts"

export interface Puzzle {
  readonly numbers: ReadonlyArray<number>
  readonly target: number
}

/** Equal for the same numbers and target. */
export const puzzleKey = ({ numbers, target }: Puzzle): string =>
  `${stateText(stateOf(numbers))} to ${target}`

/** A number that is left, and how it was made. */
interface Part extends Written {
  readonly value: Fraction
}

/** What is left after some steps, in order. */
export type Parts = ReadonlyArray<Part>

const sorted = (parts: Parts): Parts => [...parts].sort((a, b) => order(a.value, b.value))

export const begin = ({ numbers }: Puzzle): Parts =>
  sorted(numbers.map((n) => ({ value: fraction(n), text: String(n), binding: 2 })))

export const valuesOf = (parts: Parts): State => parts.map((p) => p.value)

const stepForm = /^\s*(\d+)(?:\/(\d+))?\s*([-+*:])\s*(\d+)(?:\/(\d+))?\s*$/

/** What is left after one more step, or why it cannot be taken. */
export const take = (parts: Parts, step: string): Parts | ToolError => {
  const no = (message: string) => new ToolError({ code: "bad_input", message })
  const read = stepForm.exec(step)
  if (read === null || Number(read[2] ?? 1) === 0 || Number(read[5] ?? 1) === 0)
    return no("write one step, like 8*9")
  const rest = [...parts]
  const used: Array<Part> = []
  for (const [n, d] of [
    [read[1], read[2]],
    [read[4], read[5]]
  ]) {
    const value = fraction(Number(n), Number(d ?? 1))
    const at = rest.findIndex((p) => same(p.value, value))
    if (at < 0) return no(`no ${show(value)} left`)
    used.push(...rest.splice(at, 1))
  }
  const [a, b] = used as [Part, Part]
  const operator = read[3] as Operator
  const value = apply(a.value, operator, b.value)
  if (value === undefined) return no("no division by 0")
  if (value.n < 0) return no(`${step.trim()} is below 0`)
  return sorted([...rest, { value, ...join(a, operator, b) }])
}

/** What the process reads: what is left and the target; at the end, what it has made. */
export const leftText = (parts: Parts, target: number): string =>
  parts.length > 1
    ? `${stateText(valuesOf(parts))} to ${target}`
    : `${show(parts[0]!.value)} = ${parts[0]!.text}`

export const stepName = "combine"

/** What `combine` is called with. */
interface Args {
  readonly step: string
}

const replay = (puzzle: Puzzle, steps: ReadonlyArray<string>): Effect.Effect<Parts, ToolError> => {
  let parts = begin(puzzle)
  for (const step of steps) {
    const next = take(parts, step)
    if (next instanceof ToolError) return Effect.fail(next)
    parts = next
  }
  return Effect.succeed(parts)
}

/** The tool of one puzzle. What was combined before is in the history of its calls, so that forks each go their own way. */
export const combine = (puzzle: Puzzle): AnyTool =>
  defineTool({
    name: stepName,
    description: "Combine two of the numbers left, once each, with + - * or :.",
    input: {
      type: "object",
      properties: { step: { type: "string" } },
      required: ["step"],
      additionalProperties: false
    },
    effect: "pure",
    execute: Effect.fn("combine")(function* ({ step }: Args, { history }: ToolContext) {
      const past = yield* history
      const parts = yield* replay(puzzle, [...past.map((call) => (call.args as Args).step), step])
      return leftText(parts, puzzle.target)
    })
  })

export const puzzleText = ({ numbers, target }: Puzzle): string => `Make ${target} from ${numbers.join(" ")}.`

/** Whether an answer is an expression that uses exactly the numbers, each once, and is worth the target. */
export const solves = ({ numbers, target }: Puzzle, answer: unknown): boolean => {
  const read = typeof answer === "string" ? evaluate(answer) : undefined
  const list = (xs: ReadonlyArray<number>) => [...xs].sort((a, b) => a - b).join(" ")
  return read !== undefined && same(read.value, fraction(target)) && list(read.numbers) === list(numbers)
}

/** What is left after the calls so far; calls that were refused changed nothing. */
const after = (puzzle: Puzzle, calls: ReadonlyArray<Made>): Parts =>
  calls.reduce<Parts>((parts, call) => {
    const next = call.ok && call.tool === stepName ? take(parts, (call.args as Args).step) : parts
    return next instanceof ToolError ? parts : next
  }, begin(puzzle))

export const puzzleItem = (id: string, puzzle: Puzzle): Item => ({
  id,
  task: puzzleText(puzzle),
  grant: [],
  tools: [combine(puzzle)],
  files: {},
  check: ({ answer }) => Effect.succeed(solves(puzzle, answer)),
  verifier: true,
  key: (calls) => stateText(valuesOf(after(puzzle, calls))),
  random: (calls, below) => {
    const parts = after(puzzle, calls)
    if (parts.length === 1) return { tool: "exit", args: { answer: parts[0]!.text } }
    const all = moves(valuesOf(parts))
    return { tool: stepName, args: { step: all[below(all.length)]!.text } }
  }
})
