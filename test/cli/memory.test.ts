import { mkdirSync, symlinkSync } from "node:fs"
import { join } from "node:path"
import { assert, beforeAll, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Journal } from "../../kernel/journal.ts"
import { Memories } from "../../kernel/memory/memories.ts"
import { lines, scratch, twoLines } from "./launch.ts"

const { at, root } = scratch("memory")
const home = join(root, "home")
const { call } = at(home)
const folder = join(root, "project")
const other = join(root, "other")

/** Two runs with a process each: what they remember of one folder, and one thing of another. */
beforeAll(async () => {
  for (const path of [folder, other]) mkdirSync(path)
  const remember = Effect.gen(function* () {
    const journal = yield* Journal
    const memories = yield* Memories
    const label = { integrity: "untrusted", source: "test" } as const
    for (const [text, workspace, key] of [
      ["the port is 8080", folder, "port"],
      ["lines\nin two", folder],
      ["elsewhere", other],
      ["the port is 9090", folder, "port"]
    ] as const) {
      const run = yield* journal.beginRun({ task: "t", workspace, model: "m" })
      const pid = yield* journal.spawn({ run, program: "fast" })
      yield* memories.remember({ workspace, text, run, pid, label, ...(key === undefined ? {} : { key }) })
    }
  })
  await remember.pipe(Effect.provide(Journal.layer(join(home, "journal.db"))), Effect.runPromise)
})

const listed = async (where: string) =>
  lines((await call("memory", "--workspace", where, "--json")).stdout).map(
    ({ id, key, run, text, version }) => [id, key, version, run, text]
  )

describe("noos memory", () => {
  it("shows what is remembered of a folder, and no other", async () => {
    assert.deepStrictEqual(await listed(folder), [
      [2, null, 1, 2, "lines\nin two"],
      [4, "port", 2, 4, "the port is 9090"]
    ])
    const link = join(root, "link")
    symlinkSync(folder, link)
    const { exitCode, stdout } = await call("memory", "--workspace", link)
    assert.strictEqual(exitCode, 0)
    const [head, first, second, ...more] = stdout.split("\n")
    assert.match(head!, /^ID +KEY +VERSION +FROM +WHEN +TEXT$/)
    assert.match(first!, /^ 2 +- +1 +run 2, process 2 +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d +lines ⏎ in two$/)
    assert.match(second!, /^ 4 +port +2 +run 4, process 4 .* the port is 9090$/)
    assert.deepStrictEqual(more, [])
  })

  it("takes back what one source remembered, and says how much", async () => {
    const rollback = (...args: ReadonlyArray<string>) =>
      call("memory", "rollback", "--workspace", folder, ...args)
    const said = async (what: ReturnType<typeof call>) => {
      const { exitCode, stderr, stdout } = await what
      assert.strictEqual(exitCode, 0, stderr)
      return stdout
    }
    assert.strictEqual(await said(rollback("--run", "3")), `nothing of run 3 is remembered of ${folder}`)
    assert.strictEqual(await said(rollback("--pid", "4")), "retracted 1 memory of process 4")
    assert.deepStrictEqual(await listed(folder), [
      [1, "port", 1, 1, "the port is 8080"],
      [2, null, 1, 2, "lines\nin two"]
    ])
    const versions = await said(call("memory", "versions", "port", "--workspace", folder))
    assert.match(
      versions,
      /^ID .*\n +1 +port +1 .* the port is 8080\n +4 +port +2 .* \(retracted .*\) the port is 9090$/
    )
    assert.strictEqual(await said(rollback("--run", "1", "--json")), '{"retracted":1}')
    assert.deepStrictEqual(await listed(folder), [[2, null, 1, 2, "lines\nin two"]])
    assert.strictEqual((await listed(other)).length, 1)
  })

  it("says so where nothing is remembered, and what was asked wrongly", async () => {
    const nowhere = at(join(root, "nothing"))
    const nothing: ReadonlyArray<readonly [ReturnType<typeof call>, string]> = [
      [nowhere.call("memory", "--workspace", folder), `nothing is remembered of ${folder}`],
      [
        call("memory", "versions", "nope", "--workspace", folder),
        `nothing was ever remembered under nope of ${folder}`
      ]
    ]
    for (const [ran, what] of nothing)
      assert.deepInclude(await ran, { exitCode: 0, stdout: what, stderr: "" })

    const wrong: ReadonlyArray<readonly [ReadonlyArray<string>, RegExp]> = [
      [["--workspace", join(root, "no-such")], /workspace: not a folder: /],
      [["rollback", "--workspace", folder], /memories are rolled back by one source$/],
      [
        ["rollback", "--workspace", folder, "--run", "1", "--pid", "1"],
        /memories are rolled back by one source$/
      ]
    ]
    for (const [args, what] of wrong) {
      const { exitCode, stderr } = await call("memory", ...args)
      assert.strictEqual(exitCode, 2, stderr)
      twoLines(stderr, what)
    }
  })
})
