/** What the tests of plugins share: plugins written into throw-away folders, and calls to their tools. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, type Scope } from "effect"
import { type AnyTool, Rendered, type ToolContext, type ToolError } from "../../../kernel/tool.ts"
import type { Workspace } from "../../../sandbox/sandbox.ts"
import { loadPlugin } from "../../../tools/plugins/load.ts"
import type { Permissions } from "../../../tools/plugins/manifest.ts"
import { contextIn } from "../../fixtures/context.ts"

/** A folder that goes with the scope. */
export const folder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "noos-plugins-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

export const write = (root: string, files: Readonly<Record<string, string>>) => {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(join(root, path, ".."), { recursive: true })
    writeFileSync(join(root, path), text)
  }
}

export interface Written {
  readonly name?: string
  /** What the module holds in front of its tools. */
  readonly head?: string
  /** Bodies of `execute`, by the names of their tools. */
  readonly tools: Readonly<Record<string, string>>
  /** JavaScript that gives their description. */
  readonly description?: string
  readonly permissions?: Permissions
  readonly seconds?: number
}

/** A plugin whose tools take any `text`. */
export const plugin = Effect.fn("test.plugin")(function* (written: Written) {
  const root = yield* folder
  const { name = "tested", description = '"A tool."', permissions = {}, seconds } = written
  const tools = Object.entries(written.tools).map(
    ([tool, body]) => `defineTool({
      name: ${JSON.stringify(tool)}, description: ${description}, effect: "pure",
      input: { type: "object", properties: { text: { type: "string" } }, additionalProperties: false },
      execute: async ({ text }, ctx) => { ${body} }
    })`
  )
  write(root, {
    "noos.plugin.json": JSON.stringify({
      name,
      main: "index.js",
      permissions,
      ...(seconds === undefined ? {} : { seconds })
    }),
    "index.js": `import { defineTool, ToolError } from "noos/plugin"\n${written.head ?? ""}\nexport default [${tools.join()}]\n`
  })
  return root
})

/** A call's result, or `code: message`. */
export type Call = (tool: string, args?: object, more?: Partial<ToolContext>) => Effect.Effect<unknown>

/** The tools of a plugin with all that it asks for, called by one process in a workspace. */
export const caller = (tools: ReadonlyArray<AnyTool>, workspace: Workspace, scope: Scope.Scope): Call => {
  const ctx = contextIn(workspace, scope)
  return (name, args = {}, more = {}) => {
    const tool = tools.find((t) => t.name === name)
    if (tool === undefined) throw new Error(`no tool ${name}`)
    return tool.execute(args, { ...ctx, ...more }).pipe(
      Effect.map((given) => (given instanceof Rendered ? given.result : given)),
      Effect.catch((e: ToolError) => Effect.succeed(`${e.code}: ${e.message}`))
    )
  }
}

/** Loads a plugin that was just written, and gives what calls it. */
export const loaded = Effect.fn("test.loaded")(function* (written: Written, workspace: Workspace) {
  const tools = yield* loadPlugin({ folder: yield* plugin(written), grant: "asked" }, yield* folder)
  return caller(tools, workspace, yield* Effect.scope)
})
