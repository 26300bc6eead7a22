/**
 * Saved states: a sequence's part of the KV cache in a file, shared by all who may need it, gone with the last of them.
 *
 * Files are on a memory file system while it has room, else on disk. After a kill -9 they stay; the next engine that
 * starts removes what was left by processes that are no more.
 */
import { lstatSync, mkdtempSync, readdirSync, rmSync, statfsSync, statSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Context, Effect, type Scope } from "effect"

/** A state file, how many tokens it covers, and its size. Held by one or more sequences. */
export interface Snapshot {
  readonly path: string
  readonly tokens: number
  readonly bytes: number
  holders: number
}

const memory = "/dev/shm"
const tag = "noos-kv-"
/** A file of n bytes is put only where so many times n are free. */
const spare = 4
/** What statfs(2) calls a file system in memory. */
const tmpfs = 0x01021994

const living = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM"
  }
}

/**
 * Removes what dead engines of the same user have left in a folder. Others' is theirs; and whoever can write below a
 * folder could lead its removal elsewhere.
 */
const sweep = (parent: string): void => {
  for (const name of readdirSync(parent)) {
    const pid = name.startsWith(tag) ? Number.parseInt(name.slice(tag.length), 10) : Number.NaN
    if (!(pid > 0) || living(pid)) continue
    const folder = join(parent, name)
    try {
      if (lstatSync(folder).uid === (process.getuid?.() ?? 0))
        rmSync(folder, { recursive: true, force: true })
    } catch {}
  }
}

/** A folder of this engine's own below the given one, if that can be written. */
const open = (parent: string): string | undefined => {
  try {
    sweep(parent)
    return mkdtempSync(join(parent, `${tag}${process.pid}-`))
  } catch {
    return undefined
  }
}

/** Bytes that can be written there. A memory file system promises more than there is once programs have taken it. */
const free = (folder: string): number => {
  try {
    const { bavail, bsize, type } = statfsSync(folder)
    return type === tmpfs ? Math.min(bavail * bsize, process.availableMemory()) : bavail * bsize
  } catch {
    return 0
  }
}

const size = (path: string): number | undefined => statSync(path, { throwIfNoEntry: false })?.size

export interface SnapshotStore {
  /**
   * The state of so many tokens in a file, held once; undefined when there is no room for about so many bytes, or the
   * file could not be written. `save` gives the bytes that it wrote: it may not notice that the last of them found no
   * room.
   */
  readonly write: (
    tokens: number,
    bytes: number,
    save: (path: string) => Promise<number>
  ) => Promise<Snapshot | undefined>
  /** Whether the file could be read. It is given to `load` only when it is whole: llama.cpp may abort on half a file. */
  readonly read: (snapshot: Snapshot, load: (path: string) => Promise<void>) => Promise<boolean>
  readonly hold: (snapshot: Snapshot) => Snapshot
  readonly release: (snapshot: Snapshot | undefined) => void
}

/** Where states are kept: the first of these folders that has room. Without any, what gives up its row is evaluated again. */
export const SnapshotFolders = Context.Reference<ReadonlyArray<string>>("noos/SnapshotFolders", {
  defaultValue: () => [memory, tmpdir()]
})

/** The store of one engine; its files go with the scope. Tries the folders in order. */
export const snapshotStore = (
  folders: ReadonlyArray<string>
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
        write: async (tokens, expected, save) => {
          const roomy = own.find((folder) => free(folder) > expected * spare)
          if (roomy === undefined) return undefined
          const path = join(roomy, `${++count}`)
          try {
            const bytes = await save(path)
            if (size(path) === bytes) return { path, tokens, bytes, holders: 1 }
          } catch {}
          rmSync(path, { force: true })
          return undefined
        },
        read: async ({ path, bytes }, load) => {
          try {
            if (size(path) !== bytes) return false
            await load(path)
            return true
          } catch {
            return false
          }
        },
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
