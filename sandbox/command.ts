/**
 * Runs sandboxed commands through the launcher, a small process of ours that starts them: to their end and within their
 * time, or as sessions that are talked to.
 */
import { type ChildProcess, fork } from "node:child_process"
import { type Cause, Effect, Queue, type Scope } from "effect"
import { ToolError } from "../kernel/tool.ts"
import type { Ended, FromLauncher, Job, Order, Said, ToLauncher } from "./launcher.ts"
import type { Completed, Output, Session } from "./sandbox.ts"

export type { Job } from "./launcher.ts"

/** The program beside this one: TypeScript in a clone, JavaScript in the package. */
const program = import.meta.filename.replace(/command(\.[jt]s)$/, "launcher$1")

/** What runs commands. `start` needs no limit of time; both leave nothing running. */
export interface Launcher {
  readonly run: (job: Job) => Effect.Effect<Completed, ToolError>
  readonly start: (job: Job) => Effect.Effect<Session, ToolError, Scope.Scope>
}

const orUnavailable = (ended: Ended): Effect.Effect<Completed, ToolError> =>
  "problem" in ended
    ? Effect.fail(new ToolError({ code: "unavailable", message: ended.problem }))
    : Effect.succeed(ended)

/** Starts the launcher, which ends with the scope. */
export const makeLauncher: Effect.Effect<Launcher, never, Scope.Scope> = Effect.gen(function* () {
  const listening = new Map<number, (said: Said) => void>()
  let count = 0
  let child: ChildProcess | undefined

  const launch = (): ChildProcess => {
    const { NODE_COMPILE_CACHE } = process.env
    const started = fork(program, {
      cwd: "/",
      env: { ...(NODE_COMPILE_CACHE === undefined ? {} : { NODE_COMPILE_CACHE }) },
      execArgv: [],
      stdio: ["ignore", "ignore", "ignore", "ipc"],
      serialization: "advanced", // output is bytes
      detached: true // Ctrl-C is for the kernel to act on
    })
    started.on("message", ({ id, ...said }: FromLauncher) => listening.get(id)?.(said))
    const lost = () => {
      if (child === started) child = undefined
      for (const tell of [...listening.values()])
        tell({ ended: { problem: "the launcher of the sandbox ended" } })
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

  /** Starts a command. Closing the scope ends it and waits until all of it is gone. */
  const command = (job: Job, hear: (said: Exclude<Said, { readonly ended: Ended }>) => void = () => {}) =>
    Effect.acquireRelease(
      Effect.sync(() => {
        const id = ++count
        const ended = new Promise<Ended>((resolve) =>
          listening.set(id, (said) => ("ended" in said ? resolve(said.ended) : hear(said)))
        ).finally(() => listening.delete(id))
        const order = (order: Order) => {
          if (listening.has(id)) send({ id, ...order })
        }
        order({ job })
        return { ended: Effect.promise(() => ended), order }
      }),
      ({ ended, order }) =>
        Effect.andThen(
          Effect.sync(() => order({ end: "interrupted" })),
          ended
        )
    )

  const run: Launcher["run"] = Effect.fnUntraced(function* (job) {
    const { ended, order } = yield* command(job)
    const timeout = Effect.sleep(job.limits.seconds * 1000).pipe(
      Effect.andThen(Effect.sync(() => order({ end: "timeout" }))),
      Effect.andThen(ended)
    )
    return yield* Effect.flatMap(Effect.raceFirst(ended, timeout), orUnavailable)
  }, Effect.scoped)

  const start: Launcher["start"] = Effect.fnUntraced(function* (job) {
    const said = yield* Queue.unbounded<Output, Cause.Done>()
    const writers: Array<() => void> = []
    const begun = Promise.withResolvers<void>()
    const { ended, order } = yield* command(job, (heard) => {
      if ("begun" in heard) begun.resolve()
      else if ("wrote" in heard) writers.shift()?.()
      else Queue.offerUnsafe(said, heard)
    })
    yield* ended.pipe(Effect.andThen(Effect.sync(() => Queue.endUnsafe(said))), Effect.forkScoped)
    if (Number.isFinite(job.limits.seconds))
      yield* Effect.sleep(job.limits.seconds * 1000).pipe(
        Effect.andThen(Effect.sync(() => order({ end: "timeout" }))),
        Effect.forkScoped
      )
    const over = Effect.flatMap(ended, orUnavailable)
    const gone = Effect.andThen(
      over,
      Effect.fail(new ToolError({ code: "unavailable", message: "the program has ended" }))
    )
    yield* Effect.raceFirst(
      Effect.promise(() => begun.promise),
      gone
    )
    /** Bytes that were read and not reported yet: a message for each little piece would cost more than the piece. */
    const due = { stdout: 0, stderr: 0 }
    const written = (data: string | Uint8Array) =>
      Effect.callback<void>((resume) => {
        writers.push(() => resume(Effect.void))
        order({ write: typeof data === "string" ? Buffer.from(data) : data })
      })
    return {
      write: (data) => Effect.raceFirst(written(data), gone),
      read: Queue.take(said).pipe(
        Effect.tap(({ stream, bytes }) =>
          Effect.sync(() => {
            due[stream] += bytes.length
            if (due[stream] < job.limits.outputBytes / 2) return
            order({ taken: { stream, bytes: due[stream] } })
            due[stream] = 0
          })
        ),
        Effect.catch(() => Effect.succeed(undefined))
      ),
      ended: over
    }
  })

  return { run, start }
})
