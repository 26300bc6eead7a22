/**
 * The interpreter of a process, one for each language: a session in the sandbox that is given cells of code and keeps its
 * variables from one to the next. The programs that run in there are python.py and javascript.mts.
 */
import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { Effect } from "effect"
import { type PastCall, ToolError } from "../../kernel/tool.ts"
import { defaultLimits } from "../../sandbox/bubblewrap.ts"
import { nodeInside } from "../../sandbox/network.ts"
import type { Completed, Start, Workspace } from "../../sandbox/sandbox.ts"
import { makeTalk, newMark } from "../interactive.ts"

export type Language = "python" | "javascript"

/** What a cell gave. `value` is that of its last expression, as the language shows it. */
export interface Cell {
  readonly stdout: string
  readonly stderr: string
  readonly value?: string
  /** The exception that ended the cell, with the traceback. */
  readonly error?: string
  /** What ended the interpreter, whose variables are gone. */
  readonly lost?: string
}

/** Descriptors for the talk, so that cells can do what they like to the first three. */
const aside = 'exec "$@" 5<&0 6>&1 7>&2 </dev/null'

const MiB = 1024 * 1024

const unavailable = (message: string) => new ToolError({ code: "unavailable", message })

interface Program {
  readonly argv: ReadonlyArray<string>
  readonly options: Start
}

const programs: Readonly<Record<Language, Effect.Effect<Program, ToolError>>> = {
  python: Effect.suspend(() => {
    const found = ["/usr/local/bin/python3", "/usr/bin/python3"].find((path) => existsSync(path))
    if (found === undefined) return unavailable("no Python here: install python3, or use javascript")
    // Isolated: neither variables nor files of the workspace stand in for the program's own modules.
    const argv = [found, "-I", "-c", readFileSync(join(import.meta.dirname, "python.py"), "utf8")]
    return Effect.succeed({ argv, options: {} })
  }),
  javascript: Effect.sync(() => {
    const file = `javascript.${import.meta.filename.endsWith(".ts") ? "mts" : "mjs"}`
    const program = `/opt/noos/${file}`
    return {
      argv: [
        nodeInside.to,
        "--disable-warning=ExperimentalWarning",
        `--max-old-space-size=${defaultLimits.memoryMiB}`,
        program
      ],
      options: {
        mounts: [nodeInside, { from: join(import.meta.dirname, file), to: program }],
        limits: { memoryMiB: MiB }
      }
    }
  })
}

const start = Effect.fnUntraced(function* (workspace: Workspace, language: Language) {
  const { argv, options } = yield* programs[language]
  const net = workspace.net.hosts.length === 0 ? {} : { net: workspace.net }
  return yield* workspace.start(["/bin/sh", "-c", aside, "sh", ...argv], { ...options, ...net })
})

export interface Interpreter {
  /** Runs a cell. One that is lost is followed by a fresh one. */
  readonly run: (code: string, seconds: number) => Effect.Effect<Cell, ToolError>
}

const whyLost = (ended: Completed): string => {
  if (ended.reason === "memory") return "out of memory"
  return ended.signal === null ? `exit ${ended.exitCode}` : `killed: ${ended.signal}`
}

/** Starts an interpreter, until the scope closes. */
export const openInterpreter = Effect.fn("openInterpreter")(function* (
  workspace: Workspace,
  language: Language
) {
  const talk = yield* makeTalk(start(workspace, language))
  let known = yield* talk.start
  const run: Interpreter["run"] = Effect.fn("Interpreter.run")(function* (code, seconds) {
    const now = yield* talk.start
    if (now !== known) {
      known = now
      return { stdout: "", stderr: "", lost: "the interpreter had ended, this was not run" }
    }
    const mark = newMark()
    const question = `${Buffer.byteLength(code)}\n${code}${mark}`
    const bounds = { seconds, limit: defaultLimits.outputBytes }
    const { stdout, stderr, end } = yield* talk.ask(question, [mark], bounds)
    if (typeof end === "object" && "answer" in end) {
      return { stdout, stderr, ...(JSON.parse(end.answer) as Pick<Cell, "value" | "error">) }
    }
    known = yield* talk.start
    const lost =
      end === "timeout"
        ? `timeout after ${seconds} s`
        : end === "output"
          ? `more than ${defaultLimits.outputBytes} bytes of output`
          : whyLost(end.ended)
    return { stdout, stderr, lost }
  })
  const interpreter: Interpreter = { run }
  return interpreter
})

/** A cell as it was run. */
export interface Recorded {
  readonly code: string
  readonly seconds: number
  readonly cell: Cell
}

/** The cells whose variables an interpreter had after these calls. */
export const cellsIn = (
  history: ReadonlyArray<PastCall>,
  language: Language,
  seconds: number
): ReadonlyArray<Recorded> => {
  const all = history.flatMap(({ args, result }) => {
    const call = args as { readonly language: Language; readonly code: string; readonly seconds?: number }
    return call.language === language
      ? [{ code: call.code, seconds: call.seconds ?? seconds, cell: result as Cell }]
      : []
  })
  return all.slice(all.findLastIndex(({ cell }) => cell.lost !== undefined) + 1)
}

/** Runs cells again, whose output was told before. Gives the numbers of those that failed only now. */
export const rebuild = Effect.fn("rebuild")(function* (
  interpreter: Interpreter,
  cells: ReadonlyArray<Recorded>
) {
  const failed: Array<number> = []
  for (const [i, { code, seconds, cell }] of cells.entries()) {
    const { error, lost } = yield* interpreter.run(code, seconds)
    if ((error ?? lost) !== undefined && cell.error === undefined) failed.push(i + 1)
  }
  return failed
})
