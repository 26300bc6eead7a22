/** The tools that a task can be granted: noos's own, and what its folder and the person add to them. */
import { existsSync } from "node:fs"
import { dirname, join, resolve } from "node:path"
import { Effect } from "effect"
import { type Briefing, briefing, skillsFolder } from "../agents/instructions.ts"
import { exit, processCalls } from "../kernel/calls.ts"
import { memoryCalls, pagingCalls } from "../kernel/memory/calls.ts"
import type { AnyTool } from "../kernel/tool.ts"
import { openFolder } from "../sandbox/folder.ts"
import type { Workspace } from "../sandbox/sandbox.ts"
import { builtins, more } from "../tools/index.ts"
import { skillName } from "../tools/skills.ts"
import { pin } from "./agreed.ts"
import type { Agreed } from "./config.ts"
import { home } from "./environment.ts"
import { oneLine } from "./report.ts"
import { usage } from "./stop.ts"

/** Those that are there whatever the folder. */
export const standing: ReadonlyArray<AnyTool> = [...builtins, ...more, ...memoryCalls, ...processCalls]

/** Where other tools come from. */
export interface Sources {
  readonly config: Agreed
  /** Folders of plugins that the person named. */
  readonly plugins: ReadonlyArray<string>
}

const installed = (): string => join(home(), "plugins")
const ownSkills = (): string => join(home(), "skills")

/** Whether there is anything that could add a tool. */
export const mayAdd = ({ config, plugins }: Sources): boolean =>
  plugins.length + config.plugins.length + Object.keys(config.mcp).length + config.skills.length > 0 ||
  [installed(), ownSkills(), join(dirname(config.path), skillsFolder)].some((path) => existsSync(path))

/** Plugins, wherever they are named. Those that the person names get what they ask for, and the person is told what that is. */
const fromPlugins = Effect.fnUntraced(
  function* ({ config, plugins }: Sources) {
    if (plugins.length + config.plugins.length === 0 && !existsSync(installed())) return []
    // Loaded here, for most runs have none.
    const { allowed, discover, loadPlugins, readManifest } = yield* Effect.promise(
      () => import("../tools/plugins/index.ts")
    )
    const named = plugins.map((from) => ({ folder: resolve(from), from, grant: "asked" as const }))
    for (const { folder, from } of named) {
      const may = allowed((yield* readManifest(folder)).manifest.permissions ?? {})
      if (may.length > 0) process.stderr.write(`plugin ${from} may ${may.join(", ")}\n`)
    }
    const own = yield* discover({ config: { path: config.path, plugins: [] }, home: home() })
    const loaded = loadPlugins([...named, ...config.sources, ...own], home(), [
      ...[...standing, exit].map(({ name }) => name),
      skillName
    ])
    return yield* loaded
  },
  Effect.catchTag("PluginError", ({ hint, message }) => usage(message, hint))
)

/** Those of MCP servers. One that cannot be had costs its own tools, and the person is told. */
const fromServers = Effect.fnUntraced(function* ({ config }: Sources, workspace: Workspace) {
  const servers = Object.entries(config.mcp)
  if (servers.length === 0) return []
  const { mcpTools } = yield* Effect.promise(() => import("../tools/mcp/index.ts"))
  const warn = (text: string) => process.stderr.write(`noos: ${oneLine(text, 500)}\n`)
  const listed = yield* Effect.forEach(
    servers,
    ([name, server]) =>
      mcpTools(name, server, { workspace, pin: pin(config.path) }).pipe(
        Effect.catch((e) => {
          warn(`the MCP server ${name} is left out: ${e.message}`)
          return Effect.succeed({ tools: [], left: [] })
        })
      ),
    { concurrency: "unbounded" }
  )
  for (const { name, why } of listed.flatMap(({ left }) => left))
    warn(`the MCP tool ${name} is left out: ${why}`)
  return listed.flatMap(({ tools }) => tools)
})

const folders = Effect.fnUntraced(function* ({ config }: Sources, workspace: Workspace) {
  const named = config.skills.map((path) => ({ files: workspace, path }))
  if (!existsSync(ownSkills())) return named
  return [...named, { files: yield* openFolder(ownSkills()), path: "." }]
})

/** What a folder and the person add. What is connected to or read stays open until the scope closes. */
export const added = Effect.fn("added")(function* (sources: Sources, workspace: Workspace) {
  const told = yield* folders(sources, workspace).pipe(
    Effect.mapError((e) => usage(e.message, "see `$NOOS_HOME/skills`")),
    Effect.flatMap((found) => briefing(workspace, found))
  )
  const tools = [...told.tools, ...(yield* fromPlugins(sources)), ...(yield* fromServers(sources, workspace))]
  const names = [...standing, ...tools].map(({ name }) => name)
  const twice = names.find((name, i) => names.indexOf(name) !== i)
  if (twice !== undefined)
    return yield* usage(`two tools have the name ${twice}`, "rename one: a plugin's tool, or the MCP server")
  return { instructions: told.instructions, tools } satisfies Briefing
})

/** The tools of a process: the named ones, or else the usual ones and all that was added. */
export const granted = Effect.fnUntraced(function* (
  names: ReadonlyArray<string> | undefined,
  { tools: own }: Pick<Briefing, "tools">,
  where: string
) {
  if (names === undefined) return [...builtins, ...pagingCalls, ...own]
  const tools = [...standing, ...own]
  const unknown = names.find((name) => name !== exit.name && !tools.some((tool) => tool.name === name))
  if (unknown !== undefined)
    return yield* usage(`${where}grant: no such tool: ${unknown}`, "`noos tool list` names them")
  return tools.filter(({ name }) => names.includes(name))
})

/** Refuses names that nothing can bring, before a model is loaded. */
export const surely = Effect.fnUntraced(function* (
  names: ReadonlyArray<string> | undefined,
  sources: Sources,
  where: string
) {
  if (!mayAdd(sources)) yield* granted(names, { tools: [] }, where)
})
