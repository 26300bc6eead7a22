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
  let end: { readonly files: Map<string, string>; readonly given: Set<string> } | undefined
  for (let i = 0; i < count; i++) {
    const s = step(world)
    asks.push(s.ask)
    if (end === undefined) steps.push(s)
    if (s.failed !== undefined) end ??= { files: new Map(world.files), given: new Set(world.initial.keys()) }
  }
  // A listing that is asked for first would have shown the files that later requests speak of.
  if (world.listed !== undefined && world.initial.size > world.listed) return makeTask(r, count, step)
  if (end !== undefined) {
    // What was only asked for has not happened; the files it speaks of were there from the start.
    world.files.clear()
    for (const [file, text] of end.files) world.files.set(file, text)
    for (const [file, text] of world.initial) if (!end.given.has(file)) world.files.set(file, text)
  }
  const failed = steps.at(-1)?.failed
  const values = steps.flatMap((s) => (s.value === undefined ? [] : [s.value]))
  const answer = failed ?? (values.length > 0 ? values.join("; ") : "done")
  return { text: compose(r, asks), steps, answer, failed: failed !== undefined, world }
}
