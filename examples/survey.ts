/**
 * Many processes and then one: each of twelve logs is read by a process of its own, side by side on one model; code picks
 * the worst; a last process writes the report. `node examples/survey.ts`
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect } from "effect"
import { builtins, embeddedModel, fast, kernelLayer, pagingCalls, runTasks, Sandbox } from "../index.ts"

const folder = mkdtempSync(join(tmpdir(), "survey-"))
const machines = Array.from({ length: 12 }, (_, i) => `web${i + 1}`)
for (const [i, machine] of machines.entries()) {
  const lines = Array.from(
    { length: 20 },
    (_, n) => `12:${10 + n} ${n <= (i * 5) % 13 ? "slow" : "fine"} request ${n}`
  )
  writeFileSync(join(folder, `${machine}.log`), `${lines.join("\n")}\n`)
}

const survey = Effect.gen(function* () {
  const workspace = yield* (yield* Sandbox).open(folder)
  const task = { workspace, program: fast(0), tools: [...builtins, ...pagingCalls] }
  const counts = yield* runTasks(
    machines.map((machine) => ({ ...task, task: `How many lines of ${machine}.log contain "slow"?` }))
  )
  const slow = counts.map(({ answer }) => Number(answer))
  const worst = slow.indexOf(Math.max(...slow))
  const report = `${machines[worst]}: ${slow[worst]} slow requests`
  const [written] = yield* runTasks([{ ...task, task: `Write "${report}" to worst.txt.` }])
  return { slow, status: written!.status }
})

const rows = 4
const { slow, status } = await Effect.runPromise(
  survey.pipe(Effect.scoped, Effect.provide(kernelLayer(embeddedModel, rows)))
)
console.log(status, slow.join(" "), "|", readFileSync(join(folder, "worst.txt"), "utf8").trim())
rmSync(folder, { recursive: true })
