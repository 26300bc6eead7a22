/**
 * Runs one sandboxed command to its end, whatever it does: within its time and output, and with nothing left over.
 *
 * Ending a command means SIGKILL to the first process of its namespace. The kernel then ends all others in there
 * before bubblewrap, which waits for the first one, can return. If this process itself dies, bubblewrap's
 * --die-with-parent does the same.
 */
import { readdirSync, readFileSync } from "node:fs"
import { constants } from "node:os"
import { Effect } from "effect"
import { execa } from "execa"
import { ToolError } from "../kernel/tool.ts"
import { keep } from "./output.ts"
import { descriptors, etcFiles } from "./profile.ts"
import type { Completed, Limits } from "./sandbox.ts"
import { seccompFilter } from "./seccomp.ts"

const filter = seccompFilter(process.arch)

/** Milliseconds bubblewrap has to say which process it made, before it is killed itself. */
const patience = 2000

const signals = new Map(Object.entries(constants.signals).map(([name, number]) => [number, name]))

/** How often the machine ran out of memory and ended a process, since it started: proc_vmstat(5). */
const memoryShortages = (): number => {
  try {
    return Number(/^oom_kill (\d+)$/m.exec(readFileSync("/proc/vmstat", "utf8"))?.[1] ?? 0)
  } catch {
    return 0
  }
}

type Stdio = [Uint8Array, "pipe", "pipe", Uint8Array, "pipe", ...Array<Uint8Array | "ignore">]

/**
 * Puts an empty stream in the place of every descriptor that the command would otherwise inherit. Node opens its own
 * so that children do not get them, but those of the program that started it, or of a native library, may be left.
 */
const coverInherited = (stdio: Stdio): Stdio => {
  for (const name of readdirSync("/proc/self/fd")) {
    const fd = Number(name)
    if (fd < stdio.length && stdio[fd] !== "ignore") continue
    if (!isInherited(name)) continue
    while (stdio.length < fd) stdio.push("ignore")
    stdio[fd] = new Uint8Array()
  }
  return stdio
}

/** True for an open descriptor without O_CLOEXEC: proc_pid_fdinfo(5). */
const isInherited = (fd: string): boolean => {
  try {
    const flags = /^flags:\s*([0-7]+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, "utf8"))?.[1] ?? "0"
    return (Number.parseInt(flags, 8) & 0o2000000) === 0
  } catch {
    return false // closed since it was listed
  }
}

type Ending = "timeout" | "output" | "interrupted"

/** A started command: how to end it early, and how it ended. Only the first `end` counts. */
interface Running {
  readonly end: (why: Ending) => void
  readonly ended: Promise<Completed | ToolError>
}

const start = (
  [file, ...args]: readonly [string, ...ReadonlyArray<string>],
  stdin: string | undefined,
  limits: Limits
): Running => {
  const started = performance.now()
  const shortages = memoryShortages()
  const bytes = new TextEncoder()
  const etc = [etcFiles.passwd, etcFiles.group, etcFiles.hosts].map((text) => bytes.encode(text))
  const child = execa(file, args, {
    stdio: coverInherited([bytes.encode(stdin ?? ""), "pipe", "pipe", filter!, "pipe", ...etc]),
    cwd: "/",
    env: { PATH: process.env.PATH ?? "" },
    extendEnv: false,
    encoding: "buffer",
    buffer: false,
    reject: false
  })

  let over = false
  let why: Ending | undefined
  let first: number | undefined
  let lastResort: NodeJS.Timeout | undefined
  let status = ""
  const killFirst = (pid: number) => {
    try {
      process.kill(pid, "SIGKILL")
    } catch {} // it has just ended by itself
  }
  const end = (reason: Ending) => {
    if (over || why !== undefined) return
    why = reason
    if (first !== undefined) killFirst(first)
    else lastResort = setTimeout(() => child.kill("SIGKILL"), patience)
  }
  const stdout = keep(child.stdout, limits.outputBytes, () => end("output"))
  const stderr = keep(child.stderr, limits.outputBytes, () => end("output"))
  child.stdio[descriptors.status].on("data", (chunk: Buffer) => {
    status += chunk.toString()
    const pid = /"child-pid": (\d+)/.exec(status)?.[1]
    if (pid === undefined || first !== undefined) return
    first = Number(pid)
    if (why !== undefined) killFirst(first)
  })

  const ended = child.then((result): Completed | ToolError => {
    over = true // from here on the process number may be somebody else's
    clearTimeout(lastResort)
    const code = /"exit-code": (\d+)/.exec(status)?.[1]
    if (code === undefined && why === undefined) {
      const said = stderr.text().trim().split("\n")[0]
      const detail = said || (result instanceof Error ? result.shortMessage : "it ended early")
      return new ToolError({ code: "unavailable", message: `the sandbox did not start: ${detail}` })
    }
    const signal = why ? "SIGKILL" : (signals.get(Number(code) - 128) ?? null)
    const short = signal === "SIGKILL" && memoryShortages() > shortages
    return {
      exitCode: signal ? null : Number(code),
      signal,
      stdout: stdout.text(),
      stderr: stderr.text(),
      reason:
        why === "timeout" || why === "output" ? why : signal === null ? "exit" : short ? "memory" : "signal",
      ms: Math.round(performance.now() - started)
    }
  })
  return { end, ended }
}

/** Runs a program that starts bubblewrap. Interruption ends the command and waits until all of it is gone. */
export const runCommand = (
  program: readonly [string, ...ReadonlyArray<string>],
  stdin: string | undefined,
  limits: Limits
): Effect.Effect<Completed, ToolError> =>
  Effect.acquireUseRelease(
    Effect.sync(() => start(program, stdin, limits)),
    (running) => {
      const ended = Effect.promise(() => running.ended)
      const timeout = Effect.sleep(limits.seconds * 1000).pipe(
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
  ).pipe(Effect.flatMap((end) => (end instanceof ToolError ? Effect.fail(end) : Effect.succeed(end))))
