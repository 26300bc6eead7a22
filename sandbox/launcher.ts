/**
 * Starts sandboxed commands and ends them, whatever they do, with nothing left over. This is a program of its own, which
 * the kernel starts and talks to (command.ts): starting a process copies the page tables of the one that starts it, and
 * the kernel's, with a model in its memory, would stand still for tens of milliseconds.
 *
 * Ending a command means SIGKILL to the first process of its namespace. The kernel then ends all others in there
 * before bubblewrap, which waits for the first one, can return. When the kernel dies this process exits, and bubblewrap's
 * --die-with-parent does the same; and as that takes hold only when bubblewrap has started, the first process says so,
 * with an empty line of output, and waits for an answer before it starts the command.
 */
import { readdirSync, readFileSync } from "node:fs"
import { writeFile } from "node:fs/promises"
import { constants } from "node:os"
import { join } from "node:path"
import { execa } from "execa"
import { keep } from "./output.ts"
import { etcFiles } from "./profile.ts"
import type { Completed, Limits } from "./sandbox.ts"
import { seccompFilter } from "./seccomp.ts"

const filter = seccompFilter(process.arch)

/** Milliseconds a sandbox that is to be ended has to start first. To kill it half made would leave processes behind. */
const patience = 10_000

const signals = new Map(Object.entries(constants.signals).map(([name, number]) => [number, name]))

/** How often the machine ran out of memory and ended a process, since it started: proc_vmstat(5). */
const memoryShortages = (): number => {
  try {
    return Number(/^oom_kill (\d+)$/m.exec(readFileSync("/proc/vmstat", "utf8"))?.[1] ?? 0)
  } catch {
    return 0
  }
}

type Stdio = ["pipe", "pipe", "pipe", ...Array<Uint8Array | "ignore">]

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

/** The first process of the namespace, by its number outside: bubblewrap's one child, proc_pid_task(5). */
const firstProcessOf = (bubblewrap: number | undefined): number | undefined => {
  try {
    const children = readFileSync(`/proc/${bubblewrap}/task/${bubblewrap}/children`, "utf8")
    return Number(/\d+/.exec(children)?.[0]) || undefined
  } catch {
    return undefined
  }
}

/**
 * Puts the first process, and so all that it will start, into the control group, and makes it the first that the
 * system ends when memory runs short. Fails if there is to be a group and it cannot be entered.
 */
const bind = async (first: number | undefined, group: string | undefined): Promise<void> => {
  if (group !== undefined) await writeFile(join(group, "cgroup.procs"), `${first}`)
  await writeFile(`/proc/${first}/oom_score_adj`, "1000").catch(() => {}) // a preference, not a bound
}

export type Ending = "timeout" | "output" | "interrupted"

/** How a command ended, or why there was none. */
export type Ended = Completed | { readonly problem: string }

/** A started command: how to end it early, and how it ended. Only the first `end` counts. */
interface Running {
  readonly end: (why: Ending) => void
  readonly ended: Promise<Ended>
}

/** What to start, and within which bounds. */
export interface Job {
  /** A program that becomes bubblewrap, and its arguments. */
  readonly file: string
  readonly args: ReadonlyArray<string>
  /** The folders where it is looked for. */
  readonly path: string
  readonly stdin: string | undefined
  readonly limits: Limits
  /** The control group that the command's processes are put into. */
  readonly group: string | undefined
}

const start = ({ file, args, path, stdin, limits, group }: Job): Running => {
  const started = performance.now()
  const shortages = memoryShortages()
  const bytes = new TextEncoder()
  const etc = [etcFiles.passwd, etcFiles.group, etcFiles.hosts].map((text) => bytes.encode(text))
  const child = execa(file, args, {
    stdio: coverInherited(["pipe", "pipe", "pipe", filter!, ...etc]), // the order of `descriptors`
    detached: true, // Ctrl-C is for us to act on; it does not reach the command by itself
    cwd: "/",
    env: { PATH: path },
    extendEnv: false,
    encoding: "buffer",
    buffer: false,
    reject: false
  })

  let begun = false
  let over = false
  let why: Ending | undefined
  let failure: string | undefined
  let lastResort: NodeJS.Timeout | undefined
  const kill = () => {
    const first = firstProcessOf(child.pid)
    try {
      if (first !== undefined) process.kill(first, "SIGKILL")
      else child.kill("SIGKILL")
    } catch {} // it has just ended by itself
  }
  const end = (reason: Ending) => {
    if (over || why !== undefined) return
    why = reason
    if (begun) kill()
    else lastResort = setTimeout(() => child.kill("SIGKILL"), patience)
  }
  /** The sandbox stands and waits: bound it, and let the command begin. */
  const begin = () => {
    begun = true
    if (why !== undefined) return kill()
    bind(firstProcessOf(child.pid), group).then(
      () => child.stdin.end(`\n${stdin ?? ""}`),
      (cause) => {
        failure = String(cause)
        kill()
      }
    )
  }
  child.stdin.on("error", () => {}) // the command ended without reading all of it
  const stdout = keep(child.stdout, limits.outputBytes, () => end("output"), begin)
  const stderr = keep(child.stderr, limits.outputBytes, () => end("output"))

  const ended = child.then((result): Ended => {
    over = true // from here on the process numbers may be somebody else's
    clearTimeout(lastResort)
    const killed = result.signal !== undefined // bubblewrap itself, from outside
    if (failure !== undefined || (!begun && !killed && why === undefined)) {
      const said = failure ?? stderr.text().trim().split("\n")[0]
      const detail = said || (result instanceof Error ? result.originalMessage : "it ended early")
      return { problem: `the sandbox did not start: ${detail}` }
    }
    const code = result.exitCode ?? 0
    const signal = why || killed ? "SIGKILL" : (signals.get(code - 128) ?? null)
    const short = signal === "SIGKILL" && memoryShortages() > shortages
    return {
      exitCode: signal ? null : code,
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

/** What the kernel says: start this command, or end it early. Numbers tell commands apart. */
export type ToLauncher = { readonly id: number } & ({ readonly job: Job } | { readonly end: Ending })

/** What it is told: how a command ended. */
export type FromLauncher = { readonly id: number; readonly ended: Ended }

const commands = new Map<number, Running>()

process.on("message", (message: ToLauncher) => {
  const { id } = message
  if ("end" in message) return commands.get(id)?.end(message.end)
  const running = start(message.job)
  commands.set(id, running)
  running.ended.then((ended) => {
    commands.delete(id)
    if (process.connected) process.send!({ id, ended } satisfies FromLauncher, () => {})
  })
})
process.on("disconnect", () => process.exit())
