import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import {
  dispatch,
  epoch,
  fair,
  fifo,
  mlfq,
  newborn,
  type Policy,
  rr,
  runnable,
  swapMethod
} from "../../kernel/scheduler.ts"
import { type Step, simulate, struct } from "./simulator.ts"

const policies = [fifo, rr, mlfq, fair]
const check = { arbitrary: { runs: 200, seed: 1 } }

const int = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))
const list = <S extends Schema.Constraint>(item: S, least: number, most: number) =>
  Schema.Array(item).check(Schema.isMinLength(least), Schema.isMaxLength(most))

const AnyLife = Schema.Struct({
  priority: int(-6, 6),
  prompt: int(0, 80),
  turn: int(8, 40),
  away: int(0, 20),
  result: int(0, 60),
  writes: int(1, 60)
})
/** Some processes that come at some time, and signals that stop and continue some of them. */
const World = Schema.Struct({
  rows: int(1, 5),
  chunk: int(4, 64),
  prefix: int(0, 30),
  drops: Schema.Boolean,
  arrivals: list(Schema.Struct({ step: int(0, 60), life: AnyLife }), 1, 8),
  signals: list(Schema.Struct({ step: int(0, 60), pid: int(1, 8), steps: int(1, 50) }), 0, 4)
})
type World = typeof World.Type

/** Plays a world to its end, with a look at every step. */
const play = (policy: Policy, world: World, look: (step: Step) => void) => {
  const sim = simulate(policy, world)
  for (let now = 0; now < 20_000; now++) {
    for (const { life, step } of world.arrivals) if (step === now) sim.start(life)
    for (const { pid, step, steps } of world.signals) {
      if (!sim.pids().includes(pid)) continue
      const stopped = sim.find(pid).state === "stopped"
      if (step === now && !stopped) sim.stop(pid)
      if (step + steps === now && stopped) sim.cont(pid)
    }
    look(sim.step())
    if (now > 110 && sim.pids().length === 0) return sim
  }
  return assert.fail("some process never ended")
}

const pidsOf = (processes: ReadonlyArray<{ readonly pid: number }>) => processes.map((p) => p.pid)
const sum = (ns: ReadonlyArray<number>) => ns.reduce((a, b) => a + b, 0)

describe.each(policies)("$name", (policy) => {
  it.prop(
    "gives every row that somebody can use, takes none without need, and serves all to their end",
    [World],
    ([world]) => {
      const ended = play(policy, world, ({ plan, table }) => {
        const able = table.filter(runnable)
        const isResident = new Set(table.filter((p) => p.sequence?.resident).map((p) => p.pid))
        const [run, out, entering] = [plan.run, plan.out, plan.in].map(pidsOf)
        assert.lengthOf(run!, Math.min(world.rows, able.length))
        assert.isTrue(plan.run.every((p) => able.includes(p)))
        assert.strictEqual(new Set(run).size, run!.length)
        assert.deepStrictEqual(
          entering,
          run!.filter((pid) => !isResident.has(pid))
        )
        assert.isTrue(out!.every((pid) => isResident.has(pid) && !run!.includes(pid)))
        assert.strictEqual(new Set(out).size, out!.length)
        assert.lengthOf(out!, Math.max(0, isResident.size + entering!.length - world.rows))
      })
      for (const [i, { life }] of [...world.arrivals].sort((a, b) => a.step - b.step).entries()) {
        const calls = Math.ceil(life.writes / life.turn) - 1
        assert.strictEqual(ended.written(i + 1), life.writes)
        assert.strictEqual(
          ended.served(i + 1),
          world.prefix + life.prompt + life.writes + calls * life.result
        )
      }
    },
    check
  )

  it.prop(
    "decides the same again, and the same whatever the order of the table",
    [World],
    ([world]) => {
      const once: Array<unknown> = []
      const decisions = ({ batch, plan }: Step) => [
        pidsOf(plan.run),
        pidsOf(plan.out),
        batch.map(({ process, tokens, work }) => [process.pid, work._tag, tokens])
      ]
      play(policy, world, (step) => {
        once.push(decisions(step))
        const other = dispatch(policy, [...step.table].reverse(), world.rows, step.clock)
        assert.deepStrictEqual(other.run, step.plan.run)
        assert.sameMembers([...other.in], [...step.plan.in])
      })
      const again: Array<unknown> = []
      play(policy, world, (step) => again.push(decisions(step)))
      assert.deepStrictEqual(again, once)
    },
    check
  )
})

describe("a batch", () => {
  it.prop(
    "has a token of everybody who writes, and no more than a chunk of what is read, none of it left free",
    [World],
    ([world]) => {
      play(fair, world, ({ batch, plan }) => {
        const written = batch.filter((item) => item.work._tag === "Decode")
        const read = batch.map(({ work }) =>
          work._tag === "Prefill" ? work.tokens.length : work._tag === "Restore" ? work.count : 0
        )
        const wants = plan.run.map(({ pending, sequence }) => {
          const toPrefix = world.prefix - sequence!.length
          if (sequence!.missing > 0) return sequence!.missing
          return toPrefix > 0 ? Math.min(toPrefix, pending.length) : pending.length
        })
        assert.deepStrictEqual(
          pidsOf(written.map((item) => item.process)),
          pidsOf(plan.run.filter((_, i) => wants[i] === 0))
        )
        assert.strictEqual(sum(read), Math.min(world.chunk, sum(wants)))
        const readers = wants.filter((want) => want > 0).length
        for (const [i, p] of plan.run.entries()) {
          const at = batch.findIndex((item) => item.process.pid === p.pid)
          if (readers <= world.chunk) assert.isAtLeast(at, 0)
          if (at < 0) continue
          const { tokens, work } = batch[at]!
          if (work._tag === "Restore") assert.strictEqual(tokens, 0)
          else assert.strictEqual(p.sequence!.missing, 0)
          if (work._tag === "Prefill") assert.strictEqual(tokens, work.tokens.length)
          if (work._tag === "Decode") assert.strictEqual(tokens, 1)
          else assert.isAtLeast(read[at]!, Math.min(wants[i]!, Math.floor(world.chunk / 2 / readers)))
          assert.isAtMost(read[at]!, wants[i]!)
        }
      })
    },
    check
  )

  it("lets a short result be read beside a long prompt", () => {
    const sim = simulate(fair, { rows: 2, chunk: 64 })
    sim.start({ prompt: 10_000 })
    sim.step()
    const short = sim.start({ prompt: 60 })
    for (let i = 0; i < 5; i++) sim.step()
    assert.strictEqual(sim.written(short), 1)
  })
})

describe("who gives its row away", () => {
  const Row = Schema.Struct({
    state: Schema.Literals(["ready", "running", "blocked", "stopped"]),
    since: int(0, 9),
    due: int(0, 99)
  })

  it.prop(
    "is stopped, or else blocked, each the longest first",
    [list(Row, 1, 8), list(int(0, 99), 1, 8)],
    ([residents, waiting]) => {
      const process = (i: number, due: number, resident: boolean) => ({
        pid: i + 1,
        priority: 0,
        pending: [],
        share: { ...newborn, due },
        sequence: { length: 1, resident, missing: 0 }
      })
      const table = [
        ...residents.map(({ due, since, state }, i) => struct({ ...process(i, due, true), since, state })),
        ...waiting.map((due, i) =>
          struct({ ...process(residents.length + i, due, false), state: "ready", since: 0 })
        )
      ]
      const { out, run } = dispatch(fair, table, residents.length, epoch)
      const kept = table.filter((p) => p.sequence!.resident && !out.includes(p) && !run.includes(p))
      const rank = { stopped: 0, blocked: 1, ready: 2, running: 2, zombie: 3 }
      for (const a of out)
        for (const b of kept) {
          assert.isAtMost(rank[a.state], rank[b.state])
          if (rank[a.state] < rank[b.state]) continue
          assert.isBelow(rank[a.state], 2)
          assert.isAtMost(a.since, b.since)
        }
    },
    check
  )
})

describe("a KV cache", () => {
  it.prop(
    "is saved when that and loading it takes less time than reading it again, if there is anything in it",
    [int(0, 9), int(0, 9), int(0, 9), int(0, 9)],
    ([length, prefill, save, load]) => {
      const time = { save: length * (save + load), drop: length * prefill }
      const chosen = swapMethod(length, { prefill, save, load })
      assert.strictEqual(chosen, time.save < time.drop ? "save" : "drop")
    },
    check
  )
})
