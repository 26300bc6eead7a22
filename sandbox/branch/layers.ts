/**
 * Layers of files, one over another: overlayfs, see the kernel's filesystems/overlayfs.rst. A layer holds what has been
 * changed over those below it, the lowest of which is a folder of the host's. Where that file system cannot be had, a
 * layer is a whole copy.
 */
import { chmodSync, chownSync, lstatSync, mkdirSync, openSync, symlinkSync } from "node:fs"
import { join } from "node:path"
import { Effect, Option } from "effect"
import { ToolError } from "../../kernel/tool.ts"
import { isRoot } from "../launch.ts"
import { attempt } from "../walk.ts"
import { removal, type Store } from "./store.ts"
import { folderFlags } from "./tree.ts"

/** A folder of the host's. */
export interface Bottom {
  /** The link to it in the store. */
  readonly name: string
  /** Whether layers over it are copies; not known before the first. */
  copies: boolean | undefined
}

/** Layers from the uppermost to the lowest, and what is under them all. */
export interface Stack {
  readonly layers: ReadonlyArray<Layer>
  readonly bottom: Bottom
  /** How many of the lowest are those of the base: what is done in a base is not in its branches' hands. */
  readonly base: number
}

export interface Layer {
  /** Its folder in the store: `u` in there is what it holds. */
  readonly name: string
  /** Stacks that it is in, and one for its being used itself. */
  holders: number
  /** Those of the stacks that are of its forks, and of theirs. */
  forks: number
  /** `written` through its mount or in its copy; `frozen`: its mount is read-only; `kept`: only as one of a stack. */
  state: "written" | "frozen" | "kept"
}

const none = Option.none()

const forked = ({ layers, base }: Stack) => layers.slice(0, layers.length - base)

/**
 * Nothing waits for the disk, as nothing of a branch is needed when the machine is gone. Root's folders can be renamed; an
 * ordinary user's that come from the base give EXDEV, upon which mv(1) copies: the system trusts no user with that.
 */
const options = `volatile,index=off,${isRoot ? "redirect_dir=on,metacopy=off" : "userxattr"}`

export interface Layers {
  readonly bottom: (root: string) => Effect.Effect<Bottom, ToolError>
  /** A layer over others, to be written. */
  readonly over: (stack: Stack) => Effect.Effect<Layer, ToolError>
  /** Opens what a layer and those below it show together. */
  readonly open: (layer: Layer, bottom: Bottom) => number
  /** The same by its name for processes that are started within the namespaces of the store's helper. */
  readonly path: (layer: Layer, bottom: Bottom) => string
  /** A layer that is as this one is now, and will stay so. It is this one, read-only for the time, where that can be. */
  readonly still: (layer: Layer, bottom: Bottom) => Effect.Effect<Layer, ToolError>
  readonly hold: (stack: Stack) => void
  readonly release: (stack: Stack) => Effect.Effect<void>
  /** A layer is no longer used itself. */
  readonly leave: (layer: Layer, bottom: Bottom) => Effect.Effect<void>
}

export const makeLayers = ({ folder, helper: { mounts, sh } }: Store): Layers => {
  let count = 0

  const newFolder = (like: string): string => {
    const name = `${++count}`
    for (const part of ["", "/u", "/w", "/m"]) mkdirSync(`${folder}/${name}${part}`, { mode: 0o700 })
    const { mode, uid, gid } = lstatSync(like)
    if (isRoot) chownSync(`${folder}/${name}/u`, uid, gid)
    chmodSync(`${folder}/${name}/u`, mode & 0o7777)
    return name
  }

  /** What the uppermost of some layers holds. */
  const top = ({ layers: [first], bottom }: Stack) => (first ? `${first.name}/u` : bottom.name)

  const copy = (from: string, to: string) =>
    // -x: another file system in there is no part of it; an ordinary user can give nothing away
    sh(`cp -a -x --reflink=auto ${isRoot ? "" : "--no-preserve=ownership "}${from}/. ${to}/u`)

  const mount = ({ layers, bottom }: Stack, name: string) => {
    if (mounts === undefined) return new ToolError({ code: "unavailable", message: "no mounts here" })
    const lower = [...layers.map(({ name }) => `${name}/u`), bottom.name].join(":")
    const place = mounts.place(name)
    const all = `lowerdir=${lower},upperdir=${name}/u,workdir=${name}/w,${options}`
    return sh(`mkdir -p ${place} && mount -t overlay -o ${all} overlay ${place}`)
  }

  const path: Layers["path"] = ({ name }, { copies }) =>
    copies || mounts === undefined ? `${folder}/${name}/u` : mounts.path(name)

  /** Lines of shell that do what is to be done when some layers have one holder less, and a mount is no longer needed. */
  const released = (layers: ReadonlyArray<Layer>, place?: string): ReadonlyArray<string> => {
    for (const layer of layers) layer.holders--
    const gone = [
      ...layers.filter(({ holders }) => holders === 0).map(({ name }) => name),
      ...(place === undefined ? [] : [place])
    ]
    const thawed = layers.filter(({ forks, state }) => forks === 0 && state === "frozen")
    for (const layer of thawed) layer.state = "written"
    return [
      ...thawed.map(({ name }) => `mount -o remount,rw ${mounts!.place(name)}`),
      ...(gone.length > 0
        ? [`${place === undefined ? "" : `umount -l ${place} && `}{ ${removal(gone)}; }`]
        : [])
    ]
  }

  const run = (lines: ReadonlyArray<string>) =>
    lines.length > 0 ? Effect.ignore(sh(lines.join("; "))) : Effect.void

  return {
    bottom: Effect.fnUntraced(function* (root) {
      if (folder.startsWith(`${root}/`)) {
        const message = `no branches of a workspace that holds noos's own folder: ${root}`
        return yield* new ToolError({ code: "unavailable", message })
      }
      const name = `b${++count}`
      yield* attempt(root, () => symlinkSync(root, join(folder, name)))
      return { name, copies: undefined } satisfies Bottom
    }),
    over: Effect.fnUntraced(function* (stack) {
      const { layers, bottom } = stack
      const [first] = layers
      if (bottom.copies && first?.state === "kept" && first.holders === 1) {
        first.holders++
        first.state = "written"
        return first // nobody else has it: it is the copy that would be made
      }
      const name = yield* attempt(folder, () => newFolder(`${folder}/${top(stack)}/.`))
      const copied = copy(top(stack), name)
      yield* (
        bottom.copies
          ? copied
          : mount(stack, name).pipe(
              Effect.catchIf(
                () => bottom.copies === undefined,
                () => copied.pipe(Effect.tap(() => Effect.sync(() => (bottom.copies = true))))
              )
            )
      ).pipe(Effect.tapError(() => Effect.ignore(sh(removal([name])))))
      bottom.copies ??= false
      return { name, holders: 1, forks: 0, state: "written" } satisfies Layer
    }),
    path,
    open: (layer, bottom) => {
      const place = path(layer, bottom)
      return bottom.copies || !mounts ? openSync(place, folderFlags) : mounts.open(place)
    },
    still: Effect.fnUntraced(function* (layer, { copies }) {
      if (layer.state === "frozen") return layer
      const isFrozen =
        !copies && mounts ? yield* Effect.option(sh(`mount -o remount,ro ${mounts.place(layer.name)}`)) : none
      if (isFrozen._tag === "Some") {
        layer.state = "frozen"
        return layer
      }
      // Something in there is open for writing.
      const name = yield* attempt(folder, () => newFolder(`${folder}/${layer.name}/u`))
      yield* copy(`${layer.name}/u`, name).pipe(Effect.tapError(() => Effect.ignore(sh(removal([name])))))
      return { name, holders: 0, forks: 0, state: "kept" } satisfies Layer
    }),
    hold: (stack) => {
      for (const layer of stack.layers) layer.holders++
      for (const layer of forked(stack)) layer.forks++
    },
    release: (stack) => {
      for (const layer of forked(stack)) layer.forks--
      return run(released(stack.layers))
    },
    leave: (layer, { copies }) => {
      layer.state = "kept"
      // In namespaces of the helper's only it and commands that are still running see a mount; it goes with the last of them.
      const place = mounts && !copies ? mounts.place(layer.name) : undefined
      return run(released([layer], place))
    }
  }
}
