/**
 * Whether a process gets on. One that recalls the same page over and over because it is paged out in between, or that makes
 * the same calls and gets the same results, would go on until its budget is spent. It is warned, then stopped.
 */
import { createHash } from "node:crypto"

/** What is remembered of the latest exchanges: what they were, and which page they recalled. */
export interface Past {
  readonly exchange: string
  readonly fault: string | undefined
}

/** So often the same exchanges may follow each other, up to so many in turn, before a warning and before the end. */
const rounds = { warn: 4, stop: 8 }
const turns = 4
/** So often a page may be recalled within what is remembered. */
const faults = { warn: 3, stop: 5 }
const memory = 64

/** The past with one more exchange. A fault is a page, or a part of one, that was not in view any more. */
export const record = (
  past: ReadonlyArray<Past>,
  call: string,
  result: string,
  fault: string | undefined
): ReadonlyArray<Past> => {
  const exchange = createHash("sha256").update(`${call.length} ${call}${result}`).digest("base64")
  return [...past, { exchange, fault }].slice(-memory)
}

/** Whether the last so many rounds of so many exchanges are the same. */
const same = (past: ReadonlyArray<Past>, turn: number, rounds: number): boolean => {
  const tail = past.slice(-turn * rounds)
  return (
    tail.length === turn * rounds && tail.every(({ exchange }, i) => exchange === tail[i % turn]!.exchange)
  )
}

/** What is wrong with a process that has this past, if so, and whether that is its end. */
export const stuck = (
  past: ReadonlyArray<Past>
): { readonly why: string; readonly end: boolean } | undefined => {
  const last = past.at(-1)
  if (last?.fault !== undefined) {
    const times = past.filter(({ fault }) => fault === last.fault).length
    const why = `${last.fault} was recalled ${times} times within ${past.length} calls, and paged out in between`
    if (times >= faults.warn) return { why, end: times >= faults.stop }
  }
  for (let turn = 1; turn <= turns; turn++) {
    if (!same(past, turn, rounds.warn)) continue
    const end = same(past, turn, rounds.stop)
    const times = end ? rounds.stop : rounds.warn
    const why =
      turn === 1 ? "the same call gave the same result" : `the same ${turn} calls gave the same results`
    return { why: `${why} ${times} times`, end }
  }
  return undefined
}
