/**
 * Finds files below a folder without ever leaving it, however the files are moved and linked meanwhile.
 *
 * A path is walked one name at a time, each opened relative to the descriptor of the folder before it and never
 * through a link (O_PATH and O_NOFOLLOW, open(2)); links are read and resolved here, by hand. Node has no openat, but
 * Linux shows every open folder as /proc/self/fd/N, and a name below that is looked up in that very folder.
 *
 * The calls are synchronous: each takes microseconds, a trip through Node's thread pool ten times that, and a
 * descriptor can then never be closed under a call that is still to use it.
 */
import { closeSync, constants, fstatSync, mkdirSync, openSync, readlinkSync, type Stats } from "node:fs"
import { Effect, type Scope } from "effect"
import { ToolError } from "../kernel/tool.ts"
import { workFolder } from "./profile.ts"

/** Linux's O_PATH: a descriptor that names a file and cannot read it; opening a device or FIFO so has no effect. */
export const O_PATH = 0o10000000

/** Symbolic links followed in one path before it is taken for a loop: the kernel's own limit, path_resolution(7). */
const maxLinks = 40
/** Names walked for one path, links included. Each holds a descriptor until the walk's scope closes. */
const maxSteps = 256
/** Bytes of a path and of one name in it: PATH_MAX and NAME_MAX. */
const maxPath = 4096
const maxName = 255

/** Where a path led: an existing file or folder, or a free name in an existing folder. */
export interface Place {
  /** The folder that holds the name. For the root itself, the root. */
  readonly folder: number
  /** The name in that folder; `.` for the root itself. */
  readonly name: string
  /** What is there, opened with O_PATH; links have been followed. Absent: the name is free. */
  readonly found?: { readonly fd: number; readonly stats: Stats }
  /** The names from the root to here. */
  readonly trail: ReadonlyArray<string>
}

/** The path under which the kernel shows an open descriptor. */
export const at = (fd: number, name?: string): string =>
  name === undefined ? `/proc/self/fd/${fd}` : `/proc/self/fd/${fd}/${name}`

/** A path as it may stand in a one-line message. */
export const show = (path: string): string => {
  const short = path.length > 200 ? `${path.slice(0, 200)}…` : path
  return /[\u0000-\u001f\u007f]/.test(short) ? JSON.stringify(short) : short === "" ? "." : short
}

export const outside = (path: string) =>
  new ToolError({ code: "outside_workspace", message: `outside the workspace: ${show(path)}` })

const codes: Readonly<Record<string, readonly [ToolError["code"], string]>> = {
  ENOENT: ["not_found", "no such file"],
  ENOTDIR: ["not_a_directory", "not a folder"],
  EISDIR: ["not_a_file", "is a folder"],
  EACCES: ["denied", "permission denied"],
  EPERM: ["denied", "permission denied"],
  EROFS: ["denied", "read-only"],
  ENAMETOOLONG: ["bad_input", "name too long"],
  ENOSPC: ["limit", "no space left for"],
  EDQUOT: ["limit", "no space left for"]
}

/** A system error about `path`, in the words of the tools. */
export const fromSystem = (cause: unknown, path: string): ToolError => {
  const errno = cause instanceof Error && "code" in cause ? String(cause.code) : String(cause)
  const [code, text] = codes[errno] ?? (["failed", `${errno} at`] as const)
  return new ToolError({ code, message: `${text}: ${show(path)}` })
}

/** Does a file operation; its errors speak of `path`. */
export const attempt = <A>(path: string, operation: () => A): Effect.Effect<A, ToolError> =>
  Effect.try({ try: operation, catch: (cause) => fromSystem(cause, path) })

/** Opens a file until the scope closes. `path` is for messages. */
export const openIn = (
  path: string,
  file: string,
  flags: number
): Effect.Effect<number, ToolError, Scope.Scope> =>
  Effect.acquireRelease(
    attempt(path, () => openSync(file, flags)),
    (fd) => Effect.sync(() => closeSync(fd))
  )

/** The names of a relative path. Refuses what no file can be called. */
const namesOf = (path: string): Effect.Effect<ReadonlyArray<string>, ToolError> => {
  const refuse = (message: string) => Effect.fail(new ToolError({ code: "bad_input", message }))
  if (path.includes("\0")) return refuse(`path with a NUL character: ${show(path)}`)
  if (Buffer.byteLength(path) > maxPath) return refuse(`path too long: ${show(path)}`)
  const names = path.split("/")
  if (names.length > maxSteps) return refuse(`too many folders: ${show(path)}`)
  if (names.some((name) => Buffer.byteLength(name) > maxName)) return refuse(`name too long: ${show(path)}`)
  return Effect.succeed(names)
}

/** Whether a path as it is written leads above where it began, whatever of it exists. */
const climbsOut = (names: ReadonlyArray<string>): boolean => {
  let depth = 0
  return names.some((name) => {
    if (name === "..") depth--
    else if (name !== "" && name !== ".") depth++
    return depth < 0
  })
}

const isSystemError = (cause: unknown, code: string): boolean =>
  cause instanceof Error && "code" in cause && cause.code === code

/** Makes a folder unless there is one; true if it did. */
const makeFolder = (path: string): boolean => {
  try {
    mkdirSync(path)
    return true
  } catch (cause) {
    if (isSystemError(cause, "EEXIST")) return false
    throw cause
  }
}

/** What a link says; if it has just become something else, its own name, so that it is looked at again. */
const targetOf = (path: string, name: string): string => {
  try {
    return readlinkSync(path)
  } catch (cause) {
    if (isSystemError(cause, "EINVAL")) return name
    throw cause
  }
}

/**
 * Walks from `root`, the workspace's own descriptor, along `path`. `rootPath` is the folder's name on the host: links
 * to absolute paths below it, or below the sandbox's name for it, count as inside.
 *
 * With `onMade`, missing folders are made and passed to it, and a free last name is no error.
 */
export const walk = Effect.fn("Workspace.walk")(function* (
  root: number,
  rootPath: string,
  path: string,
  onMade?: (folder: number) => void
) {
  const tooMany = (what: string) =>
    new ToolError({ code: "bad_input", message: `too many ${what}: ${show(path)}` })
  if (path.startsWith("/")) return yield* outside(path)
  let names = yield* namesOf(path)
  if (climbsOut(names)) return yield* outside(path)
  let trail: Array<{ readonly name: string; readonly fd: number }> = []
  let links = 0

  for (let steps = 0; names.length > 0; steps++) {
    if (steps > maxSteps) return yield* tooMany("folders")
    const [name = "", ...rest] = names
    names = rest
    if (name === "" || name === ".") continue
    if (name === "..") {
      if (trail.pop() === undefined) return yield* outside(path)
      continue
    }
    const folder = trail.at(-1)?.fd ?? root
    const last = rest.every((other) => other === "" || other === ".")
    const child = at(folder, name)
    const here = () => [...trail.map((step) => step.name), name]
    const open = openIn(path, child, O_PATH | constants.O_NOFOLLOW)
    const makeAndOpen = Effect.gen(function* () {
      const made = yield* attempt(path, () => makeFolder(child))
      const fd = yield* open
      if (made) yield* attempt(path, () => onMade?.(fd))
      return fd
    })
    const fd = yield* open.pipe(
      Effect.catchIf(
        (error) => error.code === "not_found" && onMade !== undefined,
        () => (last ? Effect.succeed(undefined) : makeAndOpen)
      )
    )
    if (fd === undefined) return { folder, name, trail: here() } satisfies Place
    const stats = yield* attempt(path, () => fstatSync(fd))
    if (stats.isSymbolicLink()) {
      if (++links > maxLinks) return yield* tooMany("links")
      let target = yield* attempt(path, () => targetOf(child, name))
      if (target.startsWith("/")) {
        const base = [workFolder, rootPath].find((base) => target === base || target.startsWith(`${base}/`))
        if (base === undefined) return yield* outside(path)
        target = target.slice(base.length)
        trail = []
      }
      names = [...(yield* namesOf(target)), ...names]
    } else if (stats.isDirectory()) {
      trail.push({ name, fd })
    } else if (last) {
      return { folder, name, found: { fd, stats }, trail: here() } satisfies Place
    } else {
      return yield* new ToolError({
        code: "not_a_directory",
        message: `not a folder: ${show(here().join("/"))}`
      })
    }
  }
  const end = trail.at(-1)
  const fd = end?.fd ?? root
  const stats = yield* attempt(path, () => fstatSync(fd))
  const place: Place = {
    folder: trail.at(-2)?.fd ?? root,
    name: end?.name ?? ".",
    found: { fd, stats },
    trail: trail.map((step) => step.name)
  }
  return place
})
