/** A whole task: requests in a person's words, the calls that serve them, and what must be true at the end. */
import { compose, type Random } from "./language.ts"
import { type Step, World } from "./world.ts"

export interface Task {
  readonly text: string
  /** Up to and with the step that fails, if one does. */
  readonly steps: ReadonlyArray<Step>
  readonly answer: string
  readonly failed: boolean
  /** Files before (`initial`) and after (`files`). */
  readonly world: World
}

/** Asks for `count` steps; everything that is asked is said, but nothing is done after a step that fails. */
export const makeTask = (r: Random, count: number, step: (w: World) => Step): Task => {
  const world = new World(r)
  const steps: Array<Step> = []
  const asks: Array<string> = []
  let after: Map<string, string> | undefined
  for (let i = 0; i < count; i++) {
    const s = step(world)
    asks.push(s.ask)
    if (after === undefined) steps.push(s)
    if (s.failed !== undefined) after ??= new Map(world.files)
  }
  const failed = steps.at(-1)?.failed
  if (after !== undefined) {
    // Later requests were only asked for: their files were there from the start, and stay as they were.
    const made = [...world.files.keys()].filter((f) => !after.has(f) && !world.initial.has(f))
    for (const f of made) world.files.delete(f)
    for (const [f, text] of world.initial) world.files.set(f, after.get(f) ?? text)
    for (const f of world.initial.keys()) if (!after.has(f) && wasRemoved(steps, f)) world.files.delete(f)
  }
  const values = steps.flatMap((s) => (s.value === undefined ? [] : [s.value]))
  const answer = failed ?? (values.length > 0 ? values.join("; ") : "done")
  return { text: compose(r, asks), steps, answer, failed: failed !== undefined, world }
}

const wasRemoved = (steps: ReadonlyArray<Step>, file: string): boolean =>
  steps.some((s) =>
    s.calls.some(
      (c) =>
        c.tool === "shell" &&
        new RegExp(`^(rm|mv) ${file.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}( |$)`).test(
          String(c.args.command)
        )
    )
  )
