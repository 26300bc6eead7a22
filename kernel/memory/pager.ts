/**
 * The pager: who leaves the window when it fills up.
 *
 * Above the high-water mark it pages out down to the low one, so that many exchanges pass between two evictions. An
 * eviction costs what lies behind the first change: those tokens are evaluated again. (Denning, Virtual Memory, Computing
 * Surveys 1970, for the terms.)
 */
import { Context as Services } from "effect"
import { type Context, evict, type Frame } from "./context.ts"
import type { Window } from "./window.ts"

/** The order in which exchanges leave. Those that shall be forgotten, and the latest ones, are the pager's concern. */
export interface PagerPolicy {
  readonly name: string
  readonly order: (candidates: ReadonlyArray<Frame>) => ReadonlyArray<Frame>
}

/** The least recently used first. */
export const lru: PagerPolicy = {
  name: "lru",
  order: (candidates) => [...candidates].sort((a, b) => a.used - b.used)
}

/** The largest first: the fewest are paged out. */
export const size: PagerPolicy = {
  name: "size",
  order: (candidates) => [...candidates].sort((a, b) => b.tokens.length - a.tokens.length)
}

/**
 * What frees the most tokens for each token that is evaluated again. What is behind a page that goes is paid for anyway,
 * and all that can go there goes with it for nothing more: so that is from the back to the front.
 */
export const cost: PagerPolicy = { name: "cost", order: (candidates) => candidates.toReversed() }

/** The policy of a kernel. */
export const Pager = Services.Reference<PagerPolicy>("noos/Pager", { defaultValue: () => cost })

/** What the pager has to know of a window. */
export type Marks = Pick<Window, "most" | "high" | "low" | "workingSet" | "stub">

/** What a compaction did. `kept` are the first tokens, which are as they were; the others have to be evaluated again. */
export interface Compaction {
  readonly context: Context
  readonly kept: number
  readonly victims: ReadonlyArray<Frame>
}

/** So many exchanges are in use together: a question, what was looked for, and what was found. */
const together = 3

/** The latest exchanges, which the process works with: always the last two, and those before them that fit. */
const workingSet = (context: Context, window: Marks): ReadonlySet<Frame> => {
  const set = new Set<Frame>()
  let tokens = 0
  for (const frame of context.frames.filter(({ kind }) => kind === "exchange").toReversed()) {
    tokens += frame.tokens.length
    if (set.size > 1 && tokens > (set.size < together ? window.most : window.workingSet)) break
    set.add(frame)
  }
  return set
}

/** Pages out until the context is no larger than the low-water mark, or nothing more can go. */
export const compact = (context: Context, window: Marks, policy: PagerPolicy): Compaction => {
  const done = without(workingSet(context, window), context, window, policy)
  const last = context.frames.findLast(({ kind }) => kind === "exchange")!
  // Where even that is too much, only the last exchange stays.
  return done.context.size > window.high ? without(new Set([last]), context, window, policy) : done
}

/** Does so with exchanges that are none of those in use. */
const without = (
  inUse: ReadonlySet<Frame>,
  context: Context,
  window: Marks,
  policy: PagerPolicy
): Compaction => {
  const candidates = context.frames.filter(
    (frame) => frame.kind === "exchange" && !frame.pinned && !inUse.has(frame)
  )
  const cold = candidates.filter(({ used }) => used === 0)
  const line = [...cold, ...policy.order(candidates.filter(({ used }) => used !== 0))]
  const victims = new Set<Frame>()
  let done = { context, kept: context.size }
  while (victims.size < line.length && done.context.size > window.low) {
    let over = done.context.size - window.low
    for (const frame of line.slice(victims.size)) {
      victims.add(frame)
      over -= frame.tokens.length
      if (over <= 0) break
    }
    // From the context as it was: however often it takes, it is one eviction.
    done = evict(context, victims, window.stub)
  }
  return { ...done, victims: [...victims] }
}
