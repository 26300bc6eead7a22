/** `noos ps`: the processes of all noos processes that share this home, as their kernels tell of them. */
import { Effect } from "effect"
import { Command, Flag } from "effect/cli"
import { Journal, type Process, type Run } from "../kernel/journal.ts"
import { unused } from "../kernel/process.ts"
import { hasJournal, journalLayer } from "./environment.ts"
import { jsonFlag } from "./flags.ts"
import type { Row } from "./processes.ts"
import { oneLine } from "./report.ts"

/** A living process, or one that is only in the journal, which no kernel has. */
interface Shown extends Omit<Row, "kernel" | "state"> {
  readonly kernel: number | null
  readonly state: Process["state"]
  /** How it ended, if it has. */
  readonly status: Process["status"]
}

/** How many processes of the journal `--all` adds. */
const most = 50

/** A process as the journal knows it, when no kernel does. */
const remembered = (p: Process, run: Run, task: string): Shown => {
  const stopped = p.why === "interrupted" ? p.why : "no noos answers for it"
  return {
    pid: p.pid,
    parent: p.parent,
    run: p.run,
    kernel: null,
    state: p.state === "zombie" ? "zombie" : "stopped",
    why: p.state === "zombie" ? p.why : stopped,
    status: p.status,
    priority: p.priority,
    usage: { ...unused, wallMs: Math.max(0, (run.ended ?? p.updated) - p.created), ...p.usage },
    task
  }
}

/** The newest processes of the journal that are not among the living. */
const others = Effect.fnUntraced(function* (living: ReadonlySet<number>) {
  const journal = yield* Journal
  const rows: Array<Shown> = []
  // Each run has at least one.
  for (const run of yield* journal.runs(most + living.size)) {
    for (const p of (yield* journal.processes(run.id)).toReversed()) {
      if (living.has(p.pid)) continue
      const pages = p.parent === null ? [] : yield* journal.pages(p.pid)
      rows.push(remembered(p, run, pages.findLast((page) => page.role === "task")?.text ?? run.task))
      if (rows.length === most) return rows
    }
  }
  return rows
})

export const ps = Command.make(
  "ps",
  {
    json: jsonFlag,
    all: Flag.Boolean("all").pipe(
      Flag.withAlias("a"),
      Flag.withDefault(false),
      Flag.withDescription(`Also the newest ${most} that have ended or were left`)
    )
  },
  Effect.fn("noos.ps")(function* (flags) {
    const { askAll } = yield* Effect.promise(() => import("./control.ts"))
    const { answers, silent } = yield* askAll((kernel) => kernel.processes())
    for (const pid of silent)
      process.stderr.write(`noos: the noos process ${pid} does not answer\nnoos: is it suspended?\n`)
    const living = answers.flat().map((row): Shown => ({ ...row, status: null }))
    const past =
      flags.all && hasJournal()
        ? yield* others(new Set(living.map((p) => p.pid))).pipe(Effect.provide(journalLayer))
        : []
    const rows = [...past, ...living].sort((a, b) => a.pid - b.pid)
    if (flags.json) for (const row of rows) console.log(JSON.stringify(row))
    else for (const line of table(rows)) console.log(line)
  })
).pipe(Command.withDescription("Show the processes"))

const head = ["PID", "PARENT", "STATE", "WHY", "PRIORITY", "TOKENS", "CALLS", "TIME", "TASK"]
const rightAligned = new Set(["PID", "PARENT", "PRIORITY", "CALLS", "TIME"])

const cells = ({ parent, pid, priority, state, status, task, usage, why }: Shown): ReadonlyArray<string> => [
  `${pid}`,
  `${parent ?? "-"}`,
  state,
  status === null ? why : status === "ok" ? status : `${status}: ${why}`,
  `${priority}`,
  `${usage.prefillTokens}/${usage.generatedTokens}`,
  `${usage.syscalls}`,
  duration(usage.wallMs),
  task
]

const duration = (ms: number): string => {
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)}s`
  const minutes = Math.floor(ms / 60_000)
  const two = (n: number) => `${n}`.padStart(2, "0")
  const seconds = two(Math.floor(ms / 1000) % 60)
  return minutes < 60
    ? `${minutes}:${seconds}`
    : `${Math.floor(minutes / 60)}:${two(minutes % 60)}:${seconds}`
}

/** Columns as wide as they must be; what is wider than the terminal is cut. */
const table = (rows: ReadonlyArray<Shown>): ReadonlyArray<string> => {
  const lines = [head, ...rows.map((row) => cells(row).map((cell) => oneLine(cell, 200)))]
  const widths = head.map((_, i) => Math.min(40, Math.max(...lines.map((line) => line[i]!.length))))
  const width = process.stdout.columns || Number.POSITIVE_INFINITY
  return lines.map((line) => {
    const padded = line.map((cell, i) => {
      if (i === head.length - 1) return cell
      const text = oneLine(cell, widths[i]!)
      return rightAligned.has(head[i]!) ? text.padStart(widths[i]!) : text.padEnd(widths[i]!)
    })
    return oneLine(padded.join("  "), width)
  })
}
