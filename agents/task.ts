/** One task from its words to its end: a run in the journal, a workspace, a process. Shared by command line and library. */
import { resolve } from "node:path"
import { Cause, Effect } from "effect"
import { Engine } from "../kernel/engine/engine.ts"
import { Journal } from "../kernel/journal.ts"
import { Kernel, type Spawn } from "../kernel/kernel.ts"
import { Sandbox } from "../sandbox/sandbox.ts"

export interface TaskOptions extends Omit<Spawn, "run" | "workspace"> {
  /** The folder to work in. */
  readonly folder: string
}

/** Runs a task. Interrupting it stops the process and leaves a run that says so. */
export const runTask = Effect.fn("runTask")(function* ({ folder, ...options }: TaskOptions) {
  const engine = yield* Engine
  const journal = yield* Journal
  const kernel = yield* Kernel
  const root = resolve(folder)
  const workspace = yield* (yield* Sandbox).open(root)
  const run = yield* journal.beginRun({
    task: options.task,
    workspace: root,
    model: engine.model.path,
    options: {
      program: options.program,
      tools: options.tools.map((t) => t.name),
      contextSize: engine.contextSize
    }
  })
  // From the moment that it exists, somebody waits for the process and stops it when interrupted.
  const attempt = Effect.uninterruptibleMask((restore) =>
    Effect.gen(function* () {
      const pid = yield* kernel.spawn({ ...options, run, workspace })
      const stop = Effect.andThen(kernel.kill(pid, "INT"), kernel.wait(pid))
      return yield* restore(kernel.wait(pid)).pipe(Effect.onInterrupt(() => Effect.ignore(stop)))
    })
  )
  const exit = yield* attempt.pipe(
    Effect.onError((cause) =>
      Effect.ignore(journal.endRun(run, Cause.hasInterruptsOnly(cause) ? "interrupted" : "failed"))
    )
  )
  yield* journal.endRun(run, exit.status)
  return exit
}, Effect.scoped)
