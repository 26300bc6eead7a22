/**
 * What the kernel's scheduler did, as a file that ui.perfetto.dev and chrome://tracing open: the array of the Trace Event
 * Format, an event a line, times in µs.
 * (https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU)
 *
 * A process has a track with slices for what it does: reading, writing, a call, waiting for a row, stopped. The engine
 * has one with a slice for each step and for each row that changes hands. The file is written as things happen: that of
 * a run that was killed lacks its closing bracket, which readers do without, and the slices that had not ended.
 */
import { closeSync, openSync, statSync, writeFileSync } from "node:fs"
import { Effect } from "effect"
import type { KernelEvent } from "../kernel/event.ts"
import type { State } from "../kernel/journal.ts"
import { oneLine } from "./report.ts"
import { code, messageOf, Stop } from "./stop.ts"

/** What a process has been doing since `from`, in ms on the clock of performance.now(). */
interface Slice {
  readonly name: string
  readonly category: "engine" | "call" | "wait"
  readonly from: number
  args: object
}

interface Track {
  /** Its slices that have not ended, each inside the one before it. */
  readonly open: Array<Slice>
  state: State
  /** When the last step that served it ended. */
  served: number
  /** Tokens of its slice on the engine. */
  tokens: number
}

const doing = { Prefill: "read", Restore: "read again", Decode: "write", Weigh: "weigh" } as const

/** The engine's track has the number that no process gets; theirs have their pids. */
const engine = 2 ** 31 - 1

/** Turns events into the lines of a trace. */
const tracer = (put: (event: object) => void) => {
  const zero = performance.now()
  const us = (ms: number) => Math.round((ms - zero) * 1000)
  const tracks = new Map<number, Track>()
  const counts = { running: 0, ready: 0, blocked: 0, stopped: 0 }
  /** Served by the last step. */
  let serving = new Set<Track>()
  let batch = 0

  const name = (tid: number, name: string, order: number) => {
    put({ ph: "M", name: "thread_name", tid, args: { name } })
    put({ ph: "M", name: "thread_sort_index", tid, args: { sort_index: order } })
  }
  const slice = (tid: number, { args, category: cat, from, name }: Slice, to: number) =>
    put({ ph: "X", name, cat, tid, ts: us(from), dur: us(to) - us(from), args })

  const instant = (tid: number, name: string, at: number, args: object) =>
    put({ ph: "i", s: "t", name, tid, ts: us(at), args })

  /** Ends the innermost slice. */
  const close = (pid: number, track: Track, now: number) => {
    const last = track.open.pop()!
    if (last.category !== "engine") return slice(pid, last, now)
    slice(pid, { ...last, args: { tokens: track.tokens } }, track.served)
    track.tokens = 0
  }
  const closeAll = (pid: number, track: Track, now: number) => {
    while (track.open.length > 0) close(pid, track, now)
  }
  const countBatch = (processes: number, at: number) => {
    if (processes === batch) return
    batch = processes
    put({ ph: "C", name: "batch", tid: engine, ts: us(at), args: { processes } })
  }
  const count = (from: State | undefined, to: State, now: number) => {
    if (from !== undefined && from !== "zombie") counts[from]--
    if (to !== "zombie") counts[to]++
    put({ ph: "C", name: "processes", tid: engine, ts: us(now), args: { ...counts } })
    if (counts.running === 0) countBatch(0, now)
  }

  /** A process comes into a state. One that is stopped in a call goes on with the call. */
  const move = (pid: number, track: Track, state: State, why: string, now: number) => {
    const before = track.state
    if (state === before) return
    track.state = state
    count(before, state, now)
    const inCall = track.open[0]?.category === "call"
    if (state === "blocked" && inCall) return close(pid, track, now)
    if (state !== "stopped" || !inCall) closeAll(pid, track, now)
    if (state === "blocked") track.open.push({ name: why, category: "call", from: now, args: {} })
    else if (state !== "running") track.open.push({ name: state, category: "wait", from: now, args: { why } })
  }

  const step = ({ at, items, ms }: Extract<KernelEvent, { type: "step" }>) => {
    const tokens = items.reduce((n, item) => n + item.tokens, 0)
    const args = { batch: items.length, tokens }
    slice(engine, { name: "step", category: "engine", from: at, args }, at + ms)
    countBatch(items.length, at)
    const served = new Set<Track>()
    for (const { does, pid, tokens } of items) {
      const track = tracks.get(pid)!
      const last = track.open.at(-1)
      // Steps in a row are one slice.
      const same = serving.has(track) && last?.name === doing[does]
      if (!same) {
        closeAll(pid, track, at)
        track.open.push({ name: doing[does], category: "engine", from: at, args: {} })
      }
      track.tokens += tokens
      track.served = at + ms
      served.add(track)
    }
    serving = served
  }

  put({ ph: "M", name: "process_name", args: { name: "noos" } })
  name(engine, "engine", 0)

  const trace = (event: KernelEvent) => {
    const now = performance.now()
    switch (event.type) {
      case "start": {
        const { parent, pid, task } = event
        const open: Array<Slice> = [{ name: "ready", category: "wait", from: now, args: { why: "new" } }]
        tracks.set(pid, { open, state: "ready", served: now, tokens: 0 })
        name(pid, `pid ${pid}: ${oneLine(task, 60)}`, pid)
        instant(pid, "start", now, { task: oneLine(task, 1000), parent })
        return count(undefined, "ready", now)
      }
      case "state":
        return move(event.pid, tracks.get(event.pid)!, event.state, event.why, now)
      case "syscall": {
        const { args, error, ms, ok, pid } = event
        const call = tracks.get(pid)?.open[0]
        if (call?.category === "call")
          call.args = { args: oneLine(JSON.stringify(args), 1000), ok, error, ms }
        return
      }
      case "step":
        return step(event)
      case "swap": {
        const { at, how, ms, pid, tokens } = event
        const args = { pid, tokens }
        return slice(engine, { name: `swap ${how}`, category: "engine", from: at, args }, at + ms)
      }
      case "evict":
      case "fault": {
        const { pid, type, ...args } = event
        return instant(pid, type, now, args)
      }
      case "exit": {
        const { pid, reason, status, usage } = event
        const track = tracks.get(pid)!
        closeAll(pid, track, now)
        tracks.delete(pid)
        instant(pid, `exit: ${status}`, now, { reason, ...usage })
        return count(track.state, "zombie", now)
      }
    }
  }
  const end = () => {
    for (const [pid, track] of tracks) closeAll(pid, track, performance.now())
  }
  return { trace, end }
}

/** The file, and what writes events into it. Throws where it cannot be written. */
const traceFile = (file: string) => {
  const fd = openSync(file, "w")
  let lines = "["
  let failure: unknown
  /** At once, and not by a stream: nothing is lost with a process that is killed, and nothing piles up. */
  const flush = () => {
    if (failure !== undefined || lines === "") return
    try {
      writeFileSync(fd, lines)
    } catch (e) {
      failure = e
    }
    lines = ""
  }
  const { end, trace } = tracer((event) => {
    lines += `${lines === "[" ? "" : ","}\n${JSON.stringify({ ...event, pid: process.pid })}`
  })
  flush()
  if (failure !== undefined) {
    closeSync(fd)
    throw failure
  }
  return {
    write: (event: KernelEvent) => {
      trace(event)
      flush()
    },
    close: () => {
      end()
      lines += "\n]\n"
      flush()
      closeSync(fd)
      if (failure === undefined) return
      process.stderr.write(
        `noos: the trace ${file} is not whole: ${messageOf(failure)}\nnoos: make room for it\n`
      )
    }
  }
}

/**
 * Opens the file and gives what writes events into it; the scope closes it. A file that cannot be written is an error; one
 * that cannot be written any more is complained of at the end.
 */
export const openTrace = Effect.fn("noos.openTrace")(function* (file: string) {
  const { write } = yield* Effect.acquireRelease(
    Effect.try({
      try: () => {
        // Opening a pipe would wait for a reader, and nothing could end that.
        const there = statSync(file, { throwIfNoEntry: false })
        if (there !== undefined && !there.isFile() && !there.isCharacterDevice())
          throw new Error("not a file")
        return traceFile(file)
      },
      catch: (e) =>
        new Stop({
          code: code.usage,
          what: `--trace: cannot write ${file}: ${messageOf(e)}`,
          todo: "name a file that can be written"
        })
    }),
    ({ close }) => Effect.sync(close)
  )
  return write
})
