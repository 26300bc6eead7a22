/**
 * The embedded model itself at chains of files, each of which names the next: twenty windows of text, and what the answer
 * is stood in an early one. With the real kernel, sandbox and tools, and words and phrasings kept out of training.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect } from "effect"
import { fast } from "../../agents/programs.ts"
import { Engine } from "../../kernel/engine/engine.ts"
import { pagingCalls } from "../../kernel/memory/calls.ts"
import { type Chain, chain, type Variant } from "../../models/nano/chains.ts"
import { Sandbox } from "../../sandbox/sandbox.ts"
import { builtins } from "../../tools/index.ts"
import { type Emit, onKernel } from "../scheduler/system.ts"
import { budget, llama, nanoModel, progress, times, window } from "./setting.ts"

/** Of each variant: the answer is noted when it is read, or looked for at the end. */
const each = 25
const variants: ReadonlyArray<Variant> = ["note", "recall"]
const firstSeed = 44_000
const rows = 4

/** A chain that is long enough, with as few files as that takes. */
const longChain = (seed: number, variant: Variant, count: (text: string) => number): Chain => {
  for (let files = 90; ; files += 5) {
    const made = chain(seed, { files, variant, plain: true })
    const tokens = [...made.files.values()].reduce((n, text) => n + count(text), 0)
    if (tokens >= times * window) return made
  }
}

/** A folder with these files; it goes with the scope. */
const folderOf = (files: Chain["files"]) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const folder = mkdtempSync(join(tmpdir(), "noos-bench-"))
      for (const [name, text] of files) writeFileSync(join(folder, name), text)
      return folder
    }),
    (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
  )

export const chains = async (emit: Emit): Promise<void> => {
  const right = await onKernel(llama(nanoModel, rows), (jobs) =>
    Effect.gen(function* () {
      const { tokenize } = yield* Engine
      const sandbox = yield* Sandbox
      const attempt = Effect.fnUntraced(function* (variant: Variant, seed: number) {
        const made = longChain(seed, variant, (text) => tokenize(text).length)
        const workspace = yield* sandbox.open(yield* folderOf(made.files))
        const tools = [...builtins, ...pagingCalls]
        const options = { program: fast(0), tools, workspace, budget }
        const pid = yield* jobs.start(made.task, Number.POSITIVE_INFINITY, options)
        const { answer, reason, status, usage } = yield* jobs.wait(pid)
        // Who stops half-way has not read twenty windows, whatever it says.
        const right = status === "ok" && answer === made.answer && usage.syscalls > made.files.size
        if (!right)
          console.error(
            `${variant} ${seed}: ${JSON.stringify(made.task)}: ${status} (${reason}) after ${usage.syscalls} calls for ${made.files.size} files: ${JSON.stringify(answer)}, expected ${JSON.stringify(made.answer)}`
          )
        return { variant, right }
      }, Effect.scoped)
      const trials = variants.flatMap((variant, v) =>
        Array.from({ length: each }, (_, i) => attempt(variant, firstSeed + v * each + i))
      )
      const done = yield* Effect.all(trials, { concurrency: rows })
      return done.filter((one) => one.right).map((one) => one.variant)
    })
  )
  const of = (variant: Variant) => right.filter((one) => one === variant).length
  progress(`chains that nano read: ${variants.map((v) => `${of(v)} of ${each} right with ${v}`).join(", ")}`)
  emit({ metric: "right_answers_20x_nano", value: right.length / (each * variants.length), unit: "share" })
}
