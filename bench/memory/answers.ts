/** How often the answer is right, of a scripted model, when all that was read is twenty times its window. */
import { Effect, Layer } from "effect"
import { embeddedModel } from "../../cli/environment.ts"
import { Engine } from "../../kernel/engine/engine.ts"
import { pagingCalls } from "../../kernel/memory/calls.ts"
import { makeWindow } from "../../kernel/memory/window.ts"
import { policed } from "../../test/fixtures/policy-engine.ts"
import { type Emit, onKernel } from "../scheduler/system.ts"
import { full, type Marks, session, summaries, type Trim, truncation } from "./baselines.ts"
import { type Log, makeLog, reader, readLog, task } from "./log.ts"
import { budget, llama, progress, times, window } from "./setting.ts"
import { weightless } from "./weightless.ts"

const tasks = 50
const rows = 4

const logs = (engine: Engine["Service"]): ReadonlyArray<Log> =>
  Array.from({ length: tasks }, (_, seed) =>
    makeLog(seed, times * engine.contextSize, (text) => engine.tokenize(text).length)
  )

/** The share of right answers under the kernel. */
const underKernel = (): Promise<number> =>
  onKernel(policed(readLog(true)).pipe(Layer.provide(llama(embeddedModel, rows))), (jobs) =>
    Effect.gen(function* () {
      const done = yield* Effect.forEach(
        logs(yield* Engine),
        Effect.fnUntraced(function* (log, seed) {
          const tools = [reader(log), ...pagingCalls]
          const pid = yield* jobs.start(task, Number.POSITIVE_INFINITY, { tools, budget })
          const { answer, reason } = yield* jobs.wait(pid)
          const right = answer === log.answer
          if (!right) console.error(`log ${seed}: ${reason}: ${answer}, expected ${log.answer}`)
          return right
        }),
        { concurrency: rows }
      )
      return done.filter((right) => right).length / tasks
    })
  )

/** The same in sessions without the kernel's memory. Of them only the answers are looked at. */
const inSessions = (trim: Trim, marksOf: (engine: Engine["Service"]) => Marks): Promise<number> =>
  Effect.gen(function* () {
    const engine = yield* Engine
    const marks = marksOf(engine)
    let right = 0
    for (const log of logs(engine)) {
      const { answer } = yield* session({ task, tools: [reader(log)], trim, marks, cached: true })
      if (answer === log.answer) right++
    }
    return right / tasks
  }).pipe(
    Effect.provide(weightless(readLog(false)).pipe(Layer.provide(llama(embeddedModel, 1)))),
    Effect.runPromise
  )

export const answers = async (emit: Emit): Promise<void> => {
  const value = await underKernel()
  const cut = await inSessions(truncation, full)
  const told = await inSessions(summaries, makeWindow)
  progress(`${tasks} logs of ${times} windows of ${window} tokens`)
  emit({
    metric: "right_answers_20x",
    value,
    unit: "share",
    baseline: { name: "truncation", value: cut },
    ...(cut > 0 ? { ratio: value / cut } : {})
  })
  emit({ metric: "right_answers_20x_truncation", value: cut, unit: "share" })
  emit({ metric: "right_answers_20x_summaries", value: told, unit: "share" })
}
