/** Acts on a page: how they begin, how long they may take, and what is told about them. */
import { Effect } from "effect"
import type { Locator, Page } from "playwright-core"
import { messageOf, refuse, type ToolContext, ToolError } from "../../kernel/tool.ts"
import type { Egress } from "../../sandbox/egress.ts"
import { onOneLine } from "../text.ts"
import { openSession, Patience, type Session } from "./session.ts"

/** Where the browser is after an act, and what else happened. */
export interface State {
  readonly url: string
  readonly title: string
  /** Dialogs, popups, refused downloads, loads that go on. */
  readonly notes: ReadonlyArray<string>
}

/** What the model reads of it. */
export const stateText = ({ url, title, notes }: State): string =>
  [title === "" ? url : `${title} ${url}`, ...notes].join("\n")

const handle = "browser"

/** The current page. */
export const pageOf = (session: Session): Effect.Effect<Page, ToolError> => {
  const { page } = session
  return page === undefined || page.url() === "about:blank"
    ? refuse("not_found", "no page is open: call browser_open")
    : Effect.succeed(page)
}

/** Something asked of Chromium, which may take so many seconds. */
export const ask = <A>(
  seconds: number,
  what: (signal: AbortSignal) => Promise<A>,
  late: string
): Effect.Effect<A, ToolError> =>
  Effect.tryPromise({
    try: what,
    catch: (cause) => new ToolError({ code: "failed", message: onOneLine(messageOf(cause)) })
  }).pipe(
    Effect.timeoutOrElse({
      duration: `${seconds} seconds`,
      orElse: () => Effect.fail(new ToolError({ code: "timeout", message: late, retryable: true }))
    })
  )

/** Something asked of the page itself, whose scripts may never let it answer. */
export const askPage = Effect.fnUntraced(function* <A>(
  session: Session,
  what: (signal: AbortSignal) => Promise<A>
) {
  const { load } = yield* Patience
  return yield* ask(load, what, "the page does not answer: open it again, or another").pipe(
    Effect.tapError(({ code }) =>
      Effect.sync(() => {
        if (code === "timeout") session.hangs = true
      })
    )
  )
})

/** Waits for what follows at once, or not at all. */
export const soon = Effect.fnUntraced(function* (what: (signal: AbortSignal) => Promise<void>) {
  const { act } = yield* Patience
  yield* Effect.ignore(ask(act, what, ""))
})

/** Waits for the error page of a load that failed: it would come in between what is loaded next. */
const errorPage = (session: Session) => soon((signal) => session.errors.reach(1, signal))

/** Waits until the page has been read to its end, and then a little for its pictures and scripts. */
export const loaded = Effect.fnUntraced(function* (session: Session, page: Page) {
  const { load, act } = yield* Patience
  yield* ask(
    load,
    () => page.waitForLoadState("domcontentloaded", { timeout: 0 }),
    `still loading after ${load} s: browser_read shows what is there`
  )
  yield* ask(act, () => page.waitForLoadState("load", { timeout: 0 }), "").pipe(
    Effect.catchIf(
      (error) => error.code === "timeout",
      () => Effect.sync(() => session.note("still loading"))
    )
  )
})

/** What went wrong, in our words instead of Chromium's and Playwright's. */
const explain = Effect.fnUntraced(function* (session: Session, net: Egress, error: ToolError) {
  const closed = session.takeClosed()
  if (closed !== undefined) return yield* refuse("limit", closed)
  if (error.code !== "failed") return yield* error
  if (error.message.includes("Download is starting")) {
    yield* soon((signal) => session.downloads.reach(1, signal))
    return yield* refuse("denied", "that is a download, not a page: browser_download saves one")
  }
  const code = /net::(ERR_\w+)/.exec(error.message)?.[1]
  if (code !== undefined && code !== "ERR_ABORTED") yield* errorPage(session)
  const url = session.lost?.url()
  // Refused by the proxy, most likely: ask why.
  if (code === "ERR_TUNNEL_CONNECTION_FAILED" && url !== undefined) yield* net.check(url)
  if (code === "ERR_UNSAFE_REDIRECT")
    return yield* refuse("denied", "the page redirects to what is neither http nor https")
  if (code === "ERR_TOO_MANY_REDIRECTS") return yield* refuse("failed", "the page redirects without end")
  return yield* code === undefined ? error : refuse("unavailable", `cannot load the page: ${code}`)
})

/** Does something with the process's browser, which is opened by the first call that needs it. */
export const withBrowser = <A>(
  { handles, workspace: { net } }: ToolContext,
  body: (session: Session) => Effect.Effect<A, ToolError>
): Effect.Effect<A, ToolError> =>
  Effect.gen(function* () {
    const session = yield* handles.open(handle, openSession(net))
    if (session.context.browser()?.isConnected() !== true) {
      yield* handles.close(handle)
      return yield* refuse("unavailable", "the browser ended: open the page again")
    }
    session.begin()
    return yield* body(session).pipe(
      Effect.catch((error) => explain(session, net, error)),
      // What is told with an error is the error.
      Effect.onError(() => Effect.sync(() => session.takeNotes()))
    )
  })

/** Where the browser is now. A page that hangs has no title. */
export const stateOf = Effect.fnUntraced(function* (session: Session) {
  const closed = session.takeClosed()
  if (closed !== undefined) return yield* refuse("limit", closed)
  const { page } = session
  if (page === undefined) return yield* refuse("not_found", "no page is open any more: call browser_open")
  const title = yield* askPage(session, () => page.title()).pipe(
    Effect.catchIf(
      (error) => error.code === "timeout",
      () => {
        session.note("the page does not answer")
        return Effect.succeed("")
      }
    )
  )
  return {
    url: page.url(),
    title: onOneLine(title.slice(0, 300)),
    notes: session.takeNotes()
  } satisfies State
})

/** The element of a reference that browser_read gave. */
const element = Effect.fnUntraced(function* (session: Session, page: Page, ref: string) {
  const stale = refuse("not_found", `no element ${onOneLine(ref.slice(0, 40))}: read the page again`)
  if (!/^[a-z0-9]{1,20}$/.test(ref)) return yield* stale
  const locator = page.getByRef(ref)
  const count = yield* askPage(session, () => locator.count()).pipe(
    Effect.catchIf(
      (error) => error.code === "failed",
      () => stale
    )
  )
  return count === 1 ? locator : yield* stale
})

/**
 * Begins to count the windows that a page opens; what it gives waits for them. Chromium says that one opens before it
 * answers to the click, and that it is there only later.
 */
const watchPopups = Effect.fnUntraced(function* (session: Session, page: Page) {
  const cdp = yield* Effect.acquireRelease(
    askPage(session, () => session.context.newCDPSession(page)),
    (it) => Effect.sync(() => void it.detach().catch(() => {})) // gone with its page, most likely
  )
  let windows = 0
  cdp.on("Page.windowOpen", () => windows++)
  yield* askPage(session, () => cdp.send("Page.enable"))
  return soon((signal) => session.came.reach(windows, signal))
})

/** Does something to an element, and waits for the page that it may lead to. `timeout` in milliseconds. */
export const actOn = Effect.fnUntraced(function* (
  session: Session,
  net: Egress,
  ref: string,
  what: (locator: Locator, timeout: number) => Promise<unknown>
) {
  const page = yield* pageOf(session)
  const locator = yield* element(session, page, ref)
  const { act } = yield* Patience
  const popups = yield* watchPopups(session, page)
  yield* askPage(session, () => what(locator, act * 1000)).pipe(
    Effect.catchIf(
      (error) => error.message.includes("Timeout"),
      () => refuse("failed", `${ref} cannot be used: it is hidden, disabled or covered, or of another kind`)
    )
  )
  yield* popups
  const current = session.page
  if (current !== undefined)
    yield* loaded(session, current).pipe(
      Effect.catchIf(
        (error) => error.code === "timeout",
        () => Effect.sync(() => session.note("still loading"))
      )
    )
  const { lost } = session
  if (lost !== undefined) {
    yield* errorPage(session)
    yield* net.check(lost.url())
    session.note(`could not be loaded: ${lost.failure()?.errorText ?? ""} ${lost.url()}`)
  }
  return yield* stateOf(session)
}, Effect.scoped)
