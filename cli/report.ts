/**
 * What a run shows while it works: events as NDJSON on stdout for scripts, or a line a call on stderr for people,
 * with a live last line when stderr is a terminal.
 */
import type { KernelEvent } from "../kernel/event.ts"

type Report = (event: KernelEvent) => void

/** One JSON object a line: progress, calls, start and exit. The rest is for people and for traces. */
export const jsonReport: Report = (event) => {
  if (event.type === "start" || event.type === "progress" || event.type === "syscall") return write(event)
  if (event.type !== "exit") return
  const { type, pid, status, answer, usage, reason } = event
  write({ type, pid, status: status === "interrupted" ? "killed" : status, answer, usage, reason })
}
const write = (value: object) => process.stdout.write(`${JSON.stringify(value)}\n`)

/** At most `width` characters of one line. */
const oneLine = (text: string, width: number): string => {
  const line = text.replace(/\s*\n\s*/g, " ⏎ ").replace(/[\x00-\x1f\x7f-\x9f]/g, "")
  return line.length <= width ? line : `${line.slice(0, width - 1)}…`
}

const argsText = (args: unknown): string => {
  const values = typeof args === "object" && args !== null ? Object.values(args) : [args]
  return values.map((v) => (typeof v === "string" ? v : JSON.stringify(v))).join("  ")
}

/** Lines for a person. `head` says what is running where. */
export const personReport = (head: () => string): Report => {
  const live = process.stderr.isTTY === true
  const width = () => process.stderr.columns ?? 100
  let began = Date.now()
  let tokens = 0
  let doing = ""
  let drawn = 0
  const seconds = () => `${((Date.now() - began) / 1000).toFixed(1)} s`
  const clear = live ? "\r\x1b[2K" : ""
  const line = (text: string) => process.stderr.write(`${clear}${text}\n`)
  const draw = () => {
    if (!live || Date.now() - drawn < 50) return
    drawn = Date.now()
    process.stderr.write(`${clear}${oneLine(`  … ${doing} · ${tokens} tokens · ${seconds()}`, width() - 1)}`)
  }
  return (event) => {
    switch (event.type) {
      case "start":
        began = Date.now()
        doing = "reading the task"
        line(`${head()} · pid ${event.pid}`)
        return
      case "token":
        tokens++
        doing = "writing a call"
        return draw()
      case "state":
        doing = event.state === "blocked" ? `running ${event.why}` : doing
        return draw()
      case "progress":
        doing = event.text
        return draw()
      case "syscall": {
        if (event.tool === "exit" && event.ok) return
        const came = event.ok ? resultSummary(event.result) : `✗ ${event.error?.message}`
        const call = `  ${event.tool.padEnd(9)} ${oneLine(argsText(event.args), Math.floor(width() * 0.5))}`
        return void line(`${call}  → ${oneLine(came, Math.floor(width() * 0.3))}  (${event.ms} ms)`)
      }
      case "exit": {
        const u = event.usage
        const used = `${u.syscalls} syscalls, ${u.prefillTokens} tokens read, ${u.cachedTokens} cached, ${u.generatedTokens} written`
        const why = event.status === "ok" ? "done" : `${event.status} (${event.reason})`
        return void line(`${why} in ${seconds()}: ${used}`)
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
