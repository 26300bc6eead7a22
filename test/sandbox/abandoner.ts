/** Stands in for a kernel that is killed with branches in use: in the folder argv[2], with its state in argv[3]. */
import { Effect } from "effect"
import { Sandbox } from "../../sandbox/sandbox.ts"
import { sandboxIn } from "./branches.ts"

const [root = "", state = ""] = process.argv.slice(2)
await Effect.runPromise(
  Effect.gen(function* () {
    const workspace = yield* (yield* Sandbox).open(root)
    const parent = yield* workspace.branch
    yield* parent.workspace.run([
      "/bin/sh",
      "-c",
      "mkdir -p shut/in; touch shut/in/file; chmod 0 shut/in shut"
    ])
    const { workspace: inside } = yield* parent.fork
    const shell = yield* inside.start(["/bin/sh"])
    yield* shell.write("exec > log; cd d; read x\n")
    yield* inside.writeFile("more", "")
    process.stdout.write("ready\n")
    return yield* Effect.never
  }).pipe(Effect.scoped, Effect.provide(sandboxIn(Effect.succeed(state))))
)
