/**
 * Whether a process gets on. One that recalls the same page over and over because it is paged out in between, or that makes
 * the same calls and gets the same results, would go on until its budget is spent.
 */
import { createHash } from "node:crypto"

/** What is remembered of the latest exchanges: what they were, and which page they recalled. */
export interface Past {
  readonly exchange: string
  readonly fault: string | undefined
}

/** So often the same exchanges may follow each other, up to so many in turn. */
const rounds = 5
const turns = 4
/** So often a page may be recalled within so many exchanges. */
const faults = 4
const memory = 24

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

/** Why a process with this past does not get on, if so. */
export const stuck = (past: ReadonlyArray<Past>): string | undefined => {
  const last = past.at(-1)
  if (last?.fault !== undefined) {
    const times = past.filter(({ fault }) => fault === last.fault).length
    if (times >= faults)
      return `no progress: ${last.fault} was recalled ${times} times within ${past.length} calls, and paged out in between`
  }
  for (let turn = 1; turn <= turns; turn++) {
    const tail = past.slice(-turn * rounds)
    if (
      tail.length === turn * rounds &&
      tail.every(({ exchange }, i) => exchange === tail[i % turn]!.exchange)
    )
      return turn === 1
        ? `no progress: the same call gave the same result ${rounds} times`
        : `no progress: the same ${turn} calls gave the same results ${rounds} times`
  }
  return undefined
}
