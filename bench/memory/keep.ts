/**
 * What it costs to go on after a part of the context has gone, by each way that the library has: to read again what lies
 * behind it, to load a state that was saved, or to erase it and shift what lies behind it.
 *
 * With the library alone, on a model of about 100 M random weights.
 */
import { rmSync } from "node:fs"
import { join } from "node:path"
import { getLlama, LlamaLogLevel } from "node-llama-cpp"
import type { Tokens } from "../scheduler/bare.ts"
import { type Emit, median } from "../scheduler/system.ts"
import { progress } from "./setting.ts"

const context = 2048
const rows = 8
const long = 1536
const rounds = 3

/** Of a task, ms. */
const timed = async (task: () => Promise<unknown>): Promise<number> => {
  const began = performance.now()
  await task()
  return performance.now() - began
}

/** The median of some rounds, ms. What `prepare` does before each is not counted. */
const often = async (prepare: () => Promise<unknown>, task: () => Promise<unknown>): Promise<number> => {
  const ms: Array<number> = []
  for (let round = 0; round < rounds; round++) {
    await prepare()
    ms.push(await timed(task))
  }
  return median(ms)
}

/** `home` is a folder for the saved state. */
export const keepMethods = async (modelPath: string, home: string, emit: Emit): Promise<void> => {
  const llama = await getLlama({ gpu: false, build: "never", logLevel: LlamaLogLevel.error })
  try {
    const model = await llama.loadModel({ modelPath })
    const cache = await model.createContext({
      contextSize: context,
      sequences: rows,
      threads: 1,
      batchSize: 512
    })
    const text = Array.from({ length: long }, (_, i) => 300 + ((i * i) % 90)) as unknown as Tokens
    const all = Array.from({ length: rows }, () => cache.getSequence())
    const row = all[0]!
    const others = all.slice(1)
    const ms = (metric: string, value: number) => emit({ metric: `keep_${metric}`, value, unit: "ms" })
    const read = (tokens: Tokens) => row.evaluateWithoutGeneratingNewTokens(tokens)
    /** The next token of each, together: what a step of the kernel does. */
    const decode = async (some: typeof all) => {
      const turns = some.map((one) => one.evaluate(text.slice(-1), { temperature: 0 }))
      await Promise.all(turns.map((turn) => turn.next()))
      await Promise.all(turns.map((turn) => turn.return()))
    }

    await read(text)
    for (const suffix of [128, 512, 1024]) {
      const value = await often(
        async () => {},
        async () => {
          await row.adaptStateToTokens(text.slice(0, long - suffix), false)
          await read(text.slice(long - suffix))
        }
      )
      ms(`prefill_${suffix}`, value)
    }

    const file = join(home, "state.bin")
    ms(
      `save_${long}`,
      await often(
        async () => rmSync(file, { force: true }),
        () => row.saveStateToFile(file)
      )
    )
    ms(
      `load_${long}`,
      await often(
        () => row.clearHistory(),
        () => row.loadStateFromFile(file, { acceptRisk: true })
      )
    )

    for (const one of others) await one.evaluateWithoutGeneratingNewTokens(text.slice(0, 64))
    const whole = async () => {
      await row.clearHistory()
      await row.loadStateFromFile(file, { acceptRisk: true })
    }
    const middle = { start: 256, end: 512 }
    const erased = async () => {
      await whole()
      await row.eraseContextTokenRanges([middle])
    }
    ms("erase", await often(whole, () => row.eraseContextTokenRanges([middle])))
    ms("decode", await often(whole, () => decode([row])))
    ms("decode_after_erase", await often(erased, () => decode([row])))
    // Without the one that was erased in: they wait for its shift all the same.
    ms("decode_others", await often(whole, () => decode(others)))
    ms("decode_others_after_erase", await often(erased, () => decode(others)))
    progress("ways to keep what lies behind a gap")
  } finally {
    await llama.dispose()
  }
}
