/** Countdown: three or four numbers up to 99, and another target each time. */
import { readFileSync } from "node:fs"
import { Random } from "../models/nano/language.ts"
import { type Puzzle, puzzleItem, puzzleKey } from "./combine.ts"
import { moves, type State, stateOf } from "./numbers.ts"
import type { Suite } from "./suite.ts"

/** Made for noos with a seeded generator that keeps what can be solved; 100 of three numbers, 200 of four. */
export const given = readFileSync(new URL("data/countdown.jsonl", import.meta.url), "utf8")
  .trim()
  .split("\n")
  .map((line) => JSON.parse(line) as Puzzle & { readonly id: string })

/** The largest target. */
const most = 999

/** A puzzle that can be solved in whole numbers. */
export const randomPuzzle = (r: Random, count: number, largest = 99): Puzzle => {
  for (;;) {
    const numbers = Array.from({ length: count }, () => r.int(1, largest))
    let state: State = stateOf(numbers)
    while (state.length > 1) state = r.pick(moves(state, false)).left
    const puzzle = { numbers, target: state[0]!.n }
    if (puzzle.target > 0 && puzzle.target <= most) return puzzle
  }
}

/** Seed of the puzzles for calibration. */
const calibrationSeed = 24_062

export const countdown: Suite = {
  name: "countdown",
  about: "Countdown: a target from three or four numbers up to 99",
  items: given.map((puzzle) => puzzleItem(puzzle.id, puzzle)),
  calibration: (() => {
    const r = new Random(calibrationSeed)
    const asked = new Set(given.map(puzzleKey))
    const some = Array.from({ length: 60 }, () => randomPuzzle(r, r.pick([3, 4, 4])))
    return some
      .filter((puzzle) => !asked.has(puzzleKey(puzzle)))
      .slice(0, 50)
      .map((puzzle, i) => puzzleItem(`c${i}`, puzzle))
  })(),
  tokens: 8000
}
