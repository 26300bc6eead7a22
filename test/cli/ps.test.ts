import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync
} from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { askAll } from "../../cli/control.ts"
import { lines, scratch, twoLines } from "./launch.ts"

const { at, gate, root } = scratch("ps")
const count = "How many lines are in data.csv, then save that number to count.txt."

describe("noos ps and kill", () => {
  it("show and signal the processes of another noos process", async () => {
    const home = join(root, "home")
    const { call, start } = at(home)
    /** Asked over the same socket, without another launch. */
    const states = async () => {
      process.env.NOOS_HOME = home
      const { answers } = await Effect.runPromise(askAll((kernel) => kernel.processes()))
      return answers.flat().map((row) => [row.pid, row.state, row.why])
    }
    const kill = async (...args: ReadonlyArray<string>) =>
      assert.deepInclude(await call("kill", ...args), { exitCode: 0, stdout: "", stderr: "" })

    const gates = [gate(), gate(), gate()]
    const file = join(root, "tasks.jsonl")
    writeFileSync(
      file,
      gates.map(({ folder }) => JSON.stringify({ task: count, workspace: folder })).join("\n")
    )
    const { child } = start("batch", file, "--json", "--priority", "3")
    const [one, two, three] = await Promise.all(gates.map(({ entered }) => entered()))

    const [row, ...more] = lines((await call("ps", "--json")).stdout)
    assert.strictEqual(more.length, 2)
    assert.deepInclude(row!, {
      pid: 1,
      parent: null,
      kernel: child.pid,
      state: "blocked",
      why: "shell",
      priority: 3
    })
    assert.deepInclude(row!, { task: count, status: null })
    assert.deepInclude(row!.usage, { syscalls: 1 })

    await Promise.all([kill("-STOP", "1"), kill("-s", "SIGKILL", "2"), kill("3")])
    assert.deepStrictEqual(await states(), [
      [1, "stopped", "CONT"],
      [3, "blocked", "shell"]
    ])
    await one!(7)
    await three!(7)
    await kill("-SIGCONT", "1")
    const { exitCode, stdout } = await child
    assert.strictEqual(exitCode, 1)
    const exits = lines(stdout).filter((e) => e.type === "exit")
    const exitOf = (pid: number) => exits.find((e) => e.pid === pid)!
    assert.deepInclude(exitOf(1), { status: "ok", answer: "7" })
    assert.strictEqual(readFileSync(join(gates[0]!.folder, "count.txt"), "utf8"), "7")
    assert.deepInclude(exitOf(2), { status: "killed", reason: "killed", answer: null })
    assert.deepInclude(exitOf(3), { status: "killed", reason: "terminated", answer: null })
    assert.isFalse(existsSync(join(gates[2]!.folder, "count.txt")))
    await two!(0)

    // What cannot be signalled is said, and what was asked wrongly.
    const cases: ReadonlyArray<readonly [ReadonlyArray<string>, number, RegExp]> = [
      [["-KILL", "2", "99"], 1, /process 2 has exited \(killed\); there is no process 99$/],
      [[], 2, /no process named/],
      [["-NOPE", "1"], 2, /one of STOP, CONT, TERM, KILL, INT/]
    ]
    await Promise.all(
      cases.map(async ([args, code, what]) => {
        const { exitCode, stderr } = await call("kill", ...args)
        assert.strictEqual(exitCode, code, stderr)
        twoLines(stderr, what)
      })
    )
  })

  it("a noos process that was killed: its socket goes, its processes are left in the journal, its trace opens", async () => {
    const home = join(root, "home-killed")
    const { call, start } = at(home)
    const { entered, folder } = gate()
    const trace = join(root, "trace.json")
    const { child } = start("run", "--workspace", folder, "--trace", trace, count)
    const release = await entered()
    const sockets = () => readdirSync(join(home, "run"))
    assert.strictEqual(sockets().length, 1)
    assert.strictEqual(statSync(join(home, "run")).mode & 0o777, 0o700)
    child.kill("SIGKILL")
    await child
    await release(0).catch(() => {})

    assert.strictEqual((await call("ps", "--json")).stdout, "")
    assert.deepStrictEqual(sockets(), [])
    const [left] = lines((await call("ps", "--all", "--json")).stdout)
    assert.deepInclude(left!, {
      pid: 1,
      kernel: null,
      state: "stopped",
      why: "no noos answers for it",
      task: count
    })
    const people = (await call("ps", "-a")).stdout
    assert.match(
      people,
      /^PID +PARENT +STATE .*\n +1 +- +stopped +no noos answers for it +0 +\d+\/\d+ +1 .* How many lines/
    )
    const { exitCode, stderr } = await call("kill", "1")
    assert.strictEqual(exitCode, 1)
    twoLines(stderr, /process 1 was not reached: no noos answers for it/)
    const events = JSON.parse(`${readFileSync(trace, "utf8")}]`) as ReadonlyArray<{ readonly name: string }>
    assert.includeMembers(
      events.map((e) => e.name),
      ["thread_name", "step", "read", "write"]
    )
  })

  it("a kernel that does not answer is told of and skipped", async () => {
    const home = join(root, "home-suspended")
    const { call, start } = at(home)
    const { entered, folder } = gate()
    const { child } = start("run", "--workspace", folder, count)
    const release = await entered()
    child.kill("SIGSTOP")
    const shown = await call("ps")
    assert.strictEqual(shown.exitCode, 0)
    twoLines(shown.stderr, new RegExp(`the noos process ${child.pid} does not answer`))
    child.kill("SIGCONT")
    await release(4)
    assert.strictEqual((await child).stdout, "4")
  })

  it("where the home's path is too long for a socket, it is elsewhere, and nobody else's folder is used", async () => {
    const home = join(root, "long".repeat(30))
    const TMPDIR = join(root, "tmp")
    mkdirSync(TMPDIR)
    const { call, start } = at(home, { TMPDIR })
    const { entered, folder } = gate()
    const { child } = start("run", "--workspace", folder, count)
    const release = await entered()
    const [name] = readdirSync(TMPDIR).filter((entry) => /^noos-[0-9a-f]{16}$/.test(entry))
    assert.strictEqual(statSync(join(TMPDIR, name!)).mode & 0o777, 0o700)
    assert.deepInclude(await call("kill", "-INT", "1"), { exitCode: 0, stderr: "" })
    assert.strictEqual((await child).exitCode, 130)
    await release(0).catch(() => {})

    rmSync(join(TMPDIR, name!), { recursive: true })
    symlinkSync(root, join(TMPDIR, name!))
    const refused = await call("ps")
    assert.strictEqual(refused.exitCode, 5)
    twoLines(refused.stderr, /is no folder of this user's/)
  })
})
