import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import type { ToolError } from "../../kernel/tool.ts"
import type { Workspace } from "../../sandbox/sandbox.ts"
import { webFetch } from "../../tools/web.ts"
import { contextIn } from "../fixtures/context.ts"
import { serve } from "../fixtures/web.ts"
import { folder, opened } from "../sandbox/workspace.ts"

interface Answer {
  readonly type?: string
  readonly body?: string | Uint8Array
  readonly status?: number
  readonly location?: string
}

/** A server of these answers, a workspace that may reach it, and what a call gives. */
const site = Effect.fnUntraced(function* (answers: { readonly [path: string]: Answer }) {
  const port = yield* serve((request, response) => {
    const { type, body = "", status = 200, location } = answers[request.url!] ?? { status: 404 }
    if (type !== undefined) response.setHeader("content-type", type)
    if (location !== undefined) response.setHeader("location", location)
    response.writeHead(status).end(body)
  })
  const workspace = yield* opened(yield* folder, [`127.0.0.1:${port}`])
  const base = `http://127.0.0.1:${port}`
  return { base, get: (path: string) => fetched(workspace, base + path) }
})

const fetched = (workspace: Workspace, url: string) =>
  Effect.scoped(
    Effect.gen(function* () {
      return yield* webFetch.execute({ url }, contextIn(workspace, yield* Effect.scope))
    })
  )
const failed = (effect: Effect.Effect<unknown, ToolError>) =>
  Effect.map(Effect.flip(effect), ({ code, message }) => `${code}: ${message}`)

const html = "text/html; charset=utf-8"

describe("web_fetch", () => {
  it.live("reads pages whose author left out the tags that may be left out", () =>
    Effect.gen(function* () {
      const { get } = yield* site({
        "/nohead": {
          type: html,
          body: "<html><title>T</title><body><p>no head but a body</p></body></html>"
        },
        "/fragment": { type: html, body: "<title>T</title><p>a fragment" }
      })
      expect(JSON.stringify(yield* get("/nohead"))).toContain("no head but a body")
      expect(JSON.stringify(yield* get("/fragment"))).toContain("a fragment")
    })
  )

  it.live("makes Markdown of a page, and of an article without what is around it", () =>
    Effect.gen(function* () {
      const paragraph = `<p>${"A sentence, of which there are some here. ".repeat(12)}</p>`
      const { base, get } = yield* site({
        "/page": {
          type: html,
          body: `<html><head><title>A  page</title><style>p{}</style></head><body><h1>Hello</h1><script>alert(1)</script>
            <p>some <b>bold</b> and <a href="../other">more</a>, <a href="javascript:evil()">not this</a> &amp; é</p>
            <img src="x.png" alt="a cat"><table><tr><th>a</th><th>b</th></tr><tr><td>1</td><td>2</td></tr></table>
            <p hidden>unseen</p></body></html>`
        },
        "/article": {
          type: html,
          body: `<html><head><title>News</title></head><body><nav><a href=/>Menu</a></nav><article><h2>Part</h2>${paragraph.repeat(6)}</article><footer>Imprint</footer></body></html>`
        },
        "/piece": { type: "text/html", body: "<p>no <i>html</i> around" },
        "/moved": { status: 302, location: "/page" },
        "/void": { type: html, body: "" }
      })
      const page = yield* get("/moved")
      expect(page).toMatchObject({ url: `${base}/page`, title: "A page" })
      expect(page.text).toContain("# Hello")
      expect(page.text).toContain(`some **bold** and [more](${base}/other), not this & é`)
      expect(page.text).toContain("a cat")
      expect(page.text).toContain("a | b |\n1 | 2 |")
      expect(page.text).not.toMatch(/alert|evil|unseen|p\{\}/)
      expect(webFetch.toModel?.(page)).toMatch(/^# A page\n\n/)
      const article = yield* get("/article")
      expect(article.title).toBe("News")
      expect(article.text).toContain("A sentence")
      expect(article.text).not.toMatch(/Menu|Imprint/)
      expect((yield* get("/piece")).text).toBe("no _html_ around")
      expect((yield* get("/void")).text).toBe("")
    })
  )

  it.live("gives texts as they are, in whatever coding, and says what is none", () =>
    Effect.gen(function* () {
      const latin = Buffer.from("<html><head><meta charset=iso-8859-1></head><body><p>caf\xe9", "latin1")
      const { get } = yield* site({
        "/json": { type: "application/json", body: '{"a":  1}' },
        "/xml": { type: "application/atom+xml", body: "<a>1</a>" },
        "/plain": { type: "text/plain; charset=windows-1252", body: Buffer.from("\x80 5", "latin1") },
        "/meta": { type: "text/html", body: latin },
        "/mark": { type: "text/plain", body: Buffer.from("\ufeffwide", "utf16le") },
        "/odd": { type: "text/plain; charset=nothing", body: "odd" },
        "/untyped": { body: "just words" },
        "/untyped-html": { body: "<!DOCTYPE html><title>T</title><p>x" },
        "/pdf": { type: "application/pdf", body: "%PDF-1.7" },
        "/png": { type: "image/png", body: Buffer.from([137, 80, 78, 71]) },
        "/nul": { type: "text/plain", body: "a\0b" }
      })
      const text = (path: string) => Effect.map(get(path), (it) => it.text)
      expect(yield* text("/json")).toBe('{"a":  1}')
      expect(yield* text("/xml")).toBe("<a>1</a>")
      expect(yield* text("/plain")).toBe("€ 5")
      expect(yield* text("/meta")).toBe("café")
      expect(yield* text("/mark")).toBe("wide")
      expect(yield* text("/odd")).toBe("odd")
      expect(yield* text("/untyped")).toBe("just words")
      expect(yield* get("/untyped-html")).toMatchObject({ title: "T" })
      expect(yield* failed(get("/pdf"))).toMatch(/^not_text: not a text but application\/pdf/)
      expect(yield* failed(get("/png"))).toMatch(/^not_text: not a text but image\/png/)
      expect(yield* failed(get("/nul"))).toMatch(/^not_text/)
    })
  )

  it.live("tells what the server answered, and how to grant a host", () =>
    Effect.gen(function* () {
      const { get } = yield* site({
        "/gone": { status: 410 },
        "/busy": { status: 503 },
        "/no": { status: 403 }
      })
      expect(yield* failed(get("/none"))).toMatch(/^not_found: the server answered with status 404/)
      expect(yield* failed(get("/gone"))).toMatch(/^not_found/)
      expect(yield* failed(get("/no"))).toMatch(/^failed: the server answered with status 403/)
      expect((yield* Effect.flip(get("/busy"))).retryable).toBe(true)
      const without = yield* opened(yield* folder)
      expect(yield* failed(fetched(without, "https://example.com/"))).toBe(
        "denied: not granted: example.com (--net example.com grants it)"
      )
      expect(yield* failed(fetched(without, "file:///etc/passwd"))).toMatch(/^bad_input/)
    })
  )

  it.live("is not held up by pages made to be too much", () =>
    Effect.gen(function* () {
      const entities = `<!DOCTYPE html [<!ENTITY a "${"x".repeat(1000)}"><!ENTITY b "${"&a;".repeat(1000)}">]>`
      const { get } = yield* site({
        "/deep": { type: html, body: `<html><body>${"<div>".repeat(8000)}deep` },
        "/entities": { type: html, body: `${entities}<html><body><p>${"&b;".repeat(1000)}` },
        "/bomb": { type: html, body: "x".repeat(9 * 1024 * 1024) },
        "/memory": { type: html, body: `<html><body>${"<a b c d e f></a>".repeat(480_000)}` }
      })
      expect((yield* get("/deep")).text).toBe("deep")
      expect((yield* get("/entities")).text.length).toBeLessThan(10_000)
      expect(yield* failed(get("/bomb"))).toMatch(/^too_large/)
      expect(yield* failed(get("/memory"))).toMatch(/^(failed|timeout)/)
    })
  )
})
