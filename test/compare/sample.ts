/** Records as a comparison leaves them, made up: which of the items a mode does is drawn by a seeded generator. */

import type { Mode } from "../../agents/think.ts"
import { type Comparison, modes, type Trial } from "../../compare/records.ts"

/** A trial like many; what matters to a test is said. */
export const trial = (of: Partial<Trial>): Trial => ({
  suite: "sample",
  item: "a",
  mode: "fast",
  seed: 0,
  right: true,
  status: "ok",
  answer: "42",
  usage: { prefillTokens: 60, cachedTokens: 500, generatedTokens: 40, valueTokens: 0, wallMs: 1200 },
  nodes: 0,
  changes: [],
  ...of
})

/** How often each mode is right, of 100, and what it takes. */
const nature: Readonly<Record<Mode, readonly [percent: number, tokens: number]>> = {
  fast: [35, 100],
  slow: [80, 1900],
  auto: [74, 900],
  "best-of-n": [55, 1850],
  "self-consistency": [48, 1870],
  random: [6, 1900]
}

export const sample = (items: number, seeds: number): Comparison => {
  let state = 7
  const draw = (below: number) => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0
    return (state >>> 8) % below
  }
  const all = Array.from({ length: items }, (_, i) => ({ id: `task-${i + 1}`, task: `Do thing ${i + 1}.` }))
  const trials = [...Array(seeds).keys()].flatMap((seed) =>
    all.flatMap(({ id }) => {
      // Hard for one mode is hard for the others too.
      const luck = draw(100)
      return modes.map((mode) => {
        const [percent, tokens] = nature[mode]
        const right = (luck + draw(40) - 20) % 100 < percent
        return trial({
          item: id,
          mode,
          seed,
          right,
          answer: right ? "42" : `${draw(100)}`,
          nodes: mode === "fast" ? 0 : 12,
          usage: {
            prefillTokens: Math.round(tokens * 0.4),
            cachedTokens: tokens * 5,
            generatedTokens: Math.round(tokens * 0.5),
            valueTokens: Math.round(tokens * 0.1),
            wallMs: tokens * 2
          }
        })
      })
    })
  )
  return {
    suite: "sample",
    about: "Made up.",
    model: "none",
    strategy: "none",
    items: all,
    modes,
    seeds,
    attempts: trials.length,
    trials
  }
}
