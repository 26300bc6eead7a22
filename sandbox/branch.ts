/**
 * Copy-on-write branches of a workspace. Each is a layer over the files of its base, made when it is first used; forks
 * share the layers below theirs. A commit makes the base what the branch is, by a plan (branch/plan.ts).
 */
import { Effect, Scope, Semaphore } from "effect"
import { ToolError } from "../kernel/tool.ts"
import { commitPlan } from "./branch/commit.ts"
import { changeOf, differences, firstTouched, type Side } from "./branch/difference.ts"
import { type Shelf, type Standing, stand } from "./branch/ground.ts"
import type { Stack } from "./branch/layers.ts"
import { shown, type Tree, treeOf } from "./branch/tree.ts"
import type { Branch, Workspace } from "./sandbox.ts"
import { type Made, makeWorkspace } from "./workspace.ts"

/** A workspace of which there are branches. */
export interface Base extends Omit<Made, "ground" | "branch"> {
  /** Open on its folder. */
  readonly fd: Effect.Effect<number, ToolError>
  /** What a branch lies on. */
  readonly stack: Effect.Effect<Stack, ToolError>
  /** A new folder for the plan of a commit into it. */
  readonly plan: Effect.Effect<string, ToolError>
  /** Where the branches are kept. */
  readonly shelf: Effect.Effect<Shelf, ToolError>
}

/** The branches of a base, from the first to the last one that lives. */
interface Generation {
  /** What was in the base when the first one was made. */
  readonly before: Tree
  members: number
}

/** What a branch goes on from. */
interface From extends Shelf {
  readonly stack: Stack
}

/** The `branch` of a workspace. */
export const branchesOf = (base: Base): Workspace["branch"] => {
  const turns = Semaphore.makeUnsafe(1)
  let current: Generation | undefined

  const enter = (generation: Generation) =>
    Effect.acquireRelease(
      Effect.sync(() => void generation.members++),
      () =>
        Effect.sync(() => {
          if (--generation.members === 0 && current === generation) current = undefined
        })
    )

  /** One of them. Without `begun` nothing has been done in it yet, nor in those that it was forked from. */
  const make = (generation: Generation, begun?: From): Effect.Effect<Branch, never, Scope.Scope> =>
    Effect.gen(function* () {
      const turn = Semaphore.makeUnsafe(1)
      const own = yield* Scope.make()
      let from = begun
      let standing: Standing | undefined
      let isOver = false

      const lieOn = (from: From) =>
        Effect.acquireRelease(
          Effect.sync(() => from.layers.hold(from.stack)),
          () => from.layers.release(from.stack)
        ).pipe(Effect.as(from), Scope.provide(own))
      yield* enter(generation)
      yield* Effect.addFinalizer((exit) => {
        isOver = true
        return turn.withPermits(1)(Scope.close(own, exit))
      })
      if (begun) yield* lieOn(begun)

      const used = Effect.gen(function* () {
        if (isOver)
          return yield* new ToolError({ code: "unavailable", message: "this branch has been discarded" })
        from ??= yield* lieOn({ ...(yield* base.shelf), stack: yield* base.stack })
        standing ??= yield* Scope.provide(stand(from, from.stack, base.identity, base.programs), own)
        return { ...from, ...standing }
      }).pipe(turn.withPermits(1), Effect.uninterruptible)

      const ground = Effect.map(used, ({ ground }) => ground)
      const fd = Effect.map(ground, ({ fd }) => fd)
      const workspace = makeWorkspace({
        ...base,
        ground,
        branch: branchesOf({
          ...base,
          fd,
          stack: Effect.map(used, ({ layer, stack: { layers, bottom } }) => {
            return { layers: [layer, ...layers], bottom, base: layers.length + 1 }
          }),
          plan: Effect.map(base.shelf, ({ store }) => store.plan())
        })
      })

      const fork: Branch["fork"] = Effect.gen(function* () {
        if (from === undefined || standing === undefined) return yield* make(generation, from)
        const { layers, bottom } = from.stack
        const still = yield* from.layers.still(standing.layer, bottom)
        return yield* make(generation, { ...from, stack: { ...from.stack, layers: [still, ...layers] } })
      }).pipe(turn.withPermits(1), Effect.uninterruptible)

      /** The base as it was, and this branch. */
      const sides = Effect.gen(function* () {
        const side: Side = { fd: yield* base.fd, tree: generation.before }
        return { base: side, branch: { fd: yield* fd, tree: yield* treeOf(yield* fd, side.tree) } }
      })
      /** What it differs in; of a branch in which nothing has been done, nothing. */
      const compared = Effect.flatMap(sides, ({ base, branch }) =>
        Effect.map(differences(base, branch), (found) => ({ base, branch, found }))
      )
      const tell = ({ base, branch, found }: Effect.Success<typeof compared>) =>
        Effect.forEach(found, (difference) => changeOf(difference, base, branch))
      const isUntouched = () => from === undefined

      const commit: Branch["commit"] = Effect.gen(function* () {
        const now = yield* treeOf(yield* base.fd)
        const touched = firstTouched(generation.before, now)
        if (touched !== undefined) {
          const message = `the workspace is not what it was when it was branched: ${shown(touched)} was changed`
          return yield* new ToolError({ code: "unavailable", message })
        }
        const all = yield* compared
        const changes = yield* tell(all)
        if (changes.length > 0) {
          yield* commitPlan(yield* base.plan, base.root, all.found, all.base, all.branch)
          if (current === generation) current = undefined // the next one is a branch of what there is now
        }
        return changes
      }).pipe(turns.withPermits(1))

      const unless = <A>(effect: Effect.Effect<ReadonlyArray<A>, ToolError>) =>
        Effect.suspend(() => (isUntouched() ? Effect.succeed<ReadonlyArray<A>>([]) : effect))
      return {
        workspace,
        fork,
        changes: unless(Effect.flatMap(compared, tell)),
        commit: unless(commit)
      } satisfies Branch
    })

  return Effect.gen(function* () {
    current ??= { before: yield* treeOf(yield* base.fd), members: 0 }
    return yield* make(current)
  }).pipe(turns.withPermits(1), Effect.uninterruptible)
}
