/**
 * The built-in tools as the prompt shows them, and the other names, arguments and descriptions under which training shows
 * them too, so that the list in the prompt has to be read.
 */
import type { ToolCard } from "../../kernel/prompt.ts"
import type { JsonSchema } from "../../kernel/schema.ts"
import { type Random, scramble, word } from "./language.ts"

/** An object schema that needs every property but the optional ones, and takes no other. */
export const object = (
  properties: Record<string, JsonSchema>,
  optional: ReadonlyArray<string> = []
): JsonSchema => ({
  type: "object",
  properties,
  required: Object.keys(properties).filter((k) => !optional.includes(k)),
  additionalProperties: false
})

/** The exact schemas of the built-in tools as the prompt shows them. A test holds them against the real ones. */
export const builtinCards: ReadonlyArray<ToolCard> = [
  {
    name: "shell",
    description: "Run a command line in the workspace.",
    input: object(
      {
        command: { anyOf: [{ type: "string" }, { type: "array", items: { type: "string" } }] },
        seconds: { type: "number" }
      },
      ["seconds"]
    )
  },
  {
    name: "fs_read",
    description: "Read a text file.",
    input: object({ path: { type: "string" }, line: { type: "integer" }, lines: { type: "integer" } }, [
      "line",
      "lines"
    ])
  },
  {
    name: "fs_write",
    description: "Write a text to a file, replacing it.",
    input: object({ path: { type: "string" }, text: { type: "string" } })
  },
  {
    name: "fs_edit",
    description: "Replace one piece of text in a file.",
    input: object({ path: { type: "string" }, old: { type: "string" }, new: { type: "string" } })
  },
  {
    name: "fs_list",
    description: "List the files of a folder.",
    input: object({ path: { type: "string" } }, ["path"])
  },
  {
    name: "fs_search",
    description: "Find the lines that contain a text.",
    input: object({ text: { type: "string" }, path: { type: "string" } }, ["path"])
  },
  {
    name: "calc",
    description: "Compute an arithmetic expression.",
    input: object({ expression: { type: "string" } })
  },
  {
    name: "exit",
    description: "End with the answer.",
    input: object({ answer: { type: "string" }, failed: { type: "boolean" } }, ["failed"])
  }
]

const positive: JsonSchema = { type: "integer", minimum: 1 }

/** The calls of memory that a process has by default, likewise. They come before `exit`. */
export const memoryCards: ReadonlyArray<ToolCard> = [
  {
    name: "recall",
    description: "Read a page again, or find the pages with a text.",
    input: object({ page: positive, part: positive, text: { type: "string" } }, ["page", "part", "text"])
  },
  {
    name: "note",
    description: "Note a text, to keep it in view.",
    input: object({ text: { type: "string" } })
  }
]

/** All that a process has by default. */
export const defaultCards: ReadonlyArray<ToolCard> = [
  ...builtinCards.slice(0, -1),
  ...memoryCards,
  ...builtinCards.slice(-1)
]

/** Other names, arguments and descriptions that the built-in tools get in training. */
const disguises: Record<
  string,
  {
    names: ReadonlyArray<string>
    args: Record<string, ReadonlyArray<string>>
    descriptions: ReadonlyArray<string>
  }
> = {
  shell: {
    names: ["run", "bash", "sh", "exec", "terminal", "run_command", "shell_run", "command"],
    args: { command: ["cmd", "command", "line", "script", "run"], seconds: ["timeout", "seconds", "limit"] },
    descriptions: [
      "Run a shell command.",
      "Execute a command line.",
      "Run a command in a shell and give its output.",
      "Execute a shell line."
    ]
  },
  fs_read: {
    names: ["read", "read_file", "cat", "open_file", "view", "load_text", "get_file"],
    args: {
      path: ["path", "file", "filename", "name", "target"],
      line: ["from", "start", "line"],
      lines: ["count", "lines", "limit"]
    },
    descriptions: [
      "Read a file.",
      "Give the text of a file.",
      "Show the content of a file.",
      "Return what a file says."
    ]
  },
  fs_write: {
    names: ["write", "write_file", "save", "save_file", "put", "create_file", "store_text"],
    args: {
      path: ["path", "file", "filename", "name", "target"],
      text: ["text", "content", "data", "body", "value"]
    },
    descriptions: [
      "Write a file.",
      "Save a text to a file.",
      "Create a file with a text.",
      "Store text in a file."
    ]
  },
  fs_edit: {
    names: ["edit", "edit_file", "replace", "patch", "change_text", "substitute"],
    args: {
      path: ["path", "file", "filename", "name"],
      old: ["old", "before", "find", "from", "search"],
      new: ["new", "after", "replacement", "to", "with"]
    },
    descriptions: [
      "Change a text in a file.",
      "Replace a text in a file by another.",
      "Edit a file: swap one text for another."
    ]
  },
  fs_list: {
    names: ["ls", "list", "list_files", "dir", "files", "folder"],
    args: { path: ["path", "folder", "dir", "directory", "where"] },
    descriptions: ["List files.", "Show which files a folder has.", "Name the files in a folder."]
  },
  fs_search: {
    names: ["search", "grep", "find_text", "search_files", "lookup_text"],
    args: { text: ["text", "query", "pattern", "needle", "what"], path: ["path", "folder", "where", "in"] },
    descriptions: [
      "Search files for a text.",
      "Find which files contain a text.",
      "Look for a text in the files."
    ]
  },
  calc: {
    names: ["calculator", "compute", "math", "evaluate", "arithmetic", "eval_math"],
    args: { expression: ["expression", "expr", "formula", "input", "sum"] },
    descriptions: ["Evaluate arithmetic.", "Calculate the value of an expression.", "Do arithmetic."]
  },
  recall: {
    names: ["recall", "reread", "look_back", "page_in", "recollect", "fetch_page"],
    args: {
      page: ["page", "number", "n", "page_number"],
      part: ["part", "section", "piece"],
      text: ["text", "words", "query", "about"]
    },
    descriptions: [
      "Read an earlier page, or find pages with a text.",
      "Get a page back, or look for a text in the pages.",
      "Show a page that was paged out, or where a text is."
    ]
  },
  note: {
    names: ["note", "keep", "pin", "jot", "take_note", "keep_in_view"],
    args: { text: ["text", "note", "content", "what"] },
    descriptions: ["Keep a text in view.", "Take a note that stays in view.", "Write a note to yourself."]
  },
  exit: {
    names: ["exit"],
    args: { answer: ["answer"], failed: ["failed"] },
    descriptions: ["End with the answer."]
  }
}

/** How the built-in tools are called in one trace. */
export interface Naming {
  readonly cards: ReadonlyArray<ToolCard>
  readonly call: (
    tool: string,
    args: { readonly [key: string]: unknown }
  ) => { readonly tool: string; readonly args: Record<string, unknown> }
}

/** The real names with probability `real`, otherwise a disguise for each tool. */
export const naming = (r: Random, real: number): Naming => {
  if (r.chance(real)) return { cards: defaultCards, call: (tool, args) => ({ tool, args: { ...args } }) }
  const taken = new Set<string>()
  const map = new Map<string, { name: string; args: Map<string, string> }>()
  const cards = defaultCards.map((card) => {
    const d = disguises[card.name] as (typeof disguises)[string]
    let name = card.name
    if (card.name !== "exit")
      do name = r.chance(0.3) ? inventName(r) : r.pick(d.names)
      while (taken.has(name))
    taken.add(name)
    const args = new Map<string, string>()
    const used = new Set<string>()
    const properties: Record<string, JsonSchema> = {}
    const required = new Set(card.input.required as ReadonlyArray<string>)
    for (const [key, schema] of Object.entries(card.input.properties as Record<string, JsonSchema>)) {
      if (card.name !== "exit" && card.name !== "recall" && !required.has(key) && r.chance(0.5)) continue
      let arg = key
      if (card.name !== "exit")
        do arg = r.chance(0.2) ? scramble(r, 2, 6) : r.pick((d.args[key] as ReadonlyArray<string>) ?? [key])
        while (used.has(arg))
      used.add(arg)
      args.set(key, arg)
      properties[arg] = key === "command" && r.chance(0.6) ? { type: "string" } : schema
    }
    const optional = [...args].filter(([key]) => !required.has(key)).map(([, arg]) => arg)
    map.set(card.name, { name, args })
    return {
      name,
      description: card.name === "exit" ? card.description : r.pick([card.description, ...d.descriptions]),
      input: object(properties, optional)
    }
  })
  return {
    cards,
    call: (tool, args) => {
      const m = map.get(tool)
      if (m === undefined) return { tool, args: { ...args } }
      return {
        tool: m.name,
        args: Object.fromEntries(
          Object.entries(args).flatMap(([k, v]) => (m.args.has(k) ? [[m.args.get(k) as string, v]] : []))
        )
      }
    }
  }
}

/** A name that means nothing. */
export const inventName = (r: Random): string =>
  (r.chance(0.5)
    ? scramble(r, 3, 8)
    : `${scramble(r, 2, 6)}_${r.chance(0.5) ? word(r) : scramble(r, 2, 6)}`
  ).replace(/[^a-z0-9_]/g, "")
