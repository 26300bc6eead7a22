/** What every command shares: where noos keeps its files, and the layers that a kernel stands on. */
import { homedir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { Layer } from "effect"
import { LlamaEngine } from "../kernel/engine/llama.ts"
import { Journal } from "../kernel/journal.ts"
import { Kernel } from "../kernel/kernel.ts"
import { Syscalls } from "../kernel/syscall.ts"
import { Bubblewrap } from "../sandbox/bubblewrap.ts"

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
