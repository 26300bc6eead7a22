/**
 * A noos process that does nothing but write its journal: `node journal-writer.ts FILE PROCESSES CALLS`.
 *
 * It says `ready` and begins when its stdin ends, so that several can begin together. Then it tells what was
 * acknowledged, a line at once, so that a test can kill it and see whether the file kept its word: `run ID`,
 * `intent ID PID SEQ`, `outcome ID PID SEQ`.
 */
import { readFileSync, writeSync } from "node:fs"
import { Effect } from "effect"
import { Journal } from "../../kernel/journal.ts"

const [filename, processes, calls] = process.argv.slice(2)
const tell = (...words: ReadonlyArray<unknown>) => Effect.sync(() => writeSync(1, `${words.join(" ")}\n`))

const program = Effect.gen(function* () {
  const journal = yield* Journal
  const run = yield* journal.beginRun({ task: "write", workspace: "/", model: "none" })
  yield* tell("run", run)
  const work = Effect.gen(function* () {
    const pid = yield* journal.spawn({ run, program: "writer" })
    for (let n = 0; n < Number(calls); n++) {
      const text = `${pid}/${n + 1}`
      const { id, seq } = yield* journal.syscallIntent(pid, {
        tool: "note",
        args: { text },
        effect: "reversible",
        page: { text, tokens: 3 }
      })
      yield* tell("intent", id, pid, seq)
      yield* Effect.yieldNow
      yield* journal.atomically(
        Effect.gen(function* () {
          yield* journal.syscallOutcome(id, { ok: true, result: { text }, text })
          yield* journal.appendPage(pid, { role: "result", text, tokens: 3, call: id })
        })
      )
      yield* tell("outcome", id, pid, seq)
    }
    yield* journal.exit(pid, { status: "ok", why: "done" })
  })
  yield* Effect.all(
    Array.from({ length: Number(processes) }, () => work),
    { concurrency: "unbounded" }
  )
  yield* journal.endRun(run, "ok")
})

writeSync(1, "ready\n")
readFileSync(0)
await Effect.runPromise(program.pipe(Effect.provide(Journal.layer(filename!))))
