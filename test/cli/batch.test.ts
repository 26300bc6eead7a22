import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { execa } from "execa"
import { lines, noos, scratch, twoLines } from "./launch.ts"

const { at, gate, root, workspace } = scratch("batch")
const count = "How many lines are in data.csv?"

/** A file of tasks, beside which relative paths are looked for. */
const fileOf = (...rows: ReadonlyArray<unknown>) => {
  const file = join(workspace(), "tasks.jsonl")
  writeFileSync(file, rows.map((row) => (typeof row === "string" ? row : JSON.stringify(row))).join("\n"))
  return file
}

/** An event of a trace. */
interface Traced {
  readonly ph: string
  readonly name: string
  readonly tid: number
  readonly ts: number
  readonly dur: number
  readonly args: { readonly name?: string; readonly [key: string]: unknown }
}

/** The tracks of a trace by name. Slices of one must nest, or lie apart. */
const tracksOf = (events: ReadonlyArray<Traced>) => {
  const names = events.filter((e) => e.name === "thread_name").map((e) => [e.args.name!, e.tid] as const)
  return new Map(
    names.map(([name, tid]) => {
      const slices = events
        .filter((e) => e.ph === "X" && e.tid === tid)
        .sort((a, b) => a.ts - b.ts || b.dur - a.dur)
      const ends: Array<number> = []
      for (const { dur, ts } of slices) {
        assert.isAtLeast(dur, 0)
        while (ends.length > 0 && ends.at(-1)! <= ts) ends.pop()
        if (ends.length > 0) assert.isAtMost(ts + dur, ends.at(-1)!, name)
        ends.push(ts + dur)
      }
      return [name, slices] as const
    })
  )
}

describe("several tasks", () => {
  it("on one row: answers in the order of the tasks, though they end in another; a trace with all they did", async () => {
    const { entered, folder } = gate()
    const trace = join(root, "trace.json")
    const { start } = at(join(root, "home"))
    const tasks = [count, "What is 3+4?", "Show the content of ghost.txt."]
    const { child, until } = start(
      "run",
      "--workspace",
      folder,
      "--parallel",
      "1",
      "--trace",
      trace,
      ...tasks
    )
    const release = await entered()
    await until(/: (done|failed).* in /, 2)
    await release(5)
    const { exitCode, stderr, stdout } = await child
    assert.strictEqual(exitCode, 1, stderr)
    assert.strictEqual(stdout, "5\n7\nno such file: ghost.txt")
    assert.match(stderr, /^noos · nano .* · 3 tasks, 1 at a time\n1: How many/)
    for (const line of stderr.split("\n").slice(1, -1)) assert.match(line, /^[123]: /)
    assert.match(stderr, /\nall done in .* s: (2 ok, 1 failed|1 failed, 2 ok)$/)

    const tracks = tracksOf(JSON.parse(readFileSync(trace, "utf8")) as ReadonlyArray<Traced>)
    assert.deepStrictEqual([...tracks.keys()], ["engine", ...tasks.map((task, i) => `pid ${i + 1}: ${task}`)])
    const calls = [...tracks.values()].map((slices) =>
      slices.filter((s) => (s as unknown as { cat: string }).cat === "call").map((s) => s.name)
    )
    assert.deepStrictEqual(calls, [[], ["shell", "exit"], ["calc", "exit"], ["fs_read", "exit"]])
    for (const task of [...tracks.values()].slice(1)) {
      const names = task.map((s) => s.name)
      assert.includeMembers(names, ["ready", "read", "write"])
    }
    const engine = tracks.get("engine")!.map((s) => s.name)
    assert.includeMembers(engine, ["step", "swap in"])
  })

  it("batch --json: starts and exits say whose they are; flags are the defaults of lines; exit codes", async () => {
    const { call } = at(join(root, "home"))
    const other = workspace()
    const file = fileOf(
      { task: count, id: "a", workspace: "." },
      "",
      '"What is 5*6?"',
      { task: count, workspace: other, budget_tokens: 20 },
      { task: count, grant: ["fs_read"], budget_tokens: 400 },
      '"Show the content of ghost.txt."'
    )
    const { exitCode, stderr, stdout } = await call("batch", file, "--workspace", other, "--json")
    assert.strictEqual(stderr, "")
    const told = (type: string) =>
      lines(stdout)
        .filter((e) => e.type === type)
        .sort((a, b) => Number(a.line) - Number(b.line))
    assert.deepStrictEqual(
      told("start").map((e) => [e.line, e.task_id, e.task]),
      [
        [1, "a", count],
        [3, undefined, "What is 5*6?"],
        [4, undefined, count],
        [5, undefined, count],
        [6, undefined, "Show the content of ghost.txt."]
      ]
    )
    const exits = told("exit")
    assert.deepInclude(exits[0]!, { line: 1, task_id: "a", status: "ok", answer: "12" })
    assert.deepInclude(exits[1]!, { line: 3, status: "ok", answer: "30" })
    assert.deepInclude(exits[2]!, { line: 4, status: "budget" })
    const tools = lines(stdout).filter((e) => e.type === "syscall" && e.pid === exits[3]!.pid)
    assert.isEmpty(tools.filter((e) => e.tool !== "fs_read" && e.tool !== "exit"))
    assert.include(
      tools.map((e) => e.tool),
      "fs_read"
    )
    assert.deepInclude(exits[4]!, { line: 6, status: "failed" })
    // They do not share a code.
    assert.strictEqual(exitCode, 1)

    const budget = await call("batch", fileOf('"What is 3+4?"', { task: count, budget_tokens: 20 }))
    assert.deepInclude(budget, { exitCode: 3, stdout: "7\n" }, budget.stderr)
    const piped = await execa(noos, ["batch", "-"], {
      env: { NOOS_HOME: join(root, "home") },
      cwd: other,
      input: '"What is 3+4?"\n'
    })
    assert.strictEqual(piped.stdout, "7")
  })

  it("a wrong line is told by its number before anything runs", async () => {
    const home = join(root, "home-unused")
    const { call } = at(home)
    const cases: ReadonlyArray<readonly [unknown, RegExp]> = [
      ["{", /not JSON/],
      [{ task: "x", prio: 1 }, /excess property at \["prio"\]/],
      [{ task: "x", budget_tokens: 0 }, /budget_tokens/],
      [{ task: "x", grant: ["nothing"] }, /no such tool: nothing/],
      [{ task: "x", workspace: "nowhere" }, /not a folder: .*nowhere/]
    ]
    await Promise.all(
      cases.map(async ([row, what]) => {
        const file = fileOf('"What is 3+4?"', "", row, "{")
        const { exitCode, stderr, stdout } = await call("batch", file)
        assert.deepStrictEqual([exitCode, stdout], [2, ""], String(what))
        twoLines(stderr, what)
        assert.include(stderr, `noos: ${file}:3: `)
      })
    )
    const wrong: ReadonlyArray<readonly [ReadonlyArray<string>, RegExp]> = [
      [["batch", fileOf("", " ")], /no tasks/],
      [["batch", fileOf('"x"'), "--grant", "nothing"], /^noos: grant: no such tool: nothing/],
      [["run", "--trace", "/dev/full", "x"], /--trace: cannot write/],
      [["run", "--trace", join(gate().folder, "data.csv"), "x"], /--trace: cannot write .*: not a file/],
      [["run", "--parallel", "0", "x"], /above 0/],
      [["run", "--parallel", "257", "x"], /at most 256/]
    ]
    await Promise.all(
      wrong.map(async ([args, what]) => {
        const { exitCode, stderr, stdout } = await call(...args)
        assert.deepStrictEqual([exitCode, stdout], [2, ""], String(what))
        twoLines(stderr, what)
      })
    )
    assert.isFalse(existsSync(home))
  })

  it("Ctrl-C stops all, those too that wait for a row, and leaves what had ended alone", async () => {
    const { folder } = gate()
    const home = join(root, "home-interrupted")
    const { call, read, start } = at(home)
    const file = fileOf(
      ...[count, count, count].map((task) => ({ task, workspace: folder })),
      '"What is 3+4?"'
    )
    const { child, until } = start("batch", file, "--json", "--parallel", "2")
    await until(/"type":"exit"/)
    child.kill("SIGINT")
    const { exitCode, stdout } = await child
    assert.strictEqual(exitCode, 130)
    const exits = lines(stdout).filter((e) => e.type === "exit")
    assert.deepStrictEqual(
      exits.map((e) => e.status),
      ["ok", "killed", "killed", "killed"]
    )
    const [runs, processes] = await read((journal) => Effect.all([journal.runs(), journal.processes()]))
    assert.deepStrictEqual(
      runs.map((r) => r.status),
      ["ok", "interrupted", "interrupted", "interrupted"]
    )
    assert.deepStrictEqual(
      processes.map((p) => p.state),
      ["stopped", "stopped", "stopped", "zombie"]
    )
    const none = await call("ps", "--json")
    assert.deepInclude(none, { exitCode: 0, stdout: "", stderr: "" })
  })

  it("Ctrl-C does not lose the answers that there are", async () => {
    const { folder } = gate()
    const file = fileOf({ task: count, workspace: folder }, '"What is 3+4?"', {
      task: count,
      workspace: folder
    })
    const { child, until } = at(join(root, "home-answers")).start("batch", file, "--parallel", "3")
    await until(/2: done/)
    child.kill("SIGINT")
    const { exitCode, stdout } = await child
    assert.deepStrictEqual([exitCode, stdout], [130, "\n7\n"])
  })
})
