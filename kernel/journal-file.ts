/**
 * The journal's file: opening it, making or upgrading its tables, and what can be wrong with it.
 */
import { closeSync, existsSync, mkdirSync, openSync } from "node:fs"
import { dirname } from "node:path"
import { Effect, Schema, type Scope } from "effect"
import type { Reactivity } from "effect/reactivity"
import { type SqlClient, SqlError, type Statement } from "effect/sql"
import * as Sqlite from "./sqlite.ts"
import { applicationId, migrations } from "./tables.ts"

/** The journal could not be read or written, or was asked for something it must refuse. */
export class JournalError extends Schema.TaggedError<JournalError>()("JournalError", {
  message: Schema.String,
  hint: Schema.String,
  cause: Schema.optionalKey(Schema.Defect())
}) {}

/** What a person can do, by SQLite's result code (https://sqlite.org/rescode.html): the extended one or its low byte. */
const hints: { readonly [code: number]: string } = {
  5: "another noos process holds the journal for long: try again when it is done",
  8: "check that you may write the file and its folder, or set NOOS_HOME to another folder",
  10: "the disk gave an error: check it, or set NOOS_HOME to a folder on another one",
  11: "the file is damaged: move it away and noos starts a new one; `sqlite3 FILE .recover` may save its rows",
  13: "the disk is full: make room, or set NOOS_HOME to a folder on another one",
  14: "check that the folder exists and that you may write there, or set NOOS_HOME to another folder",
  26: "this is no journal, or a damaged one: move the file away and noos starts a new one",
  787: "there is no such run, process or call in this journal"
}

/** The hint where nothing but a mistake of ours can be the reason. */
export const bug = "this is a bug in noos: please report it with this message"

/** The hint for a row that does not decode: no noos writes such a row. */
const foreign = "something else wrote into the file: move it away and noos starts a new one"

/** All that the layers below can fail with. */
type Failure = SqlError.SqlError | Schema.SchemaError | JournalError

/** The journal itself says no. */
export const refusal = (what: string, hint: string) => new JournalError({ message: `journal: ${what}`, hint })

/** What went wrong, for a person: SQLite's words and what to do about them. */
export const journalError = (error: Failure): JournalError => {
  if (error instanceof JournalError) return error
  const native = SqlError.isSqlError(error) ? error.reason.cause : undefined
  const code = native instanceof Error && "errno" in native ? Number(native.errno) : 0
  const hint = native === undefined ? foreign : (hints[code] ?? hints[code & 0xff] ?? bug)
  const message = error.message.replace(/\s*\n\s*/g, " ")
  return new JournalError({ message: `journal: ${message}`, hint, cause: error })
}

export const typed: <A, R>(effect: Effect.Effect<A, Failure, R>) => Effect.Effect<A, JournalError, R> =
  Effect.mapError(journalError)

/** Tools may return what JSON cannot carry (a bigint, a cycle); that must not take the kernel down. */
export const json = (value: unknown): Effect.Effect<string, JournalError> =>
  Effect.try({
    try: () => JSON.stringify(value) ?? "null",
    catch: (cause) => refusal(`not JSON: ${cause}`, "return plain data from the tool")
  })

/** Runs a query and decodes its rows. */
export const read = <S extends Schema.Codec<unknown, unknown>>(row: S) => {
  const decode = Schema.decodeUnknownEffect(Schema.Array(row))
  return (query: Statement.Statement<object>) => typed(Effect.flatMap(query, decode))
}

/**
 * Makes a folder and those above it, for this user alone. Step by step: Node's own recursive mkdir never comes back where a
 * file system refuses a name that is not there, such as /proc/x.
 */
const makeFolder = (path: string): void => {
  if (existsSync(path)) return
  if (dirname(path) !== path) makeFolder(dirname(path))
  try {
    mkdirSync(path, 0o700)
  } catch (error) {
    // Another noos may have made it just now.
    if (!existsSync(path)) throw error
  }
}

/** Creates the file and its folder, readable by this user alone. SQLite gives its side files the same mode. */
const createFile = (filename: string): Effect.Effect<void, JournalError> =>
  Effect.try({
    try: () => {
      if (filename === ":memory:") return
      makeFolder(dirname(filename))
      closeSync(openSync(filename, "wx", 0o600))
    },
    catch: (cause) => cause as NodeJS.ErrnoException
  }).pipe(
    Effect.catchIf(
      (error) => error.code === "EEXIST" && error.path === filename,
      () => Effect.void
    ),
    Effect.mapError(
      (cause) => new JournalError({ message: `journal: ${cause.message}`, hint: hints[14]!, cause })
    )
  )

/** Makes the tables of a new file and the missing ones of an older file, all or nothing. */
const migrate = Effect.fnUntraced(function* (
  sql: SqlClient.SqlClient
): Effect.fn.Return<void, SqlError.SqlError | JournalError> {
  const missing = Effect.gen(function* () {
    const [file] = yield* sql<{ version: number; application: number; tables: number }>`
      SELECT user_version AS version, application_id AS application, (SELECT count(*) FROM sqlite_schema) AS tables
      FROM pragma_user_version, pragma_application_id`
    const { application, tables, version } = file!
    if (application !== applicationId && tables > 0) {
      return yield* refusal(
        "the file is a database of another program",
        "set NOOS_HOME to a folder of noos's own"
      )
    }
    if (version > migrations.length) {
      const what = `the file was written by a newer noos (format ${version}; this one reads up to ${migrations.length})`
      return yield* refusal(what, "update noos, or set NOOS_HOME to another folder")
    }
    return migrations.slice(version)
  })
  if ((yield* missing).length === 0) return
  // Looked at again under the write lock: another process may have been faster.
  yield* sql.withTransaction(
    Effect.gen(function* () {
      for (const step of yield* missing) for (const statement of step) yield* sql.unsafe(statement)
      yield* sql.unsafe(`PRAGMA application_id = ${applicationId}`)
      yield* sql.unsafe(`PRAGMA user_version = ${migrations.length}`)
    })
  )
})

/** Opens the file (`:memory:` makes none), creating it if need be, brings it up to date, and closes it with the scope. */
export const open = (
  filename: string
): Effect.Effect<SqlClient.SqlClient, JournalError, Scope.Scope | Reactivity.Reactivity> =>
  createFile(filename).pipe(
    Effect.andThen(Sqlite.make({ filename })),
    Effect.tap(migrate),
    Effect.mapError((failure) => {
      const { cause, hint, message } = journalError(failure)
      return new JournalError({ message: `${message} (${filename})`, hint, ...(cause ? { cause } : {}) })
    })
  )
