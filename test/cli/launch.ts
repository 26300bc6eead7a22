/** The command line as people start it, in a home of its own. */
import { execFileSync } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { open } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { afterAll, assert } from "@effect/vitest"
import { Effect } from "effect"
import { execa } from "execa"
import { Journal } from "../../kernel/journal.ts"

export const noos = fileURLToPath(new URL("../../noos", import.meta.url))

/** A line of `--json`. */
export interface Line {
  readonly type: string
  readonly tool?: string
  readonly [key: string]: unknown
}

export const lines = (stdout: string): ReadonlyArray<Line> =>
  stdout
    .split("\n")
    .filter((l) => l !== "")
    .map((l) => JSON.parse(l) as Line)

/** What is wrong, and what to do. */
export const twoLines = (stderr: string, what: RegExp) => {
  const said = stderr.trim().split("\n")
  assert.strictEqual(said.length, 2, stderr)
  assert.match(said[0]!, what)
  for (const line of said) assert.match(line, /^noos: /)
}

/** A folder for a file of tests, which goes with them. */
export const scratch = (name: string) => {
  const root = mkdtempSync(join(tmpdir(), `noos-${name}-`))
  afterAll(() => rmSync(root, { recursive: true, force: true }))

  /** A fresh folder with a file of twelve lines. */
  const workspace = () => {
    const folder = mkdtempSync(join(root, "ws-"))
    writeFileSync(join(folder, "data.csv"), "a,1\n".repeat(12))
    return folder
  }

  /** A fresh folder whose data.csv has no end yet: a call that reads it waits for it. */
  const gate = () => {
    const folder = mkdtempSync(join(root, "gate-"))
    const pipe = join(folder, "data.csv")
    execFileSync("mkfifo", [pipe])
    /** Waits until a call reads the file, and gives what writes its lines and ends it. fifo(7) */
    const entered = async () => {
      const file = await open(pipe, "w")
      return async (rows: number) => {
        await file.write("a,1\n".repeat(rows))
        await file.close()
      }
    }
    return { folder, entered }
  }

  /** The command line with one home, and what its journal holds. */
  const at = (home: string, env: Readonly<Record<string, string>> = {}) => {
    const options = { env: { ...env, NOOS_HOME: home }, reject: false, stdin: "ignore" } as const
    const read = <A, E>(query: (journal: Journal["Service"]) => Effect.Effect<A, E>) =>
      Effect.flatMap(Journal, query).pipe(
        Effect.provide(Journal.layer(join(home, "journal.db"))),
        Effect.runPromise
      )
    const call = (...args: ReadonlyArray<string>) => execa(noos, args, options)

    /** Starts it and gives what waits for its output. */
    const start = (...args: ReadonlyArray<string>) => {
      const child = execa(noos, args, options)
      let told = ""
      const waiting = new Set<() => void>()
      const hear = (chunk: Buffer) => {
        told += chunk
        for (const look of waiting) look()
      }
      child.stdout!.on("data", hear)
      child.stderr!.on("data", hear)
      /** Waits until so many places of its stdout and stderr match. */
      const until = (what: RegExp, times = 1) =>
        new Promise<void>((resolve, reject) => {
          const look = () => {
            if ([...told.matchAll(new RegExp(what, "g"))].length >= times) resolve()
          }
          waiting.add(look)
          look()
          void child.then(() => reject(new Error(`it ended without ${what}:\n${told}`)))
        })
      return { child, until }
    }
    return { options, call, read, start }
  }

  return { root, workspace, gate, at }
}
