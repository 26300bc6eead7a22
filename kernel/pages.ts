/**
 * Reading a context from the journal: a process's own pages and those it shares with the processes it was forked from.
 */
import { Effect } from "effect"
import type { SqlClient } from "effect/sql"
import { type Index, lookUp, mostRanked } from "./full-text.ts"
import type { Journal } from "./journal.ts"
import { type JournalError, read, typed } from "./journal-file.ts"
import { Call, Page } from "./tables.ts"

const readPages = read(Page)
const readCalls = read(Call)

/** The pages of one process up to an id: a piece of a context. */
interface Piece {
  readonly pid: number
  readonly last: number
}

export const makePages = (
  sql: SqlClient.SqlClient
): Pick<Journal["Service"], "pages" | "page" | "history" | "search"> => {
  const each = (ids: ReadonlyArray<number>) => sql`SELECT value FROM json_each(${JSON.stringify(ids)})`

  /** The processes whose pages make up a context, each with the last ordinal that counts. */
  const line = (pid: number) => sql`
    RECURSIVE line (pid, until) AS (
      VALUES (${pid}, 9223372036854775807)
      UNION ALL
      SELECT p.origin, min(line.until, p.shared) FROM processes p JOIN line ON p.pid = line.pid
      WHERE p.origin IS NOT NULL
    )`

  /** The newest piece first: what a fork appends is newer than all that it shares. */
  const piecesOf = (pid: number) => sql<Piece>`
    WITH ${line(pid)}
    SELECT line.pid, id AS last FROM line JOIN pages ON id =
      (SELECT id FROM pages WHERE pages.pid = line.pid AND ordinal <= until ORDER BY ordinal DESC LIMIT 1)
    ORDER BY id DESC`

  const index = (pieces: ReadonlyArray<Piece>, limit: number): Index<Page, JournalError> => ({
    newest: Effect.fnUntraced(function* (query) {
      const ids: Array<number> = []
      for (const { last, pid } of pieces) {
        const found = yield* sql<{ id: number }>`
          SELECT rowid AS id FROM page_words
          WHERE page_words MATCH ${`process:p${pid} AND text:(${query})`} AND rowid <= ${last}
          ORDER BY rowid DESC LIMIT ${mostRanked - ids.length}`
        for (const { id } of found) ids.push(id)
        if (ids.length === mostRanked) break
      }
      return ids
    }, typed),
    // By BM25 (Robertson and Zaragoza, The Probabilistic Relevance Framework, 2009).
    best: (query, ids) => {
      const processes = pieces.map(({ pid }) => `p${pid}`).join(" OR ")
      return readPages(sql`
        SELECT pages.* FROM page_words CROSS JOIN pages ON pages.id = page_words.rowid
        WHERE page_words MATCH ${`process:(${processes}) AND text:(${query})`}
          AND page_words.rowid BETWEEN ${ids.at(-1)} AND ${ids[0]} AND +page_words.rowid IN (${each(ids)})
        ORDER BY bm25(page_words, 1, 0), page_words.rowid DESC LIMIT ${limit}`)
    },
    first: (ids) =>
      readPages(sql`SELECT * FROM pages WHERE id IN (${each(ids.slice(0, limit))}) ORDER BY id DESC`)
  })

  return {
    pages: (pid) =>
      readPages(sql`
        WITH ${line(pid)}
        SELECT pages.* FROM pages JOIN line ON pages.pid = line.pid AND ordinal <= until ORDER BY ordinal`),
    page: (pid, ordinal) =>
      Effect.map(
        readPages(sql`
          WITH ${line(pid)}
          SELECT pages.* FROM line JOIN pages ON pages.pid = line.pid AND ordinal = ${ordinal} AND ordinal <= until`),
        ([page]) => page
      ),
    history: (pid, tool) =>
      readCalls(sql`
        WITH ${line(pid)}
        SELECT * FROM syscalls WHERE ok = 1 AND tool = ${tool} AND (pid = ${pid} OR id IN
          (SELECT pages.call FROM pages JOIN line ON pages.pid = line.pid AND ordinal <= until)) ORDER BY id`),
    search: Effect.fn("Journal.search")(function* (pid, words, limit) {
      const pieces = yield* typed(piecesOf(pid))
      return yield* lookUp(words, index(pieces, limit))
    })
  }
}
