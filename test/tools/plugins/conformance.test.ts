/** Each rule of the suite catches a plugin that breaks it, and nothing else is held against that plugin. */
import { mkdirSync } from "node:fs"
import { join } from "node:path"
import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { Bubblewrap } from "../../../sandbox/bubblewrap.ts"
import { type Check, conformance } from "../../../tools/plugins/conformance.ts"
import { newPlugin } from "../../../tools/plugins/scaffold.ts"
import { folder, write } from "./plugin.ts"

const input = `{ type: "object", properties: { text: { type: "string" } }, required: ["text"], additionalProperties: false }`

const good = {
  name: `"t"`,
  description: `"A tool."`,
  effect: `"pure"`,
  input,
  output: `{ type: "string" }`,
  examples: `[{ args: { text: "a" }, result: "a" }]`,
  execute: `({ text }) => text`
}

const tool = (fields: Partial<typeof good>) =>
  `defineTool({ ${Object.entries({ ...good, ...fields })
    .map(([name, value]) => `${name}: ${value}`)
    .join(",\n")} })`

/** A plugin of these tools. */
const module = (tools: ReadonlyArray<string>, head = "") =>
  `import { defineTool, ToolError } from "noos/plugin"\n${head}\nexport default [${tools.join()}]\n`

const manifest = (more: object = {}) =>
  JSON.stringify({ name: "tested", main: "index.js", seconds: 20, ...more })

/** The checks that fail, with why. */
const failing = Effect.fn("test.failing")(function* (files: Readonly<Record<string, string>>) {
  const root = yield* folder
  write(root, { "noos.plugin.json": manifest(), ...files })
  const told: Array<Check> = []
  const checks = yield* conformance(root, (check) => told.push(check))
  assert.deepStrictEqual(checks, told)
  return checks
    .filter(({ ok }) => !ok)
    .map(({ name, tool = "", detail = "" }) => ({ tool, said: `${name}: ${detail}` }))
})

/** Fields that make a tool bad, and all that is said against it. */
const bad: ReadonlyArray<readonly [fields: Partial<typeof good>, ...said: ReadonlyArray<RegExp>]> = [
  [{ examples: "[]" }, /^has an example: add an example/],
  [
    { examples: `[{ args: { text: "a" }, result: "b" }]` },
    /^examples give their results: .*gave "a", not "b"/
  ],
  [{ examples: `[{ args: { words: "a" } }]` }, /^examples give .*do not fit input/],
  [
    { execute: `({ text }) => text === "a" ? "a" : text.length` },
    /^answers whatever fits its schema: .*does not fit output/,
    /^takes long arguments: .*does not fit output/
  ],
  [
    { execute: `({ text }) => text === "a" ? "a" : JSON.parse('"' + text.slice(0, 300) + '"')` },
    /^answers whatever fits its schema: .* crashed: .*throw a ToolError/
  ],
  [
    { execute: `({ text }) => text.length > 1000 ? process.exit(1) : text` },
    /^takes long arguments: plugin tested: its process ended/
  ],
  [
    {
      input: `{ type: "object", properties: { text: { type: "string" } } }`,
      execute: `({ text }) => text ?? ""`
    },
    /^refuses malformed arguments: .*additionalProperties/
  ],
  [
    { examples: `[{ args: { text: "a" } }]`, execute: "() => process.hrtime.bigint().toString()" },
    /^pure: gives the same again: /
  ],
  [
    {
      effect: `"irreversible"`,
      examples: `[{ args: { text: "a" } }]`,
      execute: "() => process.hrtime.bigint().toString()"
    },
    /^irreversible: does it once for a key: /
  ],
  [
    { execute: `({ text }) => { lock(); return text }` },
    /^serves two processes at a time: .* crashed: EEXIST/,
    /^pure: gives the same again: /
  ],
  [{}]
]

layer(Bubblewrap.layer, { excludeTestServices: true })("noos tool test", (it) => {
  it.effect("catches the tool that breaks a rule, and says nothing against the others", () =>
    Effect.gen(function* () {
      const once =
        "({ text }, { idempotencyKey: key }) => { if (done.has(key)) throw new ToolError({ code: 'exists', message: 'done' }); done.add(key); return text }"
      const tools = [...bad.map(([fields]) => fields), { effect: `"irreversible"`, execute: once }]
      const head = `import { mkdirSync } from "node:fs"
        let mine = false
        const lock = () => { if (!mine) mkdirSync("/state/lock"); mine = true }
        const done = new Set()`
      const found = yield* failing({
        "index.js": module(
          tools.map((fields, i) => tool({ name: `"t${i}"`, ...fields })),
          head
        ),
        "noos.plugin.json": manifest({ permissions: { state: true } }),
        "index.test.js": `import { test } from "node:test"\ntest("no", () => { throw new Error("as planned") })\n`
      })
      for (const [i, [, ...patterns]] of bad.entries()) {
        const said = found.filter((check) => check.tool === `t${i}`).map((check) => check.said)
        assert.strictEqual(said.length, patterns.length, said.join("\n"))
        for (const [j, pattern] of patterns.entries()) assert.match(said[j]!, pattern)
      }
      const others = found.filter(({ tool }) => !bad.some((_, i) => tool === `t${i}`))
      assert.strictEqual(others.length, 1)
      assert.match(others[0]!.said, /^index\.test\.js: [\s\S]*as planned/)
    }).pipe(Effect.scoped)
  )

  it.effect("goes no further than a plugin that cannot be loaded", () =>
    Effect.gen(function* () {
      const wrong: ReadonlyArray<readonly [files: Readonly<Record<string, string>>, said: RegExp]> = [
        [{ "noos.plugin.json": "{}" }, /^manifest: .*required property/],
        [{ "index.js": "export default {" }, /^loads: .*cannot be loaded/],
        [{ "index.js": module([tool({ name: `"T"` })]) }, /^loads: .*must match/]
      ]
      for (const [files, pattern] of wrong) {
        const found = yield* failing({ "index.js": module([tool({})]), ...files })
        assert.strictEqual(found.length, 1)
        assert.match(found[0]!.said, pattern)
      }
    }).pipe(Effect.scoped)
  )

  it.effect("passes what `noos tool new` makes", () =>
    Effect.gen(function* () {
      const root = join(yield* folder, "say-it")
      yield* newPlugin(root)
      const checks = yield* conformance(root, () => {})
      assert.deepStrictEqual(
        checks.filter(({ ok }) => !ok),
        []
      )
      assert.deepInclude(checks, { name: "index.test.ts", ok: true })
      assert.deepInclude(checks, { name: "examples give their results", tool: "say_it", ok: true })

      const again = yield* Effect.flip(newPlugin(root))
      assert.match(again.message, /is there already/)
      const odd = yield* Effect.flip(newPlugin(join(root, "Odd name")))
      assert.match(odd.message, /no name for a plugin: Odd name/)
      mkdirSync(join(root, "empty"))
      yield* newPlugin(join(root, "empty"))
    }).pipe(Effect.scoped)
  )
})
