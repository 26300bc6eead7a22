/** How good a state is, 0 to 1: ways to get at a number for `Domain.score`. */
import { Effect } from "effect"

/** By asking several times, each with its own number, and taking the mean (Tree of Thoughts asks three times). */
export const byVote = <E, R>(times: number, ask: (n: number) => Effect.Effect<number, E, R>) =>
  Effect.map(
    Effect.forEach(
      Array.from({ length: times }, (_, n) => n),
      ask,
      { concurrency: "unbounded" }
    ),
    (values) => values.reduce((sum, value) => sum + value, 0) / times
  )

/** By a yes or no, given how likely each is as the next token: what else could have been said does not count. */
export const byAnswer = (yes: number, no: number) => (yes + no === 0 ? 0 : yes / (yes + no))

/**
 * By how likely a text was, from the natural logarithms of its tokens' probabilities: their geometric mean, so that a
 * long text is not worse for being long. An empty text is certain.
 */
export const byLogProbability = (logs: ReadonlyArray<number>) =>
  logs.length === 0 ? 1 : Math.exp(logs.reduce((sum, log) => sum + log, 0) / logs.length)

/** By somebody who knows: 1 or 0. */
export const byVerifier = <E, R>(check: Effect.Effect<boolean, E, R>) =>
  Effect.map(check, (yes) => (yes ? 1 : 0))
