import { execFileSync, spawn } from "node:child_process"
import {
  closeSync,
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync
} from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { carryOut } from "../../sandbox/branch/apply.ts"
import { recover } from "../../sandbox/branch/commit.ts"
import { differences } from "../../sandbox/branch/difference.ts"
import { type Plan, writePlan } from "../../sandbox/branch/plan.ts"
import { treeOf } from "../../sandbox/branch/tree.ts"
import { Sandbox } from "../../sandbox/sandbox.ts"
import { drawing, fill, sandboxIn, shape } from "./branches.ts"
import { folder } from "./workspace.ts"

const program = join(import.meta.dirname, "committer.ts")

/** Files become folders and the other way round, links become files; modes, names and contents change. */
const rework = `rm -r f; echo file > f; rm a; mkdir -p a/deep/er; echo x > a/deep/er/x; rm link; echo plain > link
rm linked; ln -s f linked; chmod 700 d/e; echo more >> d/a; rm d/b; ln d/a d/twin; ln c other; rmdir empty; chmod 750 .; rm pipe
ln -s ../f d/up; chmod 755 closed; rm closed/a; chmod 500 closed; mkdir shut; echo s > shut/s; chmod 0 shut/s; chmod 0 shut
for n in 1 2 3; do mkdir n$n; echo $n > n$n/n; done; head -c 200000 /dev/urandom > big`

const opened = (path: string) =>
  Effect.acquireRelease(
    Effect.sync(() => openSync(path, constants.O_RDONLY | constants.O_DIRECTORY)),
    (fd) => Effect.sync(() => closeSync(fd))
  )

/** Where nothing has to wait for a disk. */
const inMemory = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync("/dev/shm/noos-test-")),
  (path) => Effect.sync(() => rmSync(path, { recursive: true }))
)

const copy = (from: string, to: string) => execFileSync("cp", ["-a", `${from}/.`, to])

/** A base, what it shall become, and a state folder. */
const scene = Effect.fnUntraced(function* (place: typeof inMemory) {
  const [base, wanted, state] = [yield* place, yield* place, yield* place]
  execFileSync("/bin/sh", ["-c", fill], { cwd: base })
  copy(base, wanted)
  execFileSync("/bin/sh", ["-c", rework], { cwd: wanted })
  return { base, wanted, state, before: shape(base), after: shape(wanted) }
})

const planOf = Effect.fnUntraced(function* (at: string, root: string, wanted: string) {
  const [base, branch] = [yield* opened(root), yield* opened(wanted)]
  const sides = [
    { fd: base, tree: yield* treeOf(base) },
    { fd: branch, tree: yield* treeOf(branch) }
  ] as const
  return yield* writePlan(at, root, yield* differences(...sides), ...sides)
})

describe("a commit that is cut off", () => {
  it.live("is finished, from whichever step it had got to", () =>
    Effect.gen(function* () {
      const { after, base, state, wanted } = yield* scene(inMemory)
      const name = "1-1-1" // of a process that is gone
      const steps = ({ remove, put, folders }: Plan) => remove.length + put.length + folders.length
      const first = (plan: Plan, n: number): Plan => ({
        ...plan,
        remove: plan.remove.slice(0, n),
        put: plan.put.slice(0, Math.max(0, n - plan.remove.length)),
        folders: plan.folders.slice(0, Math.max(0, n - plan.remove.length - plan.put.length))
      })
      let all = 1
      for (let n = 0; n <= all; n += 3) {
        const root = yield* inMemory
        copy(base, root)
        const at = join(state, "commits", name)
        const plan = yield* planOf(at, root, wanted)
        all = steps(plan)
        const fd = yield* opened(root)
        yield* carryOut(at, first(plan, n), fd)
        yield* recover(state, root, fd)
        expect(shape(root), `after ${n} of ${all} steps`).toBe(after)
        expect(readdirSync(join(state, "commits"))).toEqual([])
      }
      expect(all).toBeGreaterThan(30)
    }).pipe(Effect.scoped)
  )

  it.live("leaves base or winner and nothing between, wherever kill -9 meets it", () =>
    Effect.gen(function* () {
      const { after, base, before, wanted } = yield* scene(inMemory)
      const state = yield* folder
      const commits = join(state, "commits")
      const below = drawing(6)
      for (let n = 0; n < 4; n++) {
        const root = yield* folder
        copy(base, root)
        const child = spawn(process.execPath, [program, root, wanted, state], {
          stdio: ["ignore", "pipe", "inherit"]
        })
        const delay = below(400)
        child.stdout.once("data", () => setTimeout(() => child.kill("SIGKILL"), delay))
        yield* Effect.callback<void>((resume) => void child.on("close", () => resume(Effect.void)))
        yield* recover(state, root, yield* opened(root))
        expect([before, after], `killed after ${delay} ms`).toContain(shape(root))
        expect(existsSync(commits) ? readdirSync(commits) : []).toEqual([])
      }
    }).pipe(Effect.scoped)
  )

  it.live("is finished when its workspace is opened, before anything is seen there", () =>
    Effect.gen(function* () {
      const { after, base, before, state, wanted } = yield* scene(folder)
      const plans = join(state, "commits")
      mkdirSync(join(plans, "1-1-2"), { recursive: true })
      writeFileSync(join(plans, "1-1-2", "0"), "of a plan that never came to hold")
      yield* planOf(join(plans, "1-1-1"), base, wanted)
      expect(shape(base)).toBe(before)
      yield* Effect.gen(function* () {
        const sandbox = yield* Sandbox
        yield* sandbox.open(yield* folder)
        expect(readdirSync(plans)).toEqual(["1-1-1"])
        const { list } = yield* sandbox.open(base)
        expect((yield* list("")).map(({ name }) => name)).toContain("n3")
        expect(shape(base)).toBe(after)
        expect(readdirSync(plans)).toEqual([])
      }).pipe(Effect.scoped, Effect.provide(sandboxIn(Effect.succeed(state))))
    }).pipe(Effect.scoped)
  )

  it.live(
    "is left alone while the process that makes it lives, and when the folder is not that one any more",
    () =>
      Effect.gen(function* () {
        const { base, before, state, wanted } = yield* scene(folder)
        const stat = execFileSync("cat", [`/proc/${process.ppid}/stat`], { encoding: "utf8" })
        const start = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19]
        const living = join(state, "commits", `${process.ppid}-${start}-1`)
        yield* planOf(living, base, wanted)
        yield* recover(state, base, yield* opened(base))
        expect(shape(base)).toBe(before)
        expect(existsSync(join(living, "plan.json"))).toBe(true)
        const left = join(state, "commits", "1-1-1")
        renameSync(living, left)
        const moved = join(yield* folder, "moved")
        renameSync(base, moved)
        yield* recover(state, moved, yield* opened(moved))
        mkdirSync(base)
        yield* recover(state, base, yield* opened(base))
        expect(shape(moved)).toBe(before)
        expect(readdirSync(base)).toEqual([])
        expect(existsSync(join(left, "plan.json"))).toBe(true)
      }).pipe(Effect.scoped)
  )
})
