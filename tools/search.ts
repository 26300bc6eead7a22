/**
 * Finding text in the workspace's files.
 *
 * The search is grep's, run in the sandbox: whatever the files are while it runs, it cannot see anything else.
 */
import { Effect } from "effect"
import { defineTool, type ToolContext, ToolError } from "../kernel/tool.ts"
import { onOneLine } from "./text.ts"

/** Matching lines that one search gives, and characters of each. */
const maxMatches = 200
const maxLine = 500
/** Bytes of grep's output that are looked at. */
const maxBytes = 1024 * 1024

interface Match {
  readonly path: string
  readonly line: number
  readonly text: string
}

/** The matching lines, by path and line. `more`: there are others. */
interface Result {
  readonly matches: ReadonlyArray<Match>
  readonly more: boolean
}

/** grep(1): recursive, literal, with line numbers, NUL after the name; no binary files, devices or messages. */
const grep = [
  ...(["grep", "-rnFIHZs", "-D", "skip", "-m", `${maxMatches + 1}`] as const),
  ...["--exclude-dir=.git", "--exclude-dir=node_modules"]
] as const

/** Is it a file? Folders are no error here; what is neither, missing or outside is. */
const isFile = (workspace: ToolContext["workspace"], path: string): Effect.Effect<boolean, ToolError> =>
  workspace.readFile(path, { maxBytes: 0 }).pipe(
    Effect.as(true),
    Effect.catchIf(
      (error) => error.message.startsWith("is a folder"),
      () => Effect.succeed(false)
    )
  )

/** One match of grep's output. A name ends at NUL and may hold anything else; a last line may be cut off. */
const oneMatch = /(?:\.\/)?([^\0]*)\0(\d+):([^\n]*)(?:\n|$)/y

const parse = (output: string, prefix: string): ReadonlyArray<Match> => {
  const matches: Array<Match> = []
  oneMatch.lastIndex = 0
  for (let found = oneMatch.exec(output); found !== null; found = oneMatch.exec(output)) {
    const [, name = "", line = "", text = ""] = found
    matches.push({ path: prefix + name, line: Number(line), text: text.slice(0, maxLine) })
  }
  return matches
}

const compare = (a: Match, b: Match): number => (a.path < b.path ? -1 : a.path > b.path ? 1 : a.line - b.line)

interface Args {
  readonly text: string
  readonly path?: string
}

export const fsSearch = defineTool({
  name: "fs_search",
  description: "Find the lines that contain a text.",
  input: {
    type: "object",
    properties: { text: { type: "string" }, path: { type: "string" } },
    required: ["text"],
    additionalProperties: false
  },
  effect: "pure",
  execute: Effect.fn("fs_search")(function* ({ text, path = "" }: Args, { workspace }: ToolContext) {
    if (text === "" || /[\n\0]/.test(text)) {
      const message = text === "" ? "the text to find is empty" : "the text to find must be one line"
      return yield* new ToolError({ code: "bad_input", message })
    }
    const file = yield* isFile(workspace, path)
    const names = path.split("/").filter((name) => name !== "" && name !== ".")
    const ended = yield* workspace.run([...grep, "-e", text, "--", file ? `./${path}` : "."], {
      ...(!file && { cwd: path }),
      limits: { outputBytes: maxBytes }
    })
    if (ended.reason === "timeout") {
      return yield* new ToolError({ code: "timeout", message: "the search took too long: name a folder" })
    }
    if (ended.stdout === "" && ended.stderr !== "") {
      return yield* new ToolError({ code: "failed", message: ended.stderr.trim() })
    }
    const prefix = file || names.length === 0 ? "" : `${names.join("/")}/`
    const matches = parse(ended.stdout, prefix).toSorted(compare)
    const result: Result = {
      matches: matches.slice(0, maxMatches),
      more: matches.length > maxMatches || ended.reason === "output"
    }
    return result
  }),
  toModel: ({ matches, more }: Result) =>
    matches.length === 0
      ? "no match"
      : matches.map((m) => `${onOneLine(m.path)}:${m.line}: ${m.text}`).join("\n") +
        (more ? "\n[more matches left out]" : "")
})
