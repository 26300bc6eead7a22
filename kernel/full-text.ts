/**
 * Looking for words in SQLite's full-text indexes (https://sqlite.org/fts5.html).
 *
 * The words come from models and may be anything: only letters, digits and their marks reach a query, each run of them
 * quoted, so that nothing in them is an operator.
 */
import { Effect } from "effect"

/** What the tokenizer `unicode61` takes for a word. Marks may be part of one or not: quoted, either is right. */
const run = /[\p{L}\p{N}\p{Co}][\p{L}\p{M}\p{N}\p{Co}]*/gu

/** What is looked for at once; more says no more of what is meant. */
const most = { words: 16, characters: 4096 }

/** A search that finds so many rows gives the newest, unranked: ranking holds the event loop. */
export const mostRanked = 200

interface Words {
  /** The query for texts with all words; those that no space parts (`b7.txt`) side by side. */
  readonly all: string
  /** A query for each word. */
  readonly each: ReadonlyArray<string>
}

/** Undefined where there is no word in the text. */
const words = (text: string): Words | undefined => {
  const few = text.slice(0, most.characters)
  const found = [...few.matchAll(run)].slice(0, most.words)
  if (found.length === 0) return undefined
  const all = found.map(({ 0: word, index }, n) => {
    const before = found[n - 1]
    const gap = before === undefined ? "" : few.slice(before.index + before[0].length, index)
    const joint = before === undefined ? '"' : /\s/.test(gap) ? '" AND "' : " "
    return joint + word
  })
  return { all: `${all.join("")}"`, each: [...new Set(found.map(([word]) => `"${word}"`))] }
}

/** One full-text index, and the rows that it is about. */
export interface Index<A, E> {
  /** The ids that a query finds, the newest first, at most `mostRanked`. */
  readonly newest: (query: string) => Effect.Effect<ReadonlyArray<number>, E>
  /** The rows with these ids that fit a query best, then the newest. */
  readonly best: (query: string, ids: ReadonlyArray<number>) => Effect.Effect<ReadonlyArray<A>, E>
  /** The first of these ids' rows. */
  readonly first: (ids: ReadonlyArray<number>) => Effect.Effect<ReadonlyArray<A>, E>
}

/**
 * The rows with all words of a text, the best first. Where there are none: those with any of the rarest words, of as
 * many words as can have all their rows ranked. A word that is everywhere would hide the ones that are not.
 */
export const lookUp = Effect.fnUntraced(function* <A, E>(
  text: string,
  { best, first, newest }: Index<A, E>
): Effect.fn.Return<ReadonlyArray<A>, E> {
  const asked = words(text)
  if (asked === undefined) return []
  const rows = (query: string, ids: ReadonlyArray<number>) =>
    ids.length < mostRanked ? best(query, ids) : first(ids)
  const ids = yield* newest(asked.all)
  if (ids.length > 0) return yield* rows(asked.all, ids)

  const found: Array<{ readonly word: string; readonly ids: ReadonlyArray<number> }> = []
  for (const word of asked.each) found.push({ word, ids: yield* newest(word) })
  const rarest = found.filter(({ ids }) => ids.length > 0).sort((a, b) => a.ids.length - b.ids.length)
  if (rarest.length === 0) return []
  const any: Array<string> = []
  const together = new Set<number>()
  for (const { ids, word } of rarest) {
    if (any.length > 0 && together.size + ids.length >= mostRanked) break
    any.push(word)
    for (const id of ids) together.add(id)
  }
  const newestFirst = [...together].sort((a, b) => b - a)
  return yield* rows(any.join(" OR "), newestFirst)
})
