/**
 * A shell in a mount namespace of its own, in which branches are mounted. It is small, so that it starts `mount` in two
 * milliseconds; the kernel's process, with a model in its memory, would stand still for ten times that. Whatever happens
 * to the kernel, the mounts go with it: the shell reads the end of its input, and nobody else keeps the namespace.
 *
 * An ordinary user's is in a user namespace too, for only there may that user mount: user_namespaces(7).
 */
import { closeSync, openSync, readdirSync } from "node:fs"
import { Effect, Semaphore } from "effect"
import { execa } from "execa"
import { ToolError } from "../../kernel/tool.ts"
import { freePlace, isRoot, type Namespaces } from "../launch.ts"

/** Where mounts can be made. */
export interface Mounts {
  readonly namespaces: Namespaces
  /** Where a layer is mounted, in a line of shell. */
  readonly place: (layer: string) => string
  /** The same as processes in these namespaces name it. */
  readonly path: (layer: string) => string
  /** Opens a folder that they find by this name. */
  readonly open: (path: string) => number
}

export interface Helper {
  /** Runs a line of shell in the helper's folder; fails with what it said if it fails. One line at a time. */
  readonly sh: (line: string) => Effect.Effect<void, ToolError>
  /** Undefined where this user may make no mounts. */
  readonly mounts: Mounts | undefined
}

const unavailable = (message: string) =>
  new ToolError({ code: "unavailable", message: `no branches: ${message}` })

/** Stands before the exit code of a line. */
const mark = "\u001e"
const report = new RegExp(`^([^]*)${mark}(\\d+)\\n$`)

/** A shell that reads lines, until the scope closes. */
const start = Effect.fnUntraced(function* (prefix: ReadonlyArray<string>, folder: string, programs: string) {
  const [file = "", ...args] = [...prefix, "/bin/sh", "-s"]
  const child = yield* Effect.acquireRelease(
    Effect.sync(() =>
      execa(file, args, {
        cwd: folder,
        env: { PATH: programs },
        extendEnv: false,
        reject: false,
        buffer: false,
        detached: true // Ctrl-C is for the kernel to act on
      })
    ),
    (child) =>
      Effect.promise(() => {
        child.stdin.end()
        return child
      })
  )
  child.stdin.on("error", () => {}) // it has ended, and says so by that
  let said = ""
  let isOver = false
  let hear = () => {}
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    said += text
    hear()
  })
  yield* Effect.promise(() => child).pipe(
    Effect.andThen(
      Effect.sync(() => {
        isOver = true
        hear()
      })
    ),
    Effect.forkScoped
  )
  const turns = yield* Semaphore.make(1)
  const sh: Helper["sh"] = (line) =>
    Effect.callback<void, ToolError>((resume) => {
      said = ""
      hear = () => {
        const [, text = "", code] = report.exec(said) ?? []
        if (code === "0") resume(Effect.void)
        else if (code !== undefined || isOver)
          resume(Effect.fail(unavailable(text.trim().split("\n")[0] || "the shell that mounts them failed")))
      }
      child.stdin.write(`{ ${line}; } </dev/null 2>&1; echo "${mark}$?"\n`)
      hear()
    }).pipe(turns.withPermits(1), Effect.uninterruptible)
  return { sh, pid: child.pid ?? 0 }
})

/** The namespaces of a process, kept until the scope closes. */
const namespacesOf = Effect.fnUntraced(function* (pid: number) {
  const keep = (name: string) =>
    Effect.acquireRelease(
      Effect.try({
        try: () => openSync(`/proc/${pid}/ns/${name}`, "r"),
        catch: (cause) => unavailable(String(cause))
      }),
      (fd) => Effect.sync(() => closeSync(fd))
    )
  const mount = yield* keep("mnt")
  return (isRoot ? { mount } : { mount, user: yield* keep("user") }) satisfies Namespaces
})

/** Root's mounts are where everybody can reach them, and device files are protected as for other commands. */
const prepared = (place: string) =>
  isRoot ? `mount -t tmpfs -o mode=755,size=1m tmpfs ${place} && mount --rbind -o ro /dev /dev` : ":"

/** Starts it, with `folder` as its working folder, until the scope closes. */
export const makeHelper = Effect.fn("makeHelper")(function* (folder: string, programs: string) {
  const place = isRoot ? freePlace((place) => readdirSync(place).length === 0) : folder
  const plain = Effect.map(start([], folder, programs), ({ sh }): Helper => ({ sh, mounts: undefined }))
  if (place === undefined) return yield* plain
  const unshare = ["unshare", ...(isRoot ? [] : ["--user", "--map-root-user"]), "--mount"]
  const { pid, sh } = yield* start([...unshare, "--propagation", "slave", "--"], folder, programs)
  return yield* sh(prepared(place)).pipe(
    Effect.andThen(namespacesOf(pid)),
    Effect.map(
      (namespaces): Helper => ({
        sh,
        mounts: {
          namespaces,
          place: (layer) => (isRoot ? `${place}/${layer}` : `${layer}/m`),
          path: (layer) => (isRoot ? `${place}/${layer}` : `${folder}/${layer}/m`),
          open: (path) => openSync(`/proc/${pid}/root${path}`, "r")
        }
      })
    ),
    Effect.catch(() => plain)
  )
})
