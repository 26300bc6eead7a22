/** What every command shares: where noos keeps its files, and the layers that a kernel stands on. */
import { realpathSync } from "node:fs"
import { homedir } from "node:os"
import { dirname, join, resolve, sep } from "node:path"
import { fileURLToPath } from "node:url"
import { Effect, Layer } from "effect"
import { LlamaEngine } from "../kernel/engine/llama.ts"
import { Journal } from "../kernel/journal.ts"
import { Kernel } from "../kernel/kernel.ts"
import { Syscalls } from "../kernel/syscall.ts"
import { badInput } from "../kernel/tool.ts"
import { Bubblewrap } from "../sandbox/bubblewrap.ts"
import { Sandbox } from "../sandbox/sandbox.ts"

/** `$NOOS_HOME`, or `~/.noos`: models, journals, plugins. */
export const home = (): string => resolve(process.env.NOOS_HOME || join(homedir(), ".noos"))

/** The model that comes with noos. */
export const embeddedModel = fileURLToPath(new URL("../models/nano.gguf", import.meta.url))

/** The real path of the longest part of a path that exists, with the rest behind it. */
const real = (path: string): string => {
  try {
    return realpathSync(path)
  } catch {
    const parent = dirname(path)
    return parent === path ? path : join(real(parent), path.slice(parent.length))
  }
}

/** A sandbox that opens no workspace from which the journal could be read or changed. */
const sandbox = Layer.effect(
  Sandbox,
  Effect.gen(function* () {
    const inner = yield* Sandbox
    return Sandbox.of({
      open: (root) =>
        `${real(home())}${sep}`.startsWith(`${real(resolve(root))}${sep}`)
          ? badInput(
              `the workspace ${root} holds noos's own folder ${home()}: choose another one, or set NOOS_HOME`
            )
          : inner.open(root)
    })
  })
).pipe(Layer.provide(Bubblewrap.layer))

const journal = Layer.suspend(() => Journal.layer(join(home(), "journal.db")))

/** Enough for single calls: no model is loaded. */
export const callLayer = Layer.mergeAll(Syscalls.layer, sandbox).pipe(Layer.provideMerge(journal))

/** A whole kernel on one model file. Engine and sandbox start side by side. */
export const kernelLayer = (modelPath: string) =>
  Kernel.layer.pipe(
    Layer.provideMerge(Layer.mergeAll(callLayer, LlamaEngine.layer({ modelPath, sequences: 1 })))
  )
