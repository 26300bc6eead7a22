/**
 * What a run shows while it works: events as NDJSON on stdout for scripts, or a line a call on stderr for people,
 * with a live last line when stderr is a terminal.
 */
import type { KernelEvent } from "../kernel/event.ts"
import type { State } from "../kernel/journal.ts"
import type { Usage } from "../kernel/process.ts"

type Report = (event: KernelEvent) => void

/** What a script is told of a task besides what the kernel knows: its line in the file, and its id if it has one. */
export interface Label {
  readonly line: number
  readonly task_id?: string
}

/** One JSON object a line: progress, calls, memory, start and exit. The rest is for people and for traces. Labels are by run. */
export const jsonReport = (labels: ReadonlyMap<number, Label>): Report => {
  const label = new Map<number, Label | undefined>()
  return (event) => {
    switch (event.type) {
      case "start":
        // The children of a task's process belong to its run, but are not the task.
        if (event.parent === undefined) label.set(event.pid, labels.get(event.run))
        return write({ ...event, ...label.get(event.pid) })
      case "progress":
      case "syscall":
      case "evict":
      case "fault":
      case "tried":
      case "decided":
        return write(event)
      case "exit": {
        const { answer, pid, reason, status, type, usage } = event
        const told = status === "interrupted" ? "killed" : status
        // Who thinks fast values nothing.
        const { valueTokens, ...used } = usage
        const all = valueTokens === 0 ? used : usage
        write({ type, pid, status: told, answer, usage: all, reason, ...label.get(pid) })
        label.delete(pid)
      }
    }
  }
}
const write = (value: object): void => void process.stdout.write(`${JSON.stringify(value)}\n`)

/** At most `width` characters of one line, without what a terminal would obey. */
export const oneLine = (text: string, width: number): string => {
  const line = text.replace(/\s*\n\s*/g, " ⏎ ").replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, "")
  return line.length <= width ? line : `${line.slice(0, width - 1)}…`
}

/** A text for stdout: where that is a terminal, without what it would obey, such as escape sequences. */
export const printable = (text: string): string =>
  process.stdout.isTTY ? text.replace(/(?![\n\t])\p{Cc}/gu, "\uFFFD") : text

const argsText = (args: unknown): string => {
  const values = typeof args === "object" && args !== null ? Object.values(args) : [args]
  return values.map((v) => (typeof v === "string" ? v : JSON.stringify(v))).join("  ")
}

/** What an event tells of its process. */
export type Told<Type extends KernelEvent["type"]> = Omit<
  Extract<KernelEvent, { readonly type: Type }>,
  "type" | "pid"
>

/** What came of a call: in words, or as the call gave it. */
type Came =
  | string
  | { readonly result?: unknown; readonly error?: { readonly message: string }; readonly ms: number }

/** A call and what came of it, each cut to its share of so many characters. */
export const callLine = (tool: string, args: unknown, came: Came, width: number): string => {
  const call = `${oneLine(tool, 40).padEnd(9)} ${oneLine(argsText(args), Math.floor(width * 0.5))}`
  const said = (text: string) => `${call}  → ${oneLine(text, Math.floor(width * 0.3))}`
  if (typeof came === "string") return said(came)
  return `${said(came.error === undefined ? resultSummary(came.result) : `✗ ${came.error.message}`)}  (${came.ms} ms)`
}

/** Pages that left the window. */
export const pagedOut = ({ freed, pages }: Told<"evict">): string => {
  const count = pages.reduce((n, [first, last]) => n + last - first + 1, 0)
  return `paged out ${count === 1 ? "1 page" : `${count} pages`}, ${freed} tokens`
}

/** A page that was read again. */
export const recalled = ({ page, part }: Told<"fault">): string =>
  `recalled page ${page}${part === 1 ? "" : `, part ${part}`}`

export const usageText = (u: Readonly<Usage>): string =>
  `${u.syscalls} syscalls, ${u.prefillTokens} tokens read, ${u.cachedTokens} cached, ${u.generatedTokens} written`

/** A process that is being shown. */
interface Shown {
  readonly began: number
  state: State
}

/**
 * Lines for a person. `head` says what is running where. Of several tasks each line says whose it is, and so do those of a
 * process's children.
 */
export const personReport = (head: () => string, tasks: number): Report => {
  const live = process.stderr.isTTY === true
  const width = () => process.stderr.columns || 100
  const running = new Map<number, Shown>()
  /** How many ended how. */
  const ended = new Map<string, number>()
  /** When the first one started. */
  let began = 0
  /** Tasks that have a process, or had one. */
  let started = 0
  /** The one process of a single task; its lines need no name. */
  let only = 0
  let tokens = 0
  let doing = ""
  let drawn = 0
  const seconds = (since: number) => `${((Date.now() - since) / 1000).toFixed(1)} s`
  const clear = live ? "\r\x1b[2K" : ""
  const line = (pid: number, text: string) => {
    const name = pid === only ? "" : `${pid}: `
    process.stderr.write(`${clear}${name}${text}\n`)
  }
  const ends = () => [...ended].map(([status, n]) => `${n} ${status}`)
  /** What all of them do, or the only one. */
  const summary = () => {
    if (running.size === 1 && running.has(only)) return doing
    const states = [...running.values()].map((p) => p.state)
    const count = (state: State, what: string) => {
      const n = states.filter((s) => s === state).length
      return n === 0 ? [] : [`${n} ${what}`]
    }
    return [
      ...count("running", "running"),
      ...count("ready", "waiting"),
      ...count("blocked", "in a call"),
      ...count("stopped", "stopped"),
      ...ends()
    ].join(", ")
  }
  const draw = () => {
    if (!live || Date.now() - drawn < 50) return
    drawn = Date.now()
    const text = `  … ${summary()} · ${tokens} tokens · ${seconds(began)}`
    process.stderr.write(`${clear}${oneLine(text, width() - 1)}`)
  }
  /** What is only tried: a line of each state says enough. */
  const branches = new Set<number>()
  return (event) => {
    if (event.type === "start" && event.branch === true) branches.add(event.pid)
    if ("pid" in event && branches.has(event.pid) && event.type !== "token") return
    switch (event.type) {
      case "start": {
        const first = began === 0
        if (first) began = Date.now()
        if (event.parent === undefined) started++
        running.set(event.pid, { began: Date.now(), state: "ready" })
        doing = "reading the task"
        if (tasks === 1 && first) {
          only = event.pid
          return line(only, `${head()} · pid ${only}`)
        }
        if (first) process.stderr.write(`${head()}\n`)
        return line(event.pid, oneLine(event.task, width() - 12))
      }
      case "token":
        tokens++
        doing = "writing a call"
        return draw()
      case "state":
        running.get(event.pid)!.state = event.state
        doing = event.state === "blocked" ? `running ${event.why}` : doing
        return draw()
      case "progress":
        doing = event.text
        return draw()
      case "syscall": {
        if (event.tool === "exit" && event.ok) return
        return line(event.pid, `  ${callLine(event.tool, event.args, event, width())}`)
      }
      case "tried": {
        const text = oneLine(event.text, Math.floor(width() * 0.7))
        return line(event.pid, `  ${"  ".repeat(event.depth - 1)}${event.value.toFixed(2)} ${text}`)
      }
      case "decided":
        return line(event.pid, `  ${oneLine(event.text, width() - 12)}`)
      case "evict":
        return line(event.pid, `  ${pagedOut(event)}`)
      case "fault":
        return line(event.pid, `  ${recalled(event)}`)
      case "exit": {
        const { pid, reason, status, usage } = event
        const why = status === "ok" ? "done" : `${status} (${reason})`
        line(pid, `${why} in ${seconds(running.get(pid)!.began)}: ${usageText(usage)}`)
        running.delete(pid)
        ended.set(status, (ended.get(status) ?? 0) + 1)
        if (tasks === 1 || running.size > 0 || started < tasks) return
        process.stderr.write(`${clear}all done in ${seconds(began)}: ${ends().join(", ")}\n`)
      }
    }
  }
}

const resultSummary = (result: unknown): string => {
  if (typeof result === "string") return result
  if (typeof result !== "object" || result === null) return JSON.stringify(result) ?? "done"
  if ("stdout" in result && "exitCode" in result) {
    const { stdout, stderr, exitCode } = result as { stdout: string; stderr?: string; exitCode: unknown }
    const said = (stdout || stderr || "").trim()
    return exitCode === 0 ? said || "done" : `${said} [exit ${exitCode}]`
  }
  if ("text" in result && typeof result.text === "string") return result.text.trim()
  return JSON.stringify(result)
}
