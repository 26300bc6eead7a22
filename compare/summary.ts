/** A comparison in numbers and words. The words follow from the intervals and from nothing else. */
import type { Mode } from "../agents/think.ts"
import { type Comparison, evaluated, matched, type Trial } from "./records.ts"
import {
  bootstrap,
  type Interval,
  mcnemar,
  mean,
  newcombe,
  type Pairs,
  pairsOf,
  perDoubling,
  wilson
} from "./statistics.ts"

/** What one mode did. Tokens, time and nodes are means of an attempt. */
export interface Row {
  readonly mode: Mode
  readonly attempts: number
  readonly right: number
  readonly errors: number
  readonly share: number
  /** Over items: seeds of one item are no independent evidence, so more of them do not narrow it. */
  readonly interval: Interval
  readonly evaluated: number
  readonly prefill: number
  readonly cached: number
  readonly generated: number
  readonly value: number
  readonly wallMs: number
  readonly nodes: number
}

/** One mode against another, on the items and seeds that both have attempted. */
export interface Verdict {
  readonly first: Mode
  readonly second: Mode
  readonly items: number
  /** The share of the first less that of the second. */
  readonly difference: number
  readonly interval: Interval
  readonly method: "newcombe" | "bootstrap"
  /** Of McNemar's exact test; with several seeds there is none. */
  readonly p?: number
  readonly pairs?: Pairs
  /** Tokens that the first evaluated, for each of the second's. */
  readonly tokens: number
  /** Points of share for each doubling of the tokens. */
  readonly perDoubling?: number
  readonly words: string
}

export interface Summary {
  readonly rows: ReadonlyArray<Row>
  readonly verdicts: ReadonlyArray<Verdict>
}

/** What is compared with what; baselines with fast only where slow, which they are for, is not there. */
const pairings: ReadonlyArray<readonly [Mode, Mode]> = [
  ["slow", "fast"],
  ["slow", "best-of-n"],
  ["slow", "self-consistency"],
  ["slow", "random"],
  ["auto", "fast"],
  ["auto", "slow"],
  ["best-of-n", "fast"],
  ["self-consistency", "fast"],
  ["random", "fast"]
]

/** Of a bootstrap's draws: the same records give the same report. */
const drawn = 1

export const summarize = ({ modes, trials }: Pick<Comparison, "modes" | "trials">): Summary => {
  const rows = modes.map((mode) =>
    rowOf(
      mode,
      trials.filter((trial) => trial.mode === mode)
    )
  )
  const asked = pairings.filter(
    ([a, b]) => modes.includes(a) && modes.includes(b) && !(matched.has(a) && modes.includes("slow"))
  )
  return { rows, verdicts: asked.map(([a, b]) => judge(a, b, trials)) }
}

const rowOf = (mode: Mode, trials: ReadonlyArray<Trial>): Row => {
  const items = [...Map.groupBy(trials, (trial) => trial.item).values()]
  const share = mean(items.map(shareOf))
  const each = (of: (trial: Trial) => number) => mean(trials.map(of))
  return {
    mode,
    attempts: trials.length,
    right: trials.filter((trial) => trial.right).length,
    errors: trials.filter((trial) => trial.status === "error").length,
    share,
    interval: wilson(share * items.length, items.length),
    evaluated: each(({ usage }) => evaluated(usage)),
    prefill: each(({ usage }) => usage.prefillTokens),
    cached: each(({ usage }) => usage.cachedTokens),
    generated: each(({ usage }) => usage.generatedTokens),
    value: each(({ usage }) => usage.valueTokens),
    wallMs: each(({ usage }) => usage.wallMs),
    nodes: each(({ nodes }) => nodes)
  }
}

const shareOf = (trials: ReadonlyArray<Trial>): number => mean(trials.map(({ right }) => (right ? 1 : 0)))

const judge = (first: Mode, second: Mode, trials: ReadonlyArray<Trial>): Verdict => {
  const place = ({ item, seed }: Trial) => JSON.stringify([item, seed])
  const others = new Map(
    trials.filter(({ mode }) => mode === second).map((trial) => [place(trial), trial] as const)
  )
  const both = trials.flatMap((one) => {
    const other = one.mode === first ? others.get(place(one)) : undefined
    return other === undefined ? [] : [{ one, other }]
  })
  const items = [...Map.groupBy(both, ({ one }) => one.item).values()]
  const differences = items.map(
    (pairs) => shareOf(pairs.map(({ one }) => one)) - shareOf(pairs.map(({ other }) => other))
  )
  const difference = mean(differences)
  const pairs = pairsOf(both.map(({ one, other }) => [one.right, other.right]))
  const single = items.every((of) => of.length === 1)
  const interval = single ? newcombe(pairs) : bootstrap(differences, drawn)

  const costs = {
    one: mean(both.map(({ one }) => evaluated(one.usage))),
    other: mean(both.map(({ other }) => evaluated(other.usage)))
  }
  const gain = perDoubling(
    { share: shareOf(both.map(({ other }) => other)), tokens: costs.other },
    { share: shareOf(both.map(({ one }) => one)), tokens: costs.one }
  )
  const equal = matched.has(second)
  return {
    first,
    second,
    items: items.length,
    difference,
    interval,
    method: single ? "newcombe" : "bootstrap",
    ...(single ? { p: mcnemar(pairs), pairs } : {}),
    tokens: costs.one / costs.other,
    // Over less than a doubling the division makes much of little.
    ...(gain === undefined || Math.abs(Math.log2(costs.one / costs.other)) < 1 ? {} : { perDoubling: gain }),
    words: wordsFor(first, equal ? `${second} at equal tokens` : second, items.length, difference, interval)
  }
}

const wordsFor = (
  first: string,
  second: string,
  items: number,
  difference: number,
  { high, low }: Interval
): string => {
  if (items === 0) return `${first} and ${second}: nothing to compare`
  const numbers = `${signed(difference)} points (${points(low)} to ${points(high)})`
  if (low > 0) return `${first} is better than ${second}: ${numbers}`
  if (high < 0) return `${first} is worse than ${second}: ${numbers}`
  return `no difference shown between ${first} and ${second}: ${numbers}`
}

/** A difference of shares in percentage points; one that is not 0 is never shown as 0. */
const points = (share: number): string => {
  const value = share * 100
  const size = Math.abs(value)
  const text = size >= 1 || size < 1e-9 ? `${Math.round(size)}` : size.toPrecision(1)
  return value < -1e-9 ? `−${text}` : text
}

export const signed = (share: number): string => (share > 1e-9 ? `+${points(share)}` : points(share))
