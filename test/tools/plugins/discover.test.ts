import { existsSync, readFileSync, statSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { discover } from "../../../tools/plugins/discover.ts"
import { addPlugin } from "../../../tools/plugins/install.ts"
import type { Permissions } from "../../../tools/plugins/manifest.ts"
import { folder, write } from "./plugin.ts"

const index = { "index.js": "export default []" }

const manifest = (name: string, permissions: Permissions = {}) =>
  JSON.stringify({ name, main: "index.js", permissions })

/** The files of a package that is a plugin. */
const published = (name: string, permissions: Permissions = {}, keywords = ["noos-plugin"]) => ({
  ...index,
  "noos.plugin.json": manifest("p", permissions),
  "package.json": JSON.stringify({ name, version: "1.2.3", keywords })
})

const at = (path: string, files: Readonly<Record<string, string>>) =>
  Object.fromEntries(Object.entries(files).map(([name, text]) => [join(path, name), text]))

const yes = () => Effect.void

describe("discover", () => {
  it.effect(
    "finds what noos.json names: folders from there, packages from there upwards, then in the home",
    () =>
      Effect.gen(function* () {
        const [project, home] = [yield* folder, yield* folder]
        write(project, {
          ...at("deep/mine", { ...index, "noos.plugin.json": manifest("mine") }),
          ...at("node_modules/near", published("near")),
          ...at("node_modules/@scope/near", published("@scope/near", {}, []))
        })
        write(home, at("plugins/node_modules/far", published("far", {}, [])))
        const grant = { state: true } as const
        const config = {
          path: join(project, "deep/noos.json"),
          plugins: ["./mine", { from: "near", grant }, "@scope/near", "far", "./mine"]
        }
        assert.deepStrictEqual(yield* discover({ config, home }), [
          { folder: join(project, "deep/mine"), from: "./mine", grant: {} },
          { folder: join(project, "node_modules/near"), from: "near", grant },
          { folder: join(project, "node_modules/@scope/near"), from: "@scope/near", grant: {} },
          { folder: join(home, "plugins/node_modules/far"), from: "far", grant: {} }
        ])
        const none = yield* Effect.flip(discover({ config: { ...config, plugins: ["absent"] }, home }))
        assert.match(none.message, /no plugin absent: no such package/)
      }).pipe(Effect.scoped)
  )

  it.effect("finds what lies in the home, with what was granted there, and nothing else", () =>
    Effect.gen(function* () {
      const home = yield* folder
      const config = { path: "/nowhere/noos.json", plugins: [] }
      assert.deepStrictEqual(yield* discover({ config, home }), [])
      const grants = join(home, "plugins/grants.json")
      write(home, {
        ...at("plugins/by-hand", { ...index, "noos.plugin.json": manifest("by-hand") }),
        "plugins/notes/readme.txt": "",
        ...at("plugins/node_modules/plain", { "package.json": "{}" }),
        ...at("plugins/node_modules/broken", { "package.json": "{" }),
        ...at("plugins/node_modules/p", published("p")),
        ...at("plugins/node_modules/@s/p", published("@s/p")),
        "plugins/grants.json": JSON.stringify({ p: { net: ["example.com"] } })
      })
      assert.deepStrictEqual(yield* discover({ config, home }), [
        { folder: join(home, "plugins/by-hand"), from: "by-hand", grant: {}, grants },
        { folder: join(home, "plugins/node_modules/@s/p"), from: "@s/p", grant: {}, grants },
        { folder: join(home, "plugins/node_modules/p"), from: "p", grant: { net: ["example.com"] }, grants }
      ])
      for (const wrong of ["{", "[]", '{"p":{"net":"all"}}']) {
        write(home, { "plugins/grants.json": wrong })
        const error = yield* Effect.flip(discover({ config, home }))
        assert.include(error.message, grants)
      }
    }).pipe(Effect.scoped)
  )
})

describe("addPlugin", () => {
  it.effect("installs a package that is a plugin, once what it asks for is granted", () =>
    Effect.gen(function* () {
      const [source, home] = [yield* folder, yield* folder]
      const permissions = { net: ["example.com"] }
      const ran = join(source, "ran")
      write(source, {
        ...published("noos-plugin-p", permissions),
        "package.json": JSON.stringify({
          name: "noos-plugin-p",
          version: "1.2.3",
          keywords: ["noos-plugin"],
          scripts: { install: `touch ${ran}`, postinstall: `touch ${ran}`, prepare: `touch ${ran}` }
        })
      })
      const installed = join(home, "plugins/node_modules/noos-plugin-p")
      assert.strictEqual(yield* Effect.flip(addPlugin(source, home, () => Effect.fail("no"))), "no")
      assert.isFalse(existsSync(installed))

      const shown: Array<unknown> = []
      const name = yield* addPlugin(source, home, (of, { permissions }) => {
        shown.push([of, permissions])
        return Effect.void
      })
      assert.strictEqual(name, "noos-plugin-p")
      assert.deepStrictEqual(shown, [[name, permissions]])
      assert.isTrue(existsSync(join(installed, "noos.plugin.json")))
      assert.isFalse(existsSync(ran))
      const grants = join(home, "plugins/grants.json")
      assert.deepStrictEqual(JSON.parse(readFileSync(grants, "utf8")), { [name]: permissions })
      assert.strictEqual(statSync(grants).mode & 0o077, 0)

      // A second one beside it, and the first again.
      const other = yield* folder
      write(other, published("@me/other"))
      yield* addPlugin(other, home, yes)
      yield* addPlugin(source, home, yes)
      const config = { path: "/nowhere/noos.json", plugins: [] }
      assert.deepStrictEqual(
        (yield* discover({ config, home })).map(({ from, grant }) => [from, grant]),
        [
          ["@me/other", {}],
          [name, permissions]
        ]
      )
    }).pipe(Effect.scoped)
  )

  it.effect("refuses what is no plugin, and leaves nothing behind", () =>
    Effect.gen(function* () {
      const home = yield* folder
      const wrong: ReadonlyArray<readonly [files: Readonly<Record<string, string>>, message: RegExp]> = [
        [published("p", {}, ["plugin"]), /lacks the keyword noos-plugin/],
        [{ ...published("p"), "noos.plugin.json": "{}" }, /required property/],
        [{ "readme.txt": "" }, /npm cannot install/]
      ]
      for (const [files, message] of wrong) {
        const source = yield* folder
        write(source, files)
        assert.match((yield* Effect.flip(addPlugin(source, home, yes))).message, message)
      }
      assert.isFalse(existsSync(join(home, "plugins/node_modules")))
      assert.isFalse(existsSync(join(home, "plugins/grants.json")))
    }).pipe(Effect.scoped)
  )
})
