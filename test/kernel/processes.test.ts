import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, assert, describe, layer } from "@effect/vitest"
import { Deferred, Effect, Fiber } from "effect"
import { fast } from "../../agents/programs.ts"
import { spentTokens } from "../../kernel/budget.ts"
import { processCalls } from "../../kernel/calls.ts"
import type { KernelEvent } from "../../kernel/event.ts"
import { Journal } from "../../kernel/journal.ts"
import { Kernel, type Spawn } from "../../kernel/kernel.ts"
import type { Process } from "../../kernel/process.ts"
import type { AnyTool } from "../../kernel/tool.ts"
import { Sandbox } from "../../sandbox/sandbox.ts"
import { gateOf } from "../fixtures/gate.ts"
import { script } from "../fixtures/scripted-engine.ts"
import { scriptedKernel } from "../fixtures/scripted-kernel.ts"

// The real engine and KV cache, a real journal; what the model writes is scripted (see the fixture).
const home = mkdtempSync(join(tmpdir(), "noos-processes-"))
afterAll(() => rmSync(home, { recursive: true, force: true }))
const watchers = new Set<(e: KernelEvent) => void>()
const live = scriptedKernel(home, 2048, (e) => {
  for (const watch of watchers) watch(e)
})

const start = Effect.fnUntraced(function* (task: string, options: Partial<Spawn> = {}) {
  const workspace = yield* (yield* Sandbox).open(home)
  const run = yield* (yield* Journal).beginRun({ task: "test", workspace: home, model: "nano" })
  const kernel = yield* Kernel
  return yield* kernel.spawn({ run, program: fast(0), task, workspace, tools: processCalls, ...options })
})

const find = Effect.fnUntraced(function* (pid: number) {
  return (yield* (yield* Kernel).processes).find((p) => p.pid === pid)
})

const wait = (pid: number) => Effect.flatMap(Kernel, (kernel) => kernel.wait(pid))

/** Gives the result texts that a process has read, from the journal. */
const results = Effect.fnUntraced(function* (pid: number) {
  const pages = yield* (yield* Journal).pages(pid)
  return pages.filter((p) => p.role === "result").map((p) => p.text)
})

const gate = gateOf(
  {
    name: "pause",
    description: "Pause.",
    input: { type: "object", properties: {}, required: [], additionalProperties: false },
    effect: "pure"
  },
  "over"
)

/** A call that takes about so many tokens to write. */
const long = (words: number) => ["exit", { answer: "word ".repeat(words) }] as const

/** Does something and waits until the kernel has told of what follows from it. */
const until = <A, E, R>(
  action: Effect.Effect<A, E, R>,
  fits: (e: KernelEvent, done: A | undefined) => boolean
) =>
  Effect.gen(function* () {
    const told = yield* Deferred.make<void>()
    let result: A | undefined
    const watch = (e: KernelEvent) => {
      if (fits(e, result)) Deferred.doneUnsafe(told, Effect.void)
    }
    watchers.add(watch)
    result = yield* action
    yield* Deferred.await(told)
    watchers.delete(watch)
    return result
  })

/** A process that has written some of its first call. */
const writing = (task: string) =>
  until(start(task), (e, pid) => e.type === "token" && e.pid === pid && pid !== undefined)

const stop = (pid: number) =>
  until(
    Effect.flatMap(Kernel, (kernel) => kernel.kill(pid, "STOP")),
    (e) => e.type === "state" && e.pid === pid && e.state === "stopped"
  )

layer(live, { timeout: "60 seconds", excludeTestServices: true })("processes", (it) => {
  describe("spawn, wait, exit", () => {
    it.effect("a parent waits for its children by pid and for whichever ends first, each once", () =>
      Effect.gen(function* () {
        const child = script(["exit", { answer: "done" }])
        const pid = yield* start(
          script(
            ["spawn", { task: child }],
            ["spawn", { task: child }],
            ["wait"],
            ["wait"],
            ["wait"],
            ["exit", { answer: "parent" }]
          )
        )
        assert.deepInclude(yield* wait(pid), { status: "ok", answer: "parent" })
        const [a, b, first, second, third] = yield* results(pid)
        const pids = [a, b].map((text) => Number(text!.replace("result: ", "")))
        const told = [first, second].map((text) => JSON.parse(text!.replace("result: ", "")))
        assert.deepStrictEqual(
          told.sort((x, y) => x.pid - y.pid),
          pids.map((pid) => ({ pid, status: "ok", answer: "done" }))
        )
        assert.strictEqual(third, "error: no child to wait for")
        assert.isUndefined(yield* find(pids[0]!))
        const rows = yield* (yield* Journal).processes()
        assert.deepStrictEqual(
          rows.filter((p) => pids.includes(p.pid)).map((p) => p.parent),
          [pid, pid]
        )
      })
    )

    it.effect("a child that nobody has waited for is a zombie until its parent ends, and then gone", () =>
      Effect.gen(function* () {
        const { tool, entered, open } = yield* gate
        const tools = [...processCalls, tool]
        const pid = yield* start(
          script(
            ["spawn", { task: script(["exit", { answer: "x" }]) }],
            ["pause"],
            ["exit", { answer: "p" }]
          ),
          { tools }
        )
        yield* Deferred.await(entered)
        const [child] = [...(yield* find(pid))!.children]
        assert.strictEqual((yield* wait(child!.pid)).answer, "x")
        assert.strictEqual((yield* find(child!.pid))?.state, "zombie")
        yield* Deferred.succeed(open, undefined)
        yield* wait(pid)
        assert.isUndefined(yield* find(child!.pid))
        assert.strictEqual((yield* wait(child!.pid)).answer, "x")
      })
    )

    it.effect("children end with their parent, whatever they are doing", () =>
      Effect.gen(function* () {
        const { tool, entered } = yield* gate
        const idle = yield* gate
        const never: AnyTool = { ...idle.tool, name: "idle" }
        const grandchild = script(["idle"])
        const child = script(["spawn", { task: grandchild }], ["pause"])
        const pid = yield* start(script(["spawn", { task: child }], ["receive"]), {
          tools: [...processCalls, tool, never]
        })
        yield* Deferred.await(entered)
        yield* Deferred.await(idle.entered)
        const [one] = [...(yield* find(pid))!.children]
        const [two] = [...one!.children]
        const kernel = yield* Kernel
        const waits = yield* Effect.forkChild(
          Effect.all([wait(one!.pid), wait(two!.pid)], { concurrency: 2 })
        )
        yield* Effect.yieldNow
        yield* kernel.kill(pid, "KILL")
        assert.strictEqual((yield* wait(pid)).status, "killed")
        for (const exit of yield* Fiber.join(waits))
          assert.deepInclude(exit, { status: "killed", reason: "its parent ended" })
      })
    )

    it.effect("a child gets no tool that its parent lacks", () =>
      Effect.gen(function* () {
        const { tool } = yield* gate
        const pid = yield* start(
          script(
            ["spawn", { task: script(["exit", { answer: "" }]), tools: ["pause"] }],
            ["spawn", { task: script(["wait"], ["exit", { answer: "" }]), tools: ["wait"] }],
            ["wait"],
            ["exit", { answer: "" }]
          )
        )
        yield* wait(pid)
        const [denied, child] = yield* results(pid)
        assert.strictEqual(denied, "error: this process itself may not call pause")
        const sub = Number(child!.replace("result: ", ""))
        assert.deepStrictEqual(yield* results(sub), ["error: no child to wait for"])
        const parent = yield* start(script(["receive"]))
        const refused = yield* Effect.flip(start("x", { parent, tools: [tool] }))
        assert.deepInclude(refused, { _tag: "ToolError", code: "denied" })
        yield* (yield* Kernel).kill(parent, "KILL")
      })
    )
  })

  describe("fork", () => {
    it.effect("copies go on from the same context, each with its own text, and share the pages", () =>
      Effect.gen(function* () {
        const texts = ["a", "b", "c"].map((x) => script(["exit", { answer: x }]))
        const pid = yield* start(
          script(["fork", { texts }], ["wait"], ["wait"], ["wait"], ["exit", { answer: "all" }])
        )
        assert.strictEqual((yield* wait(pid)).answer, "all")
        const [made, ...told] = yield* results(pid)
        const pids: Array<number> = JSON.parse(made!.replace("result: ", ""))
        const answers = told.map((t) => JSON.parse(t.replace("result: ", "")))
        assert.sameDeepMembers(
          answers,
          pids.map((pid, i) => ({ pid, status: "ok", answer: "abc"[i] }))
        )
        const journal = yield* Journal
        const parents = yield* journal.pages(pid)
        for (const [i, child] of pids.entries()) {
          const pages = yield* journal.pages(child)
          assert.deepStrictEqual(pages.slice(0, 3), parents.slice(0, 3))
          assert.deepStrictEqual(
            pages.map((p) => p.role),
            ["system", "task", "call", "result", "call"]
          )
          assert.strictEqual(pages[3]!.text, `result: ${texts[i]}`)
          assert.isBelow(pages[3]!.tokens + 60, (yield* wait(child)).usage.cachedTokens)
        }
      })
    )

    it.effect("a process in the middle of a call is copied to the token, with its place in the grammar", () =>
      Effect.gen(function* () {
        const kernel = yield* Kernel
        const pid = yield* writing(script(long(20)))
        yield* stop(pid)
        const children: Array<number> = []
        for (let i = 0; i < 4; i++) children.push(yield* kernel.fork(pid))
        const copies = (yield* kernel.processes).filter((p) => children.includes(p.pid))
        assert.strictEqual(copies.length, 4)
        const exits = yield* Effect.forEach(children, wait, { concurrency: 4 })
        yield* kernel.kill(pid, "CONT")
        for (const exit of [...exits, yield* wait(pid)])
          assert.deepInclude(exit, { status: "ok", answer: "word ".repeat(20) })
      })
    )

    it.effect("all copies are made or none", () =>
      Effect.gen(function* () {
        const texts = Array.from({ length: 3 }, () => script(["receive"]))
        const pid = yield* start(
          script(
            ["fork", { texts }],
            ["fork", { texts: texts.slice(1) }],
            ["wait", { pid: 1 }],
            ["exit", { answer: "" }]
          ),
          { budget: { processes: 2 } }
        )
        yield* wait(pid)
        const [three, two] = yield* results(pid)
        assert.strictEqual(three, "error: budget: 3 processes asked for, 2 left")
        assert.lengthOf(JSON.parse(two!.replace("result: ", "")), 2)
        assert.lengthOf(
          (yield* (yield* Journal).processes()).filter((row) => row.parent === pid),
          2
        )
      })
    )

    it.effect("one that waits for a result can be forked by that call alone; an exited one not at all", () =>
      Effect.gen(function* () {
        const kernel = yield* Kernel
        const { tool, entered, open } = yield* gate
        const pid = yield* start(script(["pause"], ["exit", { answer: "" }]), { tools: [tool] })
        yield* Deferred.await(entered)
        assert.deepInclude(yield* Effect.flip(kernel.fork(pid)), { code: "unavailable", retryable: true })
        yield* Deferred.succeed(open, undefined)
        yield* wait(pid)
        assert.deepInclude(yield* Effect.flip(kernel.fork(pid)), { code: "not_found" })
        const reading = yield* start(script(long(20)))
        assert.deepInclude(yield* Effect.flip(kernel.fork(reading, { text: "x" })), { code: "bad_input" })
        yield* wait(reading)
      })
    )
  })

  describe("messages", () => {
    it.effect("go to the mailbox of a process of the same run, in order", () =>
      Effect.gen(function* () {
        const child = script(["receive"], ["receive"], ["exit", { answer: "got" }])
        const { tool, entered, open } = yield* gate
        const pid = yield* start(
          script(["spawn", { task: child }], ["pause"], ["wait"], ["exit", { answer: "" }]),
          {
            tools: [...processCalls, tool]
          }
        )
        yield* Deferred.await(entered)
        const parent = (yield* find(pid))!
        const [to] = [...parent.children]
        const other = yield* start(script(["send", { pid: to!.pid, text: "no" }], ["exit", { answer: "" }]))
        yield* wait(other)
        assert.deepStrictEqual(yield* results(other), [`error: no process ${to!.pid} to send to`])
        const sender = yield* start(
          script(
            ["send", { pid: to!.pid, text: "one" }],
            ["send", { pid: to!.pid, text: "two" }],
            ["exit", { answer: "" }]
          ),
          { run: parent.run }
        )
        yield* wait(sender)
        yield* wait(to!.pid)
        assert.deepStrictEqual(
          (yield* results(to!.pid)).map((r) => JSON.parse(r.replace("result: ", ""))),
          ["one", "two"].map((text) => ({ from: sender, text }))
        )
        yield* Deferred.succeed(open, undefined)
        yield* wait(pid)
      })
    )

    it.effect("receive gives up when none comes, and a full mailbox says so", () =>
      Effect.gen(function* () {
        const pid = yield* start(script(["receive", { seconds: 0.01 }], ["exit", { answer: "" }]))
        yield* wait(pid)
        assert.deepStrictEqual(yield* results(pid), ["error: no message came within 0.01 s"])
        const { tool, entered, open } = yield* gate
        const to = yield* start(script(["pause"], ["exit", { answer: "" }]), { tools: [tool] })
        yield* Deferred.await(entered)
        const { run } = (yield* find(to))!
        const send = (text: number) => ["send", { pid: to, text: `${text}` }] as const
        const said: Array<string> = []
        for (let i = 0; i < 5; i++) {
          const sender = yield* start(
            script(...Array.from({ length: 13 }, (_, n) => send(n)), ["exit", { answer: "" }]),
            {
              run
            }
          )
          yield* wait(sender)
          said.push(...(yield* results(sender)))
        }
        assert.deepStrictEqual(
          [said.length, new Set(said.slice(0, 64)), said[64]],
          [65, new Set(["result: ok"]), `error: the mailbox of process ${to} is full`]
        )
        yield* Deferred.succeed(open, undefined)
        yield* wait(to)
      })
    )
  })

  describe("signals", () => {
    it.effect(
      "STOP takes it off the engine in the middle of a call, CONT lets it go on to the same end",
      () =>
        Effect.gen(function* () {
          const kernel = yield* Kernel
          const pid = yield* writing(script(long(30)))
          yield* stop(pid)
          const at = (yield* find(pid))!.usage.generatedTokens
          const other = yield* start(script(["exit", { answer: "other" }]))
          yield* wait(other)
          assert.strictEqual((yield* find(pid))!.usage.generatedTokens, at)
          yield* kernel.kill(pid, "CONT")
          assert.deepInclude(yield* wait(pid), { status: "ok", answer: "word ".repeat(30) })
        })
    )

    it.effect("a stopped process keeps the result of its call until CONT", () =>
      Effect.gen(function* () {
        const kernel = yield* Kernel
        const { tool, entered, open } = yield* gate
        const pid = yield* start(script(["pause"], ["exit", { answer: "x" }]), { tools: [tool] })
        yield* Deferred.await(entered)
        yield* stop(pid)
        yield* Deferred.succeed(open, undefined)
        const other = yield* start(script(["exit", { answer: "" }]))
        yield* wait(other)
        assert.deepStrictEqual(yield* results(pid), [])
        yield* kernel.kill(pid, "CONT")
        assert.strictEqual((yield* wait(pid)).answer, "x")
        assert.deepStrictEqual(yield* results(pid), ["result: over"])
      })
    )

    it.effect("TERM lets the call finish that is being written or made; KILL does not", () =>
      Effect.gen(function* () {
        const kernel = yield* Kernel
        const { tool, entered, open } = yield* gate
        const pid = yield* start(script(["pause"], ["exit", { answer: "x" }]), { tools: [tool] })
        yield* Deferred.await(entered)
        yield* kernel.kill(pid, "TERM")
        const other = yield* start(script(["exit", { answer: "" }]))
        yield* wait(other)
        assert.strictEqual((yield* find(pid))!.state, "blocked")
        yield* Deferred.succeed(open, undefined)
        assert.deepInclude(yield* wait(pid), { status: "killed", reason: "terminated" })
        assert.deepStrictEqual(yield* results(pid), ["result: over"])
        const killed = yield* writing(script(long(200)))
        yield* kernel.kill(killed, "KILL")
        const exit = yield* wait(killed)
        assert.deepInclude(exit, { status: "killed", reason: "killed", answer: null })
        assert.isBelow(exit.usage.generatedTokens, 20)
      })
    )

    it.effect("KILL and STOP reach a process that waits for a row, and a stopped one", () =>
      Effect.gen(function* () {
        const kernel = yield* Kernel
        const pids: Array<number> = []
        for (let i = 0; i < 5; i++) pids.push(yield* start(script(long(30))))
        yield* kernel.kill(pids[4]!, "KILL")
        yield* stop(pids[3]!)
        yield* kernel.kill(pids[3]!, "TERM")
        yield* kernel.kill(pids[2]!, "STOP")
        yield* kernel.kill(pids[2]!, "KILL")
        assert.strictEqual((yield* wait(pids[4]!)).status, "killed")
        assert.strictEqual((yield* wait(pids[2]!)).status, "killed")
        for (const pid of pids.slice(0, 2)) assert.strictEqual((yield* wait(pid)).status, "ok")
        assert.strictEqual((yield* find(pids[3]!))!.state, "stopped")
        yield* kernel.kill(pids[3]!, "CONT")
        assert.deepInclude(yield* wait(pids[3]!), { status: "killed", reason: "terminated" })
      })
    )

    it.effect("a process signals its own descendants only", () =>
      Effect.gen(function* () {
        const { tool, entered } = yield* gate
        const bystander = yield* start(script(["pause"]), { tools: [tool] })
        yield* Deferred.await(entered)
        const pid = yield* start(
          script(
            ["kill", { pid: bystander, signal: "KILL" }],
            ["spawn", { task: script(["receive"]) }],
            ["exit", { answer: "" }]
          )
        )
        yield* wait(pid)
        assert.strictEqual((yield* results(pid))[0], `error: no descendant ${bystander}`)
        assert.strictEqual((yield* find(bystander))!.state, "blocked")
        yield* (yield* Kernel).kill(bystander, "KILL")
        yield* wait(bystander)
      })
    )
  })

  describe("budgets", () => {
    const settled = (p: Process) => p.budget.tokens - spentTokens(p)

    it.effect("a child's is a slice of its parent's; what it leaves comes back, what it used does not", () =>
      Effect.gen(function* () {
        const { tool, entered, open } = yield* gate
        const child = script(["exit", { answer: "" }])
        const pid = yield* start(
          script(["spawn", { task: child, tokens: 2000 }], ["wait"], ["pause"], ["exit", { answer: "" }]),
          { tools: [...processCalls, tool], budget: { tokens: 8000, processes: 3, syscalls: 20 } }
        )
        yield* Deferred.await(entered)
        const p = (yield* find(pid))!
        const used = p.lent
        const rows = yield* (yield* Journal).processes(p.run)
        const usage = rows.find((row) => row.parent === pid)!.usage as unknown as Process["usage"]
        assert.deepStrictEqual(used, {
          tokens: usage.prefillTokens + usage.generatedTokens,
          syscalls: 1,
          processes: 0
        })
        assert.strictEqual(settled(p), 8000 - p.usage.prefillTokens - p.usage.generatedTokens - used.tokens)
        yield* Deferred.succeed(open, undefined)
        yield* wait(pid)
      })
    )

    it.effect("no child gets more than is left, and a family never spends more than its first budget", () =>
      Effect.gen(function* () {
        const greedy = script(["spawn", { task: script(long(20)) }], ["wait"], ...[1, 2].map(() => long(20)))
        const pid = yield* start(
          script(
            ["spawn", { task: "x", tokens: 9000 }],
            ["spawn", { task: greedy, tokens: 1500 }],
            ["wait"],
            ...[1, 2].map(() => long(20))
          ),
          { budget: { tokens: 4000 } }
        )
        yield* wait(pid)
        const run = (yield* (yield* Journal).process(pid))!.run
        const rows = yield* (yield* Journal).processes(run)
        const spent = rows.reduce((n, row) => {
          const u = row.usage as unknown as Process["usage"]
          return n + u.prefillTokens + u.generatedTokens
        }, 0)
        assert.isAtMost(spent, 4000)
        assert.match((yield* results(pid))[0]!, /^error: budget: 9000 tokens asked for, \d+ left$/)
      })
    )

    it.effect("bounds how many descendants live at a time", () =>
      Effect.gen(function* () {
        const idle = script(["receive"])
        const pid = yield* start(
          script(
            ["spawn", { task: idle }],
            ["spawn", { task: idle }],
            ["spawn", { task: idle }],
            ["exit", { answer: "" }]
          ),
          { budget: { processes: 2 } }
        )
        yield* wait(pid)
        const said = yield* results(pid)
        assert.match(said[0]!, /^result: \d+$/)
        assert.strictEqual(said[2], "error: budget: all 2 processes that it may have at a time are taken")
      })
    )
  })
})
