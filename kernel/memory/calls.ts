/**
 * The syscalls of memory: a process that reads pages again which were paged out, and says what must stay in view.
 * Granted like any tool.
 */
import { Effect } from "effect"
import { object, positive, self, string } from "../calls.ts"
import { type AnyTool, defineTool } from "../tool.ts"

/** What `recall` is asked for: a page, or words to look for. What does not fit into one answer comes in parts. */
export interface Recall {
  readonly page?: number
  readonly part?: number
  readonly text?: string
}

export const recall = defineTool({
  name: "recall",
  description: "Read a page again, or find the pages with a text.",
  input: object({ page: positive, part: positive, text: string }, []),
  effect: "pure",
  execute: (what: Recall, ctx) => Effect.flatMap(self(ctx), (s) => s.recall(what))
})

const note = defineTool({
  name: "note",
  description: "Note a text, to keep it in view.",
  input: object({ text: string }, ["text"]),
  effect: "reversible",
  execute: ({ text }: { readonly text: string }, ctx) =>
    self(ctx).pipe(
      Effect.flatMap((s) => s.note(text)),
      Effect.as("ok")
    )
})

const forget = defineTool({
  name: "forget",
  description: "Let a page go out of view first. It can still be recalled.",
  input: object({ page: positive }, ["page"]),
  effect: "reversible",
  execute: ({ page }: { readonly page: number }, ctx) =>
    self(ctx).pipe(
      Effect.flatMap((s) => s.forget(page)),
      Effect.as("ok")
    )
})

const remember = defineTool({
  name: "remember",
  description:
    "Remember a text for later tasks in this folder, where recall finds it. A key replaces what had it.",
  input: object({ text: string, key: string }, ["text"]),
  effect: "reversible",
  execute: (what: { readonly text: string; readonly key?: string }, ctx) =>
    self(ctx).pipe(
      Effect.flatMap((s) => s.remember(what)),
      Effect.as("ok")
    )
})

/** Granted unless a person says otherwise: with them a task gets through a window that is too small for it. */
export const pagingCalls: ReadonlyArray<AnyTool> = [recall, note]

/** All of them. */
export const memoryCalls: ReadonlyArray<AnyTool> = [...pagingCalls, forget, remember]
