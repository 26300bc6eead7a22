/** How a branch differs from its base. */
import { readSync } from "node:fs"
import { Effect } from "effect"
import { ToolError } from "../../kernel/tool.ts"
import { isRoot } from "../launch.ts"
import type { Change } from "../sandbox.ts"
import { attempt } from "../walk.ts"
import {
  type Entry,
  type Opener,
  openAllowed,
  openFile,
  openForced,
  shown,
  split,
  type Tree
} from "./tree.ts"

/** A path that differs. Without `before` it is new, without `after` it is gone. */
export interface Difference {
  readonly path: string
  readonly before?: Entry
  readonly after?: Entry
}

/** A folder and what is in it. */
export interface Side {
  readonly fd: number
  readonly tree: Tree
}

/** Bytes that are compared before others have their turn. */
const piece = 256 * 1024

/** Largest file of which a change gives the text, bytes. */
const maxText = 64 * 1024

const fill = (fd: number, into: Buffer, offset: number): Buffer => {
  let done = 0
  while (done < into.length) {
    const read = readSync(fd, into, done, into.length - done, offset + done)
    if (read === 0) break
    done += read
  }
  return into.subarray(0, done)
}

const sameBytes = Effect.fnUntraced(function* (path: string, base: Side, branch: Side) {
  const one = yield* openFile(base.fd, path, openAllowed)
  const other = yield* openFile(branch.fd, path, openForced)
  const [a, b] = [Buffer.alloc(piece), Buffer.alloc(piece)]
  for (let offset = 0; ; offset += piece) {
    const read = yield* attempt(shown(path), () => [fill(one, a, offset), fill(other, b, offset)] as const)
    if (!read[0].equals(read[1])) return false
    if (read[0].length < piece) return true
    yield* Effect.yieldNow
  }
}, Effect.scoped)

/** What everybody sees of an entry but its content. */
const sameOutside = (a: Entry, b: Entry): boolean =>
  a.kind === b.kind &&
  a.target === b.target &&
  (a.kind === "link" || a.mode === b.mode) &&
  (!isRoot || (a.uid === b.uid && a.gid === b.gid))

/** Whether two entries of kind file hold the same. That their bytes were the same is only found out by reading. */
export const sameContent = (path: string, before: Entry, after: Entry, base: Side, branch: Side) =>
  before.size !== after.size
    ? Effect.succeed(false)
    : before.changed === after.changed && before.modified === after.modified
      ? Effect.succeed(true) // the branch shows the base's own file
      : sameBytes(path, base, branch).pipe(
          // A file of the base that may not be read was copied into the branch because somebody changed it there.
          Effect.catchIf(
            (error) => error.code === "denied",
            () => Effect.succeed(false)
          )
        )

/** The paths that differ, folders before what they hold. */
export const differences = Effect.fn("differences")(function* (base: Side, branch: Side) {
  const found: Array<Difference> = []
  const paths = [...new Set([...base.tree.keys(), ...branch.tree.keys()])].sort()
  for (const path of paths) {
    const [before, after] = [base.tree.get(path), branch.tree.get(path)]
    // What is in there is not known, so nothing can be said about what became of it.
    const hidden = before === undefined ? base.tree.get(split(path)[0])?.closed : before.closed
    if (hidden && after?.kind !== before?.kind) {
      const message = `was changed and cannot be compared, for its base is closed to us: ${shown(path)}`
      return yield* new ToolError({ code: "denied", message })
    }
    const isSame =
      before &&
      after &&
      sameOutside(before, after) &&
      (before.kind !== "file" || (yield* sameContent(path, before, after, base, branch)))
    if (!isSame) found.push({ path, ...(before && { before }), ...(after && { after }) })
  }
  return found as ReadonlyArray<Difference>
})

/** The first path at which a folder is no longer what it was, whatever was done to it. */
export const firstTouched = (then: Tree, now: Tree): string | undefined => {
  for (const [path, entry] of now) {
    const before = then.get(path)
    if (!before || !sameOutside(before, entry)) return path
    if (entry.kind === "file" && (before.changed !== entry.changed || before.inode !== entry.inode))
      return path
  }
  for (const path of then.keys()) if (!now.has(path)) return path
  return undefined
}

const decoder = new TextDecoder("utf-8", { fatal: true })

/** The text of a small text file. */
const textOf = (side: Side, path: string, entry: Entry | undefined, open: Opener) =>
  entry?.kind !== "file" || entry.size > maxText
    ? Effect.succeed(undefined)
    : openFile(side.fd, path, open).pipe(
        Effect.flatMap((fd) => attempt(shown(path), () => fill(fd, Buffer.alloc(maxText), 0))),
        Effect.map((bytes) => {
          try {
            return bytes.includes(0) ? undefined : decoder.decode(bytes)
          } catch {
            return undefined // not text
          }
        }),
        Effect.scoped,
        Effect.catch(() => Effect.succeed(undefined)) // closed to us: no text to show
      )

/** A difference as others are told of it. */
export const changeOf = (
  { path, before, after }: Difference,
  base: Side,
  branch: Side
): Effect.Effect<Change, ToolError> =>
  Effect.gen(function* () {
    const was = yield* textOf(base, path, before, openAllowed)
    const is = yield* textOf(branch, path, after, openForced)
    return {
      path: shown(path),
      kind: before === undefined ? "added" : after === undefined ? "removed" : "changed",
      ...(was !== undefined && { before: was }),
      ...(is !== undefined && { after: is })
    }
  })
