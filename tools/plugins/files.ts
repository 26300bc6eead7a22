/**
 * A plugin's files, and those of the packages beside it, as one hash; and the copy of them that alone is ever run. Whoever
 * can write the plugin's folder can change what is agreed to next, never what was agreed to.
 */
import { createHash } from "node:crypto"
import {
  chmodSync,
  closeSync,
  constants,
  existsSync,
  fstatSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync
} from "node:fs"
import { join } from "node:path"
import { Effect } from "effect"
import { PluginError } from "./manifest.ts"
import { packagesBeside } from "./packages.ts"

/** A plugin is small; a folder that is not is one that somebody named by mistake. */
const limits = { files: 20_000, bytes: 256 * 1024 * 1024 }

/** Readable for whoever the plugin's process runs as, whatever the umask. */
const makeFolder = (path: string): void => {
  mkdirSync(path, { recursive: true })
  chmodSync(path, 0o755)
}

const withFile = <A>(path: string, flags: number, use: (fd: number) => A): A => {
  const fd = openSync(path, flags | constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  try {
    return use(fd)
  } finally {
    closeSync(fd)
  }
}

/**
 * Reads everything once: names, contents, links and what may be run, in the order of the names. What is read is written
 * below `into`, if that is given. Folders are entered by their descriptors (proc_pid_fd(5)), so that one that becomes a
 * link meanwhile is not followed.
 */
const readAll = (folder: string, into?: string): string => {
  const hash = createHash("sha256")
  let files = 0
  let bytes = 0
  const note = (...fields: ReadonlyArray<string>) => hash.update(`${JSON.stringify(fields)}\n`)
  const visit = (from: string, to: string): void => {
    if (++files > limits.files) throw new Error(`more than ${limits.files} files`)
    const target = into === undefined ? undefined : join(into, to)
    const stats = lstatSync(from)
    if (stats.isDirectory())
      withFile(from, constants.O_DIRECTORY, (fd) => {
        note("folder", to)
        if (target !== undefined) makeFolder(target)
        const here = `/proc/self/fd/${fd}`
        for (const name of readdirSync(here).sort()) visit(`${here}/${name}`, `${to}/${name}`)
      })
    else if (stats.isFile())
      withFile(from, 0, (fd) => {
        const { mode, size } = fstatSync(fd)
        bytes += size
        if (bytes > limits.bytes) throw new Error(`more than ${limits.bytes} bytes`)
        const content = readFileSync(fd)
        const program = (mode & 0o100) !== 0
        note(program ? "program" : "file", to, createHash("sha256").update(content).digest("hex"))
        if (target === undefined) return
        writeFileSync(target, content, { flag: "wx" })
        chmodSync(target, program ? 0o755 : 0o644)
      })
    else if (stats.isSymbolicLink()) {
      const link = readlinkSync(from)
      note("link", to, link)
      if (target !== undefined) symlinkSync(link, target)
    }
  }
  visit(folder, "plugin")
  if (into !== undefined) makeFolder(join(into, "node_modules"))
  for (const [name, from] of [...packagesBeside(folder)].sort(([a], [b]) => (a < b ? -1 : 1))) {
    // A scope's own folder.
    if (into !== undefined && name.includes("/")) makeFolder(join(into, "node_modules", name, ".."))
    visit(from, `node_modules/${name}`)
  }
  return hash.digest("hex")
}

const reading = <A>(folder: string, read: (real: string) => A): Effect.Effect<A, PluginError> =>
  Effect.try({
    try: () => read(realpathSync(folder)),
    catch: (cause) =>
      new PluginError({
        message: `the plugin's folder ${folder} cannot be read: ${cause instanceof Error ? cause.message : cause}`,
        hint: "a plugin is a folder of its own, with few files"
      })
  })

/** The hash of all that a plugin's process can run of the plugin's: what a person agrees to. */
export const fingerprintOf = (folder: string): Effect.Effect<string, PluginError> =>
  reading(folder, (real) => readAll(real))

/** A copy that never changes. Paths on the host. */
export interface Snapshot {
  readonly hash: string
  readonly folder: string
  /** A node_modules with the packages beside the plugin. */
  readonly modules: string
}

/**
 * The copy of a plugin as it is now, below noos's own folder and named by its hash: made unless it is there. Older ones are
 * kept, for processes that still run them.
 */
export const snapshotOf = (folder: string, home: string): Effect.Effect<Snapshot, PluginError> =>
  reading(folder, (real) => {
    const cache = join(home, "cache", "plugins")
    const at = (hash: string): Snapshot => {
      const root = join(cache, hash)
      return { hash, folder: join(root, "plugin"), modules: join(root, "node_modules") }
    }
    const now = at(readAll(real))
    if (existsSync(now.folder)) return now
    mkdirSync(cache, { recursive: true, mode: 0o700 })
    const temporary = mkdtempSync(join(cache, ".new-"))
    try {
      chmodSync(temporary, 0o755)
      // What was copied, if that is something else by now.
      const copied = at(readAll(real, temporary))
      try {
        renameSync(temporary, join(cache, copied.hash))
      } catch (cause) {
        // Somebody else made it meanwhile.
        if (!existsSync(copied.folder)) throw cause
      }
      return copied
    } finally {
      rmSync(temporary, { recursive: true, force: true })
    }
  })
