/** What the sandbox tests share: a throw-away workspace, and a look at what runs on the machine. */
import { randomInt } from "node:crypto"
import { copyFileSync, readdirSync, readFileSync } from "node:fs"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Context, Effect, Layer } from "effect"
import { Bubblewrap } from "../../sandbox/bubblewrap.ts"
import { Sandbox } from "../../sandbox/sandbox.ts"

/** A new folder on the host, removed with the scope. */
export const folder = Effect.acquireRelease(
  Effect.promise(() => mkdtemp(join(tmpdir(), "noos-test-"))),
  (path) => Effect.promise(() => rm(path, { recursive: true, force: true }))
)

/** A folder as workspace in the real sandbox, with hosts that may be reached. */
export const opened = Effect.fnUntraced(function* (path: string, net: ReadonlyArray<string> = []) {
  const sandbox = Context.get(yield* Layer.build(Bubblewrap.layer), Sandbox)
  return yield* sandbox.open(path, net)
})

/** An empty workspace. */
export const workspace = Effect.flatMap(folder, (path) => opened(path))

/** A number that no other command line on the machine holds. */
export const marker = () => `${randomInt(1_000_000, 9_999_999)}.${randomInt(1_000_000, 9_999_999)}`

/** The command lines of the machine's processes that hold a text. */
export const running = (text: string): ReadonlyArray<string> =>
  readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        const line = readFileSync(`/proc/${pid}/cmdline`, "utf8")
        return line.includes(text) ? [line] : []
      } catch {
        return []
      }
    })

/** Puts this Node into a workspace, to make system calls there that no small program makes. */
export const bringNode = (root: string): string => {
  copyFileSync(process.execPath, join(root, "node"))
  return "/work/node"
}

/** Node reserves far more address space than it uses. */
export const roomForNode = { memoryMiB: 1024 * 1024 }
