/** Reading the web without a browser. */
import { realpathSync } from "node:fs"
import { createRequire } from "node:module"
import { basename, dirname, join, sep } from "node:path"
import { Effect } from "effect"
import { defineTool, refuse, ToolError } from "../kernel/tool.ts"
import type { HttpResponse } from "../sandbox/egress.ts"
import { nodeInside } from "../sandbox/network.ts"
import type { Completed, Mount, Workspace } from "../sandbox/sandbox.ts"
import type { Page, Readable } from "./readable.ts"

/** Wall clock of the program that reads a page, seconds; its heap, MiB; bytes of what it gives. */
const bounds = { seconds: 10, heap: 256, output: 32 * 1024 * 1024 }

/** Where the program and its libraries are in the sandbox. */
const inside = "/opt/noos/reader"

/**
 * The program, and what it has to see: itself and the folder of packages that its libraries lie in, which in an installed noos
 * holds the program too.
 */
const reader = (): { readonly program: string; readonly mounts: ReadonlyArray<Mount> } => {
  const program = import.meta.filename.replace(/web(\.[jt]s)$/, "readable$1")
  const library = realpathSync(createRequire(import.meta.url).resolve("parse5"))
  const packages = library.slice(
    0,
    library.indexOf(`${sep}node_modules${sep}`) + sep.length + "node_modules".length
  )
  const seen = { from: packages, to: `${inside}/node_modules` }
  if (program.startsWith(packages + sep))
    return { program: seen.to + program.slice(packages.length), mounts: [seen] }
  const own = { from: program, to: `${inside}/tools/${basename(program)}` }
  const type = { from: join(dirname(program), "../package.json"), to: `${inside}/package.json` }
  return { program: own.to, mounts: [seen, own, type] }
}

/** The readable text of a page, made in the sandbox, where there is neither the workspace nor a network. */
const readableOf = Effect.fnUntraced(function* (workspace: Workspace, page: Page) {
  const { mounts, program } = reader()
  const ended = yield* workspace.run(
    [nodeInside.to, `--max-old-space-size=${bounds.heap}`, "--disable-warning=ExperimentalWarning", program],
    {
      stdin: JSON.stringify(page),
      workspace: "none",
      mounts: [nodeInside, ...mounts],
      limits: { seconds: bounds.seconds, memoryMiB: 1024 * 1024, outputBytes: bounds.output }
    }
  )
  if (ended.reason === "timeout")
    return yield* refuse("timeout", `the page takes more than ${bounds.seconds} s to read: ${page.url}`)
  const read = yield* Effect.try({
    try: () => JSON.parse(ended.stdout) as Readable,
    catch: () => new ToolError({ code: "failed", message: whyUnread(ended, page.url) })
  })
  return read
})

const whyUnread = ({ exitCode, reason, signal, stderr }: Completed, url: string): string => {
  if (reason !== "exit" || signal !== null || /heap out of memory/i.test(stderr))
    return `too much of a page to be read: ${url}`
  return `the page could not be read (exit ${exitCode}): ${stderr.trim().split("\n")[0]?.slice(0, 200)}`
}

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
      const page = html
        ? yield* readableOf(workspace, { html: text, url: response.url })
        : { title: "", text }
      return { url: response.url, ...page }
    }),
  toModel: ({ title, text }) => (title === "" ? text : `# ${title}\n\n${text}`)
})
