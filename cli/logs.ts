/** `noos logs`: what a process did, and what lies in its memory, as the journal has it. */
import { Effect } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { type Call, type Event, Journal, type Page, type Process, type Run } from "../kernel/journal.ts"
import { unused } from "../kernel/process.ts"
import { parse } from "../kernel/prompt.ts"
import { hasJournal, journalLayer } from "./environment.ts"
import { jsonFlag } from "./flags.ts"
import { memoryMap } from "./map.ts"
import { picture } from "./picture.ts"
import { callLine, oneLine, pagedOut, recalled, type Told, usageText } from "./report.ts"
import { code, Stop } from "./stop.ts"
import { clock } from "./table.ts"

/** All that the journal has of what a process did. */
interface Story {
  readonly process: Process
  readonly run: Run
  readonly events: ReadonlyArray<Event>
  readonly pages: ReadonlyMap<number, Page>
  readonly calls: ReadonlyMap<number, Call>
}

const byId = <Row extends { readonly id: number }>(rows: ReadonlyArray<Row>): ReadonlyMap<number, Row> =>
  new Map(rows.map((row) => [row.id, row]))

/** An event with what it speaks of: a call's arguments, what came of it, a page's text. */
const whole = (event: Event, { calls, pages }: Story): Event => {
  const { data, kind } = event
  const also = (more: Event["data"]) => ({ ...event, data: { ...data, ...more } })
  const id = data.id as number
  if (kind === "page") {
    const { label, text, tokens } = pages.get(id)!
    return also({ text, tokens, label })
  }
  if (kind === "call") return also({ args: calls.get(id)!.args })
  if (kind !== "outcome") return event
  const { error, ok, result } = calls.get(id)!
  return also(ok === true ? { result } : { error })
}

/** Gives what a person is told of an event; undefined where that is nothing. */
const teller = ({ calls, pages, run }: Story, width: number) => {
  /** Of the call that the process has written last. */
  let args: unknown
  let refused = false

  const page = ({ call, role, text }: Page) => {
    if (role === "task" || role === "summary") return `${role}: ${text}`
    if (role === "call") {
      args = parse(text)?.args
      refused = false
    }
    // Of a call that never began, or began in the process that this one was forked from.
    return role === "result" && call === null && !refused ? text : undefined
  }

  return ({ data, kind }: Event): string | undefined => {
    const id = data.id as number
    switch (kind) {
      case "page":
        return page(pages.get(id)!)
      case "call": {
        const { args, ended, tool } = calls.get(id)!
        const came = run.ended === null ? "not ended" : "outcome unknown"
        return ended === null ? callLine(tool, args, came, width) : undefined
      }
      case "outcome": {
        const { args, ended, error, result, started, tool } = calls.get(id)!
        const came = error === null ? { result } : { error: { message: String(error.message) } }
        return callLine(tool, args, { ...came, ms: ended! - started }, width)
      }
      case "refused":
        refused = true
        return callLine(String(data.tool), args, `✗ ${data.message}`, width)
      case "evict":
        return pagedOut(data as unknown as Told<"evict">)
      case "fault":
        return recalled(data as unknown as Told<"fault">)
      case "signal":
        return `signal ${data.signal}`
      case "message":
        return `message to ${data.to}: ${data.text}`
      case "state":
        if (data.to === "zombie") return data.status === "ok" ? "ok" : `${data.status}: ${data.why}`
        return data.to === "stopped" ? `stopped: ${data.why}` : undefined
      default:
        return `${kind} ${JSON.stringify(data)}`
    }
  }
}

const lineage = ({ origin, parent, shared }: Process): string => {
  if (origin !== null) return `, forked from ${origin} with ${shared} pages`
  return parent === null ? "" : `, child of ${parent}`
}

const endOf = ({ answer, state, waiting, why }: Process): string => {
  if (state !== "zombie") return `not ended: ${state} (${waiting ?? why})`
  return `answer: ${typeof answer === "string" ? answer : JSON.stringify(answer)}`
}

/** For a person, in lines of at most `width` characters. */
const log = (story: Story, width: number): ReadonlyArray<string> => {
  const { events, process: p, run } = story
  const time = 9
  const tell = teller(story, width - time - 2)
  const lines = events.flatMap((event) => {
    const told = tell(event)
    const since = `${((event.at - p.created) / 1000).toFixed(1)} s`
    return told === undefined ? [] : `${since.padStart(time)}  ${told}`
  })
  const head = `process ${p.pid} of run ${run.id}${lineage(p)}, ${p.program}, started ${clock(p.created)}`
  return [head, ...lines, usageText({ ...unused, ...p.usage }), endOf(p)].map((line) => oneLine(line, width))
}

const show = Effect.fnUntraced(function* (pid: number, memory: boolean, json: boolean) {
  const journal = yield* Journal
  const p = yield* journal.process(pid)
  if (p === undefined) return undefined
  const { columns } = process.stdout
  const run = yield* journal.run(p.run)
  if (memory) {
    const map = memoryMap(p, run, yield* journal.pages(pid))
    return json ? [JSON.stringify(map)] : picture(map, columns || 80, Date.now())
  }
  // What an event speaks of is there before the event is: so the events are read first.
  const events = (yield* journal.events(run.id)).filter((event) => event.pid === pid)
  const pages = yield* journal.pages(pid)
  const calls = byId(yield* journal.calls({ pid }))
  const story: Story = { process: p, run, events, pages: byId(pages), calls }
  return json
    ? events.map((event) => JSON.stringify(whole(event, story)))
    : log(story, columns || Number.POSITIVE_INFINITY)
})

export const logs = Command.make(
  "logs",
  {
    pid: Argument.Int("pid").pipe(Argument.withDescription("The process, as `noos ps --all` shows it")),
    memory: Flag.Boolean("memory").pipe(
      Flag.withDefault(false),
      Flag.withDescription("Show what lies in its window, and where its pages are")
    ),
    json: jsonFlag
  },
  Effect.fn("noos.logs")(function* ({ json, memory, pid }) {
    const shown = hasJournal() ? yield* show(pid, memory, json).pipe(Effect.provide(journalLayer)) : undefined
    if (shown !== undefined) return console.log(shown.join("\n"))
    return yield* new Stop({
      code: code.failed,
      what: `there is no process ${pid}`,
      todo: "`noos ps --all` shows the latest"
    })
  })
).pipe(Command.withDescription("Show what a process did, or its memory"))
