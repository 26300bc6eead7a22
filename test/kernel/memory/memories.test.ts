/** Long-term memory: versions, rollback by source, folders apart, search. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Schema } from "effect"
import { TestClock } from "effect/testing"
import { Journal, type JournalError } from "../../../kernel/journal.ts"
import { Memories, type Memory, type NewMemory } from "../../../kernel/memory/memories.ts"
import type { ToolError } from "../../../kernel/tool.ts"

/** A file in a folder that goes when the test's scope closes. */
const file = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "noos-memories-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true }))
).pipe(Effect.map((path) => join(path, "journal.db")))

const open = (filename: string) =>
  Effect.map(Layer.build(Journal.layer(filename)), (context) => ({
    journal: Context.get(context, Journal),
    memories: Context.get(context, Memories)
  }))

const label = { integrity: "untrusted", source: "model" } as const

/** A new journal with two runs of two processes each: 1 and 2, 3 and 4. */
const fresh = Effect.gen(function* () {
  const filename = yield* file
  const { journal, memories } = yield* open(filename)
  for (const workspace of ["/a", "/b"]) {
    const run = yield* journal.beginRun({ task: "t", workspace, model: "m" })
    for (let n = 0; n < 2; n++) yield* journal.spawn({ run, program: "p" })
  }
  const remember = (text: string, more?: Partial<NewMemory>) =>
    memories.remember({ workspace: "/a", text, run: 1, pid: 1, label, ...more })
  const found = (words: string, workspace = "/a", limit = 1000) => memories.search(workspace, words, limit)
  return { filename, found, journal, memories, remember }
})

const texts = Effect.map((all: ReadonlyArray<Memory>) => all.map((memory) => memory.text))

describe("remember", () => {
  it.effect("keeps a text with its source; a key's newer text replaces the older one", () =>
    Effect.gen(function* () {
      const { filename, memories, remember } = yield* fresh
      yield* TestClock.setTime(1000)
      assert.deepStrictEqual(yield* remember("tests run with make check"), { id: 1, version: 1 })
      assert.deepStrictEqual(yield* remember("port 80", { key: "port" }), { id: 2, version: 1 })
      assert.deepStrictEqual(yield* remember("port 8080", { key: "port", run: 2, pid: 3 }), {
        id: 3,
        version: 2
      })
      assert.deepStrictEqual(yield* remember("tests run with make check"), { id: 4, version: 1 })
      const reader = yield* open(filename)
      const all = yield* reader.memories.list("/a")
      const kept = { workspace: "/a", label, created: 1000, retracted: null }
      const same = { ...kept, key: null, version: 1, text: "tests run with make check", run: 1, pid: 1 }
      assert.deepStrictEqual(all, [
        { ...same, id: 1 },
        { ...kept, id: 3, key: "port", version: 2, text: "port 8080", run: 2, pid: 3 },
        { ...same, id: 4 }
      ])
      assert.deepStrictEqual(yield* texts(memories.versions("/a", "port")), ["port 80", "port 8080"])
      assert.deepStrictEqual(yield* memories.versions("/a", "other"), [])
    })
  )

  it.effect("refuses nothing, too much, and sources that never were", () =>
    Effect.gen(function* () {
      const { found, memories, remember } = yield* fresh
      yield* remember("é".repeat(8 * 1024), { key: "k".repeat(200) })
      const wrong: ReadonlyArray<
        readonly [ToolError["code"], RegExp, Effect.Effect<unknown, JournalError | ToolError>]
      > = [
        ["too_large", /at most 16384 bytes, got 16385/, remember(`${"é".repeat(8 * 1024)}a`)],
        ["too_large", /at most 200 characters, got 201/, remember("x", { key: "k".repeat(201) })],
        ["bad_input", /no text/, remember("")],
        ["bad_input", /no text/, remember(" \n\t")],
        ["bad_input", /key is empty/, remember("x", { key: "" })]
      ]
      for (const [code, message, refused] of wrong) {
        const error = yield* Effect.flip(refused)
        assert.deepInclude(error, { _tag: "ToolError", code })
        assert.match(error.message, message)
      }
      for (const stray of [{ run: 99 }, { pid: 99 }]) {
        assert.deepInclude(yield* Effect.flip(remember("stray", stray)), { _tag: "JournalError" })
      }
      assert.lengthOf(yield* memories.list("/a"), 1)
      assert.deepStrictEqual(yield* found("stray"), [])
    })
  )

  it.effect("shares the journal's transactions", () =>
    Effect.gen(function* () {
      const { filename, found, journal, memories, remember } = yield* fresh
      const both = Effect.andThen(journal.event(1, "x", {}), remember("alfa", { key: "k" }))
      yield* Effect.flip(journal.atomically(Effect.andThen(both, Effect.fail("undone"))))
      assert.deepStrictEqual([yield* found("alfa"), yield* memories.list("/a")], [[], []])
      assert.deepStrictEqual(yield* journal.atomically(remember("bravo", { key: "k" })), {
        id: 1,
        version: 1
      })
      const reader = yield* open(filename)
      assert.deepStrictEqual(yield* texts(reader.memories.search("/a", "bravo", 9)), ["bravo"])
    })
  )
})

describe("rollback", () => {
  it.effect("retracts what came from a source: what it replaced is current again, search forgets it", () =>
    Effect.gen(function* () {
      const { found, memories, remember } = yield* fresh
      yield* remember("port 1 alfa", { key: "port" })
      yield* remember("port 2 bravo", { key: "port", run: 2, pid: 3 })
      yield* remember("port 3 charlie", { key: "port", run: 2, pid: 4 })
      yield* remember("port of elsewhere", { key: "port", workspace: "/b", run: 2, pid: 3 })
      yield* remember("delta", { run: 2, pid: 3 })
      assert.deepStrictEqual(yield* texts(found("alfa")), [], "replaced")
      yield* TestClock.setTime(5000)
      // The middle version goes: the newest stays.
      assert.strictEqual(yield* memories.rollback("/a", { pid: 3 }), 2)
      assert.deepStrictEqual(yield* texts(memories.list("/a")), ["port 3 charlie"])
      assert.strictEqual(yield* memories.rollback("/a", { pid: 3 }), 0)
      assert.strictEqual(yield* memories.rollback("/a", { run: 2 }), 1)
      assert.deepStrictEqual(yield* texts(memories.list("/a")), ["port 1 alfa"])
      assert.deepStrictEqual(yield* texts(found("port bravo charlie delta alfa")), ["port 1 alfa"])
      assert.deepStrictEqual(yield* texts(memories.list("/b")), ["port of elsewhere"])
      const versions = yield* memories.versions("/a", "port")
      assert.deepStrictEqual(
        versions.map(({ retracted, version }) => [version, retracted]),
        [
          [1, null],
          [2, 5000],
          [3, 5000]
        ]
      )
      // A version's number is never given twice.
      assert.deepInclude(yield* remember("port 4", { key: "port" }), { version: 4 })
    })
  )
})

describe("search", () => {
  it.effect("finds by text and by key, the best first, and in one folder only", () =>
    Effect.gen(function* () {
      const { found, memories, remember } = yield* fresh
      const filler = "lorem ipsum ".repeat(50)
      yield* remember(`${filler} deploying`)
      yield* remember("deploy with make", { key: "deployment command" })
      yield* remember("command line")
      // Paths of which one, taken for text, holds the words or the beginning of the other; and hex that a stemmer may cut.
      const paths = ["/", "/a/b", "/A", "/a ", "/deploy", "/made", "/mad", "/m\u00eded", "w2F610", ""]
      for (const [n, workspace] of paths.entries()) yield* remember(`deploy number ${n}`, { workspace })
      assert.deepStrictEqual(
        (yield* found("deploys")).map((m) => m.id),
        [2, 1]
      )
      assert.deepStrictEqual(
        (yield* found("deploys", "/a", 1)).map((m) => m.id),
        [2]
      )
      assert.deepStrictEqual(
        (yield* found("make command")).map((m) => m.id),
        [2]
      )
      for (const [n, workspace] of paths.entries()) {
        assert.deepStrictEqual(yield* texts(found("deploy", workspace)), [`deploy number ${n}`], workspace)
        assert.deepStrictEqual(yield* texts(memories.list(workspace)), [`deploy number ${n}`], workspace)
      }
      assert.deepStrictEqual(yield* found("deploy", "/nowhere"), [])
      for (const words of ["", '"', "NEAR(", "\ud800", "workspace:w2F610", "2F61"]) {
        assert.deepStrictEqual(yield* found(words), [], words)
      }
      yield* remember("long path", { workspace: `/${"long".repeat(1000)}` })
      assert.lengthOf(yield* found("path", `/${"long".repeat(1000)}`), 1)
      assert.lengthOf(yield* found("path", `/${"long".repeat(999)}lon`), 0)
    })
  )

  it.effect("a word in very many memories gives the newest, and hides no rare one", () =>
    Effect.gen(function* () {
      const { found, journal, remember } = yield* fresh
      yield* journal.atomically(
        Effect.gen(function* () {
          yield* remember("common needle")
          for (let n = 1; n <= 250; n++) yield* remember(n % 2 === 0 ? "common" : `common ${n}`)
          yield* remember("common", { workspace: "/b" })
        })
      )
      assert.deepStrictEqual(
        (yield* found("common", "/a", 3)).map((m) => m.id),
        [251, 250, 249]
      )
      assert.deepStrictEqual(yield* texts(found("common missing needle")), ["common needle"])
    })
  )

  it.effect("replaced versions do not crowd out current ones", () =>
    Effect.gen(function* () {
      const { found, journal, remember } = yield* fresh
      yield* journal.atomically(
        Effect.gen(function* () {
          yield* remember("common and old")
          for (let n = 0; n < 250; n++) yield* remember(`common ${n}`, { key: "k" })
        })
      )
      assert.deepStrictEqual((yield* texts(found("common"))).sort(), ["common 249", "common and old"])
    })
  )
})

describe("any sequence of memories and rollbacks", () => {
  const source = { pid: Schema.Literals([1, 2, 3, 4]), workspace: Schema.Literals(["/a", "/b"]) }
  const word = Schema.Literals(["alfa", "bravo", "k7q2"])
  const Step = Schema.Union([
    Schema.Struct({ do: Schema.Literal("remember"), ...source, key: Schema.Literals(["", "x", "y"]), word }),
    Schema.Struct({ do: Schema.Literal("undone"), ...source, key: Schema.Literals(["", "x", "y"]), word }),
    Schema.Struct({ do: Schema.Literals(["rollback pid", "rollback run"]), ...source })
  ])

  it.effect.prop(
    "leaves what a plain list of them says, at every step",
    [Schema.Array(Step).check(Schema.isMaxLength(30))],
    Effect.fnUntraced(function* ([steps]) {
      const { filename, journal, memories } = yield* fresh
      const model: Array<Omit<Memory, "id">> = []
      const runOf = (pid: number) => (pid <= 2 ? 1 : 2)
      const current = (workspace: string) =>
        model.filter(
          (m) =>
            m.workspace === workspace &&
            m.retracted === null &&
            !model.some(
              (n) =>
                m.key !== null &&
                n.workspace === workspace &&
                n.key === m.key &&
                n.retracted === null &&
                n.version > m.version
            )
        )
      const bare = (all: ReadonlyArray<Memory>) =>
        [...all].sort((a, b) => a.id - b.id).map(({ id: _, ...memory }) => memory)
      for (const [now, step] of steps.entries()) {
        yield* TestClock.setTime(now)
        const { pid, workspace } = step
        const run = runOf(pid)
        if (step.do === "remember" || step.do === "undone") {
          const key = step.key === "" ? null : step.key
          const earlier = model.filter((m) => key !== null && m.workspace === workspace && m.key === key)
          const version = earlier.length + 1
          const text = `${step.word} ${now}`
          const write = memories.remember({
            workspace,
            text,
            run,
            pid,
            label,
            ...(key === null ? {} : { key })
          })
          if (step.do === "undone") {
            yield* Effect.flip(journal.atomically(Effect.andThen(write, Effect.fail("undone"))))
          } else {
            assert.strictEqual((yield* write).version, version)
            model.push({ workspace, key, version, text, label, run, pid, created: now, retracted: null })
          }
        } else {
          const byRun = step.do === "rollback run"
          const hit = (m: (typeof model)[number]) =>
            m.workspace === workspace && m.retracted === null && (byRun ? m.run === run : m.pid === pid)
          const expected = model.filter(hit).length
          assert.strictEqual(yield* memories.rollback(workspace, byRun ? { run } : { pid }), expected)
          for (const [n, m] of model.entries()) if (hit(m)) model[n] = { ...m, retracted: now }
        }
        for (const folder of ["/a", "/b"]) {
          assert.deepStrictEqual(bare(yield* memories.list(folder)), current(folder))
          for (const of of ["alfa", "bravo", "k7q2"]) {
            assert.deepStrictEqual(
              bare(yield* memories.search(folder, of, 100)),
              current(folder).filter((m) => m.text.startsWith(of))
            )
          }
        }
      }
      for (const workspace of ["/a", "/b"]) {
        for (const key of ["x", "y"]) {
          const versions = model.filter((m) => m.workspace === workspace && m.key === key)
          assert.deepStrictEqual(bare(yield* memories.versions(workspace, key)), versions)
        }
      }
      using db = new DatabaseSync(filename)
      db.exec("INSERT INTO memory_words (memory_words) VALUES ('integrity-check')")
      const indexed = db.prepare("SELECT rowid AS id FROM memory_words ORDER BY rowid").all()
      assert.deepStrictEqual(indexed, db.prepare("SELECT id FROM memories ORDER BY id").all())
    }, Effect.scoped),
    { arbitrary: { runs: 25, seed: "memories" } }
  )
})
