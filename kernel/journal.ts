/**
 * The journal: what the kernel did, written as it does it, in one SQLite file that all noos processes share.
 *
 * A syscall is written in two halves: the intent before the call runs, the outcome after. After a crash, an intent
 * without an outcome is a call that may or may not have happened: the journal says so and never guesses.
 * (Write-ahead logging, as in Mohan et al., ARIES, ACM TODS 1992.)
 *
 * A write is there, kill -9 or not, once its effect has succeeded; the intent of an irreversible call survives a power
 * cut too. Most writes are one SQL statement, hence one transaction; triggers (tables.ts) add the line in `events` in
 * the same one, so the log cannot disagree with the tables. Writes that belong together go in `atomically`.
 *
 * Text is kept as UTF-8, NUL included; a lone surrogate becomes U+FFFD.
 */
import { Clock, Context, Effect, Layer, Option } from "effect"
import { Reactivity } from "effect/reactivity"
import { SqlClient, SqlError } from "effect/sql"
import { bug, type JournalError, journalError, json, open, read, refusal, typed } from "./journal-file.ts"
import { Memories } from "./memory/memories.ts"
import { makePages } from "./pages.ts"
import * as Sqlite from "./sqlite.ts"
import {
  Call,
  Event,
  type ExitStatus,
  type Label,
  type Layout,
  type Page,
  Process,
  Run,
  type State
} from "./tables.ts"

export { JournalError } from "./journal-file.ts"
export type { Call, Event, ExitStatus, Frame, Label, Layout, Page, Process, Run, State } from "./tables.ts"

/** The outcome half of a call; `text` is what the model is shown of it. */
export type Outcome =
  | { readonly ok: true; readonly result: unknown; readonly text: string }
  | {
      readonly ok: false
      readonly error: { readonly code: string; readonly message: string }
      readonly text: string
    }

/** A page to append. */
export interface NewPage {
  readonly role: Page["role"]
  readonly text: string
  readonly tokens: number
  /** The syscall that a `call` or `result` page belongs to. */
  readonly call?: number
  /** Default: what the role says of its source. */
  readonly label?: Label
  /** The ordinal of the page whose text this one repeats; 0 for several. Searches do not find it. */
  readonly copy?: number
  /** Whether the model is shown only its beginning and its end. */
  readonly cut?: boolean
}

const untrusted = { integrity: "untrusted", source: "unknown" } as const
const written = { integrity: "untrusted", source: "model" } as const

/** Whose words a page holds, if nobody says otherwise. */
const labels: { readonly [role in Page["role"]]: Label } = {
  system: { integrity: "trusted", source: "kernel" },
  instructions: untrusted,
  task: { integrity: "trusted", source: "person" },
  thought: written,
  call: written,
  result: untrusted,
  summary: untrusted,
  note: untrusted
}

export class Journal extends Context.Service<
  Journal,
  {
    /** Gives the run's id. */
    readonly beginRun: (run: {
      readonly task: string
      readonly workspace: string
      readonly model: string
      readonly hash?: string
      readonly options?: object
    }) => Effect.Effect<number, JournalError>
    /** Once a run: a second end is refused. */
    readonly endRun: (run: number, status: ExitStatus) => Effect.Effect<void, JournalError>
    /** A new process, `ready`. Gives its pid. A forked one shares the pages that its origin has now. */
    readonly spawn: (process: {
      readonly run: number
      readonly parent?: number
      readonly origin?: number
      readonly program: string
      readonly priority?: number
      readonly budget?: object
    }) => Effect.Effect<number, JournalError>
    /** Moves a living process to a state. `waiting` is cleared unless given; `usage` stays as it was unless given. */
    readonly transition: (
      pid: number,
      state: Exclude<State, "zombie">,
      why: string,
      more?: { readonly waiting?: string; readonly usage?: object }
    ) => Effect.Effect<void, JournalError>
    /** Makes a living process a zombie, for good. */
    readonly exit: (
      pid: number,
      end: {
        readonly status: ExitStatus
        readonly why: string
        readonly answer?: unknown
        readonly usage?: object
      }
    ) => Effect.Effect<void, JournalError>
    readonly appendPage: (
      pid: number,
      page: NewPage
    ) => Effect.Effect<{ readonly id: number; readonly ordinal: number }, JournalError>
    /** Keeps which pages of a living process lie in the window. */
    readonly layout: (pid: number, layout: Layout) => Effect.Effect<void, JournalError>
    /**
     * The first half of a call, with the page the model wrote it on, if given. The call may run only when this has
     * succeeded; so it is refused inside `atomically`, where success would come before the commit.
     */
    readonly syscallIntent: (
      pid: number,
      call: {
        readonly tool: string
        readonly args: unknown
        readonly effect: Call["effect"]
        readonly page?: Pick<NewPage, "text" | "tokens" | "copy">
      }
    ) => Effect.Effect<{ readonly id: number; readonly seq: number; readonly key: string }, JournalError>
    /** The second half. A second outcome of the same call is refused. */
    readonly syscallOutcome: (id: number, outcome: Outcome) => Effect.Effect<void, JournalError>
    /** Anything else worth a line in the log: a signal, a denial. Gives its `seq`. */
    readonly event: (pid: number, kind: string, data: object) => Effect.Effect<number, JournalError>
    /** All writes of `effect`, or none when it fails. It holds the write lock of the file: run no call inside. */
    readonly atomically: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E | JournalError, R>

    readonly run: (id: number) => Effect.Effect<Run, JournalError>
    /** The newest first. */
    readonly runs: (limit?: number) => Effect.Effect<ReadonlyArray<Run>, JournalError>
    readonly process: (pid: number) => Effect.Effect<Process | undefined, JournalError>
    /** Of one run, or of all; by pid. */
    readonly processes: (run?: number) => Effect.Effect<ReadonlyArray<Process>, JournalError>
    /** Of a process or a run, in the order of their intents. */
    readonly calls: (
      of: { readonly pid: number } | { readonly run: number }
    ) => Effect.Effect<ReadonlyArray<Call>, JournalError>
    /** The calls of one tool that had a result, the oldest first: a process's own, and those in the context that it shares. */
    readonly history: (pid: number, tool: string) => Effect.Effect<ReadonlyArray<Call>, JournalError>
    /** A process's context, in order, with what it shares. */
    readonly pages: (pid: number) => Effect.Effect<ReadonlyArray<Page>, JournalError>
    /** One page of it. */
    readonly page: (pid: number, ordinal: number) => Effect.Effect<Page | undefined, JournalError>
    /**
     * The pages of it with all of the words, or else with any; the best first, then the newest. System pages and copies
     * are not searched. Of what is on very many pages the newest come first, unranked.
     */
    readonly search: (
      pid: number,
      words: string,
      limit: number
    ) => Effect.Effect<ReadonlyArray<Page>, JournalError>
    /** The log of a run, from just after event `after`. */
    readonly events: (run: number, after?: number) => Effect.Effect<ReadonlyArray<Event>, JournalError>
    /** The calls of a run whose outcome is unknown. */
    readonly unfinished: (run: number) => Effect.Effect<ReadonlyArray<Call>, JournalError>
  }
>()("noos/Journal") {
  /**
   * Opens the file, creating it and its folder for this user alone, and brings an older one up to date. What is
   * remembered lies in the same file, behind the same connection.
   */
  static readonly layer = (filename: string): Layer.Layer<Journal | Memories, JournalError> =>
    Layer.effect(Journal, make).pipe(
      Layer.merge(Memories.layer),
      Layer.provide(Layer.effect(SqlClient.SqlClient, open(filename))),
      Layer.provide(Reactivity.layer)
    )
}

const make: Effect.Effect<Journal["Service"], never, SqlClient.SqlClient> = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const now = Clock.currentTimeMillis

  const beginRun: Journal["Service"]["beginRun"] = Effect.fn("Journal.beginRun")(function* (run) {
    const options = yield* json(run.options ?? {})
    const [row] = yield* sql<{ id: number }>`
      INSERT INTO runs (started, task, workspace, model, hash, options, owner)
      VALUES (${yield* now}, ${run.task}, ${run.workspace}, ${run.model}, ${run.hash ?? null}, ${options},
        ${process.pid})
      RETURNING id`
    return row!.id
  }, typed)

  const endRun: Journal["Service"]["endRun"] = Effect.fn("Journal.endRun")(function* (run, status) {
    const ended = yield* sql`
      UPDATE runs SET ended = ${yield* now}, status = ${status} WHERE id = ${run} AND ended IS NULL RETURNING id`
    if (ended.length === 0) return yield* refusal(`run ${run} has ended, or never began`, bug)
  }, typed)

  /** How many pages a process's context has, those that it shares included. */
  const pagesOf = (pid: number | null) => sql`
    SELECT coalesce((SELECT max(ordinal) FROM pages WHERE pid = ${pid}),
      (SELECT shared FROM processes WHERE pid = ${pid}), 0)`

  const spawn: Journal["Service"]["spawn"] = Effect.fn("Journal.spawn")(function* (child) {
    const at = yield* now
    const budget = yield* json(child.budget ?? {})
    const origin = child.origin ?? null
    const [row] = yield* sql<{ pid: number }>`
      INSERT INTO processes
        (run, parent, origin, shared, layout, program, state, why, priority, budget, usage, created, updated)
      VALUES (${child.run}, ${child.parent ?? null}, ${origin}, (${pagesOf(origin)}),
        (SELECT layout FROM processes WHERE pid = ${origin}), ${child.program}, 'ready',
        ${origin === null ? "spawn" : "fork"}, ${child.priority ?? 0}, ${budget}, '{}', ${at}, ${at})
      RETURNING pid`
    return row!.pid
  }, typed)

  const transition: Journal["Service"]["transition"] = Effect.fn("Journal.transition")(function* (
    pid,
    state,
    why,
    more = {}
  ) {
    const usage = more.usage === undefined ? null : yield* json(more.usage)
    const moved = yield* sql`
      UPDATE processes SET state = ${state}, why = ${why}, waiting = ${more.waiting ?? null},
        usage = coalesce(${usage}, usage), updated = ${yield* now}
      WHERE pid = ${pid} AND state <> 'zombie' RETURNING pid`
    if (moved.length === 0) return yield* refusal(`process ${pid} has exited, or never was`, bug)
  }, typed)

  const exit: Journal["Service"]["exit"] = Effect.fn("Journal.exit")(function* (pid, end) {
    const usage = end.usage === undefined ? null : yield* json(end.usage)
    const answer = end.answer === undefined ? null : yield* json(end.answer)
    const exited = yield* sql`
      UPDATE processes SET state = 'zombie', why = ${end.why}, waiting = NULL, status = ${end.status},
        answer = ${answer}, usage = coalesce(${usage}, usage), updated = ${yield* now}
      WHERE pid = ${pid} AND state <> 'zombie' RETURNING pid`
    if (exited.length === 0) return yield* refusal(`process ${pid} has exited already, or never was`, bug)
  }, typed)

  const insertPage = Effect.fnUntraced(function* (pid: number, page: NewPage) {
    const label = JSON.stringify(page.label ?? labels[page.role])
    const [row] = yield* sql<{ id: number; ordinal: number }>`
      INSERT INTO pages (pid, ordinal, role, text, tokens, call, label, copy, cut, created)
      VALUES (${pid}, (${pagesOf(pid)}) + 1, ${page.role},
        ${page.text}, ${page.tokens}, ${page.call ?? null}, ${label}, ${page.copy ?? null}, ${page.cut === true ? 1 : 0}, ${yield* now})
      RETURNING id, ordinal`
    return row!
  })

  const appendPage: Journal["Service"]["appendPage"] = Effect.fn("Journal.appendPage")(insertPage, typed)

  const layout: Journal["Service"]["layout"] = Effect.fn("Journal.layout")(function* (pid, frames) {
    const kept = yield* sql`
      UPDATE processes SET layout = ${JSON.stringify(frames)}, updated = ${yield* now}
      WHERE pid = ${pid} AND state <> 'zombie' RETURNING pid`
    if (kept.length === 0) return yield* refusal(`process ${pid} has exited, or never was`, bug)
  }, typed)

  const syscallIntent: Journal["Service"]["syscallIntent"] = Effect.fn("Journal.syscallIntent")(function* (
    pid,
    call
  ) {
    if (Option.isSome(yield* Effect.serviceOption(sql.transactionService))) {
      return yield* refusal("an intent inside `atomically` is not written when its call runs", bug)
    }
    const args = yield* json(call.args)
    const intent = Effect.gen(function* () {
      const [row] = yield* sql<{ id: number; seq: number; key: string }>`
        INSERT INTO syscalls (pid, seq, tool, args, effect, key, started)
        VALUES (${pid}, (SELECT coalesce(max(seq), 0) + 1 FROM syscalls WHERE pid = ${pid}), ${call.tool}, ${args},
          ${call.effect}, lower(hex(randomblob(16))), ${yield* now})
        RETURNING id, seq, key`
      if (call.page !== undefined) yield* insertPage(pid, { ...call.page, role: "call", call: row!.id })
      return row!
    })
    return yield* (call.page === undefined ? intent : sql.withTransaction(intent)).pipe(
      Effect.provideService(Sqlite.Durability, call.effect === "irreversible" ? "power" : "process")
    )
  }, typed)

  const syscallOutcome: Journal["Service"]["syscallOutcome"] = Effect.fn("Journal.syscallOutcome")(function* (
    id,
    outcome
  ) {
    const result = outcome.ok ? yield* json(outcome.result) : null
    const error = outcome.ok ? null : yield* json(outcome.error)
    const finished = yield* sql`
      UPDATE syscalls SET ended = ${yield* now}, ok = ${outcome.ok ? 1 : 0}, result = ${result}, error = ${error},
        text = ${outcome.text}
      WHERE id = ${id} AND ended IS NULL RETURNING id`
    if (finished.length === 0) return yield* refusal(`call ${id} has an outcome already, or never began`, bug)
  }, typed)

  const event: Journal["Service"]["event"] = Effect.fn("Journal.event")(function* (pid, kind, data) {
    const [row] = yield* sql<{ seq: number }>`
      INSERT INTO events (run, pid, at, kind, data)
      VALUES ((SELECT run FROM processes WHERE pid = ${pid}), ${pid}, ${yield* now}, ${kind}, ${yield* json(data)})
      RETURNING seq`
    return row!.seq
  }, typed)

  const atomically: Journal["Service"]["atomically"] = (effect) =>
    sql
      .withTransaction(effect)
      .pipe(Effect.catchIf(SqlError.isSqlError, (error) => Effect.fail(journalError(error))))

  const readRuns = read(Run)
  const readProcesses = read(Process)
  const readCalls = read(Call)
  const readEvents = read(Event)

  return Journal.of({
    beginRun,
    endRun,
    spawn,
    transition,
    exit,
    appendPage,
    layout,
    syscallIntent,
    syscallOutcome,
    event,
    atomically,
    run: Effect.fn("Journal.run")(function* (id) {
      const [run] = yield* readRuns(sql`SELECT * FROM runs WHERE id = ${id}`)
      return run ?? (yield* refusal(`there is no run ${id}`, "`runs` gives those that there are"))
    }),
    runs: (limit = -1) => readRuns(sql`SELECT * FROM runs ORDER BY id DESC LIMIT ${limit}`),
    process: (pid) =>
      Effect.map(readProcesses(sql`SELECT * FROM processes WHERE pid = ${pid}`), ([row]) => row),
    processes: (run) =>
      readProcesses(
        run === undefined
          ? sql`SELECT * FROM processes ORDER BY pid`
          : sql`SELECT * FROM processes WHERE run = ${run} ORDER BY pid`
      ),
    calls: (of) =>
      readCalls(
        "pid" in of
          ? sql`SELECT * FROM syscalls WHERE pid = ${of.pid} ORDER BY seq`
          : sql`SELECT * FROM syscalls WHERE pid IN (SELECT pid FROM processes WHERE run = ${of.run}) ORDER BY id`
      ),
    ...makePages(sql),
    events: (run, after = 0) =>
      readEvents(sql`SELECT * FROM events WHERE run = ${run} AND seq > ${after} ORDER BY seq`),
    unfinished: (run) =>
      readCalls(sql`
        SELECT * FROM syscalls
        WHERE ended IS NULL AND pid IN (SELECT pid FROM processes WHERE run = ${run}) ORDER BY id`)
  })
})
