import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import {
  boostEvery,
  fair,
  fifo,
  mlfq,
  type Policy,
  quantum,
  rr,
  runnable,
  weight
} from "../../kernel/scheduler.ts"
import { type Life, type Simulation, type Step, simulate } from "./simulator.ts"

const check = { arbitrary: { runs: 200, seed: 1 } }
const int = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))
const list = <S extends Schema.Constraint>(item: S, least: number, most: number) =>
  Schema.Array(item).check(Schema.isMinLength(least), Schema.isMaxLength(most))
const sum = (ns: ReadonlyArray<number>) => ns.reduce((a, b) => a + b, 0)
const times = (n: number, what: () => void) => {
  for (let i = 0; i < n; i++) what()
}

const tokensOf = ({ batch }: Step) => sum(batch.map((item) => item.tokens))

/** Lets it go on until so many tokens are served, and gives what each process got of them. */
const serve = (sim: Simulation, tokens: number, pids: ReadonlyArray<number>) => {
  const before = pids.map(sim.served)
  for (let n = 0; n < tokens; ) n += tokensOf(sim.step())
  return pids.map((pid, i) => sim.served(pid) - before[i]!)
}

/** How many steps it takes until it has written so many more tokens. */
const stepsToWrite = (sim: Simulation, pid: number, tokens: number) => {
  const goal = sim.written(pid) + tokens
  let steps = 0
  for (; sim.written(pid) < goal; steps++) sim.step()
  return steps
}

/** Tokens that the others are served while one that can run is not: the most at a stretch, for each that waits. */
const waits = () => {
  const since = new Map<number, number>()
  return (step: Step): ReadonlyArray<readonly [pid: number, tokens: number]> => {
    const served = new Set(step.batch.map((item) => item.process.pid))
    const waiting = step.table.filter((p) => runnable(p) && !served.has(p.pid)).map((p) => p.pid)
    const longer = waiting.map((pid) => [pid, (since.get(pid) ?? 0) + tokensOf(step)] as const)
    since.clear()
    for (const [pid, tokens] of longer) since.set(pid, tokens)
    return longer
  }
}

const rows = int(1, 4)
const longestRead = 150
/** Processes that never end, and the steps after which they come. */
const Crowd = list(
  Schema.Struct({
    after: int(0, 60),
    priority: int(-8, 8),
    prompt: int(0, longestRead),
    turn: int(1, 60),
    away: int(0, 30),
    result: int(0, longestRead)
  }),
  1,
  9
)

/** Plays a crowd for so many steps, with a look at every wait. */
const crowd = (
  policy: Policy,
  rows: number,
  lives: typeof Crowd.Type,
  steps: number,
  look: (pid: number, tokens: number) => void
) => {
  const sim = simulate(policy, { rows, chunk: 64 })
  const seen = waits()
  const step = () => {
    for (const [pid, tokens] of seen(sim.step())) look(pid, tokens)
  }
  for (const { after, ...life } of lives) {
    sim.start(life)
    times(after, step)
  }
  times(steps, step)
}

/** Steps that a process waits at most for its next token, beside newcomers that never stop coming. */
const longestWaitUnder = (policy: Policy, rows: number, stream: Partial<Life>, steps: number) => {
  const sim = simulate(policy, { rows, chunk: 64 })
  const old = sim.start()
  times(quantum / 2, sim.step)
  let longest = 0
  let wait = 0
  let had = sim.served(old)
  times(steps, () => {
    while (sim.pids().length <= rows) sim.start(stream)
    sim.step()
    wait = sim.served(old) > had ? 0 : wait + 1
    had = sim.served(old)
    longest = Math.max(longest, wait)
  })
  return longest
}

describe("fifo", () => {
  it.prop(
    "serves those who have waited longer before all others",
    [rows, Crowd],
    ([rows, lives]) => {
      const sim = simulate(fifo, { rows, chunk: 16, drops: true })
      const step = () => {
        const { plan, table } = sim.step()
        const waiting = table.filter((p) => runnable(p) && !plan.run.includes(p))
        for (const late of waiting)
          for (const { pid } of plan.run) assert.isAtMost(sim.joined(pid), sim.joined(late.pid))
      }
      for (const { after, ...life } of lives) {
        sim.start(life)
        times(after, step)
      }
      times(300, step)
    },
    check
  )
})

describe("rr", () => {
  it.prop(
    "serves everybody again after a slice of everybody else, and what each has to read before",
    [rows, Crowd],
    ([rows, lives]) => {
      const most = (lives.length - 1) * (quantum + longestRead)
      crowd(rr, rows, lives, 300, (_, tokens) => assert.isAtMost(tokens, most))
    },
    check
  )

  it.prop(
    "keeps all that only write within a slice of each other",
    [int(1, 8), int(2, 12)],
    ([rows, n]) => {
      const sim = simulate(rr, { rows })
      const pids = Array.from({ length: n }, () => sim.start())
      times(400, () => {
        sim.step()
        const written = pids.map(sim.written)
        assert.isAtMost(Math.max(...written) - Math.min(...written), quantum)
      })
    },
    check
  )

  it("begins a slice after what there is to read", () => {
    const sim = simulate(rr, { rows: 1, chunk: 64 })
    const pids = [0, 1].map(() => sim.start({ prompt: 100 }))
    const written = () => {
      times(2 + quantum, sim.step)
      return pids.map(sim.written)
    }
    assert.deepStrictEqual(written(), [quantum, 0])
    assert.deepStrictEqual(written(), [quantum, quantum])
  })
})

describe("mlfq", () => {
  const hogs = (rows: number, n: number) => {
    const sim = simulate(mlfq, { rows })
    return { sim, pids: Array.from({ length: n }, () => sim.start()) }
  }
  /** All slices of a process, from the highest level down to the end of the first at the lowest. */
  const descent = quantum * (1 + 2 + 4 + 8)

  it.prop(
    "serves a newcomer at once, unless there has just been a boost, and then after a short slice of everybody",
    [rows, int(5, 12), int(0, 2 * boostEvery), int(1, quantum)],
    ([rows, n, tokens, writes]) => {
      const { pids, sim } = hogs(rows, n)
      serve(sim, tokens, pids)
      const since = tokens % boostEvery
      const boosted = since < n * quantum + rows || since > boostEvery - rows * quantum
      const steps = stepsToWrite(sim, sim.start({ writes }), writes)
      if (boosted) assert.isAtMost(steps, Math.ceil(n / rows) * quantum + writes)
      else assert.isAtMost(steps, writes + rows)
    },
    check
  )

  it("lets those sink that use up their slices, and a boost rise", () => {
    const { pids, sim } = hogs(2, 4)
    const levels = () => pids.map((pid) => sim.find(pid).share.level)
    const seen = [1, 2, 3].map((level) => {
      serve(sim, 4 * quantum * 2 ** (level - 1), pids)
      return levels()
    })
    assert.deepStrictEqual(seen, [
      [1, 1, 1, 1],
      [2, 2, 2, 2],
      [3, 3, 3, 3]
    ])
    serve(sim, boostEvery - 4 * quantum * 7 - 2, pids)
    assert.deepStrictEqual(levels(), [3, 3, 3, 3])
    serve(sim, 4 * quantum, pids)
    assert.strictEqual(Math.max(...levels()), 1)
  })

  it.prop(
    "lets no short turns, how many there may be, keep a process from the engine: they sink as well",
    [int(1, 2), list(Schema.Struct({ turn: int(1, quantum - 1), away: int(0, 3) }), 2, 4)],
    ([rows, callers]) => {
      const sim = simulate(mlfq, { rows })
      const writer = sim.start()
      for (const caller of callers) sim.start(caller)
      const seen = waits()
      times(2000, () => {
        for (const [pid, tokens] of seen(sim.step()))
          if (pid === writer) assert.isAtMost(tokens, callers.length * descent)
      })
    },
    check
  )

  it.each([
    [1, 0],
    [1, quantum],
    [3, 0],
    [3, 200]
  ])(
    "serves all between two boosts, beside newcomers without end: %i rows, prompts of %i",
    (rows, prompt) => {
      const tokens = boostEvery + rows * (prompt + descent)
      const wait = longestWaitUnder(mlfq, rows, { prompt, writes: quantum / 2 }, 3 * tokens)
      assert.isAbove(wait, 0)
      assert.isAtMost(wait, tokens)
    }
  )
})

/** Which part of all tokens each gets when a row is the most that anybody can use, and weights share the rest. */
const idealParts = (weights: ReadonlyArray<number>, rows: number): ReadonlyArray<number> => {
  const used = Math.min(rows, weights.length)
  let free = used
  let rest = sum(weights)
  for (const w of [...weights].sort((a, b) => b - a)) {
    if (w * free < rest) break
    free--
    rest -= w
  }
  return weights.map((w) => (free === 0 || w * free >= rest ? 1 : (w * free) / rest) / used)
}

describe("fair", () => {
  const Writer = Schema.Struct({ after: int(0, 200), priority: int(-6, 6) })
  /** Lets writers come one by one, so that early ones have had rows to themselves; then measures them all together. */
  const compare = (rows: number, writers: ReadonlyArray<typeof Writer.Type>, tokens: number) => {
    const sim = simulate(fair, { rows })
    const pids = writers.map(({ after, priority }) => {
      const pid = sim.start({ priority })
      times(after, sim.step)
      return pid
    })
    const got = serve(sim, tokens, pids)
    const weights = writers.map(({ priority }) => weight(priority))
    return idealParts(weights, rows).map((part, i) => [got[i]!, part * sum(got)] as const)
  }

  // Of six such processes the smallest ideal part of 10,000 tokens is 760, and a slice 4% of that.
  it.prop(
    "shares 10,000 tokens as the weights are, within 5%",
    [int(1, 5), list(int(-2, 2), 2, 6)],
    ([rows, priorities]) => {
      const writers = priorities.map((priority) => ({ after: 0, priority }))
      for (const [got, ideal] of compare(rows, writers, 10_000))
        assert.isAtMost(Math.abs(got - ideal), 0.05 * ideal)
    },
    check
  )

  it.prop(
    "is within four slices of what the weights say, whoever had how many rows to itself before",
    [int(1, 5), list(Writer, 2, 12), int(100, 4000)],
    ([rows, writers, tokens]) => {
      for (const [got, ideal] of compare(rows, writers, tokens))
        assert.isAtMost(Math.abs(got - ideal), 4 * quantum)
    },
    check
  )

  it.prop(
    "serves everybody again after two slices of everybody else, and what their weights and reading make of two",
    [rows, Crowd],
    ([rows, lives]) => {
      const most = (pid: number) => {
        const own = weight(lives[pid - 1]!.priority)
        return sum(lives.map(({ priority }) => (1 + weight(priority) / own) * (2 * quantum + longestRead)))
      }
      crowd(fair, rows, lives, 600, (pid, tokens) => assert.isAtMost(tokens, most(pid)))
    },
    check
  )

  it.each([
    { rows: 1, priority: 20, prompt: 0, writes: 20 },
    { rows: 1, priority: 20, prompt: 0, writes: 1 },
    { rows: 3, priority: 20, prompt: 0, writes: 31 },
    { rows: 2, priority: 10, prompt: 300, writes: 5 },
    { rows: 1, priority: 0, prompt: 0, writes: 20 },
    { rows: 2, priority: 10, prompt: 0, writes: 50, turn: 1, away: 3 }
  ])("serves all as the weights are, beside newcomers without end: %o", ({ rows, ...stream }) => {
    const slices = quantum * (1 + weight(stream.priority))
    const wait = longestWaitUnder(fair, rows, stream, 4 * slices)
    assert.isAbove(wait, 0)
    assert.isAtMost(wait, 2 * slices)
  })

  /** Processes that write for ever, each past its first slice. */
  const settled = (rows: number, priorities: ReadonlyArray<number>, steps: number) => {
    const sim = simulate(fair, { rows })
    const pids = priorities.map((priority) => sim.start({ priority }))
    while (pids.some((pid) => sim.written(pid) <= quantum)) sim.step()
    times(steps, sim.step)
    return { sim, pids }
  }

  it.prop(
    "gives a newcomer of higher priority a row in the next step, for its whole first slice",
    [int(1, 8), list(int(-8, 8), 1, 16), int(0, 200), int(9, 20)],
    ([rows, priorities, steps, priority]) => {
      const { sim } = settled(rows, priorities, steps)
      assert.strictEqual(stepsToWrite(sim, sim.start({ priority }), quantum), quantum)
    },
    check
  )

  it.prop(
    "does so from the first, when many have come together and most of them never ran",
    [int(1, 8), int(1, 24), int(0, 150)],
    ([rows, n, steps]) => {
      const sim = simulate(fair, { rows })
      times(n, () => sim.start())
      times(steps, sim.step)
      assert.strictEqual(stepsToWrite(sim, sim.start({ priority: 10 }), quantum), quantum)
    },
    check
  )

  it.prop(
    "has no debt to somebody who was away, and none is owed: all are within four slices of their parts",
    [int(1, 4), list(int(-6, 6), 2, 8), int(1, 3000), int(500, 2000)],
    ([rows, priorities, away, tokens]) => {
      const { pids, sim } = settled(rows, priorities, 0)
      sim.stop(pids[0]!)
      times(away, sim.step)
      sim.cont(pids[0]!)
      const got = serve(sim, tokens, pids)
      const parts = idealParts(priorities.map(weight), rows)
      for (const [i, part] of parts.entries())
        assert.isAtMost(Math.abs(got[i]! - part * sum(got)), 4 * quantum)
    },
    check
  )

  it("gives one that comes back no more than its turn, though only the oldest of slices be in service", () => {
    const { pids, sim } = settled(1, [0, -6, -1, 3, -3, 0], 0)
    sim.stop(pids[0]!)
    times(576, sim.step)
    sim.cont(pids[0]!)
    const had = sim.written(pids[0]!)
    times(4 * quantum, sim.step)
    assert.isAtMost(sim.written(pids[0]!) - had, quantum)
  })

  it("lets no newcomer wait until all others have read as much as one before it", () => {
    const sim = simulate(fair, { rows: 2 })
    times(3, sim.start)
    const reader = sim.start({ prompt: 3000, writes: 1 })
    while (sim.pids().includes(reader)) sim.step()
    const everybody = 4
    assert.isAtMost(stepsToWrite(sim, sim.start(), 2 * quantum), everybody * 2 * quantum)
  })

  it("gives no newcomer what one of great weight could not use before it came", () => {
    const { pids, sim } = settled(2, [6, 0, 0], 3000)
    const newcomer = sim.start({ turn: 1, result: 60 })
    const [had, ...others] = serve(sim, 100 * quantum, [newcomer, ...pids.slice(1)])
    for (const other of others) assert.closeTo(had!, other, 4 * quantum)
  })

  it.prop(
    "does not take calls that are short amiss: who makes them writes as much as who writes only",
    [int(1, 3), int(3, 5), int(4, 60), int(0, 60)],
    ([rows, others, turn, result]) => {
      const { pids, sim } = settled(rows, Array(rows * others).fill(0), 0)
      const caller = sim.start({ turn, result, away: 1 })
      const got = serve(sim, 500 * rows * others, [caller, ...pids])
      // Whatever it was served last may have been a slice, and something to read.
      assert.closeTo(got[0]!, sum(got) / got.length, 2 * quantum + result)
    },
    check
  )
})
