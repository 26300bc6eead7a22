/** How a command's end is read: from its exit code, and from what the machine says of its memory. */
import { readFileSync } from "node:fs"
import { constants } from "node:os"
import type { Completed } from "./sandbox.ts"

/** Some have a second name, which Node lists behind the usual one. */
const signals = new Map(
  Object.entries(constants.signals)
    .reverse()
    .map(([name, number]) => [number, name])
)

/** How often the machine ran out of memory and ended a process, since it started: proc_vmstat(5). */
export const memoryShortages = (): number => {
  try {
    return Number(/^oom_kill (\d+)$/m.exec(readFileSync("/proc/vmstat", "utf8"))?.[1] ?? 0)
  } catch {
    return 0
  }
}

/** What an exit code says; a shell tells a signal as 128 and its number. `shortages`: those before it began. */
export const endOf = (code: number, shortages: number): Pick<Completed, "exitCode" | "signal" | "reason"> => {
  const signal = signals.get(code - 128) ?? null
  const short = signal === "SIGKILL" && memoryShortages() > shortages
  return {
    exitCode: signal === null ? code : null,
    signal,
    reason: signal === null ? "exit" : short ? "memory" : "signal"
  }
}
