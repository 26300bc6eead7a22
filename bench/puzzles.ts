/** Game of 24 on the published test puzzles: solved greedily with the tool, and states judged. Exact arithmetic checks. */
import { Effect } from "effect"
import { fast } from "../agents/programs.ts"
import { exit } from "../kernel/calls.ts"
import { Engine } from "../kernel/engine/engine.ts"
import { Journal } from "../kernel/journal.ts"
import { Kernel } from "../kernel/kernel.ts"
import { recall } from "../kernel/memory/calls.ts"
import {
  callText,
  closeTurn,
  judgeText,
  message,
  openTurn,
  resultText,
  systemText
} from "../kernel/prompt.ts"
import { Random } from "../models/nano/language.ts"
import { Sandbox } from "../sandbox/sandbox.ts"
import {
  begin,
  combine,
  leftText,
  type Parts,
  type Puzzle,
  puzzleText,
  solves,
  stepName,
  take,
  valuesOf
} from "../suites/combine.ts"
import { published } from "../suites/game24.ts"
import { moves, reachable } from "../suites/numbers.ts"
import { folderOf } from "./nano.ts"

const puzzles: ReadonlyArray<Puzzle> = published.map((numbers) => ({ numbers, target: 24 }))

/** Steps from a puzzle, and what they leave. */
interface Path {
  readonly puzzle: Puzzle
  readonly steps: ReadonlyArray<{ readonly step: string; readonly left: Parts }>
}

/** Everything that two steps can lead to. */
const twoSteps = (puzzle: Puzzle): ReadonlyArray<Path> => {
  const on = (path: Path, left: Parts): ReadonlyArray<Path> =>
    moves(valuesOf(left)).map(({ text }) => {
      const step = { step: text, left: take(left, text) as Parts }
      return { puzzle, steps: [...path.steps, step] }
    })
  return on({ puzzle, steps: [] }, begin(puzzle)).flatMap((path) => on(path, path.steps[0]!.left))
}

/** What the model says, greedily, when it is asked about the state that a path leads to. */
const judge = Effect.fnUntraced(function* ({ puzzle, steps }: Path) {
  const engine = yield* Engine
  const sequence = yield* engine.sequence
  yield* engine.swapIn(sequence)
  const user = (text: string) => message(engine, "user", text)
  const tokens = [
    ...engine.bos,
    ...message(engine, "system", systemText([combine(puzzle), recall, exit])),
    ...user(puzzleText(puzzle)),
    ...steps.flatMap(({ left, step }) => [
      ...openTurn(engine),
      ...engine.tokenize(callText(stepName, { step })),
      ...closeTurn(engine),
      ...user(resultText(true, leftText(left, puzzle.target)))
    ]),
    ...user(judgeText),
    ...openTurn(engine)
  ]
  yield* engine.step([{ _tag: "Prefill", sequence, tokens }])
  const [said] = yield* engine.step([{ _tag: "Decode", sequence, sampling: { temperature: 0, seed: 0 } }])
  return said!.text.trim()
}, Effect.scoped)

/** The answer of one process, and whether it is right. */
const solve = Effect.fnUntraced(function* (run: number, puzzle: Puzzle) {
  const kernel = yield* Kernel
  const folder = yield* folderOf({ initial: new Map() })
  const pid = yield* kernel.spawn({
    run,
    program: fast(0),
    task: puzzleText(puzzle),
    workspace: yield* (yield* Sandbox).open(folder),
    tools: [combine(puzzle)],
    budget: { tokens: 2000, seconds: 60, syscalls: 8 }
  })
  return solves(puzzle, (yield* kernel.wait(pid)).answer)
}, Effect.scoped)

/** Shares of the test puzzles solved, and of their states (two steps in, half of them hopeless) judged rightly. */
export const game24 = Effect.gen(function* () {
  const run = yield* (yield* Journal).beginRun({ task: "game24", workspace: "", model: "nano" })
  const solved = yield* Effect.forEach(puzzles, (puzzle) => solve(run, puzzle), { concurrency: 4 })
  const r = new Random(24_004)
  const states = puzzles.flatMap((puzzle) => {
    const all = twoSteps(puzzle)
    return [true, false].flatMap((good) => {
      const fitting = all.filter(({ steps }) => reachable(valuesOf(steps[1]!.left), puzzle.target) === good)
      return fitting.length === 0 ? [] : [{ path: r.pick(fitting), good }]
    })
  })
  const judged = yield* Effect.forEach(states, ({ path }) => judge(path))
  const share = (all: ReadonlyArray<boolean>) => all.filter((right) => right).length / all.length
  return {
    solved: share(solved),
    right: share(judged.map((said, i) => said === (states[i]!.good ? "yes" : "no")))
  }
})
