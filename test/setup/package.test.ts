import { execFile } from "node:child_process"
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync
} from "node:fs"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { afterAll, beforeAll, expect, it } from "vitest"

const repository = fileURLToPath(new URL("../..", import.meta.url))
const folder = mkdtempSync(join(tmpdir(), "noos-package-"))
const home = mkdtempSync(join(tmpdir(), "noos-home-"))
const modules = join(folder, "node_modules")
const run = async (command: string, ...args: ReadonlyArray<string>): Promise<string> => {
  const { stdout } = await promisify(execFile)(command, args, {
    cwd: folder,
    env: { ...process.env, NOOS_HOME: home }
  })
  return stdout
}

/** The package as it is published, installed in a project of its own beside the dependencies. */
beforeAll(async () => {
  mkdirSync(modules)
  for (const name of readdirSync(join(repository, "node_modules"))) {
    symlinkSync(join(repository, "node_modules", name), join(modules, name))
  }
  await run(process.execPath, join(repository, "scripts/package.mjs"), join(modules, "noos"))
})
afterAll(() => {
  for (const made of [folder, home]) rmSync(made, { recursive: true })
})

it("runs its command line", async () => {
  const { version } = JSON.parse(readFileSync(join(repository, "package.json"), "utf8"))
  expect(await run(join(modules, "noos/noos"), "--version")).toContain(version)
  const answer = await run(
    join(modules, "noos/noos"),
    "tool",
    "call",
    "calc",
    '{"expression":"6*7"}',
    "--json"
  )
  expect(JSON.parse(answer.trim().split("\n")[0]!)).toMatchObject({ tool: "calc", ok: true, result: "42" })
})

it("brings the programs that run in the sandbox, and the one that reads pages", async () => {
  for (const [language, code, value] of [
    ["python", "6*7", "42"],
    ["javascript", "6*7", "42"]
  ])
    expect(
      await run(join(modules, "noos/noos"), "tool", "call", "code", JSON.stringify({ language, code }))
    ).toBe(`${value}\n`)
  const page = createServer((_, response) => {
    response.setHeader("content-type", "text/html")
    response.end(`<title>Tea</title><article><p>${"Tea is a drink. ".repeat(40)}</p></article>`)
  })
  await new Promise<void>((ready) => page.listen(0, "127.0.0.1", ready))
  try {
    const host = `127.0.0.1:${(page.address() as AddressInfo).port}`
    const fetched = ["tool", "call", "web_fetch", `{"url":"http://${host}/"}`, "--net", host]
    expect(await run(join(modules, "noos/noos"), ...fetched)).toContain("Tea is a drink.")
    const open = `python3 -c "import urllib.request as u; print(u.urlopen('http://${host}/').read())"`
    const shell = ["tool", "call", "shell", JSON.stringify({ command: open }), "--net", host]
    expect(await run(join(modules, "noos/noos"), ...shell)).toContain("Tea is a drink.")
  } finally {
    page.close()
  }
})

it("makes, tests and runs a plugin", async () => {
  await run(join(modules, "noos/noos"), "tool", "new", "shout")
  expect(await run(join(modules, "noos/noos"), "tool", "test", "shout")).toContain("checks passed")
  const call = ["tool", "call", "shout", '{"text":"hi"}', "--plugin", "./shout"]
  expect(await run(join(modules, "noos/noos"), ...call)).toBe("HI\n")
})

it("is a library with types", async () => {
  writeFileSync(join(folder, "package.json"), '{"type":"module"}')
  writeFileSync(
    join(folder, "use.mjs"),
    'import { defineTool } from "noos"\nconsole.log(typeof defineTool)\n'
  )
  expect(await run(process.execPath, "use.mjs")).toBe("function\n")

  const compile = (text: string) => {
    writeFileSync(join(folder, "use.ts"), `import { defineTool } from "noos"\n${text}\n`)
    const options = ["--noEmit", "--strict", "--module", "nodenext", "--skipLibCheck", "--types", "node"]
    return run(join(modules, ".bin/tsc"), ...options, "use.ts")
  }
  await compile("export const made: Function = defineTool")
  await expect(compile("export const made: number = defineTool")).rejects.toMatchObject({
    stdout: expect.stringContaining("TS2322")
  })
})
