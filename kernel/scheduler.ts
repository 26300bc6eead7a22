/**
 * Who goes next: pure functions over the process table. The kernel's loop does what they say.
 */
import type { Work } from "./engine/engine.ts"
import type { Process } from "./process.ts"

/** Ready processes that should be given a free sequence, oldest first. */
export const admit = (table: Iterable<Process>, free: number): ReadonlyArray<Process> =>
  [...table]
    .filter((p) => p.state === "ready" && p.sequence === undefined)
    .sort((a, b) => a.pid - b.pid)
    .slice(0, free)

/** One item of work for every running process: a chunk of its prompt while any is pending, then one token a step. */
export const nextBatch = (
  table: Iterable<Process>,
  chunk: number
): ReadonlyArray<{ readonly process: Process; readonly work: Work }> =>
  [...table]
    .filter((p) => p.state === "running")
    .map((process) => {
      const sequence = process.sequence!.row
      const work: Work =
        process.pending.length > 0
          ? { _tag: "Prefill", sequence, tokens: process.pending.slice(0, chunk) }
          : { _tag: "Decode", sequence, sampling: process.program.sampling, grammar: process.grammar }
      return { process, work }
    })
