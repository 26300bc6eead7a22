/** Shows the events that it reads, one JSON object a line, as `noos run` does: for a person, or with --json for scripts. */
import { readFileSync } from "node:fs"
import { jsonReport, personReport } from "../../cli/report.ts"
import type { KernelEvent } from "../../kernel/event.ts"

const report = process.argv.includes("--json") ? jsonReport(new Map()) : personReport(() => "noos", 1)
for (const line of readFileSync(0, "utf8").trim().split("\n")) report(JSON.parse(line) as KernelEvent)
