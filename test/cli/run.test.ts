import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { execa } from "execa"
import { processCalls } from "../../kernel/calls.ts"
import { Journal } from "../../kernel/journal.ts"
import { more } from "../../tools/index.ts"
import { lines, noos, scratch, twoLines } from "./launch.ts"

const { at, root: home, workspace } = scratch("cli")
const { call, options } = at(join(home, "home"))
const task = "How many lines are in data.csv, then save that number to count.txt."

describe("noos run", () => {
  it("does the README's task: the answer alone on stdout, progress on stderr, the file in place", async () => {
    const folder = workspace()
    const { stdout, stderr, exitCode } = await call("run", "--workspace", folder, task)
    assert.strictEqual(exitCode, 0, stderr)
    assert.strictEqual(stdout, "12")
    assert.strictEqual(readFileSync(join(folder, "count.txt"), "utf8"), "12")
    assert.match(
      stderr,
      /^noos · nano .*\n {2}shell .*wc -l < data\.csv.*12.*\n {2}fs_write .*count\.txt.*\ndone in/s
    )
  })

  it("--json: events on stdout, the exit last, as the contract has them", async () => {
    const folder = workspace()
    const { stdout, stderr, exitCode } = await call("run", "--workspace", folder, "--json", task)
    assert.strictEqual(exitCode, 0, stderr)
    const events = lines(stdout)
    const calls = events.filter((e) => e.type === "syscall")
    assert.deepStrictEqual(
      calls.map((c) => [c.tool, c.ok]),
      [
        ["shell", true],
        ["fs_write", true],
        ["exit", true]
      ]
    )
    for (const c of calls) assert.containsAllKeys(c, ["pid", "id", "tool", "args", "ok", "result", "ms"])
    const last = events.at(-1)!
    assert.deepInclude(last, { type: "exit", status: "ok", answer: "12" })
    assert.hasAllKeys(last.usage, ["prefillTokens", "cachedTokens", "generatedTokens", "syscalls", "wallMs"])
    assert.strictEqual((last.usage as { syscalls: number }).syscalls, 3)
  })

  it("exit codes: 1 failed, 2 usage, 3 budget, 5 environment, each with what and what to do", async () => {
    const folder = workspace()
    const failed = await call("run", "--workspace", folder, "Show the content of ghost.txt.")
    assert.strictEqual(failed.exitCode, 1, failed.stderr)
    assert.match(failed.stdout, /ghost\.txt/)

    const usage: ReadonlyArray<readonly [ReadonlyArray<string>, RegExp]> = [
      [["  "], /the task is empty/],
      [["--grant", "shell,nothing", task], /no such tool: nothing/],
      [["--agent", join(folder, "no.md"), task], /cannot read/],
      [["--workspace", join(folder, "nowhere"), task], /nowhere/],
      [["--workspace", join(folder, "data.csv"), task], /data\.csv/],
      [["--workspace", home, task], /holds noos's own folder/]
    ]
    for (const [args, what] of usage) {
      const place = args.includes("--workspace") ? [] : ["--workspace", folder]
      const { exitCode, stderr } = await call("run", ...place, ...args)
      assert.strictEqual(exitCode, 2, `${args}: ${stderr}`)
      twoLines(stderr, what)
    }
    for (const args of [[], ["--seed", "x", task], ["--nonsense", task], ["--budget-tokens", "0", task]]) {
      const { exitCode, stdout, stderr } = await call("run", ...args)
      assert.deepStrictEqual([exitCode, stdout], [2, ""], String(args))
      twoLines(stderr, /./)
    }

    const budget = await call("run", "--workspace", folder, "--budget-tokens", "250", "--json", task)
    assert.strictEqual(budget.exitCode, 3, budget.stderr)
    assert.deepInclude(lines(budget.stdout).at(-1)!, { type: "exit", status: "budget" })

    writeFileSync(join(folder, "bad.gguf"), "not a model")
    for (const model of ["none.gguf", "bad.gguf"]) {
      const { exitCode, stderr } = await call(
        "run",
        "--workspace",
        folder,
        "--model",
        join(folder, model),
        task
      )
      assert.strictEqual(exitCode, 5, stderr)
      twoLines(stderr, /gguf/)
    }
  })

  it("--grant: a tool that is not granted cannot be called", async () => {
    const folder = workspace()
    const { stdout } = await call(
      "run",
      "--workspace",
      folder,
      "--grant",
      "fs_read,fs_list",
      "--json",
      "--budget-seconds",
      "20",
      task
    )
    const tools = lines(stdout)
      .filter((e) => e.type === "syscall")
      .map((e) => e.tool)
    assert.isEmpty(tools.filter((t) => !["fs_read", "fs_list", "exit"].includes(String(t))))
    assert.isFalse(existsSync(join(folder, "count.txt")))
  })
})

describe("an interrupted run", () => {
  const long =
    "How many lines are in data.csv, then save that number to count.txt, then copy data.csv to b.csv, then how many words are in b.csv."

  /** Runs the long task and sends `signal` as soon as `n` calls have been reported. */
  const interruptAfter = async (n: number, signal: "SIGINT" | "SIGKILL") => {
    const journal = join(home, `home-${signal}-${n}`)
    const child = execa(noos, ["run", "--workspace", workspace(), "--json", long], {
      ...options,
      env: { NOOS_HOME: journal }
    })
    let out = ""
    let sent = false
    child.stdout!.on("data", (chunk: Buffer) => {
      out += chunk
      if (!sent && out.split('"type":"syscall"').length > n) {
        sent = true
        child.kill(signal)
      }
    })
    const { exitCode, signal: by } = await child
    return {
      events: lines(out.slice(0, out.lastIndexOf("\n") + 1)),
      exitCode,
      by,
      file: join(journal, "journal.db")
    }
  }

  for (const signal of ["SIGINT", "SIGKILL"] as const)
    it(`by ${signal}: the journal has every finished call exactly once, and the context to go on from`, async () => {
      for (const n of [1, 2, 3]) {
        const { events, exitCode, by, file } = await interruptAfter(n, signal)
        const reported = events.filter((e) => e.type === "syscall").map((e) => e.id as number)
        const ended = events.at(-1)?.type === "exit" && events.at(-1)?.status === "ok"
        if (!ended) {
          if (signal === "SIGINT") {
            assert.strictEqual(exitCode, 130)
            assert.deepInclude(events.at(-1)!, { type: "exit", status: "killed" })
          } else assert.strictEqual(by, "SIGKILL")
        }
        await Effect.gen(function* () {
          const journal = yield* Journal
          const [run] = yield* journal.runs()
          const calls = yield* journal.calls({ run: run!.id })
          assert.strictEqual(new Set(calls.map((c) => c.id)).size, calls.length)
          for (const id of reported)
            assert.strictEqual(calls.filter((c) => c.id === id && c.ended !== null).length, 1)
          assert.isAtMost(calls.filter((c) => c.ended === null).length, signal === "SIGKILL" ? 1 : 0)
          const [process] = yield* journal.processes(run!.id)
          const pages = yield* journal.pages(process!.pid)
          assert.deepStrictEqual(
            pages.slice(0, 2).map((p) => p.role),
            ["system", "task"]
          )
          assert.strictEqual(pages.filter((p) => p.role === "call").length, calls.length)
          if (signal === "SIGINT" && !ended) {
            assert.strictEqual(run!.status, "interrupted")
            assert.strictEqual(process!.state, "stopped")
          }
        }).pipe(Effect.provide(Journal.layer(file)), Effect.runPromise)
      }
    })
})

describe("stdout", () => {
  it("that cannot be written is an error, in two lines, and not a lost answer", async () => {
    const folder = workspace()
    for (const to of ["| head -c 1", "> /dev/full"]) {
      const command = `set -o pipefail; "${noos}" run --workspace "${folder}" --json "${task}" ${to}`
      const { exitCode, stderr } = await execa("bash", ["-c", command], options)
      assert.strictEqual(exitCode, 1, `${to}: ${stderr}`)
      assert.match(stderr, /^noos: stdout cannot be written: .*\nnoos: .*$/)
    }
  })
})

describe("noos tool", () => {
  it("lists the tools, and calls one through the whole path", async () => {
    const listed = await call("tool", "list", "--json")
    assert.deepStrictEqual(
      lines(listed.stdout).map((l) => l.name),
      [
        "shell",
        "fs_read",
        "fs_write",
        "fs_edit",
        "fs_list",
        "fs_search",
        "calc",
        ...more.map((t) => t.name),
        "recall",
        "note",
        "forget",
        "remember",
        ...processCalls.map((t) => t.name),
        "exit"
      ]
    )
    const folder = workspace()
    const plain = await call("tool", "call", "shell", '{"command":"wc -l < data.csv"}', "--workspace", folder)
    assert.deepInclude(plain, { stdout: "12", exitCode: 0 })
    const json = await call("tool", "call", "calc", '{"expression":"2^64"}', "--json")
    assert.deepInclude(lines(json.stdout)[0]!, { type: "syscall", tool: "calc", ok: true })
  })

  it("says what was wrong with a call and exits with 1, 2 or 4", async () => {
    const folder = workspace()
    const cases: ReadonlyArray<readonly [string, string, number, string]> = [
      ["fs_read", '{"path":"none.txt"}', 1, "not_found"],
      ["fs_read", '{"path":3}', 2, "bad_input"],
      ["fs_read", "{", 2, "bad_input"],
      ["nothing", "{}", 2, "bad_input"],
      ["fs_read", '{"path":"../x"}', 4, "outside_workspace"]
    ]
    for (const [name, args, code, error] of cases) {
      const plain = await call("tool", "call", name, args, "--workspace", folder)
      assert.strictEqual(plain.exitCode, code, plain.stderr)
      assert.strictEqual(plain.stdout, "")
      twoLines(plain.stderr, /./)
      const json = await call("tool", "call", name, args, "--workspace", folder, "--json")
      assert.strictEqual(json.exitCode, code)
      const [line] = lines(json.stdout)
      assert.strictEqual((line!.error as { code: string }).code, error)
    }
  })
})
