/** Several noos processes on one journal, some of them killed while they write. */
import { spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import { Journal } from "../../kernel/journal.ts"

/** A folder that goes when the test's scope closes. */
const folder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "noos-journal-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true }))
)

const open = (filename: string) => Effect.map(Layer.build(Journal.layer(filename)), Context.get(Journal))

interface Ended {
  readonly code: number | null
  /** What it said after `ready`, in words; a line that the kill cut short is not among them. */
  readonly lines: ReadonlyArray<ReadonlyArray<string>>
}

/** Runs writers that begin together. With `killAfter`, each is killed -9 once it has said that many lines. */
const writers = (
  filename: string,
  options: { count: number; processes: number; calls: number; killAfter?: number }
) =>
  Effect.callback<ReadonlyArray<Ended>>((done) => {
    const program = fileURLToPath(new URL("journal-writer.ts", import.meta.url))
    const { calls, count, killAfter = Number.POSITIVE_INFINITY, processes } = options
    const ended: Array<Ended> = []
    let ready = 0
    const children = Array.from({ length: count }, () => {
      const child = spawn(process.execPath, [program, filename, String(processes), String(calls)], {
        stdio: ["pipe", "pipe", "inherit"]
      })
      let said: Array<string> = [""]
      child.stdout.setEncoding("utf8").on("data", (text: string) => {
        if (said.length === 1 && ++ready === count) for (const { stdin } of children) stdin.end()
        const [first, ...rest] = text.split("\n")
        said = [...said.slice(0, -1), `${said.at(-1)}${first}`, ...rest]
        if (said.length - 2 >= killAfter) child.kill("SIGKILL")
      })
      child.on("close", (code) => {
        ended.push({ code, lines: said.slice(1, -1).map((line) => line.split(" ")) })
        if (ended.length === count) done(Effect.succeed(ended))
      })
      return child
    })
    return Effect.sync(() => {
      for (const child of children) child.kill("SIGKILL")
    })
  })

/** Fails unless the file is whole and holds all that a writer was told it holds, each thing once. */
const checkKept = Effect.fnUntraced(function* (
  filename: string,
  lines: ReadonlyArray<ReadonlyArray<string>>
) {
  const journal = yield* open(filename)
  const run = Number(lines.find(([word]) => word === "run")![1])
  const calls = yield* journal.calls({ run })
  const events = yield* journal.events(run)
  const byId = new Map(calls.map((c) => [c.id, c]))
  for (const [word, id, pid, seq] of lines.filter(([word]) => word !== "run")) {
    const found = byId.get(Number(id))
    const text = `${pid}/${seq}`
    assert.deepInclude(found, { pid: Number(pid), seq: Number(seq), args: { text } })
    if (word === "outcome") assert.deepInclude(found, { ok: true, result: { text }, text })
  }
  const seen = (kind: string) =>
    events
      .filter((event) => event.kind === kind)
      .map((event) => event.data.id)
      .sort((a, b) => Number(a) - Number(b))
  const ids = calls.map((c) => c.id)
  const finished = calls.filter((c) => c.ended !== null).map((c) => c.id)
  assert.deepStrictEqual(seen("call"), ids)
  assert.deepStrictEqual(seen("outcome"), finished)
  const processes = yield* journal.processes(run)
  for (const { pid } of processes) {
    const own = calls.filter((c) => c.pid === pid)
    assert.deepStrictEqual(
      own.map((c) => c.seq),
      own.map((_, n) => n + 1)
    )
    const unknown = own.filter((c) => c.ended === null)
    assert.isAtMost(unknown.length, 1)
    assert.include([undefined, own.at(-1)?.seq], unknown[0]?.seq, "only the last call can be unknown")
    const expected = own.flatMap((c) => (c.ended === null ? ["call"] : ["call", "result"]))
    assert.deepStrictEqual(
      (yield* journal.pages(pid)).map((page) => page.role),
      expected
    )
  }
  assert.deepStrictEqual(
    (yield* journal.unfinished(run)).map((c) => c.id),
    ids.filter((id) => !finished.includes(id))
  )
  return { calls, processes, run: yield* journal.run(run) }
}, Effect.scoped)

const integrity = (filename: string) => {
  const db = new DatabaseSync(filename)
  const found = [db.prepare("PRAGMA integrity_check").all(), db.prepare("PRAGMA foreign_key_check").all()]
  // The full-text index is whole too, and has the pages that the table has.
  db.exec("INSERT INTO page_words (page_words) VALUES ('integrity-check')")
  const indexed = db.prepare("SELECT rowid AS id FROM page_words ORDER BY rowid").all()
  assert.deepStrictEqual(indexed, db.prepare("SELECT id FROM pages ORDER BY id").all())
  assert.isAbove(indexed.length, 0)
  db.close()
  return JSON.stringify(found)
}

describe("several processes", { timeout: 180_000 }, () => {
  it.live("kill -9 while writing: nothing acknowledged is lost, nothing is there twice", () =>
    Effect.gen(function* () {
      const filename = join(yield* folder, "journal.db")
      const all: Array<ReadonlyArray<ReadonlyArray<string>>> = []
      for (const killAfter of [5, 1201]) {
        const [ended] = yield* writers(filename, { count: 1, processes: 3, calls: 1_000_000, killAfter })
        const { code, lines } = ended!
        assert.isNull(code, "killed, not ended")
        assert.isAtLeast(lines.length, killAfter)
        assert.strictEqual(integrity(filename), '[[{"integrity_check":"ok"}],[]]')
        all.push(lines)
      }
      // The later writers and recoveries must not have hurt what the earlier ones wrote.
      for (const lines of all) {
        const { run } = yield* checkKept(filename, lines)
        assert.isNull(run.ended)
      }
    })
  )

  it.live("writers of one new file at once lose nothing and share no pid", () =>
    Effect.gen(function* () {
      // Opening races too: who makes the folder and the tables, who switches the file to write-ahead mode.
      const filename = join(yield* folder, "new", "journal.db")
      const pids = new Set<number>()
      for (const { code, lines } of yield* writers(filename, { count: 3, processes: 2, calls: 50 })) {
        assert.strictEqual(code, 0)
        assert.lengthOf(lines, 1 + 2 * 2 * 50)
        const { calls, processes, run } = yield* checkKept(filename, lines)
        assert.lengthOf(calls, 2 * 50)
        assert.strictEqual(run.status, "ok")
        for (const { pid, status } of processes) {
          assert.strictEqual(status, "ok")
          pids.add(pid)
        }
      }
      assert.strictEqual(pids.size, 3 * 2)
      assert.strictEqual(integrity(filename), '[[{"integrity_check":"ok"}],[]]')
    })
  )
})
