/** Stands in for a kernel that is killed while it commits: makes the folder argv[2] what argv[3] is, with its state in argv[4]. */
import { constants, openSync } from "node:fs"
import { Effect } from "effect"
import { commitPlan, newPlan } from "../../sandbox/branch/commit.ts"
import { differences } from "../../sandbox/branch/difference.ts"
import { treeOf } from "../../sandbox/branch/tree.ts"

const [root = "", wanted = "", state = ""] = process.argv.slice(2)
const sideOf = Effect.fnUntraced(function* (path: string) {
  const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY)
  return { fd, tree: yield* treeOf(fd) }
})

await Effect.runPromise(
  Effect.gen(function* () {
    const [base, branch] = [yield* sideOf(root), yield* sideOf(wanted)]
    const found = yield* differences(base, branch)
    process.stdout.write("committing\n")
    yield* commitPlan(newPlan(state), root, found, base, branch)
    process.stdout.write("committed\n")
  })
)
