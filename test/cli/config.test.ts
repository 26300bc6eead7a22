import { execFileSync } from "node:child_process"
import { cpSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import { lines, scratch, twoLines } from "./launch.ts"

const { at, root, workspace } = scratch("config")
const home = join(root, "home")
const { call } = at(home)
const examples = fileURLToPath(new URL("../../examples/plugins", import.meta.url))

/** A folder with a plugin in it, and a noos.json. */
const folderWith = (config: object | string) => {
  const folder = workspace()
  cpSync(join(examples, "todo"), join(folder, "todo"), { recursive: true })
  writeFileSync(join(folder, "noos.json"), typeof config === "string" ? config : JSON.stringify(config))
  return folder
}
const todo = { plugins: [{ from: "./todo", grant: { state: true } }] }
const add = (folder: string) =>
  call("tool", "call", "todo_add", '{"text":"tea"}', "--workspace", folder, "--json")

describe("noos.json", () => {
  it("counts once the person has agreed to it, and no longer when it or its plugin changes", async () => {
    const folder = folderWith(todo)
    const before = await add(folder)
    assert.strictEqual(before.exitCode, 4)
    twoLines(before.stderr, /noos\.json, or a plugin that it names, is new or has changed/)
    const unasked = await call("trust", "--workspace", folder)
    assert.deepInclude(unasked, { exitCode: 4 })
    assert.strictEqual((await add(folder)).exitCode, 4)
    const agreed = await call("trust", "--yes", "--workspace", folder)
    assert.strictEqual(agreed.exitCode, 0, agreed.stderr)
    assert.include(agreed.stdout, 'plugin ./todo with {"grant":{"state":true}}')
    const after = await add(folder)
    assert.strictEqual(after.exitCode, 0, after.stderr)
    assert.isTrue(lines(after.stdout).at(-1)!.ok)

    const file = join(folder, "todo/index.ts")
    writeFileSync(file, `${readFileSync(file, "utf8")}\n`)
    assert.strictEqual((await add(folder)).exitCode, 4)
    await call("trust", "--yes", "--workspace", folder)
    assert.strictEqual((await add(folder)).exitCode, 0)
    writeFileSync(join(folder, "noos.json"), JSON.stringify({ ...todo, skills: ["x"] }))
    assert.strictEqual((await add(folder)).exitCode, 4)
    // Elsewhere the same text has not been agreed to.
    assert.strictEqual((await add(folderWith(todo))).exitCode, 4)
  })

  it("that cannot be understood is bad input, with what is wrong", async () => {
    const wrong: ReadonlyArray<readonly [string | object, RegExp]> = [
      ["{", /not JSON/],
      ["[]", /must be object/],
      [{ plugin: [] }, /additional properties/],
      [{ mcp: { Files: { command: ["x"] } } }, /mcp/],
      [{ mcp: { files: { command: [] } } }, /mcp\.files/],
      [{ mcp: { files: { command: ["x"], mounts: ["relative"] } } }, /mcp\.files/],
      [{ plugins: [{ from: "./todo", grant: { everything: true } }] }, /plugins/],
      [{ plugins: ["./none"] }, /no such plugin|none/],
      [{ plugins: ["no-such-package"] }, /no plugin no-such-package/]
    ]
    for (const [config, why] of wrong) {
      const folder = folderWith(config)
      const { exitCode, stderr } = await add(folder)
      assert.strictEqual(exitCode, 2, JSON.stringify(config))
      twoLines(stderr, why)
    }
  })

  it("that is no file, or shows a person something else than it says, is not believed", async () => {
    const piped = workspace()
    execFileSync("mkfifo", [join(piped, "noos.json")])
    const { exitCode, stderr } = await add(piped)
    assert.strictEqual(exitCode, 2)
    twoLines(stderr, /noos\.json: it is not a file/)
    const sly = folderWith({
      mcp: { a: { command: ["x", "\u001b[2K\r  plugin ./harmless"], env: { KEY: "k7q2" } } }
    })
    const { stdout } = await call("trust", "--yes", "--workspace", sly)
    assert.include(stdout, 'MCP server a: x [2K  plugin ./harmless with {"env":["KEY"]}')
    assert.notMatch(stdout, /\u001b|k7q2/)
  })

  it("grants no more than it says: what else a plugin asks for is refused, with what to write", async () => {
    const folder = folderWith({ plugins: ["./todo"] })
    const { exitCode, stderr } = await call("trust", "--yes", "--workspace", folder)
    assert.strictEqual(exitCode, 2)
    twoLines(stderr, /the plugin todo asks for what it was not granted \(state\)/)
    assert.include(stderr, '{"plugins":[{"from":"./todo","grant":{"state":true}}]}')
  })
})

describe("--plugin", () => {
  it("gives the tools of a folder that the person names, and says what it may do", async () => {
    const folder = workspace()
    const plugin = join(examples, "todo")
    const listed = await call("tool", "list", "--plugin", plugin, "--workspace", folder)
    assert.strictEqual(listed.exitCode, 0, listed.stderr)
    assert.match(listed.stdout, /^todo_add\(text: string\)/m)
    assert.match(listed.stderr, /plugin .*todo may keep files of its own/)
    const called = await call(
      "tool",
      "call",
      "todo_add",
      '{"text":"tea"}',
      "--plugin",
      plugin,
      "--workspace",
      folder
    )
    assert.strictEqual(called.exitCode, 0, called.stderr)
    const granted = await call(
      "run",
      "--grant",
      "todo_add,nothing",
      "--plugin",
      plugin,
      "--workspace",
      folder,
      "x"
    )
    assert.strictEqual(granted.exitCode, 2)
    twoLines(granted.stderr.replace(/^plugin .*\n/, ""), /no such tool: nothing/)
  })

  it("of a folder that is none is bad input", async () => {
    const { exitCode, stderr } = await call("tool", "list", "--plugin", join(root, "none"))
    assert.strictEqual(exitCode, 2)
    twoLines(stderr, /no such plugin/)
  })
})
