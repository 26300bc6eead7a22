/** `noos tool new`: a plugin that already works, to be changed. */
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs"
import { basename, join, resolve } from "node:path"
import { Effect } from "effect"
import { keyword } from "./discover.ts"
import { manifestName, PluginError } from "./manifest.ts"

const json = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`

const index = (tool: string): string => `import { defineTool } from "noos/plugin"

export default defineTool({
  name: "${tool}",
  description: "Say a text in capitals.",
  input: {
    type: "object",
    properties: { text: { type: "string" } },
    required: ["text"],
    additionalProperties: false
  },
  output: { type: "string" },
  effect: "pure",
  // Made and compared by \`noos tool test\`.
  examples: [{ args: { text: "good morning" }, result: "GOOD MORNING" }],
  execute: ({ text }: { text: string }) => text.toUpperCase()
})
`

const test = `import assert from "node:assert/strict"
import { test } from "node:test"
import { testContext } from "noos/plugin"
import tool from "./index.ts"

test("leaves alone what is no letter", () => {
  assert.equal(tool.execute({ text: "a-1" }, testContext()), "A-1")
})
`

/** The files of a plugin by its name. */
const files = (name: string): Readonly<Record<string, string>> => ({
  [manifestName]: json({ name, version: "0.1.0", main: "index.ts", permissions: {} }),
  "index.ts": index(name.replaceAll("-", "_")),
  "index.test.ts": test,
  "package.json": json({
    name: `noos-plugin-${name}`,
    version: "0.1.0",
    type: "module",
    keywords: [keyword]
  })
})

/** Makes a folder with a plugin, named like the folder. */
export const newPlugin = Effect.fn("plugins.new")(function* (path: string) {
  const folder = resolve(path)
  const name = basename(folder)
  if (!/^[a-z][a-z0-9_-]{0,63}$/.test(name))
    return yield* new PluginError({
      message: `no name for a plugin: ${name}`,
      hint: "begin with a small letter; go on with small letters, digits, - and _"
    })
  if (existsSync(folder) && readdirSync(folder).length > 0)
    return yield* new PluginError({ message: `${path} is there already`, hint: "choose another name" })
  mkdirSync(folder, { recursive: true })
  for (const [file, text] of Object.entries(files(name))) writeFileSync(join(folder, file), text)
  return folder
})
