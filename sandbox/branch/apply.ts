/** Carries a plan out, from its beginning, whatever of it has been done before. */
import {
  chmodSync,
  chownSync,
  constants,
  fstatSync,
  fsync,
  futimesSync,
  lchownSync,
  linkSync,
  mkdirSync,
  openSync,
  renameSync,
  rmdirSync,
  symlinkSync,
  unlinkSync
} from "node:fs"
import { copyFile } from "node:fs/promises"
import { promisify } from "node:util"
import { Effect, type Scope } from "effect"
import type { ToolError } from "../../kernel/tool.ts"
import { isRoot } from "../launch.ts"
import { at, attempt, O_PATH } from "../walk.ts"
import { type Attributes, type Plan, type Put, toDisk, wait } from "./plan.ts"
import { entryAt, folderFlags, holding, named, type Opener, openAllowed, opened, shown } from "./tree.ts"

/** Runs an operation unless it finds nothing to do. */
const unless = (codes: ReadonlyArray<string>, operation: () => void): void => {
  try {
    operation()
  } catch (cause) {
    if (!(cause instanceof Error && "code" in cause && codes.includes(String(cause.code)))) throw cause
  }
}

/** Lets its owner work in a folder. What it is to allow in the end, the plan knows. */
const unlock = (fd: number): void => {
  const { mode } = fstatSync(fd)
  if (!isRoot && (mode & 0o700) !== 0o700) chmodSync(at(fd), (mode & 0o7777) | 0o700)
}

const openUnlocked: Opener = (path, folder, name) =>
  openAllowed(path, folder, name, O_PATH | folderFlags).pipe(
    Effect.tap((fd) => attempt(shown(path), () => unlock(fd)))
  )

/** Fails with `not_found` or `not_a_directory` if there is no such folder. */
const within = <A>(
  root: number,
  path: string,
  use: (folder: number, name: string) => Effect.Effect<A, ToolError, Scope.Scope>
): Effect.Effect<A, ToolError> =>
  holding(root, path, openUnlocked).pipe(
    Effect.flatMap(([folder, name]) => use(folder, name)),
    Effect.scoped
  )

const remove = (root: number, { path, folder }: Plan["remove"][number]) =>
  within(root, path, (parent, name) =>
    attempt(shown(path), () => {
      // It may have become its successor already, and a folder may hold what is not the plan's.
      if (folder) unless(["ENOENT", "ENOTDIR", "ENOTEMPTY"], () => rmdirSync(named(parent, name)))
      else if (entryAt(parent, name)?.kind !== "folder")
        unless(["ENOENT"], () => unlinkSync(named(parent, name)))
    })
  ).pipe(
    Effect.catchIf(
      ({ code }) => code === "not_found" || code === "not_a_directory",
      () => Effect.void
    )
  )

/** Owner and mode of what is open, in the order that leaves the mode as it shall be. */
const give = (fd: number, { mode, uid, gid }: Attributes): void => {
  if (isRoot) chownSync(at(fd), uid, gid)
  chmodSync(at(fd), mode)
}

const create = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW

/** A new file with a content from the plan, on the disk. */
const writeNew = Effect.fnUntraced(function* (content: string, path: Buffer, wanted: Attributes) {
  const fd = yield* opened(wanted.path, () => openSync(path, create, 0o600))
  yield* wait(wanted.path, () => copyFile(content, at(fd), constants.COPYFILE_FICLONE))
  yield* attempt(shown(wanted.path), () => {
    give(fd, wanted)
    futimesSync(fd, wanted.modified, wanted.modified)
  })
  yield* wait(wanted.path, () => promisify(fsync)(fd))
}, Effect.scoped)

const put = (root: number, folder: string, wanted: Put, temporary: string) =>
  within(root, wanted.path, (parent, name) =>
    Effect.gen(function* () {
      const { path, uid, gid } = wanted
      const [there, made] = [named(parent, name), named(parent, temporary)]
      const step = (operation: () => void) => attempt(shown(path), operation)
      if (wanted.kind === "folder")
        return yield* step(() => unless(["EEXIST"], () => mkdirSync(there, 0o700)))
      if (wanted.kind === "attributes") {
        const fd = yield* openAllowed(path, parent, name, O_PATH | constants.O_NOFOLLOW)
        return yield* step(() => give(fd, wanted))
      }
      yield* step(() => unless(["ENOENT"], () => unlinkSync(made)))
      if (wanted.kind === "file") yield* writeNew(`${folder}/${wanted.content}`, made, wanted)
      else if (wanted.kind === "link")
        yield* step(() => {
          symlinkSync(Buffer.from(wanted.target, "latin1"), made)
          if (isRoot) lchownSync(made, uid, gid)
        })
      else if (wanted.kind === "name") {
        const [from, other] = yield* holding(root, wanted.target, openUnlocked)
        yield* step(() => linkSync(named(from, other), made))
      }
      yield* step(() => {
        renameSync(made, there)
        unless(["ENOENT"], () => unlinkSync(made)) // two names of one file are not renamed: rename(2)
      })
    })
  )

/** The last step for a folder: its names are on the disk, and it allows what it shall. */
const finish = (root: number, folder: Attributes) =>
  within(root, folder.path, (parent, name) =>
    Effect.gen(function* () {
      const fd = folder.path === "." ? root : yield* openUnlocked(folder.path, parent, name, 0)
      yield* wait(folder.path, () => toDisk(at(fd)))
      const { mode, uid, gid } = folder
      const now = yield* attempt(shown(folder.path), () => fstatSync(fd))
      if ((now.mode & 0o7777) === mode && (!isRoot || (now.uid === uid && now.gid === gid))) return
      yield* attempt(shown(folder.path), () => give(fd, folder))
    })
  )

/** `folder` is the plan's; `root` is open on the folder that it is for. */
export const carryOut = Effect.fn("carryOut")(function* (folder: string, plan: Plan, root: number) {
  yield* attempt(".", () => unlock(root))
  yield* Effect.forEach(plan.remove, (gone) => remove(root, gone))
  yield* Effect.forEach(plan.put, (wanted, n) => put(root, folder, wanted, `.noos-${plan.id}-${n}.tmp`))
  yield* Effect.forEach(plan.folders, (folder) => finish(root, folder))
})
