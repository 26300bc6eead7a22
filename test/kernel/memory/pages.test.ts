/** Reading a context: one page, and searching, through forks and never past them. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Schema } from "effect"
import { Journal, type NewPage, type Page } from "../../../kernel/journal.ts"
import { applicationId, migrations } from "../../../kernel/tables.ts"

/** A file in a folder that goes when the test's scope closes. */
const file = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "noos-pages-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true }))
).pipe(Effect.map((path) => join(path, "journal.db")))

const open = (filename: string) => Effect.map(Layer.build(Journal.layer(filename)), Context.get(Journal))

/** A new journal with one process. */
const fresh = Effect.gen(function* () {
  const filename = yield* file
  const journal = yield* open(filename)
  const run = yield* journal.beginRun({ task: "t", workspace: "/w", model: "m" })
  const pid = yield* journal.spawn({ run, program: "p" })
  const add = (to: number, text: string, more?: Partial<NewPage>) =>
    journal.appendPage(to, { role: "result", text, tokens: 1, ...more })
  const fork = (parent: number) => journal.spawn({ run, parent, origin: parent, program: "p" })
  /** Which pages of a context are found, by their numbers. */
  const find = (of: number, words: string, limit = 1000) =>
    Effect.map(journal.search(of, words, limit), (pages) => pages.map((page) => page.ordinal))
  return { add, filename, find, fork, journal, pid, run }
})

/** Fails unless the index is whole and holds the pages that it must, each once. */
const checkIndex = (filename: string) => {
  using db = new DatabaseSync(filename)
  db.exec("INSERT INTO page_words (page_words) VALUES ('integrity-check')")
  const ids = (sql: string) =>
    db
      .prepare(sql)
      .all()
      .map((row) => row.id)
  assert.deepStrictEqual(
    ids("SELECT rowid AS id FROM page_words ORDER BY rowid"),
    ids("SELECT id FROM pages WHERE role <> 'system' AND copy IS NULL ORDER BY id")
  )
}

describe("one page", () => {
  it.effect("is found by its number, shared or own, and only there", () =>
    Effect.gen(function* () {
      const { add, fork, journal, pid } = yield* fresh
      yield* add(pid, "one")
      yield* add(pid, "two")
      const child = yield* fork(pid)
      yield* add(pid, "parent's three")
      yield* add(child, "child's three")
      const grandchild = yield* fork(child)
      yield* add(child, "child's four")
      const texts = (of: number) =>
        Effect.forEach([0, 1, 2, 3, 4, 5], (n) => Effect.map(journal.page(of, n), (page) => page?.text))
      assert.deepStrictEqual(yield* texts(pid), [
        undefined,
        "one",
        "two",
        "parent's three",
        undefined,
        undefined
      ])
      const childs = [undefined, "one", "two", "child's three", "child's four", undefined]
      assert.deepStrictEqual(yield* texts(child), childs)
      assert.deepStrictEqual(yield* texts(grandchild), [...childs.slice(0, 4), undefined, undefined])
      assert.deepStrictEqual(yield* texts(99), Array(6).fill(undefined))
    })
  )

  it.effect("says whose words it holds, and what it repeats", () =>
    Effect.gen(function* () {
      const { add, journal, pid } = yield* fresh
      const roles: ReadonlyArray<Page["role"]> = [
        "system",
        "task",
        "thought",
        "call",
        "result",
        "summary",
        "note"
      ]
      for (const role of roles) yield* add(pid, role, { role })
      const web = { integrity: "untrusted", source: "https://example.org" } as const
      yield* add(pid, "fetched", { label: web })
      yield* add(pid, "fetched", { label: web, copy: 8 })
      yield* journal.syscallIntent(pid, {
        tool: "t",
        args: {},
        effect: "pure",
        page: { text: "{}", tokens: 1 }
      })
      const pages = yield* journal.pages(pid)
      assert.deepStrictEqual(
        pages.map(({ copy, label }) => [label.integrity, label.source, copy]),
        [
          ["trusted", "kernel", null],
          ["trusted", "person", null],
          ["untrusted", "model", null],
          ["untrusted", "model", null],
          ["untrusted", "unknown", null],
          ["untrusted", "unknown", null],
          ["untrusted", "unknown", null],
          ["untrusted", "https://example.org", null],
          ["untrusted", "https://example.org", 8],
          ["untrusted", "model", null]
        ]
      )
    })
  )
})

describe("search", () => {
  it.effect("finds pages with all words, else with any; in any case, with any ending", () =>
    Effect.gen(function* () {
      const { add, find, pid } = yield* fresh
      yield* add(pid, "You have a tool to read files.", { role: "system" })
      yield* add(pid, "Fetch the CODES from b7.txt", { role: "task" })
      yield* add(pid, 'b7.txt: code = "K7Q2"\nÉtage d\u0065\u0301j\u00e0')
      yield* add(pid, "txt b7 fetching")
      yield* add(pid, "code K7Q2", { copy: 3 })
      assert.deepStrictEqual(yield* find(pid, "k7q2"), [3])
      assert.deepStrictEqual((yield* find(pid, "code")).sort(), [2, 3])
      assert.deepStrictEqual((yield* find(pid, "fetched")).sort(), [2, 4])
      assert.deepStrictEqual((yield* find(pid, "b7.txt")).sort(), [2, 3], "side by side, in this order")
      assert.deepStrictEqual(yield* find(pid, "txt fetches b7 codes"), [2])
      assert.deepStrictEqual((yield* find(pid, "k7q2 fetch")).sort(), [2, 3, 4], "no page has both")
      assert.deepStrictEqual(yield* find(pid, "etage deja"), [3])
      assert.deepStrictEqual(yield* find(pid, "tool"), [])
      yield* add(pid, "before\0behind")
      assert.deepStrictEqual(yield* find(pid, "behind"), [6])
      assert.deepStrictEqual(yield* find(99, "code"), [])
    })
  )

  it.effect("looks for the first 16 words", () =>
    Effect.gen(function* () {
      const { add, find, pid } = yield* fresh
      const words = Array.from({ length: 16 }, (_, n) => `w${n}`)
      yield* add(pid, words.join(" "))
      yield* add(pid, words.slice(1).join(" "))
      assert.deepStrictEqual(yield* find(pid, `${words.join(" ")} missing`), [1])
      assert.deepStrictEqual(
        yield* find(pid, `missing ${words.slice(1).join(" ")} w0`),
        [2, 1],
        "w0 is the 17th"
      )
    })
  )

  it.effect("gives the best first, of equals the newest, and no more than asked for", () =>
    Effect.gen(function* () {
      const { add, find, pid } = yield* fresh
      const filler = "lorem ipsum dolor ".repeat(40)
      yield* add(pid, "code")
      yield* add(pid, `${filler} code`)
      yield* add(pid, "code code code")
      yield* add(pid, "other words")
      yield* add(pid, "code")
      assert.deepStrictEqual(yield* find(pid, "code"), [3, 5, 1, 2])
      assert.deepStrictEqual(yield* find(pid, "code", 2), [3, 5])
      assert.deepStrictEqual(yield* find(pid, "code", 0), [])
    })
  )

  it.effect("a word on every page hides no rare one, and of itself gives the newest", () =>
    Effect.gen(function* () {
      const { add, find, journal, pid } = yield* fresh
      yield* journal.atomically(
        Effect.gen(function* () {
          yield* add(pid, "the needle")
          for (let n = 0; n < 300; n++) yield* add(pid, n % 2 === 0 ? "the hay" : "the the the")
        })
      )
      assert.deepStrictEqual(yield* find(pid, "the needle"), [1])
      assert.deepStrictEqual(yield* find(pid, "where is the needle", 5), [1])
      assert.deepStrictEqual(yield* find(pid, "the", 3), [301, 300, 299])
      assert.deepStrictEqual(yield* find(pid, "the missing", 3), [301, 300, 299])
      const child = yield* Effect.forEach([1, 2, 3], () =>
        journal.spawn({ run: 1, parent: pid, origin: pid, program: "p" })
      )
      yield* add(child[0]!, "the young")
      assert.deepStrictEqual(yield* find(child[0]!, "the", 3), [302, 301, 300])
      assert.deepStrictEqual(yield* find(child[1]!, "the needle"), [1])
    })
  )

  it.effect("never shows what another process holds, whatever is asked", () =>
    Effect.gen(function* () {
      const { add, find, fork, journal, pid, run } = yield* fresh
      const other = yield* journal.spawn({ run, program: "p" })
      yield* add(pid, "shared alfa")
      const child = yield* fork(pid)
      yield* add(pid, "late secret")
      yield* add(child, "young secret")
      yield* add(other, `secret p${pid} process p${child}`)
      for (const words of [
        "secret",
        `secret p${other}`,
        `secret OR process:p${other}`,
        `p${pid}`,
        "text:secret"
      ]) {
        assert.deepStrictEqual(yield* find(pid, words), words.includes("secret") ? [2] : [], words)
        assert.deepStrictEqual(yield* find(child, words), words.includes("secret") ? [2] : [], words)
      }
      const texts = (of: number) =>
        Effect.map(journal.search(of, "secret", 9), (all) => all.map((p) => p.text))
      assert.deepStrictEqual(yield* texts(pid), ["late secret"])
      assert.deepStrictEqual(yield* texts(child), ["young secret"])
      assert.deepStrictEqual(yield* find(child, "alfa"), [1])
      // p1 must not be p12: the word for a process is a whole one.
      for (let n = 0; n < 12; n++) yield* add(yield* journal.spawn({ run, program: "p" }), "decimal")
      assert.deepStrictEqual(yield* find(pid, "decimal"), [])
    })
  )

  it.effect("words that are none, or look like a query, are no error", () =>
    Effect.gen(function* () {
      const { add, find, pid } = yield* fresh
      yield* add(pid, "near and or not alfa 漢字 \u{1e900} \ue000 x")
      const nothing = [
        "",
        " ",
        "\0",
        "\ud800",
        "\udfff\ud800",
        "'\"`();*^:-+{}[],.",
        "\u0301",
        "\u200d",
        "🙂",
        "\ufffd"
      ]
      for (const words of nothing) assert.deepStrictEqual(yield* find(pid, words), [], JSON.stringify(words))
      const odd = [
        "alfa\0",
        '"alfa',
        "NEAR(alfa)",
        "alfa AND",
        "OR alfa",
        "NOT alfa",
        "text:alfa",
        "alfa*",
        "^alfa",
        "{alfa",
        "-text:alfa",
        "\ud800alfa\udc00",
        `${"alfa ".repeat(20)}`,
        `alfa ${"a".repeat(10_000)}`,
        "漢字",
        "\ue000"
      ]
      for (const words of odd) assert.deepStrictEqual(yield* find(pid, words), [1], JSON.stringify(words))
      for (const long of [
        "a".repeat(10_000),
        "a,".repeat(500_000),
        "é ".repeat(5000),
        "!".repeat(1_000_000)
      ]) {
        assert.deepStrictEqual(yield* find(pid, long), [])
      }
    })
  )

  const pieces = [
    '"',
    "'",
    "(",
    ")",
    "*",
    ":",
    "^",
    "-",
    "+",
    "{",
    "}",
    "NEAR",
    "AND",
    "OR",
    "NOT",
    "text",
    "\\",
    "%"
  ]
  const Odd = Schema.Array(Schema.Union([Schema.Literals(pieces), Schema.String]))
  it.effect.prop(
    "any text whatever can be kept and looked for",
    [Schema.Array(Odd).check(Schema.isMaxLength(8)), Schema.Literals(["", " "])],
    Effect.fnUntraced(function* ([texts, between]) {
      const { add, filename, find, pid } = yield* fresh
      for (const text of texts) yield* add(pid, text.join(between))
      for (const text of texts) {
        for (const word of [text.join(between), ...text]) {
          for (const ordinal of yield* find(pid, word))
            assert.include(
              texts.map((_, n) => n + 1),
              ordinal
            )
        }
      }
      checkIndex(filename)
    }, Effect.scoped),
    { arbitrary: { runs: 25, seed: "words" } }
  )
})

describe("any sequence of pages and forks", () => {
  const word = Schema.Literals(["alfa", "b7", "k7q2", "漢字", "zulu"])
  const some = Schema.Natural.check(Schema.isLessThan(100))
  const phrase = Schema.Array(word).check(Schema.isMaxLength(4))
  const Step = Schema.Union([
    Schema.Struct({
      do: Schema.Literals(["add", "add", "system", "copy", "undone"]),
      of: some,
      words: phrase
    }),
    Schema.Struct({ do: Schema.Literal("fork"), of: some })
  ])

  it.effect.prop(
    "finds in each context what a plain search of its pages finds, and the index agrees with the table",
    [Schema.Array(Step).check(Schema.isMaxLength(40)), Schema.Array(phrase).check(Schema.isMaxLength(5))],
    Effect.fnUntraced(function* ([steps, queries]) {
      const { add, filename, fork, journal, pid } = yield* fresh
      type Plain = { readonly words: ReadonlyArray<string>; readonly searched: boolean }
      const contexts = new Map<number, Array<Plain>>([[pid, []]])
      for (const step of steps) {
        const pids = [...contexts.keys()]
        const of = pids[step.of % pids.length]!
        const context = contexts.get(of)!
        if (step.do === "fork") {
          contexts.set(yield* fork(of), [...context])
          continue
        }
        const text = step.words.join(", ")
        if (step.do === "undone") {
          const failed = Effect.andThen(add(of, text), Effect.fail("undone"))
          assert.strictEqual(yield* Effect.flip(journal.atomically(failed)), "undone")
          continue
        }
        const more = step.do === "system" ? { role: step.do } : step.do === "copy" ? { copy: 1 } : {}
        yield* add(of, text, more)
        context.push({ words: step.words, searched: step.do === "add" })
      }
      const reader = yield* open(filename)
      for (const [of, context] of contexts) {
        assert.deepStrictEqual(
          (yield* reader.pages(of)).map((page) => page.text),
          context.map(({ words }) => words.join(", "))
        )
        for (let n = 0; n < context.length; n++) {
          assert.strictEqual((yield* reader.page(of, n + 1))?.text, context[n]!.words.join(", "))
        }
        for (const query of queries) {
          const plain = (has: (page: Plain) => boolean) =>
            context.flatMap((page, n) => (page.searched && has(page) ? [n + 1] : []))
          const all = plain(({ words }) => query.length > 0 && query.every((word) => words.includes(word)))
          const expected =
            all.length > 0 ? all : plain(({ words }) => query.some((word) => words.includes(word)))
          const found = yield* reader.search(of, query.join(" "), 1000)
          assert.deepStrictEqual(
            found.map((page) => page.ordinal).sort((a, b) => a - b),
            expected,
            query.join(" ")
          )
        }
      }
      checkIndex(filename)
    }, Effect.scoped),
    { arbitrary: { runs: 25, seed: "pages" } }
  )
})

describe("a file of format 2", () => {
  it.effect("is indexed when it is opened, and keeps what it has", () =>
    Effect.gen(function* () {
      const filename = yield* file
      {
        using db = new DatabaseSync(filename)
        for (const step of migrations.slice(0, 2)) for (const statement of step) db.exec(statement)
        db.exec(`PRAGMA application_id = ${applicationId}; PRAGMA user_version = 2;
          INSERT INTO runs (started, task, workspace, model, options, owner) VALUES (1, 't', '/w', 'm', '{}', 1);
          INSERT INTO processes (run, program, state, why, priority, budget, usage, created, updated)
            VALUES (1, 'fast', 'blocked', 'x', 0, '{}', '{}', 1, 1), (1, 'fast', 'ready', 'x', 0, '{}', '{}', 1, 1);
          INSERT INTO processes (run, program, state, why, priority, budget, usage, created, updated, origin, shared)
            VALUES (1, 'fast', 'ready', 'fork', 0, '{}', '{}', 1, 1, 1, 2);
          INSERT INTO pages (pid, ordinal, role, text, tokens, created)
            VALUES (1, 1, 'system', 'the secret rules', 3, 1), (1, 2, 'task', 'find the code', 3, 1),
              (2, 1, 'result', 'another code', 2, 1), (1, 3, 'result', 'code: K7Q2', 4, 1)`)
      }
      const journal = yield* open(filename)
      checkIndex(filename)
      const texts = (pid: number, words: string) =>
        Effect.map(journal.search(pid, words, 9), (pages) => pages.map((page) => page.text))
      assert.deepStrictEqual(yield* texts(1, "code"), ["code: K7Q2", "find the code"])
      assert.deepStrictEqual(yield* texts(2, "code"), ["another code"])
      assert.deepStrictEqual(yield* texts(3, "code"), ["find the code"])
      assert.deepStrictEqual(yield* texts(1, "secret"), [])
      assert.deepInclude(yield* journal.page(1, 3), {
        text: "code: K7Q2",
        label: { integrity: "untrusted", source: "unknown" },
        copy: null,
        cut: false
      })
      assert.deepInclude(yield* journal.process(1), { state: "blocked", layout: null })
      yield* journal.appendPage(3, { role: "result", text: "new code", tokens: 1 })
      assert.deepStrictEqual(yield* texts(3, "code"), ["new code", "find the code"])
      // Opened once more, it has nothing left to do.
      const again = yield* open(filename)
      assert.lengthOf(yield* again.pages(1), 3)
      checkIndex(filename)
    })
  )
})
