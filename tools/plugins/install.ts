/** `noos tool add`: a plugin from npm, looked at before it is installed. */
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { Effect } from "effect"
import { execa } from "execa"
import { grantsFile, keyword, pluginsFolder, readGrants } from "./discover.ts"
import { type Manifest, PluginError, readManifest } from "./manifest.ts"
import { readPackage } from "./packages.ts"

/** Scripts of packages never run. What a plugin needs lies inside its own folder, so that it can be moved and shown. */
const npmArguments = [
  ...["install", "--ignore-scripts", "--install-strategy=nested", "--install-links"],
  ...["--no-audit", "--no-fund", "--no-update-notifier", "--omit=dev", "--omit=peer"]
]

const fetchWithNpm = (spec: string, into: string) =>
  Effect.tryPromise({
    try: (signal) =>
      execa("npm", [...npmArguments, "--prefix", into, "--", spec], {
        cancelSignal: signal,
        stdin: "ignore"
      }),
    catch: (cause) => {
      const { stderr = "", shortMessage = String(cause) } = cause as {
        stderr?: string
        shortMessage?: string
      }
      const said = stderr.split("\n").find((line) => /^npm (error|ERR!)/.test(line) && !/code /.test(line))
      return new PluginError({
        message: `npm cannot install ${spec}: ${(said ?? shortMessage).replace(/^npm (error|ERR!)\s*/, "")}`,
        hint: "see the package's name, and whether npm reaches its registry"
      })
    }
  })

/** The one package that was asked for, as npm wrote it down. */
const nameIn = (folder: string): string | undefined => Object.keys(readPackage(folder)?.dependencies ?? {})[0]

/**
 * Installs a package as a plugin below noos's own folder, and keeps what it asks for as granted. Nothing is changed if
 * it is no plugin, or if `agree` fails.
 *
 * @returns its name
 */
export const addPlugin = Effect.fn("plugins.add")(function* <E>(
  spec: string,
  home: string,
  agree: (name: string, manifest: Manifest) => Effect.Effect<void, E>
) {
  const root = pluginsFolder(home)
  mkdirSync(root, { recursive: true, mode: 0o700 })
  const staging = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(root, ".add-"))),
    (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
  )
  writeFileSync(join(staging, "package.json"), "{}")
  yield* fetchWithNpm(spec, staging)
  const name = nameIn(staging)
  const fetched = name === undefined ? undefined : join(staging, "node_modules", name)
  if (
    name === undefined ||
    fetched === undefined ||
    readPackage(fetched)?.keywords?.includes(keyword) !== true
  )
    return yield* new PluginError({
      message: `${spec} is no plugin: its package.json lacks the keyword ${keyword}`,
      hint: "docs/tools.md says how a plugin is published"
    })
  const { manifest } = yield* readManifest(fetched)
  yield* agree(name, manifest)
  const grants = { ...(yield* readGrants(home)), [name]: manifest.permissions ?? {} }
  const target = join(root, "node_modules", name)
  mkdirSync(dirname(target), { recursive: true })
  rmSync(target, { recursive: true, force: true })
  renameSync(fetched, target)
  const temporary = `${grantsFile(home)}.${process.pid}`
  writeFileSync(temporary, `${JSON.stringify(grants, null, 2)}\n`, { mode: 0o600 })
  renameSync(temporary, grantsFile(home))
  return name
}, Effect.scoped)
