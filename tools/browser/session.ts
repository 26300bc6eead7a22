/** A process's browser: one isolated context, its pages, and what happened in them since it was last asked. */
import { Context, Effect, type Scope } from "effect"
import type { BrowserContext, Dialog, Download, Page, Request } from "playwright-core"
import { ToolError } from "../../kernel/tool.ts"
import { chromium } from "../../sandbox/chromium.ts"
import type { Egress } from "../../sandbox/egress.ts"
import { onOneLine } from "../text.ts"

/** How long pages are waited for, seconds. */
export const Patience = Context.Reference<{ readonly load: number; readonly act: number }>(
  "noos/browser/Patience",
  { defaultValue: () => ({ load: 15, act: 5 }) }
)

/** Pages that may be open at once. Popups past it are closed as they come. */
const maxPages = 4
/** Dialogs answered in one call. A page that opens more is closed: it may never stop. */
const maxDialogs = 20
/** What happened is told up to so many times. */
const maxNotes = 10

/** Counts what happens in one call, and lets it be waited for. */
class Tally {
  private count = 0
  private wake = (): void => {}

  add(): void {
    this.count++
    this.wake()
  }

  reset(): void {
    this.count = 0
  }

  async reach(count: number, signal: AbortSignal): Promise<void> {
    while (this.count < count && !signal.aborted)
      await new Promise<void>((resolve) => {
        this.wake = resolve
        signal.addEventListener("abort", () => resolve(), { once: true })
      })
  }
}

export class Session {
  readonly context: BrowserContext
  /** Open pages, the current one last. */
  readonly pages: Array<Page> = []
  /** What happened since the last call was answered: dialogs, popups, downloads. */
  private notes: Array<string> = []
  private dialogs = 0
  /** Pages that have come, error pages that were shown, and downloads that were refused. */
  readonly came = new Tally()
  readonly errors = new Tally()
  readonly downloads = new Tally()
  /** Why the current page was closed under the model. */
  private closed: string | undefined
  /** What the current page last failed to load in its own place. An error page follows. */
  lost: Request | undefined
  /** The current page did not answer: the next one that is opened replaces it. */
  hangs = false
  /** The latest download that a page wanted to make. */
  download: Download | undefined

  constructor(context: BrowserContext) {
    this.context = context
    context.on("page", (page) => this.opened(page))
    context.on("dialog", (dialog) => this.answer(dialog))
    context.on("requestfailed", (request) => this.failed(request))
    context.on("download", (download) => {
      this.download = download
      this.downloads.add()
      this.note(`download refused: ${download.suggestedFilename()} (browser_download saves it)`)
    })
  }

  get page(): Page | undefined {
    return this.pages.at(-1)
  }

  /** Makes ready for another call. */
  begin(): void {
    this.dialogs = 0
    this.lost = undefined
    this.download = undefined
    for (const tally of [this.came, this.errors, this.downloads]) tally.reset()
  }

  note(text: string): void {
    const line = onOneLine(text.slice(0, 300))
    if (line === this.notes.at(-1)) return
    if (this.notes.length < maxNotes) this.notes.push(line)
    else if (this.notes.length === maxNotes) this.notes.push("and more")
  }

  takeNotes(): ReadonlyArray<string> {
    const { notes } = this
    this.notes = []
    return notes
  }

  /** Why the page is gone, once. */
  takeClosed(): string | undefined {
    const { closed } = this
    this.closed = undefined
    return closed
  }

  /** Closes a page, saying why. */
  abandon(page: Page, why?: string): void {
    if (why !== undefined) this.closed ??= why
    this.forget(page)
    void page.close().catch(() => {}) // one that hangs closes in its own time
  }

  private forget(page: Page): void {
    const at = this.pages.indexOf(page)
    if (at >= 0) this.pages.splice(at, 1)
  }

  private opened(page: Page): void {
    this.came.add()
    if (this.pages.length >= maxPages) {
      this.note("a popup was closed: too many are open")
      return void page.close().catch(() => {})
    }
    if (this.pages.length > 0)
      this.note("a new page was opened and is now the current one (browser_back closes it)")
    this.pages.push(page)
    page.once("close", () => this.forget(page))
    page.on("framenavigated", (frame) => {
      if (frame === page.mainFrame() && frame.url().startsWith("chrome-error:")) this.errors.add()
    })
    page.once("crash", () => this.abandon(page, "the page crashed and was closed: open it again"))
  }

  private answer(dialog: Dialog): void {
    const page = dialog.page()
    const leaving = dialog.type() === "beforeunload"
    this.dialogs++
    if (this.dialogs > maxDialogs && page !== null)
      this.abandon(page, "the page opens dialogs without end and was closed")
    else if (!leaving) this.note(`${dialog.type()} dismissed: ${dialog.message()}`)
    // Asked whether it may be left, a page is left.
    void (leaving ? dialog.accept() : dialog.dismiss()).catch(() => {})
  }

  private failed(request: Request): void {
    if (!request.isNavigationRequest() || request.failure()?.errorText === "net::ERR_ABORTED") return
    const frame = request.frame()
    if (frame.parentFrame() === null && frame.page() === this.page) this.lost = request
  }
}

/** Opens a context whose only way to the network is a proxy of its own. It is gone when the scope closes. */
export const openSession = (net: Egress): Effect.Effect<Session, ToolError, Scope.Scope> =>
  Effect.gen(function* () {
    const { port, username, password } = yield* net.proxy
    const browser = yield* chromium
    const context = yield* Effect.acquireRelease(
      Effect.tryPromise({
        try: () =>
          browser.newContext({
            proxy: { server: `http://127.0.0.1:${port}`, username, password, bypass: "<-loopback>" },
            acceptDownloads: false,
            serviceWorkers: "block",
            locale: "en-US",
            viewport: { width: 1280, height: 800 }
          }),
        catch: () =>
          new ToolError({ code: "unavailable", message: "the browser ended: try again", retryable: true })
      }),
      (it) => Effect.promise(() => it.close().catch(() => {}))
    )
    return new Session(context)
  })
