/** Where the files of plugins that stay are, below noos's own folder. */
import { createHash } from "node:crypto"
import { chownSync, mkdirSync, statSync } from "node:fs"
import { join } from "node:path"
import { identityFor, isRoot } from "../../sandbox/launch.ts"

/** One folder for a plugin: two of the same name at different places have nothing to do with each other. */
export const stateRoot = (home: string, name: string, folder: string): string =>
  join(home, "state", `${name}-${createHash("sha256").update(folder).digest("hex").slice(0, 12)}`)

/** The part for a workspace, made if need be: each person whose workspaces a root works in has one of their own. */
export const stateFor = (stateRoot: string, workspace: string): string => {
  const { uid, gid } = identityFor(statSync(workspace))
  const folder = join(stateRoot, `${uid}`)
  if (mkdirSync(folder, { recursive: true, mode: 0o700 }) !== undefined && isRoot) chownSync(folder, uid, gid)
  return folder
}
