/**
 * The raw material of nano's traces: a seeded random source, words, names and phrase templates.
 *
 * Training and the benchmark draw from the same code but from disjoint word lists and phrasings: see `Voice`.
 */

/** Whose words and phrasings: those of training, those held out of it, or forms of sentence that training lacks. */
export type Voice = "train" | "held" | "novel"

/** Seeded random numbers (mulberry32, public domain). The same seed gives the same traces on every machine. */
export class Random {
  private state: number
  readonly voice: Voice
  constructor(seed: number, voice: Voice = "train") {
    this.state = seed >>> 0
    this.voice = voice
  }
  /** Uniform in [0, 1). */
  unit(): number {
    this.state = (this.state + 0x6d2b79f5) >>> 0
    let t = this.state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
  /** Whole number from `low` to `high`, both included. */
  int(low: number, high: number): number {
    return low + Math.floor(this.unit() * (high - low + 1))
  }
  chance(p: number): boolean {
    return this.unit() < p
  }
  pick<A>(items: ReadonlyArray<A>): A {
    return items[Math.floor(this.unit() * items.length)] as A
  }
  /** `n` different items, in random order. */
  sample<A>(items: ReadonlyArray<A>, n: number): Array<A> {
    const pool = [...items]
    for (let i = pool.length - 1; i > 0; i--) {
      const j = this.int(0, i)
      const t = pool[i] as A
      pool[i] = pool[j] as A
      pool[j] = t
    }
    return pool.slice(0, n)
  }
}

const trainWords =
  "apple river stone cloud engine lamp notes report data log orders users budget plan draft todo menu song atlas paper garden window silver copper north south alpha beta gamma delta kernel memory queue page token shell branch leaf root seed wind rain snow fire earth metal wood glass bread honey sugar salt pepper tiger eagle whale horse mouse zebra panda otter robin crane table chair market street bridge castle forest island valley desert ocean harbor signal planet comet rocket laser circuit sensor battery camera mirror pencil letter ticket invoice receipt customer product price stock sales summary result output input config settings backup archive readme index main test build server client network socket record entry team meeting agenda minutes lesson student teacher school library museum music guitar piano violin drum dance movie recipe soup pasta coffee tea lemon orange banana cherry grape melon purple yellow green black white brown scarlet hello world good morning night summer winter spring autumn monday friday january august number total count value list story poem chapter verse quote fact idea dream hope brave quiet quick lazy happy clever gentle strong bright dark cold warm fresh ancient modern simple secret hidden broken golden empty heavy light long short round square words lines bytes line sum average answer people names files copy size text maximum numbers values".split(
    " "
  )
const heldWords =
  "maple canyon pebble thunder turbine lantern memo ledger metrics journal parcels members forecast outline sketch errands platter ballad globe parchment meadow balcony bronze nickel eastern western omega sigma module cache buffer chapterhouse ribbon twig acorn breeze drizzle frost ember soil alloy timber crystal biscuit syrup vinegar ginger leopard falcon dolphin donkey rabbit giraffe koala beaver sparrow heron cabinet bench bazaar avenue viaduct palace jungle lagoon gorge tundra bay beacon meteor shuttle diode probe charger lens prism crayon envelope voucher tenant vendor margin inventory revenue digest".split(
    " "
  )

const letters = "abcdefghijklmnopqrstuvwxyz"
const consonants = "bcdfghjklmnpqrstvwxz"
const vowels = "aeiou"

/** A common word, or (more often where names matter) letters that form no word. */
export const word = (r: Random): string =>
  r.chance(0.55) ? r.pick(r.voice === "train" ? trainWords : heldWords) : scramble(r)

/** Letters without meaning: sometimes pronounceable, sometimes not. */
export const scramble = (r: Random, min = 3, max = 9): string => {
  const n = r.int(min, max)
  let s = ""
  if (r.chance(0.5)) for (let i = 0; i < n; i++) s += r.pick([...(i % 2 ? vowels : consonants)])
  else for (let i = 0; i < n; i++) s += r.pick([...letters])
  return s
}

/** Words for a line of text. */
export const sentence = (r: Random, min = 1, max = 6): string => {
  const n = r.int(min, max)
  const one = () =>
    r.chance(0.8) ? word(r) : r.chance(0.7) ? String(r.int(0, 999)) : `${word(r)}${r.int(1, 99)}`
  const s = Array.from({ length: n }, one).join(" ")
  return s !== "" && r.chance(0.25) ? s[0]!.toUpperCase() + s.slice(1) : s
}

const stem = (r: Random): string => {
  const kind = r.unit()
  if (kind < 0.3) return word(r)
  if (kind < 0.45) return `${word(r)}${r.pick(["_", "-"])}${word(r)}`
  if (kind < 0.55) return `${word(r)}${r.int(0, 99)}`
  if (kind < 0.75) return scramble(r, 3, 12)
  if (kind < 0.83)
    return Array.from({ length: r.int(10, 20) }, () => r.pick([...letters, ..."0123456789_-"]))
      .join("")
      .replace(/^[-_0-9]+|[-_]+$/g, "x")
  if (kind < 0.9) return word(r).toUpperCase()
  if (kind < 0.95) return word(r).replace(/^./, (c) => c.toUpperCase())
  return `${scramble(r)}_${r.int(2020, 2029)}-${r.int(10, 12)}`
}

/** A file name with one of the given extensions, sometimes inside a folder. */
export const fileName = (
  r: Random,
  extensions: ReadonlyArray<string> = ["txt", "md", "csv", "log", "json", "py", "dat", "cfg"]
): string => `${r.chance(0.12) ? `${folderName(r)}/` : ""}${stem(r)}.${r.pick(extensions)}`

export const folderName = (r: Random): string => (r.chance(0.6) ? word(r) : scramble(r, 2, 10))

/** How a person writes a file's name into a sentence. */
export const mention = (r: Random, file: string): string => {
  const kind = r.unit()
  if (kind < 0.76) return file
  if (kind < 0.88) return `the file ${file}`
  if (kind < 0.92) return `"${file}"`
  if (kind < 0.96) return `\`${file}\``
  return `'${file}'`
}

/** A quoted or bare text in a sentence. Bare only where the template around it makes its end plain. */
export const quoted = (r: Random, text: string): string => {
  const kind = r.unit()
  if (kind < 0.62) return `"${text}"`
  if (kind < 0.84) return `'${text}'`
  return text
}

const numerals = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
/** A small number, sometimes as a word. */
export const numeral = (r: Random, n: number): string =>
  n <= 10 && r.chance(0.3) ? (numerals[n] as string) : String(n)

/** A template with its alternatives chosen and its slots still open. */
const form = (r: Random, template: string): string => {
  let text = template
  while (text.includes("["))
    text = text.replace(/\[([^[\]]*)\]/, (_, body: string) => r.pick(body.split("|")))
  return text
    .replace(
      /^(\s*(?:I want you to|I'd like you to|Go ahead and|Make sure to|Your job is to) )([A-Z])/,
      (_, lead, verb) => lead + verb.toLowerCase()
    )
    .replace(/ {2,}/g, " ")
    .trim()
}

const fill = (text: string, slots: { readonly [key: string]: string }): string => {
  const said = text.replace(/\{(\w+)\}/g, (_, key: string) => slots[key] ?? `{${key}}`)
  return text.startsWith("{") ? fixed + said : said
}

/**
 * Fills a phrase template: `[a|b|]` picks one alternative, `{slot}` inserts a value.
 */
export const phrase = (r: Random, template: string, slots: { readonly [key: string]: string }): string =>
  fill(form(r, template), slots)

/** Whether a form of words is kept out of training: one in three, decided by the words alone. */
const isHeld = (text: string): boolean =>
  [...text].reduce((h, c) => (h * 33 + c.charCodeAt(0)) >>> 0, 5381) % 3 === 0

/** Asks in one of a skill's ways, as the source's `voice` wants it. */
export const pickPhrase = (
  r: Random,
  phrasings: {
    readonly train: ReadonlyArray<string>
    readonly split: ReadonlyArray<string>
    readonly novel: ReadonlyArray<string>
  },
  slots: { readonly [key: string]: string }
): string => {
  if (r.voice === "novel") return phrase(r, r.pick(phrasings.novel), slots)
  if (r.voice === "train" && r.chance(0.65)) return phrase(r, r.pick(phrasings.train), slots)
  for (;;) {
    const text = form(r, r.pick(phrasings.split))
    if (isHeld(text) === (r.voice === "held")) return fill(text, slots)
  }
}

// A phrase that begins with a name is marked, so that joining phrases never changes the case of a name.
const fixed = "\u0001"
const capital = (s: string) => (/^[a-z]/.test(s) ? s[0]!.toUpperCase() + s.slice(1) : s)
const plain = (s: string) => (/^[A-Z][a-z]/.test(s) ? s[0]!.toLowerCase() + s.slice(1) : s)
/** A request that is a sentence already. */
const told = /^(\u0001|I |I'd |Go ahead|Make sure|Your job|Let me|There |Where |In |On |For |The )/
const asks = /^(what|how|which|where|who|is|does|do|can|in which|on how)\b/i

/** Joins several requests into one task, the way people do. */
export const compose = (r: Random, requests: ReadonlyArray<string>): string => {
  const marked = (ask: string, end: string) =>
    ask + (/[.?!]$/.test(ask) ? "" : asks.test(ask) && r.chance(0.6) ? "?" : end)
  const [first = "", ...rest] = requests
  let text: string
  const style = r.unit()
  if (rest.length === 0) {
    const lead =
      !asks.test(first) && !told.test(first) && r.chance(0.2)
        ? r.pick(["Please ", "please ", "Could you ", "I need you to ", "Can you ", "Hey, ", "Now "])
        : ""
    text = marked(
      lead === "" ? (r.chance(0.12) ? plain(first) : capital(first)) : lead + plain(first),
      r.chance(0.85) ? "." : ""
    )
  } else if (style < 0.1)
    text = requests
      .map((ask, i) => marked(`${i + 1}. ${capital(ask)}`, r.chance(0.5) ? "." : ""))
      .join(r.chance(0.5) ? "\n" : " ")
  else if (style < 0.2)
    text = [
      `First ${plain(first)}`,
      ...rest.map(
        (ask, i) => `${i === rest.length - 1 && rest.length > 1 ? "Finally" : "Next"}, ${plain(ask)}`
      )
    ]
      .map((s) => marked(s, "."))
      .join(" ")
  else {
    text =
      !asks.test(first) && !told.test(first) && r.chance(0.1)
        ? `Please ${plain(first)}`
        : r.chance(0.12)
          ? plain(first)
          : capital(first)
    rest.forEach((ask, i) => {
      const join = r.pick([
        ", then ",
        ". Then ",
        " and then ",
        ", and then ",
        "; then ",
        ". After that, ",
        ", and ",
        " and ",
        ". "
      ])
      if (join.startsWith("."))
        text =
          marked(text, ".").replace(asks.test(requests[i] as string) && r.chance(0.5) ? /[.]$/ : /$^/, "?") +
          (join === ". " ? ` ${capital(ask)}` : join.slice(1) + plain(ask))
      else text += join + plain(ask)
    })
    text = marked(text, r.chance(0.85) ? "." : "")
  }
  return text.replaceAll(fixed, "")
}
