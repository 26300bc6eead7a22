/** The file operations of a workspace, each on the very file that a walk from the workspace's folder found. */
import { randomBytes } from "node:crypto"
import {
  accessSync,
  chmodSync,
  chownSync,
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  type Stats,
  unlinkSync,
  writeFileSync
} from "node:fs"
import { Effect } from "effect"
import { ToolError } from "../kernel/tool.ts"
import { isRoot } from "./launch.ts"
import type { Entry, Workspace } from "./sandbox.ts"
import { at, attempt, fromSystem, openIn, show, walk } from "./walk.ts"

/** Bytes read when the caller names no number. */
const defaultMaxBytes = 8 * 1024 * 1024

const isFolder = (path: string) =>
  new ToolError({ code: "not_a_file", message: `is a folder: ${show(path)}` })
const isSpecial = (path: string) =>
  new ToolError({ code: "not_a_file", message: `neither a file nor a folder: ${show(path)}` })

/** Fails unless a file with these `stats` can be read and written without waiting for anybody. */
const mustBeFile = (path: string, stats: Stats): Effect.Effect<void, ToolError> =>
  stats.isFile() ? Effect.void : Effect.fail(stats.isDirectory() ? isFolder(path) : isSpecial(path))

const kindOf = (stats: Stats): Entry["kind"] =>
  stats.isFile() ? "file" : stats.isDirectory() ? "directory" : stats.isSymbolicLink() ? "symlink" : "other"

/** When root works for somebody, what it makes is given to the owner of what was there, or of the folder. */
const give = (fd: number, to: Stats): void => {
  if (isRoot) chownSync(at(fd), to.uid, to.gid) // not fchown, which O_PATH does not allow
}

/** At most `room` bytes from `offset`; fewer only where the file ends. */
const readFully = (fd: number, offset: number, room: number): Uint8Array => {
  const bytes = new Uint8Array(room)
  let done = 0
  while (done < room) {
    const read = readSync(fd, bytes, done, room - done, offset + done)
    if (read === 0) break
    done += read
  }
  return bytes.subarray(0, done)
}

/** Puts a new file with this content in the place of `name` in one step. Mode and owner are those of `before`. */
const replace = (
  folder: number,
  name: string,
  content: string | Uint8Array,
  before: { readonly fd: number; readonly stats: Stats } | undefined
): void => {
  if (before) accessSync(at(before.fd), constants.W_OK)
  const temporary = at(folder, `.noos-${randomBytes(8).toString("hex")}.tmp`)
  const file = openSync(
    temporary,
    constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW,
    before ? 0o600 : 0o666
  )
  try {
    writeFileSync(file, content)
    give(file, before?.stats ?? fstatSync(folder))
    if (before) chmodSync(at(file), before.stats.mode & 0o777)
    renameSync(temporary, at(folder, name))
  } catch (cause) {
    unlinkSync(temporary)
    throw cause
  } finally {
    closeSync(file)
  }
}

/** What is in an open folder. Names that vanish while it is listed are left out. */
const entriesOf = (folder: number): ReadonlyArray<Entry> =>
  readdirSync(at(folder))
    .sort()
    .flatMap((name) => {
      const stats = lstatSync(at(folder, name), { throwIfNoEntry: false })
      return stats ? [{ name, kind: kindOf(stats), size: stats.size }] : []
    })

/** The file operations of the folder that `root` is open on. */
export const files = (root: number, rootPath: string): Pick<Workspace, "readFile" | "writeFile" | "list"> => {
  const find = Effect.fnUntraced(function* (path: string) {
    const { found } = yield* walk(root, rootPath, path)
    return found ?? (yield* fromSystem("ENOENT", path))
  })

  return {
    readFile: Effect.fn("Workspace.readFile")(function* (path, options = {}) {
      const { fd, stats } = yield* find(path)
      yield* mustBeFile(path, stats)
      const file = yield* openIn(path, at(fd), constants.O_RDONLY | constants.O_NONBLOCK)
      const offset = options.offset ?? 0
      const room = Math.max(0, Math.min(options.maxBytes ?? defaultMaxBytes, stats.size - offset))
      return { bytes: yield* attempt(path, () => readFully(file, offset, room)), size: stats.size }
    }, Effect.scoped),

    writeFile: Effect.fn("Workspace.writeFile")(function* (path, content) {
      const place = yield* walk(root, rootPath, path, (made) => give(made, fstatSync(root)))
      if (place.found) yield* mustBeFile(path, place.found.stats)
      yield* attempt(path, () => replace(place.folder, place.name, content, place.found))
      return { created: place.found === undefined }
    }, Effect.scoped),

    list: Effect.fn("Workspace.list")(function* (path) {
      const { fd, stats } = yield* find(path)
      if (stats.isDirectory()) return yield* attempt(path, () => entriesOf(fd))
      return yield* new ToolError({ code: "not_a_directory", message: `not a folder: ${show(path)}` })
    }, Effect.scoped)
  }
}
