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
import { runCommand } from "./command.ts"
import { files } from "./files.ts"
import { type Identity, identityFor, inside, launch, needsGroup } from "./launch.ts"
import { hintFor, probe, problemIn } from "./probe.ts"
import { profile } from "./profile.ts"
import { type Limits, Sandbox, SandboxUnavailable, type Workspace } from "./sandbox.ts"
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

/** Processes of a control group that are not the command's: bubblewrap, and the first process inside. */
const attendants = 2

/** Bytes of one argument and of all: the kernel's MAX_ARG_STRLEN, and half of its ARG_MAX, execve(2). */
const maxArgument = 128 * 1024 - 1
const maxArguments = 1024 * 1024

const refusedArguments = (argv: ReadonlyArray<string>): string | undefined => {
  if (argv.some((text) => text.includes("\0"))) return "command with a NUL character"
  const sizes = argv.map((text) => Buffer.byteLength(text) + 1)
  const total = sizes.reduce((sum, size) => sum + size, 0)
  return Math.max(...sizes) > maxArgument || total > maxArguments ? "command too long" : undefined
}

/** Opens a workspace without having tried the sandbox. */
const openFolder = Effect.fnUntraced(function* (path: string) {
  const root = yield* attempt(path, () => realpathSync(path))
  const fd = yield* openIn(path, root, constants.O_RDONLY | constants.O_DIRECTORY)
  const identity = identityFor(yield* attempt(path, () => fstatSync(fd)))

  const group = (limits: Limits) =>
    Effect.acquireRelease(
      Effect.try({
        try: () => (needsGroup(identity) ? makeGroup(limits.processes + attendants) : ""),
        catch: (cause) =>
          new ToolError({
            code: "unavailable",
            message: `root's processes cannot be limited: ${String(cause)}`
          })
      }),
      (group) => Effect.sync(() => group !== "" && removeGroup(group))
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
    const program = launch(root, identity, yield* group(limits), (source) =>
      profile(source, { argv, cwd: inside(trail), input: options.stdin !== undefined, limits })
    )
    return yield* runCommand(program, options.stdin, limits)
  }, Effect.scoped)

  const workspace: Workspace = { root, run, ...files(fd, root) }
  return { workspace, identity }
})

/** The layer for Linux. On other systems, and where the sandbox does not hold, opening fails. */
export const layer: Layer.Layer<Sandbox> = Layer.effect(
  Sandbox,
  Effect.sync(() => {
    const tried = new Set<string>()
    const tryOut = Effect.fnUntraced(function* (workspace: Workspace, identity: Identity) {
      const key = `${identity.uid}:${identity.gid}`
      if (tried.has(key)) return
      removeStale()
      const unavailable = (message: string) =>
        new SandboxUnavailable({ message: `no sandbox: ${message}`, hint: hintFor(message, workspace.root) })
      const ended = yield* workspace.run(probe).pipe(Effect.mapError((error) => unavailable(error.message)))
      const problem = problemIn(ended, identity)
      if (problem !== undefined) return yield* unavailable(problem)
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
        const { workspace, identity } = yield* openFolder(path)
        yield* tryOut(workspace, identity)
        return workspace
      })
    })
  })
)

export const Bubblewrap = { layer }
