import { assert, describe, it } from "@effect/vitest"
import { Effect, Result, Schema } from "effect"
import {
  type Budget,
  budgetOf,
  giveBack,
  type Holder,
  lend,
  nothing,
  overTokens,
  pooledBudget,
  remaining,
  spend
} from "../../kernel/budget.ts"
import type { Process } from "../../kernel/process.ts"

const int = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

/** What a family does, to a member picked by `of`. */
const Deed = Schema.Union([
  Schema.Struct({
    do: Schema.Literal("spawn"),
    of: int(0, 99),
    asks: Schema.Struct({
      tokens: Schema.optionalKey(int(1, 400)),
      syscalls: Schema.optionalKey(int(1, 10)),
      processes: Schema.optionalKey(int(0, 5))
    })
  }),
  Schema.Struct({ do: Schema.Literal("branch"), of: int(0, 99) }),
  Schema.Struct({ do: Schema.Literal("evaluate"), of: int(0, 99), tokens: int(1, 120) }),
  Schema.Struct({ do: Schema.Literal("write"), of: int(0, 99) }),
  Schema.Struct({ do: Schema.Literal("call"), of: int(0, 99) }),
  Schema.Struct({ do: Schema.Literal("end"), of: int(0, 99) })
])

interface Member extends Holder {
  readonly parent: Member | undefined
  readonly started: number
  readonly children: Set<Member>
}

const whole: Budget = { tokens: 1000, seconds: 60, syscalls: 30, processes: 8 }
const member = (parent: Member | undefined, budget: Budget, pooled = false): Member => ({
  parent,
  pooled,
  budget,
  started: 0,
  usage: { prefillTokens: 0, valueTokens: 0, cachedTokens: 0, generatedTokens: 0, syscalls: 0 },
  lent: nothing,
  children: new Set()
})

describe("a family", () => {
  it.prop(
    "can never use more than its first member's budget, which is left but for what was used when all have ended",
    [Schema.Array(Deed).check(Schema.isMaxLength(60))],
    ([deeds]) => {
      const root = member(undefined, whole)
      const alive = [root]
      const used = { tokens: 0, syscalls: 0 }

      /** As the kernel ends a process: its children before it. */
      const end = (m: Member) => {
        for (const child of m.children) end(child)
        alive.splice(alive.indexOf(m), 1)
        if (m.parent === undefined) return
        giveBack(m.parent, m)
        m.parent.children.delete(m)
      }
      const use = (m: Member, what: "prefillTokens" | "generatedTokens", tokens: number) => {
        if (overTokens(m, tokens) !== undefined) return
        spend(m, what, tokens)
        used.tokens += tokens
      }

      for (const deed of deeds) {
        const m = alive[deed.of % alive.length]!
        if (deed.do === "spawn") {
          const left = remaining(m)
          const asked = Effect.runSync(Effect.result(budgetOf(m as unknown as Process, deed.asks, 30_000)))
          if (Result.isSuccess(asked)) {
            const budget = asked.success
            assert.isAtMost(budget.tokens, left.tokens)
            assert.isAtMost(budget.syscalls, left.syscalls)
            assert.isBelow(budget.processes, left.processes)
            assert.isAtMost(budget.seconds, whole.seconds - 30)
            const child = member(m, budget)
            m.children.add(child)
            alive.push(child)
            lend(m, child)
          }
        }
        if (deed.do === "branch") {
          const shared = Effect.runSync(Effect.result(pooledBudget(m as unknown as Process, 30_000)))
          if (Result.isSuccess(shared)) {
            const child = member(m, shared.success, true)
            m.children.add(child)
            alive.push(child)
            lend(m, child)
          }
        }
        if (deed.do === "evaluate") use(m, "prefillTokens", deed.tokens)
        if (deed.do === "write") use(m, "generatedTokens", 1)
        if (
          deed.do === "call" &&
          [m, ...(m.pooled ? [m.parent!] : [])].every((p) => remaining(p).syscalls > 0)
        ) {
          spend(m, "syscalls", 1)
          used.syscalls++
        }
        if (deed.do === "end" && m !== root) end(m)

        const left = alive.filter((m) => !m.pooled).map(remaining)
        const sum = (of: (slice: (typeof left)[number]) => number) => left.reduce((n, s) => n + of(s), 0)
        for (const { processes, syscalls, tokens } of left)
          assert.isAtLeast(Math.min(tokens, syscalls, processes), 0)
        assert.strictEqual(
          sum((s) => s.tokens),
          whole.tokens - used.tokens
        )
        assert.strictEqual(
          sum((s) => s.syscalls),
          whole.syscalls - used.syscalls
        )
        assert.strictEqual(
          sum((s) => s.processes),
          whole.processes - (alive.length - 1)
        )
      }

      for (const child of root.children) end(child)
      assert.deepStrictEqual(remaining(root), {
        tokens: whole.tokens - used.tokens,
        syscalls: whole.syscalls - used.syscalls,
        processes: whole.processes
      })
    },
    { arbitrary: { runs: 500, seed: 1 } }
  )

  it("pays for what a child uses beyond its budget, but gets nothing out of it", () => {
    const parent = member(undefined, whole)
    const child = member(parent, { ...whole, tokens: 100, syscalls: 2, processes: 0 })
    lend(parent, child)
    child.usage.syscalls = 3
    child.usage.generatedTokens = 100
    giveBack(parent, child)
    assert.deepStrictEqual(parent.lent, { tokens: 100, syscalls: 2, processes: 0 })
  })
})

describe("a child's budget", () => {
  const parent = member(undefined, whole)
  const of = (asked: Partial<Budget>, now = 0) =>
    Effect.runSync(Effect.result(budgetOf(parent as unknown as Process, asked, now)))

  it("is a quarter of what its parent has left, where it asks for nothing else", () => {
    assert.deepStrictEqual(
      of({ syscalls: 20 }),
      Result.succeed({ tokens: 250, seconds: 60, syscalls: 20, processes: 1 })
    )
  })

  it("ends no later than its parent's, and not at all after that", () => {
    assert.deepInclude(Result.getOrThrow(of({}, 20_000)), { seconds: 40 })
    assert.deepInclude(Result.getOrThrow(of({ seconds: 10 }, 20_000)), { seconds: 10 })
    assert.deepInclude(Result.getOrThrow(of({ seconds: 90 }, 20_000)), { seconds: 40 })
    assert.isTrue(Result.isFailure(of({}, 60_000)))
  })

  it.each([
    [{ tokens: 1001 }, "1001 tokens asked for, 1000 left"],
    [{ syscalls: 31 }, "31 syscalls asked for, 30 left"],
    [{ processes: 8 }, "8 processes asked for, 7 left"],
    [{ tokens: 0 }, "must be above 0"],
    [{ seconds: Number.NaN }, "must be above 0"],
    [{ processes: -1 }, "must be above 0"]
  ])("is refused when it asks for %o", (asked, message) => {
    const refused = of(asked)
    assert.isTrue(Result.isFailure(refused))
    if (Result.isFailure(refused)) assert.include(refused.failure.message, message)
  })
})
