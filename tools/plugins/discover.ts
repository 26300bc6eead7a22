/** Where plugins are found, and what the person granted each. */
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { dirname, join, resolve } from "node:path"
import { Effect } from "effect"
import {
  manifestName,
  once,
  type Permissions,
  PluginError,
  problemOfPermissions,
  type Source
} from "./manifest.ts"
import { findPackage, readPackage } from "./packages.ts"

/** A package of npm with this keyword is a plugin. */
export const keyword = "noos-plugin"

/** What noos.json says of plugins: paths begin with `.` or `/`, all others are npm packages. */
export interface PluginConfig {
  /** Of the noos.json itself: paths and packages are looked up from its folder. */
  readonly path: string
  readonly plugins: ReadonlyArray<string | { readonly from: string; readonly grant?: Permissions }>
}

export const pluginsFolder = (home: string): string => join(home, "plugins")

/** What was granted to the plugins below noos's own folder, by the name of their folder or package. */
export const grantsFile = (home: string): string => join(pluginsFolder(home), "grants.json")

/** The grants that are kept. A file that says anything else is an error, never a grant. */
export const readGrants = (
  home: string
): Effect.Effect<{ readonly [name: string]: Permissions }, PluginError> =>
  Effect.try({
    try: () => {
      const file = grantsFile(home)
      const grants = existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : {}
      if (typeof grants !== "object" || grants === null || Array.isArray(grants))
        throw new Error("not an object")
      for (const [name, grant] of Object.entries(grants)) {
        const problem = problemOfPermissions(grant)
        if (problem !== undefined) throw new Error(`${name}: ${problem}`)
      }
      return grants as { readonly [name: string]: Permissions }
    },
    catch: (cause) =>
      new PluginError({
        message: `${grantsFile(home)}: ${(cause as Error).message}`,
        hint: `mend it, or remove it and add the plugins again with \`noos tool add\``
      })
  })

const listed = (folder: string): ReadonlyArray<string> =>
  existsSync(folder) ? readdirSync(folder).sort() : []

/** The packages of a node_modules, those of scopes included. */
const packagesIn = (modules: string): ReadonlyArray<string> =>
  listed(modules).flatMap((name) =>
    name.startsWith("@") ? listed(join(modules, name)).map((inner) => `${name}/${inner}`) : [name]
  )

const fromConfig = Effect.fnUntraced(function* ({ path, plugins }: PluginConfig, home: string) {
  const base = dirname(path)
  const sources: Array<Source> = []
  for (const entry of plugins) {
    const { from, grant = {} } = typeof entry === "string" ? { from: entry } : entry
    const folder = /^[./]/.test(from)
      ? resolve(base, from)
      : (findPackage(from, base) ?? findPackage(from, pluginsFolder(home)))
    if (folder === undefined)
      return yield* new PluginError({
        message: `${path}: no plugin ${from}: no such package in node_modules`,
        hint: `install it with \`npm install ${from}\` there, or write ./${from} if it is a folder`
      })
    sources.push({ folder, from, grant })
  }
  return sources
})

const fromHome = Effect.fnUntraced(function* (home: string) {
  const root = pluginsFolder(home)
  const modules = join(root, "node_modules")
  const folders = listed(root)
    .filter((name) => existsSync(join(root, name, manifestName)))
    .map((name) => ({ name, folder: join(root, name) }))
  const packages = packagesIn(modules)
    .map((name) => ({ name, folder: join(modules, name) }))
    .filter(({ folder }) => readPackage(folder)?.keywords?.includes(keyword) === true)
  if (folders.length + packages.length === 0) return []
  const grants = yield* readGrants(home)
  return [...folders, ...packages].map(
    ({ name, folder }): Source => ({
      folder,
      from: name,
      grant: Object.hasOwn(grants, name) ? grants[name]! : {},
      grants: grantsFile(home)
    })
  )
})

/** All plugins of a folder and of the person, each once: noos.json comes first. */
export const discover = Effect.fn("plugins.discover")(function* (options: {
  readonly config: PluginConfig
  readonly home: string
}) {
  return once([...(yield* fromConfig(options.config, options.home)), ...(yield* fromHome(options.home))])
})
