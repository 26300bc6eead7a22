/** Reading the web without a browser. */
import { Effect } from "effect"
import { execa } from "execa"
import { defineTool, refuse, ToolError } from "../kernel/tool.ts"
import type { HttpResponse } from "../sandbox/egress.ts"
import { systemPath } from "../sandbox/launch.ts"
import type { Page, Readable } from "./readable.ts"

/** Bounds of the program that reads a page. */
const seconds = 10
const memoryMiB = 256

const program = import.meta.filename.replace(/web(\.[jt]s)$/, "readable$1")

/** No more is granted than to read files: it has its own libraries to load. The processor time outlives us if we are killed. */
const reader = [
  ...[`--cpu=${seconds}`, "--core=0", "--", process.execPath, "--permission", "--allow-fs-read=*"],
  ...[`--max-old-space-size=${memoryMiB}`, "--disable-warning=ExperimentalWarning", program]
]

/** The readable text of a page, made by a program that is ended when it takes too much. */
const readableOf = (page: Page): Effect.Effect<Readable, ToolError> =>
  Effect.tryPromise({
    try: async (signal) => {
      const { stdout } = await execa("prlimit", reader, {
        input: JSON.stringify(page),
        cwd: "/",
        env: { PATH: systemPath },
        extendEnv: false,
        cancelSignal: signal,
        forceKillAfterDelay: false,
        killSignal: "SIGKILL"
      })
      return JSON.parse(stdout) as Readable
    },
    catch: () => new ToolError({ code: "failed", message: `too much of a page to be read: ${page.url}` })
  }).pipe(
    Effect.timeoutOrElse({
      duration: `${seconds} seconds`,
      orElse: () => refuse("timeout", `the page takes more than ${seconds} s to read: ${page.url}`)
    })
  )

const htmlTypes = ["text/html", "application/xhtml+xml"]
const textTypes =
  /^(text\/.*|application\/(.*\+)?(json|xml|yaml|toml|javascript|ecmascript|x-ndjson|x-www-form-urlencoded|sql|x-sh))$/

/** The character coding that a page names: the mark at its beginning, the header, then the page itself (WHATWG HTML). */
const charsetOf = (body: Uint8Array, header: string | undefined, html: boolean): string => {
  if (body[0] === 0xff && body[1] === 0xfe) return "utf-16le"
  if (body[0] === 0xfe && body[1] === 0xff) return "utf-16be"
  if (body[0] === 0xef && body[1] === 0xbb && body[2] === 0xbf) return "utf-8"
  if (header !== undefined) return header
  if (!html) return "utf-8"
  const head = Buffer.from(body.subarray(0, 1024)).toString("latin1")
  const named = /<meta[^>]*?charset\s*=\s*["']?\s*([\w.:-]+)/i.exec(head)?.[1] ?? "utf-8"
  // What could be read as Latin letters is not in two bytes each.
  return /^utf-16/i.test(named) ? "utf-8" : named
}

const decode = (body: Uint8Array, charset: string): string => {
  try {
    return new TextDecoder(charset).decode(body)
  } catch {
    return new TextDecoder().decode(body) // there is no such coding
  }
}

/** The text of an answer, and whether it is HTML. */
const textOf = ({ url, headers, body }: HttpResponse) => {
  const [type = "", ...parameters] = (headers["content-type"] ?? "").split(";").map((part) => part.trim())
  const header = parameters
    .map((part) => /^charset="?([^"]+)"?$/i.exec(part)?.[1])
    .find((name) => name !== undefined)
  const named = type.toLowerCase()
  const beginning = Buffer.from(body.subarray(0, 512)).toString("latin1").trimStart().toLowerCase()
  const html =
    htmlTypes.includes(named) ||
    (named === "" && (beginning.startsWith("<!doctype html") || beginning.startsWith("<html")))
  const text = decode(body, charsetOf(body, header, html))
  const isText = html || textTypes.test(named) || named === ""
  return isText && (html || !text.includes("\0"))
    ? Effect.succeed({ html, text })
    : refuse("not_text", `not a text but ${named || "bytes"}: ${url}`)
}

export const webFetch = defineTool({
  name: "web_fetch",
  description: "Get a web page as text.",
  input: {
    type: "object",
    properties: { url: { type: "string" } },
    required: ["url"],
    additionalProperties: false
  },
  output: {
    type: "object",
    properties: {
      url: { type: "string" },
      title: { type: "string" },
      text: { type: "string" }
    },
    required: ["url", "title", "text"]
  },
  effect: "pure",
  critical: ["url"],
  execute: ({ url }: { readonly url: string }, { workspace }) =>
    Effect.gen(function* () {
      const response = yield* workspace.net.fetch({
        url,
        headers: {
          accept:
            "text/html,application/xhtml+xml,text/markdown,text/*;q=0.9,application/json;q=0.9,*/*;q=0.5"
        }
      })
      const { status } = response
      if (status < 200 || status > 299)
        return yield* new ToolError({
          code: status === 404 || status === 410 ? "not_found" : "failed",
          message: `the server answered with status ${status}: ${response.url}`,
          retryable: status === 429 || status >= 500
        })
      const { html, text } = yield* textOf(response)
      const page = html ? yield* readableOf({ html: text, url: response.url }) : { title: "", text }
      return { url: response.url, ...page }
    }),
  toModel: ({ title, text }) => (title === "" ? text : `# ${title}\n\n${text}`)
})
