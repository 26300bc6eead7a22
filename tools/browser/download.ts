/** What a page wanted to download. Chromium itself never saves anything: it is asked for once more, within a ceiling. */
import { Effect } from "effect"
import { refuse, type ToolError } from "../../kernel/tool.ts"
import type { Egress } from "../../sandbox/egress.ts"
import { askPage, soon } from "./act.ts"
import type { Session } from "./session.ts"

/** Bytes. */
const maxDownload = 64 * 1024 * 1024

/** A file that a script of the page made. Only the page knows it. */
const made = Effect.fnUntraced(function* (session: Session, url: string) {
  const { page } = session
  if (page === undefined) return yield* refuse("not_found", "no page is open any more: call browser_open")
  const base64 = yield* askPage(session, () =>
    page.evaluate(
      async ([from, max]) => {
        const blob = await (await fetch(from)).blob()
        if (blob.size > max) return undefined
        const bytes = new Uint8Array(await blob.arrayBuffer())
        let binary = ""
        for (let at = 0; at < bytes.length; at += 32_768)
          binary += String.fromCharCode(...bytes.subarray(at, at + 32_768))
        return btoa(binary)
      },
      [url, maxDownload] as const
    )
  )
  return base64 === undefined
    ? yield* refuse("too_large", `more than ${maxDownload} bytes`)
    : Buffer.from(base64, "base64")
})

/** The bytes of the download that the latest act wanted to make. */
export const contentOf = Effect.fnUntraced(function* (
  session: Session,
  net: Egress
): Effect.fn.Return<Uint8Array, ToolError> {
  // It begins when the server has answered, which can be after the act.
  yield* soon((signal) => session.downloads.reach(1, signal))
  const { download, lost } = session
  if (download === undefined) return yield* refuse("no_match", "that downloads nothing")
  const url = download.url()
  if (/^(blob|data):/.test(url)) return yield* made(session, url)
  if (lost !== undefined && lost.url() === url && lost.method() !== "GET")
    return yield* refuse("failed", "the answer to a form is asked for once only, and cannot be saved")
  const cookies = yield* askPage(session, () => session.context.cookies(url))
  const { status, body } = yield* net.fetch({
    url,
    headers: cookies.length === 0 ? {} : { cookie: cookies.map((it) => `${it.name}=${it.value}`).join("; ") },
    maxBytes: maxDownload
  })
  return status === 200 ? body : yield* refuse("failed", `the server answered with status ${status}`)
})
