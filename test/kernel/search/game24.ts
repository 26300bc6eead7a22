/**
 * The Game of 24 as a domain: exact arithmetic, and in the place of a model a proposer and a value that are right only
 * most of the time. Everything follows from the numbers and the seeds.
 */
import { Effect } from "effect"
import type { Domain } from "../../../kernel/search/search.ts"

/** Numbers from 0 to 1, always the same for a seed (mulberry32). */
export const randoms = (seed: number) => {
  let a = seed | 0
  return () => {
    a = (a + 0x6d2b79f5) | 0
    let t = Math.imul(a ^ (a >>> 15), 1 | a)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

const hashed = (text: string, salt: number) => {
  let h = salt
  for (const c of text) h = Math.imul(h ^ c.charCodeAt(0), 0x01000193)
  return randoms(h)()
}

/** A number as a fraction, with what it was made of. */
interface Term {
  readonly p: number
  readonly q: number
  readonly text: string
}
export type Hand = ReadonlyArray<Term>

const gcd = (a: number, b: number): number => (b === 0 ? Math.abs(a) : gcd(b, a % b))
const term = (p: number, q: number, text: string): Term => {
  const g = gcd(p, q) * Math.sign(q)
  return { p: p / g, q: q / g, text }
}

const steps = (a: Term, b: Term): ReadonlyArray<Term> => [
  term(a.p * b.q + b.p * a.q, a.q * b.q, `(${a.text}+${b.text})`),
  term(a.p * b.q - b.p * a.q, a.q * b.q, `(${a.text}-${b.text})`),
  term(b.p * a.q - a.p * b.q, a.q * b.q, `(${b.text}-${a.text})`),
  term(a.p * b.p, a.q * b.q, `(${a.text}*${b.text})`),
  ...(b.p === 0 ? [] : [term(a.p * b.q, a.q * b.p, `(${a.text}/${b.text})`)]),
  ...(a.p === 0 ? [] : [term(b.p * a.q, b.q * a.p, `(${b.text}/${a.text})`)])
]

export const keyOf = (hand: Hand) =>
  hand
    .map(({ p, q }) => (q === 1 ? `${p}` : `${p}/${q}`))
    .toSorted()
    .join(" ")

/** All hands that one operation leads to, each once. */
export const movesOf = (hand: Hand): ReadonlyArray<Hand> => {
  const found = new Map<string, Hand>()
  for (let i = 0; i < hand.length; i++)
    for (let j = i + 1; j < hand.length; j++)
      for (const made of steps(hand[i]!, hand[j]!)) {
        const next = [...hand.filter((_, k) => k !== i && k !== j), made]
        if (!found.has(keyOf(next))) found.set(keyOf(next), next)
      }
  return [...found.values()]
}

const known = new Map<string, boolean>()
export const solvable = (hand: Hand): boolean => {
  const key = keyOf(hand)
  const before = known.get(key)
  if (before !== undefined) return before
  const answer = hand.length === 1 ? key === "24" : movesOf(hand).some(solvable)
  known.set(key, answer)
  return answer
}

export interface Player {
  /** How much likelier than others a move is that keeps 24 in reach, as a natural logarithm. */
  readonly insight: number
  /** How strongly it likes some moves for no reason. */
  readonly whim: number
  /** How often its value is right. */
  readonly sight: number
  /** Whether it may ask the rules if an answer is 24. */
  readonly verifier: boolean
}

/** What it costs, in tokens. */
const cost = { write: 24, read: 8, value: 10 }

export const game24 = (
  numbers: ReadonlyArray<number>,
  { insight, sight, verifier, whim }: Player
): Domain<Hand, Hand, never> => {
  let spent = 40
  const right = (hand: Hand) => hand.length === 1 && keyOf(hand) === "24"
  const liking = (from: Hand, to: Hand) =>
    (solvable(to) ? insight : 0) + whim * hashed(`${keyOf(from)}>${keyOf(to)}`, 7)
  return {
    root: Effect.sync(() => numbers.map((n) => term(n, 1, `${n}`))),
    propose: (hand, count, seed) =>
      Effect.sync(() => {
        const random = randoms(seed)
        const moves = movesOf(hand)
        let total = 0
        const sums = moves.map((to) => {
          total += Math.exp(liking(hand, to))
          return total
        })
        const drawn = new Set<Hand>()
        for (let i = 0; i < count; i++) {
          spent += cost.write
          const at = random() * total
          drawn.add(moves[sums.findIndex((sum) => at < sum)]!)
        }
        return [...drawn]
      }),
    step: (_hand, next) =>
      Effect.sync(() => {
        spent += cost.read
        return next
      }),
    score: (hand) =>
      Effect.sync(() => {
        if (hand.length === 1 && verifier) return right(hand) ? 1 : 0
        spent += cost.value
        const believed = hashed(keyOf(hand), 1) < sight === solvable(hand)
        const doubt = hashed(keyOf(hand), 2) * 0.2
        return believed ? 1 - doubt : doubt / 2
      }),
    terminal: (hand) =>
      hand.length === 1 ? { answer: hand[0]!.text, verified: verifier ? right(hand) : undefined } : undefined,
    key: keyOf,
    show: (hand) => hand.map((t) => t.text).join(" "),
    spent: () => spent,
    free: () => Effect.void
  }
}
