/** Tasks from their words to their ends: for each a run in the journal and a process. Shared by command line and library. */
import { resolve } from "node:path"
import { Cause, Effect, Fiber } from "effect"
import { Engine } from "../kernel/engine/engine.ts"
import { Journal } from "../kernel/journal.ts"
import { Kernel, type Spawn } from "../kernel/kernel.ts"
import { messageOf } from "../kernel/tool.ts"
import { Sandbox, type Workspace } from "../sandbox/sandbox.ts"
import type { Failure } from "./branches.ts"
import { briefing } from "./instructions.ts"

export interface Task extends Omit<Spawn, "run" | "traced"> {
  /** Thinks for it: its process is traced by this, and ended by it. Without it, it runs by itself. */
  readonly drive?: (pid: number) => Effect.Effect<unknown, Failure, Kernel>
  /** Told the journal's run before anything of its process is told. */
  readonly begun?: (run: number) => void
}

/** Branches of a search that may live at a time. */
const mostBranches = 256

const searching = ({ budget = {} }: Pick<Task, "budget">) => ({
  traced: true,
  budget: { processes: mostBranches, ...budget }
})

/** Opens the journal's run of a task and starts its process. */
const begin = Effect.fnUntraced(function* ({ begun, drive, ...options }: Task) {
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
    .spawn({ ...options, run, ...(drive === undefined ? {} : searching(options)) })
    .pipe(Effect.onError(() => Effect.ignore(journal.endRun(run, "failed"))))
  return { run, pid }
})

/** Drives a process to its end, whatever becomes of that. */
const drivenBy = (drive: NonNullable<Task["drive"]>, pid: number) =>
  Effect.gen(function* () {
    const kernel = yield* Kernel
    yield* kernel.stop(pid)
    yield* drive(pid)
  }).pipe(
    Effect.catchCause((cause) =>
      Cause.hasInterruptsOnly(cause)
        ? Effect.interrupt
        : Effect.flatMap(Kernel, (kernel) =>
            kernel.finish(pid, { status: "failed", reason: messageOf(Cause.squash(cause)) })
          )
    ),
    Effect.ignore
  )

/**
 * Runs tasks side by side and gives their ends, in their order. One that fails does not stop the others. Interrupting it
 * stops all processes and leaves runs that say so.
 */
export const runTasks = Effect.fn("runTasks")(function* (tasks: ReadonlyArray<Task>) {
  const journal = yield* Journal
  const kernel = yield* Kernel
  type Begun = {
    readonly run: number
    readonly pid: number
    /** Thinks for it. */
    driver?: Fiber.Fiber<unknown>
  }
  const live = new Set<Begun>()

  const finish = (begun: Begun) =>
    Effect.uninterruptibleMask((restore) =>
      Effect.gen(function* () {
        const exit = yield* restore(kernel.wait(begun.pid))
        live.delete(begun)
        // One that has ended its process may have something to say yet; one whose process was ended has not.
        const over = exit.status === "killed" || exit.status === "interrupted"
        if (begun.driver !== undefined)
          yield* over ? Fiber.interrupt(begun.driver) : Fiber.await(begun.driver)
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
    const { drive } = task
    const birth = Effect.gen(function* () {
      const begun: Begun = yield* begin(task)
      live.add(begun)
      all.push(begun)
      if (drive !== undefined)
        begun.driver = yield* Effect.forkScoped(Effect.interruptible(drivenBy(drive, begun.pid)))
    })
    yield* Effect.uninterruptible(birth)
  }
  return yield* Effect.forEach(all, finish, { concurrency: "unbounded" })
}, Effect.scoped)

export interface TaskOptions extends Omit<Task, "workspace" | "instructions" | "drive"> {
  /** The folder to work in. Its AGENTS.md is told, and its skills can be read. */
  readonly folder: string
  /** Hosts that may be reached, see sandbox/egress.ts. Default: none. */
  readonly net?: ReadonlyArray<string>
  /** What thinks for it, in its workspace, see `driver` in think.ts. Default: nothing. */
  readonly drive?: (workspace: Workspace) => NonNullable<Task["drive"]>
}

/** Runs one task in a folder. Interrupting it stops the process and leaves a run that says so. */
export const runTask = Effect.fn("runTask")(function* ({ drive, folder, net, ...options }: TaskOptions) {
  const workspace = yield* (yield* Sandbox).open(resolve(folder), net)
  const { instructions, tools } = yield* briefing(workspace)
  const thinks = drive === undefined ? {} : { drive: drive(workspace) }
  const [exit] = yield* runTasks([
    { ...options, workspace, instructions, tools: [...options.tools, ...tools], ...thinks }
  ])
  return exit!
}, Effect.scoped)
