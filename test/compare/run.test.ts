import { existsSync } from "node:fs"
import { assert, layer } from "@effect/vitest"
import { Deferred, Effect, Fiber } from "effect"
import type { Mode, Thought } from "../../agents/think.ts"
import { evaluated, type Trial } from "../../compare/records.ts"
import { type Attempt, attemptsOf, compare, withBaselines } from "../../compare/run.ts"
import { EngineError } from "../../kernel/engine/engine.ts"
import { badInput, type ToolError } from "../../kernel/tool.ts"
import { Bubblewrap } from "../../sandbox/bubblewrap.ts"
import type { Workspace } from "../../sandbox/sandbox.ts"
import { checkOf } from "../../suites/check.ts"
import type { Item, Suite } from "../../suites/suite.ts"
import { climb } from "./climb.ts"

const item = (id: string, of: Partial<Item> = {}): Item => ({
  id,
  task: "Climb to the number in goal.txt.",
  files: { "goal.txt": id },
  check: checkOf({ command: 'test "$(cat)" = "$(cat goal.txt)" && test -e path.txt' }),
  verifier: false,
  random: () => ({ tool: "climb", args: {} }),
  ...of
})

const suiteOf = (...items: ReadonlyArray<Item>): Suite => ({
  name: "climb",
  about: "",
  items,
  calibration: [],
  tokens: 500
})

const usage = { prefillTokens: 7, cachedTokens: 3, generatedTokens: 2, valueTokens: 1, wallMs: 5 }
const plain: Thought = { answer: "9", status: "ok", reason: "", calls: [], usage, nodes: 0, changes: [] }

type Think = (attempt: Attempt, workspace: Workspace) => Effect.Effect<Thought, ToolError | EngineError>

/** Compares, and gives what was attempted and what came of it. */
const run = Effect.fnUntraced(function* (suite: Suite, modes: ReadonlyArray<Mode>, think: Think, seeds = 1) {
  const attempts: Array<Attempt> = []
  const trials: Array<Trial> = []
  yield* compare({
    suite,
    items: suite.items,
    modes,
    seeds,
    think,
    begins: (attempt) => attempts.push(attempt),
    ended: (trial) => trials.push(trial)
  })
  return { attempts, trials }
})

layer(Bubblewrap.layer, { excludeTestServices: true })("a comparison", (it) => {
  it.effect("searches each item in each mode in a workspace of its own, and checks what was left in it", () =>
    Effect.gen(function* () {
      const { attempts, trials } = yield* run(suiteOf(item("9"), item("14")), ["fast", "slow"], climb, 2)
      assert.deepStrictEqual(
        trials.map(({ item, mode, seed }) => `${seed} ${item} ${mode}`),
        [0, 1].flatMap((seed) =>
          ["9", "14"].flatMap((id) =>
            ["fast", "slow", "best-of-n", "self-consistency", "random"].map((mode) => `${seed} ${id} ${mode}`)
          )
        )
      )
      const of = (mode: Mode) => trials.filter((trial) => trial.mode === mode)
      assert.isTrue(of("slow").every(({ right, tree }) => right && tree !== undefined))
      assert.isTrue(of("fast").some(({ right }) => !right))
      assert.isTrue(of("slow").every(({ changes }) => changes[0]!.path === "path.txt"))
      // The baselines have what slow really took and one try more, by item and seed; the others what the suite allows.
      for (const [i, { mode, tokens }] of attempts.entries()) {
        const [quick, slow] = [trials[i - (i % 5)]!, trials[i - (i % 5) + 1]!]
        assert.strictEqual(slow.mode, "slow")
        const equal = ["best-of-n", "self-consistency", "random"].includes(mode)
        assert.strictEqual(tokens, equal ? evaluated(slow.usage) + evaluated(quick.usage) : 500)
      }
      assert.isAbove(new Set(of("slow").map((trial) => evaluated(trial.usage))).size, 1)
      // The same seeds give the same records.
      const again = yield* run(suiteOf(item("9")), ["fast", "slow"], climb)
      assert.deepStrictEqual(again.trials, trials.slice(0, 5))
    })
  )

  it.effect("is not believed by its answer alone: who does not end has not done it", () =>
    Effect.gen(function* () {
      const think: Think = (_, workspace) =>
        Effect.as(workspace.writeFile("path.txt", ""), { ...plain, status: "budget", reason: "too long" })
      const { trials } = yield* run(suiteOf(item("9")), ["fast"], think)
      assert.deepInclude(trials[0]!, { right: false, status: "budget", why: "too long", answer: "9", usage })
      const more = { sure: 0.5, escalated: "it was not sure", nodes: 3 }
      const ended: Think = (_, workspace) =>
        Effect.as(workspace.writeFile("path.txt", ""), { ...plain, ...more })
      const kept = yield* run(suiteOf(item("9")), ["auto"], ended)
      assert.deepInclude(kept.trials[0]!, { right: true, status: "ok", ...more })
    })
  )

  it.effect("goes on after an item that fails, and says why it did", () =>
    Effect.gen(function* () {
      const think: Think = ({ item, mode }, workspace) => {
        if (item.id === "9" && mode === "slow") return Effect.fail(badInput("it broke"))
        if (item.id === "14" && mode === "fast") return Effect.die(new Error("a fault"))
        return Effect.as(workspace.writeFile("path.txt", ""), plain)
      }
      const broken = item("8", { check: () => Effect.fail(badInput("no such program")) })
      const halted = item("6", { check: () => Effect.interrupt })
      const outside = item("7", { files: { "../x": "" } })
      const { attempts, trials } = yield* run(
        suiteOf(item("9"), item("14"), broken, outside, halted),
        ["fast", "slow"],
        think
      )
      const told = (id: string, mode: Mode) =>
        trials.find((trial) => trial.item === id && trial.mode === mode)!
      assert.strictEqual(trials.length, 25)
      assert.deepInclude(told("9", "slow"), { right: false, status: "error", why: "it broke", answer: null })
      assert.include(told("14", "fast").why, "a fault")
      assert.deepInclude(told("8", "slow"), {
        status: "error",
        why: "the check failed: no such program",
        usage
      })
      assert.include(told("7", "fast").why, "../x")
      assert.match(told("6", "slow").why!, /^the check failed: ./)
      assert.deepInclude(told("9", "best-of-n"), { right: true, status: "ok" })
      // Where slow broke down its baselines have what it was allowed, and one try more.
      assert.isAtLeast(attempts.find(({ mode }) => mode === "best-of-n")!.tokens, 500)
    })
  )

  it.effect(
    "ends where the engine is broken, and when it is interrupted, with no workspace left behind",
    () =>
      Effect.gen(function* () {
        const trials: Array<Trial> = []
        let root = ""
        const options = (think: Think) => ({
          suite: suiteOf(item("9"), item("14")),
          items: [item("9"), item("14")],
          modes: ["fast"] as const,
          seeds: 1,
          think,
          ended: (trial: Trial) => trials.push(trial)
        })
        const error = yield* Effect.flip(
          compare(options(() => Effect.fail(new EngineError({ message: "gone", hint: "none" }))))
        )
        assert.strictEqual(error._tag, "EngineError")

        const reached = yield* Deferred.make<void>()
        const fiber = yield* compare(
          options(({ item }, workspace) => {
            root = workspace.root
            if (item.id === "9") return Effect.succeed(plain)
            return Effect.andThen(Deferred.succeed(reached, undefined), Effect.never)
          })
        ).pipe(Effect.forkChild)
        yield* Deferred.await(reached)
        assert.isTrue(existsSync(root))
        yield* Fiber.interrupt(fiber)
        assert.deepStrictEqual(
          trials.map(({ item }) => item),
          ["9"]
        )
        assert.isFalse(existsSync(root))
      })
  )

  it.effect(
    "has baselines that cannot be left out where slow is, but for a control that the suite cannot draw",
    () =>
      Effect.gen(function* () {
        const drawn = [item("9")]
        const { random: _, ...mute } = item("9")
        assert.deepStrictEqual(withBaselines(["auto"], drawn), ["auto"])
        assert.deepStrictEqual(withBaselines(["slow"], drawn), [
          "slow",
          "best-of-n",
          "self-consistency",
          "random"
        ])
        assert.deepStrictEqual(withBaselines(["slow", "fast"], [mute]), [
          "fast",
          "slow",
          "best-of-n",
          "self-consistency"
        ])
        const think: Think = (_, workspace) => Effect.as(workspace.writeFile("path.txt", ""), plain)
        const mixed = suiteOf(mute, item("14"))
        const { trials } = yield* run(mixed, ["slow"], think)
        assert.strictEqual(trials.length, 7)
        assert.strictEqual(attemptsOf({ items: mixed.items, modes: ["slow"], seeds: 3 }), 21)
        assert.deepStrictEqual(
          trials.filter(({ mode }) => mode === "random").map(({ item }) => item),
          ["14"]
        )
      })
  )
})
