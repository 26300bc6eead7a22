/**
 * Where the result of a call enters a process's context: it becomes a page, the call with it an exchange, and if the
 * window is then too full, the pager makes room.
 */
import { Effect } from "effect"
import type { EngineError } from "../engine/engine.ts"
import type { KernelEvent } from "../event.ts"
import type { Journal, JournalError } from "../journal.ts"
import type { Process } from "../process.ts"
import { partName, type Span, warningText } from "../prompt.ts"
import type { Label } from "../tables.ts"
import { append, type Context, forget, joined, layoutOf, pinnedSize, summarise, touch } from "./context.ts"
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
      const reason = `no progress: the task, the tools and notes take ${taken}, which leaves too little to work with`
      p.doomed ??= { status: "failed", reason }
    }
    return context
  })

  /** Takes in the result of the call that the process has said. A process that does not get on is doomed. */
  const enter = Effect.fnUntraced(function* (
    p: Holder,
    { call, page, source, text: came }: Came
  ): Effect.fn.Return<void, JournalError | EngineError> {
    const { remark, said } = p
    const { copy, pinned = false } = remark
    p.remark = {}
    let { context } = p
    for (const touched of remark.touched ?? []) context = touch(context, touched)
    if (remark.forget !== undefined) context = forget(context, remark.forget)

    const fault = copy === undefined || copy.page === 0 ? undefined : copy
    p.past = record(p.past, said.text, came, fault && partName(fault.page, fault.part, fault.part > 1))
    const circle = stuck(p.past)
    if (circle?.end === true) p.doomed ??= { status: "failed", reason: `no progress: ${circle.why}` }
    const text = circle === undefined ? came : warningText(came, circle.why)

    const taken = pinnedSize(context) + said.tokens.length + window.stubSize
    const shown = window.view(text, copy?.page || page, Math.max(window.stubSize, window.high - taken))
    const { result, tokens } = window.exchange(said.tokens, shown)
    const whole = shown === text
    const label: Label = remark.label ?? { integrity: "untrusted", source }
    yield* journal.appendPage(p.pid, {
      role: "result",
      text,
      tokens: result,
      label,
      cut: !whole,
      ...(call === undefined ? {} : { call }),
      ...(copy === undefined ? {} : { copy: copy.page })
    })
    const repeats = copy === undefined ? {} : { copy }
    context = append(context, { page, about: said.about, tokens, pinned, whole, label, ...repeats })
    if (fault !== undefined) {
      yield* journal.event(p.pid, "fault", fault)
      observe({ type: "fault", pid: p.pid, ...fault })
    }

    if (p.summary !== undefined) {
      const label = { integrity: "untrusted", source: "model" } as const
      const tokens = window.count(p.summary)
      yield* journal.appendPage(p.pid, { role: "summary", text: p.summary, tokens, label })
      context = summarise(context, p.summary)
      p.summary = undefined
    }

    if (context.size + window.opening.length > window.high) context = yield* makeRoom(p, context, result)
    else if (remark.forget !== undefined) yield* journal.layout(p.pid, layoutOf(context))
    p.context = context
    p.pending = window.lacking(context, p.sequence!.length)
  })

  return { enter }
}

export type Memory = ReturnType<typeof makeMemory>
