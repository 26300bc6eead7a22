import { createHash } from "node:crypto"
import { assert, describe, it } from "@effect/vitest"
import { parseHTML } from "linkedom"
import { html } from "../../compare/html.ts"
import { type Comparison, modes } from "../../compare/records.ts"
import { report } from "../../compare/report.ts"
import { style } from "../../compare/style.ts"
import { since } from "../../compare/tree.ts"
import type { Tree, TreeNode } from "../../kernel/search/search.ts"
import type { Change } from "../../sandbox/sandbox.ts"
import { sample, trial } from "./sample.ts"

const node = (of: Partial<TreeNode> & Pick<TreeNode, "id">): TreeNode => ({
  parent: undefined,
  text: `node ${of.id}`,
  value: 0.5,
  visits: 1,
  state: "open",
  ...of
})

const one = (of: Parameters<typeof trial>[0], rest: Partial<Comparison> = {}): Comparison => ({
  suite: "s",
  about: "a",
  model: "m",
  strategy: "beam",
  items: [{ id: "a", task: "Do it." }],
  modes: ["slow"],
  seeds: 1,
  attempts: 1,
  trials: [trial({ mode: "slow", ...of })],
  ...rest
})

const open = (comparison: Comparison) => {
  const text = report(comparison)
  return { text, document: parseHTML(text).document }
}

/** What has tried to get out of text, in all ways that matter: elements, attributes, comments, entities, raw text. */
const hostile = [
  "<script>alert(1)</script>",
  '"><img src=x onerror=alert(1)>',
  "' onmouseover='alert(1)",
  "</pre></details><iframe src=https://evil.example></iframe>",
  "</style><style>*{display:none}</style>",
  "<!--",
  "]]>",
  "&lt;b&gt;",
  "</title><base href=https://evil.example>",
  "\u202Etxt.exe\u202C\u0000\u001b[2J\ud800",
  "`$&"
].join(" ")

describe("the report", () => {
  const tree: Tree = {
    chosen: [0, 1],
    nodes: [
      node({ id: 0, text: hostile, state: "expanded" }),
      node({
        id: 1,
        parent: 0,
        text: hostile,
        state: "pruned",
        why: hostile,
        changes: [{ path: hostile, kind: "changed", before: hostile, after: `${hostile}\n${hostile}` }]
      })
    ]
  }
  const page = open({
    suite: hostile,
    about: hostile,
    model: hostile,
    strategy: hostile,
    items: [{ id: hostile, task: hostile }],
    modes: ["fast", "slow"],
    seeds: 1,
    attempts: 2,
    trials: [
      trial({ item: hostile, mode: "fast", answer: { [hostile]: hostile }, right: false }),
      trial({
        item: hostile,
        mode: "slow",
        answer: hostile,
        why: hostile,
        escalated: hostile,
        status: "error",
        changes: [{ path: hostile, kind: "added", after: hostile }],
        tree
      })
    ]
  })

  it("shows what others wrote as text and as nothing else", () => {
    const { document, text } = page
    const known = new Set(
      "html head meta title style body header h1 h2 h3 p section ul li strong br small b i div table thead tbody tr th td figure label input details summary span pre code article meter svg g line path circle text".split(
        " "
      )
    )
    for (const element of document.querySelectorAll("*")) {
      assert.isTrue(known.has(element.tagName.toLowerCase()), element.tagName)
      for (const { name } of element.attributes) assert.notMatch(name, /^on|^src$|^href$|^style$/)
    }
    assert.strictEqual(document.querySelectorAll("style").length, 1)
    assert.notMatch(text, /[\u202a-\u202e\u2066-\u2069\ud800\u0000\u001b]/)
    // Nothing is lost either: the text is there as it was, but for what cannot be shown.
    const shown = hostile.replace(/[\u202e\u202c\u0000\u001b\ud800]/g, "\uFFFD")
    assert.strictEqual(document.querySelector("h1")!.textContent, shown)
    assert.strictEqual(document.querySelector("pre.task")!.textContent, shown)
    const texts = [...document.querySelectorAll("pre, code")].map((element) => element.textContent)
    assert.isAtLeast(texts.filter((said) => said === shown).length, 4)
  })

  it("needs nothing from anywhere, and its policy would not let it", () => {
    const policy = page.document.querySelector("meta[http-equiv]")!.getAttribute("content")!
    const hash = createHash("sha256")
      .update(page.document.querySelector("style")!.textContent)
      .digest("base64")
    assert.strictEqual(
      policy,
      `default-src 'none'; style-src 'sha256-${hash}'; base-uri 'none'; form-action 'none'`
    )
    assert.notMatch(style, /url\(|@import|expression/)
    // It is in front of all that others wrote.
    assert.isBelow(page.text.indexOf("Content-Security-Policy"), page.text.indexOf("<title>"))
  })

  it("has a verdict, a row and a mark for each mode, and each item once", () => {
    const comparison = sample(12, 2)
    const { document } = open(comparison)
    assert.strictEqual(document.querySelectorAll(".verdicts li").length, 6)
    const rows = [...document.querySelectorAll("tbody tr")].map((row) => row.querySelector("th")!.textContent)
    assert.deepStrictEqual(rows, [...modes])
    assert.strictEqual(document.querySelectorAll("svg .mark circle").length, modes.length)
    assert.strictEqual(document.querySelectorAll("details.item").length, 24)
    assert.notMatch(document.querySelector("svg")!.outerHTML, /NaN|Infinity|undefined/)
    const differ = [...document.querySelectorAll("details.differ")]
    assert.isTrue(differ.length > 0 && differ.length < 24)
    for (const item of differ) {
      assert.isNotNull(item.querySelector(".end.right"))
      assert.isNotNull(item.querySelector(".end.wrong"))
    }
    assert.isNull(document.querySelector("header .broken"))
  })

  it("of a comparison that was interrupted says so, and holds what there is", () => {
    const whole = sample(4, 1)
    for (const done of [0, 1, 7]) {
      const { document } = open({ ...whole, trials: whole.trials.slice(0, done) })
      assert.include(document.querySelector("header .broken")!.textContent, `${done} of 24 attempts`)
      assert.notMatch(document.body.innerHTML, /NaN|Infinity|undefined/)
    }
  })

  it("says why auto thought slowly, and how sure it had been", () => {
    const { document } = open(one({ mode: "slow", escalated: "it was not sure", sure: 0.25 }))
    assert.match(
      document.querySelector("article")!.textContent,
      /25\.0% sure .*Thought slowly: it was not sure/s
    )
  })

  it("draws intervals where they are: at the same height as the scale says", () => {
    const { document } = open(sample(40, 1))
    const lines = [...document.querySelectorAll("svg .grid line")]
    const height = (share: string) =>
      Number(lines[["0%", "25%", "50%", "75%", "100%"].indexOf(share)]!.getAttribute("y1"))
    const [zero, all] = [height("0%"), height("100%")]
    for (const mark of document.querySelectorAll("svg .mark")) {
      const [share, low, high] = mark
        .querySelector("title")!
        .textContent.match(/[\d.]+(?=%)/g)!
        .map(Number)
      const at = (percent: number) => zero - (percent / 100) * (zero - all)
      assert.closeTo(Number(mark.querySelector("circle")!.getAttribute("cy")), at(share!), 0.3)
      const [, top, bottom] = mark
        .querySelector(".bar")!
        .getAttribute("d")!
        .match(/^M[\d.-]+ ([\d.]+)h.*V([\d.]+)m/)!
        .map(Number)
      assert.closeTo(top!, at(high!), 0.3)
      assert.closeTo(bottom!, at(low!), 0.3)
    }
    const names = [...document.querySelectorAll("svg .mark > text")].map((t) => Number(t.getAttribute("y")))
    const sorted = names.toSorted((a, b) => a - b)
    for (let i = 1; i < sorted.length; i++) assert.isAtLeast(sorted[i]! - sorted[i - 1]!, 16.9)
  })
})

it("names in a plot do not lie on each other, nor outside, where all ways do equally well or badly", () => {
  for (const right of [true, false]) {
    const trials = modes.map((mode) => trial({ mode, right }))
    const { document } = open(one({}, { modes, trials }))
    const heights = [...document.querySelectorAll("svg .mark > text")]
      .map((name) => Number(name.getAttribute("y")))
      .sort((a, b) => a - b)
    const below = document.querySelector("svg")!.getAttribute("viewBox")!.split(" ")[3]
    assert.isAbove(heights[0]!, 0)
    // The scale's own words are below.
    assert.isBelow(heights.at(-1)!, Number(below) - 40)
    for (let i = 1; i < heights.length; i++) assert.isAtLeast(heights[i]! - heights[i - 1]!, 16.9)
  }
})

describe("a tree", () => {
  const changes: ReadonlyArray<Change> = [
    { path: "a.txt", kind: "changed", before: "one\ntwo\nthree\n", after: "one\n2\nthree\n" },
    { path: "b.txt", kind: "removed", before: "gone\n" },
    { path: "c.bin", kind: "added" }
  ]
  const nodes: ReadonlyArray<TreeNode> = [
    node({ id: 0, value: undefined, state: "expanded", visits: 3 }),
    node({ id: 1, parent: 0, value: 0.833, state: "expanded", visits: 2 }),
    node({ id: 2, parent: 0, value: 0.1, state: "pruned", why: "not among the 1 best" }),
    node({ id: 3, parent: 0, value: undefined, state: "duplicate", why: "the same as node 1", visits: 0 }),
    node({
      id: 4,
      parent: 1,
      value: 1,
      state: "terminal",
      changes
    }),
    node({ id: 5, parent: 4, value: 0, changes })
  ]
  const { document } = open(one({ tree: { nodes, chosen: [0, 1, 4] } }))
  const list = document.querySelector("ul.tree")!
  const nodeAt = (text: string) =>
    [...list.querySelectorAll("li")].find((li) => li.querySelector("code")!.textContent === text)!

  it("is nested as it grew, with the chosen path marked and open", () => {
    assert.strictEqual(nodeAt("node 4").closest("ul")!.parentElement!.parentElement, nodeAt("node 1"))
    const chosen = [...list.querySelectorAll("li.chosen")].map((li) => li.querySelector("code")!.textContent)
    assert.deepStrictEqual(chosen, ["node 0", "node 1", "node 4"])
    for (const text of chosen) assert.isTrue(nodeAt(text).firstElementChild!.hasAttribute("open"))
  })

  it("says values, visits, and why a state was given up", () => {
    const small = (text: string) => nodeAt(text).querySelector("small")!.textContent
    assert.strictEqual(small("node 2"), "pruned: not among the 1 best · 1 visit")
    assert.strictEqual(small("node 3"), "duplicate: the same as node 1 · 0 visits")
    assert.strictEqual(small("node 4"), "terminal · 1 visit · 3 files")
    assert.strictEqual(nodeAt("node 2").querySelector("b")!.textContent, "0.10")
    assert.isNull(nodeAt("node 3").querySelector("meter"))
    assert.strictEqual(small("node 5"), "open · 1 visit")
  })

  it("shows what changed as unified diffs, and says where there is no text", () => {
    const [changed, removed] = [...nodeAt("node 4").querySelectorAll("pre.diff")].map(
      (pre) => pre.textContent
    )
    assert.strictEqual(changed, "@@ -1,3 +1,3 @@\n one\n-two\n+2\n three\n")
    assert.strictEqual(removed, "@@ -1,1 +0,0 @@\n-gone\n")
    assert.match(nodeAt("node 4").textContent, /added c\.bin \(no text to show\)/)
  })

  it("shows of each step what that step changed, not all that was changed before it", () => {
    const a = (after: string) => ({ path: "a", kind: "changed", before: "0\n", after }) as const
    const b = { path: "b", kind: "added", after: "b\n" } as const
    assert.deepStrictEqual(since([], [b]), [b])
    assert.deepStrictEqual(since([a("1\n"), b], [a("1\n"), b]), [])
    assert.deepStrictEqual(since([a("1\n")], [a("2\n"), b]), [
      { path: "a", kind: "changed", before: "1\n", after: "2\n" },
      b
    ])
    assert.deepStrictEqual(since([a("1\n"), b], []), [
      { path: "a", kind: "changed", before: "1\n", after: "0\n" },
      { path: "b", kind: "removed", before: "b\n" }
    ])
    const gone = { path: "a", kind: "removed", before: "0\n" } as const
    assert.deepStrictEqual(since([a("1\n")], [gone]), [{ path: "a", kind: "removed", before: "1\n" }])
    assert.deepStrictEqual(since([gone], [a("1\n")]), [{ path: "a", kind: "added", after: "1\n" }])
  })

  it("is left out where the page has no room, those of items where modes differ last", () => {
    const large = Array.from({ length: 20_000 }, (_, id) => node(id === 0 ? { id } : { id, parent: 0 }))
    const tree = { nodes: large, chosen: [] }
    const trials = ["same", "other", "third"].flatMap((item) => [
      trial({ item, mode: "fast", right: item === "same" }),
      trial({ item, mode: "slow", tree })
    ])
    const text = report(
      one(
        {},
        { items: ["same", "other", "third"].map((id) => ({ id, task: id })), modes: ["fast", "slow"], trials }
      )
    )
    const items = text.split('<details class="item ').slice(1)
    assert.deepStrictEqual(
      items.map((item) => item.includes("Its tree is left out")),
      [true, false, false]
    )
    assert.deepStrictEqual(
      items.map((item) => item.includes('<ul class="tree">')),
      [false, true, true]
    )
  })

  it("has no diff where one of the two texts is not known", () => {
    const half = [
      { path: "x", kind: "changed", after: "new" },
      { path: "y", kind: "changed", before: "old" }
    ] as const
    const { document } = open(one({ changes: half }))
    assert.strictEqual(document.querySelectorAll("pre.diff").length, 0)
    assert.strictEqual(document.querySelectorAll(".change").length, 2)
  })

  it("has no diff where there is too much of one", () => {
    const lines = (name: string) => Array.from({ length: 3000 }, (_, i) => `${name} ${i}`).join("\n")
    const { document } = open(
      one({ changes: [{ path: "big", kind: "changed", before: lines("a"), after: lines("b") }] })
    )
    assert.match(document.querySelector(".change")!.textContent, /changed big \(no text to show\)/)
  })

  it("can be as deep as searches go", () => {
    const deep = Array.from({ length: 400 }, (_, id) => node(id === 0 ? { id } : { id, parent: id - 1 }))
    const text = report(one({ tree: { nodes: deep, chosen: [] } }))
    assert.include(text, "node 399")
  })
})

it("a template escapes all but HTML, in lists too", () => {
  const inner = html`<b>${"<"}</b>`
  assert.strictEqual(html`${inner}${["&", inner]}${3}${undefined}`.text, "<b>&lt;</b>&amp;<b>&lt;</b>3")
})
