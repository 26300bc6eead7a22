/**
 * tools: what the path of a call costs. A shell command through all of it (checked, authorised, journalled, run, journalled),
 * against the same command written into a bare shell that is kept running in the same sandbox; and pure calls in a row.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Layer } from "effect"
import { makeHandles } from "../kernel/handles.ts"
import { Journal } from "../kernel/journal.ts"
import { type Caller, Syscalls } from "../kernel/syscall.ts"
import { Bubblewrap } from "../sandbox/bubblewrap.ts"
import { Sandbox, type Session } from "../sandbox/sandbox.ts"
import { builtins } from "../tools/index.ts"
import type { Metric } from "./main.ts"
import { median, progress } from "./scheduler/system.ts"

const command = "ls"
const rounds = 400
const calls = 5000

/** Milliseconds that an effect takes. */
const timed = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const began = performance.now()
    yield* effect
    return performance.now() - began
  })

/** One command in a shell that nobody checks, to its last byte. */
const bare = Effect.fnUntraced(function* (shell: Session) {
  yield* shell.write(`${command}\necho :end:\n`)
  let text = ""
  while (!text.endsWith(":end:\n")) {
    const piece = yield* shell.read
    if (piece === undefined) return yield* Effect.die(new Error("the bare shell ended"))
    text += Buffer.from(piece.bytes).toString()
  }
})

const measure = Effect.fnUntraced(function* (folder: string) {
  const journal = yield* Journal
  const syscalls = yield* Syscalls
  const workspace = yield* (yield* Sandbox).open(folder)
  const run = yield* journal.beginRun({ task: "bench", workspace: folder, model: "none" })
  const caller: Caller = {
    pid: yield* journal.spawn({ run, program: "bench" }),
    tools: builtins,
    workspace,
    approve: () => Effect.succeed(false),
    progress: () => Effect.void,
    handles: makeHandles(yield* Effect.scope)
  }
  const call = (tool: string, args: unknown) =>
    Effect.flatMap(syscalls.dispatch(caller, { tool, args }), (outcome) =>
      outcome.ok ? Effect.void : Effect.die(new Error(outcome.text))
    )
  const shell = yield* workspace.start(["/bin/sh"])
  const whole = call("shell", { command })
  // In turns, so that whatever else the machine does meets both.
  const ours: Array<number> = []
  const theirs: Array<number> = []
  yield* whole
  yield* bare(shell)
  for (let i = 0; i < rounds; i++) {
    theirs.push(yield* timed(bare(shell)))
    ours.push(yield* timed(whole))
  }
  const pure = yield* timed(Effect.repeat(call("calc", { expression: "12*34" }), { times: calls - 1 }))
  return { ours: median(ours), theirs: median(theirs), pure }
}, Effect.scoped)

export const tools = async (report: (metric: Metric) => void): Promise<void> => {
  const home = mkdtempSync(join(tmpdir(), "noos-bench-"))
  const folder = mkdtempSync(join(tmpdir(), "noos-bench-"))
  writeFileSync(join(folder, "data.csv"), "a,1\n")
  try {
    const layer = Layer.mergeAll(Syscalls.layer, Bubblewrap.layer).pipe(
      Layer.provideMerge(Journal.layer(join(home, "journal.db")))
    )
    const { ours, pure, theirs } = await Effect.runPromise(Effect.provide(measure(folder), layer))
    progress(`\`${command}\` in a bare shell ${theirs.toFixed(2)} ms, as a call ${ours.toFixed(2)} ms`)
    report({
      bench: "tools",
      metric: "syscall_vs_bare_shell",
      value: Number((ours / theirs).toFixed(3)),
      unit: "x the time",
      baseline: { name: "the same command in a bare persistent shell", value: 1 },
      ratio: Number((theirs / ours).toFixed(3))
    })
    const perSecond = Math.round((calls * 1000) / pure)
    report({ bench: "tools", metric: "pure_calls_per_second", value: perSecond, unit: "calls/s" })
  } finally {
    for (const path of [home, folder]) rmSync(path, { recursive: true, force: true })
  }
}
