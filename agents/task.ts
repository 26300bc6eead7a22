/** Tasks from their words to their ends: for each a run in the journal and a process. Shared by command line and library. */
import { resolve } from "node:path"
import { Effect } from "effect"
import { Engine } from "../kernel/engine/engine.ts"
import { Journal } from "../kernel/journal.ts"
import { Kernel, type Spawn } from "../kernel/kernel.ts"
import { Sandbox } from "../sandbox/sandbox.ts"
import { briefing } from "./instructions.ts"

export interface Task extends Omit<Spawn, "run"> {
  /** Told the journal's run before anything of its process is told. */
  readonly begun?: (run: number) => void
}

/** Opens the journal's run of a task and starts its process. */
const begin = Effect.fnUntraced(function* ({ begun, ...options }: Task) {
  const engine = yield* Engine
  const journal = yield* Journal
  const run = yield* journal.beginRun({
    task: options.task,
    workspace: options.workspace.root,
    model: engine.model.path,
    options: {
      program: options.program,
      tools: options.tools.map((t) => t.name),
      contextSize: engine.contextSize
    }
  })
  begun?.(run)
  const pid = yield* (yield* Kernel)
    .spawn({ ...options, run })
    .pipe(Effect.onError(() => Effect.ignore(journal.endRun(run, "failed"))))
  return { run, pid }
})

/**
 * Runs tasks side by side and gives their ends, in their order. One that fails does not stop the others. Interrupting it
 * stops all processes and leaves runs that say so.
 */
export const runTasks = Effect.fn("runTasks")(function* (tasks: ReadonlyArray<Task>) {
  const journal = yield* Journal
  const kernel = yield* Kernel
  type Begun = { readonly run: number; readonly pid: number }
  const live = new Set<Begun>()

  const finish = (begun: Begun) =>
    Effect.uninterruptibleMask((restore) =>
      Effect.gen(function* () {
        const exit = yield* restore(kernel.wait(begun.pid))
        live.delete(begun)
        yield* journal.endRun(begun.run, exit.status)
        return exit
      })
    )
  const abandon = (begun: Begun) =>
    Effect.ignore(kernel.kill(begun.pid, "INT")).pipe(
      Effect.andThen(finish(begun)),
      Effect.catch(() => journal.endRun(begun.run, "failed")),
      Effect.ignore
    )
  yield* Effect.addFinalizer(() => Effect.forEach(live, abandon, { concurrency: "unbounded", discard: true }))

  const all: Array<Begun> = []
  for (const task of tasks) {
    // From the moment that it exists, somebody waits for the process and stops it when interrupted.
    const birth = Effect.map(begin(task), (begun) => {
      live.add(begun)
      all.push(begun)
    })
    yield* Effect.uninterruptible(birth)
  }
  return yield* Effect.forEach(all, finish, { concurrency: "unbounded" })
}, Effect.scoped)

export interface TaskOptions extends Omit<Task, "workspace" | "instructions"> {
  /** The folder to work in. Its AGENTS.md is told, and its skills can be read. */
  readonly folder: string
  /** Hosts that may be reached, see sandbox/egress.ts. Default: none. */
  readonly net?: ReadonlyArray<string>
}

/** Runs one task in a folder. Interrupting it stops the process and leaves a run that says so. */
export const runTask = Effect.fn("runTask")(function* ({ folder, net, ...options }: TaskOptions) {
  const workspace = yield* (yield* Sandbox).open(resolve(folder), net)
  const { instructions, tools } = yield* briefing(workspace)
  const [exit] = yield* runTasks([
    { ...options, workspace, instructions, tools: [...options.tools, ...tools] }
  ])
  return exit!
}, Effect.scoped)
