/** Accuracy against the logarithm of the tokens, with intervals, as SVG. */
import { type Html, html } from "./html.ts"
import type { Row } from "./summary.ts"
import { percent, whole } from "./table.ts"

const width = 720
const height = 340
const left = 50
const right = width - 190
const top = 16
const bottom = height - 46
/** Half the width of an interval's ends. */
const cap = 5
/** Between the names at the right. */
const line = 17

export const plot = (all: ReadonlyArray<Row>): Html => {
  const rows = all.filter(({ attempts, evaluated }) => attempts > 0 && evaluated > 0)
  if (rows.length === 0) return html``
  const tokens = rows.map(({ evaluated }) => Math.log10(evaluated))
  // At least a decade, so that small differences do not look large.
  const slack = Math.max(0, 1 - (Math.max(...tokens) - Math.min(...tokens))) / 2
  const [low, high] = [Math.min(...tokens) - slack - 0.05, Math.max(...tokens) + slack + 0.05]
  const x = (n: number) => round(left + ((Math.log10(n) - low) / (high - low)) * (right - left))
  const y = (share: number) => round(bottom - share * (bottom - top))

  const ticks = [...Array(Math.ceil(high - low) + 2).keys()]
    .flatMap((i) => [1, 2, 5].map((digit) => digit * 10 ** (Math.floor(low) + i)))
    .filter((n) => Math.log10(n) >= low && Math.log10(n) <= high && n >= 1)
  const named = spread(rows.map((row) => ({ row, at: y(row.share) })))
  return html`<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="Accuracy against tokens evaluated for each attempt">
<g class="grid">${[0, 0.25, 0.5, 0.75, 1].map(
    (share) => html`<line x1="${left}" x2="${right}" y1="${y(share)}" y2="${y(share)}"/>
<text x="${left - 8}" y="${y(share) + 4}" text-anchor="end">${share * 100}%</text>`
  )}
${ticks.map(
  (n) => html`<line x1="${x(n)}" x2="${x(n)}" y1="${bottom}" y2="${bottom + 5}"/>
<text x="${x(n)}" y="${bottom + 18}" text-anchor="middle">${whole(n)}</text>`
)}
<text x="${(left + right) / 2}" y="${height - 6}" text-anchor="middle">tokens evaluated for each attempt (log scale)</text></g>
${named.map(({ at, row }) => {
  const [px, py] = [x(row.evaluated), y(row.share)]
  const said = `${row.mode}: ${percent(row.share)} (${percent(row.interval.low)} to ${percent(row.interval.high)}), ${whole(row.evaluated)} tokens`
  return html`<g class="mark ${row.mode}"><title>${said}</title>
<path class="bar" d="M${px - cap} ${y(row.interval.high)}h${2 * cap}m${-cap} 0V${y(row.interval.low)}m${-cap} 0h${2 * cap}"/>
<line class="lead" x1="${px}" x2="${right + 12}" y1="${py}" y2="${at}"/>
<circle cx="${px}" cy="${py}" r="5"/>
<text x="${right + 16}" y="${at + 4}">${row.mode} ${percent(row.share)}</text></g>`
})}
</svg>`
}

const round = (n: number): number => Math.round(n * 10) / 10

/** Names from top to bottom, each at least a line below the one before it, and none below the plot. */
const spread = (rows: ReadonlyArray<{ readonly row: Row; readonly at: number }>) => {
  const sorted = rows.toSorted((a, b) => a.at - b.at)
  let free = top
  const down = sorted.map(({ at, row }) => {
    const placed = Math.max(at, free)
    free = placed + line
    return { row, at: placed }
  })
  let floor = bottom
  return down.toReversed().map(({ at, row }) => {
    const placed = Math.min(at, floor)
    floor = placed - line
    return { row, at: round(placed) }
  })
}
