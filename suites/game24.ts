/** Game of 24: the published test puzzles first, then as many that no puzzle of 1 to 13 is like. */
import { readFileSync } from "node:fs"
import { Random } from "../models/nano/language.ts"
import { type Puzzle, puzzleItem, puzzleKey } from "./combine.ts"
import { reachable, stateOf } from "./numbers.ts"
import type { Suite } from "./suite.ts"

const target = 24

/** All by rank of how people solve them (4nums.com, by way of data/game24.LICENSE.txt). */
const ranked: ReadonlyArray<ReadonlyArray<number>> = readFileSync(
  new URL("data/game24.csv", import.meta.url),
  "utf8"
)
  .trim()
  .split("\n")
  .slice(1)
  .map((line) => line.split(",")[1]!.split(" ").map(Number))

/** Items 900–999: the test set of Yao et al., Tree of Thoughts (2023). Never trained on. */
export const published = ranked.slice(900, 1000)

/** The solvable puzzles over `low`..`high` with a number from `least` on. */
const solvable = (least: number, high: number): ReadonlyArray<ReadonlyArray<number>> => {
  const all: Array<ReadonlyArray<number>> = []
  for (let a = 1; a <= high; a++)
    for (let b = a; b <= high; b++)
      for (let c = b; c <= high; c++)
        for (let d = Math.max(c, least); d <= high; d++)
          if (reachable(stateOf([a, b, c, d]), target)) all.push([a, b, c, d])
  return all
}

/** The largest number of the published puzzles, and of the others. */
const [largest, larger] = [13, 16]
/** Seed of the further held-out puzzles. */
const furtherSeed = 24_016

/** Puzzles over 1..16 with a number over 13 that are kept out of training, and those that are not. */
const over13 = solvable(largest + 1, larger)
export const further = new Random(furtherSeed).sample(over13, 100)

/** All that are kept out of training. */
export const held: ReadonlyArray<Puzzle> = [...published, ...further].map((numbers) => ({ numbers, target }))

/** What may be trained on: all other puzzles over 1..13, and over 1..16. */
export const trainable = (): {
  readonly to13: ReadonlyArray<ReadonlyArray<number>>
  readonly over13: ReadonlyArray<ReadonlyArray<number>>
} => {
  const tested = new Set(held.map(puzzleKey))
  const free = (puzzles: ReadonlyArray<ReadonlyArray<number>>) =>
    puzzles.filter((numbers) => !tested.has(puzzleKey({ numbers, target })))
  return { to13: free(ranked), over13: free(over13) }
}

const item = (id: string, numbers: ReadonlyArray<number>) => puzzleItem(id, { numbers, target })

export const game24: Suite = {
  name: "game24",
  about: "Game of 24: the 100 published test puzzles, and 100 with numbers up to 16",
  items: [
    ...published.map((numbers, i) => item(`24-${900 + i}`, numbers)),
    ...further.map((numbers, i) => item(`24-x${i}`, numbers))
  ],
  // Of about the same difficulty, by rank.
  calibration: ranked.slice(1000, 1050).map((numbers, i) => item(`24-${1000 + i}`, numbers)),
  tokens: 4000,
  // Chosen on the calibration's puzzles.
  strategy: "dfs:1@0.3"
}
