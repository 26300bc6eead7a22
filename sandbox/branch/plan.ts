/**
 * A commit as a plan. First all new contents and what is to be done are on the disk; then it is done; only then the plan
 * is removed. Every step can be repeated, so that what was cut off anywhere is done again from its beginning
 * (a redo log: Mohan et al., ARIES, 1992).
 *
 * A plan is a folder: numbered files of contents, and `plan.json`, which is there once the plan holds.
 */
import { randomBytes } from "node:crypto"
import { accessSync, constants, fstatSync, readFileSync } from "node:fs"
import { chmod, copyFile, mkdir, open, rename, rm, statfs, writeFile } from "node:fs/promises"
import { Effect } from "effect"
import { ToolError } from "../../kernel/tool.ts"
import { at, attempt, fromSystem } from "../walk.ts"
import { type Difference, type Side, sameContent } from "./difference.ts"
import { type Entry, holding, openAllowed, openFile, openForced, shown, split } from "./tree.ts"

/** Whose a path is and what it allows; `modified` in seconds since 1970. */
export interface Attributes {
  readonly path: string
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly modified: number
}

/** What a path becomes. A `name` is another name of the file at `target`; `attributes` are all that is new of a file. */
export type Put = Attributes &
  (
    | { readonly kind: "folder" | "attributes" }
    | { readonly kind: "file"; readonly content: number }
    | { readonly kind: "link" | "name"; readonly target: string }
  )

/** In this order: what goes, what comes, and what the folders that had a part in it allow in the end. */
export interface Plan {
  /** In the names of its temporary files. */
  readonly id: string
  /** The folder that it is for, by its name and its inode. */
  readonly root: string
  readonly inode: string
  readonly remove: ReadonlyArray<{ readonly path: string; readonly folder: boolean }>
  readonly put: ReadonlyArray<Put>
  readonly folders: ReadonlyArray<Attributes>
}

/** Waits for a system call; its errors speak of `path`. */
export const wait = <A>(path: string, call: () => Promise<A>): Effect.Effect<A, ToolError> =>
  Effect.tryPromise({ try: call, catch: (cause) => fromSystem(cause, shown(path)) })

/** Has a file or folder on the disk, whatever happens to the machine: fsync(2). */
export const toDisk = async (path: string | Buffer): Promise<void> => {
  const file = await open(path, constants.O_RDONLY)
  try {
    await file.sync()
  } finally {
    await file.close()
  }
}

export const inodeOf = (fd: number): string => `${fstatSync(fd, { bigint: true }).ino}`

const attributesOf = (path: string, { mode, uid, gid, modified }: Entry): Attributes => ({
  ...{ path, mode, uid, gid },
  modified: Number(modified) / 1e9
})

/** Every folder above a path, and the path itself. */
const above = (path: string): ReadonlyArray<string> => {
  const names = path === "." ? [] : path.split("/")
  return [".", ...names.map((_, i) => names.slice(0, i + 1).join("/"))]
}

/** Fails where a step of the plan could not be taken. */
const check = Effect.fnUntraced(function* (base: Side, { path, after }: Difference) {
  if (after?.kind === "other") {
    const message = `neither a file, a folder nor a link: ${shown(path)}`
    return yield* new ToolError({ code: "not_a_file", message })
  }
  if (base.tree.get(split(path)[0])?.kind !== "folder") return // it will be a new one
  const [folder] = yield* holding(base.fd, path, openAllowed)
  yield* attempt(shown(path), () => {
    try {
      accessSync(at(folder), constants.W_OK | constants.X_OK)
    } catch (cause) {
      // Its owner can open it up, but not where nothing can be written at all.
      const isDenied = cause instanceof Error && "code" in cause && cause.code === "EACCES"
      if (!isDenied || fstatSync(folder).uid !== process.geteuid?.()) throw cause
    }
  })
}, Effect.scoped)

/** What a path becomes; new content is put into the folder of the plan under `n`. */
const putOf = Effect.fnUntraced(function* (
  folder: string,
  { path, before, after }: Difference & { readonly after: Entry },
  base: Side,
  branch: Side,
  n: number
) {
  const attributes = attributesOf(path, after)
  if (after.kind === "folder") return { ...attributes, kind: "folder" } satisfies Put
  if (after.target !== undefined) return { ...attributes, kind: "link", target: after.target } satisfies Put
  // Other names of a file keep its mode.
  const isAlone = before?.kind === "file" && before.names === 1n
  if (isAlone && (yield* sameContent(path, before, after, base, branch)))
    return { ...attributes, kind: "attributes" } satisfies Put
  const from = yield* openFile(branch.fd, path, openForced)
  const to = `${folder}/${n}`
  yield* wait(path, async () => {
    await copyFile(at(from), to, constants.COPYFILE_FICLONE)
    await chmod(to, 0o600)
    await toDisk(to)
  })
  return { ...attributes, kind: "file", content: n } satisfies Put
}, Effect.scoped)

/** Writes a plan that makes the base what the branch is. When it is done, the plan holds. */
export const writePlan = Effect.fn("writePlan")(function* (
  folder: string,
  root: string,
  found: ReadonlyArray<Difference>,
  base: Side,
  branch: Side
) {
  yield* Effect.forEach(found, (difference) => check(base, difference))
  const bytes = found.reduce((sum, { after }) => sum + (after?.kind === "file" ? after.size : 0n), 0n)
  const { bavail, bsize } = yield* wait(".", () => statfs(at(base.fd), { bigint: true }))
  if (bytes > bavail * bsize) return yield* fromSystem("ENOSPC", root)

  yield* wait(".", () => mkdir(folder, { recursive: true, mode: 0o700 }))
  const put: Array<Put> = []
  const isFound = new Set(found.map(({ path }) => path))
  /** Files of which another name may be wanted. */
  const byInode = new Map(
    [...branch.tree].flatMap(([path, { kind, names, inode }]) =>
      kind === "file" && names > 1n && !isFound.has(path) ? [[inode, path] as const] : []
    )
  )
  for (const { path, before, after } of found) {
    if (after === undefined || (after.kind === "folder" && before?.kind === "folder")) continue
    const first = after.kind === "file" && after.names > 1n ? byInode.get(after.inode) : undefined
    if (first !== undefined) put.push({ ...attributesOf(path, after), kind: "name", target: first })
    else {
      const next = yield* putOf(folder, { path, ...(before && { before }), after }, base, branch, put.length)
      if (next.kind === "file") byInode.set(after.inode, path)
      put.push(next)
    }
  }
  const folders = new Set(found.flatMap(({ path }) => above(path)))
  const plan: Plan = {
    id: randomBytes(8).toString("hex"),
    root,
    inode: inodeOf(base.fd),
    remove: found
      .filter(({ before, after }) => before && before.kind !== after?.kind)
      .map(({ path, before }) => ({ path, folder: before?.kind === "folder" }))
      .reverse(),
    put,
    folders: [...folders]
      .sort()
      .reverse()
      .flatMap((path) => {
        const entry = branch.tree.get(path)
        return entry?.kind === "folder" ? [attributesOf(path, entry)] : []
      })
  }
  yield* wait(".", async () => {
    await writeFile(`${folder}/plan.tmp`, JSON.stringify(plan), { mode: 0o600, flush: true })
    await toDisk(folder)
    await toDisk(`${folder}/..`)
    await toDisk(`${folder}/../..`)
    await rename(`${folder}/plan.tmp`, `${folder}/plan.json`)
    await toDisk(folder)
  })
  return plan
})

/** The plan in a folder, if it holds. */
export const readPlan = (folder: string): Plan | undefined => {
  try {
    return JSON.parse(readFileSync(`${folder}/plan.json`, "utf8")) as Plan
  } catch {
    return undefined
  }
}

/** Removes a plan, or what was to become one. It does not hold from the first step on. */
export const dropPlan = Effect.fn("dropPlan")(function* (folder: string) {
  yield* wait(folder, async () => {
    await rm(`${folder}/plan.json`, { force: true })
    await toDisk(folder)
    await rm(folder, { recursive: true, force: true })
  })
})
