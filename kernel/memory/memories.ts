/**
 * Long-term memory: texts that a process keeps for later runs in the same folder, in the journal's file.
 *
 * Nothing is ever deleted. A key's new text is a new version; a rollback retracts what came from one source, and what
 * it had replaced is current again.
 */
import { Clock, Context, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { type Index, lookUp, mostRanked } from "../full-text.ts"
import { type JournalError, read, typed } from "../journal-file.ts"
import { type Label, Memory } from "../tables.ts"
import { badInput, ToolError } from "../tool.ts"

export type { Memory } from "../tables.ts"

/** Of one memory: bytes of its text as UTF-8, characters of its key. */
const limits = { text: 16 * 1024, key: 200 }

export interface NewMemory {
  /** The folder that it is of, on the host. */
  readonly workspace: string
  /** What it replaces: the current memory with the same key. */
  readonly key?: string
  readonly text: string
  readonly run: number
  readonly pid: number
  readonly label: Label
}

/** What a memory came from. */
export type Source = { readonly run: number } | { readonly pid: number }

export class Memories extends Context.Service<
  Memories,
  {
    /** Keeps a text. `bad_input` for nothing, `too_large` beyond 16 KiB or a key of 200 characters. */
    readonly remember: (
      memory: NewMemory
    ) => Effect.Effect<{ readonly id: number; readonly version: number }, JournalError | ToolError>
    /** The current memories of a folder with all of the words, or else with any; the best first, then the newest. */
    readonly search: (
      workspace: string,
      words: string,
      limit: number
    ) => Effect.Effect<ReadonlyArray<Memory>, JournalError>
    /** The current memories of a folder, the oldest first. */
    readonly list: (workspace: string) => Effect.Effect<ReadonlyArray<Memory>, JournalError>
    /** All that a key ever was, retracted ones too, the oldest first. */
    readonly versions: (workspace: string, key: string) => Effect.Effect<ReadonlyArray<Memory>, JournalError>
    /** Retracts all that a run or a process remembered of a folder. Gives how many memories that were. */
    readonly rollback: (workspace: string, source: Source) => Effect.Effect<number, JournalError>
  }
>()("noos/Memories") {
  static readonly layer: Layer.Layer<Memories, never, SqlClient.SqlClient> = Layer.effect(
    Memories,
    Effect.suspend(() => make)
  )
}

const tooLarge = (message: string): ToolError => new ToolError({ code: "too_large", message })

/** Why this must not be remembered, if so. */
const check = ({ key, text }: NewMemory): ToolError | undefined => {
  if (text.trim() === "") return badInput("there is no text to remember")
  if (key?.trim() === "") return badInput("the key is empty: give one, or none")
  const bytes = Buffer.byteLength(text)
  if (bytes > limits.text) return tooLarge(`a memory has at most ${limits.text} bytes, got ${bytes}`)
  if (key !== undefined && key.length > limits.key) {
    return tooLarge(`a key has at most ${limits.key} characters, got ${key.length}`)
  }
}

const make: Effect.Effect<Memories["Service"], never, SqlClient.SqlClient> = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const readMemories = read(Memory)

  const remember: Memories["Service"]["remember"] = Effect.fn("Memories.remember")(function* (memory) {
    const wrong = check(memory)
    if (wrong !== undefined) return yield* wrong
    const { pid, run, text, workspace } = memory
    const key = memory.key ?? null
    const [row] = yield* typed(sql<{ id: number; version: number }>`
      INSERT INTO memories (workspace, key, version, text, label, run, pid, created)
      VALUES (${workspace}, ${key},
        (SELECT coalesce(max(version), 0) + 1 FROM memories WHERE workspace = ${workspace} AND key = ${key}),
        ${text}, ${JSON.stringify(memory.label)}, ${run}, ${pid}, ${yield* Clock.currentTimeMillis})
      RETURNING id, version`)
    return row!
  })

  /** Of the rows named `m`: not retracted, and no later version that is not. */
  const current = sql.literal(`m.retracted IS NULL AND NOT EXISTS (
    SELECT 1 FROM memories later WHERE later.workspace = m.workspace AND later.key = m.key
      AND later.version > m.version AND later.retracted IS NULL)`)

  /** In the words in which the index keeps the folder. */
  const inFolder = (workspace: string, query: string) =>
    `workspace:w${Buffer.from(workspace).toString("hex")}0 AND text:(${query})`

  const each = (ids: ReadonlyArray<number>) => sql`SELECT value FROM json_each(${JSON.stringify(ids)})`

  const index = (workspace: string, limit: number): Index<Memory, JournalError> => ({
    newest: Effect.fnUntraced(function* (query) {
      const found = yield* sql<{ id: number }>`
        SELECT m.id FROM memory_words CROSS JOIN memories m ON m.id = memory_words.rowid
        WHERE memory_words MATCH ${inFolder(workspace, query)} AND m.workspace = ${workspace} AND ${current}
        ORDER BY memory_words.rowid DESC LIMIT ${mostRanked}`
      return found.map(({ id }) => id)
    }, typed),
    best: (query, ids) =>
      readMemories(sql`
        SELECT m.* FROM memory_words CROSS JOIN memories m ON m.id = memory_words.rowid
        WHERE memory_words MATCH ${inFolder(workspace, query)} AND +memory_words.rowid IN (${each(ids)})
        ORDER BY bm25(memory_words, 1, 0), memory_words.rowid DESC LIMIT ${limit}`),
    first: (ids) =>
      readMemories(sql`SELECT * FROM memories WHERE id IN (${each(ids.slice(0, limit))}) ORDER BY id DESC`)
  })

  return Memories.of({
    remember,
    search: Effect.fn("Memories.search")((workspace, words, limit) => lookUp(words, index(workspace, limit))),
    list: (workspace) =>
      readMemories(
        sql`SELECT m.* FROM memories m WHERE m.workspace = ${workspace} AND ${current} ORDER BY m.id`
      ),
    versions: (workspace, key) =>
      readMemories(
        sql`SELECT * FROM memories WHERE workspace = ${workspace} AND key = ${key} ORDER BY version`
      ),
    rollback: Effect.fn("Memories.rollback")(function* (workspace, source) {
      const from = "run" in source ? sql`run = ${source.run}` : sql`pid = ${source.pid}`
      const retracted = yield* sql`
        UPDATE memories SET retracted = ${yield* Clock.currentTimeMillis}
        WHERE workspace = ${workspace} AND ${from} AND retracted IS NULL RETURNING id`
      return retracted.length
    }, typed)
  })
})
