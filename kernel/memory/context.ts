/**
 * A context: which pages of a process lie in the window, in which order, and as which tokens.
 *
 * Pages are numbered per process, from 1, and never change. What lies in the window are frames: the system page, the task,
 * and exchanges (a call with its result, so that one is never there without the other). At most one stub stands for all
 * exchanges that have been paged out. A context is a value: a fork shares its parent's, and neither can change the
 * other's.
 */
import type { Token } from "../engine/engine.ts"
import type { Gone, Span } from "../prompt.ts"
import type { Frame as FrameRecord, Label, Layout } from "../tables.ts"

/** A page, or a part of a long one, whose text an exchange repeats. */
export interface Copy {
  readonly page: number
  readonly part: number
}

export interface Frame {
  readonly kind: FrameRecord["kind"]
  /** The pages that it shows, or stands for. */
  readonly pages: ReadonlyArray<Span>
  readonly tokens: ReadonlyArray<Token>
  /** Never paged out. */
  readonly pinned: boolean
  /** The newest page when it was last used; 0 once it shall go first. */
  readonly used: number
  /** What is said of it when it has been paged out; of a stub, the latest that it stands for. */
  readonly gone: ReadonlyArray<Gone>
  /** Whether its result is there from beginning to end. */
  readonly whole: boolean
  /** Of its result. */
  readonly label: Label
  /** Of an exchange that recalled it. */
  readonly copy?: Copy
  /** Of a stub: what the pages say that it stands for. In view from the next eviction on. */
  readonly summary?: string
}

export interface Context {
  readonly frames: ReadonlyArray<Frame>
  /** The newest page. */
  readonly pages: number
  /** Tokens of all frames. */
  readonly size: number
  /** How often pages have left. */
  readonly evictions: number
}

const sizeOf = (frames: ReadonlyArray<Frame>): number =>
  frames.reduce((n, { tokens }) => n + tokens.length, 0)

/** A page that a process is born with. */
type First = Pick<Frame, "kind" | "tokens" | "whole" | "label">

const first = (kind: "system" | "task", tokens: ReadonlyArray<Token>, source: string): First => ({
  kind,
  tokens,
  whole: true,
  label: { integrity: "trusted", source }
})

/** The context of a new process: the system page, what it is told of its folder, and its task. */
export const born = (
  system: ReadonlyArray<Token>,
  task: ReadonlyArray<Token>,
  told: ReadonlyArray<Omit<First, "kind">> = []
): Context => {
  const instructions = told.map((page) => ({ ...page, kind: "instructions" as const }))
  const pages = [first("system", system, "kernel"), ...instructions, first("task", task, "person")]
  const frames = pages.map(
    (page, i): Frame => ({ ...page, pages: [[i + 1, i + 1]], pinned: true, used: i + 1, gone: [] })
  )
  return { frames, pages: pages.length, size: sizeOf(frames), evictions: 0 }
}

/** An exchange that has just been had. `page` is that of its result. */
export interface Exchange extends Pick<Frame, "tokens" | "pinned" | "whole" | "label" | "copy"> {
  readonly page: number
  readonly about: string
}

export const append = (context: Context, { about, page, ...exchange }: Exchange): Context => ({
  frames: [
    ...context.frames,
    { ...exchange, kind: "exchange", pages: [[context.pages + 1, page]], used: page, gone: [{ page, about }] }
  ],
  pages: page,
  size: context.size + exchange.tokens.length,
  evictions: context.evictions
})

const shows = ({ kind, pages }: Frame, page: number): boolean =>
  kind !== "stub" && pages.some(([first, last]) => first <= page && page <= last)

/** The frame that a page lies in. */
export const frameOf = (context: Context, page: number): Frame | undefined =>
  context.frames.find((frame) => shows(frame, page))

/** Whether a part of a page can be read in the window, where it came or where it was recalled. */
export const inView = (context: Context, page: number, part: number): boolean =>
  context.frames.some(
    (frame) =>
      // A call is in view whole, whatever is of its result.
      (shows(frame, page) && (frame.whole || frame.pages[0]![1] !== page)) ||
      (frame.whole && frame.copy?.page === page && frame.copy.part === part)
  )

const change = (context: Context, page: number, what: Partial<Frame>): Context => ({
  ...context,
  frames: context.frames.map((frame) =>
    frame.kind === "exchange" && shows(frame, page) ? { ...frame, ...what } : frame
  )
})

/** A page has been of use. One that shall go stays so. */
export const touch = (context: Context, page: number): Context =>
  frameOf(context, page)?.used === 0 ? context : change(context, page, { used: context.pages })

/** A page, and what it was exchanged for, shall go before all others. */
export const forget = (context: Context, page: number): Context =>
  change(context, page, { used: 0, pinned: false })

/** Tokens of what is never paged out. */
export const pinnedSize = (context: Context): number => sizeOf(context.frames.filter((frame) => frame.pinned))

/** Spans in order, those that touch joined. */
export const joined = (spans: ReadonlyArray<Span>): ReadonlyArray<Span> => {
  const result: Array<Span> = []
  for (const [first, last] of [...spans].sort((a, b) => a[0] - b[0])) {
    const before = result.at(-1)
    if (before !== undefined && before[1] + 1 >= first) result[result.length - 1] = [before[0], last]
    else result.push([first, last])
  }
  return result
}

/** How many of those that are gone a stub remembers. */
const latest = 3

/** A context after some of its exchanges went, and how many of its first tokens are as they were. */
export interface Evicted {
  readonly context: Context
  readonly kept: number
}

/**
 * Takes exchanges out of the window. Everything in front of the first change stays as it is; behind it come what is
 * pinned, the stub for all that has ever been paged out, and what stays, in this order: what will go next lies last.
 */
export const evict = (
  context: Context,
  victims: ReadonlySet<Frame>,
  render: (
    spans: ReadonlyArray<Span>,
    gone: ReadonlyArray<Gone>,
    summary: string | undefined
  ) => ReadonlyArray<Token>
): Evicted => {
  const goes = (frame: Frame) => frame.kind === "stub" || victims.has(frame)
  const from = context.frames.findIndex(goes)
  if (from < 0) return { context, kept: context.size }
  const before = context.frames.slice(0, from)
  const after = context.frames.slice(from)
  const out = after.filter(goes)
  const stays = after.filter((frame) => !goes(frame))
  const pages = joined(out.flatMap((frame) => frame.pages))
  const gone = out
    .flatMap((frame) => frame.gone)
    .sort((a, b) => a.page - b.page)
    .slice(-latest)
  const integrity = out.some(({ label }) => label.integrity === "untrusted") ? "untrusted" : "trusted"
  const summary = out.find(({ kind }) => kind === "stub")?.summary
  const stub: Frame = {
    kind: "stub",
    pages,
    tokens: render(pages, gone, summary),
    pinned: false,
    used: context.pages,
    gone,
    whole: false,
    label: { integrity, source: "kernel" },
    ...(summary === undefined ? {} : { summary })
  }
  const frames = [
    ...before,
    ...stays.filter((frame) => frame.pinned),
    stub,
    ...stays.filter((frame) => !frame.pinned)
  ]
  const { evictions, pages: newest } = context
  return {
    context: { frames, pages: newest, size: sizeOf(frames), evictions: evictions + 1 },
    kept: sizeOf(before)
  }
}

/** A page that sums up what has been paged out. It takes the place of the summary that there was. */
export const summarise = (context: Context, summary: string): Context => {
  const page = context.pages + 1
  const frames = context.frames.map((frame) =>
    frame.kind === "stub" ? { ...frame, summary, pages: joined([...frame.pages, [page, page]]) } : frame
  )
  return { ...context, frames, pages: page }
}

/** All of its tokens. */
export const tokensOf = (context: Context): ReadonlyArray<Token> =>
  context.frames.flatMap(({ tokens }) => tokens)

/** As the journal keeps it. */
export const layoutOf = ({ evictions, frames, pages }: Context): Layout => ({
  pages,
  evictions,
  frames: frames.map(({ kind, pages, pinned, tokens, used }) => ({
    kind,
    pages,
    tokens: tokens.length,
    pinned,
    used
  }))
})
