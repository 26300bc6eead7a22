/**
 * Who holds a row of the KV cache, and what each of them does in the next batch: pure functions over the process table.
 * The kernel's loop does what they say.
 *
 * All processes that hold a row advance together, a token a step, for that is what fills the engine's batches. A
 * policy is asked only when there are more processes that could run than rows.
 */
import type { Work } from "./engine/engine.ts"
import type { Process } from "./process.ts"

/** What a policy remembers of a process. It is replaced, never changed. */
export interface Share {
  /** Its place in line: how many tokens the engine had served when it joined the end of it. */
  readonly joined: number
  /** Tokens left of its slice. Until they are used nobody of its own rank takes its row. */
  readonly slice: number
  /** Its virtual time: tokens served, each divided by its weight. */
  readonly virtual: number
  /** The virtual time at which its present slice should have been served. */
  readonly due: number
  /** 0 is the highest level of a feedback queue; `boosted` says since which boost it holds. */
  readonly level: number
  readonly boosted: number
}

/** Tokens served since the kernel started, and how far virtual time has come: never back. */
export interface Clock {
  readonly served: number
  readonly virtual: number
}

export const epoch: Clock = { served: 0, virtual: 0 }

/** What a policy sees of a process. */
export type Candidate = Pick<Process, "pid" | "priority" | "share">

export interface Policy {
  readonly name: string
  /** Which of two processes that can run goes first: negative for `a`. */
  readonly order: (a: Candidate, b: Candidate, clock: Clock) => number
  /** The share of a process that can run again, new or back from a call, and has `need` tokens to read first. */
  readonly join: (p: Pick<Process, "priority">, before: Share, need: number, clock: Clock) => Share
  /** The share of a process after it was served. */
  readonly charge: (p: Candidate, tokens: number, clock: Clock) => Share
}

/** The share of a process that never ran. */
export const newborn: Share = { joined: 0, slice: 0, virtual: 0, due: 0, level: 0, boosted: 0 }

/** Tokens of a slice: long enough that changing rows, which costs about as much as one to three tokens, is cheap. */
export const quantum = 32

/** A step of priority is a step of nice(1): a quarter more of the engine. */
export const weight = (priority: number): number => 1.25 ** Math.max(-20, Math.min(20, priority))

const inLine: Policy["order"] = (a, b) => a.share.joined - b.share.joined || a.pid - b.pid

/** First come, first served, until it blocks or exits. */
export const fifo: Policy = {
  name: "fifo",
  order: inLine,
  join: (_, before, __, clock) => ({ ...before, joined: clock.served }),
  charge: ({ share }) => share
}

/** A slice each, then to the end of the line. A slice begins after what there is to read. */
export const rr: Policy = {
  name: "rr",
  order: inLine,
  join: (_, before, need, clock) => ({ ...before, joined: clock.served, slice: need + quantum }),
  charge: ({ share }, tokens, clock) =>
    share.slice > tokens
      ? { ...share, slice: share.slice - tokens }
      : { ...share, joined: clock.served, slice: quantum }
}

const levels = 4
/** After so many tokens everybody starts again at the highest level, so that nobody starves at the lowest. */
const boostEvery = 4096

const boostOf = (clock: Clock) => Math.floor(clock.served / boostEvery)
const levelOf = (share: Share, clock: Clock) => (share.boosted === boostOf(clock) ? share.level : 0)

/**
 * Multi-level feedback queue (Corbató et al., An experimental time-sharing system, AFIPS 1962; the rules as in
 * Arpaci-Dusseau, Operating Systems: Three Easy Pieces, ch. 8): who uses up a slice sinks a level, where slices are twice
 * as long; who blocks before that stays.
 */
export const mlfq: Policy = {
  name: "mlfq",
  order: (a, b, clock) => levelOf(a.share, clock) - levelOf(b.share, clock) || inLine(a, b, clock),
  join: (_, before, need, clock) => {
    const level = levelOf(before, clock)
    const slice = need + quantum * 2 ** level
    return { ...before, joined: clock.served, slice, level, boosted: boostOf(clock) }
  },
  charge: ({ share }, tokens, clock) => {
    if (share.slice > tokens) return { ...share, slice: share.slice - tokens }
    const level = Math.min(levels - 1, levelOf(share, clock) + 1)
    return { ...share, joined: clock.served, slice: quantum * 2 ** level, level, boosted: boostOf(clock) }
  }
}

/**
 * Weighted fair queueing over tokens: the earliest virtual deadline goes first. (Stoica and Abdel-Wahab, Earliest
 * eligible virtual deadline first, 1995; virtual time as in Goyal et al., Start-time fair queueing, SIGCOMM 1996.)
 *
 * - A token costs a process 1/weight of virtual time, so that over time tokens are shared as the weights are.
 * - A slice is due a quantum/weight after it began: a process of high priority is due at once, and takes a row from
 *   whoever is due last.
 * - Who was away joins at the virtual time that the others have reached: it neither has a debt nor has saved up.
 * - Who waits keeps its deadline while the others' move on, and so comes first in the end: that is its aging.
 */
export const fair: Policy = {
  name: "fair",
  order: (a, b) => a.share.due - b.share.due || a.pid - b.pid,
  join: ({ priority }, before, need, clock) => {
    const virtual = Math.max(before.virtual, clock.virtual)
    return { ...before, virtual, slice: need + quantum, due: virtual + quantum / weight(priority) }
  },
  charge: ({ priority, share }, tokens) => {
    const virtual = share.virtual + tokens / weight(priority)
    if (share.slice > tokens) return { ...share, virtual, slice: share.slice - tokens }
    return { ...share, virtual, slice: quantum, due: virtual + quantum / weight(priority) }
  }
}

/** The clock after a step that served these processes. */
export const advance = (
  clock: Clock,
  served: ReadonlyArray<{ readonly process: Candidate; readonly tokens: number }>
): Clock => {
  let { served: total, virtual } = clock
  for (const { process, tokens } of served) {
    total += tokens
    virtual = Math.max(virtual, process.share.virtual)
  }
  return { served: total, virtual }
}

/** Whether it has anything for the engine to do. One without a sequence still waits for its program to be loaded. */
export const runnable = (p: Process): boolean =>
  (p.state === "ready" || p.state === "running") && p.sequence !== undefined

/** Who gives its row away first: stopped ones, then blocked ones, each the longest first, then who would run last. */
const victims = (
  table: ReadonlyArray<Process>,
  running: ReadonlySet<Process>,
  line: ReadonlyArray<Process>
) => {
  const place = (p: Process) => (p.state === "stopped" ? 0 : p.state === "blocked" ? 1 : 2)
  const last = new Map(line.map((p, i) => [p, -i]))
  return table
    .filter((p) => p.sequence?.resident === true && !running.has(p))
    .sort((a, b) => place(a) - place(b) || (last.get(a) ?? a.since) - (last.get(b) ?? b.since))
}

/** Who runs in the next step, in the policy's order; who must give its row away for that, and who must get one. */
export interface Dispatch {
  readonly run: ReadonlyArray<Process>
  readonly out: ReadonlyArray<Process>
  readonly in: ReadonlyArray<Process>
}

/** Gives the rows to the first in line. No row stays empty while somebody could use it. */
export const dispatch = (
  policy: Policy,
  table: ReadonlyArray<Process>,
  rows: number,
  clock: Clock
): Dispatch => {
  const line = table.filter(runnable).sort((a, b) => policy.order(a, b, clock))
  const run = line.slice(0, rows)
  const entering = run.filter((p) => !p.sequence!.resident)
  const free = rows - table.filter((p) => p.sequence?.resident === true).length
  const out =
    entering.length > free ? victims(table, new Set(run), line).slice(0, entering.length - free) : []
  return { run, out, in: entering }
}

/** One item of work. `tokens` is what it costs its process: what only the kernel's own swapping caused is free. */
export interface Item {
  readonly process: Process
  readonly work: Work
  readonly tokens: number
}

/**
 * What each does in the next step: a token, or a piece of what it has to read. All pieces together are at most `chunk`
 * tokens, so that a long prompt holds nobody else up for longer; who finds no room waits a step.
 */
export const nextBatch = (run: ReadonlyArray<Process>, chunk: number): ReadonlyArray<Item> => {
  const batch: Array<Item> = []
  let room = chunk
  for (const process of run) {
    const sequence = process.sequence!
    if (sequence.missing > 0) {
      const count = Math.min(room, sequence.missing)
      if (count > 0) batch.push({ process, work: { _tag: "Restore", sequence, count }, tokens: 0 })
      room -= count
    } else if (process.pending.length > 0) {
      // The program's prefix ends a piece: from there it is shared.
      const toPrefix = process.image.prefix.length - sequence.length
      const count = Math.min(room, process.pending.length, toPrefix > 0 ? toPrefix : Number.POSITIVE_INFINITY)
      const tokens = process.pending.slice(0, count)
      if (count > 0) batch.push({ process, work: { _tag: "Prefill", sequence, tokens }, tokens: count })
      room -= count
    } else {
      const { sampling } = process.program
      const work: Work = { _tag: "Decode", sequence, sampling, grammar: process.image.grammar }
      batch.push({ process, work, tokens: 1 })
    }
  }
  return batch
}

/** Whether the KV cache of a sequence is better saved or evaluated again: whichever takes less time. */
export const swapMethod = (
  length: number,
  costs: { readonly prefill: number; readonly save: number; readonly load: number }
): "save" | "drop" => (length * (costs.save + costs.load) < length * costs.prefill ? "save" : "drop")
