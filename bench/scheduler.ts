/**
 * scheduler: many processes on one engine, against the bare engine, against first-come-first-served, and by themselves.
 *
 * Figures without a suffix are of a model of about 100 M random weights, made here; `_nano` of the embedded model. Every
 * ratio is of things measured in turns in this run.
 */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { embeddedModel } from "../cli/environment.ts"
import { large, tiny, writeRandomModel } from "../test/fixtures/random-gguf.ts"
import type { Metric } from "./main.ts"
import { crowd } from "./scheduler/crowd.ts"
import { decode } from "./scheduler/decode.ts"
import { interactive } from "./scheduler/interactive.ts"
import { kernelTime } from "./scheduler/kernel-time.ts"
import { makespan } from "./scheduler/makespan.ts"
import { fork, gap } from "./scheduler/prefill.ts"
import { type Emit, recite, say } from "./scheduler/system.ts"

export const scheduler = async (report: (metric: Metric) => void): Promise<void> => {
  const home = mkdtempSync(join(tmpdir(), "noos-bench-"))
  const emit: Emit = (metric) => report({ bench: "scheduler", ...metric })
  const random = (name: string, shape: typeof large): string => {
    const path = join(home, `${name}.gguf`)
    writeRandomModel(path, shape)
    return path
  }
  try {
    await kernelTime(emit)
    await crowd(random("tiny", tiny), emit)
    await makespan(embeddedModel, emit)
    await decode(embeddedModel, recite, "_nano", emit)
    const model = random("large", large)
    await decode(model, say, "", emit)
    await interactive(model, emit)
    await gap(model, emit)
    await fork(model, emit)
  } finally {
    rmSync(home, { recursive: true, force: true })
  }
}
