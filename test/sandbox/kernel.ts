/** A stand-in for the kernel's process: runs the command line in argv[3] in the workspace argv[2] and prints what it said. */
import { Effect } from "effect"
import { Bubblewrap } from "../../sandbox/bubblewrap.ts"
import { Sandbox } from "../../sandbox/sandbox.ts"

const [root = "", line = ""] = process.argv.slice(2)
const program = Effect.gen(function* () {
  const { run } = yield* (yield* Sandbox).open(root)
  const { stdout } = yield* run(["/bin/sh", "-c", line], { limits: { seconds: 1000 } })
  process.stdout.write(stdout)
}).pipe(Effect.scoped, Effect.provide(Bubblewrap.layer))
await Effect.runPromise(program)
