/** Who says yes to a call that reaches outside the workspace. */
import { createInterface } from "node:readline/promises"
import { Effect, Semaphore } from "effect"
import type { Approve } from "../kernel/syscall.ts"

/** Asks on the terminal about one exact call, one question at a time; without a terminal nobody can say yes. */
export const approval = (options: { readonly yes: boolean; readonly noInput: boolean }): Approve => {
  if (options.yes) return () => Effect.succeed(true)
  if (options.noInput || process.stdin.isTTY !== true) return () => Effect.succeed(false)
  const terminal = Semaphore.makeUnsafe(1)
  return (tool, args) =>
    Effect.promise(async (signal) => {
      const lines = createInterface({ input: process.stdin, output: process.stderr })
      try {
        const question = `\nallow ${tool.name} ${JSON.stringify(args)}? [y/N] `
        return /^y(es)?$/i.test((await lines.question(question, { signal })).trim())
      } finally {
        lines.close()
      }
    }).pipe(terminal.withPermit)
}
