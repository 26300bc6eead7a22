/** A folder of the person's that is only read, by the same walk that keeps a workspace's files inside it. */
import { constants, realpathSync } from "node:fs"
import { Effect } from "effect"
import { files } from "./files.ts"
import type { Workspace } from "./sandbox.ts"
import { attempt, openIn } from "./walk.ts"

/** Until the scope closes. */
export const openFolder = Effect.fn("openFolder")(function* (path: string) {
  const root = yield* attempt(path, () => realpathSync(path))
  const fd = yield* openIn(path, root, constants.O_RDONLY | constants.O_DIRECTORY)
  const { list, readFile } = files(fd, root)
  return { list, readFile } satisfies Pick<Workspace, "list" | "readFile">
})
