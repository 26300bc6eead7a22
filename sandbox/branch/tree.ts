/**
 * What is in a folder, looked at without following a link: every name is looked up in the descriptor of the folder that
 * holds it, as in walk.ts.
 *
 * Names here are bytes, one in each character (latin1), so that files of any name are kept as they are.
 */
import {
  type BigIntStats,
  chmodSync,
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readdirSync,
  readlinkSync
} from "node:fs"
import { Effect, type Scope } from "effect"
import { ToolError } from "../../kernel/tool.ts"
import { isRoot } from "../launch.ts"
import { at, attempt, fromSystem, O_PATH } from "../walk.ts"

/** What a path is. Times are nanoseconds since 1970. */
export interface Entry {
  readonly kind: "file" | "folder" | "link" | "other"
  /** Permissions, 12 bits. */
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly size: bigint
  readonly modified: bigint
  /** When anything about it was changed last: nobody but the system sets that. */
  readonly changed: bigint
  /** Which file it is, whatever its names: device and inode. */
  readonly inode: string
  readonly names: bigint
  /** Where a link leads. */
  readonly target?: string
  /** A folder that could not be looked into: it is not allowed, or another file system is mounted there. */
  readonly closed?: true
}

/** By path, `.` for the folder itself; every folder before what it holds. */
export type Tree = ReadonlyMap<string, Entry>

/** Folders within one another that are looked into, each by a descriptor: as deep as a path of a tool's may go. */
const maxDepth = 256

/** The path of a name in an open folder. */
export const named = (folder: number, name: string): Buffer => Buffer.from(`${at(folder)}/${name}`, "latin1")

/** A path for people. */
export const shown = (path: string): string => Buffer.from(path, "latin1").toString()

const kindOf = (stats: BigIntStats): Entry["kind"] =>
  stats.isFile() ? "file" : stats.isDirectory() ? "folder" : stats.isSymbolicLink() ? "link" : "other"

/** What stands at a name in an open folder. */
export const entryAt = (folder: number, name: string): Entry | undefined => {
  const stats = lstatSync(named(folder, name), { bigint: true, throwIfNoEntry: false })
  return (
    stats && {
      kind: kindOf(stats),
      mode: Number(stats.mode & 0o7777n),
      uid: Number(stats.uid),
      gid: Number(stats.gid),
      size: stats.size,
      modified: stats.mtimeNs,
      changed: stats.ctimeNs,
      inode: `${stats.dev}:${stats.ino}`,
      names: stats.nlink,
      ...(stats.isSymbolicLink() && { target: readlinkSync(named(folder, name), "latin1") })
    }
  )
}

export const folderFlags = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW
/** With these, opening never waits, whatever stands at the name by now. */
export const fileFlags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK

/** Opens something until the scope closes. */
export const opened = (path: string, open: () => number): Effect.Effect<number, ToolError, Scope.Scope> =>
  Effect.acquireRelease(Effect.try({ try: open, catch: (cause) => fromSystem(cause, shown(path)) }), (fd) =>
    Effect.sync(() => closeSync(fd))
  )

/** Opens a name in an open folder until the scope closes. `path` is for messages. */
export type Opener = (
  path: string,
  folder: number,
  name: string,
  flags: number
) => Effect.Effect<number, ToolError, Scope.Scope>

/** Opens what may be opened. */
export const openAllowed: Opener = (path, folder, name, flags) =>
  opened(path, () => openSync(named(folder, name), flags))

/** Opens also what its owner has closed to everybody, by opening it up until then. Only for branches. */
export const openForced: Opener = Effect.fnUntraced(function* (path, folder, name, flags) {
  const fd = yield* openAllowed(path, folder, name, O_PATH | constants.O_NOFOLLOW)
  const { mode } = yield* attempt(shown(path), () => fstatSync(fd))
  const needed = flags & constants.O_DIRECTORY ? 0o500 : 0o400
  if (!isRoot && (mode & needed) !== needed)
    yield* Effect.acquireRelease(
      attempt(shown(path), () => chmodSync(at(fd), mode | needed)),
      () => Effect.sync(() => chmodSync(at(fd), mode))
    )
  return yield* opened(path, () => openSync(at(fd), flags & ~constants.O_NOFOLLOW))
})

/** A path's folder and its name in there. */
export const split = (path: string): readonly [string, string] => {
  const at = path.lastIndexOf("/")
  return at < 0 ? [".", path] : [path.slice(0, at), path.slice(at + 1)]
}

export const join = (folder: string, name: string): string => (folder === "." ? name : `${folder}/${name}`)

/**
 * All that is in the folder that `root` is open on. Of a branch, `base` is what its base held: a folder that was closed
 * there and has not been touched stays so, others that are closed are looked into all the same.
 */
export const treeOf = Effect.fn("treeOf")(function* (root: number, base?: Tree) {
  const tree = new Map<string, Entry>()
  const device = fstatSync(root).dev
  const isLocked = (path: string, entry: Entry) => {
    const before = base?.get(path)
    return before?.closed && before.changed === entry.changed
  }

  /** The folders in there, to be looked into. */
  const look = (folder: number, path: string): ReadonlyArray<readonly [string, string]> =>
    readdirSync(at(folder), "latin1").flatMap((name) => {
      const entry = entryAt(folder, name)
      if (entry === undefined) return [] // gone since
      tree.set(join(path, name), entry)
      return entry.kind === "folder" ? [[join(path, name), name] as const] : []
    })

  const visit = (folder: number, path: string, depth: number): Effect.Effect<void, ToolError> =>
    Effect.gen(function* () {
      if (depth > maxDepth)
        return yield* new ToolError({ code: "limit", message: `too many folders: ${shown(path)}` })
      const folders = yield* attempt(shown(path), () => look(folder, path))
      yield* Effect.yieldNow
      for (const [path, name] of folders) {
        const entry = tree.get(path)!
        const close = Effect.sync(() => tree.set(path, { ...entry, closed: true }))
        if (isLocked(path, entry)) yield* close
        else
          yield* (base ? openForced : openAllowed)(path, folder, name, folderFlags).pipe(
            Effect.flatMap((fd) =>
              base === undefined && fstatSync(fd).dev !== device ? close : visit(fd, path, depth + 1)
            ),
            Effect.scoped,
            Effect.catchIf(
              (error) => base === undefined && error.code === "denied",
              () => close
            )
          )
      }
    })

  tree.set(".", yield* attempt(".", () => entryAt(root, ".")!))
  yield* visit(root, ".", 0)
  return tree as Tree
})

/** Opens the folder below `root` that holds a path, until the scope closes; with the name in there. */
export const holding = Effect.fnUntraced(function* (root: number, path: string, open: Opener) {
  const [folder, name] = split(path)
  let fd = root
  for (const step of folder === "." ? [] : folder.split("/")) fd = yield* open(path, fd, step, folderFlags)
  return [fd, name] as const
})

/** Opens a file below `root` for reading, until the scope closes. */
export const openFile = Effect.fnUntraced(function* (root: number, path: string, open: Opener) {
  const [folder, name] = yield* holding(root, path, open)
  const fd = yield* open(path, folder, name, fileFlags)
  const isFile = yield* attempt(shown(path), () => fstatSync(fd).isFile())
  if (!isFile)
    return yield* new ToolError({ code: "not_a_file", message: `no file any more: ${shown(path)}` })
  return fd
})
