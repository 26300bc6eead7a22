/**
 * What an ordinary user does with branches, whoever runs the tests: in the folder argv[2], with its state in argv[3], the
 * lines of argv[4] in a branch and a fork of it, which is committed; with the programs in argv[5], if it is given. Writes
 * what was changed, and how many layers are left.
 */
import { readdirSync } from "node:fs"
import { Effect, Layer } from "effect"
import { StateFolder } from "../../sandbox/branch/store.ts"
import { Bubblewrap } from "../../sandbox/bubblewrap.ts"
import { systemPath } from "../../sandbox/launch.ts"
import { Sandbox } from "../../sandbox/sandbox.ts"

const [root = "", state = "", lines = "", programs = systemPath] = process.argv.slice(2)
const all = lines.split("\n")
const half = Math.floor(all.length / 2)

const program = Effect.gen(function* () {
  const workspace = yield* (yield* Sandbox).open(root)
  const changes = yield* Effect.scoped(
    Effect.gen(function* () {
      const branch = yield* workspace.branch
      yield* branch.workspace.run(["/bin/sh", "-c", all.slice(0, half).join("\n")])
      const fork = yield* branch.fork
      const loser = yield* branch.fork
      yield* loser.workspace.writeFile("lost", "")
      yield* fork.workspace.run(["/bin/sh", "-c", all.slice(half).join("\n")])
      return yield* fork.commit
    })
  )
  const kept = readdirSync(`${state}/branches`).flatMap((name) => readdirSync(`${state}/branches/${name}`))
  process.stdout.write(JSON.stringify({ changes, left: kept.filter((name) => /^\d+$/.test(name)) }))
})

await Effect.runPromise(
  program.pipe(
    Effect.scoped,
    Effect.provide(Bubblewrap.layerFrom(programs).pipe(Layer.provide(Layer.succeed(StateFolder, state))))
  )
)
