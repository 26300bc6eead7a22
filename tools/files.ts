/** Reading, writing and changing the workspace's text files. */
import { Effect } from "effect"
import { defineTool, type ToolContext, ToolError } from "../kernel/tool.ts"
import type { Entry } from "../sandbox/sandbox.ts"
import { show } from "../sandbox/walk.ts"
import { onOneLine } from "./text.ts"

/** Bytes of text that one fs_read gives. */
const maxRead = 256 * 1024
/** Bytes looked through for the first line that was asked for, and the size of one look. */
const maxScan = 256 * 1024 * 1024
const chunk = 1024 * 1024
/** Bytes of a file that fs_edit changes or fs_write writes. */
const maxWhole = 16 * 1024 * 1024

const newline = 10

const notText = (path: string) =>
  new ToolError({ code: "not_text", message: `not a text file: ${show(path)}` })
const tooLarge = (path: string, bytes: number) =>
  new ToolError({ code: "too_large", message: `larger than ${bytes} bytes: ${show(path)}` })

/** UTF-8 without NUL, or not a text file. A byte order mark is kept. With `cut`, the last character may be broken. */
const decode = (path: string, bytes: Uint8Array, cut = false): Effect.Effect<string, ToolError> =>
  bytes.includes(0)
    ? Effect.fail(notText(path))
    : Effect.try({
        try: () => new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes, { stream: cut }),
        catch: () => notText(path)
      })

/** Lines in a text: a last one without a newline counts. */
const countLines = (text: string): number =>
  text.split("\n").length - (text === "" || text.endsWith("\n") ? 1 : 0)

/** The byte at which line `line` (from 1) starts; the end of the file if it has fewer lines. */
const startOfLine = Effect.fnUntraced(function* (
  workspace: ToolContext["workspace"],
  path: string,
  line: number
) {
  let missing = line - 1
  for (let offset = 0; missing > 0; offset += chunk) {
    if (offset >= maxScan) return yield* tooLarge(path, maxScan)
    const { bytes, size } = yield* workspace.readFile(path, { offset, maxBytes: chunk })
    let at = -1
    while (missing > 0) {
      at = bytes.indexOf(newline, at + 1)
      if (at < 0) break
      missing--
    }
    if (missing === 0) return offset + at + 1
    if (offset + bytes.length >= size || bytes.length === 0) return size
  }
  return 0
})

/** The bytes of the first `lines` lines. */
const firstLines = (bytes: Uint8Array, lines: number): Uint8Array => {
  let end = 0
  for (let n = 0; n < lines; n++) {
    const at = bytes.indexOf(newline, end)
    if (at < 0) return bytes
    end = at + 1
  }
  return bytes.subarray(0, end)
}

interface ReadArgs {
  readonly path: string
  readonly line?: number
  readonly lines?: number
}

/** Part of a text file: `lines` lines from line `line` on. `size` is the whole file's, bytes; `more`: it goes on. */
interface ReadResult {
  readonly text: string
  readonly size: number
  readonly line: number
  readonly lines: number
  readonly more: boolean
}

export const fsRead = defineTool({
  name: "fs_read",
  description: "Read a text file.",
  input: {
    type: "object",
    properties: { path: { type: "string" }, line: { type: "integer" }, lines: { type: "integer" } },
    required: ["path"],
    additionalProperties: false
  },
  effect: "pure",
  execute: Effect.fn("fs_read")(function* (args: ReadArgs, { workspace }: ToolContext) {
    const { path, line = 1, lines = Number.MAX_SAFE_INTEGER } = args
    if (line < 1 || lines < 1) {
      return yield* new ToolError({ code: "bad_input", message: "line and lines must be 1 or more" })
    }
    const offset = yield* startOfLine(workspace, path, line)
    const { bytes, size } = yield* workspace.readFile(path, { offset, maxBytes: maxRead })
    const part = firstLines(bytes, lines)
    const cut = part.length === bytes.length && offset + part.length < size
    const text = yield* decode(path, part, cut)
    const result: ReadResult = {
      text,
      size,
      line,
      lines: countLines(text),
      more: offset + part.length < size
    }
    return result
  }),
  // Without the last line's end, as shell shows its output: the model was trained on both.
  toModel: ({ line, lines, more, text }: ReadResult) => {
    const cut = more && Buffer.byteLength(text) > maxRead - 4
    return (
      text.replace(/\n$/, "") + (cut ? `\n[the file goes on: read it from line ${line + lines - 1}]` : "")
    )
  }
})

interface WriteArgs {
  readonly path: string
  readonly text: string
}

export const fsWrite = defineTool({
  name: "fs_write",
  description: "Write a text to a file, replacing it.",
  input: {
    type: "object",
    properties: { path: { type: "string" }, text: { type: "string" } },
    required: ["path", "text"],
    additionalProperties: false
  },
  effect: "reversible",
  critical: ["path", "text"],
  execute: Effect.fn("fs_write")(function* ({ path, text }: WriteArgs, { workspace }: ToolContext) {
    const bytes = new TextEncoder().encode(text)
    if (bytes.length > maxWhole) return yield* tooLarge(path, maxWhole)
    const { created } = yield* workspace.writeFile(path, bytes)
    return { created, bytes: bytes.length }
  }),
  toModel: () => "ok"
})

interface EditArgs {
  readonly path: string
  readonly old: string
  readonly new: string
}

/** Where `old` begins in `text`, overlapping places included. */
const occurrences = (text: string, old: string): ReadonlyArray<number> => {
  const places: Array<number> = []
  for (let at = text.indexOf(old); at >= 0; at = text.indexOf(old, at + 1)) places.push(at)
  return places
}

export const fsEdit = defineTool({
  name: "fs_edit",
  description: "Replace one piece of text in a file.",
  input: {
    type: "object",
    properties: { path: { type: "string" }, old: { type: "string" }, new: { type: "string" } },
    required: ["path", "old", "new"],
    additionalProperties: false
  },
  effect: "reversible",
  critical: ["path", "old", "new"],
  execute: Effect.fn("fs_edit")(function* (args: EditArgs, { workspace }: ToolContext) {
    const { path, old } = args
    if (old === "")
      return yield* new ToolError({ code: "bad_input", message: "the text to replace is empty" })
    const { bytes, size } = yield* workspace.readFile(path, { maxBytes: maxWhole })
    if (size > maxWhole) return yield* tooLarge(path, maxWhole)
    const text = yield* decode(path, bytes)
    const [at, ...others] = occurrences(text, old)
    if (at === undefined) {
      return yield* new ToolError({ code: "no_match", message: `text not found in ${show(path)}` })
    }
    if (others.length > 0) {
      const message = `text found ${others.length + 1} times in ${show(path)}`
      return yield* new ToolError({ code: "ambiguous", message })
    }
    yield* workspace.writeFile(path, text.slice(0, at) + args.new + text.slice(at + old.length))
    return { line: text.slice(0, at).split("\n").length }
  }),
  toModel: () => "ok"
})

export const fsList = defineTool({
  name: "fs_list",
  description: "List the files of a folder.",
  input: {
    type: "object",
    properties: { path: { type: "string" } },
    required: [],
    additionalProperties: false
  },
  effect: "pure",
  execute: Effect.fn("fs_list")(function* (
    { path = "." }: { readonly path?: string },
    { workspace }: ToolContext
  ) {
    return yield* workspace.list(path)
  }),
  toModel: (entries: ReadonlyArray<Entry>) =>
    entries.length === 0
      ? "empty"
      : entries.map((e) => onOneLine(e.name) + (e.kind === "directory" ? "/" : "")).join("\n")
})
