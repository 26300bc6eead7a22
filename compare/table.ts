/** The numbers of a summary as cells of text, for the terminal and for the page. */
import type { Row, Summary } from "./summary.ts"

const columns: ReadonlyArray<readonly [head: string, cell: (row: Row) => string]> = [
  ["mode", ({ mode }) => mode],
  ["right", ({ attempts, right }) => `${right}/${attempts}`],
  ["accuracy", ({ attempts, share }) => (attempts === 0 ? "–" : percent(share))],
  ["95% interval", ({ interval }) => `${percent(interval.low)} to ${percent(interval.high)}`],
  ["evaluated", (row) => whole(row.evaluated)],
  ["prefill", (row) => whole(row.prefill)],
  ["generated", (row) => whole(row.generated)],
  ["value", (row) => whole(row.value)],
  ["cached", (row) => whole(row.cached)],
  ["nodes", ({ nodes }) => nodes.toFixed(1)],
  ["seconds", ({ wallMs }) => (wallMs / 1000).toFixed(1)],
  ["errors", ({ errors }) => `${errors}`]
]

/** The head first, then a row a mode. All but the first column are numbers. */
export const cells = ({ rows }: Summary): ReadonlyArray<ReadonlyArray<string>> => [
  columns.map(([head]) => head),
  ...rows.map((row) => columns.map(([, cell]) => cell(row)))
]

export const percent = (share: number): string => `${(share * 100).toFixed(1)}%`

/** A number of things, to the whole one. */
export const whole = (n: number): string => Math.round(n).toLocaleString("en")

export const counted = (n: number, what: string): string => `${whole(n)} ${what}${n === 1 ? "" : "s"}`
