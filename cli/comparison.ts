/** A comparison from its command line to its report: suite and modes checked, attempts made and shown, the rest written. */
import { statSync, writeFileSync } from "node:fs"
import { dirname, resolve } from "node:path"
import { Effect } from "effect"
import { type Mode, think, usualStrategy } from "../agents/think.ts"
import { type Gauged, threshold } from "../compare/calibrate.ts"
import { modes as allModes, type Comparison, type Trial } from "../compare/records.ts"
import { report } from "../compare/report.ts"
import { attemptsOf, compare, withBaselines } from "../compare/run.ts"
import { summarize } from "../compare/summary.ts"
import { counted } from "../compare/table.ts"
import { freshWorkspace } from "../compare/workspace.ts"
import { Engine } from "../kernel/engine/engine.ts"
import { strategyNamed } from "../kernel/search/named.ts"
import type { Strategy } from "../kernel/search/search.ts"
import { loadSuite } from "../suites/load.ts"
import type { Item, Suite } from "../suites/suite.ts"
import { personProgress, summaryText, verdictLine } from "./attempts.ts"
import { kernelLayer } from "./environment.ts"
import { printable } from "./report.ts"
import { code, messageOf, Stop, usage } from "./stop.ts"
import { granted } from "./toolset.ts"

/** What a person asks for. */
export interface Asked {
  /** Of a suite that comes with noos, or of a file. */
  readonly suite: string
  readonly modes: ReadonlyArray<string>
  readonly limit: number | undefined
  readonly seeds: number
  readonly strategy: string | undefined
  readonly tokens: number | undefined
  readonly model: string
  readonly json: boolean
  readonly html: string | undefined
}

/** Those that come with noos, loaded when they are asked for. */
const shipped: Readonly<Record<string, () => Promise<Suite>>> = {
  game24: async () => (await import("../suites/game24.ts")).game24,
  countdown: async () => (await import("../suites/countdown.ts")).countdown,
  blocksworld: async () => (await import("../suites/blocksworld.ts")).blocksworld,
  repair: async () => (await import("../suites/repair.ts")).repair
}

/** Processes that the engine holds at a time: the branches of a search fill its batches. */
const rows = 8

const suiteNamed = Effect.fnUntraced(function* (name: string) {
  const ours = Object.hasOwn(shipped, name) ? shipped[name] : undefined
  if (ours !== undefined) return yield* Effect.promise(ours)
  if (statSync(name, { throwIfNoEntry: false }) === undefined)
    return yield* usage(
      `no suite ${name}`,
      `name ${Object.keys(shipped).join(", ")}, or a YAML or JSONL file`
    )
  return yield* loadSuite(name).pipe(
    Effect.mapError(({ message, where }) =>
      usage(`${where}: ${message}`, "noos.suite.schema.json says what a suite may hold")
    )
  )
})

const isMode = (name: string): name is Mode => allModes.some((mode) => mode === name)

/** What will be compared; `modes` are those that a person asked for. */
const modesFor = Effect.fnUntraced(function* (asked: ReadonlyArray<string>, suite: Suite) {
  const unknown = asked.find((name) => !isMode(name))
  if (unknown !== undefined || asked.length === 0)
    return yield* usage(
      unknown === undefined ? "--modes names none" : `no mode ${unknown}`,
      `choose of ${allModes.join(", ")}`
    )
  const modes = withBaselines(asked.filter(isMode), suite.items)
  if (asked.includes("random") && !modes.includes("random"))
    return yield* usage(`--modes: ${suite.name} cannot draw calls at random`, "leave random out")
  return modes
})

/** Where the report goes: whether it can be written is found out before hours of work. */
const checkPlace = (path: string | undefined) =>
  path !== undefined && statSync(dirname(resolve(path)), { throwIfNoEntry: false })?.isDirectory() !== true
    ? usage(`--html: no folder ${dirname(resolve(path))}`, "make it, or name another file")
    : Effect.void

const write = (path: string, text: string) =>
  Effect.try({
    try: () => writeFileSync(path, text),
    catch: (e) =>
      new Stop({ code: code.failed, what: `${path}: ${messageOf(e)}`, todo: "name another file for --html" })
  })

/** How sure a fast answer to a task of the calibration is, and whether it is right. */
const gauge = Effect.fnUntraced(function* (item: Item, tokens: number, strategy: Strategy) {
  const workspace = yield* freshWorkspace(item)
  const tools = [...(yield* granted(item.grant, { tools: [] }, `${item.id}: `)), ...(item.tools ?? [])]
  const how = { seed: 0, tokens, strategy } as const
  const { answer, calls, status, sure } = yield* think({
    mode: "gauge",
    item: { ...item, verifier: false },
    workspace,
    tools,
    ...how
  })
  const right = status === "ok" && (yield* item.check({ answer, calls, workspace }))
  return { sure: sure ?? 0, right } satisfies Gauged
}, Effect.scoped)

export const runComparison = Effect.fn("noos.runComparison")(function* (flags: Asked) {
  const found = yield* suiteNamed(flags.suite)
  const suite = { ...found, ...(flags.tokens === undefined ? {} : { tokens: flags.tokens }) }
  const items = suite.items.slice(0, flags.limit)
  const modes = yield* modesFor(flags.modes, { ...suite, items })
  const strategy = yield* strategyNamed(flags.strategy ?? suite.strategy ?? usualStrategy).pipe(
    Effect.mapError(({ message }) => usage(message, "see `noos compare --help`"))
  )
  yield* checkPlace(flags.html)
  const tools = new Map(
    yield* Effect.forEach(items, (item) =>
      granted(item.grant, { tools: [] }, `${item.id}: `).pipe(
        Effect.map((usual) => [item.id, [...usual, ...(item.tools ?? [])]] as const)
      )
    )
  )
  const { about, name } = suite
  const trials: Array<Trial> = []
  const attempts = attemptsOf({ items, modes, seeds: flags.seeds })
  let model = ""
  const finish = Effect.suspend(() => {
    const told = items.map(({ id, task }) => ({ id, task }))
    const comparison: Comparison = {
      suite: name,
      about,
      model,
      strategy: strategy.name,
      items: told,
      modes,
      seeds: flags.seeds,
      attempts,
      trials
    }
    const summary = summarize(comparison)
    console.log(flags.json ? verdictLine(comparison, summary) : printable(summaryText(summary)))
    return flags.html === undefined ? Effect.void : write(flags.html, report(comparison, summary))
  })

  yield* Effect.gen(function* () {
    const engine = yield* Engine
    model = engine.model.name
    const head = `noos compare · ${name} · ${counted(items.length, "task")} · ${modes.join(", ")} · ${strategy.name} · ${model}`
    const progress = flags.json ? undefined : personProgress(head, attempts)
    // How sure `auto` has to be where nothing checks its fast answer, from tasks that are not compared.
    const gauged =
      modes.includes("auto") && items.some(({ verifier }) => !verifier)
        ? yield* Effect.forEach(suite.calibration, (item) => gauge(item, suite.tokens, strategy))
        : []
    const sure = gauged.length === 0 ? {} : { confidence: threshold(gauged) }
    const all = compare({
      suite,
      items,
      modes,
      seeds: flags.seeds,
      think: (attempt, workspace) =>
        think({ ...attempt, ...sure, workspace, strategy, tools: tools.get(attempt.item.id)! }),
      begins: (attempt) => progress?.begins(attempt),
      ended: (trial) => {
        trials.push(trial)
        progress?.ended(trial)
        if (flags.json) console.log(JSON.stringify({ type: "attempt", ...trial }))
      }
    })
    // What was done before Ctrl-C is not lost.
    yield* all.pipe(
      Effect.ensuring(Effect.sync(() => progress?.over())),
      Effect.onExit(() => finish)
    )
  }).pipe(Effect.provide(kernelLayer(flags.model, rows)))
  if (trials.some(({ status }) => status === "error")) return yield* new Stop({ code: code.failed })
})
