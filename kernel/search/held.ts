/** What a search keeps alive: each thing is freed once, as soon as it is not needed, or when the scope closes. */
import { Effect } from "effect"

/** One thing that is alive. Two may hold equal values, and are two all the same. */
export interface Held<T> {
  readonly what: T
}

export const makeHolder = Effect.fnUntraced(function* <All>(free: (what: All) => Effect.Effect<void>) {
  const alive = new Set<Held<All>>()

  const hold = <T extends All>(what: T): Held<T> => {
    const held = { what }
    alive.add(held)
    return held
  }

  const release = (these: Iterable<Held<All>>) =>
    Effect.forEach(these, (held) => (alive.delete(held) ? free(held.what) : Effect.void), {
      concurrency: "unbounded",
      discard: true
    }).pipe(Effect.uninterruptible)

  yield* Effect.addFinalizer(() => release([...alive]))

  return {
    hold,
    release,
    /** Frees everything but this. */
    releaseOthers: (kept: Held<All> | undefined) =>
      Effect.suspend(() => release([...alive].filter((held) => held !== kept))),
    /** What an effect gives is held from the moment that it is there. */
    holding: <A, E, R, B>(effect: Effect.Effect<A, E, R>, as: (made: A) => B) =>
      Effect.uninterruptibleMask((restore) => Effect.map(restore(effect), as)),
    /** One has become the other. */
    turn: <T extends All>(held: Held<All>, into: T): Held<T> => {
      alive.delete(held)
      return hold(into)
    }
  }
})
