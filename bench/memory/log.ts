/**
 * A log that is read one piece after another, and what it asks for at its end: one of three things that were said early on.
 * Nobody can know which before all of the rest was read.
 */
import { Effect } from "effect"
import { type AnyTool, defineTool, ToolError } from "../../kernel/tool.ts"
import { Random, sentence } from "../../models/nano/language.ts"
import type { Policy } from "../../test/fixtures/policy-engine.ts"

export interface Log {
  readonly pieces: ReadonlyArray<string>
  readonly answer: string
}

export const task = "Read the log to its end with next, then do what it says."

const labels = ["code", "key", "port", "owner", "badge", "door"]
const states = ["was late", "was old", "was moved", "was lost"]
const alphabet = [..."ABCDEFGHJKLMNPQRSTUVWXYZ23456789"]

/** The first pieces, three of which say something. */
const early = 6

/** A log of at least so many tokens, as `count` counts them, in pieces of 80 to 220. */
export const makeLog = (seed: number, tokens: number, count: (text: string) => number): Log => {
  const r = new Random(seed, "held")
  const said = r.sample(labels, 3).map((label) => ({
    label,
    value: Array.from({ length: 5 }, () => r.pick(alphabet)).join("")
  }))
  const places = r.sample([...Array(early).keys()], 3)
  const pieces: Array<string> = []
  for (let total = 0; total < tokens; ) {
    const lines: Array<string> = []
    const size = r.int(80, 200)
    for (let n = 0; n < size; ) {
      const line = r.chance(0.02) ? `the ${r.pick(labels)} ${r.pick(states)}` : sentence(r, 2, 6)
      lines.push(line)
      n += count(line)
    }
    const needle = said[places.indexOf(pieces.length)]
    if (needle !== undefined)
      lines.splice(r.int(0, lines.length), 0, `the ${needle.label} is ${needle.value}`)
    const piece = lines.join("\n")
    pieces.push(piece)
    total += count(piece)
  }
  const { label, value } = r.pick(said)
  return { pieces: [...pieces, `Here the log ends. Exit with the ${label}.`], answer: value }
}

/** The tool that gives one piece after another, to one process. */
export const reader = ({ pieces }: Pick<Log, "pieces">): AnyTool => {
  let at = 0
  return defineTool({
    name: "next",
    description: "Read on in the log.",
    input: { type: "object", properties: {}, required: [], additionalProperties: false },
    effect: "pure",
    execute: () => {
      const piece = pieces[at++]
      return piece === undefined
        ? Effect.fail(new ToolError({ code: "not_found", message: "the log has no more" }))
        : Effect.succeed(piece)
    }
  })
}

/** Reads on until it is asked; then says what is in view, or once looks for it if it `recalls`, or gives up. */
export const readLog =
  (recalls: boolean): Policy =>
  (view) => {
    const asked = /Exit with the (\w+)\./.exec(view)
    if (asked === null) return ["next"]
    const label = asked[1]!
    const known = new RegExp(`the ${label} is ([A-Z0-9]{5})`).exec(view)
    if (known !== null) return ["exit", { answer: known[1] }]
    const looked = view.indexOf('"recall"', asked.index) >= 0
    return recalls && !looked ? ["recall", { text: `the ${label} is` }] : ["exit", { answer: "unknown" }]
  }
