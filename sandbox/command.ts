/**
 * Runs sandboxed commands to their end, within their time, through the launcher: a small process of ours that starts them.
 */
import { type ChildProcess, fork } from "node:child_process"
import { Effect, type Scope } from "effect"
import { ToolError } from "../kernel/tool.ts"
import type { Ended, Ending, FromLauncher, Job, ToLauncher } from "./launcher.ts"
import type { Completed } from "./sandbox.ts"

export type { Job } from "./launcher.ts"

/** The program beside this one: TypeScript in a clone, JavaScript in the package. */
const program = import.meta.filename.replace(/command(\.[jt]s)$/, "launcher$1")

/** Starts the launcher, which ends with the scope, and gives what runs a command on it. */
export const makeLauncher: Effect.Effect<
  (job: Job) => Effect.Effect<Completed, ToolError>,
  never,
  Scope.Scope
> = Effect.gen(function* () {
  const waiting = new Map<number, (ended: Ended) => void>()
  let count = 0
  let child: ChildProcess | undefined

  const launch = (): ChildProcess => {
    const { NODE_COMPILE_CACHE } = process.env
    const started = fork(program, {
      cwd: "/",
      env: { ...(NODE_COMPILE_CACHE === undefined ? {} : { NODE_COMPILE_CACHE }) },
      execArgv: [],
      stdio: ["ignore", "ignore", "ignore", "ipc"],
      detached: true // Ctrl-C is for the kernel to act on
    })
    started.on("message", ({ id, ended }: FromLauncher) => waiting.get(id)?.(ended))
    const lost = () => {
      if (child === started) child = undefined
      for (const tell of [...waiting.values()]) tell({ problem: "the launcher of the sandbox ended" })
    }
    started.on("error", lost)
    started.on("exit", lost)
    return started
  }
  const send = (message: ToLauncher) => {
    child ??= launch()
    child.send(message, () => {}) // a lost launcher says so by its end
  }
  yield* Effect.acquireRelease(
    Effect.sync(() => {
      child = launch()
    }),
    () => Effect.sync(() => child?.disconnect())
  )

  /** Interruption ends the command and waits until all of it is gone. */
  return (job) =>
    Effect.acquireUseRelease(
      Effect.sync(() => {
        const id = ++count
        const ended = new Promise<Ended>((resolve) => waiting.set(id, resolve)).finally(() =>
          waiting.delete(id)
        )
        send({ id, job })
        return { ended, end: (why: Ending) => send({ id, end: why }) }
      }),
      (running) => {
        const ended = Effect.promise(() => running.ended)
        const timeout = Effect.sleep(job.limits.seconds * 1000).pipe(
          Effect.andThen(Effect.sync(() => running.end("timeout"))),
          Effect.andThen(ended)
        )
        return Effect.raceFirst(ended, timeout)
      },
      (running) =>
        Effect.promise(() => {
          running.end("interrupted")
          return running.ended
        })
    ).pipe(
      Effect.flatMap((ended) =>
        "problem" in ended
          ? Effect.fail(new ToolError({ code: "unavailable", message: ended.problem }))
          : Effect.succeed(ended)
      )
    )
})
