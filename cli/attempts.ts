/** What `noos compare` shows while it works, a line an attempt on stderr, and what it has shown in the end. */
import { type Comparison, evaluated, type Trial } from "../compare/records.ts"
import type { Attempt } from "../compare/run.ts"
import type { Summary } from "../compare/summary.ts"
import { cells, whole } from "../compare/table.ts"
import { oneLine } from "./report.ts"
import { table } from "./table.ts"

/** Lines for a person, with a live last line when stderr is a terminal. `all` is how many attempts there will be. */
export const personProgress = (head: string, all: number) => {
  const live = process.stderr.isTTY === true
  // A file or a pipe keeps whole lines.
  const width = () => (live ? process.stderr.columns || 100 : 400)
  const clear = live ? "\r\x1b[2K" : ""
  const began = Date.now()
  let done = 0
  process.stderr.write(`${head}\n`)
  return {
    begins: ({ item, mode, seed }: Attempt) => {
      if (!live) return
      const passed = (Date.now() - began) / 1000
      const left = done === 0 ? "" : ` · about ${Math.ceil((passed / done) * (all - done))} s left`
      const text = `  … ${done} of ${all} · ${item.id} · ${mode} · seed ${seed}${left}`
      process.stderr.write(`${clear}${oneLine(text, width() - 1)}`)
    },
    ended: (trial: Trial) => {
      done++
      process.stderr.write(`${clear}${oneLine(trialLine(trial), width())}\n`)
    },
    over: () => process.stderr.write(clear)
  }
}

const trialLine = ({ answer, escalated, item, mode, right, seed, status, usage, why }: Trial): string => {
  const said = why ?? (typeof answer === "string" ? answer : JSON.stringify(answer))
  const mark = right ? "✓" : status === "error" ? "!" : "✗"
  const cost = `${whole(evaluated(usage))} tokens, ${(usage.wallMs / 1000).toFixed(1)} s`
  const slowly = escalated === undefined ? "" : ", slowly"
  return `${mark} ${item} ${mode}${seed === 0 ? "" : ` (seed ${seed})`}: ${oneLine(said, 60)}  (${cost}${slowly})`
}

/** The table and the verdicts, for a terminal. */
export const summaryText = (summary: Summary): string => {
  const rows = cells(summary)
  const numbers = rows[0]!.map((_, i) => i).slice(1)
  return [...table(rows, numbers, 400), "", ...summary.verdicts.map(({ words }) => words)].join("\n")
}

/** The last line of `--json`: everything but the attempts, which have lines of their own. */
export const verdictLine = ({ trials, ...comparison }: Comparison, summary: Summary): string =>
  JSON.stringify({ type: "verdict", ...comparison, made: trials.length, ...summary })
