/** What every command shares: where noos keeps its files, and the layers that a kernel stands on. */
import { existsSync, readFileSync, realpathSync } from "node:fs"
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

/** Of this noos. */
export const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as {
  readonly version: string
}

/** `$NOOS_HOME`, or `~/.noos`: models, journals, plugins. */
export const home = (): string => resolve(process.env.NOOS_HOME || join(homedir(), ".noos"))

/** The model that comes with noos. */
export const embeddedModel = fileURLToPath(new URL("../models/nano.gguf", import.meta.url))

/** The real path of the longest part of a path that exists, with the rest behind it. */
export const real = (path: string): string => {
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
      open: (root, net) =>
        `${real(home())}${sep}`.startsWith(`${real(resolve(root))}${sep}`)
          ? badInput(
              `the workspace ${root} holds noos's own folder ${home()}: choose another one, or set NOOS_HOME`
            )
          : inner.open(root, net)
    })
  })
).pipe(Layer.provide(Bubblewrap.layer))

const journalFile = (): string => join(home(), "journal.db")

export const journalLayer = Layer.suspend(() => Journal.layer(journalFile()))

/** Whether there is a journal: reading one would make it. */
export const hasJournal = (): boolean => existsSync(journalFile())

/** Enough for single calls: no model is loaded. */
export const callLayer = Layer.mergeAll(Syscalls.layer, sandbox).pipe(Layer.provideMerge(journalLayer))

/** A whole kernel on one model file, with rows for so many processes at a time. Engine and sandbox start side by side. */
export const kernelLayer = (modelPath: string, rows = 1) =>
  Kernel.layer.pipe(
    Layer.provideMerge(Layer.mergeAll(callLayer, LlamaEngine.layer({ modelPath, sequences: rows })))
  )
