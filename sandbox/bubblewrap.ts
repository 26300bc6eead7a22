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
import { type Job, type Launcher, makeLauncher } from "./command.ts"
import { makeEgress } from "./egress.ts"
import { files } from "./files.ts"
import { baseFor, type Identity, identityFor, needsGroup, systemPath } from "./launch.ts"
import { nodeInside, proxyVariables, relay, relayProcesses } from "./network.ts"
import { hintFor, probe, problemIn } from "./probe.ts"
import { environment, inside, profile, workFolder } from "./profile.ts"
import {
  type Limits,
  type Mount,
  Sandbox,
  SandboxUnavailable,
  type Start,
  type Workspace
} from "./sandbox.ts"
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

/** Why no program can be started with these texts (its arguments and variables), if so. */
export const refusedTexts = (texts: ReadonlyArray<string>): string | undefined => {
  if (texts.some((text) => text.includes("\0"))) return "command with a NUL character"
  const sizes = texts.map((text) => Buffer.byteLength(text) + 1)
  const total = sizes.reduce((sum, size) => sum + size, 0)
  return Math.max(...sizes) > maxArgument || total > maxArguments ? "command too long" : undefined
}

const refusedNames = (env: NonNullable<Start["env"]>): string | undefined => {
  const name = Object.keys(env).find((name) => name === "" || name.includes("="))
  return name === undefined ? undefined : `not a name of a variable: ${show(name)}`
}

/** Folders that are no place to work in: what holds the programs of the sandbox, and the kernel's own. */
const isSystem = (root: string): boolean =>
  root === "/" || root === "/usr" || /^\/(proc|sys|dev)(\/|$)/.test(root)

/** Whether a place in the sandbox is free for something of the host's. */
const isFree = (to: string): boolean =>
  /^(\/[^/\0]+)+$/.test(to) && !/\/\.\.?(\/|$)|^\/(proc|sys|dev|work)(\/|$)/.test(to)

const mountable = Effect.fnUntraced(function* ({ from, to, write = false }: Mount) {
  const refuse = (message: string) => new ToolError({ code: "bad_input", message })
  if (!from.startsWith("/")) return yield* refuse(`not an absolute path: ${show(from)}`)
  const real = yield* attempt(from, () => realpathSync(from))
  if (isSystem(real) && real !== "/usr") return yield* refuse(`not to be seen in the sandbox: ${show(real)}`)
  if (!isFree(to)) return yield* refuse(`no place in the sandbox: ${show(to)}`)
  return { from: real, to, write }
})

/** Opens a workspace without having tried the sandbox. */
const openFolder = Effect.fnUntraced(function* (
  path: string,
  hosts: ReadonlyArray<string>,
  programs: string,
  launcher: Launcher
) {
  const root = yield* attempt(path, () => realpathSync(path))
  if (isSystem(root)) {
    return yield* new ToolError({ code: "bad_input", message: `not a folder to work in: ${show(root)}` })
  }
  const net = yield* makeEgress(hosts)
  const fd = yield* openIn(path, root, constants.O_RDONLY | constants.O_DIRECTORY)
  const identity = identityFor(yield* attempt(path, () => fstatSync(fd)))

  const bare = yield* baseFor([root], identity, programs)

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

  /** What the launcher is to do, until the scope closes. */
  const prepare = Effect.fnUntraced(function* (
    argv: ReadonlyArray<string>,
    { cwd = "", mounts = [], net, workspace = "write", ...more }: Start,
    input: Job["input"]
  ) {
    const proxy = net === undefined ? undefined : yield* net.proxy
    const env = { ...(net && proxy && proxyVariables(proxy, net)), ...more.env }
    const variables = Object.entries(env).map(([name, value]) => `${name}=${value}`)
    const refused = refusedTexts([...argv, ...variables]) ?? refusedNames(env)
    if (refused !== undefined) return yield* new ToolError({ code: "bad_input", message: refused })
    const asked = { ...defaultLimits, ...more.limits }
    const limits = proxy ? { ...asked, processes: asked.processes + relayProcesses } : asked
    const { found, trail } = yield* Effect.scoped(walk(fd, root, cwd))
    if (!found?.stats.isDirectory()) {
      return yield* new ToolError({ code: "not_a_directory", message: `not a folder: ${show(cwd)}` })
    }
    const seen = yield* Effect.forEach([...(proxy ? [nodeInside, relay] : []), ...mounts], mountable)
    const base =
      seen.length === 0 ? bare : yield* baseFor([root, ...seen.map(({ from }) => from)], identity, programs)
    const binds = seen.map(({ to, write }, i) => ({ source: base.sources[i + 1]!, to, write }))
    const [file = "", ...args] = [
      ...base.prefix,
      "bwrap",
      ...profile(base.sources[0], {
        argv,
        cwd: workspace === "none" ? workFolder : inside(trail),
        input: input === "session" || input.text !== "",
        limits,
        workspace,
        binds,
        network: proxy !== undefined
      })
    ]
    const secret = environment(env)
    const bounds = { limits, group: yield* group(limits) }
    return { file, args, secret, path: programs, input, ...bounds, proxy: proxy?.port } satisfies Job
  })

  const run: Workspace["run"] = Effect.fn("Workspace.run")(function* (argv, { stdin = "", ...start } = {}) {
    return yield* launcher.run(yield* prepare(argv, start, { text: stdin }))
  }, Effect.scoped)

  const start: Workspace["start"] = Effect.fn("Workspace.start")(function* (argv, options = {}) {
    const limits = { seconds: Number.POSITIVE_INFINITY, ...options.limits }
    return yield* launcher.start(yield* prepare(argv, { ...options, limits }, "session"))
  })

  const workspace: Workspace = { root, run, start, net, ...files(fd, root) }
  return { workspace, identity }
})

/** The sandbox made with the programs in `programs`, a list of folders like PATH. */
const layerFrom = (programs: string): Layer.Layer<Sandbox> =>
  Layer.effect(
    Sandbox,
    Effect.gen(function* () {
      const launcher = yield* makeLauncher
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
        open: Effect.fn("Sandbox.open")(function* (path, net = []) {
          if (process.platform !== "linux" || seccompFilter(process.arch) === undefined) {
            return yield* new SandboxUnavailable({
              message: `no sandbox for ${process.platform} on ${process.arch}`,
              hint: "run noos on Linux (x86-64 or aarch64), for example in a virtual machine"
            })
          }
          return yield* openFolder(path, net, programs, launcher).pipe(
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
