/**
 * The sandbox on Linux: commands under bubblewrap, files by walking from the workspace's own descriptor.
 *
 * The first workspace opened for a user is also where the sandbox is tried: a command really runs in it and reports
 * what it can see, and only if that is what the profile promises is there a workspace.
 */
import { constants, fstatSync, realpathSync } from "node:fs"
import { Effect, Layer } from "effect"
import { ToolError } from "../kernel/tool.ts"
import { makeGroup, removeGroup, removeStale } from "./cgroup.ts"
import { type Job, makeLauncher } from "./command.ts"
import { files } from "./files.ts"
import { baseFor, type Identity, identityFor, needsGroup, systemPath } from "./launch.ts"
import { hintFor, probe, problemIn } from "./probe.ts"
import { inside, profile } from "./profile.ts"
import { type Completed, type Limits, Sandbox, SandboxUnavailable, type Workspace } from "./sandbox.ts"
import { seccompFilter } from "./seccomp.ts"
import { attempt, openIn, show, walk } from "./walk.ts"

/** What a command may use when its caller says nothing else. */
export const defaultLimits: Limits = {
  seconds: 30,
  memoryMiB: 2048,
  processes: 128,
  fileMiB: 1024,
  outputBytes: 256 * 1024
}

/** Processes of a control group that are not the command's: the first one inside. */
const attendants = 1

/** Bytes of one argument and of all: the kernel's MAX_ARG_STRLEN, and half of its ARG_MAX, execve(2). */
const maxArgument = 128 * 1024 - 1
const maxArguments = 1024 * 1024

const refusedArguments = (argv: ReadonlyArray<string>): string | undefined => {
  if (argv.some((text) => text.includes("\0"))) return "command with a NUL character"
  const sizes = argv.map((text) => Buffer.byteLength(text) + 1)
  const total = sizes.reduce((sum, size) => sum + size, 0)
  return Math.max(...sizes) > maxArgument || total > maxArguments ? "command too long" : undefined
}

/** Folders that are no place to work in: what holds the programs of the sandbox, and the kernel's own. */
const isSystem = (root: string): boolean =>
  root === "/" || root === "/usr" || /^\/(proc|sys|dev)(\/|$)/.test(root)

/** Opens a workspace without having tried the sandbox. */
const openFolder = Effect.fnUntraced(function* (
  path: string,
  programs: string,
  runCommand: (job: Job) => Effect.Effect<Completed, ToolError>
) {
  const root = yield* attempt(path, () => realpathSync(path))
  if (isSystem(root)) {
    return yield* new ToolError({ code: "bad_input", message: `not a folder to work in: ${show(root)}` })
  }
  const fd = yield* openIn(path, root, constants.O_RDONLY | constants.O_DIRECTORY)
  const identity = identityFor(yield* attempt(path, () => fstatSync(fd)))

  const { prefix, source } = yield* baseFor(root, identity, programs)

  const group = (limits: Limits) =>
    Effect.acquireRelease(
      Effect.try({
        try: () => (needsGroup(identity) ? makeGroup(limits.processes + attendants) : undefined),
        catch: (cause) =>
          new ToolError({
            code: "unavailable",
            message: `root's processes cannot be limited: ${String(cause)}`
          })
      }),
      (group) => Effect.sync(() => group !== undefined && removeGroup(group))
    )

  const run: Workspace["run"] = Effect.fn("Workspace.run")(function* (argv, options = {}) {
    const refused = refusedArguments(argv)
    if (refused !== undefined) return yield* new ToolError({ code: "bad_input", message: refused })
    const limits = { ...defaultLimits, ...options.limits }
    const { found, trail } = yield* walk(fd, root, options.cwd ?? "")
    if (!found?.stats.isDirectory()) {
      const message = `not a folder: ${show(options.cwd ?? "")}`
      return yield* new ToolError({ code: "not_a_directory", message })
    }
    const { stdin } = options
    const [file = "", ...args] = [
      ...prefix,
      "bwrap",
      ...profile(source, { argv, cwd: inside(trail), input: stdin !== undefined, limits })
    ]
    return yield* runCommand({ file, args, path: programs, stdin, limits, group: yield* group(limits) })
  }, Effect.scoped)

  const workspace: Workspace = { root, run, ...files(fd, root) }
  return { workspace, identity }
})

/** The sandbox made with the programs in `programs`, a list of folders like PATH. */
const layerFrom = (programs: string): Layer.Layer<Sandbox> =>
  Layer.effect(
    Sandbox,
    Effect.gen(function* () {
      const runCommand = yield* makeLauncher
      const tried = new Set<string>()
      const tryOut = Effect.fnUntraced(function* (workspace: Workspace, identity: Identity) {
        const key = `${identity.uid}:${identity.gid}`
        if (tried.has(key)) return
        removeStale()
        const problem = problemIn(yield* workspace.run(probe), identity)
        if (problem !== undefined) return yield* new ToolError({ code: "unavailable", message: problem })
        tried.add(key)
      })
      return Sandbox.of({
        open: Effect.fn("Sandbox.open")(function* (path) {
          if (process.platform !== "linux" || seccompFilter(process.arch) === undefined) {
            return yield* new SandboxUnavailable({
              message: `no sandbox for ${process.platform} on ${process.arch}`,
              hint: "run noos on Linux (x86-64 or aarch64), for example in a virtual machine"
            })
          }
          return yield* openFolder(path, programs, runCommand).pipe(
            Effect.tap(({ workspace, identity }) => tryOut(workspace, identity)),
            Effect.map(({ workspace }) => workspace),
            Effect.catchIf(
              (error) => error.code === "unavailable",
              ({ message }) =>
                new SandboxUnavailable({ message: `no sandbox: ${message}`, hint: hintFor(message, path) })
            )
          )
        })
      })
    })
  )

/** For Linux. On other systems, and where the sandbox does not hold, opening a workspace fails. */
export const Bubblewrap = { layer: layerFrom(systemPath), layerFrom }
