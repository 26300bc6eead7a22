/**
 * SQLite for Effect: the `effect/sql` client over Node's own `node:sqlite`.
 *
 * One connection, one statement at a time. `node:sqlite` is synchronous, so a statement holds the event loop while it
 * runs: keep statements small. Several processes may share one file: it is opened in write-ahead mode
 * (https://sqlite.org/wal.html), where readers never wait and writers wait their turn for at most `busyMs`.
 *
 * What a commit survives is chosen by `Durability`; see there.
 */
import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite"
import { Context, Effect, Layer, Schedule, type Scope, Semaphore, Stream } from "effect"
import { Reactivity } from "effect/reactivity"
import { SqlClient, type SqlConnection, SqlError, Statement } from "effect/sql"

/**
 * What a commit survives. `process` (the default): the death of this process, kill -9 included, because the pages are
 * in the operating system's cache; after a power cut the newest commits may be gone, but the file is whole.
 * `power`: also a power cut, for the price of one fsync. They are `PRAGMA synchronous` NORMAL and FULL
 * (https://sqlite.org/pragma.html#pragma_synchronous). A commit with `power` takes all earlier ones along.
 */
export const Durability = Context.Reference<"process" | "power">("noos/sqlite/Durability", {
  defaultValue: () => "process"
})

export interface Options {
  readonly filename: string
  /** How long a write waits for another process's write, milliseconds. */
  readonly busyMs?: number
}

/** Statements kept prepared. The kernel's own are far fewer; the bound is for texts made at run time. */
const keptStatements = 128

/** `node:sqlite` has SQLite's extended result code in `errcode`; `effect/sql` classifies by `errno`. */
const sqlError = (cause: unknown, operation: string): SqlError.SqlError => {
  const error = cause instanceof Error ? cause : new Error(String(cause))
  if ("errcode" in error) Object.assign(error, { errno: error.errcode })
  return new SqlError.SqlError({
    reason: SqlError.classifySqliteError(error, { message: error.message, operation })
  })
}

const isBusy = (error: SqlError.SqlError): boolean => error.reason._tag === "LockTimeoutError"

/** Switching to write-ahead mode fails at once, without waiting, when another process is opening the same file. */
const patience = {
  while: isBusy,
  schedule: Schedule.spaced("20 millis").pipe(Schedule.upTo({ duration: "2 seconds" }))
}

const open = ({
  busyMs = 10_000,
  filename
}: Options): Effect.Effect<DatabaseSync, SqlError.SqlError, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.try({
      try: () => {
        const db = new DatabaseSync(filename, { timeout: busyMs, enableForeignKeyConstraints: true })
        try {
          db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL")
          return db
        } catch (cause) {
          db.close()
          throw cause
        }
      },
      catch: (cause) => sqlError(cause, "open")
    }).pipe(Effect.retry(patience)),
    (db) => Effect.sync(() => db.close())
  )

/** Prepared statements by their text, the least recently used dropped first. */
const statements = (db: DatabaseSync) => {
  const kept = new Map<string, StatementSync>()
  return (sql: string): StatementSync => {
    const statement = kept.get(sql) ?? prepare(db, sql)
    kept.delete(sql)
    kept.set(sql, statement)
    if (kept.size > keptStatements) kept.delete(kept.keys().next().value!)
    return statement
  }
}

/** SQLite prepares the first statement of a text and ignores the rest: that would lose writes, so it is refused. */
const prepare = (db: DatabaseSync, sql: string): StatementSync => {
  const statement = db.prepare(sql)
  if (sql.slice(statement.sourceSQL.length).trim() !== "") throw new Error("one statement at a time, please")
  return statement
}

const connect = (db: DatabaseSync): SqlConnection.Connection => {
  const kept = statements(db)
  let durability: "process" | "power" = "process"

  const run = <A>(
    operation: string,
    sql: string,
    params: ReadonlyArray<unknown>,
    use: (statement: StatementSync, params: ReadonlyArray<SQLInputValue>) => A,
    find: (sql: string) => StatementSync = kept
  ): Effect.Effect<A, SqlError.SqlError> =>
    Effect.withFiber((fiber) => {
      try {
        const wanted = fiber.getRef(Durability)
        // The pragma does nothing inside a transaction; there the level of its BEGIN holds.
        if (wanted !== durability && !db.isTransaction) {
          db.exec(`PRAGMA synchronous = ${wanted === "power" ? "FULL" : "NORMAL"}`)
          durability = wanted
        }
        const statement = find(sql)
        // Off, an integer past 2^53 is an error instead of another number.
        statement.setReadBigInts(fiber.getRef(SqlClient.SafeIntegers))
        return Effect.succeed(use(statement, params as ReadonlyArray<SQLInputValue>))
      } catch (cause) {
        return Effect.fail(sqlError(cause, operation))
      }
    })

  const rows = (statement: StatementSync, params: ReadonlyArray<SQLInputValue>) => {
    statement.setReturnArrays(false)
    return statement.all(...params)
  }
  const values = (statement: StatementSync, params: ReadonlyArray<SQLInputValue>) => {
    statement.setReturnArrays(true)
    return statement.all(...params) as unknown as ReadonlyArray<ReadonlyArray<unknown>>
  }
  const once = (sql: string) => prepare(db, sql)

  const execute: SqlConnection.Connection["execute"] = (sql, params, transform) => {
    const found = run("execute", sql, params, rows)
    return transform === undefined ? found : Effect.map(found, transform)
  }
  return {
    execute,
    executeRaw: (sql, params) =>
      run("executeRaw", sql, params, (statement, given) => statement.run(...given)),
    // Read at once: an open cursor would be reset by the next use of the same prepared statement.
    executeStream: (sql, params, transform) => Stream.fromIterableEffect(execute(sql, params, transform)),
    executeValues: (sql, params) => run("executeValues", sql, params, values),
    executeValuesUnprepared: (sql, params) => run("executeValues", sql, params, values, once),
    executeUnprepared: (sql, params, transform) => {
      const found = run("execute", sql, params, rows, once)
      return transform === undefined ? found : Effect.map(found, transform)
    }
  }
}

/**
 * Opens (or creates) the file and gives a client that closes with the scope. Transactions begin IMMEDIATE: one that
 * reads first and writes later would otherwise fail when another process wrote in between, however long it waits.
 */
export const make = Effect.fnUntraced(function* (
  options: Options
): Effect.fn.Return<SqlClient.SqlClient, SqlError.SqlError, Scope.Scope | Reactivity.Reactivity> {
  const db = yield* open(options)
  const acquirers = SqlClient.makeSqliteAcquirers({
    connection: Effect.succeed(connect(db)),
    semaphore: yield* Semaphore.make(1),
    isTransaction: () => db.isTransaction
  })
  return yield* SqlClient.make({
    ...acquirers,
    compiler: Statement.makeCompilerSqlite(),
    driver: "node-sqlite",
    spanAttributes: [["db.system.name", "sqlite"]],
    beginTransaction: "BEGIN IMMEDIATE",
    prepareTransactionControls: true,
    releaseSavepoint: (name) => `RELEASE SAVEPOINT ${name}`
  })
})

/** The client as a service, closed with the layer. */
export const layer = (options: Options): Layer.Layer<SqlClient.SqlClient, SqlError.SqlError> =>
  Layer.effect(SqlClient.SqlClient, make(options)).pipe(Layer.provide(Reactivity.layer))
