/** What the tests of the browser share: a process that browses, and what of it is left on the machine. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll } from "@effect/vitest"
import { Ajv2020 } from "ajv/dist/2020.js"
import { Effect } from "effect"
import type { ToolError } from "../../kernel/tool.ts"
import type { Workspace } from "../../sandbox/sandbox.ts"
import { browserTools } from "../../tools/browser/index.ts"
import { contextIn } from "../fixtures/context.ts"

const ajv = new Ajv2020()

/** A process: what its browser tools say to the model, errors as `code: message`. Its browser is its scope's. */
export const user = Effect.fnUntraced(function* (workspace: Workspace) {
  const context = contextIn(workspace, yield* Effect.scope)
  return (name: string, args: object = {}): Effect.Effect<string> => {
    const tool = browserTools.find((it) => it.name === `browser_${name}`)
    if (tool === undefined || !ajv.validate(tool.input, args)) throw new Error(`${name}: ${ajv.errorsText()}`)
    return tool.execute(args as never, context).pipe(
      Effect.map((result) => tool.toModel?.(result) ?? ""),
      Effect.catch(({ code, message }: ToolError) => Effect.succeed(`${code}: ${message}`))
    )
  }
})

/** The reference behind some words in what browser_read gave. */
export const refOf = (snapshot: string, words: string): string => {
  const line = snapshot.split("\n").find((it) => it.includes(words))
  const ref = /\[ref=(\w+)\]/.exec(line ?? "")?.[1]
  if (ref === undefined) throw new Error(`no ${words} in\n${snapshot}`)
  return ref
}

const read = (path: string): string => {
  try {
    return readFileSync(path, "utf8")
  } catch {
    return "" // it has just ended
  }
}

/** The processes that a process has started and that are still there, and those that they have started. */
export const descendants = (pid: number): ReadonlyArray<number> => {
  const parents = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map((name) => ({
      pid: Number(name),
      parent: Number(/^PPid:\s*(\d+)$/m.exec(read(`/proc/${name}/status`))?.[1])
    }))
  const below = (of: number): ReadonlyArray<number> =>
    parents.filter((it) => it.parent === of).flatMap((it) => [it.pid, ...below(it.pid)])
  return below(pid)
}

/** A place for the temporary files of one file of tests: gives what is there. */
export const ownTemporaryFolder = (): (() => ReadonlyArray<string>) => {
  const place = mkdtempSync(join(tmpdir(), "noos-test-tmp-"))
  process.env.TMPDIR = place
  afterAll(() => rmSync(place, { recursive: true, force: true }))
  return () => readdirSync(place)
}

/** Files, sockets and pipes that this process has open. */
export const openFiles = (): number => readdirSync("/proc/self/fd").length
