/**
 * What a branch costs on a workspace of 2,000 files, with 64 of them alive: to make one and look into it, which is when it
 * is mounted, and to discard it. Against a copy of the folder, and its removal.
 */
import { execFileSync } from "node:child_process"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Exit, Layer, Scope } from "effect"
import { StateFolder } from "../../sandbox/branch/store.ts"
import { Bubblewrap } from "../../sandbox/bubblewrap.ts"
import { Sandbox } from "../../sandbox/sandbox.ts"
import { median } from "../scheduler/system.ts"

const folders = 20
const filesInEach = 100
const live = 64
const copies = 5

/** Medians in milliseconds. */
export interface BranchTimes {
  readonly create: number
  readonly discard: number
  readonly copy: number
  readonly removal: number
}

const timed = async <A>(times: Array<number>, act: () => Promise<A> | A): Promise<A> => {
  const began = performance.now()
  const made = await act()
  times.push(performance.now() - began)
  return made
}

const fill = (root: string): void => {
  for (let d = 0; d < folders; d++) {
    mkdirSync(join(root, `d${d}`))
    for (let f = 0; f < filesInEach; f++) writeFileSync(join(root, `d${d}`, `f${f}`), `file ${d} ${f}\n`)
  }
}

export const branches = async (): Promise<BranchTimes> => {
  const [root, state] = ["", ""].map(() => mkdtempSync(join(tmpdir(), "noos-bench-"))) as [string, string]
  const create: Array<number> = []
  const discard: Array<number> = []
  const copy: Array<number> = []
  const removal: Array<number> = []
  try {
    fill(root)
    const program = Effect.gen(function* () {
      const workspace = yield* (yield* Sandbox).open(root)
      yield* workspace.branch // what the first one costs all of them: a look at every file
      const made = yield* Effect.forEach(Array.from({ length: live }), () =>
        Effect.promise(() =>
          timed(create, async () => {
            const scope = await Effect.runPromise(Scope.make())
            const branch = await Effect.runPromise(Scope.provide(workspace.branch, scope))
            await Effect.runPromise(branch.workspace.list("d0"))
            return { branch, scope }
          })
        )
      )
      yield* Effect.forEach(made, ({ branch }, n) => branch.workspace.writeFile("d0/f0", `${n}`))
      yield* Effect.forEach(made, ({ scope }) =>
        Effect.promise(() => timed(discard, () => Effect.runPromise(Scope.close(scope, Exit.void))))
      )
    })
    const layer = Bubblewrap.layer.pipe(Layer.provide(Layer.succeed(StateFolder, state)))
    await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(layer)))
    for (let n = 0; n < copies; n++) {
      const to = join(state, `copy${n}`)
      await timed(copy, () => execFileSync("cp", ["-a", root, to]))
      await timed(removal, () => execFileSync("rm", ["-rf", to]))
    }
  } finally {
    for (const path of [root, state]) rmSync(path, { recursive: true, force: true })
  }
  return {
    create: median(create),
    discard: median(discard),
    copy: median(copy),
    removal: median(removal)
  }
}
