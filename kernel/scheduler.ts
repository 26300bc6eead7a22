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
  /** The virtual times at which its present slice began, and at which it should have been served. */
  readonly begun: number
  readonly due: number
  /** 0 is the highest level of a feedback queue; `boosted` says since which boost it holds. */
  readonly level: number
  readonly boosted: number
}

/** Where everybody is together. */
export interface Clock {
  /** Tokens served since the kernel started. Where a process had but its KV cache restored, that counts as one. */
  readonly served: number
  /** Virtual time: what a process of weight 1 would have been served, were all served at once, each by its weight. */
  readonly virtual: number
  /** The virtual time at which the latest slice in service began. */
  readonly begun: number
}

export const epoch: Clock = { served: 0, virtual: 0, begun: 0 }

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
export const newborn: Share = { joined: 0, slice: 0, virtual: 0, begun: 0, due: 0, level: 0, boosted: 0 }

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
export const boostEvery = 4096

const allotment = (level: number): number => quantum * 2 ** level
const boostOf = (clock: Clock): number => Math.floor(clock.served / boostEvery)

/** Where a process is after the latest boost. */
const boosted = (share: Share, clock: Clock): Share =>
  share.boosted === boostOf(clock)
    ? share
    : { ...share, level: 0, slice: Math.min(share.slice, allotment(0)), boosted: boostOf(clock) }

const levelOf = (share: Share, clock: Clock): number => (share.boosted === boostOf(clock) ? share.level : 0)

/**
 * Multi-level feedback queue (Corbató et al., An experimental time-sharing system, AFIPS 1962; the rules as in
 * Arpaci-Dusseau, Operating Systems: Three Easy Pieces, ch. 8): who uses up a slice sinks a level, where slices are twice
 * as long. Calls in between do not make it longer, else short turns without end would keep the others from the engine.
 */
export const mlfq: Policy = {
  name: "mlfq",
  order: (a, b, clock) => levelOf(a.share, clock) - levelOf(b.share, clock) || inLine(a, b, clock),
  join: (_, before, need, clock) => {
    const share = boosted(before, clock)
    const whole = allotment(share.level)
    const rest = share.slice > 0 ? Math.min(share.slice, whole) : whole
    return { ...share, joined: clock.served, slice: need + rest }
  },
  charge: (p, tokens, clock) => {
    const share = boosted(p.share, clock)
    if (share.slice > tokens) return { ...share, slice: share.slice - tokens }
    const level = Math.min(levels - 1, share.level + 1)
    return { ...share, joined: clock.served, slice: allotment(level), level }
  }
}

/** A slice's length in the virtual time of its process. */
const span = (priority: number): number => quantum / weight(priority)

/**
 * Weighted fair queueing over tokens: the earliest virtual deadline goes first. (Parekh and Gallager, A generalized
 * processor sharing approach to flow control, 1993; Stoica and Abdel-Wahab, Earliest eligible virtual deadline first,
 * 1995.)
 *
 * - A token costs a process 1/weight of virtual time, so that over time tokens are shared as the weights are.
 * - A slice is due a quantum/weight after it began. What there is to read first costs as much as anything, but does not
 *   put the deadline off: it is paid for by waiting for the next one.
 * - Who comes has had what everybody should have had by now, but is due as if it had come when the latest slice began.
 *   So one of higher priority takes a row at once, and yet the next of many such is due later than the one before.
 * - Who comes back before its slice was due goes on with it: short calls cost nobody its turn.
 * - Who waits keeps its deadline while the others' move on, and so comes first in the end: that is its aging.
 * - Nobody can use more than one row, and so one of great weight gets less than its weight. It is not owed the rest: at
 *   most a slice can be saved up.
 */
export const fair: Policy = {
  name: "fair",
  order: (a, b) => a.share.due - b.share.due || a.pid - b.pid,
  join: ({ priority }, before, need, clock) => {
    if (before.virtual < before.due && Math.max(clock.virtual, clock.begun) <= before.due)
      return { ...before, slice: need + Math.min(before.slice, quantum) }
    const virtual = Math.max(before.virtual, clock.virtual, clock.begun - span(priority))
    const due = Math.max(before.virtual, clock.begun) + span(priority)
    return { ...before, virtual, begun: virtual, due, slice: need + quantum }
  },
  charge: ({ priority, share }, tokens, clock) => {
    const virtual = share.virtual + tokens / weight(priority)
    if (share.slice > tokens) return { ...share, virtual, slice: share.slice - tokens }
    const begun = Math.max(virtual, clock.begun - span(priority))
    return { ...share, virtual: begun, begun, due: begun + span(priority), slice: quantum }
  }
}

interface Served {
  readonly process: Candidate
  readonly tokens: number
}

/** What restores a KV cache costs its process nothing, but takes its time. */
const engaged = (tokens: number): number => Math.max(1, tokens)

/** The clock after a step that served these. Virtual time passes the slower the more want to be served. */
const advance = (clock: Clock, batch: ReadonlyArray<Served>, line: ReadonlyArray<Candidate>): Clock => {
  const shares = batch.map((item) => item.process.share)
  const served = clock.served + sum(batch, ({ tokens }) => engaged(tokens))
  const passed = (served - clock.served) / sum(line, ({ priority }) => weight(priority))
  // Reading runs ahead of deadlines, but those who come shall not have to wait until all others have read as much.
  const last = Math.max(...shares.map((share) => share.due))
  return {
    served,
    virtual: Math.max(clock.virtual, Math.min(clock.virtual + passed, last)),
    begun: Math.max(...shares.map((share) => share.begun))
  }
}

const sum = <A>(items: ReadonlyArray<A>, of: (item: A) => number): number =>
  items.reduce((total, item) => total + of(item), 0)

/**
 * The clock, and the shares of those that a step served, after it; `line` are all that could have been. They are charged
 * in the order of the batch, each a little later than the one before it: those whose slices end together join the end of
 * the line in that order, and not the same one first for ever.
 */
export const serve = (
  policy: Policy,
  clock: Clock,
  batch: ReadonlyArray<Served>,
  line: ReadonlyArray<Candidate>
): { readonly clock: Clock; readonly shares: ReadonlyArray<Share> } => {
  const after = advance(clock, batch, line)
  let { served } = clock
  const shares = batch.map(({ process, tokens }) => {
    served += engaged(tokens)
    return policy.charge(process, tokens, { ...after, served })
  })
  return { clock: after, shares }
}

/** Whether it has anything for the engine to do. One without a sequence still waits for its program to be loaded. */
export const runnable = (p: Process): boolean =>
  (p.state === "ready" || p.state === "running") && p.sequence !== undefined

/** Who runs in the next step, in the policy's order; who must give its row away for that, and who must get one. */
export interface Dispatch {
  readonly run: ReadonlyArray<Process>
  readonly out: ReadonlyArray<Process>
  readonly in: ReadonlyArray<Process>
}

/** The first so many in order. Rows are few: there is no need to sort all who wait. */
const first = <A>(
  items: ReadonlyArray<A>,
  count: number,
  order: (a: A, b: A) => number
): ReadonlyArray<A> => {
  const found = items.slice(0, count).sort(order)
  for (const item of items.slice(count)) {
    if (order(item, found[count - 1]!) >= 0) continue
    const place = found.findIndex((other) => order(item, other) < 0)
    found.splice(place, 0, item)
    found.pop()
  }
  return found
}

/** Gives the rows to the first in line. No row stays empty while somebody could use it. */
export const dispatch = (
  policy: Policy,
  table: ReadonlyArray<Process>,
  rows: number,
  clock: Clock
): Dispatch => {
  const run = first(table.filter(runnable), rows, (a, b) => policy.order(a, b, clock))
  const entering = run.filter((p) => !p.sequence!.resident)
  if (entering.length === 0) return { run, out: [], in: [] }
  const running = new Set(run)
  const resident = table.filter((p) => p.sequence?.resident === true)
  const idle = resident.filter((p) => !running.has(p)).sort(givesAway)
  const free = rows - resident.length
  return { run, out: idle.slice(0, Math.max(0, entering.length - free)), in: entering }
}

/**
 * Which of two idle ones gives its row away first: stopped before blocked, the longest first. Where one of them could run,
 * more can run than there are rows, and so all that are idle must go.
 */
const givesAway = (a: Process, b: Process): number =>
  Number(b.state === "stopped") - Number(a.state === "stopped") || a.since - b.since

/** One item of work. `tokens` is what it costs its process: what only the kernel's own swapping caused is free. */
export interface Item {
  readonly process: Process
  readonly work: Work
  readonly tokens: number
}

/** Tokens that it could read in the next step; a token is written when there are none. */
const unread = ({ image, pending, sequence }: Process): number => {
  const { length, missing } = sequence!
  if (missing > 0) return missing
  // The program's prefix ends a piece: from there it is shared.
  const toPrefix = image.prefix.length - length
  return toPrefix > 0 ? Math.min(toPrefix, pending.length) : pending.length
}

/**
 * How many tokens each may read, together at most `chunk`. Half of that is dealt evenly, so that a short result does not
 * wait behind a long prompt; the rest goes to the first in line.
 */
const deal = (wants: ReadonlyArray<number>, chunk: number): ReadonlyArray<number> => {
  const readers = wants.filter((want) => want > 0).length
  const even = Math.max(1, Math.floor(chunk / 2 / readers))
  let room = chunk
  const take = (most: number) => {
    const taken = Math.min(most, room)
    room -= taken
    return taken
  }
  const evenly = wants.map((want) => take(Math.min(want, even)))
  return evenly.map((had, i) => had + take(wants[i]! - had))
}

/**
 * What each does in the next step: a token, or a piece of what it has to read. All pieces together are at most `chunk`
 * tokens, so that a long prompt holds nobody else up for longer; who finds no room waits a step.
 */
export const nextBatch = (run: ReadonlyArray<Process>, chunk: number): ReadonlyArray<Item> => {
  const wants = run.map(unread)
  const pieces = deal(wants, chunk)
  return run.flatMap((process, i): ReadonlyArray<Item> => {
    const { image, pending, program } = process
    const sequence = process.sequence!
    const count = pieces[i]!
    if (wants[i] === 0) {
      const asked = process.traced?.asked
      if (asked !== undefined)
        return [{ process, work: { _tag: "Weigh", sequence, tokens: asked.answers }, tokens: 1 }]
      const { sampling } = program
      return [{ process, work: { _tag: "Decode", sequence, sampling, grammar: image.grammar }, tokens: 1 }]
    }
    if (count === 0) return []
    if (sequence.missing > 0) return [{ process, work: { _tag: "Restore", sequence, count }, tokens: 0 }]
    const tokens = pending.slice(0, count)
    return [{ process, work: { _tag: "Prefill", sequence, tokens }, tokens: count }]
  })
}

/** Whether the KV cache of a sequence is saved or evaluated again: whichever takes less time. An empty one has none. */
export const swapMethod = (
  length: number,
  costs: { readonly prefill: number; readonly save: number; readonly load: number }
): "save" | "drop" => (length > 0 && costs.save + costs.load < costs.prefill ? "save" : "drop")
