/**
 * Chains: files that each name the next, longer together than any window, and something in an early one that is asked for
 * at the end. A whole workspace with its task (`chain`), and the ideal calls for it (`trace`).
 */
import { fileName, mention, phrase, pickPhrase, Random, scramble, sentence, word } from "./language.ts"
import type { Phrasings } from "./phrasings.ts"
import type { Call } from "./world.ts"

/**
 * How the answer is kept over the chain: noted at once; looked up by its word; read again on its page; or not at all,
 * because the last file has it.
 */
export type Variant = "note" | "recall" | "page" | "last"

export interface Chain {
  readonly task: string
  /** In the order in which they name each other. */
  readonly files: Map<string, string>
  readonly answer: string
  readonly variant: Variant
  /** What the answer is called in the task and in its file: "code". */
  readonly label: string
  /** The place of its file in the chain, from 0. */
  readonly place: number
}

export interface ChainOptions {
  readonly files: number
  /** About how many of nano's tokens a file has. */
  readonly tokensPerFile?: number
  readonly variant?: Variant
  /** Where the answer is, from 0: the first file unless said otherwise, and always the last of a `last` chain. */
  readonly place?: number
  /** Also names of files that are hard to copy. */
  readonly hard?: boolean
  /** Each file begins or ends with the line that counts, in one form: `code: K7Q2`, `next: b7.txt`, `end`. */
  readonly plain?: boolean
}

/** What `phrase` puts before a text that begins with a name. */
const mark = "\u0001"

const list = (text: string): ReadonlyArray<string> =>
  text
    .split("\n")
    .map((l) => l.trim())
    .filter((l) => l !== "")

const split = (text: string): Phrasings => {
  const [train = "", both = "", novel = ""] = text.split("---")
  return { train: list(train), split: list(both), novel: list(novel) }
}

// Pieces of tasks.
const follow =
  "[follow|go through|read through|go along|keep reading|work through] [the files|the chain of files|the chain|the trail|the files it names|the files that it names|the files named in it] [to the end|until the end|to the last one|until the last one|all the way|all the way to the end|one by one to the end|until there is no next one]"
const followFrom =
  "[Follow|Go through|Read|Work through|Go along] the [files|chain of files|chain|trail|trail of files] [from|starting with|starting at|that starts with|that begins with|beginning with] {a} [to the end|until the end|to the last one|until the last one|all the way|all the way to the end|one by one to the end|until there is no next one]"
const startAt =
  "[Start|Begin] [with|at|in|from] {a} and [read|open|follow] [the file that each one names|whatever file comes next|the next file each time|each file that is named next|file after file] [to the end|until the end|until the last one|until none is left|to the last one]"
const answerWith =
  "[answer with|give|give me|tell me|report|return|say|exit with|end with|finish with|state] [the {l}|that {l}]"
const noteIt =
  "[Note|Note down|Take a note of|Make a note of|Keep a note of|Keep in view|Put down in a note|Keep] the {l} [in|from|that is in|you find in|given in|that stands in] {a}"
const had = "[had|has|held|contained|gave|contains|gives|named]"

const tasks: Record<Variant, Phrasings> = {
  note: split(`
    ${noteIt}, then ${follow} and ${answerWith}
    ${noteIt}, ${follow} and ${answerWith}
    ${noteIt}. [Then|After that,] ${follow}. [At the end|Then|There|Finally], ${answerWith}
    [Read|Open] {a} and note [its {l}|the {l} in it]. Then ${follow} and ${answerWith}
    ---
    [From|In] {a}, note the {l}, then ${follow} and ${answerWith}
    First note the {l} [of|in|from] {a}, then ${follow}. [In the end|At the end], ${answerWith}
    ${noteIt}; ${follow}; ${answerWith}
    ---
    There is a {l} in {a}: put it into a note, walk along the files to the last and let me have it
  `),
  recall: split(`
    ${followFrom}, then ${answerWith.replace("|that {l}", "")} that {a} ${had}
    ${followFrom}. Then ${answerWith.replace("|that {l}", "")} [from|of|in] {a}
    ${followFrom}. [What|Which] {l} did {a} have
    ${followFrom} and ${answerWith.replace("|that {l}", "")} that was in [{a}|the first one|the first]
    ${startAt}. Then ${answerWith.replace("|that {l}", "")} [from|of|in] [{a}|the first file|the first one]
    [What|Which] {l} does {a} have? First ${follow}
    Read {a} and ${follow}, then ${answerWith.replace("|that {l}", "")} that {a} ${had}
    ---
    ${startAt}, then ${answerWith.replace("|that {l}", "")} that {a} ${had}
    ${followFrom}; what was the {l} in {a}
    Once you have read the files from {a} to the end, ${answerWith.replace("|that {l}", "")} that {a} ${had}
    Read on from {a} until no file is named any more, then ${answerWith.replace("|that {l}", "")} of {a}
    ---
    {a} begins a row of files. Walk to its end, then let me have the {l} which the first one mentioned
  `),
  page: split(`
    ${followFrom}, then [recall|read again|reread|go back to|look again at] page {p} and ${answerWith}
    ${startAt}. [At the end|Then] [recall|read again|reread] page {p} and ${answerWith} [on it|there|that it has|that it gives]
    ${followFrom}. Then ${answerWith} [on|from] page {p}
    Read {a} and ${follow}, then ${answerWith} [on|of|from] page {p}
    ---
    ${followFrom}; then take page {p} again and ${answerWith} [on it|that is on it]
    ${startAt}, then ${answerWith} that page {p} ${had}
    ---
    Walk from {a} to the last file, see page {p} once more, and let me have its {l}
  `),
  last: split(`
    ${followFrom} and ${answerWith} [in|from|of] the last [one|file]
    ${startAt}. Then ${answerWith} that the last [one|file] ${had}
    ${followFrom}. [What|Which] {l} does the last [one|file] have
    Read {a} and ${follow}. ${answerWith.replace(/^\[answer with/, "[Answer with")} in the last [one|file]
    ---
    ${followFrom}; then ${answerWith} that stands in the last [one|file]
    Which {l} is in the last file [of the chain from|of the trail from|that you get to from] {a}
    ---
    Walk along the files behind {a} and let me have the {l} where they stop
  `)
}

/** The same when it is not said which of the first files has it. */
const early: Record<"note" | "recall", Phrasings> = {
  note: split(`
    ${followFrom}. Note the {l} [on the way|when you see it|as soon as you see it] and [at the end|then] ${answerWith}
    ${startAt}. Note the {l} [on the way|when you see it|when you come to it] and [at the end|then] ${answerWith}
    ${followFrom}. One of them [has|gives|names] a {l}: note it, and [at the end|then] ${answerWith}
    ---
    ${startAt}, and keep a note of the {l} [you meet|you see|that comes up]. [In the end|At the end], ${answerWith}
    ${startAt}. You will see a {l}: note it. [In the end|At the end], ${answerWith}
    ---
    Walk from {a} to the last file with a note of the {l} which comes by, and let me have it
  `),
  recall: split(`
    ${startAt}. [One of them|One of the first] [has|gives|names] a {l}: ${answerWith} when you are through
    ${followFrom}. Then ${answerWith} that [one of them|one of the first] ${had}
    ${followFrom}. [What|Which] {l} did one of them [have|give|name|contain]
    ---
    ${startAt}, then ${answerWith} that [you met|you saw|came up] [on the way|there]
    ${followFrom}; then ${answerWith} that one of [these|these files] ${had}
    ---
    Walk from {a} to the last file, and let me have the {l} which came by
  `)
}

const naming = split(`
  next: {n}
  Next: {n}
  next file: {n}
  Continue in {n}.
  Continue with {n}.
  see {n} next
  See {n} next.
  [Next|Now|Then] [read|open|go to|see] {n}
  [Next|Now|Then] [read|open|go to|see] {n}.
  Go on [with|to|in] {n}.
  continued in {n}
  The next file is {n}.
  [next|Next] [one|file|part|stop|up] [is|:] {n}
  Turn to {n} now.
  It goes on in {n}.
  -> {n}
  next = {n}
  ---
  The [story|list|trail|text|rest|chain] [continues|goes on] in {n}.
  [Continue|Go on] [reading|] [in|with] {n} [now|next]
  [Read|Open|See|Take] {n} [next|now|after this|after that].
  After this, [read|open|see|go to] {n}
  The next [one|part|page|stop] is {n}
  ---
  {n} is where this is continued
`)
const ending = split(`
  end
  The end.
  This is the last file.
  [This is|That was] the [last one|last file|end]
  [No|There is no] [next|more|other] file.
  end of the [chain|trail|list|files]
  [Nothing|No file] [follows|comes next|comes after this].
  [Stop|You can stop] here.
  next: none
  ---
  [Here|This is where] the [chain|trail|list] [ends|stops].
  You have [reached|come to] the [end|last file].
  [That|This] is [all|the end of it].
  ---
  Nothing more to read
`)
const stating = split(`
  {l}: {v}
  {l}: {v}
  {L}: {v}
  the {l} is {v}
  The {l} is {v}.
  {l} = {v}
  {l}={v}
  {L} = {v}
  [Your|Our|Today's|This week's|The new] {l} is {v}.
  [Use|Take] {v} as the {l}.
  [Here is|This is] the {l}: {v}
  {v} is the {l}
  ---
  The {l} [you need|for today|here|to use] is {v}.
  [Remember|Attention|Please remember|Important]: the {l} is {v}
  [my|our|the] {l} = {v}
  The {l} [reads|says]: {v}
  ---
  For {l}, put {v}
`)

const trainLabels =
  "code|key|password|token|pin|number|name|color|address|secret|owner|total|id|date|price|winner|access code|door code|serial number|account number|room number|phone number|user name|order number|access key|secret word|city|version|port|score"
const heldLabels =
  "passphrase|badge|license|signature|combination|gate code|locker number|ticket number|magic word|safe code|invoice number|callsign|passcode|locker key|entry code|login name"
/** In training mostly names that nobody gives to anything, so that they have to be read. */
const label = (r: Random): string => {
  if (r.voice !== "train") return r.pick(heldLabels.split("|"))
  const kind = r.unit()
  if (kind < 0.35) return r.pick(trainLabels.split("|"))
  if (kind < 0.6) return word(r)
  const last = r.chance(0.6) ? r.pick(["code", "key", "number", "name", "word", "id"]) : word(r)
  return `${word(r)} ${last}`
}

const upper = "ABCDEFGHJKLMNPQRSTUVWXYZ"
const some = (r: Random, from: string, n: number) =>
  Array.from({ length: n }, () => r.pick([...from])).join("")
const value = (r: Random): string => {
  const kind = r.unit()
  if (kind < 0.3) return some(r, `${upper}0123456789`, r.int(3, 7)).replace(/^\d+$/, "A7")
  if (kind < 0.45) return String(r.int(10, 99999))
  if (kind < 0.58) return scramble(r, 3, 8)
  if (kind < 0.7) return word(r)
  if (kind < 0.8) return `${word(r)}-${r.int(1, 999)}`
  if (kind < 0.88) return `${some(r, upper, r.int(1, 3))}-${r.int(10, 9999)}`
  if (kind < 0.94) return `${word(r)}-${word(r)}`
  return scramble(r, 2, 5) + r.int(10, 999)
}

/** Names of one chain's files: all of one kind, as such folders are. */
const names = (r: Random, count: number, hard: boolean, plain: boolean): Array<string> => {
  const kind = plain ? 0.3 + 0.45 * r.unit() : r.unit()
  const extension = r.pick(["txt", "txt", "txt", "md", "log", "dat"])
  const stem = r.pick(["part", "file", "note", "page", "step", word(r)])
  const one = (): string => {
    if (hard && kind < 0.3) return fileName(r)
    if (kind < 0.5) return `${some(r, "abcdefghijklmnopqrstuvwxyz", 1)}${r.int(1, 99)}.${extension}`
    if (kind < 0.65) return `${word(r)}.${extension}`
    if (kind < 0.75) return `${word(r)}${r.int(1, 99)}.${extension}`
    if (kind < 0.85) return `${stem}${r.pick(["-", "_"])}${r.int(1, 999)}.${extension}`
    if (kind < 0.95) return `${scramble(r, 3, 6)}.${extension}`
    return `${word(r)}_${word(r)}.${extension}`
  }
  const all = new Set<string>()
  while (all.size < count) {
    const name = one()
    all.add(all.has(name) ? `${r.int(100, 999)}${name.replace(/.*\//, "")}` : name)
  }
  return [...all]
}

const time = (r: Random) => `${r.int(10, 23)}:${r.int(10, 59)}`
const capital = (s: string) => s.replace(/^./, (c) => c.toUpperCase())
const prose = list(`
  The {a} [is|was|stood|lay|went|came] [in|near|behind|by|under] the {b}.
  We [saw|found|had|counted|sold] {n} {a} [on|in|near] the {b} [today|last week|in the morning|again].
  [Nobody|Everybody|Someone|The {a}] [knows|says|said|thinks] that the {b} is [old|new|late|here|gone|quiet].
  [Yesterday|Today|On Monday|In {n}|Later] the {a} was [moved|sent|brought|given] to {b}.
  {A} and {b} [were|are] [not|often|always] [there|late|the same|in order].
  It [was|is] a [long|cold|good|quiet|busy] [day|week|night] for the {a}, [and|but] the {b} [stayed|was fine|did not move].
  Ask {a} about the {b} [first|again|before noon].
`)
const lines: ReadonlyArray<(r: Random) => string> = [
  (r) => sentence(r, 2, 9),
  (r) => phrase(r, r.pick(prose), { a: word(r), A: capital(word(r)), b: word(r), n: String(r.int(2, 99)) }),
  (r) =>
    `${time(r)} ${r.pick(["INFO", "WARN", "DEBUG", "ERROR"])} ${word(r)} ${r.pick(["ok", "done", "started", "slow", "failed"])} ${r.int(1, 999)}`,
  (r) => `${word(r)}: ${r.chance(0.5) ? r.int(0, 999) : word(r)}`,
  (r) => `${word(r)},${word(r)},${r.int(0, 999)}`,
  (r) => `- ${sentence(r, 1, 5)}`,
  (r) => `${word(r)} = ${word(r)}(${r.int(0, 99)})`,
  (r) => `${capital(word(r))}: ${sentence(r, 2, 6)}`
]
/** A line that names a file without being the one to follow. */
const aside = (r: Random) =>
  phrase(r, r.pick(["{t} opened {f}", "copied {f} to {g}", "{f}: {n} lines", "{f} was fine", "- {f}"]), {
    t: time(r),
    f: fileName(r),
    g: fileName(r),
    n: String(r.int(1, 99))
  })

/** Characters of a filler line for each of nano's tokens, as measured. */
const charactersPerToken = 1.75

/** Lines of no importance. A file is mostly of one kind. */
const filler = (r: Random, tokens: number, label: string): Array<string> => {
  const words = label.split(" ")
  const own = r.pick(lines)
  const mixed = r.chance(0.3)
  const out: Array<string> = []
  for (let left = tokens * charactersPerToken; left > 10; ) {
    const line = (r.chance(0.02) ? aside(r) : (mixed ? r.pick(lines) : own)(r)).replaceAll(mark, "")
    // What is asked for is said in one place only.
    if (words.some((w) => line.toLowerCase().includes(w.replace(/s$/, "")))) continue
    out.push(line)
    left -= line.length + 1
  }
  return out
}

/** Puts a line at the end, or sometimes elsewhere. */
const put = (r: Random, into: Array<string>, line: string, atEnd: number): void => {
  into.splice(r.chance(atEnd) ? into.length : r.int(0, into.length), 0, line)
}

/** Something to be known: what it is called, what it is, and a line that says so. */
export const describe = (
  r: Random
): { readonly label: string; readonly answer: string; readonly line: string } => {
  const [l, v] = [label(r), value(r)]
  const line = pickPhrase(r, stating, { l, L: capital(l), v }).replaceAll(mark, "")
  return { label: l, answer: v, line }
}

/** A request as a sentence of its own. */
export const cased = (ask: string): string => {
  const text = ask.startsWith(mark) ? ask.replaceAll(mark, "") : capital(ask.replaceAll(mark, ""))
  const question = /^(what|which|do)\b/i.test(ask.split(/[.;?] /).at(-1) as string)
  return `${text}${question ? "?" : "."}`
}

/** A whole chain. From a number: with words and phrasings that are not in training. */
export const chain = (source: number | Random, options: ChainOptions): Chain => {
  const r = typeof source === "number" ? new Random(source, "held") : source
  const variant = options.variant ?? r.pick<Variant>(["note", "recall"])
  const plain = options.plain ?? false
  const order = names(r, options.files, options.hard ?? false, plain)
  const place = variant === "last" ? order.length - 1 : Math.min(options.place ?? 0, order.length - 1)
  const { answer, label: l, line: statement } = describe(r)
  const files = new Map<string, string>()
  const tokens = options.tokensPerFile ?? 150
  order.forEach((name, i) => {
    const text = filler(r, tokens * (0.6 + 0.8 * r.unit()), l)
    const next = order[i + 1]
    if (plain) {
      if (i === place) text.unshift(`${l}: ${answer}`)
      text.push(next === undefined ? "end" : `next: ${next}`)
    } else {
      if (i === place) put(r, text, statement, 0.2)
      const line = next === undefined ? pickPhrase(r, ending, {}) : pickPhrase(r, naming, { n: next })
      put(r, text, line.replaceAll(mark, ""), r.voice === "train" ? 0.65 : 0.8)
    }
    files.set(name, `${text.join("\n")}\n`)
  })
  const first = order[0] as string
  const said = place > 0 && (variant === "note" || variant === "recall") ? early[variant] : tasks[variant]
  const ask = pickPhrase(r, said, {
    a: r.chance(0.7) ? first : mention(r, first),
    l,
    p: String(2 + 2 * (place + 1))
  })
  return {
    task: cased(ask),
    files,
    answer,
    variant,
    label: l,
    place
  }
}
/** Lines in which a word was found, as `recall` gives them: the right one among others. */
const found = (r: Random, c: Chain, page: number): string => {
  const line = ([...c.files.values()][c.place] as string)
    .split("\n")
    .find((l) => l.includes(c.answer) && l.toLowerCase().includes(c.label.toLowerCase())) as string
  const others = [
    `page 2: ${c.task}`,
    ...Array.from(
      { length: r.pick([0, 0, 1]) },
      () => `page ${r.int(3, 200)}: ${sentence(r, 1, 4)} ${c.label} ${sentence(r, 0, 2)}`
    )
  ]
  return r.sample([`page ${page}: ${line}`, ...r.sample(others, r.pick([0, 0, 1, 1, 2]))], 9).join("\n")
}

/** The ideal calls for a chain, without `exit`; `inView` says whether the page with the answer is so at the end. */
export const trace = (r: Random, c: Chain, inView: boolean): Array<Call> => {
  const done = (tool: string, args: Call["args"], text: string): Call => ({ tool, args, ok: true, text })
  const calls = [...c.files].flatMap(([path, text], i) => [
    done("fs_read", { path }, text.replace(/\n$/, "")),
    ...(c.variant === "note" && i === c.place ? [done("note", { text: `${c.label} ${c.answer}` }, "ok")] : [])
  ])
  const page = 2 + 2 * (c.place + 1)
  if (c.variant === "recall") calls.push(done("recall", { text: c.label }, found(r, c, page)))
  if (c.variant === "page") {
    const text = inView ? `page ${page} is in view` : (calls[c.place] as Call).text
    calls.push(done("recall", { page }, text))
  }
  return calls
}
