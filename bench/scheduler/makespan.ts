/**
 * Sixteen agents, each with a task of three steps for the embedded model and the real tools in the real sandbox. Three
 * ways, each from the first task given to the last answer, with the model loaded and the workspaces open before:
 *
 * - all at once under the kernel, on 16 rows;
 * - one after another under the same kernel;
 * - all at once without the kernel: a loop of node-llama-cpp's `evaluate` for each agent on a sequence of its own, 16 on one
 *   context, with the same prompts, grammar and tools, but no scheduler, no journal and no checks.
 */
import { Effect, Layer } from "effect"
import { exit } from "../../kernel/calls.ts"
import { Engine } from "../../kernel/engine/engine.ts"
import { callGrammar } from "../../kernel/engine/gbnf.ts"
import { Journal } from "../../kernel/journal.ts"
import { makeWindow } from "../../kernel/memory/window.ts"
import { Random } from "../../models/nano/language.ts"
import { randomStep } from "../../models/nano/skills.ts"
import { makeTask } from "../../models/nano/task.ts"
import { Bubblewrap } from "../../sandbox/bubblewrap.ts"
import { builtins } from "../../tools/index.ts"
import { prepare, type Trial } from "../nano.ts"
import { session, sessions } from "./sessions.ts"
import { type Emit, llama, median, onKernel, progress } from "./system.ts"

const agents = 16
const rounds = 3

const trials = (): ReadonlyArray<Trial> => {
  const r = new Random(24_005, "held")
  return Array.from({ length: agents }, () => ({
    task: makeTask(r, 3, (world) => randomStep(world, r)),
    tools: builtins
  }))
}

interface Result {
  readonly ms: number
  readonly right: number
}

/** Does all of them, some at a time. */
const underKernel = (model: string, concurrency: number): Promise<Result> =>
  onKernel(llama(model, agents), () =>
    Effect.gen(function* () {
      const run = yield* (yield* Journal).beginRun({ task: "makespan", workspace: "", model })
      const prepared = yield* Effect.forEach(trials(), (trial) => prepare(run, trial))
      const began = performance.now()
      const verdicts = yield* Effect.all(prepared, { concurrency })
      return {
        ms: performance.now() - began,
        right: verdicts.filter((v) => v.wrong === undefined).length
      }
    }).pipe(Effect.scoped)
  )

const tools = [...builtins, exit]

const inSessions = (model: string): Promise<Result> =>
  Effect.gen(function* () {
    const engine = yield* Engine
    // The bound on strings that the kernel sets in a window of this size.
    const maxStringLength = makeWindow(engine).mostInString!
    const open = yield* sessions(model, agents, callGrammar(tools, { maxStringLength }))
    const prepared = yield* Effect.forEach(trials(), ({ task }, i) => session(engine, open[i]!, tools, task))
    const began = performance.now()
    const right = yield* Effect.all(prepared, { concurrency: "unbounded" })
    return { ms: performance.now() - began, right: right.filter((r) => r).length }
  }).pipe(Effect.scoped, Effect.provide(Layer.merge(llama(model, 1), Bubblewrap.layer)), Effect.runPromise)

export const makespan = async (model: string, emit: Emit): Promise<void> => {
  const all: Array<Result> = []
  const serial: Array<Result> = []
  const apart: Array<Result> = []
  for (let round = 0; round < rounds; round++) {
    all.push(await underKernel(model, agents))
    serial.push(await underKernel(model, 1))
    apart.push(await inSessions(model))
  }
  const [a, b, c] = [all, serial, apart].map((of) => of.map((r) => r.right).join(" "))
  progress(`sixteen agents: tasks right ${a} at once, ${b} one after another, ${c} in sessions`)
  const ms = (of: ReadonlyArray<Result>) => median(of.map((r) => r.ms))
  const against = (metric: string, name: string, base: number) =>
    emit({
      metric,
      value: ms(all),
      unit: "ms",
      baseline: { name, value: base },
      ratio: base / ms(all)
    })
  against("makespan16_vs_serial", "one after another", ms(serial))
  against("makespan16_vs_sessions", "a bare session each", ms(apart))
}
