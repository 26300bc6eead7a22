/**
 * What a process has in its window when it has read more than fits: the kernel's pager in small (kernel/memory), so that
 * training shows nano the views that it will have. A test holds it against the real one.
 */
import { aboutCall, callText, resultText, stubText } from "../../kernel/prompt.ts"
import type { Random } from "./language.ts"
import type { Call } from "./world.ts"

/** Something in view behind the task: an exchange by its place among the calls, or the stub of those that left. */
export type Seen = { readonly at: number; readonly learn: boolean } | { readonly stub: string }

/** What is in view from one eviction to the next. */
export interface View {
  readonly seen: ReadonlyArray<Seen>
  /** Whether anything has left the window. */
  readonly paged: boolean
}

/** A window in tokens, and who leaves it first. */
export interface Window {
  /** Of the system page's text. */
  readonly system: number
  readonly high: number
  readonly low: number
  /** Of the latest exchanges, which stay: of the last three, and of more. */
  readonly most: number
  readonly workingSet: number
  readonly first: "oldest" | "newest"
  /** Tokens of a text. */
  readonly count: (text: string) => number
}

/** As measured with nano's vocabulary on the lines of chains; for calls it is too much. */
const guess = (text: string): number => text.length / 1.75

/** The kernel's window for nano, or a smaller one, so that rows are shorter and more often paged. */
export const windowFor = (r: Random, system: string): Window => {
  const size = r.pick([700, 800, 900, 1100, 1500, 2048])
  return {
    system: system.length / 3.2,
    high: 0.75 * size,
    low: (r.chance(0.7) ? 0.5 : 0.35 + 0.3 * r.unit()) * size,
    most: size / 4,
    workingSet: size / 16,
    first: r.chance(0.55) ? "newest" : "oldest",
    count: guess
  }
}

/** Tokens that open and close a message. */
const around = 2

/** The numbers of an exchange's two pages: the system page is 1, the task 2. */
const pages = (at: number) => [3 + 2 * at, 4 + 2 * at] as const

const stub = (calls: ReadonlyArray<Call>, gone: ReadonlyArray<number>): string => {
  const spans: Array<[number, number]> = []
  for (const at of gone) {
    const [first, last] = pages(at)
    const before = spans.at(-1)
    if (before !== undefined && before[1] === first - 1) before[1] = last
    else spans.push([first, last])
  }
  const named = spans.length <= 4 ? spans : [[spans[0]![0], spans.at(-1)![1]] as const]
  const latest = gone.slice(-3).map((at) => {
    const { args, tool } = calls[at]!
    return { page: pages(at)[1], about: aboutCall(tool, args) }
  })
  return stubText(named, latest)
}

/** The views that these calls run through; `pinned` are the notes. The last view lasts to the end. */
export const viewsOf = (
  calls: ReadonlyArray<Call>,
  task: string,
  { count, first, high, low, most, system, workingSet }: Window,
  pinned: (call: Call) => boolean
): Array<View> => {
  const size = calls.map(
    ({ args, ok, text, tool }) => count(callText(tool, args)) + count(resultText(ok, text)) + 2 * around
  )
  const isPinned = (at: number) => pinned(calls[at]!)
  const views: Array<View> = []
  const gone: Array<number> = []
  /** In view before the stub, and behind it. */
  let front: ReadonlyArray<number> = []
  let back: ReadonlyArray<number> = []
  let fresh = 0
  /** Tokens in view when these are gone, with all that went before them. */
  const used = (leaving: ReadonlySet<number> = new Set()) => {
    const out = [...gone, ...leaving].sort((a, b) => a - b)
    return [...front, ...back]
      .filter((at) => !leaving.has(at))
      .reduce(
        (sum, at) => sum + size[at]!,
        system + count(task) + 2 * around + (out.length > 0 ? count(stub(calls, out)) + around : 0)
      )
  }

  const close = () => {
    const seen: Array<Seen> = front.map((at) => ({ at, learn: false }))
    if (gone.length > 0) seen.push({ stub: stub(calls, gone) })
    const all = [...front, ...back]
    back.forEach((at, i) => {
      // A call is to be learned where the result that led to it is in view; a note leads to nothing.
      const cause = at > 0 && isPinned(at - 1) ? at - 2 : at - 1
      const led = at === 0 || (at >= fresh ? all.includes(cause) : back[i - 1] === cause)
      seen.push({ at, learn: led })
    })
    views.push({ seen, paged: gone.length > 0 })
  }

  const evict = () => {
    const inUse = new Set<number>()
    let latest = 0
    for (const at of [...front, ...back].reverse()) {
      latest += size[at]!
      if (inUse.size > 1 && latest > (inUse.size < 3 ? most : workingSet)) break
      inUse.add(at)
    }
    const choose = (stay: ReadonlySet<number>): ReadonlySet<number> => {
      const candidates = [...front, ...back].filter((at) => !stay.has(at) && !isPinned(at))
      const line = first === "newest" ? candidates.reverse() : candidates
      const victims = new Set<number>()
      while (victims.size < line.length && used(victims) > low) {
        let over = used(victims) - low
        for (const at of line.slice(victims.size)) {
          victims.add(at)
          over -= size[at]!
          if (over <= 0) break
        }
      }
      return victims
    }
    let victims = choose(inUse)
    // Where even that is too much, only the last exchange stays.
    if (used(victims) > high) victims = choose(new Set([Math.max(...front, ...back)]))
    if (victims.size === 0) return
    close()
    // What stands before the first change stays; behind it come the notes, the stub, and the others.
    const all = gone.length > 0 ? [...front, "stub" as const, ...back] : back
    const from = all.findIndex((x) => x === "stub" || victims.has(x))
    const rest = all.slice(from).filter((x) => x !== "stub" && !victims.has(x)) as Array<number>
    front = [...(all.slice(0, from) as Array<number>), ...rest.filter(isPinned)]
    back = rest.filter((at) => !isPinned(at))
    gone.push(...victims)
    gone.sort((a, b) => a - b)
  }

  calls.forEach((_, at) => {
    back = [...back, at]
    // The token that opens the next turn counts.
    if (used() + 1 <= high) return
    const before = views.length
    evict()
    if (views.length > before) fresh = at + 1
  })
  close()
  return views
}
