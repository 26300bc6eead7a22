/**
 * Traces for slow thinking: puzzles, blocks and scripts solved call by call, and judged at rest. The suites' own code says
 * what the tools answer, which calls are good and what is true. Good calls are drawn at random among all good ones, so that a
 * process that is sampled several times does different things. Nothing that a suite asks is in here.
 */
import { callText, judgeText, resultText, systemText, type ToolCard } from "../../kernel/prompt.ts"
import { ToolError } from "../../kernel/tool.ts"
import { act, distance, holds, nearer, possible, readTowers, worldOf } from "../../suites/blocks.ts"
import {
  blocksTask,
  blocksText,
  moveName,
  moveTool,
  published,
  randomInstance,
  shape
} from "../../suites/blocksworld.ts"
import {
  begin,
  combine,
  leftText,
  type Puzzle,
  puzzleKey,
  puzzleText,
  stepName,
  take,
  valuesOf
} from "../../suites/combine.ts"
import { given, randomPuzzle } from "../../suites/countdown.ts"
import { held, trainable } from "../../suites/game24.ts"
import { fraction, moves, reachable, type State, same } from "../../suites/numbers.ts"
import { makeDefect, repairText, testCommand } from "../../suites/repair.ts"
import { defaultCards, memoryCards } from "./disguises.ts"
import type { Piece } from "./generate.ts"
import type { Random } from "./language.ts"

/** A system page and an endless supply of tasks behind it. */
export interface Lesson {
  readonly system: Piece
  readonly next: () => ReadonlyArray<Piece>
}

const user = (text: string): Piece => ({ role: "user", text, learn: false })
/** What is asked, or answered, where there is nothing to be learned. */
const idle = (text: string): Piece => ({ role: "user", text, learn: false, idle: true })
const say = (tool: string, args: Record<string, unknown>, learn = true): Piece => ({
  role: "model",
  text: callText(tool, args),
  learn
})
const exit = (answer: string, failed = false): Piece =>
  say("exit", failed ? { answer, failed: true } : { answer })
const judge = (good: boolean): ReadonlyArray<Piece> => [
  idle(judgeText),
  { role: "model", text: good ? "yes" : "no", learn: true }
]

/** A page with these tools, and what the kernel adds to them. */
const page = (cards: ReadonlyArray<ToolCard>): Piece => ({
  role: "system",
  text: systemText([...cards, memoryCards[0]!, defaultCards.at(-1)!]),
  learn: false
})

/** How a trace is written: to its end, judged once where it is cut, or judged all along. */
type Form = "solve" | "judge" | "along"

const anyPuzzle = { numbers: [], target: 0 }
const { over13, to13 } = trainable()

/** What the suites ask. */
const tested = new Set([...held, ...given].map(puzzleKey))

/** A puzzle to begin with. */
const puzzle = (r: Random): Puzzle => {
  const kind = r.unit()
  if (kind < 0.2) return randomPuzzle(r, r.pick([2, 3, 3, 4, 4]), r.pick([20, 50, 99]))
  return { numbers: r.sample(r.pick(kind < 0.8 ? to13 : over13) as ReadonlyArray<number>, 4), target: 24 }
}

/** Steps from a state that keep the target reachable, and the others. */
const split = (state: State, target: number) => {
  const all = moves(state)
  const good = all.filter((m) => reachable(m.left, target))
  return { good, bad: all.filter((m) => !good.includes(m)) }
}

/** A smaller puzzle, of whole numbers: what some steps leave. */
const smaller = (r: Random, { numbers, target }: Puzzle, count: number): Puzzle => {
  let state: State = begin({ numbers, target }).map((p) => p.value)
  while (state.length > count) {
    const { bad, good } = split(state, target)
    const from = r.chance(0.6) && good.length > 0 ? good : [...bad, ...good]
    const whole = from.filter((m) => m.left.every((f) => f.d === 1))
    state = r.pick(whole.length > 0 ? whole : moves(state, false)).left
  }
  // In order, as results are, or as a person may say them.
  return { numbers: (r.chance(0.7) ? state : r.sample(state, count)).map((f) => f.n), target }
}

/** A call that is refused, with what it says. It is no example. */
const slip = (r: Random, parts: ReturnType<typeof begin>): ReadonlyArray<Piece> => {
  const step = `${r.int(1, 30)}${r.pick(["+", "-", "*", ":"])}${r.int(1, 30)}`
  const no = take(parts, step)
  return no instanceof ToolError ? [say(stepName, { step }, false), user(resultText(false, no.message))] : []
}

const numbersTask = (r: Random): ReadonlyArray<Piece> => {
  const kind = r.unit()
  const form: Form = kind < 0.35 ? "solve" : kind < 0.9 ? "along" : "judge"
  const first = puzzle(r)
  const count = first.numbers.length
  const cut = count > 2 && r.chance(form === "solve" ? 0.25 : 0.65)
  const start = cut ? smaller(r, first, r.pick([2, count - 1, count - 1, count - 1])) : first
  if (tested.has(puzzleKey(start))) return numbersTask(r)
  const { target } = start
  const pieces: Array<Piece> = [user(puzzleText(start))]
  let parts = begin(start)
  let good = reachable(valuesOf(parts), target)
  // A process is asked how it stands after its calls; of a smaller puzzle it is asked at once.
  if (form !== "solve" && cut) {
    pieces.push(...judge(good))
    if (form === "judge" || !good) return pieces
  }
  const depth = form === "judge" ? r.int(1, parts.length - 1) : parts.length - 1
  const off = form === "solve" ? (r.chance(0.1) ? r.int(0, depth - 1) : depth) : 0
  for (let i = 0; i < depth; i++) {
    if (r.chance(0.04)) pieces.push(...slip(r, parts))
    const found = split(valuesOf(parts), target)
    const right = good && (form === "solve" ? i < off : r.chance(form === "judge" ? 0.7 : 0.55))
    const move = r.pick(right || found.bad.length === 0 ? found.good : found.bad)
    const learn = good && right
    parts = take(parts, move.text) as typeof parts
    good = reachable(valuesOf(parts), target)
    pieces.push(say(stepName, { step: move.text }, learn), user(resultText(true, leftText(parts, target))))
    if (form === "along" || (form === "judge" && i === depth - 1)) pieces.push(...judge(good))
    if (form === "along" && !good) return pieces
  }
  if (form === "judge") return pieces
  const { text, value } = parts[0]!
  return [...pieces, same(value, fraction(target)) ? exit(text) : exit(`not ${target}`, true)]
}

export const numbersLesson = (r: Random): Lesson => ({
  system: page([combine(anyPuzzle)]),
  next: () => numbersTask(r)
})

const testedShapes = new Set(published.map(shape))

const blocksTrace = (r: Random): ReadonlyArray<Piece> => {
  const form: Form = r.pick(["solve", "solve", "along", "along", "judge"])
  const instance = randomInstance(r)
  if (testedShapes.has(shape(instance))) return blocksTrace(r)
  const goal = readTowers(instance.goal)
  const pieces: Array<Piece> = [user(blocksTask(instance))]
  let now = worldOf(instance.init)
  const step = (text: string, learn: boolean): boolean => {
    const before = distance(now, goal)
    const then = act(now, text)
    pieces.push(
      say(moveName, { step: text }, learn),
      user(
        typeof then === "string" ? resultText(false, then) : resultText(true, blocksText(then, instance.goal))
      )
    )
    if (typeof then === "string") return false
    now = then
    return distance(now, goal) < before || holds(now, goal)
  }
  const slip = () => {
    const [a, b] = r.sample(instance.init.match(/\w/g)!, 2)
    const text = r.pick([`pick-up ${a}`, `put-down ${a}`, `stack ${a} ${b}`, `unstack ${a} ${b}`])
    if (typeof act(now, text) !== "string") return
    // Who makes a mistake is likely to make it again.
    for (let n = r.pick([1, 1, 2]); n > 0; n--) step(text, false)
  }
  const astray = r.chance(0.35) ? r.int(1, 3) : 0
  const end = form === "judge" ? r.int(1, distance(now, goal) + astray) : Number.POSITIVE_INFINITY
  const most = form === "along" ? 8 : 24
  for (let i = 0; i < end && !holds(now, goal) && i < most; i++) {
    if (r.chance(0.15)) slip()
    const good = nearer(now, goal)
    const bad = possible(now).filter((text) => !good.includes(text))
    const right = bad.length === 0 || (form === "solve" ? i >= astray : r.chance(0.5))
    const fine = step(r.pick(right ? good : bad), right)
    if (form === "along" || (form === "judge" && (i === end - 1 || holds(now, goal))))
      pieces.push(...judge(fine))
  }
  return form === "solve" && holds(now, goal) ? [...pieces, exit("done")] : pieces
}

export const blocksLesson = (r: Random): Lesson => ({
  system: page([moveTool({ init: "a", goal: "a b" })]),
  next: () => blocksTrace(r)
})

export const repairTask = (r: Random, defect = makeDefect(r)): ReadonlyArray<Piece> => {
  const form: Form = r.pick(["solve", "solve", "along", "judge"])
  const edit = r.pick(defect.plausible)
  const right = edit === defect.right
  const { path, wrong } = defect
  const stages = [
    [say("fs_read", { path }), user(resultText(true, defect.files[path]!.replace(/\n$/, "")))],
    [say("fs_edit", { path, old: wrong, new: edit }), idle(resultText(true, "ok"))],
    [say("shell", { command: testCommand }), idle(resultText(true, right ? "ok" : "wrong\n[exit 1]"))]
  ]
  const truth = [true, right, right]
  const depth = form === "judge" ? r.int(1, 3) : 3
  const pieces = [user(repairText(defect))]
  for (let i = 0; i < depth; i++) {
    pieces.push(...stages[i]!)
    if (form === "along" || (form === "judge" && i === depth - 1)) pieces.push(...judge(truth[i]!))
  }
  return form === "solve" ? [...pieces, right ? exit("fixed") : exit("not fixed", true)] : pieces
}

export const repairLesson = (r: Random): Lesson => ({
  system: { role: "system", text: systemText(defaultCards), learn: false },
  next: () => repairTask(r)
})
