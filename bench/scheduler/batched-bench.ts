/**
 * llama.cpp's own `llama-batched-bench`, where there is one: no JavaScript, no grammar, no sampling. The script beside
 * this file builds it; LLAMA_BATCHED_BENCH may name another folder with the program and its libraries.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { execa } from "execa"

const script = fileURLToPath(new URL("batched-bench.sh", import.meta.url))
const folder = process.env.LLAMA_BATCHED_BENCH ?? fileURLToPath(new URL("../.build", import.meta.url))

/** The CPU library that the engine in this process has loaded: one of several, by what the CPU can do. */
const loadedLibrary = (): string =>
  readFileSync("/proc/self/maps", "utf8")
    .split("\n")
    .find((line) => line.includes("/libggml-cpu-"))!
    .replace(/^[^/]*/, "")

/**
 * Tokens a second of generation: on the CPU library that the engine uses, and on the one that was compiled here for this
 * very CPU. undefined where the program is missing.
 */
export const batchedBench = async (
  model: string,
  { prompt, rows, tokens }: { readonly prompt: number; readonly tokens: number; readonly rows: number }
): Promise<{ readonly same: number; readonly compiled: number } | undefined> => {
  const program = join(folder, "llama-batched-bench")
  if (!existsSync(program)) {
    console.error(`scheduler: no llama-batched-bench to compare with; ${script} builds it`)
    return undefined
  }
  const shape = ["-npp", prompt, "-ntg", tokens, "-npl", rows, "-c", 2048 * rows, "-b", 512, "-ub", 512]
  const args = ["-m", model, "-t", 1, "-tb", 1, "--output-format", "jsonl", ...shape].map(String)
  const run = async (libraries: ReadonlyArray<string>) => {
    const env = { LD_LIBRARY_PATH: libraries.join(":") }
    const { stdout } = await execa(program, args, { stderr: "ignore", env })
    const line = stdout.split("\n").find((text) => text.startsWith("{"))
    return (JSON.parse(line!) as { readonly speed_tg: number }).speed_tg
  }
  const library = loadedLibrary()
  const swapped = mkdtempSync(join(tmpdir(), "noos-bench-"))
  try {
    symlinkSync(library, join(swapped, "libggml-cpu.so.0"))
    return { same: await run([swapped, folder, dirname(library)]), compiled: await run([folder]) }
  } finally {
    rmSync(swapped, { recursive: true })
  }
}
