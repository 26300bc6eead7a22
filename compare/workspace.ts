/** The workspace that an attempt begins with. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect } from "effect"
import { Sandbox } from "../sandbox/sandbox.ts"
import type { Item } from "../suites/suite.ts"

/** A fresh folder with an item's files, open in the sandbox. It goes with the scope. */
export const freshWorkspace = Effect.fn("freshWorkspace")(function* ({ files }: Pick<Item, "files">) {
  const folder = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "noos-compare-"))),
    (made) => Effect.sync(() => rmSync(made, { recursive: true, force: true }))
  )
  const workspace = yield* (yield* Sandbox).open(folder)
  // Through the sandbox, so that no path of a suite leads out of the folder.
  yield* Effect.forEach(Object.entries(files), ([path, text]) => workspace.writeFile(path, text), {
    discard: true
  })
  return workspace
})
