/** The memory of a process as the journal has it: what lies in its window, and where each of its pages is. */
import type { Frame, Label, Page, Process, Run } from "../kernel/journal.ts"
import { share } from "../kernel/memory/window.ts"
import { parse } from "../kernel/prompt.ts"

/** The parts of a window, as a person reads them. `paged out` is the stub that stands for what has left it. */
export const sections = ["system", "instructions", "task", "notes", "paged out", "exchanges", "free"] as const
export type Section = (typeof sections)[number]

export interface MappedFrame extends Frame {
  readonly section: Section
}

export interface MappedPage {
  readonly page: number
  readonly role: Page["role"]
  /** Of a call or its result: what was called. */
  readonly tool: string | null
  readonly tokens: number
  /** Of one that is `part in view` only the beginning and the end were shown. */
  readonly residency: "in view" | "part in view" | "pinned" | "paged out"
  /** The newest page when it was last used; 0: it was forgotten, and goes first. */
  readonly used: number
  /** When that was, ms since the epoch. */
  readonly usedAt: number
  readonly label: Label
  /** The page whose text it repeats. */
  readonly copy: number | null
}

export interface MemoryMap {
  readonly pid: number
  readonly run: number
  readonly state: Process["state"]
  readonly status: Process["status"]
  /** In tokens. */
  readonly window: {
    /** Null where the journal does not say. */
    readonly size: number | null
    /** Above `high` it is paged out down to `low`. */
    readonly high: number | null
    readonly low: number | null
    readonly used: number
  }
  readonly sections: ReadonlyArray<{ readonly section: Section; readonly tokens: number }>
  /** In their order in the window. */
  readonly frames: ReadonlyArray<MappedFrame>
  readonly pages: ReadonlyArray<MappedPage>
  readonly totals: {
    readonly pages: number
    readonly inWindow: number
    readonly inJournal: number
    readonly faults: number
    readonly evictions: number
  }
}

const sectionOf = ({ kind, pinned }: Frame): Section => {
  if (kind === "system" || kind === "instructions" || kind === "task") return kind
  if (kind === "stub") return "paged out"
  return pinned ? "notes" : "exchanges"
}

/** What each page's call was to. */
const toolsOf = (pages: ReadonlyArray<Page>): ReadonlyArray<string | null> => {
  let tool: string | null = null
  return pages.map(({ role, text }) => {
    if (role === "call") tool = parse(text)?.tool ?? null
    return role === "call" || role === "result" ? tool : null
  })
}

/** The frames of pages that no layout speaks of yet: they are in view. */
const framesOf = (pages: ReadonlyArray<Page>, tools: ReadonlyArray<string | null>): ReadonlyArray<Frame> => {
  const frames: Array<Frame> = []
  for (const [i, { ordinal, role, text, tokens }] of pages.entries()) {
    // It is in the stub, from the next eviction on.
    if (role === "summary") continue
    const open = frames.at(-1)
    if (role === "result" && open?.kind === "exchange" && pages[i - 1]?.role === "call") {
      const pinned = tools[i] === "note" && text.startsWith("result: ")
      const both = { tokens: open.tokens + tokens, pages: [[ordinal - 1, ordinal] as const] }
      frames[frames.length - 1] = { ...open, ...both, pinned, used: ordinal }
      continue
    }
    const fixed = role === "system" || role === "instructions" || role === "task"
    frames.push({
      kind: fixed ? role : "exchange",
      pages: [[ordinal, ordinal]],
      tokens,
      pinned: fixed,
      used: ordinal
    })
  }
  return frames
}

const total = (frames: ReadonlyArray<Frame>): number => frames.reduce((n, { tokens }) => n + tokens, 0)

/** `pages` are all that the process has or shares. */
export const memoryMap = (process: Process, run: Run, pages: ReadonlyArray<Page>): MemoryMap => {
  const size = typeof run.options.contextSize === "number" ? run.options.contextSize : null
  const { evictions, frames: placed, pages: known } = process.layout ?? { evictions: 0, frames: [], pages: 0 }
  const tools = toolsOf(pages)
  const later = framesOf(pages.slice(known), tools.slice(known))
  const frames = [...placed, ...later].map((frame): MappedFrame => ({ ...frame, section: sectionOf(frame) }))
  const used = total(frames)

  /** The frame that shows each page. */
  const shows = new Map<number, Frame>()
  for (const frame of frames)
    if (frame.kind !== "stub")
      for (const [first, last] of frame.pages)
        for (let page = first; page <= last; page++) shows.set(page, frame)
  /** When each page was last recalled. */
  const recalled = new Map<number, number>()
  for (const { copy, ordinal } of pages) if (copy !== null && copy > 0) recalled.set(copy, ordinal)

  const mapped = pages.map((page, i): MappedPage => {
    const { copy, cut, label, ordinal, role, tokens } = page
    const frame = shows.get(ordinal)
    const seen = frame?.used === 0 ? 0 : Math.max(frame?.used ?? ordinal, recalled.get(ordinal) ?? 0)
    return {
      page: ordinal,
      role,
      tool: tools[i]!,
      tokens,
      residency:
        frame === undefined ? "paged out" : cut ? "part in view" : frame.pinned ? "pinned" : "in view",
      used: seen,
      usedAt: (pages[seen - 1] ?? page).created,
      label,
      copy: copy === 0 ? null : copy
    }
  })
  const free = size === null ? 0 : Math.max(0, size - used)
  return {
    pid: process.pid,
    run: process.run,
    state: process.state,
    status: process.status,
    window: {
      size,
      high: size === null ? null : Math.floor(size * share.high),
      low: size === null ? null : Math.floor(size * share.low),
      used
    },
    sections: sections.map((section) => ({
      section,
      tokens: section === "free" ? free : total(frames.filter((frame) => frame.section === section))
    })),
    frames,
    pages: mapped,
    totals: {
      pages: pages.length,
      inWindow: used,
      inJournal: pages.reduce((n, { tokens }) => n + tokens, 0),
      faults: pages.filter(({ copy }) => copy !== null && copy > 0).length,
      evictions
    }
  }
}
