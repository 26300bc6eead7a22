import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, assert, describe, layer } from "@effect/vitest"
import { Effect } from "effect"
import { fast } from "../../../agents/programs.ts"
import { Engine } from "../../../kernel/engine/engine.ts"
import type { KernelEvent } from "../../../kernel/event.ts"
import { Journal } from "../../../kernel/journal.ts"
import { Kernel, type Spawn } from "../../../kernel/kernel.ts"
import { memoryCalls } from "../../../kernel/memory/calls.ts"
import { Memories } from "../../../kernel/memory/memories.ts"
import { defineTool } from "../../../kernel/tool.ts"
import { Sandbox } from "../../../sandbox/sandbox.ts"
import { longScript as script } from "../../fixtures/scripted-engine.ts"
import { scriptedKernel } from "../../fixtures/scripted-kernel.ts"

// The real engine and KV cache, a real journal; what the model writes is scripted (see the fixture).
const home = mkdtempSync(join(tmpdir(), "noos-paging-"))
afterAll(() => rmSync(home, { recursive: true, force: true }))
const told: Array<KernelEvent> = []
const live = scriptedKernel(home, 1024, (e) => told.push(e))

/** A page of a book that has one line of its own, among words that are on every page. */
const pageOf = (n: number) =>
  [
    `chapter ${n}`,
    ...Array.from({ length: 6 }, () => "the rain fell on the hills and the road"),
    `omen${n}`
  ].join("\n")
const long = Array.from({ length: 120 }, (_, i) => `line ${i} of a very long report 😀`).join("\n")

const read = defineTool({
  name: "read",
  description: "Read a page of the book.",
  input: {
    type: "object",
    properties: { n: { type: "integer" } },
    required: ["n"],
    additionalProperties: false
  },
  effect: "pure",
  execute: ({ n }: { readonly n: number }) => Effect.succeed(n === 0 ? long : pageOf(n))
})

const reads = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, i) => ["read", { n: from + i }] as const)
const done = ["exit", { answer: "done" }] as const

const start = Effect.fnUntraced(function* (task: string, options: Partial<Spawn> = {}) {
  const workspace = yield* (yield* Sandbox).open(home)
  const run = yield* (yield* Journal).beginRun({ task: "test", workspace: home, model: "nano" })
  const tools = [read, ...memoryCalls]
  return yield* (yield* Kernel).spawn({ run, program: fast(0), task, workspace, tools, ...options })
})

/** Its end, the results that it was given, and what was told of its pages. */
const follow = Effect.fnUntraced(function* (task: string, options: Partial<Spawn> = {}) {
  const kernel = yield* Kernel
  const engine = yield* Engine
  const pid = yield* start(task, options)
  const process = (yield* kernel.processes).find((p) => p.pid === pid)!
  const exit = yield* kernel.wait(pid)
  const pages = yield* (yield* Journal).pages(pid)
  const results = pages.filter(({ role }) => role === "result").map(({ text }) => text)
  const events = told.filter((e) => "pid" in e && e.pid === pid)
  const evictions = events.flatMap((e) => (e.type === "evict" ? [e] : []))
  const faults = events.flatMap((e) => (e.type === "fault" ? [e.page] : []))
  const view = engine.detokenize(process.context.frames.flatMap(({ tokens }) => tokens))
  return { pid, exit, pages, results, evictions, faults, view, context: process.context }
})

layer(live, { timeout: "60 seconds", excludeTestServices: true })("paging", (it) => {
  describe("a task that is longer than its window", () => {
    it.effect("goes on for ever, with every page a call away", () =>
      Effect.gen(function* () {
        const calls = [
          ...reads(1, 40),
          ["recall", { text: "omen31" }],
          ["recall", { page: 64 }],
          done
        ] as const
        const { context, evictions, exit, faults, results, view } = yield* follow(script(...calls))
        assert.deepStrictEqual([exit.status, exit.reason], ["ok", "exit"])
        assert.isAbove(evictions.length, 8)
        // Read 31 was call page 63 with result page 64.
        assert.strictEqual(results[40], "result: page 64: omen31")
        assert.strictEqual(results[41], `result: ${pageOf(31)}`)
        assert.deepStrictEqual(faults, [64])
        assert.match(view, /\[paged out: pages \d.* read, \d+ read, \d+ read; recall reads them\]/)
        assert.include(view, "omen31")
        assert.isAtMost(context.size, 1024)
        // Of what stays in view, little is evaluated again.
        const sum = (of: "kept" | "again") => evictions.reduce((n, eviction) => n + eviction[of], 0)
        assert.isAbove(sum("kept"), sum("again"))
      })
    )

    it.effect("calls and results go together, and leave a number by which they come back", () =>
      Effect.gen(function* () {
        const { evictions, pages } = yield* follow(script(...reads(1, 30), done))
        for (const { freed, pages: spans } of evictions) {
          assert.isAbove(freed, 0)
          for (const [first, last] of spans) {
            assert.deepStrictEqual([pages[first - 1]!.role, pages[last - 1]!.role], ["call", "result"])
            for (let page = first; page < last; page += 2)
              assert.strictEqual(pages[page]!.call, pages[page - 1]!.call)
          }
        }
      })
    )

    it.effect("a note stays in view, until it is forgotten", () =>
      Effect.gen(function* () {
        const noted = yield* follow(
          script(["note", { text: "the key is K7" }], ...reads(1, 30), ["read", { n: 0 }], done)
        )
        assert.include(noted.view, '"the key is K7"')
        assert.strictEqual(noted.exit.status, "ok")
        const forgotten = yield* follow(
          script(["note", { text: "the key is K7" }], ["forget", { page: 4 }], ...reads(1, 30), done)
        )
        assert.notInclude(forgotten.view, '"the key is K7"')
        assert.isAbove(forgotten.evictions.length, 0)
        const refused = yield* follow(
          script(["forget", { page: 2 }], ["forget", { page: 1 }], ["forget", { page: 99 }], done)
        )
        assert.deepStrictEqual(refused.results, [
          "error: page 2 is the task page, which stays",
          "error: page 1 is the system page, which stays",
          "error: no page 99: the pages are 1 to 6"
        ])
      })
    )

    it.effect("a fork sums up what goes, where that is wanted, and nothing else changes", () =>
      Effect.gen(function* () {
        const calls = [...reads(1, 24), ["recall", { text: "omens" }], done] as const
        const program = { ...fast(0), summaries: true }
        const plain = yield* follow(script(...calls))
        const { context, evictions, exit, pages, results, view } = yield* follow(script(...calls), {
          program
        })
        assert.strictEqual(exit.status, "ok")
        const summaries = pages.filter(({ role }) => role === "summary")
        assert.isAbove(summaries.length, 1)
        assert.isAtMost(summaries.length, evictions.length)
        assert.isTrue(summaries.every(({ text }) => text === "rain, and omens"))
        assert.match(view, /recall reads them\]\nsummary: rain, and omens/)
        assert.strictEqual(view.split("summary:").length, 2)
        assert.deepStrictEqual(results.slice(0, 24), plain.results.slice(0, 24))
        assert.match(results[24]!, /^result: page \d+: rain, and omens$/m)
        assert.deepStrictEqual(
          pages.map(({ ordinal }) => ordinal),
          Array.from({ length: context.pages + 1 }, (_, i) => i + 1)
        )
        const { processes } = yield* Kernel
        assert.notExists((yield* processes).find((p) => p.program.name === "summary"))
        const poor = yield* follow(script(...calls), { program, budget: { processes: 0 } })
        assert.deepStrictEqual([poor.exit.status, poor.view.includes("summary:")], ["ok", false])
      })
    )

    it.effect("notes have limits, and the process is told", () =>
      Effect.gen(function* () {
        const notes = Array.from({ length: 20 }, (_, n) => ["note", { text: `${n} `.repeat(20) }] as const)
        const { exit, results } = yield* follow(script(...notes, ...reads(1, 10), done))
        assert.strictEqual(exit.status, "ok")
        assert.match(results[19]!, /^error: no room for another note: \d+ of 383 tokens; forget one first$/)
        assert.isAbove(results.filter((r) => r === "result: ok").length, 1)
      })
    )
  })

  describe("recall", () => {
    it.effect("gives a long result part by part, all of it", () =>
      Effect.gen(function* () {
        const parts = Array.from({ length: 25 }, (_, i) => ["recall", { page: 4, part: i + 1 }] as const)
        const { exit, faults, results, view } = yield* follow(script(["read", { n: 0 }], ...parts, done))
        assert.strictEqual(exit.status, "ok")
        const given = results.slice(1).filter((r) => r.startsWith("result: [page 4"))
        const text = given.map((r) => r.slice(r.indexOf("]\n") + 2)).join("")
        assert.strictEqual(text, long)
        assert.match(given.at(-1)!, /^result: \[page 4, part \d+, the last\]\n/)
        assert.strictEqual(faults.length, given.length)
        assert.strictEqual(results.at(-1), `error: page 4 has ${given.length} parts`)
        assert.notInclude(view, "recall reads it in parts", "no part is itself too long")
      })
    )

    it.effect("is there for everybody, also who was granted nothing", () =>
      Effect.gen(function* () {
        const { exit, results } = yield* follow(script(...reads(1, 20), ["recall", { page: 4 }], done), {
          tools: [read]
        })
        assert.deepStrictEqual([exit.status, results.at(-1)], ["ok", `result: ${pageOf(1)}`])
        const mine = { ...read, name: "recall" }
        const refused = yield* start("x", { tools: [mine] }).pipe(Effect.flip)
        assert.strictEqual(refused.message, 'the name "recall" is the kernel\'s own')
      })
    )

    it.effect("shows the line with the words, whatever their endings, accents and case", () =>
      Effect.gen(function* () {
        const line = `${"x ".repeat(200)}CAFÉ crème ${"y ".repeat(200)}`
        const tool = { ...read, name: "menu", execute: () => Effect.succeed(`first\n${line}\nlast road`) }
        const find = (text: string) => ["recall", { text }] as const
        const { results } = yield* follow(script(["menu", { n: 1 }], find("cafe"), find("roads"), done), {
          tools: [tool]
        })
        assert.match(results[1]!, /^result: page 4: [xy ]*CAFÉ crème [xy ]*$/)
        assert.strictEqual(results[2], "result: page 4: last road")
      })
    )

    it.effect("finds more where there is more", () =>
      Effect.gen(function* () {
        const ask = (part: number) => ["recall", { text: "the rain", part }] as const
        const { results } = yield* follow(script(...reads(1, 12), ...[1, 2, 3, 4].map(ask), done))
        const found = results.slice(12).map((r) => r.split("\n"))
        assert.deepStrictEqual(
          found.map((lines) => [lines.length, lines.at(-1)!.startsWith("[more")]),
          [
            [6, true],
            [6, true],
            [2, false],
            [1, false]
          ]
        )
        const pages = found.flat().flatMap((line) => /page (\d+): the rain/.exec(line)?.[1] ?? [])
        assert.strictEqual(new Set(pages).size, 12)
        assert.deepStrictEqual(found[3], ["result: nothing found"])
      })
    )

    it.effect("says what is in view, what is not there, and what it needs", () =>
      Effect.gen(function* () {
        const { results } = yield* follow(
          script(
            ["read", { n: 1 }],
            ["recall", { page: 4 }],
            ["recall", { page: 40 }],
            ["recall", { page: 4, part: 2 }],
            ["recall", {}],
            ["recall", { text: "nowhere" }],
            ["recall", { text: 'omen1" NEAR(' }],
            done
          )
        )
        assert.deepStrictEqual(results.slice(1), [
          "result: page 4 is in view",
          "error: no page 40: the pages are 1 to 6",
          "error: page 4 has one part",
          "error: name a page, or a text to find",
          "result: nothing found",
          "result: page 4: omen1"
        ])
      })
    )

    it.effect("does not see what other processes have read, but what a fork has inherited", () =>
      Effect.gen(function* () {
        const kernel = yield* Kernel
        yield* follow(script(["read", { n: 77 }], done))
        const stranger = yield* follow(script(["recall", { text: "omen77" }], done))
        assert.deepStrictEqual(stranger.results, ["result: nothing found"])
        const parent = yield* start(script(["read", { n: 78 }], ...reads(1, 40), done))
        const forked = yield* Effect.callback<number>((resume) => {
          const watch = (e: KernelEvent) => {
            if (e.type === "evict" && e.pid === parent) resume(Effect.succeed(parent))
          }
          const push = told.push.bind(told)
          told.push = (...events) => {
            for (const e of events) watch(e)
            return push(...events)
          }
        }).pipe(Effect.andThen(kernel.kill(parent, "STOP")), Effect.andThen(kernel.fork(parent, { seed: 1 })))
        assert.strictEqual((yield* kernel.wait(forked)).status, "ok")
        const journal = yield* Journal
        const found = yield* journal.search(forked, "omen78", 5)
        assert.deepStrictEqual(
          found.map((page) => page.ordinal),
          [4]
        )
        yield* kernel.kill(parent, "CONT")
        assert.strictEqual((yield* kernel.wait(parent)).status, "ok")
      })
    )

    it.effect("finds what was remembered of the folder, until its source is rolled back", () =>
      Effect.gen(function* () {
        const first = yield* follow(
          script(
            ["remember", { text: "the build needs gcc", key: "build" }],
            ["remember", { text: "the moon is full\nof cheese" }],
            done
          )
        )
        const second = yield* follow(
          script(
            ["recall", { text: "build" }],
            ["remember", { text: "the build needs clang", key: "build" }],
            done
          )
        )
        assert.match(second.results[0]!, /^result: memory \d+: the build needs gcc$/)
        const recall = script(["recall", { text: "the build needs" }], done)
        assert.match((yield* follow(recall)).results[0]!, /^result: memory \d+: the build needs clang$/)
        const moon = yield* follow(script(["recall", { text: "cheese" }], done))
        assert.match(moon.results[0]!, /^result: memory \d+: the moon is full\nof cheese$/)
        const memories = yield* Memories
        const root = (yield* (yield* Sandbox).open(home)).root
        assert.strictEqual(yield* memories.rollback(root, { pid: second.pid }), 1)
        assert.match((yield* follow(recall)).results[0]!, /^result: memory \d+: the build needs gcc$/)
        assert.strictEqual(yield* memories.rollback(root, { pid: first.pid }), 2)
        assert.deepStrictEqual((yield* follow(recall)).results, ["result: nothing found"])
      })
    )
  })

  describe("no progress", () => {
    it.effect("the same call with the same result ends the process", () =>
      Effect.gen(function* () {
        const same = Array.from({ length: 12 }, () => ["read", { n: 5 }] as const)
        const { exit, results } = yield* follow(script(...same, done))
        assert.deepStrictEqual(
          [exit.status, exit.reason, exit.usage.syscalls],
          ["failed", "no progress: the same call gave the same result 8 times", 8]
        )
        // It is warned first.
        assert.deepStrictEqual(
          results.map((r) => r.endsWith("\n[the same call gave the same result 4 times]")),
          [false, false, false, true, true, true, true, false]
        )
        const turns = Array.from({ length: 9 }, () => reads(1, 3)).flat()
        const cycle = yield* follow(script(...turns, done))
        assert.deepStrictEqual(
          [cycle.exit.reason, cycle.exit.usage.syscalls],
          ["no progress: the same 3 calls gave the same results 8 times", 24]
        )
      })
    )

    it.effect("so does a page that is recalled and paged out over and over", () =>
      Effect.gen(function* () {
        const turn = (n: number) => [["recall", { page: 4 }] as const, ...reads(n, n + 3)]
        const { exit, faults, results } = yield* follow(
          script(...reads(1, 8), ...[10, 20, 30, 40, 50, 60].flatMap(turn), done)
        )
        assert.strictEqual(exit.status, "failed")
        assert.match(
          exit.reason,
          /^no progress: page 4 was recalled 5 times within \d+ calls, and paged out in between$/
        )
        assert.deepStrictEqual(faults, [4, 4, 4, 4, 4])
        assert.isTrue(results.some((r) => /\n\[page 4 was recalled 3 times within .*\]$/.test(r)))
      })
    )

    it.effect("so do many pages that are recalled in turn", () =>
      Effect.gen(function* () {
        const turn = Array.from({ length: 10 }, (_, i) => ["recall", { page: 4 + 2 * i }] as const)
        const { exit } = yield* follow(
          script(...reads(1, 20), ...Array.from({ length: 9 }, () => turn).flat(), done)
        )
        assert.match(exit.reason, /^no progress: page \d+ was recalled 5 times within \d+ calls/)
      })
    )

    it.effect("and a task that leaves no room to work; one that leaves none at all does not begin", () =>
      Effect.gen(function* () {
        const { exit } = yield* follow(`${script(...reads(1, 20), done)} ${"many words ".repeat(160)}`)
        assert.strictEqual(exit.status, "failed")
        assert.match(
          exit.reason,
          /^no progress: the task, the tools and notes take \d+ of the window's 1023 /
        )
        assert.isBelow(exit.usage.syscalls, 10)
        const refused = yield* start("many words ".repeat(400)).pipe(Effect.flip)
        assert.match(refused.message, /^the task and the tools take \d+ tokens of a window of 1023: shorten/)
      })
    )

    it.effect("but notes up to their limit leave room for the longest call and its result", () =>
      Effect.gen(function* () {
        const write = defineTool({
          name: "write",
          description: "Write a text.",
          input: {
            type: "object",
            properties: { text: { type: "string" } },
            required: ["text"],
            additionalProperties: false
          },
          effect: "pure",
          execute: ({ text }: { readonly text: string }) => Effect.succeed(`${text} `.repeat(4))
        })
        const notes = Array.from({ length: 9 }, (_, n) => ["note", { text: `${n} 雨の道` }] as const)
        const texts = Array.from(
          { length: 8 },
          (_, n) => ["write", { text: `${n} 雨が丘に降った ${"rain and wind ".repeat(9)}` }] as const
        )
        const tools = [write, read, ...memoryCalls]
        const { exit, results, evictions } = yield* follow(script(...notes, ...texts, done), { tools })
        assert.deepStrictEqual([exit.status, exit.reason], ["ok", "exit"])
        assert.isTrue(results.some((r) => r.startsWith("error: no room for another note")))
        assert.isAbove(evictions.length, 2)
      })
    )
  })
})
