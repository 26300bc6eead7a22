import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import { TestClock } from "effect/testing"
import { Journal, type JournalError, type Layout } from "../../kernel/journal.ts"
import { applicationId, migrations } from "../../kernel/tables.ts"

/** A folder that goes when the test's scope closes. */
const folder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "noos-journal-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true }))
)

const open = (filename: string) => Effect.map(Layer.build(Journal.layer(filename)), Context.get(Journal))

/** A new journal with one run and one process. */
const fresh = Effect.gen(function* () {
  const filename = join(yield* folder, "journal.db")
  const journal = yield* open(filename)
  const run = yield* journal.beginRun({ task: "count lines", workspace: "/w", model: "nano" })
  const pid = yield* journal.spawn({ run, program: "fast" })
  return { filename, journal, run, pid }
})

const call = { tool: "shell", args: { command: "ls" }, effect: "pure" } as const

describe("what is written is read back", () => {
  it.effect("the life of a run", () =>
    Effect.gen(function* () {
      const journal = yield* open(join(yield* folder, "new", "folder", "journal.db"))
      yield* TestClock.setTime(1000)
      const run = yield* journal.beginRun({
        task: "count lines",
        workspace: "/w",
        model: "nano",
        hash: "sha256:00",
        options: { seed: 7 }
      })
      const pid = yield* journal.spawn({ run, program: "auto", priority: 2, budget: { tokens: 500 } })
      const child = yield* journal.spawn({ run, parent: pid, program: "fast" })
      yield* journal.appendPage(pid, { role: "system", text: "Do the task.", tokens: 4 })
      yield* journal.appendPage(pid, { role: "task", text: "count lines", tokens: 2 })
      yield* journal.transition(pid, "running", "scheduled")
      const intent = yield* journal.syscallIntent(pid, {
        ...call,
        page: { text: '{"tool":"shell"}', tokens: 9 }
      })
      yield* journal.transition(pid, "blocked", "syscall", {
        waiting: "shell",
        usage: { generatedTokens: 9 }
      })
      assert.deepInclude((yield* journal.processes(run))[0], {
        state: "blocked",
        why: "syscall",
        waiting: "shell",
        usage: { generatedTokens: 9 }
      })
      yield* TestClock.setTime(2500)
      yield* journal.syscallOutcome(intent.id, { ok: true, result: { exitCode: 0 }, text: "a\nb" })
      yield* journal.appendPage(pid, { role: "result", text: "result: a\nb", tokens: 5, call: intent.id })
      const failed = yield* journal.syscallIntent(child, { tool: "send", args: [], effect: "irreversible" })
      const error = { code: "denied", message: "not granted", retryable: false }
      yield* journal.syscallOutcome(failed.id, { ok: false, error, text: "error: not granted" })
      yield* journal.event(pid, "signal", { name: "TERM" })
      yield* journal.transition(child, "ready", "result", { usage: { generatedTokens: 3 } })
      yield* journal.transition(child, "running", "scheduled")
      yield* journal.exit(child, { status: "denied", why: "not granted" })
      yield* journal.exit(pid, { status: "ok", why: "exit", answer: null, usage: { generatedTokens: 20 } })
      yield* journal.endRun(run, "ok")

      assert.deepStrictEqual(yield* journal.run(run), {
        id: run,
        started: 1000,
        ended: 2500,
        status: "ok",
        task: "count lines",
        workspace: "/w",
        model: "nano",
        hash: "sha256:00",
        options: { seed: 7 },
        owner: process.pid
      })
      const [parent, denied] = yield* journal.processes(run)
      assert.deepStrictEqual(parent, {
        pid,
        run,
        parent: null,
        origin: null,
        shared: 0,
        program: "auto",
        state: "zombie",
        why: "exit",
        waiting: null,
        priority: 2,
        budget: { tokens: 500 },
        usage: { generatedTokens: 20 },
        status: "ok",
        answer: null,
        layout: null,
        created: 1000,
        updated: 2500
      })
      assert.deepInclude(denied, { pid: child, parent: pid, status: "denied", usage: { generatedTokens: 3 } })
      const [first, second] = yield* journal.calls({ run })
      assert.deepStrictEqual(first, {
        id: intent.id,
        pid,
        seq: 1,
        ...call,
        key: intent.key,
        started: 1000,
        ended: 2500,
        ok: true,
        result: { exitCode: 0 },
        error: null,
        text: "a\nb"
      })
      assert.deepInclude(second, { pid: child, ok: false, result: null, error, text: "error: not granted" })
      assert.notStrictEqual(first!.key, second!.key)
      assert.deepStrictEqual(yield* journal.calls({ pid: child }), [second!])
      assert.deepStrictEqual(
        (yield* journal.pages(pid)).map(({ call, ordinal, role, tokens }) => [ordinal, role, tokens, call]),
        [
          [1, "system", 4, null],
          [2, "task", 2, null],
          [3, "call", 9, intent.id],
          [4, "result", 5, intent.id]
        ]
      )
      const events = yield* journal.events(run)
      assert.deepStrictEqual(
        events.map(({ at, data, kind, pid }) => [
          at,
          pid,
          kind,
          data.to ?? data.status ?? data.id ?? data.name
        ]),
        [
          [1000, null, "begin", undefined],
          [1000, pid, "state", "ready"],
          [1000, child, "state", "ready"],
          [1000, pid, "page", 1],
          [1000, pid, "page", 2],
          [1000, pid, "state", "running"],
          [1000, pid, "call", 1],
          [1000, pid, "page", 3],
          [1000, pid, "state", "blocked"],
          [2500, pid, "outcome", 1],
          [2500, pid, "page", 4],
          [2500, child, "call", 2],
          [2500, child, "outcome", 2],
          [2500, pid, "signal", "TERM"],
          [2500, child, "state", "ready"],
          [2500, child, "state", "running"],
          [2500, child, "state", "zombie"],
          [2500, pid, "state", "zombie"],
          [2500, null, "end", "ok"]
        ]
      )
      assert.deepStrictEqual(events[8]!.data, {
        from: "running",
        to: "blocked",
        why: "syscall",
        waiting: "shell",
        status: null
      })
      assert.deepStrictEqual(events[12]!.data, { id: 2, ok: false })
      assert.deepStrictEqual(yield* journal.events(run, events[14]!.seq), events.slice(15))
    })
  )

  it.effect("a fork shares the pages that its parent had, and neither sees what the other adds", () =>
    Effect.gen(function* () {
      const { journal, pid, run } = yield* fresh
      const page = (text: string) => ({ role: "note", text, tokens: 1 }) as const
      const context = (of: number) =>
        Effect.map(journal.pages(of), (pages) => pages.map((p) => p.text).join(""))
      const fork = (parent: number) => journal.spawn({ run, parent, origin: parent, program: "p" })
      for (const text of "ab") yield* journal.appendPage(pid, page(text))
      const child = yield* fork(pid)
      yield* journal.appendPage(pid, page("c"))
      const late = yield* fork(pid)
      const bare = yield* fork(child)
      for (const text of "xy") yield* journal.appendPage(child, page(text))
      const deep = yield* fork(child)
      yield* journal.appendPage(deep, page("z"))
      yield* journal.appendPage(bare, page("!"))
      const plain = yield* journal.spawn({ run, parent: pid, program: "p" })
      const contexts = yield* Effect.forEach([pid, child, late, bare, deep, plain], context)
      assert.deepStrictEqual(contexts, ["abc", "abxy", "abc", "ab!", "abxyz", ""])
      assert.deepStrictEqual(
        (yield* journal.pages(deep)).map((p) => p.ordinal),
        [1, 2, 3, 4, 5]
      )
      assert.deepInclude(yield* journal.process(deep), {
        parent: child,
        origin: child,
        shared: 4,
        why: "fork"
      })
      assert.isUndefined(yield* journal.process(99))
    })
  )

  it.effect(
    "a fork is born with the layout that its origin has then; a plain child and a late one are not",
    () =>
      Effect.gen(function* () {
        const { filename, journal, pid, run } = yield* fresh
        const layout = (pages: number): Layout => ({
          pages,
          evictions: 3,
          frames: [
            { kind: "system", pages: [[1, 1]], tokens: 90, pinned: true, used: 1 },
            {
              kind: "stub",
              pages: [
                [3, 8],
                [11, 12]
              ],
              tokens: 30,
              pinned: false,
              used: 12
            },
            { kind: "exchange", pages: [[9, 10]], tokens: 40, pinned: false, used: 10 }
          ]
        })
        const layoutOf = (of: number) => Effect.map(journal.process(of), (found) => found?.layout)
        const early = yield* journal.spawn({ run, parent: pid, origin: pid, program: "p" })
        yield* journal.layout(pid, layout(12))
        const forked = yield* journal.spawn({ run, parent: pid, origin: pid, program: "p" })
        const plain = yield* journal.spawn({ run, parent: pid, program: "p" })
        yield* journal.layout(pid, layout(14))
        yield* journal.transition(pid, "running", "scheduled")
        const reader = yield* open(filename)
        assert.deepStrictEqual((yield* reader.process(pid))?.layout, layout(14))
        assert.deepStrictEqual(yield* Effect.forEach([early, forked, plain], layoutOf), [
          null,
          layout(12),
          null
        ])
        yield* journal.exit(forked, { status: "ok", why: "done" })
        assert.match(
          (yield* Effect.flip(journal.layout(forked, layout(20)))).message,
          /has exited, or never was/
        )
        assert.match((yield* Effect.flip(journal.layout(99, layout(20)))).message, /has exited, or never was/)
        assert.deepStrictEqual(yield* layoutOf(forked), layout(12))
      })
  )

  it.effect("runs are listed the newest first, and pids are the journal's, not the run's", () =>
    Effect.gen(function* () {
      const { journal, pid, run } = yield* fresh
      const second = yield* journal.beginRun({ task: "again", workspace: "/w", model: "nano" })
      const other = yield* journal.spawn({ run: second, program: "fast" })
      assert.notStrictEqual(other, pid)
      assert.deepStrictEqual(
        (yield* journal.runs()).map((r) => r.id),
        [second, run]
      )
      assert.deepStrictEqual(
        (yield* journal.runs(1)).map((r) => r.task),
        ["again"]
      )
      assert.deepStrictEqual(
        (yield* journal.processes()).map((p) => p.pid),
        [pid, other]
      )
      assert.deepStrictEqual(
        (yield* journal.processes(second)).map((p) => p.pid),
        [other]
      )
      assert.match((yield* Effect.flip(journal.run(99))).message, /no run 99/)
    })
  )

  it.effect("texts survive byte for byte: unicode, NUL, a megabyte", () =>
    Effect.gen(function* () {
      const { filename, journal, pid } = yield* fresh
      const texts = [
        "",
        "\0",
        "a\0b\0",
        "é 漢字 \u{1F9E0}\u200d \uffff \u202e",
        "\r\n\t\x1b[31m'\"\\",
        "🙂x".repeat(350_000)
      ]
      for (const text of texts) {
        yield* journal.appendPage(pid, { role: "result", text, tokens: 1 })
        const { id } = yield* journal.syscallIntent(pid, { tool: "t", args: { text }, effect: "pure" })
        yield* journal.syscallOutcome(id, { ok: true, result: [text], text })
      }
      // Read through another connection, as `noos logs` would.
      const reader = yield* open(filename)
      assert.deepStrictEqual(
        (yield* reader.pages(pid)).map((page) => page.text),
        texts
      )
      const calls = yield* reader.calls({ pid })
      assert.deepStrictEqual(
        calls.map((c) => [c.args, c.result, c.text]),
        texts.map((text) => [{ text }, [text], text])
      )
    })
  )

  it.effect("a lone surrogate survives in JSON and is replaced in text", () =>
    Effect.gen(function* () {
      const { journal, pid } = yield* fresh
      const { id } = yield* journal.syscallIntent(pid, { tool: "t", args: ["\ud800"], effect: "pure" })
      yield* journal.syscallOutcome(id, { ok: true, result: "\udc00", text: "x\ud800y" })
      const [found] = yield* journal.calls({ pid })
      assert.deepStrictEqual([found!.args, found!.result, found!.text], [["\ud800"], "\udc00", "x\ufffdy"])
    })
  )
})

describe("what must not be written is refused, and changes nothing", () => {
  it.effect("a second outcome of a call, or one of a call that never began", () =>
    Effect.gen(function* () {
      const { journal, pid, run } = yield* fresh
      const { id } = yield* journal.syscallIntent(pid, call)
      assert.deepStrictEqual(
        (yield* journal.unfinished(run)).map((c) => c.id),
        [id]
      )
      yield* journal.syscallOutcome(id, { ok: true, result: 1, text: "1" })
      const before = yield* journal.events(run)
      const again = yield* Effect.flip(journal.syscallOutcome(id, { ok: true, result: 2, text: "2" }))
      assert.strictEqual(again._tag, "JournalError")
      assert.match(again.message, /has an outcome already/)
      yield* Effect.flip(
        journal.syscallOutcome(id, { ok: false, error: { code: "x", message: "x" }, text: "" })
      )
      yield* Effect.flip(journal.syscallOutcome(id + 1, { ok: true, result: 2, text: "2" }))
      assert.deepStrictEqual(
        (yield* journal.calls({ pid })).map((c) => c.result),
        [1]
      )
      assert.deepStrictEqual(yield* journal.events(run), before)
      assert.deepStrictEqual(yield* journal.unfinished(run), [])
    })
  )

  it.effect("anything after the end of a process or a run", () =>
    Effect.gen(function* () {
      const { journal, pid, run } = yield* fresh
      yield* journal.exit(pid, { status: "failed", why: "gave up", answer: "none" })
      yield* Effect.flip(journal.exit(pid, { status: "ok", why: "no" }))
      yield* Effect.flip(journal.transition(pid, "running", "no"))
      yield* journal.endRun(run, "failed")
      yield* Effect.flip(journal.endRun(run, "ok"))
      assert.deepInclude((yield* journal.processes(run))[0], {
        status: "failed",
        answer: "none",
        why: "gave up"
      })
      assert.strictEqual((yield* journal.run(run)).status, "failed")
      assert.deepStrictEqual(
        (yield* journal.events(run)).map((e) => e.kind),
        ["begin", "state", "state", "end"]
      )
    })
  )

  it.effect("children, pages, calls and events of nobody", () =>
    Effect.gen(function* () {
      const { journal, pid, run } = yield* fresh
      const strays = [
        journal.spawn({ run: 99, program: "p" }),
        journal.spawn({ run, parent: 99, program: "p" }),
        journal.appendPage(99, { role: "note", text: "", tokens: 0 }),
        journal.appendPage(pid, { role: "call", text: "", tokens: 0, call: 99 }),
        journal.syscallIntent(99, call)
      ]
      for (const stray of strays) {
        assert.match(
          (yield* Effect.flip<unknown, JournalError, never>(stray)).hint,
          /no such run, process or call/
        )
      }
      yield* Effect.flip(journal.event(99, "signal", {}))
      assert.lengthOf(yield* journal.events(run), 2)
    })
  )

  it.effect("an intent inside a transaction: its call would run before it is written", () =>
    Effect.gen(function* () {
      const { journal, pid } = yield* fresh
      const error = yield* Effect.flip(journal.atomically(journal.syscallIntent(pid, call)))
      assert.match(error.message, /atomically/)
      assert.deepStrictEqual(yield* journal.calls({ pid }), [])
    })
  )

  it.effect("what JSON cannot carry", () =>
    Effect.gen(function* () {
      const { journal, pid, run } = yield* fresh
      const cycle: { self?: unknown } = {}
      cycle.self = cycle
      const { id } = yield* journal.syscallIntent(pid, call)
      for (const result of [1n, cycle]) {
        const error = yield* Effect.flip(journal.syscallOutcome(id, { ok: true, result, text: "" }))
        assert.match(error.message, /not JSON/)
      }
      assert.lengthOf(yield* journal.unfinished(run), 1)
      yield* journal.syscallOutcome(id, { ok: true, result: undefined, text: "" })
      assert.deepInclude((yield* journal.calls({ pid }))[0], { ok: true, result: null })
    })
  )

  it.effect("half of what belongs together", () =>
    Effect.gen(function* () {
      const { journal, pid, run } = yield* fresh
      const { id } = yield* journal.syscallIntent(pid, call)
      const before = yield* journal.events(run)
      const both = journal
        .syscallOutcome(id, { ok: true, result: 1, text: "1" })
        .pipe(Effect.andThen(journal.appendPage(pid, { role: "result", text: "1", tokens: 1, call: 99 })))
      yield* Effect.flip(journal.atomically(both))
      assert.lengthOf(yield* journal.unfinished(run), 1)
      assert.deepStrictEqual(yield* journal.events(run), before)
      assert.strictEqual(yield* Effect.flip(journal.atomically(Effect.fail("mine"))), "mine")
      // An intent goes with its page.
      yield* Effect.flip(journal.syscallIntent(pid, { ...call, page: { text: "", tokens: 0.5 } }))
      assert.deepStrictEqual(yield* journal.events(run), before)
    })
  )
})

describe("a file that cannot be a journal is an error with a hint", () => {
  const refusal = (filename: string) => Effect.flip(Effect.scoped(open(filename)))
  const sqlite = (filename: string, sql: string) => {
    using db = new DatabaseSync(filename)
    db.exec(sql)
  }

  it.effect("not a database, and it is left as it was", () =>
    Effect.gen(function* () {
      const filename = join(yield* folder, "journal.db")
      const text = "these are somebody's notes\n".repeat(200)
      writeFileSync(filename, text)
      const error = yield* refusal(filename)
      assert.strictEqual(error._tag, "JournalError")
      assert.include(error.message, filename)
      assert.match(error.hint, /no journal, or a damaged one/)
      assert.strictEqual(readFileSync(filename, "utf8"), text)
    })
  )

  it.effect("a journal with garbage in the middle", () =>
    Effect.gen(function* () {
      const filename = join(yield* folder, "journal.db")
      yield* Effect.scoped(
        Effect.gen(function* () {
          const journal = yield* open(filename)
          const run = yield* journal.beginRun({ task: "t", workspace: "/", model: "m" })
          const pid = yield* journal.spawn({ run, program: "p" })
          for (let n = 0; n < 200; n++) {
            yield* journal.appendPage(pid, { role: "note", text: `${n}`.repeat(300), tokens: 1 })
          }
        })
      )
      const bytes = readFileSync(filename)
      // The first page holds the schema: past it, so that opening goes well and reading does not.
      writeFileSync(filename, bytes.fill(0xa5, 4096 * 3))
      const error = yield* Effect.flip(
        Effect.scoped(
          Effect.flatMap(open(filename), (journal) => Effect.all([journal.runs(), journal.pages(1)]))
        )
      )
      assert.strictEqual(error._tag, "JournalError")
      assert.match(error.hint, /damaged/)
    })
  )

  it.effect("one that a newer noos wrote", () =>
    Effect.gen(function* () {
      const filename = join(yield* folder, "journal.db")
      yield* Effect.scoped(open(filename))
      sqlite(filename, "PRAGMA user_version = 1000")
      const error = yield* refusal(filename)
      assert.match(error.message, /newer noos \(format 1000/)
      assert.match(error.hint, /update noos/)
    })
  )

  it.effect("an older journal is brought up to date and keeps what it has", () =>
    Effect.gen(function* () {
      const filename = join(yield* folder, "journal.db")
      const first = migrations[0]!.join(";")
      sqlite(
        filename,
        `${first}; PRAGMA application_id = ${applicationId}; PRAGMA user_version = 1;
         INSERT INTO runs (started, task, workspace, model, options, owner) VALUES (1, 't', '/w', 'm', '{}', 1);
         INSERT INTO processes (run, program, state, why, priority, budget, usage, created, updated)
         VALUES (1, 'fast', 'ready', 'spawn', 0, '{}', '{}', 1, 1)`
      )
      const journal = yield* open(filename)
      assert.deepInclude(yield* journal.process(1), { program: "fast", origin: null, shared: 0 })
    })
  )

  it.effect("another program's database, which gets no tables of ours", () =>
    Effect.gen(function* () {
      const filename = join(yield* folder, "journal.db")
      sqlite(filename, "CREATE TABLE bookmarks (url)")
      assert.match((yield* refusal(filename)).message, /another program/)
      const db = new DatabaseSync(filename)
      assert.deepStrictEqual(db.prepare("SELECT count(*) AS n FROM sqlite_schema").get()!.n, 1)
      db.close()
    })
  )

  it.effect("a row that no noos writes", () =>
    Effect.gen(function* () {
      const { filename, journal, run } = yield* fresh
      sqlite(filename, "UPDATE processes SET state = 'dancing'")
      const error = yield* Effect.flip(journal.processes(run))
      assert.strictEqual(error._tag, "JournalError")
      assert.match(error.message, /^[^\n]*state[^\n]*$/)
      assert.match(error.hint, /something else wrote/)
    })
  )

  it.effect("half an outcome or half an exit, which the tables themselves refuse", () =>
    Effect.gen(function* () {
      const { filename, journal, pid } = yield* fresh
      yield* journal.syscallIntent(pid, call)
      const halves = [
        "UPDATE syscalls SET ended = 1",
        "UPDATE syscalls SET ended = 1, ok = 1",
        "UPDATE syscalls SET ended = 1, ok = 1, result = '1', error = '{}'",
        "UPDATE syscalls SET result = '1'",
        "UPDATE processes SET state = 'zombie'",
        "UPDATE runs SET ended = 1"
      ]
      for (const half of halves) assert.throws(() => sqlite(filename, half), /CHECK constraint/, half)
    })
  )

  it.effect("a folder that cannot be written, a path that is a folder, a folder that is a file", () =>
    Effect.gen(function* () {
      const path = yield* folder
      writeFileSync(join(path, "file"), "")
      mkdirSync(join(path, "locked"))
      chmodSync(path, 0o755)
      chmodSync(join(path, "locked"), 0o555)
      // Modes mean nothing to root: be nobody meanwhile.
      const nobody = Effect.acquireRelease(
        Effect.sync(() => {
          if (process.geteuid?.() === 0) process.seteuid?.(65534)
        }),
        () =>
          Effect.sync(() => {
            if (process.getuid?.() === 0) process.seteuid?.(0)
          })
      )
      const paths = ["locked/journal.db", "locked/deep/journal.db", "locked", "file/journal.db"]
      for (const name of paths) {
        const error = yield* Effect.scoped(Effect.andThen(nobody, refusal(join(path, name))))
        assert.strictEqual(error._tag, "JournalError", name)
        assert.match(error.hint, /may write/, name)
      }
    })
  )

  it.effect("a folder that the file system refuses to make", () =>
    Effect.gen(function* () {
      const error = yield* refusal("/proc/noos/deep/journal.db")
      assert.match(error.hint, /may write/)
    })
  )

  it.effect("a new one is for its user alone", () =>
    Effect.gen(function* () {
      const { filename } = yield* fresh
      for (const name of [filename, `${filename}-wal`, `${filename}-shm`]) {
        assert.strictEqual(statSync(name).mode & 0o777, 0o600, name)
      }
    })
  )
})
