/** Random sequences of writes, compared with a plain in-memory model of what the journal should hold. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Schema } from "effect"
import { TestClock } from "effect/testing"
import { Journal } from "../../kernel/journal.ts"

/** A folder that goes when the test's scope closes. */
const folder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "noos-journal-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true }))
)

const open = (filename: string) => Effect.map(Layer.build(Journal.layer(filename)), Context.get(Journal))

type Logged = readonly [kind: string, pid: number | null, subject: unknown]

/** The tables as plain arrays. */
class Model {
  processes: Array<Record<string, unknown> & { readonly pid: number; state: string }> = []
  calls: Array<
    Record<string, unknown> & { readonly id: number; readonly pid: number; ended: number | null }
  > = []
  pages: Array<Record<string, unknown> & { readonly pid: number }> = []
  events: Array<Logged> = []
}

const text = Schema.String
const some = Schema.Natural.check(Schema.isLessThan(1000))
const Write = Schema.Union([
  Schema.Struct({ do: Schema.Literal("spawn"), of: some, text }),
  Schema.Struct({
    do: Schema.Literal("transition"),
    of: some,
    text,
    state: Schema.Literals(["running", "blocked"])
  }),
  Schema.Struct({
    do: Schema.Literal("exit"),
    of: some,
    status: Schema.Literals(["ok", "killed"]),
    value: Schema.Json
  }),
  Schema.Struct({ do: Schema.Literal("page"), of: some, text }),
  Schema.Struct({ do: Schema.Literal("intent"), of: some, value: Schema.Json, text }),
  Schema.Struct({ do: Schema.Literal("outcome"), of: some, ok: Schema.Boolean, value: Schema.Json, text }),
  Schema.Struct({ do: Schema.Literal("event"), of: some, text })
])
type Write = typeof Write.Type
/** Some writes one by one, then some in a transaction that may be made to fail. */
const Chapter = Schema.Struct({
  alone: Schema.Array(Write).check(Schema.isMaxLength(12)),
  together: Schema.Array(Write).check(Schema.isMaxLength(4)),
  fails: Schema.Boolean
})

/** One write on the model; false if it must be refused. `of` picks a process or a call among those there are. */
const onModel = (model: Model, write: Write, at: number, inTransaction: boolean): boolean => {
  const process = model.processes[write.of % model.processes.length]!
  const { pid } = process
  switch (write.do) {
    case "spawn": {
      const child = {
        pid: model.processes.length + 1,
        parent: pid,
        program: write.text.toWellFormed(),
        state: "ready"
      }
      model.processes.push({ ...child, why: "spawn", waiting: null, status: null, answer: null, updated: at })
      model.events.push(["state", child.pid, "ready"])
      return true
    }
    case "transition": {
      if (process.state === "zombie") return false
      const waiting = write.state === "blocked" ? write.text.toWellFormed() : null
      Object.assign(process, { state: write.state, why: write.text.toWellFormed(), waiting, updated: at })
      model.events.push(["state", pid, write.state])
      return true
    }
    case "exit": {
      if (process.state === "zombie") return false
      const end = {
        state: "zombie",
        why: "end",
        waiting: null,
        status: write.status,
        answer: write.value,
        updated: at
      }
      Object.assign(process, end)
      model.events.push(["state", pid, "zombie"])
      return true
    }
    case "page": {
      const ordinal = model.pages.filter((page) => page.pid === pid).length + 1
      model.pages.push({
        pid,
        ordinal,
        role: "note",
        text: write.text.toWellFormed(),
        call: null,
        created: at
      })
      model.events.push(["page", pid, ordinal])
      return true
    }
    case "intent": {
      if (inTransaction) return false
      const id = model.calls.length + 1
      const seq = model.calls.filter((call) => call.pid === pid).length + 1
      const unknown = { ended: null, ok: null, result: null, error: null, text: null }
      model.calls.push({
        id,
        pid,
        seq,
        tool: write.text.toWellFormed(),
        args: write.value,
        started: at,
        ...unknown
      })
      model.events.push(["call", pid, id])
      return true
    }
    case "outcome": {
      const call = model.calls[write.of % (model.calls.length + 1)]
      if (call === undefined || call.ended !== null) return false
      const halves = write.ok ? { result: write.value } : { error: { code: "failed", message: write.text } }
      Object.assign(call, { ended: at, ok: write.ok, text: write.text.toWellFormed(), ...halves })
      model.events.push(["outcome", call.pid, call.id])
      return true
    }
    case "event": {
      model.events.push(["note", pid, write.text])
      return true
    }
  }
}

/** The same write on the journal. */
const onJournal = (journal: Journal["Service"], model: Model, run: number, write: Write) => {
  const { pid } = model.processes[write.of % model.processes.length]!
  switch (write.do) {
    case "spawn":
      return journal.spawn({ run, parent: pid, program: write.text })
    case "transition":
      return journal.transition(
        pid,
        write.state,
        write.text,
        write.state === "blocked" ? { waiting: write.text } : {}
      )
    case "exit":
      return journal.exit(pid, { status: write.status, why: "end", answer: write.value })
    case "page":
      return journal.appendPage(pid, { role: "note", text: write.text, tokens: 1 })
    case "intent":
      return journal.syscallIntent(pid, { tool: write.text, args: write.value, effect: "pure" })
    case "outcome": {
      const id = (write.of % (model.calls.length + 1)) + 1
      const error = { code: "failed", message: write.text }
      const { text } = write
      return journal.syscallOutcome(
        id,
        write.ok ? { ok: true, result: write.value, text } : { ok: false, error, text }
      )
    }
    case "event":
      return journal.event(pid, "note", { subject: write.text })
  }
}

const pick = (keys: ReadonlyArray<string>) => (row: object) =>
  Object.fromEntries(Object.entries(row).filter(([key]) => keys.includes(key)))
const columns = {
  processes: ["pid", "parent", "program", "state", "why", "waiting", "status", "answer", "updated"],
  calls: ["id", "pid", "seq", "tool", "args", "started", "ended", "ok", "result", "error", "text"],
  pages: ["pid", "ordinal", "role", "text", "call", "created"]
}

/** Which field of an event's data says what the event is about. */
const subject: Record<string, string> = { state: "to", page: "ordinal", note: "subject" }

describe("any sequence of writes", () => {
  it.effect.prop(
    "leaves what a plain in-memory model says, refusals and failed transactions included",
    [Schema.Array(Chapter).check(Schema.isMaxLength(6))],
    Effect.fnUntraced(function* ([chapters]) {
      const filename = join(yield* folder, "journal.db")
      const journal = yield* open(filename)
      const run = yield* journal.beginRun({ task: "t", workspace: "/", model: "m" })
      const root = yield* journal.spawn({ run, program: "root" })
      let model = new Model()
      const at = { pid: root, parent: null, program: "root", state: "ready", why: "spawn", updated: 0 }
      model.processes.push({ ...at, waiting: null, status: null, answer: null })
      let now = 0
      yield* TestClock.setTime(0)
      for (const { alone, fails, together } of chapters) {
        for (const write of alone) {
          yield* TestClock.setTime(++now)
          const done = yield* Effect.exit(onJournal(journal, model, run, write))
          assert.strictEqual(done._tag === "Success", onModel(model, write, now, false), write.do)
        }
        const after = structuredClone(model)
        let allowed = true
        const done = yield* Effect.exit(
          journal.atomically(
            Effect.gen(function* () {
              for (const write of together) {
                yield* TestClock.setTime(++now)
                const step = onJournal(journal, after, run, write)
                allowed &&= onModel(after, write, now, true)
                yield* step
              }
              if (fails) return yield* Effect.fail("made to fail")
            })
          )
        )
        assert.strictEqual(done._tag === "Success", allowed && !fails)
        if (allowed && !fails) model = after
      }
      // As another process would see it, after this one is gone.
      const reader = yield* open(filename)
      assert.deepStrictEqual((yield* reader.processes(run)).map(pick(columns.processes)), model.processes)
      assert.deepStrictEqual((yield* reader.calls({ run })).map(pick(columns.calls)), model.calls)
      for (const { pid } of model.processes) {
        const pages = model.pages.filter((page) => page.pid === pid)
        assert.deepStrictEqual((yield* reader.pages(pid)).map(pick(columns.pages)), pages)
      }
      const events = (yield* reader.events(run)).slice(2)
      assert.deepStrictEqual(
        events.map(({ data, kind, pid }): Logged => [kind, pid, data[subject[kind] ?? "id"]]),
        model.events
      )
      for (let n = 1; n < events.length; n++) assert.isAbove(events[n]!.seq, events[n - 1]!.seq)
    }, Effect.scoped),
    { arbitrary: { runs: 30, seed: "journal" } }
  )
})
