/** What the kernel tells whoever watches. */
import { Context } from "effect"
import type { State } from "./journal.ts"
import type { Exit } from "./process.ts"
import type { Span } from "./prompt.ts"

/** Times in ms; `at` is on the clock of performance.now(). */
export type KernelEvent =
  | {
      readonly type: "start"
      readonly pid: number
      readonly run: number
      readonly task: string
      readonly parent?: number
      /** It is a branch of its parent's: something tried. */
      readonly branch?: true
    }
  | { readonly type: "state"; readonly pid: number; readonly state: State; readonly why: string }
  | { readonly type: "token"; readonly pid: number; readonly text: string }
  | { readonly type: "progress"; readonly pid: number; readonly text: string }
  | {
      readonly type: "syscall"
      readonly pid: number
      readonly id: number | null
      readonly tool: string
      readonly args: unknown
      readonly ok: boolean
      readonly result?: unknown
      readonly error?: { readonly code: string; readonly message: string }
      readonly ms: number
    }
  /** A search came to a state: so many calls from the process that searches, the last of them with what came of it. */
  | {
      readonly type: "tried"
      readonly pid: number
      readonly branch: number
      readonly depth: number
      readonly text: string
      readonly value: number
    }
  /** What a process that thinks slowly has decided, and why. */
  | { readonly type: "decided"; readonly pid: number; readonly text: string }
  /** One batch of the engine. */
  | {
      readonly type: "step"
      readonly at: number
      readonly ms: number
      readonly items: ReadonlyArray<{
        readonly pid: number
        readonly does: "Prefill" | "Restore" | "Decode" | "Weigh"
        readonly tokens: number
      }>
    }
  /** A sequence got a row of the KV cache, or gave it away. */
  | {
      readonly type: "swap"
      readonly at: number
      readonly ms: number
      readonly pid: number
      readonly how: "in" | "save" | "drop"
      readonly tokens: number
    }
  /** Pages left the window. Of the tokens that stay, `kept` were left alone and `again`, with the stub, are evaluated again. */
  | {
      readonly type: "evict"
      readonly pid: number
      readonly pages: ReadonlyArray<Span>
      readonly freed: number
      readonly kept: number
      readonly again: number
    }
  /** A page that was not in view was recalled, or a part of a long one that is or never was. */
  | { readonly type: "fault"; readonly pid: number; readonly page: number; readonly part: number }
  | ({ readonly type: "exit" } & Exit)

/** Who watches. Called in the kernel's loop: it must be quick and must not throw. */
export const Observer = Context.Reference<(event: KernelEvent) => void>("noos/Observer", {
  defaultValue: () => () => {}
})
