/**
 * node-llama-cpp, started once a process.
 *
 * The library is imported when it is first needed, not before: it takes a quarter of a second, and starting it another
 * one. It is never stopped: it holds no model by itself, and llama.cpp has one log for the whole process, which a second
 * start would tear from the first. Nothing is ever built or downloaded.
 */
import { existsSync } from "node:fs"
import { setImmediate } from "node:timers/promises"
import type { Llama } from "node-llama-cpp"

export type Library = typeof import("node-llama-cpp")

/** What llama.cpp last complained about. */
const complaints: Array<string> = []

const starting = new Map<"auto" | false, Promise<Llama>>()

export const importLibrary = (): Promise<Library> => import("node-llama-cpp")

/** The library on the best GPU that is there, or for `false` on the CPU. */
export const startLibrary = (library: Library, gpu: "auto" | false): Promise<Llama> => {
  const kind = mayHaveGpu() ? gpu : false
  const known = starting.get(kind)
  if (known !== undefined) return known
  const started = library.getLlama({
    gpu: kind,
    build: "never",
    skipDownload: true,
    progressLogs: false,
    maxThreads: 0,
    logLevel: library.LlamaLogLevel.error,
    logger: (_level, message) => {
      complaints.push(message)
      if (complaints.length > 20) complaints.shift()
    }
  })
  starting.set(kind, started)
  started.catch(() => starting.delete(kind))
  return started
}

/** What llama.cpp has said since the last time. Its words come from another thread, with the next turn of the loop. */
export const takeComplaints = async (): Promise<ReadonlyArray<string>> => {
  await setImmediate()
  return complaints.splice(0)
}

/** On Linux a GPU shows as a device node: NVIDIA, AMD compute, any renderer, WSL. Elsewhere the library finds out. */
const mayHaveGpu = (): boolean =>
  process.platform !== "linux" ||
  ["/dev/nvidiactl", "/dev/kfd", "/dev/dri", "/dev/dxg"].some((path) => existsSync(path))
