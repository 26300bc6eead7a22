/**
 * The shell of a process. It lives as long as the process does, so that what a command changes of it (folder, variables,
 * functions, umask, …) is there for the next one. One that is lost, by a limit or by the command itself, is followed by
 * one with the same folder and exported variables; so is that of a fork, which finds both in the results before it.
 */
import { Effect } from "effect"
import { type PastCall, ToolError } from "../kernel/tool.ts"
import { defaultLimits } from "../sandbox/bubblewrap.ts"
import { endOf, memoryShortages } from "../sandbox/ending.ts"
import { workFolder } from "../sandbox/profile.ts"
import type { Completed, Workspace } from "../sandbox/sandbox.ts"
import { makeTalk, newMark, type Talk } from "./interactive.ts"
import { quote, readExports, type Variables } from "./shell-text.ts"

/** Exported variables that are otherwise than before; null for one that is no longer exported. */
export type Changes = ReadonlyMap<string, string | null>

/** What is kept of a shell when it is lost. */
export interface State {
  /** Its folder: below the workspace's as a relative path, elsewhere as an absolute one. */
  readonly cwd: string
  /** What is exported otherwise than in a new shell. */
  readonly changes: Changes
}

/** How a command ended. */
export interface Ended extends Pick<Completed, "exitCode" | "signal" | "stdout" | "stderr" | "reason"> {
  readonly cwd: string
  /** What this command changed. */
  readonly changes: Changes
}

export interface Shell {
  readonly talk: Talk
  state: State
  /** The shell that runs: under which keeper, all that it exports, and the mark under which its end will be told. */
  running: { readonly keeper: number; readonly env: Variables; readonly last: string } | undefined
}

/**
 * What stays when a shell ends: for each mark it reads, it starts a shell that goes on reading where it stopped, and
 * says under that mark with what code the shell ended. What was started in the background goes on.
 */
const keeper = `exec 3>&2 2>/dev/null
while read -r mark; do
  (exec /bin/sh 2>&3 3>&-)
  printf "$mark%s$mark" "$?"
  printf "$mark" >&3
done`

/**
 * A command as a line for the shell, followed by what says its exit code, folder and exported variables. It gets streams
 * of its own, so that it can close them, and `command` makes errors cost it alone (POSIX, "special built-in"). The
 * backslashes keep aliases away, and the first line is one that bash may lose after an error.
 */
const lineFor = (command: string, mark: string): string =>
  `
{ \\command eval ${quote(command)} </dev/null >&7 2>&8 7>&- 8>&-
{ \\command printf '${mark}%s\\0%s\\0' "$?" "\${PWD-}"; \\command export -p; \\command printf ${mark}
\\command printf ${mark} >&8; } 2>/dev/null; } 7>&1 8>&2
`

/** A shell that will be in this state, until the scope closes. */
export const openShell = Effect.fn("openShell")(function* (workspace: Workspace, state: State) {
  const limits = { processes: defaultLimits.processes + 1 } // the keeper
  const net = workspace.net.hosts.length === 0 ? {} : { net: workspace.net }
  const talk = yield* makeTalk(workspace.start(["/bin/sh", "-c", keeper], { limits, ...net }))
  const shell: Shell = { talk, state, running: undefined }
  return shell
})

/** Messages as they are for a command that was not run by `eval`, which dash names in them. */
const withoutEval = (text: string): string => text.replace(/^(\/bin\/sh: \d+: )eval: /gm, "$1")

/** Variables that say where a shell is, and no more. */
const ofPlace = ["PWD", "OLDPWD", "SHLVL", "_"]

const read = (answer: string) => {
  const [status, folder = "", exports = ""] = answer.split("\0")
  const env = new Map([...readExports(exports)].filter(([name]) => !ofPlace.includes(name)))
  const cwd = folder === workFolder ? "" : folder.replace(`${workFolder}/`, "")
  return { status: Number(status), cwd: folder.startsWith("/") ? cwd : undefined, env }
}

const difference = (before: Variables, after: Variables): Changes => {
  const set = [...after].filter(([name, value]) => before.get(name) !== value)
  const unset = [...before.keys()].filter((name) => !after.has(name))
  return new Map<string, string | null>([...set, ...unset.map((name) => [name, null] as const)])
}

const applied = (variables: Variables, changes: Changes): Variables =>
  new Map([...variables, ...changes].flatMap(([name, value]) => (value === null ? [] : [[name, value]])))

const limits = { seconds: defaultLimits.seconds, limit: defaultLimits.outputBytes }

/** Has a shell started, and says what it exports. */
const begin = Effect.fnUntraced(function* ({ talk }: Shell) {
  const keeper = yield* talk.start
  const last = newMark()
  const mark = newMark()
  const { end } = yield* talk.ask(`${last}\n${lineFor(":", mark)}`, [mark, last], limits)
  if (typeof end !== "object" || !("answer" in end) || end.mark !== mark)
    return yield* new ToolError({ code: "failed", message: "no shell could be started", retryable: true })
  return { keeper, env: read(end.answer).env, last }
})

/** A shell that runs, and the lines that make it as the last one was, as far as that can be. */
const ready = Effect.fnUntraced(function* (shell: Shell) {
  const { running, state } = shell
  if (running !== undefined && running.keeper === (yield* shell.talk.start)) return { running, restore: "" }
  // What went on in the background may have left no room for one beside it: then all begins anew.
  const fresh = yield* begin(shell).pipe(Effect.catch(() => Effect.andThen(shell.talk.stop, begin(shell))))
  const lines = [...state.changes].map(([name, value]) =>
    value === null ? `unset ${name}` : `export ${name}=${quote(value)}`
  )
  const restore = [...lines, ...(state.cwd === "" ? [] : [`cd ${quote(state.cwd)}`])]
  return {
    running: { ...fresh, env: applied(fresh.env, state.changes) },
    restore: restore.map((line) => `${line} 2>/dev/null\n`).join("")
  }
})

/** Runs a command. */
export const runIn = Effect.fn("runIn")(function* (shell: Shell, command: string, seconds: number) {
  const { running, restore } = yield* ready(shell)
  shell.running = running
  const shortages = memoryShortages()
  const mark = newMark()
  const question = `${restore}${lineFor(command, mark)}`
  const { end, ...said } = yield* shell.talk.ask(question, [mark, running.last], { ...limits, seconds })
  const stdout = withoutEval(said.stdout)
  const stderr = withoutEval(said.stderr)
  if (typeof end === "object" && "answer" in end && end.mark === mark) {
    const { status, cwd = shell.state.cwd, env } = read(end.answer)
    const changes = difference(running.env, env)
    shell.state = { cwd, changes: new Map([...shell.state.changes, ...changes]) }
    shell.running = { ...running, env }
    const ended: Ended = { ...endOf(status, shortages), stdout, stderr, cwd, changes }
    return ended
  }
  shell.running = undefined
  const { exitCode, signal, reason } =
    typeof end === "string"
      ? { exitCode: null, signal: "SIGKILL", reason: end }
      : "ended" in end
        ? end.ended
        : endOf(Number(end.answer), shortages)
  const ended: Ended = { exitCode, signal, reason, stdout, stderr, cwd: shell.state.cwd, changes: new Map() }
  return ended
})

/** A command's result as a later shell of the process finds it. */
export interface Recorded {
  readonly cwd?: string
  readonly env?: { readonly [name: string]: string | null }
}

/** The state in which the calls before left the shell. */
export const stateAfter = (history: ReadonlyArray<PastCall>): State => {
  const results = history.map(({ result }) => result as Recorded)
  return {
    cwd: results.at(-1)?.cwd ?? "",
    changes: new Map(results.flatMap(({ env = {} }) => Object.entries(env)))
  }
}
