/** All files of a plugin's folder as one hash. */
import { createHash } from "node:crypto"
import { lstatSync, readdirSync, readFileSync, readlinkSync } from "node:fs"
import { join } from "node:path"
import { Effect } from "effect"
import { PluginError } from "./manifest.ts"

/** A plugin is small; a folder that is not is one that somebody named by mistake. */
const limits = { files: 20_000, bytes: 256 * 1024 * 1024 }

/** Of names, contents and links, in the order of the names. */
export const hashOf = (folder: string): Effect.Effect<string, PluginError> =>
  Effect.try({
    try: () => {
      const hash = createHash("sha256")
      let files = 0
      let bytes = 0
      const visit = (path: string): void => {
        const stats = lstatSync(join(folder, path))
        if (++files > limits.files) throw new Error(`more than ${limits.files} files`)
        if (stats.isDirectory()) {
          for (const name of readdirSync(join(folder, path)).sort()) visit(join(path, name))
        } else if (stats.isFile()) {
          bytes += stats.size
          if (bytes > limits.bytes) throw new Error(`more than ${limits.bytes} bytes`)
          const content = createHash("sha256")
            .update(readFileSync(join(folder, path)))
            .digest("hex")
          hash.update(`${JSON.stringify(path)} ${content}\n`)
        } else if (stats.isSymbolicLink())
          hash.update(`${JSON.stringify(path)} -> ${JSON.stringify(readlinkSync(join(folder, path)))}\n`)
      }
      visit("")
      return hash.digest("hex")
    },
    catch: (cause) =>
      new PluginError({
        message: `the plugin's folder ${folder} cannot be read: ${cause instanceof Error ? cause.message : cause}`,
        hint: "a plugin is a folder of its own, with few files"
      })
  })
