/** Commits: writing a plan and carrying it out, and finishing those that were cut off. */
import { existsSync, readdirSync, renameSync, rmSync } from "node:fs"
import { join } from "node:path"
import { Effect } from "effect"
import { ToolError } from "../../kernel/tool.ts"
import { attempt } from "../walk.ts"
import { carryOut } from "./apply.ts"
import type { Difference, Side } from "./difference.ts"
import { dropPlan, inodeOf, type Plan, readPlan, writePlan } from "./plan.ts"
import { hasOwner, isOwn, newName } from "./store.ts"

const commitsIn = (state: string) => join(state, "commits")

/** A folder for the plan of a commit into a workspace of the host. */
export const newPlan = (state: string): string => join(commitsIn(state), newName())

/** Those that this process is carrying out. */
const going = new Set<string>()

/** Carries a plan out that holds, and removes it. What fails is tried again when the workspace is opened next. */
const finishPlan = Effect.fn("finishPlan")(function* (folder: string, plan: Plan, root: number) {
  going.add(folder)
  yield* carryOut(folder, plan, root).pipe(
    Effect.andThen(dropPlan(folder)),
    Effect.mapError(({ message }) => {
      const kept = `${plan.root} holds a part of a commit, which goes on when it is opened next`
      return new ToolError({ code: "failed", message: `${message}; ${kept} (${folder})` })
    }),
    Effect.ensuring(Effect.sync(() => going.delete(folder)))
  )
})

/** Makes a base what a branch of it is. Once begun it is not interrupted. */
export const commitPlan = Effect.fn("commitPlan")(function* (
  folder: string,
  root: string,
  found: ReadonlyArray<Difference>,
  base: Side,
  branch: Side
) {
  going.add(folder)
  const plan = yield* writePlan(folder, root, found, base, branch).pipe(
    Effect.tapError(() => Effect.ignore(dropPlan(folder))),
    Effect.tapError(() => Effect.sync(() => going.delete(folder)))
  )
  yield* finishPlan(folder, plan, base.fd)
}, Effect.uninterruptible)

/** Makes a plan this process's own, if nobody else has. */
const claim = (state: string, folder: string): string | undefined => {
  const claimed = newPlan(state)
  try {
    renameSync(folder, claimed)
    return claimed
  } catch {
    return undefined
  }
}

/** Finishes the commits into a folder that were cut off, and removes those that never came to hold. */
export const recover = Effect.fn("recover")(function* (state: string, root: string, fd: number) {
  const all = commitsIn(state)
  if (!existsSync(all)) return
  for (const name of readdirSync(all)) {
    const folder = join(all, name)
    if (isOwn(name) ? going.has(folder) : hasOwner(name)) continue
    const plan = readPlan(folder)
    if (plan && (plan.root !== root || plan.inode !== inodeOf(fd))) continue
    const claimed = claim(state, folder)
    if (claimed === undefined) continue
    if (plan) yield* finishPlan(claimed, plan, fd)
    else yield* attempt(folder, () => rmSync(claimed, { recursive: true, force: true }))
  }
})
