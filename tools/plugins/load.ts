/**
 * Loads plugins: their tools as the kernel's, each call in the plugin's own sandboxed process.
 *
 * What the tools are is asked of that process, once; it is kept, by a hash of all of the plugin's files, so that a run
 * with plugins starts without starting them.
 */
import { createHash } from "node:crypto"
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect } from "effect"
import type { AnyTool, ToolContext } from "../../kernel/tool.ts"
import { Sandbox } from "../../sandbox/sandbox.ts"
import { tidy, withoutSlow } from "../foreign-schema.ts"
import { checked } from "./describe.ts"
import { type Snapshot, snapshotOf } from "./files.ts"
import { grantedTo, once, PluginError, readManifest, type Source } from "./manifest.ts"
import { startPlugin } from "./process.ts"
import type { Plugin } from "./program.ts"
import type { Description } from "./protocol.ts"
import { stateRoot } from "./state.ts"

const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"))

/** What does not change the plugin's files and may still change what its tools are. */
const surroundings = JSON.stringify([version, process.version])

/** The tools, as a process of the plugin says them now. */
const ask = Effect.fn("plugins.ask")(function* (plugin: Plugin) {
  const folder = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "noos-plugin-"))),
    (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
  )
  const workspace = yield* (yield* Sandbox).open(folder)
  return (yield* startPlugin(plugin, workspace)).tools
}, Effect.scoped)

const remembered = (file: string): ReadonlyArray<unknown> | undefined => {
  try {
    return JSON.parse(readFileSync(file, "utf8"))
  } catch {
    return undefined
  }
}

const remember = (folder: string, file: string, tools: ReadonlyArray<unknown>): void => {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const temporary = `${file}.${process.pid}`
  writeFileSync(temporary, JSON.stringify(tools))
  renameSync(temporary, file)
}

/** Two folders with the same files are two plugins: with states, and perhaps grants, of their own. */
const handleName = (plugin: Plugin): string => `plugin ${plugin.stateRoot}`

/** The process of a plugin that the calling process has open. It is started by the first call, and after it has ended. */
const processOf = Effect.fnUntraced(function* (
  plugin: Plugin,
  { handles, workspace }: Pick<ToolContext, "handles" | "workspace">
) {
  const open = handles.open(handleName(plugin), startPlugin(plugin, workspace))
  const started = yield* open
  if (started.alive()) return started
  yield* handles.close(handleName(plugin))
  return yield* open
})

const toolOf =
  (plugin: Plugin) =>
  ({ input, output: said, ...description }: Description): AnyTool => {
    const output = said && withoutSlow(said)
    return {
      ...description,
      input: tidy(input),
      ...(output === undefined ? {} : { output }),
      execute: (args, ctx) =>
        Effect.flatMap(processOf(plugin, ctx), (started) =>
          started
            .call(description.name, args, ctx)
            // What is left of a process that broke goes with its call, not with the next one.
            .pipe(
              Effect.ensuring(
                Effect.suspend(() => (started.alive() ? Effect.void : ctx.handles.close(handleName(plugin))))
              )
            )
        )
    }
  }

/** A plugin as it is now, copied: what is checked from here on is what runs. */
export const preparePlugin = Effect.fn("plugins.prepare")(function* (source: Source, home: string) {
  const { folder: real } = yield* readManifest(source.folder)
  const snapshot: Snapshot = yield* snapshotOf(real, home)
  if (source.hash !== undefined && source.hash !== snapshot.hash)
    return yield* new PluginError({
      message: `the plugin ${source.from ?? source.folder} was changed while it was loaded`,
      hint: "look at what it is now, and agree to it again"
    })
  const { manifest } = yield* readManifest(snapshot.folder)
  const permissions = yield* grantedTo(source, manifest)
  const { folder, modules } = snapshot
  const plugin: Plugin = {
    folder,
    modules,
    manifest,
    permissions,
    stateRoot: stateRoot(home, manifest.name, real)
  }
  return { plugin, snapshot }
})

/** The tools of one plugin. `home` is noos's own folder, for what is kept of it and for its state. */
export const loadPlugin = Effect.fn("plugins.load")(function* (source: Source, home: string) {
  const { plugin, snapshot } = yield* preparePlugin(source, home)
  const { manifest, permissions } = plugin
  const cache = join(home, "cache", "plugins")
  const key = createHash("sha256")
    .update(`${snapshot.hash} ${JSON.stringify(permissions)} ${surroundings}`)
    .digest("hex")
  const file = join(cache, `${key}.json`)
  const unusable = (message: string) =>
    new PluginError({
      message,
      hint: `\`noos tool test ${source.from ?? source.folder}\` shows what is wrong`
    })

  const known = remembered(file)
  const told =
    known ?? (yield* ask(plugin).pipe(Effect.catchTag("ToolError", (e) => Effect.fail(unusable(e.message)))))
  const tools = checked(told)
  if ("problem" in tools) return yield* unusable(`plugin ${manifest.name}: ${tools.problem}`)
  if (known === undefined) remember(cache, file, told)
  return tools.map(toolOf({ ...plugin, tools: JSON.stringify(told) }))
})

/**
 * The tools of several plugins, each loaded as it is named first. Names must differ, from each other's and from those
 * that are taken.
 */
export const loadPlugins = Effect.fn("plugins.loadAll")(function* (
  sources: ReadonlyArray<Source>,
  home: string,
  taken: Iterable<string> = []
) {
  const owners = new Map<string, string>()
  for (const name of taken) owners.set(name, "noos")
  const all: Array<AnyTool> = []
  for (const source of once(sources)) {
    const from = source.from ?? source.folder
    for (const tool of yield* loadPlugin(source, home)) {
      const owner = owners.get(tool.name)
      if (owner !== undefined)
        return yield* new PluginError({
          message: `the plugin ${from} has a tool ${tool.name}, which is one of ${owner}'s`,
          hint: "rename the tool in the plugin, or leave the plugin out"
        })
      owners.set(tool.name, from)
      all.push(tool)
    }
  }
  return all
})
