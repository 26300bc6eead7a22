/**
 * The kernel's loop without kernel, engine and model: a table of processes that live as they are told to, and the
 * scheduler's own functions. A step is what a pass of the loop does. Whatever the functions get is frozen.
 */
import type { Sequence, Token } from "../../kernel/engine/engine.ts"
import type { Image } from "../../kernel/image.ts"
import type { Process, Program } from "../../kernel/process.ts"
import {
  type Clock,
  type Dispatch,
  dispatch,
  epoch,
  type Item,
  newborn,
  nextBatch,
  type Policy,
  runnable,
  type Share,
  serve
} from "../../kernel/scheduler.ts"

/** How a process lives: it reads its prompt, writes a turn, is away in a call, reads the result, writes again. */
export interface Life {
  readonly priority: number
  /** Tokens of its prompt. */
  readonly prompt: number
  /** Tokens of a turn, after which it blocks. */
  readonly turn: number
  /** Steps that it is blocked for. */
  readonly away: number
  /** Tokens of a call's result. */
  readonly result: number
  /** Tokens that it writes in all before it exits. */
  readonly writes: number
}

const forever = Number.POSITIVE_INFINITY
/** One that only writes, for ever. */
const hog: Life = { priority: 0, prompt: 0, turn: forever, away: 0, result: 0, writes: forever }

/** What the scheduler reads of a process. */
export type Fields = Pick<Process, "pid" | "priority" | "share" | "state" | "since" | "pending"> & {
  readonly sequence: Pick<Sequence, "length" | "resident" | "missing"> | undefined
  readonly image?: Pick<Image, "prefix" | "grammar">
}

const tokens = (n: number): ReadonlyArray<Token> => Object.freeze(Array<Token>(n).fill(0))
const imageOf = (prefix: number) => Object.freeze({ prefix: tokens(prefix), grammar: { gbnf: "" } })
const plain = imageOf(0)
const program = { sampling: { temperature: 0, seed: 0 } } as Program

/** A process of which only those fields are there. */
export const struct = (fields: Fields): Process => {
  Object.freeze(fields.share)
  Object.freeze(fields.sequence)
  return Object.freeze({ image: plain, program, ...fields }) as Process
}

/** What one step decided, and the table that it saw. */
export interface Step {
  readonly clock: Clock
  readonly table: ReadonlyArray<Process>
  readonly plan: Dispatch
  readonly batch: ReadonlyArray<Item>
}

export interface Options {
  readonly rows: number
  readonly chunk?: number
  /** Whether who loses its row has to be evaluated again. */
  readonly drops?: boolean
  /** Tokens that all prompts begin with. */
  readonly prefix?: number
}

export const simulate = (policy: Policy, { chunk = 128, drops = false, prefix = 0, rows }: Options) => {
  const image = imageOf(prefix)
  const table = new Map<number, Process>()
  const lives = new Map<number, Life>()
  /** The step at which the call of a blocked process is done. */
  const back = new Map<number, number>()
  const joined = new Map<number, number>()
  const served = new Map<number, number>()
  const written = new Map<number, number>()
  let clock: Clock = Object.freeze(epoch)
  let now = 0

  const find = (pid: number): Process => {
    const p = table.get(pid)
    if (p === undefined) throw new Error(`no process ${pid}`)
    return p
  }
  const put = (pid: number, change: Partial<Fields>) => table.set(pid, struct({ ...find(pid), ...change }))
  const enter = (pid: number, state: Process["state"]) => put(pid, { state, since: clock.served })
  const ready = (pid: number, pending: ReadonlyArray<Token>) => {
    const p = find(pid)
    joined.set(pid, now)
    put(pid, { pending, share: policy.join(p, p.share, pending.length, clock) })
    enter(pid, "ready")
  }

  const start = (life: Partial<Life> = {}): number => {
    const pid = lives.size + 1
    const { priority, prompt } = { ...hog, ...life }
    lives.set(pid, { ...hog, ...life })
    const sequence = { length: 0, resident: false, missing: 0 }
    const born = { pid, priority, share: newborn, since: 0, pending: [], sequence, image }
    table.set(pid, struct({ ...born, state: "ready" }))
    ready(pid, tokens(prefix + prompt))
    return pid
  }

  const end = (pid: number) => {
    table.delete(pid)
    back.delete(pid)
  }

  const stop = (pid: number) => enter(pid, "stopped")
  const cont = (pid: number) => {
    if (back.has(pid)) enter(pid, "blocked")
    else ready(pid, find(pid).pending)
  }

  const wake = () => {
    for (const [pid, step] of back) {
      if (step > now || find(pid).state === "stopped") continue
      back.delete(pid)
      ready(pid, tokens(lives.get(pid)!.result))
    }
  }

  const place = ({ in: entering, out, run }: Dispatch) => {
    for (const { pid, sequence } of out) {
      const missing = drops ? sequence!.length : sequence!.missing
      put(pid, { sequence: { ...sequence!, resident: false, missing } })
    }
    for (const { pid, sequence } of entering) put(pid, { sequence: { ...sequence!, resident: true } })
    const running = new Set(run.map((p) => p.pid))
    for (const { pid, state } of table.values()) {
      if (state === "ready" && running.has(pid)) enter(pid, "running")
      if (state === "running" && !running.has(pid)) enter(pid, "ready")
    }
  }

  const count = (counts: Map<number, number>, pid: number, n: number): number => {
    const total = (counts.get(pid) ?? 0) + n
    counts.set(pid, total)
    return total
  }

  const done = ({ process, tokens, work }: Item, share: Share) => {
    const { pending, pid } = process
    const { length, missing, resident } = process.sequence!
    const restored = work._tag === "Restore" ? work.count : 0
    put(pid, {
      share,
      sequence: { resident, length: length + tokens, missing: missing - restored },
      pending: work._tag === "Prefill" ? pending.slice(tokens) : pending
    })
    count(served, pid, tokens)
    if (work._tag !== "Decode") return
    const { away, turn, writes } = lives.get(pid)!
    const n = count(written, pid, 1)
    if (n >= writes) return end(pid)
    if (n % turn !== 0) return
    back.set(pid, now + away)
    enter(pid, "blocked")
  }

  /** One pass of the loop. */
  const step = (): Step => {
    wake()
    const before = { clock, table: [...table.values()] }
    const plan = dispatch(policy, before.table, rows, clock)
    place(plan)
    const batch = nextBatch(
      plan.run.map(({ pid }) => find(pid)),
      chunk
    )
    if (batch.length > 0) {
      const after = serve(policy, clock, batch, before.table.filter(runnable))
      clock = Object.freeze(after.clock)
      for (const [i, item] of batch.entries()) done(item, after.shares[i]!)
    }
    now++
    return { ...before, plan, batch }
  }

  return {
    start,
    step,
    stop,
    cont,
    /** Ends it, as KILL does. */
    end,
    find,
    pids: () => [...table.keys()],
    /** The step at which it last became able to run. */
    joined: (pid: number) => joined.get(pid)!,
    /** Tokens that a process was charged for, and those of them that it wrote. */
    served: (pid: number) => served.get(pid) ?? 0,
    written: (pid: number) => written.get(pid) ?? 0
  }
}

export type Simulation = ReturnType<typeof simulate>
