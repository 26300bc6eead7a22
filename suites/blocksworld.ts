/** Blocks to be stacked, one action a call: instances of PlanBench (data/blocksworld.LICENSE.txt). */
import { readFileSync } from "node:fs"
import { Effect } from "effect"
import { type AnyTool, badInput, defineTool, type ToolContext } from "../kernel/tool.ts"
import { Random } from "../models/nano/language.ts"
import {
  act,
  distance,
  type Goal,
  holds,
  possible,
  readTowers,
  type World,
  worldOf,
  worldText
} from "./blocks.ts"
import type { Item, Made, Suite } from "./suite.ts"

/** Towers from the top down, `, ` between them. */
export interface Instance {
  readonly init: string
  readonly goal: string
}

interface Args {
  readonly step: string
}

export const moveName = "move"

/** What the process reads: the blocks and the goal, and that it is reached. */
export const blocksText = (now: World, goal: string): string =>
  holds(now, readTowers(goal)) ? `done; ${worldText(now)}` : `${worldText(now)}; goal ${goal}`

export const blocksTask = ({ goal, init }: Instance): string =>
  `Reach the goal, towers top first: ${init}; goal ${goal}.`

/** The blocks after these steps; one that is not possible changes nothing. */
const after = (instance: Instance, steps: ReadonlyArray<string>): World =>
  steps.reduce((now, step) => {
    const then = act(now, step)
    return typeof then === "string" ? now : then
  }, worldOf(instance.init))

const stepsOf = (calls: ReadonlyArray<Made>): ReadonlyArray<string> =>
  calls.flatMap((call) => (call.ok && call.tool === moveName ? [(call.args as Args).step] : []))

/** The hand of one instance. What it did before is in the history of its calls, so that forks each go their own way. */
export const moveTool = (instance: Instance): AnyTool =>
  defineTool({
    name: moveName,
    description: "Move blocks: pick-up A, put-down A, stack A B or unstack A B.",
    input: {
      type: "object",
      properties: { step: { type: "string" } },
      required: ["step"],
      additionalProperties: false
    },
    effect: "pure",
    execute: Effect.fn("move")(function* ({ step }: Args, { history }: ToolContext) {
      const past = yield* history
      const now = act(
        after(
          instance,
          past.map((call) => (call.args as Args).step)
        ),
        step
      )
      if (typeof now === "string") return yield* badInput(now)
      return blocksText(now, instance.goal)
    })
  })

export const blocksItem = (id: string, instance: Instance): Item => {
  const goal: Goal = readTowers(instance.goal)
  const reached = (calls: ReadonlyArray<Made>) => holds(after(instance, stepsOf(calls)), goal)
  return {
    id,
    task: blocksTask(instance),
    grant: [],
    tools: [moveTool(instance)],
    files: {},
    check: ({ calls }) => Effect.succeed(reached(calls)),
    verifier: true,
    key: (calls) => worldText(after(instance, stepsOf(calls))),
    random: (calls, below) => {
      if (reached(calls)) return { tool: "exit", args: { answer: "done" } }
      const all = possible(after(instance, stepsOf(calls)))
      return { tool: moveName, args: { step: all[below(all.length)]! } }
    }
  }
}

/** A line of data/blocksworld.jsonl. `length`: actions of a shortest plan. */
export interface Row extends Instance {
  readonly id: string
  readonly length: number
}

/** 24 instances each of 4, 6, 8, 10 and 12 actions, in turns. */
export const published: ReadonlyArray<Row> = readFileSync(
  new URL("data/blocksworld.jsonl", import.meta.url),
  "utf8"
)
  .trim()
  .split("\n")
  .map((line) => JSON.parse(line) as Row)

/** Blocks on top of each other at random, from the top down. */
const heap = (r: Random, blocks: ReadonlyArray<string>): string => {
  const towers: Array<Array<string>> = []
  for (const block of r.sample(blocks, blocks.length)) {
    const at = r.int(0, towers.length)
    if (at === towers.length) towers.push([block])
    else towers[at]!.unshift(block)
  }
  return worldText({ towers: towers.sort((a, b) => (a.at(-1)! < b.at(-1)! ? -1 : 1)) })
}

/** An instance like the published ones, of three to five blocks, that is not solved yet. */
export const randomInstance = (r: Random): Instance => {
  const blocks = ["a", "b", "c", "d", "e"].slice(0, r.pick([3, 4, 4, 4, 4, 5, 5]))
  const init = heap(r, blocks)
  const pieces = readTowers(heap(r, r.sample(blocks, r.int(2, blocks.length)))).filter((t) => t.length > 1)
  if (pieces.length === 0 || distance(worldOf(init), pieces) < 2) return randomInstance(r)
  return { init, goal: pieces.map((t) => t.join(" ")).join(", ") }
}

/** Equal for instances that only their blocks' names tell apart: the first in order of all renamings. */
export const shape = ({ goal, init }: Instance): string => {
  const text = `${init}|${goal}`
  const blocks = [...new Set(init.match(/\w+/g))].sort()
  let least: string | undefined
  const rename = (names: ReadonlyMap<string, string>) => {
    if (names.size < blocks.length) {
      for (const name of blocks)
        if (![...names.values()].includes(name)) rename(new Map([...names, [blocks[names.size]!, name]]))
      return
    }
    const [start, end] = text.replace(/\w/g, (block) => names.get(block)!).split("|") as [string, string]
    const sorted = readTowers(end)
      .map((t) => t.join(" "))
      .sort()
      .join(", ")
    const renamed = `${worldText(worldOf(start))}|${sorted}`
    if (least === undefined || renamed < least) least = renamed
  }
  rename(new Map())
  return least!
}

/** Seed of the instances for calibration. */
const calibrationSeed = 24_061

export const blocksworld: Suite = {
  name: "blocksworld",
  about: "PlanBench's blocks world: plans of 4 to 12 actions, one a call",
  items: published.map((row) => blocksItem(row.id, row)),
  calibration: (() => {
    const r = new Random(calibrationSeed)
    return Array.from({ length: 50 }, (_, i) => blocksItem(`c${i}`, randomInstance(r)))
  })(),
  tokens: 8000
}
