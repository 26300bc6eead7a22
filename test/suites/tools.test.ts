import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { afterAll, assert, describe, it, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { makeHandles } from "../../kernel/handles.ts"
import { Journal } from "../../kernel/journal.ts"
import { parse, resultText } from "../../kernel/prompt.ts"
import { Syscalls } from "../../kernel/syscall.ts"
import type { AnyTool } from "../../kernel/tool.ts"
import type { Piece } from "../../models/nano/generate.ts"
import { Random } from "../../models/nano/language.ts"
import { blocksLesson, numbersLesson, repairTask } from "../../models/nano/thinking.ts"
import { Bubblewrap } from "../../sandbox/bubblewrap.ts"
import { Sandbox } from "../../sandbox/sandbox.ts"
import { blocksItem, blocksworld } from "../../suites/blocksworld.ts"
import { puzzleItem } from "../../suites/combine.ts"
import { countdown } from "../../suites/countdown.ts"
import { families } from "../../suites/defects.ts"
import { game24 } from "../../suites/game24.ts"
import { makeDefect, repair, repairItem } from "../../suites/repair.ts"
import type { Item, Made } from "../../suites/suite.ts"
import { builtins } from "../../tools/index.ts"

const home = mkdtempSync(join(tmpdir(), "noos-suites-"))
afterAll(() => rmSync(home, { recursive: true, force: true }))
const live = Layer.mergeAll(Syscalls.layer, Bubblewrap.layer).pipe(
  Layer.provideMerge(Journal.layer(join(home, "journal.db")))
)

/** A process of an item with nobody in it: its calls are made for it. */
const processOf = Effect.fnUntraced(function* (
  files: Readonly<Record<string, string>>,
  tools: ReadonlyArray<AnyTool>
) {
  const journal = yield* Journal
  const syscalls = yield* Syscalls
  const run = yield* journal.beginRun({ task: "suites", workspace: home, model: "none" })
  const pid = yield* journal.spawn({ run, program: "suites" })
  const folder = mkdtempSync(join(home, "ws-"))
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    writeFileSync(join(folder, path), text)
  }
  const workspace = yield* (yield* Sandbox).open(folder)
  const caller = {
    pid,
    tools,
    workspace,
    approve: () => Effect.succeed(false),
    progress: () => Effect.void,
    handles: makeHandles(yield* Effect.scope)
  }
  const made: Array<Made> = []
  const call = Effect.fnUntraced(function* (tool: string, args: unknown) {
    const { ok, text } = yield* syscalls.dispatch(caller, { tool, args })
    made.push({ tool, args, ok, text })
    return { ok, text }
  })
  return { call, made, workspace, folder }
})

/** An item taken by random calls to its end; the answer of each, and whether it was right. */
const randomly = Effect.fnUntraced(function* (item: Item, r: Random) {
  const { call, made, workspace } = yield* processOf(item.files, item.tools ?? [])
  for (let n = 0; n < 40; n++) {
    const { args, tool } = item.random!(made, (count) => r.int(0, count - 1))
    if (tool === "exit") {
      const { answer } = args as { readonly answer: unknown }
      return { answer, right: yield* item.check({ answer, calls: made, workspace }), made }
    }
    const before = item.key!(made)
    const { ok, text } = yield* call(tool, args)
    assert.isTrue(ok, text)
    assert.notStrictEqual(item.key!(made), before)
  }
  return { answer: undefined, right: false, made }
}, Effect.scoped)

layer(live)("suites", (it) => {
  it.effect("of numbers are right exactly when the last result is the target", () =>
    Effect.gen(function* () {
      const r = new Random(11)
      let right = 0
      for (const item of r.sample([...game24.items, ...countdown.items], 20)) {
        const end = yield* randomly(item, r)
        const target = item.task.split(" ")[1]!
        assert.strictEqual(end.right, end.made.at(-1)!.text.startsWith(`${target} = `), item.id)
        if (end.right) right++
      }
      const easy = yield* randomly(
        { ...game24.items[0]!, random: () => ({ tool: "exit", args: { answer: "1*2" } }) },
        r
      )
      assert.isFalse(easy.right)
      assert.isBelow(right, 10, "a random answer is seldom right")
    })
  )

  it.effect("of blocks are right exactly when the goal was reached, whatever is said", () =>
    Effect.gen(function* () {
      const r = new Random(12)
      const ends = yield* Effect.forEach(blocksworld.items.slice(0, 10), (item) => randomly(item, r))
      assert.isTrue(ends.some((end) => end.right) && ends.some((end) => !end.right))
      for (const end of ends) assert.strictEqual(end.right, end.made.at(-1)!.text.startsWith("done; "))
    })
  )

  it.effect("of scripts are right after the one edit, and only if nothing else was changed", () =>
    Effect.gen(function* () {
      const r = new Random(13)
      for (const family of Object.keys(families)) {
        const defect = makeDefect(r, family)
        assert.isAtLeast(defect.plausible.length, 3, family)
        const item = repair.items.find((i) => i.id.startsWith(family))!
        assert.isTrue(item.verifier)
        const { call, folder } = yield* processOf(defect.files, builtins)
        let wrong = defect.wrong
        for (const piece of [defect.wrong, ...defect.plausible]) {
          if (piece !== wrong)
            assert.isTrue((yield* call("fs_edit", { path: defect.path, old: wrong, new: piece })).ok)
          wrong = piece
          const { text } = yield* call("shell", { command: "sh test.sh" })
          assert.strictEqual(text, piece === defect.right ? "ok" : "wrong\n[exit 1]", `${family} ${piece}`)
        }
        rmSync(folder, { recursive: true })
      }
    })
  )

  it.effect("of scripts see through a test that was made easy", () =>
    Effect.gen(function* () {
      const item = repair.items[0]!
      const { made, workspace } = yield* processOf(item.files, builtins)
      const end = { answer: "fixed", calls: made, workspace }
      assert.isFalse(yield* item.check(end))
      yield* workspace.writeFile("test.sh", "echo ok\n")
      assert.isFalse(yield* item.check(end))
    })
  )

  /** Makes the calls of a trace, and gives how it ended. */
  const follow = Effect.fnUntraced(function* (pieces: ReadonlyArray<Piece>, item: Item) {
    const { call, folder, made, workspace } = yield* processOf(item.files, item.tools ?? builtins)
    const judged: Array<string> = []
    let end: { readonly right: boolean; readonly failed: boolean } | undefined
    for (const [i, piece] of pieces.entries()) {
      if (piece.role !== "model") continue
      const request = parse(piece.text)
      if (request === undefined) judged.push(piece.text)
      else if (request.tool === "exit") {
        const { answer, failed = false } = request.args as { answer: unknown; failed?: boolean }
        end = { failed, right: yield* item.check({ answer, calls: made, workspace }) }
      } else {
        const { ok, text } = yield* call(request.tool, request.args)
        assert.strictEqual(pieces[i + 1]!.text, resultText(ok, text), `${item.task} ${piece.text}`)
      }
    }
    rmSync(folder, { recursive: true })
    return { end, judged }
  }, Effect.scoped)

  it.effect("have traces that say what the real tools answer, and end as they should", () =>
    Effect.gen(function* () {
      const r = new Random(14)
      const traces = [
        ...Array.from({ length: 30 }, () => {
          const pieces = numbersLesson(r).next()
          const [, target, numbers] = /^Make (\d+) from ([\d ]+)\.$/.exec(pieces[0]!.text)!
          const puzzle = { numbers: numbers!.split(" ").map(Number), target: Number(target) }
          return { pieces, item: puzzleItem("", puzzle) }
        }),
        ...Array.from({ length: 12 }, () => {
          const pieces = blocksLesson(r).next()
          const [, init, goal] = /top first: (.*); goal (.*)\.$/.exec(pieces[0]!.text)!
          return { pieces, item: blocksItem("", { init: init!, goal: goal! }) }
        }),
        ...Array.from({ length: 8 }, () => {
          const defect = makeDefect(r)
          return { pieces: repairTask(r, defect), item: repairItem("", defect) }
        })
      ]
      const ends = yield* Effect.forEach(traces, ({ item, pieces }) => follow(pieces, item))
      const exits = ends.flatMap(({ end }) => (end === undefined ? [] : [end]))
      for (const { failed, right } of exits) assert.strictEqual(right, !failed)
      for (const failed of [true, false]) assert.isTrue(exits.some((end) => end.failed === failed))
      const said = ends.flatMap(({ judged }) => judged)
      assert.deepStrictEqual([...new Set(said)].sort(), ["no", "yes"])
      // Where the last thing that was judged is the end itself, it is judged as it came out.
      for (const { end, judged } of ends)
        if (end !== undefined && judged.length > 0) assert.strictEqual(judged.at(-1) === "yes", end.right)
    })
  )
})

describe("what is trained on", () => {
  it("is nothing that a suite asks", () => {
    const asked = new Set(
      [game24, countdown, blocksworld].flatMap(({ items }) => items.map(({ task }) => sortedTask(task)))
    )
    const r = new Random(15)
    for (const [lesson, count] of [
      [numbersLesson, 2000],
      [blocksLesson, 200]
    ] as const)
      for (let i = 0; i < count; i++) {
        const task = lesson(r).next()[0]!.text
        assert.isFalse(asked.has(sortedTask(task)), task)
      }
  })
})

/** A task with its numbers in order. */
const sortedTask = (task: string): string =>
  task.replace(
    /from ([\d ]+)/,
    (_, numbers: string) =>
      `from ${numbers
        .split(" ")
        .map(Number)
        .sort((a, b) => a - b)
        .join(" ")}`
  )
