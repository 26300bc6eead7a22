/** What a plugin's process is started with: what it sees of the host, its environment, and its limits. */
import { realpathSync } from "node:fs"
import { createRequire } from "node:module"
import { dirname, join } from "node:path"
import type { Mount, Start, Workspace } from "../../sandbox/sandbox.ts"
import type { Manifest, Permissions } from "./manifest.ts"
import { maxLine, places } from "./protocol.ts"
import { stateFor } from "./state.ts"

/** A plugin that may be started: its manifest read, its permissions granted. */
export interface Plugin {
  /** Of its copy, as its packages are: see files.ts. */
  readonly folder: string
  readonly modules: string
  readonly manifest: Manifest
  readonly permissions: Permissions
  /** On the host, for its files that stay. */
  readonly stateRoot: string
  /** What its tools were when it was loaded, as JSON. A process that says otherwise is refused. */
  readonly tools?: string
}

/** Memory that its processes may write, KiB each: RLIMIT_DATA. Node.js reserves address space without end. */
const dataKiB = 1536 * 1024

/** Files of noos that its program imports: TypeScript in a clone, JavaScript in the package. */
const extension = import.meta.filename.endsWith(".ts") ? ".ts" : ".js"
const root = join(import.meta.dirname, "../..")
const node = `${places.noos}/bin/node`
/** Module that makes `noos/plugin` known. */
export const hooks = `${places.noos}/tools/plugins/hooks${extension}`
/** The program that makes the plugin's calls. */
export const host = `${places.noos}/tools/plugins/host${extension}`
const effect = () => dirname(createRequire(import.meta.url).resolve("effect/package.json"))

const mountsOf = (
  { folder, modules, permissions, stateRoot }: Plugin,
  workspace: Workspace
): ReadonlyArray<Mount> => [
  { from: realpathSync(process.execPath), to: node },
  { from: join(root, "package.json"), to: `${places.noos}/package.json` },
  { from: import.meta.dirname, to: dirname(host) },
  { from: join(root, `kernel/schema${extension}`), to: `${places.noos}/kernel/schema${extension}` },
  { from: realpathSync(effect()), to: `${places.noos}/node_modules/effect` },
  { from: folder, to: places.plugin },
  { from: modules, to: "/node_modules" },
  ...(permissions.state === true
    ? [{ from: stateFor(stateRoot, workspace.root), to: places.state, write: true }]
    : [])
]

const environmentOf = ({ permissions: { env = [] } }: Plugin) =>
  Object.fromEntries(
    env.flatMap((name) => {
      const value = process.env[name]
      return value === undefined ? [] : [[name, value]]
    })
  )

/** How a program is started in a plugin's sandbox: `argv` are arguments of Node.js. */
export const program = (
  plugin: Plugin,
  workspace: Workspace,
  argv: ReadonlyArray<string>
): { readonly argv: readonly [string, ...ReadonlyArray<string>]; readonly start: Start } => ({
  argv: [
    ...([
      "/bin/sh",
      "-c",
      `ulimit -d ${dataKiB}; exec "$@"`,
      "sh",
      node,
      "--max-old-space-size=512"
    ] as const),
    ...["--disable-warning=MODULE_TYPELESS_PACKAGE_JSON", "--disable-warning=ExperimentalWarning", ...argv]
  ],
  start: {
    mounts: mountsOf(plugin, workspace),
    env: environmentOf(plugin),
    workspace: plugin.permissions.workspace ?? "none",
    limits: { memoryMiB: 1024 * 1024, outputBytes: 2 * maxLine }
  }
})
