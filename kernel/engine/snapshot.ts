/**
 * Saved states: a sequence's part of the KV cache in a file, shared by all who may need it, gone with the last of them.
 *
 * Files are on a memory file system while it has room, else on disk. After a kill -9 they stay; the next engine that
 * starts removes what was left by processes that are no more.
 */
import { mkdtempSync, readdirSync, rmSync, statfsSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, type Scope } from "effect"

/** A state file and how many tokens it covers. Held by one or more sequences. */
export interface Snapshot {
  readonly path: string
  readonly tokens: number
  holders: number
}

const memory = "/dev/shm"
const tag = "noos-kv-"
/** A file of n bytes is put only where so many times n are free. */
const spare = 4

const living = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM"
  }
}

/** Removes what dead engines have left in a folder. */
const sweep = (folder: string): void => {
  for (const name of readdirSync(folder)) {
    const pid = name.startsWith(tag) ? Number.parseInt(name.slice(tag.length), 10) : Number.NaN
    if (!(pid > 0) || living(pid)) continue
    rmSync(join(folder, name), { recursive: true, force: true })
  }
}

/** A folder of this engine's own below the first one, if that can be written. */
const open = (parent: string): string | undefined => {
  try {
    sweep(parent)
    return mkdtempSync(join(parent, `${tag}${process.pid}-`))
  } catch {
    return undefined
  }
}

export interface SnapshotStore {
  /** Where to write a state of about so many bytes; undefined when there is room nowhere. */
  readonly place: (bytes: number) => string | undefined
  /** The snapshot of a file that has been written, held once. */
  readonly made: (path: string, tokens: number) => Snapshot
  readonly hold: (snapshot: Snapshot) => Snapshot
  readonly release: (snapshot: Snapshot | undefined) => void
}

/** The store of one engine; its files go with the scope. Tries the folders in order. */
export const snapshotStore = (
  folders: ReadonlyArray<string> = [memory, tmpdir()]
): Effect.Effect<SnapshotStore, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => folders.map(open).filter((folder) => folder !== undefined)),
      (own) =>
        Effect.sync(() => {
          for (const folder of own) rmSync(folder, { recursive: true, force: true })
        })
    ),
    (own) => {
      let count = 0
      return {
        place: (bytes) => {
          const roomy = own.find((folder) => {
            const { bavail, bsize } = statfsSync(folder)
            return bavail * bsize > bytes * spare
          })
          return roomy === undefined ? undefined : join(roomy, `${++count}`)
        },
        made: (path, tokens) => ({ path, tokens, holders: 1 }),
        hold: (snapshot) => {
          snapshot.holders++
          return snapshot
        },
        release: (snapshot) => {
          if (snapshot !== undefined && --snapshot.holders === 0) rmSync(snapshot.path, { force: true })
        }
      }
    }
  )
