/**
 * Suites of tasks on which ways of thinking are compared. A task is one for an ordinary process with tools, so the same
 * programs, kernel and search serve all of them.
 */
import type { Effect } from "effect"
import type { AnyTool, Json, ToolError } from "../kernel/tool.ts"
import type { Workspace } from "../sandbox/sandbox.ts"

/** A call that a process made, and the text that it read as its result. */
export interface Made {
  readonly tool: string
  readonly args: unknown
  readonly ok: boolean
  readonly text: string
}

/** How a process ended: its answer, all of its calls, and what it left behind. */
export interface End {
  readonly answer: unknown
  readonly calls: ReadonlyArray<Made>
  readonly workspace: Workspace
}

/** One task, and whether it was done. */
export interface Item {
  readonly id: string
  readonly task: string
  /** Names of tools that it is granted; undefined: the usual ones. Its own tools are granted besides. */
  readonly grant?: ReadonlyArray<string>
  readonly tools?: ReadonlyArray<AnyTool>
  /** Files of the workspace at the start: texts by path. */
  readonly files: Readonly<Record<string, string>>
  readonly check: (end: End) => Effect.Effect<boolean, ToolError>
  /** Whether `check` may be asked during the search: it needs nothing that the person does not know. */
  readonly verifier: boolean
  /** Equal for the same states, of the calls made so far; default: only the same calls with the same results are the same. */
  readonly key?: (calls: ReadonlyArray<Made>) => string | undefined
  /** A legal call drawn at random, for the random control; `below(n)` draws from 0 to n-1. Without it there is no control. */
  readonly random?: (calls: ReadonlyArray<Made>, below: (n: number) => number) => Drawn
}

/** A call that was drawn at random. */
export interface Drawn {
  readonly tool: string
  readonly args: Json
}

export interface Suite {
  readonly name: string
  /** A line for people. */
  readonly about: string
  readonly items: ReadonlyArray<Item>
  /** Never among `items`: for the thresholds of `auto`. */
  readonly calibration: ReadonlyArray<Item>
  /** Tokens that `slow` may evaluate for an item: read, written and judged. */
  readonly tokens: number
  /** Name of the strategy that suits it; default: the search's own. */
  readonly strategy?: string
}
