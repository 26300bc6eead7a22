/**
 * Where the result of a call enters a process's context: it becomes a page, the call with it an exchange, and if the
 * window is then too full, the pager makes room.
 */
import { Effect } from "effect"
import type { EngineError } from "../engine/engine.ts"
import type { KernelEvent } from "../event.ts"
import type { Journal, JournalError } from "../journal.ts"
import type { Process } from "../process.ts"
import type { Span } from "../prompt.ts"
import type { Label } from "../tables.ts"
import {
  append,
  type Context,
  type Copy,
  forget,
  joined,
  layoutOf,
  pinnedSize,
  summarise,
  tokensOf,
  touch
} from "./context.ts"
import { compact, type PagerPolicy } from "./pager.ts"
import { record, stuck } from "./progress.ts"
import type { Window } from "./window.ts"

/** What came of the call that a process has said. */
export interface Came {
  /** The page as the model reads it, however long. */
  readonly text: string
  /** Its number. */
  readonly page: number
  /** The syscall that it is the result of, if it began. */
  readonly call?: number
  readonly source: string
}

/** A process, as far as its memory goes. */
export type Holder = Pick<
  Process,
  "pid" | "sequence" | "context" | "pending" | "said" | "remark" | "summary" | "past" | "doomed"
>

/** Tokens of a stub, about. */
const stubSize = 64

const nameOf = ({ page, part }: Copy): string =>
  part === 1 ? `page ${page}` : `part ${part} of page ${page}`

/** What it is made of. */
export interface Parts {
  readonly window: Window
  readonly journal: Journal["Service"]
  readonly policy: PagerPolicy
  readonly observe: (event: KernelEvent) => void
  /** Told which pages of a process go, as long as they are still there. */
  readonly going: (pid: number, pages: ReadonlyArray<Span>) => Effect.Effect<void, JournalError | EngineError>
}

export const makeMemory = ({ going, journal, observe, policy, window }: Parts) => {
  /** Pages out, and takes the KV cache back to where the context is as it was. So many tokens were never in it. */
  const makeRoom = Effect.fnUntraced(function* (p: Holder, before: Context, unread: number) {
    const { context, kept, victims } = compact(before, window, policy)
    if (victims.length > 0) {
      const pages = joined(victims.flatMap((frame) => frame.pages))
      yield* going(p.pid, pages)
      const sequence = p.sequence!
      if (kept < sequence.length) yield* sequence.rewind(kept)
      const moved = { pages, freed: before.size - context.size, kept, again: context.size - kept - unread }
      yield* journal.event(p.pid, "evict", { ...moved, policy: policy.name })
      yield* journal.layout(p.pid, layoutOf(context))
      observe({ type: "evict", pid: p.pid, ...moved })
    }
    if (pinnedSize(context) > window.low) {
      const taken = `${pinnedSize(context)} of the window's ${window.size} tokens`
      const reason = `no progress: the task, the tools and notes take ${taken}, and at most ${window.low} may be in constant use`
      p.doomed ??= { status: "failed", reason }
    }
    return context
  })

  /** Takes in the result of the call that the process has said. A process that does not get on is doomed. */
  const enter = Effect.fnUntraced(function* (
    p: Holder,
    { call, page, source, text }: Came
  ): Effect.fn.Return<void, JournalError | EngineError> {
    const { remark, said } = p
    p.remark = {}
    let { context } = p
    for (const touched of remark.touched ?? []) context = touch(context, touched)
    if (remark.forget !== undefined) context = forget(context, remark.forget)

    const taken = pinnedSize(context) + said.tokens.length + stubSize
    const { copy, pinned = false } = remark
    const shown = window.view(text, copy?.page || page, Math.max(stubSize, window.high - taken))
    const { result, tokens } = window.exchange(said.tokens, shown)
    const label: Label = remark.label ?? { integrity: "untrusted", source }
    yield* journal.appendPage(p.pid, {
      role: "result",
      text,
      tokens: result,
      label,
      cut: shown !== text,
      ...(call === undefined ? {} : { call }),
      ...(copy === undefined ? {} : { copy: copy.page })
    })
    const about = { about: said.about, page }
    const whole = shown === text
    context = append(context, {
      ...about,
      tokens,
      pinned,
      whole,
      label,
      ...(copy === undefined ? {} : { copy })
    })

    if (p.summary !== undefined) {
      const label = { integrity: "untrusted", source: "model" } as const
      const tokens = window.count(p.summary)
      yield* journal.appendPage(p.pid, { role: "summary", text: p.summary, tokens, label })
      context = summarise(context, p.summary)
      p.summary = undefined
    }

    const fault = copy === undefined || copy.page === 0 ? undefined : copy
    if (fault !== undefined) {
      yield* journal.event(p.pid, "fault", fault)
      observe({ type: "fault", pid: p.pid, ...fault })
    }
    p.past = record(p.past, said.text, text, fault && nameOf(fault))
    const why = stuck(p.past)
    if (why !== undefined) p.doomed ??= { status: "failed", reason: why }

    if (context.size + window.opening.length > window.high) context = yield* makeRoom(p, context, result)
    p.context = context
    p.pending = [...tokensOf(context), ...window.opening].slice(p.sequence!.length)
  })

  return { enter }
}

export type Memory = ReturnType<typeof makeMemory>
