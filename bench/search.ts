/**
 * search: slow thinking on Game of 24 with the embedded model, and what makes it cheap.
 *
 * The puzzles are 900–999 of the published list (Yao et al. 2023, arXiv:2305.10601), on which the four figures are, and a
 * hundred further ones, on all of which slow is compared with best-of-N; nano was trained on none of them. Each way of
 * thinking commits to one answer, which exact arithmetic checks. Best-of-N and the random control get the tokens that slow
 * evaluated on the same puzzle. Without KV forks the same search, here for the repair of scripts with the usual tools, evaluates
 * again whatever a fork would have kept.
 */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Layer } from "effect"
import { type Mode, think } from "../agents/think.ts"
import { embeddedModel } from "../cli/environment.ts"
import type { Trial } from "../compare/records.ts"
import { compare } from "../compare/run.ts"
import { type Interval, newcombe, pairsOf } from "../compare/statistics.ts"
import { freshWorkspace } from "../compare/workspace.ts"
import { Engine } from "../kernel/engine/engine.ts"
import { LlamaEngine } from "../kernel/engine/llama.ts"
import { SnapshotFolders } from "../kernel/engine/snapshot.ts"
import { Journal } from "../kernel/journal.ts"
import { Kernel } from "../kernel/kernel.ts"
import { pagingCalls } from "../kernel/memory/calls.ts"
import { strategyNamed } from "../kernel/search/named.ts"
import { Syscalls } from "../kernel/syscall.ts"
import { Bubblewrap } from "../sandbox/bubblewrap.ts"
import { game24 } from "../suites/game24.ts"
import { repair } from "../suites/repair.ts"
import type { Item } from "../suites/suite.ts"
import { builtins } from "../tools/index.ts"
import type { Metric } from "./main.ts"
import { progress } from "./scheduler/system.ts"
import { branches } from "./search/branches.ts"

/** Items of the published test set, at the head of the suite. */
const published = 100
/** Scripts to repair, with the usual tools and so with contexts of a usual length, with KV forks and without. */
const forked = 12
const rows = 8

/** Tokens that the engine evaluated, those of dropped states included. */
interface Evaluated {
  tokens: number
}

/** An engine that counts what it reads. */
const counting = (read: Evaluated) =>
  Layer.effect(
    Engine,
    Effect.map(Engine, (engine) =>
      Engine.of({
        ...engine,
        step: (batch) =>
          Effect.suspend(() => {
            for (const work of batch) {
              if (work._tag === "Prefill") read.tokens += work.tokens.length
              if (work._tag === "Restore") read.tokens += Math.min(work.count, work.sequence.missing)
            }
            return engine.step(batch)
          })
      })
    )
  )

/** Everything that a search needs. Without `folders` for states no fork keeps its KV cache. */
const system = (home: string, read: Evaluated, folders?: ReadonlyArray<string>) => {
  const modelPath = process.env.NOOS_BENCH_MODEL ?? embeddedModel
  const engine = LlamaEngine.layer({ modelPath, sequences: rows, contextSize: 2048 })
  const states =
    folders === undefined ? engine : Layer.provide(engine, Layer.succeed(SnapshotFolders, folders))
  return Kernel.layer.pipe(
    Layer.provideMerge(
      Layer.mergeAll(Syscalls.layer, Bubblewrap.layer, Layer.provide(counting(read), states))
    ),
    Layer.provideMerge(Journal.layer(join(home, "journal.db")))
  )
}

/** All attempts at some puzzles. */
const attempts = Effect.fnUntraced(function* (items: ReadonlyArray<Item>, modes: ReadonlyArray<Mode>) {
  const strategy = yield* strategyNamed(game24.strategy ?? "dfs")
  const trials: Array<Trial> = []
  yield* compare({
    suite: game24,
    items,
    modes,
    seeds: 1,
    think: (attempt, workspace) =>
      think({ ...attempt, workspace, strategy, tools: attempt.item.tools ?? [] }),
    ended: (trial) => {
      trials.push(trial)
      progress(`${trial.item} ${trial.mode}: ${trial.right ? "right" : "wrong"}`)
    }
  })
  return trials
})

const share = (trials: ReadonlyArray<Trial>) => trials.filter((trial) => trial.right).length / trials.length

/** The interval of slow's share less that of another way. */
const advantage = (trials: ReadonlyArray<Trial>, over: Mode): Interval => {
  const of = (mode: Mode) => new Map(trials.filter((t) => t.mode === mode).map((t) => [t.item, t.right]))
  const others = of(over)
  return newcombe(pairsOf([...of("slow")].map(([item, right]) => [right, others.get(item) === true])))
}

const inFolder = async <A>(use: (home: string) => Promise<A>): Promise<A> => {
  const home = mkdtempSync(join(tmpdir(), "noos-bench-"))
  try {
    return await use(home)
  } finally {
    rmSync(home, { recursive: true, force: true })
  }
}

/** Slow on a few scripts: tokens that the engine read, states that there were, and the time it took. */
const slowly = (folders?: ReadonlyArray<string>) =>
  inFolder((home) => {
    const read: Evaluated = { tokens: 0 }
    const all = Effect.gen(function* () {
      const strategy = yield* strategyNamed("dfs")
      const tools = [...builtins, ...pagingCalls]
      const began = performance.now()
      let nodes = 0
      for (const item of repair.items.slice(0, forked)) {
        const one = Effect.gen(function* () {
          const workspace = yield* freshWorkspace(item)
          return yield* think({
            mode: "slow",
            item,
            tools,
            workspace,
            seed: 0,
            tokens: repair.tokens,
            strategy
          })
        })
        nodes += (yield* Effect.scoped(one)).nodes
      }
      return { nodes, ms: performance.now() - began, tokens: read.tokens }
    })
    return Effect.runPromise(Effect.provide(all, system(home, read, folders)))
  })

export const search = async (emit: (metric: Metric) => void): Promise<void> => {
  const value = (metric: string, value: number, unit: string) =>
    emit({ bench: "search", metric, value: round(value), unit })

  const trials = await inFolder((home) => {
    const first = attempts(game24.items.slice(0, published), ["fast", "slow"])
    const rest = attempts(game24.items.slice(published), ["slow"])
    const all = Effect.all([first, rest]).pipe(Effect.provide(system(home, { tokens: 0 })))
    return Effect.runPromise(all)
  })
  const of = (mode: Mode) => trials[0].filter((trial) => trial.mode === mode)
  value("game24_fast", share(of("fast")), "share")
  value("game24_slow", share(of("slow")), "share")
  value("game24_matched_best_of_n", share(of("best-of-n")), "share")
  value("game24_matched_self_consistency", share(of("self-consistency")), "share")
  value("game24_random_control", share(of("random")), "share")
  const { high, low } = advantage(trials.flat(), "best-of-n")
  value("game24_slow_over_best_of_n_low", low, "share, 95% interval, 200 puzzles")
  value("game24_slow_over_best_of_n_high", high, "share, 95% interval, 200 puzzles")

  const kept = await slowly()
  const evaluated = await slowly([])
  const ratio = (metric: string, unit: string, ours: number, theirs: number) =>
    emit({
      bench: "search",
      metric,
      value: round(ours),
      unit,
      baseline: { name: "without KV forks", value: round(theirs) },
      ratio: round(theirs / ours)
    })
  ratio(
    "prefill_vs_no_fork",
    "tokens read a state",
    kept.tokens / kept.nodes,
    evaluated.tokens / evaluated.nodes
  )
  ratio("wall_vs_no_fork", "ms a state", kept.ms / kept.nodes, evaluated.ms / evaluated.nodes)

  const { copy, create, discard, removal } = await branches()
  const against = (metric: string, ours: number, name: string, theirs: number) => {
    const baseline = { name, value: round(theirs) }
    const unit = "ms, 2,000 files"
    emit({ bench: "search", metric, value: round(ours), unit, baseline, ratio: round(theirs / ours) })
  }
  against("branch_create_ms", create, "cp -a", copy)
  against("branch_discard_ms", discard, "rm -rf", removal)
}

const round = (value: number) => Math.round(value * 1000) / 1000
