import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { lines, scratch, twoLines } from "./launch.ts"

const { root, at, workspace } = scratch("plugin")
const { call } = at(join(root, "home"))

describe("noos tool", () => {
  it("makes a plugin, tests it, and calls it; a broken one fails the test", async () => {
    const folder = join(root, "shout")
    const made = await call("tool", "new", folder)
    assert.strictEqual(made.exitCode, 0, made.stderr)
    twoLines((await call("tool", "new", folder)).stderr, /is there already/)

    const tested = await call("tool", "test", folder, "--json")
    assert.strictEqual(tested.exitCode, 0, tested.stdout)
    const checks = lines(tested.stdout)
    assert.deepStrictEqual(checks.at(-1), { type: "summary", checks: checks.length - 1, failed: 0 })
    const called = await call("tool", "call", "shout", '{"text":"hi"}', "--plugin", folder, "--json")
    assert.deepInclude(lines(called.stdout)[0]!, { tool: "shout", ok: true, result: "HI" })

    // README's example: a tool that the embedded model was not trained on.
    const ran = await call("run", "--plugin", folder, "--workspace", workspace(), 'Shout "good morning".')
    assert.deepInclude(ran, { stdout: "GOOD MORNING", exitCode: 0 })

    const module = join(folder, "index.ts")
    writeFileSync(module, readFileSync(module, "utf8").replace("toUpperCase", "toLowerCase"))
    const broken = await call("tool", "test", folder)
    assert.strictEqual(broken.exitCode, 1)
    assert.match(broken.stdout, /^FAIL shout: examples give their results\n {5}.*gave "good morning"/m)
    assert.match(broken.stdout, /^FAIL index\.test\.ts/m)
    assert.strictEqual(broken.stderr, "")
  })

  it("adds a plugin that the person agrees to, and no other", async () => {
    const folder = join(root, "package")
    mkdirSync(folder)
    writeFileSync(
      join(folder, "package.json"),
      '{"name":"noos-plugin-greet","version":"1.0.0","type":"module","keywords":["noos-plugin"]}'
    )
    writeFileSync(
      join(folder, "noos.plugin.json"),
      '{"name":"greet","main":"index.js","permissions":{"net":["example.com"],"state":true}}'
    )
    writeFileSync(
      join(folder, "index.js"),
      'export default { name: "greet", description: "Say hello.", effect: "pure", input: { type: "object", properties: {}, additionalProperties: false }, execute: () => "hello" }'
    )
    const asked = await call("tool", "add", folder)
    assert.strictEqual(asked.exitCode, 4)
    assert.match(asked.stderr, /^noos-plugin-greet may reach example\.com; keep files of its own\n/)
    twoLines(asked.stderr.split("\n").slice(1).join("\n"), /nobody agreed/)
    const unknown = await call("tool", "call", "greet", "{}")
    assert.notStrictEqual(unknown.exitCode, 0)

    const added = await call("tool", "add", folder, "--yes")
    assert.strictEqual(added.exitCode, 0, added.stderr)
    const called = await call("tool", "call", "greet", "{}")
    assert.strictEqual(called.stdout, "hello")
  })
})
