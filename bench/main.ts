/**
 * `npm run bench -- NAME [--json]`: one JSON object a line with --json, otherwise a table.
 * Times are only ever given as ratios within one run.
 */
import { parseArgs } from "node:util"
import { memory } from "./memory.ts"
import { nano } from "./nano.ts"
import { scheduler } from "./scheduler.ts"
import { search } from "./search.ts"
import { tools } from "./tools.ts"

/** One figure. `ratio` is ours over the baseline, in the direction in which more is better. */
export interface Metric {
  readonly bench: string
  readonly metric: string
  readonly value: number
  readonly unit: string
  readonly baseline?: { readonly name: string; readonly value: number }
  readonly ratio?: number
}

const benches: Record<string, (emit: (metric: Metric) => void) => Promise<void>> = {
  memory,
  nano,
  scheduler,
  search,
  tools
}

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { json: { type: "boolean", default: false } }
})
const names = positionals.length > 0 ? positionals : Object.keys(benches)
for (const name of names) {
  const bench = benches[name]
  if (bench === undefined) {
    console.error(`bench: no bench ${name}\nbench: choose from ${Object.keys(benches).join(", ")}`)
    process.exit(2)
  }
  await bench((m) => {
    if (values.json) console.log(JSON.stringify(m))
    else
      console.log(
        `${m.bench}  ${m.metric.padEnd(24)} ${m.value} ${m.unit}${m.ratio === undefined ? "" : `  (${m.ratio} x ${m.baseline?.name})`}`
      )
  })
}
