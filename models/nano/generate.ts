/**
 * Writes nano's training data: rows of tokens with a loss weight each, rendered by the kernel's own prompt code and
 * tokenised by the runtime that will serve the model.
 *
 *   node models/nano/generate.ts text --rows 20000 --seed 1 > sample.txt             text for the vocabulary
 *   node models/nano/generate.ts rows --model FILE.gguf --out DIR --rows 20000 --length 512 --seed 1 [--shards 10]
 *
 * A row is one system page and as many tasks as fit behind it. Files, each [rows, L+1]:
 * NAME.TL.ids.bin (uint16), the tokens; NAME.TL.w.bin (uint8), loss weights, 255 for what the model has to write;
 * NAME.TL.seg.bin (uint8), 0 for the system page, then 1, 2, … for the tasks, each of which sees the page and itself only.
 */
import { mkdirSync, renameSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { parseArgs } from "node:util"
import {
  callText,
  closeTurn,
  message,
  openTurn,
  type Renderer,
  resultText,
  systemText
} from "../../kernel/prompt.ts"
import { type Naming, naming } from "./disguises.ts"
import { folderPages } from "./folder.ts"
import { Random } from "./language.ts"
import { memoryTask, noteStep } from "./memory.ts"
import { type Plugin, plugin } from "./plugins.ts"
import { randomStep } from "./skills.ts"
import { makeTask, type Task } from "./task.ts"
import { blocksLesson, numbersLesson, repairLesson } from "./thinking.ts"
import type { Call } from "./world.ts"

/** A piece of a row: who writes it, and what. `learn` marks what the model itself must produce. */
export interface Piece {
  readonly role: "system" | "user" | "model"
  readonly text: string
  readonly learn: boolean
  /** A user's text from which nothing is to be learned, not even a little. */
  readonly idle?: boolean
}

/** How much of a row's tools and tasks is what. Shares in [0, 1]. */
export interface Mix {
  /** Rows of number puzzles, of blocks, and of scripts to be repaired; the others are of tool tasks. */
  readonly numbers: number
  readonly blocks: number
  readonly repair: number
  /** Tool lists with the built-in tools under their own names. */
  readonly real: number
  /** All default tools listed, rather than a few. */
  readonly full: number
  /** Rows of tasks that need the calls of memory. */
  readonly memory: number
  /** Tasks before which something is said of the folder. */
  readonly told: number
}

/** One task as pieces: the request, the ideal calls and their results, and the exit. */
const taskPieces = (task: Task, names: Naming): Array<Piece> => {
  const say = (tool: string, args: Call["args"]): Piece => {
    const c = names.call(tool, args)
    return { role: "model", text: callText(c.tool, c.args), learn: true }
  }
  return [
    { role: "user", text: task.text, learn: false },
    ...task.steps.flatMap((step) =>
      step.calls.flatMap(
        (call): Array<Piece> => [
          say(call.tool, call.args),
          { role: "user", text: resultText(call.ok, call.text), learn: false }
        ]
      )
    ),
    say("exit", task.failed ? { answer: task.answer, failed: true } : { answer: task.answer })
  ]
}

/** A task for the tools that are listed. */
const listedTask = (
  r: Random,
  names: Naming,
  listed: ReadonlySet<string>,
  plugins: ReadonlyArray<Plugin>
): Task =>
  makeTask(r, r.pick([1, 1, 2, 2, 2, 3, 3, 4, 4]), (w) => {
    if (listed.has(names.call("note", {}).tool) && r.chance(0.06)) return noteStep(w, r)
    if (plugins.length === 0 || (listed.size > 0 && r.chance(0.55)))
      return randomStep(w, r, (calls) => calls.every((c) => listed.has(names.call(c.tool, {}).tool)))
    const step = r.pick(plugins).step(r)
    w.last = step.value
    w.noun = "result"
    w.lastFile = undefined
    return step
  })

/** A system page and an endless supply of tasks behind it. */
export const conversation = (r: Random, mix: Mix): { system: Piece; next: () => ReadonlyArray<Piece> } => {
  const names = naming(r, mix.real)
  const exit = names.cards.at(-1) as Naming["cards"][number]
  const memory = r.chance(mix.memory)
  const calls = new Set(["recall", "note"].map((name) => names.call(name, {}).tool))
  const granted = memory || r.chance(0.85)
  const others = names.cards.slice(0, -1).filter((c) => granted || !calls.has(c.name))
  const pluginsOnly = !memory && r.chance(0.2)
  const full = memory || r.chance(mix.full)
  const builtins = pluginsOnly ? [] : full ? others : r.sample(others, r.int(1, 4))
  const plugins = new Map<string, Plugin>()
  for (
    let n = builtins.length === 0 ? r.int(1, 4) : r.pick(full ? [0, 0, 1, 1, 2] : [0, 0, 1, 2]);
    n > 0;
    n--
  ) {
    const p = plugin(r)
    if (![...builtins, exit].some((c) => c.name === p.card.name)) plugins.set(p.card.name, p)
  }
  const cards =
    full && r.chance(0.6)
      ? [...builtins, ...[...plugins.values()].map((p) => p.card), exit]
      : r.sample([...builtins, ...[...plugins.values()].map((p) => p.card), exit], 99)
  const listed = new Set(builtins.map((c) => c.name))
  const system = systemText(cards)
  return {
    system: { role: "system", text: system, learn: false },
    next: () => {
      const told = r.chance(mix.told) ? folderPages(r) : []
      const pieces = told.map((text): Piece => ({ role: "user", text, learn: false, idle: true }))
      return memory && r.chance(0.85)
        ? memoryTask(r, names, system)
        : [...pieces, ...taskPieces(listedTask(r, names, listed, [...plugins.values()]), names)]
    }
  }
}

/** A row's pieces, generated until `room(pieces)` says that the next group does not fit. */
const row = (r: Random, mix: Mix, fits: (group: ReadonlyArray<Piece>) => boolean): void => {
  const kind = r.unit()
  const { blocks, numbers, repair } = mix
  const c =
    kind < numbers
      ? numbersLesson(r)
      : kind < numbers + blocks
        ? blocksLesson(r)
        : kind < numbers + blocks + repair
          ? repairLesson(r)
          : conversation(r, mix)
  if (!fits([c.system])) return
  while (fits(c.next()));
}

const main = async () => {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: {
      model: { type: "string" },
      out: { type: "string" },
      rows: { type: "string", default: "1000" },
      length: { type: "string", default: "512" },
      seed: { type: "string", default: "1" },
      shards: { type: "string", default: "1" },
      first: { type: "string", default: "0" },
      numbers: { type: "string", default: "0.15" },
      blocks: { type: "string", default: "0.1" },
      repair: { type: "string", default: "0.1" },
      real: { type: "string", default: "0.5" },
      full: { type: "string", default: "0.5" },
      memory: { type: "string", default: "0" },
      told: { type: "string", default: "0" }
    }
  })
  const mix = {
    numbers: Number(values.numbers),
    blocks: Number(values.blocks),
    repair: Number(values.repair),
    real: Number(values.real),
    full: Number(values.full),
    memory: Number(values.memory),
    told: Number(values.told)
  }
  const rows = Number(values.rows)
  if (positionals[0] === "text") {
    const r = new Random(Number(values.seed))
    for (let i = 0; i < rows; i++) {
      let groups = 0
      const out: Array<string> = []
      row(r, mix, (group) => {
        out.push(...group.map((p) => `<|${p.role === "model" ? "assistant" : p.role}|>${p.text}<|end|>`))
        return ++groups < 5
      })
      process.stdout.write(`${out.join("\n")}\n`)
    }
    return
  }
  const { getLlama } = await import("node-llama-cpp")
  const llama = await getLlama({ gpu: false, build: "never", logLevel: "error" as never })
  const model = await llama.loadModel({ modelPath: values.model as string, vocabOnly: true })
  const cache = new Map<string, ReadonlyArray<number>>()
  const tokenize = (text: string, special = false): ReadonlyArray<number> => {
    if (!special || text.length > 20) return model.tokenize(text, special, "trimLeadingSpace")
    const known = cache.get(text) ?? model.tokenize(text, true, "trimLeadingSpace")
    cache.set(text, known)
    return known
  }
  const renderer: Renderer = {
    bos: [],
    tokenize,
    template: {
      system: ["<|system|>", "<|end|>"],
      user: ["<|user|>", "<|end|>"],
      model: ["<|assistant|>", "<|end|>"]
    }
  }
  const length = Number(values.length)
  mkdirSync(values.out as string, { recursive: true })
  const first = Number(values.first)
  for (let shard = first; shard < first + Number(values.shards); shard++) {
    const r = new Random(Number(values.seed) * 7919 + shard)
    const ids = new Uint16Array(rows * (length + 1))
    const weights = new Uint8Array(rows * (length + 1))
    const segments = new Uint8Array(rows * (length + 1))
    let used = 0
    let learned = 0
    for (let i = 0; i < rows; ) {
      let at = i * (length + 1)
      const end = at + length + 1
      const start = at
      let segment = 0
      row(r, mix, (group) => {
        const tokens: Array<number> = []
        const w: Array<number> = []
        for (const p of group) {
          const t = p.learn
            ? [...openTurn(renderer), ...renderer.tokenize(p.text), ...closeTurn(renderer)]
            : message(renderer, p.role, p.text)
          tokens.push(...t)
          w.push(...t.map((_, k) => (p.learn ? (k === 0 ? 0 : 255) : p.role === "user" && !p.idle ? 8 : 0)))
        }
        if (at + tokens.length > end) return false
        ids.set(tokens, at)
        weights.set(w, at)
        if (group[0]?.role !== "system") segment++
        segments.fill(segment, at, end)
        at += tokens.length
        return true
      })
      const n = weights.subarray(start, at).reduce((s, x) => s + (x === 255 ? 1 : 0), 0)
      if (n === 0) {
        ids.fill(0, start, at)
        weights.fill(0, start, at)
        continue
      }
      used += at - start
      learned += n
      i++
    }
    const name = join(values.out as string, `s${String(shard).padStart(5, "0")}.T${length}`)
    writeFileSync(`${name}.ids.bin`, ids)
    writeFileSync(`${name}.seg.bin`, segments)
    // A reader may be waiting for the weights: they appear at once, and last.
    writeFileSync(`${name}.w.part`, weights)
    renameSync(`${name}.w.part`, `${name}.w.bin`)
    console.error(
      `${name} rows ${rows} tokens ${used} fill ${(used / ids.length).toFixed(3)} learned ${(learned / used).toFixed(3)}`
    )
  }
  await llama.dispose()
}

if (import.meta.main) await main()
