/**
 * Where branches and cut off commits are kept: a folder of noos's own, with a part for each process that runs. What a
 * process that is gone left of its branches is removed by the next one that makes any; what it left of its commits is
 * finished when their workspace is opened.
 */
import { mkdirSync, readdirSync, readFileSync, realpathSync } from "node:fs"
import { homedir } from "node:os"
import { join, resolve } from "node:path"
import { Context, Effect } from "effect"
import { attempt } from "../walk.ts"
import { type Helper, makeHelper } from "./helper.ts"

/** The folder for them; noos's own unless somebody says otherwise. It must outlive the machine's restart. */
export const StateFolder = Context.Reference<string>("noos/sandbox/StateFolder", {
  defaultValue: () => resolve(process.env.NOOS_HOME || join(homedir(), ".noos"))
})

/** When a process was started, in ticks since the machine was: with its number, its name for all time. proc_pid_stat(5) */
const startOf = (pid: number): string | undefined => {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8")
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19]
  } catch {
    return undefined
  }
}

/** The number and the start of this process. */
const own = `${process.pid}-${startOf(process.pid)}`
let made = 0

/** A name for something that this process is the owner of. */
export const newName = () => `${own}-${++made}`

/** Whether this process made it. */
export const isOwn = (name: string): boolean => name.startsWith(`${own}-`)

/** Whether the process that made it is still there. */
export const hasOwner = (name: string): boolean => {
  const [, pid, start] = /^(\d+)-(\d+)-\d+$/.exec(name) ?? []
  return start !== undefined && startOf(Number(pid)) === start
}

/** Where a process keeps its branches until the scope closes. */
export interface Store {
  /** Its part of the folder, real and the working folder of the helper. Names in it need no quotes in a shell. */
  readonly folder: string
  readonly helper: Helper
  /** A new folder for the plan of a commit that is of no use any more when this process is gone. */
  readonly plan: () => string
}

/** A line that removes folders, also those that their owner has closed to everybody. */
export const removal = (names: ReadonlyArray<string>): string => {
  const all = names.join(" ")
  return `rm -rf ${all} 2>/dev/null || { chmod -R u+rwX ${all}; rm -rf ${all}; }`
}

/** Makes it, and removes what processes that are gone have left. */
export const openStore = Effect.fn("openStore")(function* (state: string, programs: string) {
  const all = join(state, "branches")
  const name = newName()
  const folder = yield* attempt(all, () => {
    mkdirSync(join(all, name), { recursive: true, mode: 0o700 })
    return realpathSync(join(all, name))
  })
  const helper = yield* makeHelper(folder, programs)
  yield* Effect.addFinalizer(() => Effect.ignore(helper.sh(removal(['"$PWD"']))))
  const stale = readdirSync(all).filter((name) => !hasOwner(name))
  if (stale.length > 0) yield* Effect.ignore(helper.sh(removal(stale.map((name) => `../${name}`))))
  return { folder, helper, plan: () => join(folder, newName()) } satisfies Store
})
