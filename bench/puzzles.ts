/** Game of 24 on the published test puzzles: solved greedily, line by line, and states judged. Exact arithmetic checks. */
import { readFileSync } from "node:fs"
import { Effect } from "effect"
import { Engine } from "../kernel/engine/engine.ts"
import { message, openTurn } from "../kernel/prompt.ts"
import { Random } from "../models/nano/language.ts"
import {
  type Fraction,
  moves,
  moveText,
  proposeText,
  reachable,
  stateOf,
  testPuzzles,
  valueText
} from "../models/nano/puzzles.ts"

/** The model's greedy answer to one question, without tools. */
const answer = Effect.fnUntraced(function* (question: string) {
  const engine = yield* Engine
  const sequence = yield* engine.sequence
  yield* engine.swapIn(sequence)
  const tokens = [...engine.bos, ...message(engine, "user", question), ...openTurn(engine)]
  yield* engine.step([{ _tag: "Prefill", sequence, tokens }])
  let text = ""
  for (let n = 0; n < 120; n++) {
    const [decoded] = yield* engine.step([
      { _tag: "Decode", sequence, sampling: { temperature: 0, seed: 0 } }
    ])
    text += decoded!.text
    if (decoded!.done) break
  }
  return text
}, Effect.scoped)

/** Whether the lines are legal moves that lead from the puzzle to 24. */
export const solves = (puzzle: ReadonlyArray<number>, lines: string): boolean => {
  let state: ReadonlyArray<Fraction> = stateOf(puzzle)
  for (const line of lines.split("\n")) {
    const move = moves(state).find((m) => moveText(m) === line)
    if (move === undefined) return false
    state = move.left
  }
  return state.length === 1 && state[0]!.n === 24 && state[0]!.d === 1
}

/** Shares of the test puzzles solved, and of their states (two steps in, half of them hopeless) judged rightly. */
export const game24 = Effect.gen(function* () {
  const puzzles = testPuzzles(readFileSync(new URL("data/game24.csv", import.meta.url), "utf8"))
  const answers = yield* Effect.forEach(puzzles, (p) => answer(proposeText(stateOf(p), 24)))
  const solved = answers.filter((text, i) => solves(puzzles[i]!, text)).length / puzzles.length
  const r = new Random(24_004)
  const states = puzzles.flatMap((p) => {
    const after = moves(stateOf(p))
      .flatMap((m) => moves(m.left))
      .map((m) => m.left)
    return [true, false].flatMap((good) => {
      const fitting = after.filter((s) => reachable(s, 24) === good)
      return fitting.length === 0 ? [] : [{ state: r.pick(fitting), good }]
    })
  })
  const judged = yield* Effect.forEach(states, ({ state }) => answer(valueText(state, 24)))
  const right = judged.filter((text, i) => text === (states[i]!.good ? "yes" : "no")).length / states.length
  return { solved, right }
})
