import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, assert, describe, it, layer } from "@effect/vitest"
import { Effect } from "effect"
import { freshWorkspace } from "../../compare/workspace.ts"
import { Bubblewrap } from "../../sandbox/bubblewrap.ts"
import type { Workspace } from "../../sandbox/sandbox.ts"
import { loadSuite } from "../../suites/load.ts"

const root = mkdtempSync(join(tmpdir(), "noos-suites-"))
afterAll(() => rmSync(root, { recursive: true, force: true }))
const file = (name: string, text: string) => {
  writeFileSync(join(root, name), text)
  return join(root, name)
}
mkdirSync(join(root, "start/deep"), { recursive: true })
writeFileSync(join(root, "start/deep/a.txt"), "\ufeffä\r\n")
writeFileSync(join(root, "start/test.sh"), "exit 0\n")
mkdirSync(join(root, "bytes"))
writeFileSync(join(root, "bytes/x"), Buffer.from([0xff, 0xfe, 0]))
mkdirSync(join(root, "links"))
symlinkSync("/etc/passwd", join(root, "links/x"))

const yaml = `name: sums
about: Two sums.
tokens: 900
grant: [calc]
tasks:
  - id: one
    task: What is 1 + 1?
    check: { answer: "2" }
  - task: |
      Make test.sh pass.
    workspace: start
    check: { command: sh test.sh }
    verifier: true
`

const noWorkspace = {} as Workspace
const answers = (check: object, answer: unknown) =>
  Effect.gen(function* () {
    const path = file("check.jsonl", JSON.stringify({ task: "x", check }))
    const { items } = yield* loadSuite(path)
    return yield* items[0]!.check({ answer, calls: [], workspace: noWorkspace })
  })

describe("a suite that a person wrote", () => {
  it.effect("is read from YAML, with the files of its folders as they are", () =>
    Effect.gen(function* () {
      const { items, ...suite } = yield* loadSuite(file("sums.yaml", yaml))
      assert.deepStrictEqual(suite, { name: "sums", about: "Two sums.", tokens: 900, calibration: [] })
      assert.deepStrictEqual(
        items.map(({ check, ...item }) => item),
        [
          { id: "one", task: "What is 1 + 1?", grant: ["calc"], files: {}, verifier: false },
          {
            id: "task-2",
            task: "Make test.sh pass.\n",
            grant: ["calc"],
            files: { "deep/a.txt": "\ufeffä\r\n", "test.sh": "exit 0\n" },
            verifier: true
          }
        ]
      )
    })
  )

  it.effect("is read from JSONL, a task a line, and from JSON", () =>
    Effect.gen(function* () {
      const lines =
        '{"task":"a","check":{"answer":"1"}}\n\n{"id":"b","task":"b","files":{"x/y":"z"},"check":{"pattern":"^1"}}\n'
      const { items, name, tokens } = yield* loadSuite(file("two.jsonl", lines))
      assert.deepStrictEqual([name, tokens], ["two", 8192])
      assert.deepStrictEqual(
        items.map(({ files, id }) => [id, files]),
        [
          ["task-1", {}],
          ["b", { "x/y": "z" }]
        ]
      )
      const whole = yield* loadSuite(file("one.json", '{"tasks":[{"task":"a","check":{"answer":"1"}}]}'))
      assert.strictEqual(whole.items.length, 1)
    })
  )

  const task = (rest: string) =>
    `name: x\ntasks:\n  - task: a\n    check: { answer: "1" }\n  - id: b\n${rest}`
  const wrong: ReadonlyArray<readonly [name: string, text: string, line: number, what: RegExp]> = [
    ["no.yaml", "name: x\ntasks: [\n", 3, /./],
    ["twice.yaml", "name: x\nname: y\ntasks: []\n", 2, /unique/],
    ["empty.yaml", "", 1, /it must be object/],
    ["list.yaml", "- a\n", 1, /it must be object/],
    ["none.yaml", "name: x\ntasks: []\n", 2, /tasks must NOT have fewer than 1 items/],
    [
      "key.yaml",
      "name: x\ntools: none\ntasks:\n  - task: a\n    check: { answer: a }\n",
      1,
      /additional properties: tools/
    ],
    ["task.yaml", task("    check: { answer: a }\n"), 5, /tasks\.1 must have required property 'task'/],
    ["blank.yaml", task("    task: ' '\n    check: { answer: a }\n"), 6, /tasks\.1\.task must match pattern/],
    [
      "check.yaml",
      task("    task: b\n    check:\n      answer: a\n      pattern: a\n"),
      8,
      /tasks\.1\.check must NOT have more than 1/
    ],
    [
      "kind.yaml",
      task("    task: b\n    check: { answer: 2 }\n"),
      7,
      /tasks\.1\.check\.answer must be string/
    ],
    [
      "pattern.yaml",
      task("    task: b\n    check: { pattern: '(' }\n"),
      5,
      /check: .*Invalid regular expression/
    ],
    [
      "schema.yaml",
      task("    task: b\n    check: { schema: { type: word } }\n"),
      5,
      /check: schema is invalid/
    ],
    [
      "both.yaml",
      task("    task: b\n    files: {}\n    workspace: start\n    check: { answer: a }\n"),
      5,
      /both files and workspace/
    ],
    [
      "gold.yaml",
      task("    task: b\n    verifier: true\n    check: { answer: a }\n"),
      5,
      /gives the answer away/
    ],
    [
      "folder.yaml",
      task("    task: b\n    workspace: nowhere\n    check: { answer: a }\n"),
      5,
      /not a folder: .*nowhere/
    ],
    [
      "bytes.yaml",
      task("    task: b\n    workspace: bytes\n    check: { answer: a }\n"),
      5,
      /x is not a text file/
    ],
    [
      "links.yaml",
      task("    task: b\n    workspace: links\n    check: { answer: a }\n"),
      5,
      /x is neither a file nor a folder/
    ],
    [
      "up.yaml",
      task("    task: b\n    files: { ../x: y }\n    check: { answer: a }\n"),
      5,
      /not a path inside .*\.\.\/x/
    ],
    [
      "root.yaml",
      task("    task: b\n    files: { /etc/x: y }\n    check: { answer: a }\n"),
      5,
      /not a path inside .*\/etc\/x/
    ],
    [
      "id.yaml",
      task("    task: b\n    check: { answer: a }\n  - id: b\n    task: c\n    check: { answer: a }\n"),
      8,
      /two tasks have the id b/
    ],
    ["line.jsonl", '{"task":"a","check":{"answer":"1"}}\n\n{"task"\n', 3, /not JSON/],
    [
      "wrong.jsonl",
      '\n{"task":"a","check":{"answer":"1"}}\n\n{"task":"b"}\n',
      4,
      /tasks\.1 must have required property 'check'/
    ]
  ]
  for (const [name, text, line, what] of wrong)
    it.effect(`${name} is refused, with its line and what is wrong`, () =>
      Effect.gen(function* () {
        const path = file(name, text)
        const error = yield* Effect.flip(loadSuite(path))
        assert.strictEqual(error._tag, "SuiteError")
        assert.strictEqual(error.where, `${path}:${line}`)
        assert.match(error.message, what)
        assert.notInclude(error.message, "\n")
      })
    )

  it.effect("that is no file is refused", () =>
    Effect.gen(function* () {
      assert.match((yield* Effect.flip(loadSuite(join(root, "start")))).message, /not a file/)
      assert.match((yield* Effect.flip(loadSuite(join(root, "none.yml")))).message, /ENOENT|no such file/)
    })
  )
})

describe("a check", () => {
  it.effect("of an answer disregards the space around it, and nothing else", () =>
    Effect.gen(function* () {
      assert.isTrue(yield* answers({ answer: "a b" }, " a b\n"))
      assert.isFalse(yield* answers({ answer: "a b" }, "a  b"))
      assert.isFalse(yield* answers({ answer: "a b" }, null))
      assert.isTrue(yield* answers({ answer: "" }, null))
      assert.isTrue(yield* answers({ answer: '{"a":1}' }, { a: 1 }))
    })
  )

  it.effect("by a pattern finds it anywhere, the same each time", () =>
    Effect.gen(function* () {
      const { items } = yield* loadSuite(
        file("p.jsonl", '{"task":"x","check":{"pattern":"\\\\b4\\\\d\\\\b"}}')
      )
      const told = (answer: unknown) => items[0]!.check({ answer, calls: [], workspace: noWorkspace })
      for (const _ of [1, 2]) assert.isTrue(yield* told("it is 42."))
      assert.isTrue(yield* told(43))
      assert.isFalse(yield* told("142"))
    })
  )

  it.effect("by a schema takes an answer as it is, or as the JSON that its text is", () =>
    Effect.gen(function* () {
      const schema = { type: "object", properties: { n: { type: "integer" } }, required: ["n"] }
      assert.isTrue(yield* answers({ schema }, { n: 1 }))
      assert.isTrue(yield* answers({ schema }, '{"n":1}'))
      assert.isFalse(yield* answers({ schema }, '{"n":"1"}'))
      assert.isFalse(yield* answers({ schema }, "no JSON"))
      assert.isTrue(yield* answers({ schema: { type: "string" } }, "42"))
      assert.isFalse(yield* answers({ schema: false }, "42"))
    })
  )

  layer(Bubblewrap.layer, { excludeTestServices: true })((it) => {
    it.effect("by a command runs in the workspace as it was left, with the answer on stdin", () =>
      Effect.gen(function* () {
        const path = file(
          "c.jsonl",
          JSON.stringify({
            task: "x",
            files: { "in/goal.txt": "7", "t.sh": 'test "$(cat)" = "$(cat in/goal.txt)" && ! test -e gone' },
            check: { command: "sh t.sh" }
          })
        )
        const item = (yield* loadSuite(path)).items[0]!
        const workspace = yield* freshWorkspace(item)
        const told = (answer: unknown) => item.check({ answer, calls: [], workspace })
        assert.isTrue(yield* told("7"))
        assert.isTrue(yield* told(7))
        assert.isFalse(yield* told("8"))
        yield* workspace.writeFile("in/goal.txt", "9")
        yield* workspace.writeFile("t.sh", "exit 3")
        assert.isFalse(yield* told("9"))
        yield* workspace.writeFile("gone", "")
        assert.isFalse(yield* told("7"))
      })
    )
  })
})
