/** A branch that is used: its layer, and how its files and its commands get there. */
import { closeSync } from "node:fs"
import { Effect, Scope } from "effect"
import { baseFor, entering, type Identity } from "../launch.ts"
import { attempt } from "../walk.ts"
import type { Ground } from "../workspace.ts"
import { type Layer, type Layers, makeLayers, type Stack } from "./layers.ts"
import { openStore, type Store } from "./store.ts"

/** Where all branches of a sandbox are kept. */
export interface Shelf {
  readonly store: Store
  readonly layers: Layers
}

/** Made when it is first asked for, until the scope closes. */
export const shelfIn = Effect.fnUntraced(function* (state: string, programs: string) {
  const scope = yield* Effect.scope
  return yield* Effect.cached(
    openStore(state, programs).pipe(
      Effect.map((store): Shelf => ({ store, layers: makeLayers(store) })),
      Scope.provide(scope)
    )
  )
})

/** A layer to write in, over others. */
export interface Standing {
  readonly layer: Layer
  readonly ground: Ground
}

/** How commands reach a layer: in the namespaces of the store's helper, or, a copy, as they reach any folder. */
const baseOf = Effect.fnUntraced(function* (
  path: string,
  { mounts }: Store["helper"],
  isCopy: boolean | undefined,
  identity: Identity,
  programs: string
) {
  const within = isCopy || !mounts ? [] : entering(mounts.namespaces)
  const bare =
    isCopy || !mounts
      ? yield* baseFor([path], identity, programs)
      : { prefix: entering(mounts.namespaces, identity), sources: [path] as const }
  const base: Ground["base"] = (froms) =>
    froms.length === 0 ? Effect.succeed(bare) : baseFor([path, ...froms], identity, programs, within)
  return base
})

/** Makes a layer and opens it, until the scope closes. */
export const stand = Effect.fn("Branch.stand")(function* (
  { store, layers }: Shelf,
  stack: Stack,
  identity: Identity,
  programs: string
) {
  const { bottom } = stack
  const layer = yield* Effect.acquireRelease(layers.over(stack), (layer) => layers.leave(layer, bottom))
  const path = layers.path(layer, bottom)
  const fd = yield* Effect.acquireRelease(
    attempt(path, () => layers.open(layer, bottom)),
    (fd) => Effect.sync(() => closeSync(fd))
  )
  const base = yield* baseOf(path, store.helper, bottom.copies, identity, programs)
  return { layer, ground: { fd, base } } satisfies Standing
})
