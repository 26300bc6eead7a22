/** A browser for each process: tools that open pages, read them and act on them. */
import { Effect } from "effect"
import type { Locator, Page } from "playwright-core"
import { type AnyTool, defineTool, refuse, type ToolContext } from "../../kernel/tool.ts"
import { proxyName } from "../../sandbox/egress/proxy.ts"
import type { Egress } from "../../sandbox/egress.ts"
import { actOn, ask, askPage, loaded, pageOf, stateOf, stateText, withBrowser } from "./act.ts"
import { contentOf } from "./download.ts"
import { Patience, type Session } from "./session.ts"

/** Characters of one part of a page. */
const partLength = 6000
const ref = { type: "string" } as const

/** The page that is to show what is opened: the current one, or a new one. */
const freshPage = Effect.fnUntraced(function* (session: Session) {
  session.takeClosed()
  if (session.hangs && session.page !== undefined) session.abandon(session.page)
  session.hangs = false
  const { load } = yield* Patience
  return session.page ?? (yield* ask(load, () => session.context.newPage(), "the browser does not answer"))
})

/** Goes to a page, and gives the head of the answer; null if the page that was open went somewhere else in between. */
const go = Effect.fnUntraced(function* (page: Page, url: string) {
  const { load } = yield* Patience
  return yield* ask(
    load,
    () => page.goto(url, { waitUntil: "commit", timeout: 0 }),
    `no answer within ${load} s: ${url.slice(0, 200)}`
  ).pipe(
    Effect.catchIf(
      ({ message }) => message.includes("interrupted by another navigation"),
      () => Effect.succeed(null)
    )
  )
})

const visit = Effect.fnUntraced(function* (session: Session, net: Egress, url: string) {
  const page = yield* freshPage(session)
  const response = yield* go(page, url)
  const refused = response?.headers()["proxy-status"]
  if (refused?.startsWith(proxyName) === true) {
    yield* net.check(response?.url() ?? url)
    return yield* refuse("unavailable", `cannot load the page: ${refused.slice(0, 200)}`)
  }
  yield* loaded(session, page)
  const status = response?.status() ?? 200
  if (status >= 400) session.note(`the server answered with status ${status}`)
  return yield* stateOf(session)
})

const open = defineTool({
  name: "browser_open",
  description: "Open a web page in the browser.",
  input: {
    type: "object",
    properties: { url: { type: "string" } },
    required: ["url"],
    additionalProperties: false
  },
  effect: "pure",
  critical: ["url"],
  execute: ({ url }: { readonly url: string }, ctx) =>
    Effect.gen(function* () {
      yield* ctx.workspace.net.check(url)
      return yield* withBrowser(ctx, (session) => visit(session, ctx.workspace.net, url))
    }),
  toModel: stateText
})

/** Cuts a text at line ends into parts of at most `length` characters, unless a line is longer. */
const parts = (text: string, length: number): ReadonlyArray<string> => {
  const all: Array<string> = []
  let part = ""
  for (const line of text.split("\n")) {
    if (part !== "" && part.length + line.length >= length) {
      all.push(part)
      part = ""
    }
    part += part === "" ? line : `\n${line}`
  }
  return [...all, part]
}

const read = defineTool({
  name: "browser_read",
  description: "Read the open page, with a ref for each element.",
  input: {
    type: "object",
    properties: { part: { type: "integer", minimum: 1 } },
    required: [],
    additionalProperties: false
  },
  effect: "pure",
  execute: ({ part = 1 }: { readonly part?: number }, ctx) =>
    withBrowser(ctx, (session) =>
      Effect.gen(function* () {
        const page = yield* pageOf(session)
        const snapshot = yield* askPage(session, (signal) => page.ariaSnapshot({ mode: "ai", signal }))
        const all = parts(snapshot, partLength)
        const text = all[part - 1]
        if (text === undefined) return yield* refuse("not_found", `the page has ${all.length} parts`)
        return { ...(yield* stateOf(session)), part, parts: all.length, text }
      })
    ),
  toModel: (result) =>
    `${stateText(result)}${result.parts > 1 ? `\npart ${result.part} of ${result.parts}` : ""}\n${result.text}`
})

/** A call that does something to an element. */
const act = (ctx: ToolContext, ref: string, what: (locator: Locator, timeout: number) => Promise<unknown>) =>
  withBrowser(ctx, (session) => actOn(session, ctx.workspace.net, ref, what))

const click = defineTool({
  name: "browser_click",
  description: "Click an element of the page.",
  input: { type: "object", properties: { ref }, required: ["ref"], additionalProperties: false },
  effect: "irreversible",
  execute: (args: { readonly ref: string }, ctx) =>
    act(ctx, args.ref, (it, timeout) => it.click({ timeout })),
  toModel: stateText
})

const type = defineTool({
  name: "browser_type",
  description: "Type a text into a field of the page.",
  input: {
    type: "object",
    properties: { ref, text: { type: "string" }, submit: { type: "boolean" } },
    required: ["ref", "text"],
    additionalProperties: false
  },
  effect: "irreversible",
  critical: ["text"],
  execute: (args: { readonly ref: string; readonly text: string; readonly submit?: boolean }, ctx) =>
    act(ctx, args.ref, async (it, timeout) => {
      await it.fill(args.text, { timeout })
      if (args.submit === true) await it.press("Enter", { timeout })
    }),
  toModel: stateText
})

const select = defineTool({
  name: "browser_select",
  description: "Choose an option of a list on the page.",
  input: {
    type: "object",
    properties: { ref, value: { type: "string" } },
    required: ["ref", "value"],
    additionalProperties: false
  },
  effect: "irreversible",
  execute: (args: { readonly ref: string; readonly value: string }, ctx) =>
    act(ctx, args.ref, (it, timeout) => it.selectOption(args.value, { timeout })),
  toModel: stateText
})

const screenshot = defineTool({
  name: "browser_screenshot",
  description: "Save a picture (PNG) of the page to a file.",
  input: {
    type: "object",
    properties: { path: { type: "string" } },
    required: ["path"],
    additionalProperties: false
  },
  effect: "reversible",
  execute: ({ path }: { readonly path: string }, ctx) =>
    withBrowser(ctx, (session) =>
      Effect.gen(function* () {
        const page = yield* pageOf(session)
        const bytes = yield* askPage(session, () => page.screenshot({ timeout: 0 }))
        yield* ctx.workspace.writeFile(path, bytes)
        return { path, bytes: bytes.length }
      })
    ),
  toModel: () => "ok"
})

/** True if there is a page before in its history: more than the empty one that every page begins with. */
const hasBefore = async (session: Session, page: Page): Promise<boolean> => {
  const cdp = await session.context.newCDPSession(page)
  const { currentIndex, entries } = await cdp.send("Page.getNavigationHistory")
  await cdp.detach()
  return (entries[currentIndex - 1]?.url ?? "about:blank") !== "about:blank"
}

/** To the page before in the history; where there is none, from a popup to the page that opened it. */
const goBack = Effect.fnUntraced(function* (session: Session) {
  const page = yield* pageOf(session)
  const { load } = yield* Patience
  if (yield* askPage(session, () => hasBefore(session, page)))
    yield* ask(load, () => page.goBack({ waitUntil: "commit", timeout: 0 }), `no answer within ${load} s`)
  else if (session.pages.length > 1) session.abandon(page)
  else return yield* refuse("not_found", "there is no page before this one")
  if (session.page !== undefined) yield* loaded(session, session.page)
  return yield* stateOf(session)
})

const back = defineTool({
  name: "browser_back",
  description: "Go back to the page before.",
  input: { type: "object", properties: {}, required: [], additionalProperties: false },
  effect: "pure",
  execute: (_: object, ctx) => withBrowser(ctx, goBack),
  toModel: stateText
})

const download = defineTool({
  name: "browser_download",
  description: "Click an element that downloads, and save to a file.",
  input: {
    type: "object",
    properties: { ref, path: { type: "string" } },
    required: ["ref", "path"],
    additionalProperties: false
  },
  effect: "irreversible",
  execute: (args: { readonly ref: string; readonly path: string }, ctx) =>
    withBrowser(ctx, (session) =>
      Effect.gen(function* () {
        const { net, writeFile } = ctx.workspace
        yield* actOn(session, net, args.ref, (it, timeout) => it.click({ timeout }))
        const body = yield* contentOf(session, net)
        yield* writeFile(args.path, body)
        return { path: args.path, bytes: body.length }
      })
    ),
  toModel: () => "ok"
})

export const browserTools: ReadonlyArray<AnyTool> = [
  open,
  read,
  click,
  type,
  select,
  screenshot,
  back,
  download
]
