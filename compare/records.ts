/** What a comparison is made of: one attempt of one mode at one item with one seed, and what came of it. */
import type { Mode, Thought } from "../agents/think.ts"
import type { Tree } from "../kernel/search/search.ts"
import type { Change } from "../sandbox/sandbox.ts"

/** All modes, in the order in which they are shown. */
export const modes = [
  "fast",
  "slow",
  "auto",
  "best-of-n",
  "self-consistency",
  "random"
] as const satisfies ReadonlyArray<Mode>

/** Those that get the tokens that slow evaluated on the same item with the same seed. */
export const matched: ReadonlySet<Mode> = new Set<Mode>(["best-of-n", "self-consistency", "random"])

export interface Trial {
  readonly suite: string
  readonly item: string
  readonly mode: Mode
  readonly seed: number
  /** Whether it came to its end by itself, and the item's check said yes. */
  readonly right: boolean
  /** `error`: it could not be carried out or not be checked, and counts as wrong. */
  readonly status: Thought["status"] | "error"
  readonly answer: unknown
  /** Why it did not end well, or could not be checked. */
  readonly why?: string
  readonly usage: Thought["usage"]
  /** States that were made. */
  readonly nodes: number
  readonly escalated?: string
  /** Of `auto`: how sure it was of its fast answer, 0 to 1, if nothing verified it. */
  readonly sure?: number
  readonly changes: ReadonlyArray<Change>
  readonly tree?: Tree
}

/** A task as reports tell it. */
export interface Told {
  readonly id: string
  readonly task: string
}

/** All that a report needs. */
export interface Comparison {
  readonly suite: string
  readonly about: string
  /** The model's name, for people. */
  readonly model: string
  /** How slow searched. */
  readonly strategy: string
  /** Those that were to be compared: an interrupted comparison has not come to all. */
  readonly items: ReadonlyArray<Told>
  readonly modes: ReadonlyArray<Mode>
  readonly seeds: number
  /** Attempts that it takes. */
  readonly attempts: number
  readonly trials: ReadonlyArray<Trial>
}

/** Tokens that went through the model: those from the KV cache did not. */
export const evaluated = ({ generatedTokens, prefillTokens, valueTokens }: Thought["usage"]): number =>
  prefillTokens + generatedTokens + valueTokens
