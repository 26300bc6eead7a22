/**
 * memory: context as virtual memory. Answers that depend on what left the window long ago, what it costs to read again, and
 * what the kernel's own bookkeeping takes.
 *
 * Every ratio of times is of things measured in turns in this run.
 */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { large, writeRandomModel } from "../test/fixtures/random-gguf.ts"
import type { Metric } from "./main.ts"
import { answers } from "./memory/answers.ts"
import { chains } from "./memory/chains.ts"
import { faults } from "./memory/faults.ts"
import { keepMethods } from "./memory/keep.ts"
import { policies } from "./memory/policies.ts"
import { reuse } from "./memory/reuse.ts"
import type { Emit } from "./scheduler/system.ts"

export const memory = async (report: (metric: Metric) => void): Promise<void> => {
  const home = mkdtempSync(join(tmpdir(), "noos-bench-"))
  const emit: Emit = (metric) => report({ bench: "memory", ...metric })
  try {
    await reuse(emit)
    await faults(emit)
    const model = join(home, "large.gguf")
    writeRandomModel(model, large)
    await keepMethods(model, home, emit)
    await policies(emit)
    // Nothing of these is timed: a core each.
    await Promise.all([answers(emit), chains(emit)])
  } finally {
    rmSync(home, { recursive: true, force: true })
  }
}
