/** What was agreed to is what runs, whatever becomes of the folder that it came from. */
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync
} from "node:fs"
import { join } from "node:path"
import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { Bubblewrap } from "../../../sandbox/bubblewrap.ts"
import { Sandbox } from "../../../sandbox/sandbox.ts"
import { fingerprintOf, snapshotOf } from "../../../tools/plugins/files.ts"
import { loadPlugin } from "../../../tools/plugins/load.ts"
import { caller, folder, plugin, write } from "./plugin.ts"

/** A plugin installed by npm, beside a package that it needs. */
const installed = Effect.gen(function* () {
  const project = yield* folder
  const root = join(project, "node_modules/tested")
  const head = 'import beside from "beside"\nimport { readFileSync } from "node:fs"'
  const tools = { said: "return beside", reads: "return readFileSync('/plugin/data/a.txt', 'utf8')" }
  mkdirSync(join(project, "node_modules"))
  renameSync(yield* plugin({ head, tools }), root)
  write(root, { "package.json": '{"dependencies":{"beside":"*"}}', "data/a.txt": "as agreed" })
  const package_ = '{"name":"beside","type":"module","main":"index.js"}'
  write(project, {
    "node_modules/beside/package.json": package_,
    "node_modules/beside/index.js": 'export default "as agreed"'
  })
  return { project, root }
})

layer(Bubblewrap.layer, { excludeTestServices: true })("the copy of a plugin", (it) => {
  it.effect(
    "is what runs: neither the plugin nor a package beside it can be swapped before the first call",
    () =>
      Effect.gen(function* () {
        const { project, root } = yield* installed
        const ws = yield* (yield* Sandbox).open(yield* folder)
        const tools = yield* loadPlugin({ folder: root, grant: "asked" }, yield* folder)
        write(root, { "index.js": "export default 1", "data/a.txt": "swapped" })
        write(project, { "node_modules/beside/index.js": 'export default "swapped"' })
        const call = caller(tools, ws, yield* Effect.scope)
        assert.strictEqual(yield* call("said"), "as agreed")
        assert.strictEqual(yield* call("reads"), "as agreed")
      }).pipe(Effect.scoped)
  )

  it.effect("is loaded only with the hash that was agreed to, which covers the packages beside it", () =>
    Effect.gen(function* () {
      const { project, root } = yield* installed
      const home = yield* folder
      const hash = yield* fingerprintOf(root)
      assert.strictEqual((yield* snapshotOf(root, home)).hash, hash)
      assert.strictEqual((yield* loadPlugin({ folder: root, grant: "asked", hash }, home)).length, 2)
      write(project, { "node_modules/beside/index.js": 'export default "swapped"' })
      assert.notStrictEqual(yield* fingerprintOf(root), hash)
      const error = yield* Effect.flip(loadPlugin({ folder: root, grant: "asked", hash }, home))
      assert.match(error.message, /was changed while it was loaded/)
    }).pipe(Effect.scoped)
  )

  it.effect("has another hash for any other name, content, link or right, and can be read by anybody", () =>
    Effect.gen(function* () {
      const root = yield* folder
      const home = yield* folder
      write(root, { "a.txt": "secret to others" })
      chmodSync(join(root, "a.txt"), 0o600)
      const changes: ReadonlyArray<() => void> = [
        () => {},
        () => writeFileSync(join(root, "a.txt"), "b"),
        () => chmodSync(join(root, "a.txt"), 0o700),
        () => renameSync(join(root, "a.txt"), join(root, "b.txt")),
        () => symlinkSync("b.txt", join(root, "link")),
        () => mkdirSync(join(root, "empty"))
      ]
      const hashes = new Set<string>()
      for (const change of changes) {
        change()
        const { folder, hash } = yield* snapshotOf(root, home)
        assert.strictEqual(hash, yield* fingerprintOf(root))
        // The copy of a copy is the same.
        assert.strictEqual(yield* fingerprintOf(folder), hash)
        assert.strictEqual(statSync(folder).mode & 0o777, 0o755)
        hashes.add(hash)
      }
      assert.strictEqual(hashes.size, changes.length)
    }).pipe(Effect.scoped)
  )

  it.effect("holds nothing that a link leads to, be it of a file or of a folder", () =>
    Effect.gen(function* () {
      const root = yield* folder
      const other = yield* folder
      write(other, { "secret.txt": "secret" })
      symlinkSync(other, join(root, "folder"))
      const before = yield* snapshotOf(root, yield* folder)
      assert.isTrue(lstatSync(join(before.folder, "folder")).isSymbolicLink())
      write(other, { "secret.txt": "another" })
      assert.strictEqual(yield* fingerprintOf(root), before.hash)
      rmSync(join(root, "folder"))
      symlinkSync(join(other, "secret.txt"), join(root, "noos.plugin.json"))
      const error = yield* Effect.flip(loadPlugin({ folder: root, grant: "asked" }, yield* folder))
      assert.match(error.message, /has no noos\.plugin\.json/)
    }).pipe(Effect.scoped)
  )
})
