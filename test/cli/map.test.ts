import { assert, describe, it } from "@effect/vitest"
import { memoryMap, type Section, sections } from "../../cli/map.ts"
import { picture } from "../../cli/picture.ts"
import type { Layout, Page, Process, Run } from "../../kernel/journal.ts"
import { append, born, evict, frameOf, layoutOf, summarise, touch } from "../../kernel/memory/context.ts"
import { callText } from "../../kernel/prompt.ts"
import { random } from "../kernel/engine/random.ts"

const size = 2000
const run: Run = {
  id: 1,
  started: 0,
  ended: null,
  status: null,
  task: "t",
  workspace: "/w",
  model: "m",
  hash: null,
  options: { contextSize: size },
  owner: 1
}
const process: Omit<Process, "layout"> = {
  pid: 1,
  run: 1,
  parent: null,
  origin: null,
  shared: 0,
  program: "fast",
  state: "running",
  why: "",
  waiting: null,
  priority: 0,
  budget: {},
  usage: {},
  status: null,
  answer: null,
  created: 0,
  updated: 0
}
const label = { integrity: "untrusted", source: "f" } as const
const words = (n: number) => Array.from({ length: n }, () => 0)

/** A context under random use, and what the journal keeps of it. */
const used = (seed: number) => {
  const { below, chance } = random(seed)
  const pages: Array<Page> = []
  const keep = (role: Page["role"], text: string, tokens: number, copy: number | null = null) => {
    const ordinal = pages.length + 1
    pages.push({
      id: ordinal,
      pid: 1,
      ordinal,
      role,
      text,
      tokens,
      call: null,
      label,
      copy,
      cut: false,
      created: ordinal
    })
  }
  keep("system", "s", 300)
  keep("task", "t", 40)
  let context = born(words(300), words(40))
  let layout: Layout | null = null
  for (let i = 0; i < 5 + below(40); i++) {
    const pinned = context.frames.filter((f) => f.pinned).length < 6 && chance(0.1)
    const copy = chance(0.1) ? 3 : null
    const [call, result] = [10 + below(20), 5 + below(200)]
    keep("call", callText(pinned ? "note" : "f", {}), call)
    keep("result", "result: x", result, copy)
    const exchange = {
      page: pages.length,
      about: "f",
      tokens: words(call + result),
      pinned,
      whole: true,
      label
    }
    context = append(context, copy === null ? exchange : { ...exchange, copy: { page: copy, part: 1 } })
    if (context.frames.some(({ kind }) => kind === "stub") && chance(0.1)) {
      keep("summary", "much was read", 20)
      context = summarise(context, "much was read")
    }
    if (context.size < size * 0.75) continue
    context = touch(context, 1 + below(pages.length))
    const victims = context.frames.filter((f) => f.kind === "exchange" && !f.pinned).slice(0, -1)
    context = evict(context, new Set(victims.filter(() => chance(0.8))), () => words(30)).context
    layout = layoutOf(context)
  }
  return { context, pages, layout }
}

describe("a memory map", () => {
  it("is what lies in the window, whatever was appended, pinned, paged out and recalled", () => {
    let paged = 0
    for (let seed = 1; seed <= 200; seed++) {
      const { context, layout, pages } = used(seed)
      const map = memoryMap({ ...process, layout }, run, pages)
      const told = `seed ${seed}`
      assert.strictEqual(map.window.used, context.size, told)
      assert.strictEqual(map.totals.evictions, context.evictions, told)
      assert.deepStrictEqual<ReadonlyArray<Section>>(
        map.sections.map(({ section }) => section),
        sections
      )
      const total = map.sections.reduce((n, { tokens }) => n + tokens, 0)
      assert.strictEqual(total, Math.max(size, map.window.used), told)

      for (const { copy, page, residency, used } of map.pages) {
        // A recalled page is in view as another one.
        const frame = context.frames.find(
          ({ kind, pages }) => kind !== "stub" && pages.some(([a, b]) => a <= page && page <= b)
        )
        const where = frame === undefined ? "paged out" : frame.pinned ? "pinned" : "in view"
        assert.strictEqual(residency, where, `${told}, page ${page}`)
        if (frame !== undefined && page !== 3) assert.isAtLeast(used, frame.used, `${told}, page ${page}`)
        if (copy === 3) assert.isAtLeast(map.pages[2]!.used, page, told)
        if (residency === "paged out") paged++
      }
      if (frameOf(context, 3) === undefined) assert.strictEqual(map.pages[2]!.residency, "paged out", told)

      const width = 20 + (seed % 100)
      const drawn = picture(map, width, 100)
      for (const line of drawn) assert.isAtMost(line.length, width, told)
      assert.strictEqual(drawn[2]!.length, width, told)
      const free = (1 - map.window.used / size) * width
      assert.closeTo(drawn[2]!.match(/\.*$/)![0].length, Math.max(0, free), 1, told)
    }
    assert.isAbove(paged, 1000)
  })
})
