/** Columns of text, and times as people say them. */
import { oneLine } from "./report.ts"

/** Rows of cells in columns as wide as they must be; those whose index is in `right` are aligned there. */
export const table = (
  rows: ReadonlyArray<ReadonlyArray<string>>,
  right: ReadonlyArray<number>,
  width: number
): ReadonlyArray<string> => {
  const widths = (rows[0] ?? []).map((_, i) => Math.max(...rows.map((row) => row[i]!.length)))
  return rows.map((row) => {
    const cells = row.map((cell, i) =>
      right.includes(i) ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!)
    )
    return oneLine(cells.join("  ").trimEnd(), width)
  })
}

/** How long ago something was, in its largest unit. */
export const ago = (ms: number): string => {
  const seconds = Math.max(0, Math.floor(ms / 1000))
  if (seconds < 60) return `${seconds} s ago`
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ago`
  return `${Math.floor(seconds / 86_400)} d ago`
}

/** A point in time on this machine's clock, to the second. */
export const clock = (at: number): string => {
  const two = (n: number) => `${n}`.padStart(2, "0")
  const d = new Date(at)
  const day = `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())}`
  return `${day} ${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`
}
