import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Exit, Fiber, Layer, Scope, Stream } from "effect"
import { SqlClient } from "effect/sql"
import { TestClock } from "effect/testing"
import { Durability, layer } from "../../kernel/sqlite.ts"

/** A folder that goes when the test's scope closes. */
const folder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "noos-sqlite-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true }))
)

const open = Effect.fnUntraced(function* (filename: string, busyMs?: number) {
  const context = yield* Layer.build(layer({ filename, ...(busyMs === undefined ? {} : { busyMs }) }))
  return Context.get(context, SqlClient.SqlClient)
})

const fresh = Effect.gen(function* () {
  const filename = join(yield* folder, "test.db")
  const sql = yield* open(filename)
  yield* sql`CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT UNIQUE NOT NULL) STRICT`
  return { filename, sql }
})

const names = (sql: SqlClient.SqlClient) =>
  Effect.map(sql<{ name: string }>`SELECT name FROM t ORDER BY id`, (rows) => rows.map((row) => row.name))

describe("statements", () => {
  it.effect("values of every kind come back as they went in", () =>
    Effect.gen(function* () {
      const { sql } = yield* fresh
      const given = [null, 0, -1.5, Number.MAX_SAFE_INTEGER, "", "a\0b \u{1F642}", new Uint8Array([0, 255])]
      for (const value of given) {
        const [row] = yield* sql<{ value: unknown }>`SELECT ${value} AS value`
        assert.deepStrictEqual(row!.value, value)
      }
      assert.deepStrictEqual(yield* sql`SELECT 1 AS a, 2 AS b`.values, [[1, 2]])
      assert.deepStrictEqual({ ...(yield* sql`SELECT 1 AS a, 2 AS b`)[0] }, { a: 1, b: 2 })
    })
  )

  it.effect("an integer that a number cannot hold is an error, or a bigint on request", () =>
    Effect.gen(function* () {
      const { sql } = yield* fresh
      const query = sql<{ n: unknown }>`SELECT 9007199254740993 AS n`
      const error = yield* Effect.flip(query)
      assert.match(error.message, /9007199254740993/)
      const [row] = yield* query.pipe(Effect.provideService(SqlClient.SafeIntegers, true))
      assert.strictEqual(row!.n, 9007199254740993n)
      const [again] = yield* sql<{ n: unknown }>`SELECT 1 AS n`
      assert.strictEqual(again!.n, 1)
    })
  )

  it.effect("a second statement in one text is refused, not forgotten", () =>
    Effect.gen(function* () {
      const { sql } = yield* fresh
      const error = yield* Effect.flip(sql.unsafe("DELETE FROM t; INSERT INTO t VALUES (1, 'lost')"))
      assert.match(error.message, /one statement/)
      assert.deepStrictEqual(yield* sql.unsafe("SELECT count(*) FROM t; ").values, [[0]])
    })
  )

  it.effect("more texts than are kept prepared still give their own answers", () =>
    Effect.gen(function* () {
      const { sql } = yield* fresh
      for (const round of [1, 2]) {
        for (let n = 0; n < 300; n++) {
          assert.deepStrictEqual(yield* sql.unsafe(`SELECT ${n} + ?`, [round]).values, [[n + round]])
        }
      }
    })
  )

  it.effect("a stream gives every row, also while the same statement runs again", () =>
    Effect.gen(function* () {
      const { sql } = yield* fresh
      const query = sql<{ n: number }>`
        WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT 5) SELECT n FROM c`
      // Only inside a transaction: outside, the stream has the connection to itself until it ends.
      const seen = yield* sql.withTransaction(
        query.stream.pipe(
          Stream.tap(() => query),
          Stream.runCollect
        )
      )
      assert.deepStrictEqual(
        seen.map((row) => row.n),
        [1, 2, 3, 4, 5]
      )
    })
  )
})

describe("errors are classified", () => {
  it.effect("constraints", () =>
    Effect.gen(function* () {
      const { sql } = yield* fresh
      yield* sql`INSERT INTO t VALUES (1, 'a')`
      const unique = yield* Effect.flip(sql`INSERT INTO t VALUES (2, 'a')`)
      assert.strictEqual(unique.reason._tag, "UniqueViolation")
      assert.strictEqual("constraint" in unique.reason && unique.reason.constraint, "t.name")
      assert.strictEqual(
        (yield* Effect.flip(sql`INSERT INTO t VALUES (2, NULL)`)).reason._tag,
        "ConstraintError"
      )
      yield* sql`CREATE TABLE child (of INTEGER REFERENCES t (id))`
      const orphan = yield* Effect.flip(sql`INSERT INTO child VALUES (99)`)
      assert.strictEqual(orphan.reason._tag, "ConstraintError")
    })
  )

  it.effect("a lock that another connection holds too long can be tried again", () =>
    Effect.gen(function* () {
      const { filename } = yield* fresh
      const sql = yield* open(filename, 20)
      const other = new DatabaseSync(filename)
      other.exec("BEGIN IMMEDIATE")
      const error = yield* Effect.flip(sql.withTransaction(sql`INSERT INTO t VALUES (1, 'a')`))
      assert.strictEqual(error._tag === "SqlError" && error.reason._tag, "LockTimeoutError")
      assert.isTrue(error.isRetryable)
      assert.deepStrictEqual(yield* names(sql), [], "readers do not wait for a writer")
      other.exec("ROLLBACK")
      other.close()
      yield* sql.withTransaction(sql`INSERT INTO t VALUES (1, 'a')`)
      assert.deepStrictEqual(yield* names(sql), ["a"])
    })
  )

  it.effect("a file that cannot be opened, or is no database", () =>
    Effect.gen(function* () {
      const path = yield* folder
      assert.strictEqual((yield* Effect.flip(open(path))).reason._tag, "ConnectionError")
      writeFileSync(join(path, "text"), "not a database, but long enough to have a header".repeat(100))
      assert.match((yield* Effect.flip(open(join(path, "text")))).message, /not a database/)
    })
  )
})

describe("transactions", () => {
  it.effect("a failure undoes all, a nested failure its own part", () =>
    Effect.gen(function* () {
      const { sql } = yield* fresh
      const add = (name: string) => sql`INSERT INTO t (name) VALUES (${name})`
      yield* sql.withTransaction(add("lost").pipe(Effect.andThen(Effect.fail("stop")))).pipe(Effect.flip)
      assert.deepStrictEqual(yield* names(sql), [])
      yield* sql.withTransaction(
        Effect.gen(function* () {
          yield* add("first")
          yield* sql.withTransaction(add("inner").pipe(Effect.andThen(Effect.fail("stop")))).pipe(Effect.flip)
          yield* sql.withTransaction(add("kept"))
          yield* add("last")
        })
      )
      assert.deepStrictEqual(yield* names(sql), ["first", "kept", "last"])
    })
  )

  it.effect("an interrupted one is undone and the connection goes on", () =>
    Effect.gen(function* () {
      const { sql } = yield* fresh
      const written = yield* Deferred.make<void>()
      const fiber = yield* Effect.forkChild(
        sql.withTransaction(
          Effect.gen(function* () {
            yield* sql`INSERT INTO t (name) VALUES ('lost')`
            yield* Deferred.succeed(written, undefined)
            return yield* Effect.never
          })
        )
      )
      yield* Deferred.await(written)
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(yield* names(sql), [])
      yield* sql`INSERT INTO t (name) VALUES ('kept')`
      assert.deepStrictEqual(yield* names(sql), ["kept"])
    })
  )

  it.effect("statements of other fibers stay out of an open one", () =>
    Effect.gen(function* () {
      const { sql } = yield* fresh
      const written = yield* Deferred.make<void>()
      const go = yield* Deferred.make<void>()
      const failing = yield* Effect.forkChild(
        sql.withTransaction(
          Effect.gen(function* () {
            yield* sql`INSERT INTO t (name) VALUES ('lost')`
            yield* Deferred.succeed(written, undefined)
            yield* Deferred.await(go)
            return yield* Effect.fail("stop")
          })
        )
      )
      yield* Deferred.await(written)
      const other = yield* Effect.forkChild(sql`INSERT INTO t (name) VALUES ('kept')`)
      yield* Effect.yieldNow
      yield* Deferred.succeed(go, undefined)
      yield* Fiber.await(failing)
      yield* Fiber.join(other)
      assert.deepStrictEqual(yield* names(sql), ["kept"])
    })
  )
})

describe("the file", () => {
  it.effect("is in write-ahead mode, and durability is chosen where it matters", () =>
    Effect.gen(function* () {
      const { sql } = yield* fresh
      const level = Effect.map(sql`PRAGMA synchronous`.values, (rows) => rows[0]![0])
      const power = Effect.provideService(Durability, "power" as const)
      assert.deepStrictEqual(yield* sql`PRAGMA journal_mode`.values, [["wal"]])
      assert.strictEqual(yield* level, 1)
      assert.strictEqual(yield* level.pipe(power), 2)
      assert.strictEqual(yield* sql.withTransaction(level).pipe(power), 2)
      assert.strictEqual(yield* level, 1)
      assert.strictEqual(yield* sql.withTransaction(level.pipe(power)), 1, "not inside a transaction")
    })
  )

  it.effect("that is locked when it is to become write-ahead is tried again for two seconds", () =>
    Effect.gen(function* () {
      const filename = join(yield* folder, "test.db")
      const other = new DatabaseSync(filename)
      other.exec("CREATE TABLE t (a); BEGIN EXCLUSIVE")
      const never = yield* Effect.forkChild(Effect.flip(open(filename, 1)))
      yield* TestClock.adjust("3 seconds")
      assert.strictEqual((yield* Fiber.join(never)).reason._tag, "LockTimeoutError")
      const late = yield* Effect.forkChild(open(filename, 1))
      yield* TestClock.adjust("1 second")
      assert.isUndefined(late.pollUnsafe(), "still trying")
      other.exec("COMMIT")
      yield* TestClock.adjust("1 second")
      const sql = yield* Fiber.join(late)
      assert.deepStrictEqual(yield* sql`PRAGMA journal_mode`.values, [["wal"]])
      other.close()
    })
  )

  it.effect("closes with its scope", () =>
    Effect.gen(function* () {
      const filename = join(yield* folder, "test.db")
      const scope = yield* Scope.make()
      const sql = yield* open(filename).pipe(Scope.provide(scope))
      yield* sql`CREATE TABLE t (a)`
      yield* Scope.close(scope, Exit.void)
      assert.match((yield* Effect.flip(sql`SELECT * FROM t`)).message, /not open/)
      const alone = new DatabaseSync(filename)
      alone.exec("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; INSERT INTO t VALUES (1); COMMIT")
      alone.close()
    })
  )
})
