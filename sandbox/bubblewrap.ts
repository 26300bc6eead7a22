/**
 * The sandbox on Linux: commands under bubblewrap, files by walking from the workspace's own descriptor.
 *
 * The first workspace opened for a user is also where the sandbox is tried: a command really runs in it and reports
 * what it can see, and only if that is what the profile promises is there a workspace.
 */
import { constants, fstatSync, realpathSync } from "node:fs"
import { Effect, Layer } from "effect"
import { ToolError } from "../kernel/tool.ts"
import { newPlan, recover } from "./branch/commit.ts"
import { shelfIn } from "./branch/ground.ts"
import { StateFolder } from "./branch/store.ts"
import { type Base, branchesOf } from "./branch.ts"
import { removeStale } from "./cgroup.ts"
import { makeLauncher } from "./command.ts"
import { makeEgress } from "./egress.ts"
import { baseFor, type Identity, identityFor, systemPath } from "./launch.ts"
import { hintFor, probe, problemIn } from "./probe.ts"
import { Sandbox, SandboxUnavailable, type Workspace } from "./sandbox.ts"
import { seccompFilter } from "./seccomp.ts"
import { attempt, openIn, show } from "./walk.ts"
import { type Ground, isSystem, makeWorkspace } from "./workspace.ts"

export { defaultLimits, refusedTexts } from "./workspace.ts"

/** What all workspaces of a sandbox share. */
interface Shared extends Pick<Base, "launcher" | "programs" | "shelf"> {
  /** Noos's own folder, for branches and commits. */
  readonly state: string
}

/** Opens a workspace without having tried the sandbox. */
const openFolder = Effect.fnUntraced(function* (path: string, hosts: ReadonlyArray<string>, shared: Shared) {
  const { launcher, programs, shelf, state } = shared
  const root = yield* attempt(path, () => realpathSync(path))
  if (isSystem(root)) {
    return yield* new ToolError({ code: "bad_input", message: `not a folder to work in: ${show(root)}` })
  }
  const net = yield* makeEgress(hosts)
  const fd = yield* openIn(path, root, constants.O_RDONLY | constants.O_DIRECTORY)
  yield* recover(state, root, fd)
  const identity = identityFor(yield* attempt(path, () => fstatSync(fd)))
  const bare = yield* baseFor([root], identity, programs)
  const made = { root, identity, net, launcher, programs }
  const bottom = yield* Effect.cached(Effect.flatMap(shelf, ({ layers }) => layers.bottom(root)))
  const branch = branchesOf({
    ...made,
    shelf,
    fd: Effect.succeed(fd),
    stack: Effect.map(bottom, (bottom) => ({ layers: [], bottom, base: 0 })),
    plan: Effect.sync(() => newPlan(state))
  })
  const base: Ground["base"] = (froms) =>
    froms.length === 0 ? Effect.succeed(bare) : baseFor([root, ...froms], identity, programs)
  return { workspace: makeWorkspace({ ...made, ground: Effect.succeed({ fd, base }), branch }), identity }
})

/** The sandbox made with the programs in `programs`, a list of folders like PATH. */
const layerFrom = (programs: string): Layer.Layer<Sandbox> =>
  Layer.effect(
    Sandbox,
    Effect.gen(function* () {
      const launcher = yield* makeLauncher
      const state = yield* StateFolder
      const shelf = yield* shelfIn(state, programs)
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
          return yield* openFolder(path, net, { launcher, programs, shelf, state }).pipe(
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
