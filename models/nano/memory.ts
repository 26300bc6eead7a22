/** Tasks that need the calls of memory: chains, results that are too long to be shown, and what is known from before. */
import { callText, foundText, longText, partText, resultText } from "../../kernel/prompt.ts"
import { type ChainOptions, cased, chain, describe, trace, type Variant } from "./chains.ts"
import type { Naming } from "./disguises.ts"
import type { Piece } from "./generate.ts"
import { mention, pickPhrase, type Random, sentence, word } from "./language.ts"
import { knownAbout, longAsk, note, noteThat, partAsk } from "./phrasings.ts"
import { viewsOf, type Window, windowFor } from "./views.ts"
import type { Call, Step, World } from "./world.ts"

/** A task of memory: its calls, then `exit`. */
export interface Errand {
  readonly task: string
  readonly calls: ReadonlyArray<Call>
  readonly answer: string
  readonly failed: boolean
}

const done = (tool: string, args: Call["args"], text: string): Call => ({ tool, args, ok: true, text })

const isNote = (call: Call) => call.tool === "note"

const length = (r: Random): number =>
  r.pick([() => r.int(1, 4), () => r.int(1, 4), () => r.int(4, 20), () => r.int(20, r.pick([40, 200]))])()

const chainErrand = (r: Random, window: Window): Errand => {
  const variant = r.pick<Variant>(["note", "note", "note", "recall", "recall", "recall", "page", "last"])
  const options: ChainOptions = {
    files: length(r),
    tokensPerFile: r.chance(0.6) ? r.int(5, 40) : r.int(60, 230),
    variant,
    place: r.chance(0.75) ? 0 : r.int(1, 4),
    hard: true,
    plain: r.chance(0.65)
  }
  const c = chain(r, options)
  const reads = [...trace(r, { ...c, variant: variant === "note" ? "note" : "last" }, true)]
  const end = viewsOf(reads, c.task, window, isNote).at(-1)
  const calls = trace(r, c, end?.seen.some((s) => "at" in s && s.at === c.place) ?? true)
  const cut = calls.findIndex((call, i) => i > 0 && call.tool === "fs_read" && r.chance(0.03 / c.files.size))
  if (cut > 0) {
    const call = calls[cut] as Call
    const text = `no such file: ${call.args.path}`
    return {
      task: c.task,
      calls: [...calls.slice(0, cut), { ...call, ok: false, text }],
      answer: text,
      failed: true
    }
  }
  return { task: c.task, calls, answer: c.answer, failed: false }
}

/** A file whose text is too long to be shown; what is asked for is in one of its parts. */
const longErrand = (r: Random): Errand => {
  const c = chain(r, { files: 1, tokensPerFile: r.int(200, 900), variant: "last" })
  const [file, text] = [...c.files][0] as [string, string]
  const parts = r.int(2, 4)
  const lines = text.replace(/\n$/, "").split("\n")
  const size = Math.ceil(lines.length / parts)
  const cut = Array.from({ length: parts }, (_, i) => lines.slice(i * size, (i + 1) * size).join("\n"))
  const shown = Math.max(1, Math.floor(size * (0.2 + 0.5 * r.unit())))
  const [head, tail] = [lines.slice(0, shown).join("\n"), lines.slice(-shown).join("\n")]
  const at = lines.findIndex((l) => l.includes(c.answer) && l.toLowerCase().includes(c.label.toLowerCase()))
  const seen = at < shown || at >= lines.length - shown
  const part = Math.floor(at / size) + 1
  const explicit = !seen && r.chance(0.4)
  const said = { f: mention(r, file), l: c.label, n: String(part) }
  const read = done("fs_read", { path: file }, longText(head, 4, text.length + 8, tail))
  const recalls = (explicit ? [part] : seen ? [] : Array.from({ length: part }, (_, i) => i + 1)).map((n) =>
    done("recall", { page: 4, part: n }, partText(4, n, n < parts, cut[n - 1] as string))
  )
  return {
    task: cased(pickPhrase(r, explicit ? partAsk : longAsk, said)),
    calls: [read, ...recalls],
    answer: c.answer,
    failed: false
  }
}

/** A short file that says what is asked for. */
const lookErrand = (r: Random): Errand => {
  const c = chain(r, { files: 1, tokensPerFile: r.int(1, 70), variant: "last", hard: true })
  const [file, text] = [...c.files][0] as [string, string]
  return {
    task: cased(pickPhrase(r, longAsk, { f: mention(r, file), l: c.label })),
    calls: [done("fs_read", { path: file }, text.replace(/\n$/, ""))],
    answer: c.answer,
    failed: false
  }
}

/** What an earlier run in the same folder has left. */
const knownErrand = (r: Random): Errand => {
  const { answer, label, line } = describe(r)
  const where = r.pick([`memory ${r.int(1, 40)}`, `memory ${word(r)}`, `memory ${label}`])
  const others = Array.from({ length: r.pick([0, 0, 1, 2]) }, () => ({
    where: r.pick([`memory ${r.int(1, 40)}`, `page ${r.int(3, 90)}`]),
    line: `${sentence(r, 1, 4)} ${label} ${sentence(r, 0, 2)}`.trim()
  }))
  const task = cased(pickPhrase(r, knownAbout, { l: label }))
  const nothing = r.chance(0.1)
  const found = nothing
    ? []
    : r.sample([{ where, line }, ...others, ...(r.chance(0.4) ? [{ where: "page 2", line: task }] : [])], 9)
  const calls = [done("recall", { text: label }, foundText(found))]
  return { task, calls, answer: nothing ? "nothing found" : answer, failed: nothing }
}

/** One view of a process at a task of memory, from an eviction to the next: what stands in it, and the calls to learn. */
export const memoryTask = (r: Random, names: Naming, system: string): Array<Piece> => {
  const window = windowFor(r, system)
  const kind = r.unit()
  const errand =
    kind < 0.7
      ? chainErrand(r, window)
      : kind < 0.74
        ? longErrand(r)
        : kind < 0.85
          ? lookErrand(r)
          : knownErrand(r)
  const calls = errand.calls.map((call) => ({ ...call, ...names.call(call.tool, call.args) }))
  const noteName = names.call("note", {}).tool
  const views = viewsOf(calls, errand.task, window, (call) => call.tool === noteName)
  const n = r.chance(0.5) ? views.length - 1 : r.chance(0.5) ? 0 : r.int(0, views.length - 1)
  const view = views[n] as (typeof views)[number]
  const user = (text: string): Piece => ({ role: "user", text, learn: false, idle: true })
  const say = (call: { readonly tool: string; readonly args: Call["args"] }, learn: boolean): Piece => ({
    role: "model",
    text: callText(call.tool, call.args),
    learn
  })
  const exit = errand.failed ? { answer: errand.answer, failed: true } : { answer: errand.answer }
  return [
    user(errand.task),
    ...view.seen.flatMap((s) => {
      if ("stub" in s) return [user(s.stub)]
      const call = calls[s.at] as Call
      return [say(call, s.learn), user(resultText(call.ok, call.text))]
    }),
    ...(n === views.length - 1 ? [say({ tool: "exit", args: exit }, true)] : [])
  ]
}

/** One step of a usual task: a note, of a given text or of the value of the step before. */
export const noteStep = (w: World, r: Random): Step => {
  if (w.last !== undefined && w.last.length < 40 && !w.last.includes("\n") && r.chance(0.5)) {
    const text = `${w.noun} ${w.last}`
    return { ask: pickPhrase(r, noteThat, { n: w.noun }), calls: [done("note", { text }, "ok")] }
  }
  const { line } = describe(r)
  const text = r.chance(0.5) ? sentence(r, 2, 6) : line.replace(/[.]$/, "")
  w.last = undefined
  return {
    ask: pickPhrase(r, note, { t: r.chance(0.6) ? `"${text}"` : text }),
    calls: [done("note", { text }, "ok")]
  }
}
