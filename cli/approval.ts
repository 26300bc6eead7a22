/** Who says yes: to a call that reaches outside the workspace, to a plugin, to a noos.json. */
import { createInterface } from "node:readline/promises"
import { Effect, Semaphore } from "effect"
import type { Approve } from "../kernel/syscall.ts"

/** Asks on the terminal; without one nobody can say yes. */
export const saysYes = (question: string): Effect.Effect<boolean> =>
  Effect.promise(async (signal) => {
    if (process.stdin.isTTY !== true) return false
    const lines = createInterface({ input: process.stdin, output: process.stderr })
    try {
      return /^y(es)?$/i.test((await lines.question(`${question} [y/N] `, { signal })).trim())
    } finally {
      lines.close()
    }
  })

/** Asks about one exact call, one question at a time. */
export const approval = (options: { readonly yes: boolean; readonly noInput: boolean }): Approve => {
  if (options.yes) return () => Effect.succeed(true)
  if (options.noInput) return () => Effect.succeed(false)
  const terminal = Semaphore.makeUnsafe(1)
  return (tool, args) => saysYes(`\nallow ${tool.name} ${JSON.stringify(args)}?`).pipe(terminal.withPermit)
}
