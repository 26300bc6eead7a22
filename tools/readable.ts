/**
 * Makes readable text of a web page: a program of its own, as pages are other people's and may be made to take all the
 * time and memory there is. It reads a page as JSON and writes what is readable as JSON. Nothing in a page is run or loaded.
 */
import { text as readAll } from "node:stream/consumers"
import { isProbablyReaderable, Readability } from "@mozilla/readability"
import { parseHTML } from "linkedom"
import { parse as parseAll, serialize } from "parse5"
import Turndown from "turndown"

/** What it is given. */
export interface Page {
  readonly html: string
  readonly url: string
}

/** What it gives. `text` is Markdown. */
export interface Readable {
  readonly title: string
  readonly text: string
}

/** The little of the DOM that is used here. */
interface Element {
  readonly textContent: string | null
  getAttribute(name: string): string | null
  setAttribute(name: string, value: string): void
  removeAttribute(name: string): void
  remove(): void
}
interface Document {
  readonly body: Element
  querySelector(selector: string): Element | null
  querySelectorAll(selector: string): Iterable<Element>
}

/** Elements of which nothing is to be read. */
const unread = "script, style, noscript, template, svg, canvas, iframe, object, embed, link, meta, [hidden]"

/** The page with all the tags that its author may leave out (WHATWG HTML, 13.1.2.4), which linkedom wants to see. */
const complete = (html: string): string => {
  try {
    return serialize(parseAll(html))
  } catch (cause) {
    if (cause instanceof RangeError) return html // nested deeper than the stack
    throw cause
  }
}

const parse = ({ html, url }: Page): Document => {
  const { document } = parseHTML(complete(html)) as unknown as { readonly document: Document }
  for (const element of document.querySelectorAll(unread)) element.remove()
  for (const link of document.querySelectorAll("a[href]")) {
    const to = URL.parse(link.getAttribute("href") ?? "", url)
    if (to !== null && /^(https?|mailto):$/.test(to.protocol)) link.setAttribute("href", to.href)
    else link.removeAttribute("href")
  }
  return document
}

const markdown = new Turndown({ headingStyle: "atx", codeBlockStyle: "fenced", bulletListMarker: "-" })
markdown.addRule("picture", {
  filter: "img",
  replacement: (_content, node) => (node as unknown as Element).getAttribute("alt")?.trim() ?? ""
})
markdown.addRule("cell", { filter: ["td", "th"], replacement: (content) => `${content.trim()} | ` })
markdown.addRule("row", { filter: "tr", replacement: (content) => `${content.trimEnd()}\n` })

/** The article if the page is one, else all of it. */
const main = (page: Page): { readonly title: string; readonly body: Element } => {
  const document = parse(page)
  const title = document.querySelector("title")?.textContent?.trim() ?? ""
  const node = document as unknown as ConstructorParameters<typeof Readability>[0]
  if (!isProbablyReaderable(node)) return { title, body: document.body }
  const article = new Readability<Element>(node, { serializer: (root) => root as unknown as Element }).parse()
  return article?.content
    ? { title: article.title?.trim() || title, body: article.content }
    : { title, body: parse(page).body }
}

const readable = (page: Page): Readable => {
  const { title, body } = main(page)
  const text = markdown.turndown(body as unknown as Parameters<Turndown["turndown"]>[0])
  return {
    title: title.replace(/\s+/g, " "),
    text: text.replace(/[ \t]+\n/g, "\n").replace(/\n{3,}/g, "\n\n")
  }
}

/** The words alone, for what is nested too deep to be understood. */
const words = (page: Page): Readable => ({
  title: "",
  text: (parse(page).body.textContent ?? "").replace(/\s*\n\s*/g, "\n").trim()
})

const attempt = (page: Page): Readable => {
  try {
    return readable(page)
  } catch (cause) {
    if (cause instanceof RangeError) return words(page) // the stack is full
    throw cause
  }
}

process.stdout.write(JSON.stringify(attempt(JSON.parse(await readAll(process.stdin)) as Page)))
