import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { assert, beforeAll, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { execa } from "execa"
import { fast } from "../../agents/programs.ts"
import { runTask } from "../../agents/task.ts"
import { embeddedModel } from "../../cli/environment.ts"
import type { MappedPage, MemoryMap } from "../../cli/map.ts"
import { picture } from "../../cli/picture.ts"
import { openTrace } from "../../cli/trace.ts"
import { LlamaEngine } from "../../kernel/engine/llama.ts"
import { type KernelEvent, Observer } from "../../kernel/event.ts"
import { Journal } from "../../kernel/journal.ts"
import { Kernel } from "../../kernel/kernel.ts"
import { memoryCalls } from "../../kernel/memory/calls.ts"
import { Syscalls } from "../../kernel/syscall.ts"
import { Bubblewrap } from "../../sandbox/bubblewrap.ts"
import { fsRead } from "../../tools/files.ts"
import { script, scripted } from "../fixtures/scripted-engine.ts"
import { lines, scratch, twoLines } from "./launch.ts"

const { at, root, workspace } = scratch("logs")
const home = join(root, "home")
const { call, read } = at(home)
const folder = workspace()
const events: Array<KernelEvent> = []

/** Of the first process, whose journal no test changes. */
let map: MemoryMap

/** A real process whose window of 1,919 tokens overflows: its pages are 1 to 27. */
beforeAll(async () => {
  const words = (seed: number) =>
    Array.from({ length: 60 }, (_, i) => `word${(seed * 31 + i) % 97}`).join(" ")
  for (let i = 0; i < 6; i++) writeFileSync(join(folder, `${i}.txt`), `file ${i}: ${words(i)}`)
  writeFileSync(join(folder, "long.txt"), Array.from({ length: 60 }, (_, i) => `${i} ${words(i)}`).join("\n"))
  const reads = Array.from({ length: 6 }, (_, i) => ["fs_read", { path: `${i}.txt` }] as const)
  const task = script(
    ...reads.slice(0, 2),
    ["note", { text: "the code is K7" }],
    ...reads.slice(2),
    ["recall", { page: 4 }],
    ["remember", { text: "the code is K7", key: "code" }],
    ["fs_write", { path: "a" }],
    ["fs_read", { path: "none" }],
    ["fs_read", { path: "long.txt" }],
    ["exit", { answer: "K7" }]
  )
  const engine = LlamaEngine.layer({ modelPath: embeddedModel, contextSize: 1920 })
  const live = Kernel.layer.pipe(
    Layer.provideMerge(
      Layer.mergeAll(Syscalls.layer, Bubblewrap.layer, scripted.pipe(Layer.provide(engine)))
    ),
    Layer.provideMerge(Journal.layer(join(home, "journal.db"))),
    Layer.provide(Layer.succeed(Observer, (e: KernelEvent) => void events.push(e)))
  )
  const exit = await runTask({ folder, task, program: fast(0), tools: [fsRead, ...memoryCalls] }).pipe(
    Effect.provide(live),
    Effect.runPromise
  )
  assert.deepInclude(exit, { status: "ok", answer: "K7" }, exit.reason)
  map = await mapOf(1)
}, 60_000)

const mapOf = async (pid: number) =>
  JSON.parse((await call("logs", `${pid}`, "--memory", "--json")).stdout) as MemoryMap
const tokensOf = (map: MemoryMap) => Object.fromEntries(map.sections.map((s) => [s.section, s.tokens]))
const residencies = (pages: ReadonlyArray<MappedPage>) =>
  pages.map(({ page, residency }) => [page, residency])

describe("noos logs", () => {
  it("tells what a process did, in order", async () => {
    const { exitCode, stdout } = await call("logs", "1")
    assert.strictEqual(exitCode, 0)
    const told = stdout.split("\n").map((line) => line.replace(/^ +\d+\.\d s {2}/, ""))
    const expected = [
      /^process 1 of run 1, fast, started \d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/,
      /^task: script: /,
      // Not cut: this is no terminal.
      /^fs_read {3}0\.txt {2}→ file 0: word0 .* word59 {2}\(\d+ ms\)$/,
      /^note {6}the code is K7 {2}→ ok/,
      /^paged out \d+ pages, \d+ tokens$/,
      /^recall {4}4 {2}→ file 0: /,
      /^recalled page 4$/,
      /^remember {2}the code is K7 {2}code {2}→ ok/,
      /^fs_write {2}a {2}→ ✗ no such tool: fs_write$/,
      /^fs_read {3}none {2}→ ✗ no such file: none/,
      /^exit {6}K7 {2}→ K7/,
      /^ok$/,
      /^13 syscalls, \d+ tokens read, \d+ cached, \d+ written$/,
      /^answer: K7$/
    ]
    let from = 0
    for (const what of expected) {
      const found = told.findIndex((line, i) => i >= from && what.test(line))
      assert.isAtLeast(found, 0, `${what} after line ${from} of\n${stdout}`)
      from = found + 1
    }
    assert.strictEqual(from, told.length)
  })

  it("--json gives the journal's events with what they speak of", async () => {
    const told = lines((await call("logs", "1", "--json")).stdout)
    const kept = (await read((journal) => journal.events(1))).filter((event) => event.pid === 1)
    assert.deepStrictEqual(
      told.map(({ seq, kind }) => [seq, kind]),
      kept.map(({ seq, kind }) => [seq, kind])
    )
    const first = (kind: string) => told.find((event) => event.kind === kind)!.data as object
    assert.deepInclude(first("call"), { tool: "fs_read", args: { path: "0.txt" } })
    assert.deepInclude(first("refused"), { tool: "fs_write", message: "no such tool: fs_write" })
    assert.deepInclude(first("fault"), { page: 4, part: 1 })
    const outcomes = told
      .filter(({ kind }) => kind === "outcome")
      .map(({ data }) => data as Record<string, unknown>)
    assert.strictEqual(outcomes.at(-1)!.result, "K7")
    assert.deepInclude(outcomes.find(({ ok }) => ok === false)!.error, { code: "not_found" })
  })

  it("what cannot be shown is said in two lines", async () => {
    const nowhere = at(join(root, "nothing"))
    const cases = [
      [call("logs", "99"), 1, /there is no process 99$/],
      [nowhere.call("logs", "1", "--memory"), 1, /there is no process 1$/],
      [call("logs", "one"), 2, /pid/]
    ] as const
    for (const [ran, code, what] of cases) {
      const { exitCode, stderr } = await ran
      assert.strictEqual(exitCode, code, stderr)
      twoLines(stderr, what)
    }
  })

  it("a call whose end nobody saw, and a process that was left", async () => {
    const pid = await read((journal) =>
      Effect.gen(function* () {
        const run = yield* journal.beginRun({ task: "t", workspace: folder, model: "m" })
        const pid = yield* journal.spawn({ run, program: "fast" })
        yield* journal.appendPage(pid, { role: "task", text: "restart\nit", tokens: 2 })
        yield* journal.event(pid, "signal", { signal: "STOP" })
        yield* journal.syscallIntent(pid, {
          tool: "shell",
          args: { command: "reboot" },
          effect: "irreversible"
        })
        yield* journal.transition(pid, "blocked", "shell", { waiting: "shell" })
        yield* journal.endRun(run, "interrupted")
        return pid
      })
    )
    const { stdout } = await call("logs", `${pid}`)
    assert.match(stdout, /task: restart ⏎ it\n.*signal STOP\n.* shell +reboot {2}→ outcome unknown\n/)
    assert.match(stdout, /not ended: blocked \(shell\)$/)
    const { window, sections } = await mapOf(pid)
    assert.deepInclude(window, { size: null, used: 2 })
    assert.deepInclude(sections, { section: "task", tokens: 2 })
    assert.match((await call("logs", `${pid}`, "--memory")).stdout, /window of unknown size/)
  })
})

describe("noos logs --memory", () => {
  it("is what the kernel had in the window, and where every page is", async () => {
    const kept = (await read((journal) => journal.process(1)))!
    assert.deepInclude(map, { pid: 1, run: 1, state: "zombie", status: "ok" })
    assert.deepInclude(map.window, { size: 1919, high: 1439, low: 959 })

    // The kernel's own count, after the last eviction.
    assert.deepStrictEqual(
      map.frames.slice(0, kept.layout!.frames.length).map(({ section: _, ...frame }) => frame),
      [...kept.layout!.frames]
    )
    const tokens = tokensOf(map)
    assert.strictEqual(
      tokens.system! + tokens.task! + tokens.notes! + tokens["paged out"]! + tokens.exchanges!,
      map.window.used
    )
    assert.strictEqual(tokens.free, 1919 - map.window.used)
    const system = map.frames.find(({ section }) => section === "system")!
    assert.strictEqual(tokens.system, system.tokens)

    const of = (page: number) => map.pages[page - 1]!
    assert.deepStrictEqual(
      map.pages.map(({ page }) => page),
      map.pages.map((_, i) => i + 1)
    )
    assert.deepInclude(of(1), {
      role: "system",
      residency: "pinned",
      label: { integrity: "trusted", source: "kernel" }
    })
    assert.deepInclude(of(4), {
      role: "result",
      tool: "fs_read",
      residency: "paged out",
      used: 18,
      copy: null
    })
    assert.deepInclude(of(8), { role: "result", tool: "note", residency: "pinned" })
    assert.deepInclude(of(18), { role: "result", tool: "recall", copy: 4 })
    assert.deepInclude(of(26), { role: "result", tool: "fs_read", residency: "part in view" })
    assert.deepInclude(of(27), { role: "call", tool: "exit", residency: "in view" })
    // Every page that the stub stands for is out, and no other.
    const out = map.frames.filter(({ kind }) => kind === "stub").flatMap(({ pages }) => pages)
    for (const { page, residency } of map.pages)
      assert.strictEqual(
        residency === "paged out",
        out.some(([a, b]) => a <= page && page <= b),
        `page ${page}`
      )
    const evictions = events.filter((e) => e.type === "evict").length
    assert.deepInclude(map.totals, { pages: 27, faults: 1, evictions, inWindow: map.window.used })
  })

  it("is drawn: a bar, numbers, pages", async () => {
    const { stdout } = await call("logs", "1", "--memory")
    const drawn = stdout.split("\n")
    for (const line of drawn) assert.isAtMost(line.length, 80, line)
    assert.notInclude(stdout, "\x1b")
    assert.match(drawn[0]!, /^process 1 \(ok\): [\d,]+ tokens in a window of 1,919 tokens$/)
    assert.match(drawn[2]!, /^S+T+N+P+E+\.+$/)
    assert.strictEqual(drawn[2]!.length, 80)
    assert.strictEqual(drawn[3]!.trimEnd(), `${" ".repeat(39)}^${" ".repeat(19)}^`)
    assert.match(stdout, /^N {2}notes +\d+ +\d+\.\d %$/m)
    assert.match(stdout, /^ *3-6 +4 pages +\d+ +paged out +page 18, /m)
    assert.match(stdout, /^ *8 +result: note +\d+ +pinned +page 8, \d+ s ago +note$/m)
    assert.match(stdout, /^ *26 +result: fs_read +\d+ +part in view/m)
    assert.match(stdout, /^27 pages: [\d,]+ tokens in the window, [\d,]+ in the journal$/m)
    assert.match(stdout, /^\d+ evictions, 1 faults$/m)

    // As wide as the terminal is, and every part of the window has a place in the bar.
    for (const width of [30, 60, 200]) {
      const at = picture(map, width, Date.now())
      for (const line of at) assert.isAtMost(line.length, width, line)
      assert.strictEqual(at[2]!.length, width)
      for (const letter of "STNPE.") assert.include(at[2]!, letter)
    }
  })

  it("a fork shares its parent's pages and goes on by itself", async () => {
    const child = await read((journal) =>
      Effect.gen(function* () {
        const pid = yield* journal.spawn({ run: 1, parent: 1, origin: 1, program: "fast" })
        const page = { text: '{"tool":"note","args":{"text":"x"}}', tokens: 9 }
        yield* journal.appendPage(pid, { role: "call", ...page })
        yield* journal.appendPage(pid, { role: "result", text: "result: ok", tokens: 4 })
        yield* journal.appendPage(pid, { role: "call", ...page })
        yield* journal.appendPage(pid, { role: "result", text: "error: no room", tokens: 6 })
        return pid
      })
    )
    const parent = map
    const forked = await mapOf(child)
    assert.deepStrictEqual(residencies(forked.pages.slice(0, 27)), residencies(parent.pages))
    assert.deepStrictEqual(residencies(forked.pages.slice(27)), [
      [28, "pinned"],
      [29, "pinned"],
      [30, "in view"],
      [31, "in view"]
    ])
    assert.strictEqual(tokensOf(forked).notes! - tokensOf(parent).notes!, 13)
    assert.strictEqual(forked.window.used - parent.window.used, 28)
    assert.match((await call("logs", `${child}`)).stdout, /, forked from 1 with 27 pages, /)
  })

  it("of 2,000 pages the latest are shown", async () => {
    const pid = await read((journal) =>
      Effect.gen(function* () {
        const run = yield* journal.beginRun({
          task: "t",
          workspace: folder,
          model: "m",
          options: { contextSize: 300_000 }
        })
        const pid = yield* journal.spawn({ run, program: "fast" })
        const append = Effect.fnUntraced(function* (pages: number) {
          for (let i = 0; i < pages / 2; i++) {
            yield* journal.appendPage(pid, { role: "call", text: '{"tool":"f","args":{}}', tokens: 20 })
            yield* journal.appendPage(pid, { role: "result", text: `result: ${i}`, tokens: 30 })
          }
        })
        yield* journal.atomically(append(2000))
        return pid
      })
    )
    const drawn = (await call("logs", `${pid}`, "--memory")).stdout.split("\n")
    assert.isBelow(drawn.length, 65)
    assert.include(drawn, "Pages 1 to 1960 are not shown: --json has them.")
    assert.match(drawn.find((line) => line.startsWith("2000 "))!, /result: f +30 +in view/)
    assert.strictEqual((await mapOf(pid)).pages.length, 2000)
  })
})

describe("what memory does in a run", () => {
  const replay = async (...args: ReadonlyArray<string>) => {
    const program = fileURLToPath(new URL("./replay.ts", import.meta.url))
    const input = events.map((event) => JSON.stringify(event)).join("\n")
    return execa(process.execPath, [program, ...args], { input })
  }

  it("is told to a person and to scripts", async () => {
    const { stderr } = await replay()
    assert.match(stderr, /\n {2}recall {4}4 .*\n/)
    assert.match(stderr, /\n {2}recalled page 4\n/)
    const evicted = events.filter((e) => e.type === "evict")
    const said = [...stderr.matchAll(/^ {2}paged out (\d+) pages?, (\d+) tokens$/gm)]
    assert.deepStrictEqual(
      said.map(([, , tokens]) => Number(tokens)),
      evicted.map(({ freed }) => freed)
    )

    const told = lines((await replay("--json")).stdout)
    assert.deepStrictEqual(
      told.filter(({ type }) => type === "evict" || type === "fault"),
      events.filter(({ type }) => type === "evict" || type === "fault") as unknown as typeof told
    )
    assert.strictEqual(told.at(-1)!.type, "exit")
  })

  it("is in the trace, as instants of the process", async () => {
    const file = join(root, "trace.json")
    await openTrace(file).pipe(
      Effect.map((write) => events.forEach(write)),
      Effect.scoped,
      Effect.runPromise
    )
    type Instant = { readonly name: string; readonly ph: string; readonly tid: number; readonly args: object }
    const traced = JSON.parse(readFileSync(file, "utf8")) as ReadonlyArray<Instant>
    const fault = traced.find(({ name }) => name === "fault")!
    assert.deepInclude(fault, { ph: "i", tid: 1, args: { page: 4, part: 1 } })
    const evicted = traced.filter(({ name }) => name === "evict")
    assert.strictEqual(evicted.length, events.filter((e) => e.type === "evict").length)
    for (const { args } of evicted) assert.containsAllKeys(args, ["pages", "freed", "kept", "again"])
  })

  it("is kept for the folder", async () => {
    const [kept] = lines((await call("memory", "--workspace", folder, "--json")).stdout)
    assert.deepInclude(kept as object, { key: "code", version: 1, text: "the code is K7", run: 1, pid: 1 })
  })
})
