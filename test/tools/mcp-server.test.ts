/** Which code of a server a person can agree to: none that whoever works in the workspace can change. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, assert, it } from "@effect/vitest"
import { type ProgramServer, startOf } from "../../tools/mcp/server.ts"

const home = mkdtempSync(join(tmpdir(), "noos-mcp-server-"))
afterAll(() => rmSync(home, { recursive: true, force: true }))
const root = join(home, "work")
mkdirSync(join(root, "server"), { recursive: true })
mkdirSync(join(home, "servers"))
symlinkSync(join(root, "server"), join(home, "link"))

const start = (server: ProgramServer) => () => startOf(server, root)

it("mounts of the workspace, what is in it and what holds it are refused, by whatever name", () => {
  for (const path of [root, join(root, "server"), `${join(root, "server")}:/opt/s`, join(home, "link"), home])
    assert.throws(start({ command: ["node", "/opt/s/a.js"], mounts: [path] }), /hold the same files/)
  assert.doesNotThrow(
    start({ command: ["node", "/opt/s/a.js"], mounts: [`${join(home, "servers")}:/opt/s`] })
  )
})

it("a program in the workspace is given neither variables nor network nor trust", () => {
  const commands: ReadonlyArray<ProgramServer["command"]> = [
    ["/work/server"],
    ["./server"],
    ["/usr/../work/server"],
    ["node", "/work/a.js"],
    ["node", "--no-warnings", "a.js"],
    ["node", "--import=/work/a.js", "/opt/b.js"],
    ["/usr/bin/python3.12", "-m", "module"],
    ["sh", "/work/run.sh"]
  ]
  const given: ReadonlyArray<Partial<ProgramServer>> = [
    { env: { TOKEN: "1" } },
    { grant: { net: ["example.com"] } },
    { trust: true }
  ]
  for (const command of commands) {
    for (const more of given)
      assert.throws(start({ command, ...more }), /lies in the workspace/, JSON.stringify(command))
    assert.doesNotThrow(start({ command }))
  }
  for (const more of given) assert.doesNotThrow(start({ command: ["node", "/opt/s/a.js", "/work"], ...more }))
})
