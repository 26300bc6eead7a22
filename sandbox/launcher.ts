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
import type { Duplex } from "node:stream"
import { execa } from "execa"
import { endOf, memoryShortages } from "./ending.ts"
import { carry } from "./network.ts"
import { keep, passOn } from "./output.ts"
import { descriptors, etcFiles } from "./profile.ts"
import type { Completed, Limits, Output } from "./sandbox.ts"
import { seccompFilter } from "./seccomp.ts"

const filter = seccompFilter(process.arch)

/** Milliseconds a sandbox that is to be ended has to start first. To kill it half made would leave processes behind. */
const patience = 10_000

type Stdio = ["pipe", "pipe", "pipe", ...Array<Uint8Array | "ignore" | "pipe">]

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
  readonly write: (bytes: Uint8Array) => void
  /** So many bytes of its output have been read. */
  readonly taken: (taken: Taken) => void
  readonly ended: Promise<Ended>
}

/** What to start, and within which bounds. */
export interface Job {
  /** A program that becomes bubblewrap, and its arguments. */
  readonly file: string
  readonly args: ReadonlyArray<string>
  /** The folders where it is looked for. */
  readonly path: string
  /** Its whole input and nothing more, or `"session"`: it is talked to as long as it runs. */
  readonly input: { readonly text: string } | "session"
  /** Arguments of bubblewrap that others on the machine are not to see in its command line. */
  readonly secret: ReadonlyArray<string>
  readonly limits: Limits
  /** The control group that the command's processes are put into. */
  readonly group: string | undefined
  /** The port of the proxy that is its way to the network. */
  readonly proxy: number | undefined
}

const start = (job: Job, tell: (said: Said) => void): Running => {
  const { file, args, path, input, secret, limits, group, proxy } = job
  const started = performance.now()
  const shortages = memoryShortages()
  const bytes = new TextEncoder()
  const { passwd, group: groups, hosts } = etcFiles
  const files = [passwd, groups, hosts, secret.map((word) => `${word}\0`).join("")]
  const child = execa(file, args, {
    // in the order of `descriptors`
    stdio: coverInherited([
      ...(["pipe", "pipe", "pipe", filter!] as const),
      ...files.map((text) => bytes.encode(text)),
      ...(proxy === undefined ? [] : (["pipe"] as const))
    ]),
    detached: true, // Ctrl-C is for us to act on; it does not reach the command by itself
    cwd: "/",
    env: { PATH: path },
    extendEnv: false,
    encoding: "buffer",
    buffer: false,
    reject: false
  })

  if (proxy !== undefined)
    carry((child.nodeChildProcess.stdio as ReadonlyArray<unknown>)[descriptors.network] as Duplex, proxy)

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
      () => {
        if (input !== "session") return child.stdin.end(`\n${input.text}`)
        child.stdin.write("\n")
        tell({ begun: true })
      },
      (cause) => {
        failure = String(cause)
        kill()
      }
    )
  }
  const early: Array<Buffer> = [] // what a session's sandbox says when it cannot start
  child.stdin.on("error", () => {}) // the command ended without reading all of it
  const read = (name: Output["stream"], onFirst?: () => void) => {
    const stream = child[name]
    if (input !== "session") return keep(stream, limits.outputBytes, () => end("output"), onFirst)
    const hear = (bytes: Buffer) => (begun ? tell({ stream: name, bytes }) : early.push(bytes))
    return passOn(stream, limits.outputBytes, hear, onFirst)
  }
  const streams = { stdout: read("stdout", begin), stderr: read("stderr") }
  // What is left in the pipes when all in there has ended is little, and nobody may be there to read it.
  child.nodeChildProcess.once("exit", () => {
    streams.stdout.taken(Number.POSITIVE_INFINITY)
    streams.stderr.taken(Number.POSITIVE_INFINITY)
  })

  const ended = child.then((result): Ended => {
    over = true // from here on the process numbers may be somebody else's
    clearTimeout(lastResort)
    const killed = result.signal !== undefined // bubblewrap itself, from outside
    if (failure !== undefined || (!begun && !killed && why === undefined)) {
      const said = failure ?? `${Buffer.concat(early)}${streams.stderr.text()}`.trim().split("\n")[0]
      const detail = said || (result instanceof Error ? result.originalMessage : "it ended early")
      return { problem: `the sandbox did not start: ${detail}` }
    }
    const killedBy = 128 + constants.signals.SIGKILL
    const { reason, ...end } = endOf(why || killed ? killedBy : (result.exitCode ?? 0), shortages)
    return {
      ...end,
      stdout: streams.stdout.text(),
      stderr: streams.stderr.text(),
      reason: why === "timeout" || why === "output" ? why : reason,
      ms: Math.round(performance.now() - started)
    }
  })
  const write = (bytes: Uint8Array) => {
    child.stdin.write(bytes, () => tell({ wrote: true }))
  }
  const taken = ({ stream, bytes }: Taken) => streams[stream].taken(bytes)
  return { end, write, taken, ended }
}

/** So many bytes of a session's output have been read. */
export interface Taken {
  readonly stream: Output["stream"]
  readonly bytes: number
}

/** What the kernel says: start this command, end it early; and to a session: write this, so much has been read. */
export type Order =
  | { readonly job: Job }
  | { readonly end: Ending }
  | { readonly write: Uint8Array }
  | { readonly taken: Taken }

/** What it is told: how a command ended; and of a session: that it runs, that it has been written to, what it said. */
export type Said = { readonly ended: Ended } | { readonly begun: true } | { readonly wrote: true } | Output

/** Numbers tell commands apart. */
export type ToLauncher = Order & { readonly id: number }
export type FromLauncher = Said & { readonly id: number }

const commands = new Map<number, Running>()

process.on("message", (message: ToLauncher) => {
  const { id } = message
  const command = commands.get(id)
  if ("end" in message) return command?.end(message.end)
  if ("write" in message) return command?.write(message.write)
  if ("taken" in message) return command?.taken(message.taken)
  const tell = (said: Said) => {
    if (process.connected) process.send!({ id, ...said } satisfies FromLauncher, () => {})
  }
  const running = start(message.job, tell)
  commands.set(id, running)
  running.ended.then((ended) => {
    commands.delete(id)
    tell({ ended })
  })
})
process.on("disconnect", () => process.exit())
