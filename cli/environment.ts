/** What every command shares: where noos keeps its files, and the layers that a kernel stands on. */
import { homedir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { Effect, Layer } from "effect"
import { LlamaEngine } from "../kernel/engine/llama.ts"
import { Journal } from "../kernel/journal.ts"
import { Kernel } from "../kernel/kernel.ts"
import { Syscalls } from "../kernel/syscall.ts"
import { Bubblewrap } from "../sandbox/bubblewrap.ts"
import { Sandbox } from "../sandbox/sandbox.ts"
import { code, Stop } from "./stop.ts"

/** `$NOOS_HOME`, or `~/.noos`: models, journals, plugins. */
export const home = (): string => process.env.NOOS_HOME || join(homedir(), ".noos")

/** The model that comes with noos. */
export const embeddedModel = fileURLToPath(new URL("../models/nano.gguf", import.meta.url))

const journal = Layer.suspend(() => Journal.layer(join(home(), "journal.db")))

/** Enough for single calls: no model is loaded. */
export const callLayer = Layer.mergeAll(Syscalls.layer, Bubblewrap.layer).pipe(Layer.provideMerge(journal))

/** A whole kernel on one model file. Engine and sandbox start side by side. */
export const kernelLayer = (modelPath: string) =>
  Kernel.layer.pipe(
    Layer.provideMerge(Layer.mergeAll(callLayer, LlamaEngine.layer({ modelPath, sequences: 1 })))
  )

/** Opens the folder a command works in. */
export const openWorkspace = Effect.fn("openWorkspace")(function* (folder: string) {
  const sandbox = yield* Sandbox
  return yield* sandbox.open(folder).pipe(
    Effect.catchTag("ToolError", (e) =>
      Effect.fail(
        new Stop({
          code: code.usage,
          what: `workspace ${folder}: ${e.message}`,
          todo: "name an existing folder with --workspace"
        })
      )
    )
  )
})
