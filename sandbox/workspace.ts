/**
 * A workspace: commands under bubblewrap, files by walking from the descriptor of the folder in which it stands.
 */
import { realpathSync } from "node:fs"
import { Effect, type Scope } from "effect"
import { ToolError } from "../kernel/tool.ts"
import { makeGroup, removeGroup } from "./cgroup.ts"
import type { Job, Launcher } from "./command.ts"
import type { Egress } from "./egress.ts"
import { files } from "./files.ts"
import { type Base, type Identity, needsGroup } from "./launch.ts"
import { nodeInside, proxyVariables, relay, relayProcesses } from "./network.ts"
import { environment, inside, profile, workFolder } from "./profile.ts"
import type { Limits, Mount, Start, Workspace } from "./sandbox.ts"
import { attempt, show, walk } from "./walk.ts"

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
export const isSystem = (root: string): boolean =>
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

/** The folder in which a workspace stands. */
export interface Ground {
  /** Open on it. */
  readonly fd: number
  /** How commands reach it, the first of the sources, and these files and folders of the host. */
  readonly base: (froms: ReadonlyArray<string>) => Effect.Effect<Base, ToolError, Scope.Scope>
}

/** What a workspace is made of. */
export interface Made {
  /** Its name on the host. */
  readonly root: string
  /** Asked for at each use, so that it can be made at the first. */
  readonly ground: Effect.Effect<Ground, ToolError>
  readonly identity: Identity
  readonly net: Egress
  readonly launcher: Launcher
  readonly programs: string
  readonly branch: Workspace["branch"]
}

/** A workspace, without having tried whether its sandbox holds. */
export const makeWorkspace = ({
  root,
  ground,
  identity,
  net,
  launcher,
  programs,
  branch
}: Made): Workspace => {
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
    const { fd, base } = yield* ground
    const { found, trail } = yield* Effect.scoped(walk(fd, root, cwd))
    if (!found?.stats.isDirectory()) {
      return yield* new ToolError({ code: "not_a_directory", message: `not a folder: ${show(cwd)}` })
    }
    const seen = yield* Effect.forEach([...(proxy ? [nodeInside, relay] : []), ...mounts], mountable)
    const { prefix, sources } = yield* base(seen.map(({ from }) => from))
    const binds = seen.map(({ to, write }, i) => ({ source: sources[i + 1]!, to, write }))
    const [file = "", ...args] = [
      ...prefix,
      "bwrap",
      ...profile(sources[0], {
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

  const opened = Effect.map(ground, ({ fd }) => files(fd, root))
  return {
    root,
    run,
    start,
    net,
    readFile: (path, options) => Effect.flatMap(opened, ({ readFile }) => readFile(path, options)),
    writeFile: (path, content) => Effect.flatMap(opened, ({ writeFile }) => writeFile(path, content)),
    list: (path) => Effect.flatMap(opened, ({ list }) => list(path)),
    branch
  }
}
