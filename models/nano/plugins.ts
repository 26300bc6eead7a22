/**
 * Tools that nano has never seen: random names, arguments and descriptions, so that the only way to use them is to read
 * the list in the prompt.
 */

import type { ToolCard } from "../../kernel/prompt.ts"
import type { JsonSchema } from "../../kernel/schema.ts"
import { inventName, object } from "./disguises.ts"
import { fileName, phrase, type Random, scramble, sentence, word } from "./language.ts"
import { endings } from "./phrasings.ts"
import type { Step } from "./world.ts"

/** A tool of a task: its card, and how to ask for it. */
export interface Plugin {
  readonly card: ToolCard
  readonly step: (r: Random) => Step
}

/** A value for an argument: what it is in JSON, and how a person says it. */
type Value = { readonly json: string | number | boolean; readonly said: string }
type Kind = "word" | "name" | "text" | "number" | "decimal" | "file" | "code" | "email" | "date" | "url"

const capital = (s: string) => s.replace(/^./, (c) => c.toUpperCase())
const value = (r: Random, kind: Kind): Value => {
  if (kind === "number") {
    const n = r.int(0, r.pick([9, 99, 999, 9999]))
    return { json: n, said: String(n) }
  }
  if (kind === "decimal") {
    const n = r.int(1, 9999) / 10
    return { json: n, said: String(n) }
  }
  if (kind === "text") {
    const t = sentence(r, 1, 5)
    return { json: t, said: r.chance(0.65) ? `"${t}"` : `'${t}'` }
  }
  const s =
    kind === "word"
      ? word(r)
      : kind === "name"
        ? capital(word(r))
        : kind === "file"
          ? fileName(r)
          : kind === "email"
            ? `${word(r)}@${word(r)}.${r.pick(["com", "org", "net"])}`
            : kind === "date"
              ? `${r.int(2020, 2030)}-${String(r.int(1, 12)).padStart(2, "0")}-${String(r.int(1, 28)).padStart(2, "0")}`
              : kind === "url"
                ? `http${r.chance(0.5) ? "s" : ""}://${word(r)}.${r.pick(["com", "org", "net", "test"])}${r.chance(0.4) ? `/${word(r)}` : ""}`
                : `${r.chance(0.5) ? scramble(r, 2, 4).toUpperCase() : scramble(r, 2, 4)}${r.chance(0.6) ? "-" : ""}${r.int(1, 9999)}`
  return { json: s, said: r.chance(kind === "word" || kind === "code" ? 0.2 : 0.05) ? `"${s}"` : s }
}

/** Families with everyday meanings: [names], [description], arguments, [how to ask], what comes back. */
type Family = readonly [
  names: string,
  descriptions: ReadonlyArray<string>,
  args: Record<string, Kind>,
  asks: ReadonlyArray<string>,
  back: Kind | "sentence" | "ok"
]
const families: ReadonlyArray<Family> = [
  [
    "weather get_weather forecast weather_in",
    ["Get the weather of a city.", "Tell the weather in a place."],
    { city: "name" },
    [
      "What is the weather in {0}",
      "[Get|Tell me|Find|Look up] the weather [in|of|for] {0}",
      "How is the weather in {0}"
    ],
    "sentence"
  ],
  [
    "translate translate_text to_language",
    ["Translate a text into a language."],
    { text: "text", language: "name" },
    ["Translate {0} [to|into] {1}", "[Say|Put] {0} in {1}", "How do you say {0} in {1}"],
    "sentence"
  ],
  [
    "send_mail email mail send_email",
    ["Send an email.", "Send a mail to an address."],
    { to: "email", text: "text" },
    [
      "[Send|Mail|Write] {1} to {0}",
      "Send an email to {0} [saying|with the text|that says] {1}",
      "Email {0} [the text|] {1}"
    ],
    "ok"
  ],
  [
    "stock stock_price quote price_of_stock",
    ["Get the price of a stock.", "Look up a stock's price."],
    { symbol: "code" },
    [
      "What is the stock price of {0}",
      "[Get|Look up|Find|Tell me] the [stock|] price of {0}",
      "How much is the stock {0}"
    ],
    "decimal"
  ],
  [
    "reverse reverse_text backwards",
    ["Reverse a text.", "Write a text backwards."],
    { text: "text" },
    ["Reverse {0}", "[Write|Spell|Give me] {0} backwards", "Reverse the text {0}"],
    "word"
  ],
  [
    "hash hash_text digest fingerprint",
    ["Compute the hash of a text."],
    { text: "text" },
    ["[Compute|Give me|Get] the hash of {0}", "Hash {0}", "What is the hash of {0}"],
    "code"
  ],
  [
    "create_ticket new_ticket open_ticket ticket",
    ["Open a ticket.", "Create a ticket with a title and a priority."],
    { title: "text", priority: "number" },
    [
      "[Open|Create|Make] a ticket {0} with priority {1}",
      "[Create|Open] a priority {1} ticket [called|titled|named] {0}"
    ],
    "code"
  ],
  [
    "lookup_user find_user user get_user",
    ["Look up a user by id.", "Find a user."],
    { id: "code" },
    ["[Look up|Find|Get|Who is] [the|] user {0}", "Who is user {0}", "[Tell me|Show] who user {0} is"],
    "name"
  ],
  [
    "timer set_timer start_timer",
    ["Set a timer in minutes.", "Start a timer."],
    { minutes: "number" },
    ["[Set|Start] a timer [for|of] {0} minutes", "[Set|Start] a {0} minute timer"],
    "ok"
  ],
  [
    "play play_song music_play",
    ["Play a song by its title.", "Play a song."],
    { title: "text" },
    ["Play [the song|] {0}", "[Put on|Start] the song {0}"],
    "ok"
  ],
  [
    "define dictionary meaning lookup_word",
    ["Give the meaning of a word.", "Define a word."],
    { word: "word" },
    [
      "[Define|Explain] [the word|] {0}",
      "What [does|is the meaning of] {0} [mean|]",
      "[Give me|Look up] the meaning of {0}"
    ],
    "sentence"
  ],
  [
    "geocode locate coordinates where_is",
    ["Find the coordinates of a place.", "Give the position of a place."],
    { place: "name" },
    ["[Find|Get|Give me] the [coordinates|position] of {0}", "Where is {0} on the map", "Locate {0}"],
    "code"
  ],
  [
    "time_in clock local_time time",
    ["Tell the time in a city.", "Get the local time of a city."],
    { city: "name" },
    ["What time is it in {0}", "[Tell me|Get|Give me] the [local|] time in {0}"],
    "code"
  ],
  [
    "shorten short_url shorten_link",
    ["Shorten a link.", "Make a short link."],
    { url: "url" },
    ["Shorten [the link|] {0}", "Make a short link for {0}", "[Make|Get] {0} shorter"],
    "url"
  ],
  [
    "resize resize_image scale_image",
    ["Resize an image to a width."],
    { path: "file", width: "number" },
    ["[Resize|Scale] [the image|] {0} to [a width of|] {1}", "Make {0} {1} [pixels|] wide"],
    "ok"
  ],
  [
    "is_prime prime prime_check",
    ["Tell whether a number is prime.", "Check a number for being prime."],
    { number: "number" },
    ["Is {0} [a prime|prime]", "[Check|Tell me] [if|whether] {0} is prime"],
    "word"
  ],
  [
    "price get_price item_price cost",
    ["Get the price of an item.", "Tell what an item costs."],
    { item: "word" },
    [
      "[What|How much] does [a|the|] {0} cost",
      "What is the price of [a|the|] {0}",
      "[Get|Find|Tell me] the price of {0}"
    ],
    "decimal"
  ],
  [
    "book book_room reserve reserve_room",
    ["Book a room for a date.", "Reserve a room."],
    { room: "code", date: "date" },
    ["[Book|Reserve] [the room|room] {0} [for|on] {1}", "[Reserve|Book] {0} on {1}"],
    "code"
  ],
  [
    "add_contact new_contact contact_add",
    ["Add a contact.", "Save a contact's name and phone."],
    { name: "name", phone: "number" },
    [
      "Add [a|the] contact {0} with [phone|the phone|the number] {1}",
      "Save {0} as a contact with number {1}"
    ],
    "ok"
  ],
  [
    "turn_on switch_on device_on",
    ["Turn on a device.", "Switch a device on."],
    { device: "word" },
    ["[Turn|Switch] on [the|] {0}", "[Turn|Switch] [the|] {0} on"],
    "ok"
  ],
  [
    "turn_off switch_off device_off",
    ["Turn off a device.", "Switch a device off."],
    { device: "word" },
    ["[Turn|Switch] off [the|] {0}", "[Turn|Switch] [the|] {0} off"],
    "ok"
  ],
  [
    "set_temperature heat thermostat",
    ["Set the temperature of a room."],
    { room: "word", degrees: "number" },
    ["[Set|Put|Heat] [the|] {0} to {1} degrees", "[Set|Make] the temperature [in|of] [the|] {0} [to|] {1}"],
    "ok"
  ],
  [
    "convert convert_currency exchange currency",
    ["Convert an amount of money.", "Convert money from one currency to another."],
    { amount: "number", from: "word", to: "word" },
    ["[Convert|Change|Exchange] {0} {1} [to|into] {2}", "How much is {0} {1} in {2}"],
    "decimal"
  ],
  [
    "roman to_roman roman_numeral",
    ["Write a number in Roman numerals."],
    { number: "number" },
    ["[Write|Give me] {0} in Roman numerals", "What is {0} in Roman numerals"],
    "code"
  ],
  [
    "title page_title browse_title",
    ["Get the title of a web page.", "Open a page and give its title."],
    { url: "url" },
    [
      "What is the title of {0}",
      "[Open|Visit] {0} and [give|tell] [me|] its title",
      "[Get|Find|Give me] the title of {0}"
    ],
    "sentence"
  ],
  [
    "track track_parcel parcel shipment",
    ["Track a parcel by its number.", "Tell where a parcel is."],
    { parcel: "code" },
    ["[Track|Find|Where is] [the parcel|parcel] {0}", "[Tell me|Show] where [the parcel|parcel] {0} is"],
    "sentence"
  ],
  [
    "distance distance_between how_far",
    ["Give the distance between two places."],
    { from: "name", to: "name" },
    ["How far is it from {0} to {1}", "[What is|Give me|Find] the distance [from|between] {0} [to|and] {1}"],
    "number"
  ],
  [
    "order order_item buy purchase",
    ["Order an item.", "Buy some of an item."],
    { item: "word", count: "number" },
    ["[Order|Buy|Get] {1} [of|pieces of|] {0}", "[Buy|Order] {1} {0}"],
    "code"
  ],
  [
    "remind reminder set_reminder",
    ["Set a reminder for a date.", "Remind of something on a date."],
    { text: "text", date: "date" },
    ["Remind me [of|about|] {0} on {1}", "[Set|Make] a reminder {0} for {1}"],
    "ok"
  ],
  [
    "count_letters letters_in letter_count",
    ["Count the letters of a word."],
    { word: "word" },
    ["[Count|How many are] the letters [in|of] {0}", "How many letters [does|are in] {0} [have|]"],
    "number"
  ],
  [
    "status service_status check_service",
    ["Get the status of a service.", "Check how a service is doing."],
    { service: "word" },
    [
      "What is the status of [the service|] {0}",
      "[Check|Get|Show] the status of [the|] {0} [service|]",
      "How is the service {0} doing"
    ],
    "word"
  ],
  [
    "restart restart_service reboot",
    ["Restart a service.", "Restart a server by name."],
    { service: "word" },
    ["[Restart|Reboot] [the|] {0} [service|server|]", "[Restart|Reboot] [the service|] {0}"],
    "ok"
  ]
]

const verbs =
  "activate align archive assign attach audit balance block boost broadcast bundle cancel certify charge check classify clean close collect compare compile compress confirm connect count crop deliver deploy describe detect draw encode enable encrypt estimate expand export extract fetch file fill filter find fix flag fold format freeze gather grade grant group hide import index inspect install invite join judge label launch link lint load lock log map mark measure merge mix monitor mount mute name notify open pack paint park pause ping pin plan plot poll post prepare print probe promote prune publish pull push query rank rate record refresh register release rename render renew repair report request reset resolve restore review rotate scan schedule score seal seed select send share shift show sign sketch slice solve sort split stamp start stop store stretch submit summarize swap sync tag test tie trace train transfer trim tune unlock update upload validate verify vote watch weigh wrap".split(
    " "
  )
const nouns =
  "account album alarm alert asset badge banner batch bill block board booking bot box branch bucket campaign card cart case channel chart chat class client clip coupon course crate deck design device diagram domain door draft driver drone event feed field fleet form frame game gate gift graph group guest image invoice issue item job key label lamp lane layer lease lesson level library license list loan lock log machine map match member message meter mission model module node note offer order outlet package page panel parcel part path patient payment permit phone photo pipe plan plant player plot poll pool portal profile project pump queue quiz quota rack rack ramp record region relay release rental report request robot role room route rule sample scene score screen sensor series session shelf ship site sketch slot song stage station storage studio survey switch table tank task team tenant theme thread tile token tool topic track trail tray trip truck unit valve vault vehicle video view vote voucher wallet ward widget zone".split(
    " "
  )
const slotNames =
  "id name code label title key tag ref number value amount level count size color mode kind type owner target source reason text note message date day url email path file limit rank score".split(
    " "
  )
const kindsOf: Record<string, ReadonlyArray<Kind>> = {
  id: ["code", "number"],
  number: ["number", "code"],
  value: ["number", "word"],
  amount: ["number"],
  level: ["number"],
  count: ["number"],
  size: ["number"],
  limit: ["number"],
  rank: ["number"],
  score: ["number"],
  text: ["text"],
  note: ["text"],
  message: ["text"],
  reason: ["text"],
  title: ["text"],
  date: ["date"],
  day: ["date"],
  url: ["url"],
  email: ["email"],
  path: ["file"],
  file: ["file"],
  owner: ["name"],
  name: ["word", "name", "text"]
}

/** What may go before an order. */
const orders = "[|||||||I want you to |I'd like you to |Go ahead and |Make sure to ]"

const attributes =
  "age area author balance brand capital caption category cause city colour color content cost country date deadline depth diameter distance duration fee genre grade height history host humidity income kind language leader length level limit location maker manager meaning mood name number origin owner parent phase place population position power price progress purpose rank rate rating reason rhyme role salary schedule score season sender shape shift sign size source speed state status stock strength style summary supply symbol synonym target tax team temperature time title tone total type unit value version volume voltage weather weight width winner year".split(
    " "
  )

/** A tool that tells one thing about another: "the height of a tower". */
const lookup = (r: Random): Plugin => {
  const attribute = r.chance(0.85) ? r.pick(attributes) : scramble(r, 4, 8)
  const thing = r.chance(0.8) ? r.pick(nouns) : scramble(r, 4, 8)
  const name = r
    .pick([
      `${thing}_${attribute}`,
      `get_${attribute}`,
      attribute,
      `${attribute}_of`,
      `find_${attribute}`,
      thing,
      `${attribute}_of_${thing}`,
      inventName(r)
    ])
    .replace(/[^a-z0-9_]/g, "")
  const arg = r.pick([thing, thing, "name", "id", "what", scramble(r, 3, 6)])
  const kind = r.pick<Kind>(["word", "name", "code", "text", "date", "number"])
  const article = /^[aeiou]/.test(thing) ? "an" : "a"
  const description = capital(
    phrase(
      r,
      `[get|tell|find|give|look up|return|show] the ${attribute} [of|of|for] ${article} ${thing}.`,
      {}
    )
  )
  const back = r.pick<Kind | "sentence">(["sentence", "word", "number", "code", "decimal", "name"])
  return {
    card: {
      name,
      description,
      input: object({ [arg]: { type: kind === "number" ? "integer" : "string" } })
    },
    step: (r) => {
      const v = value(r, kind)
      const ask = phrase(
        r,
        r.pick([
          `[What is|What's] the ${attribute} [of|for] [the|] ${thing} ${v.said}`,
          `[What is|What's] the ${attribute} [of|for] ${v.said}`,
          `[Tell me|Get|Give me|Find|Find out|Look up|Show me|Fetch|I need|I want to know|Report] the ${attribute} [of|for] [the|] ${thing} ${v.said}`,
          `[Tell me|Get|Give me|Find|Look up|Show me|Fetch] the ${attribute} [of|for] ${v.said}`,
          `[Which|What] ${attribute} does [the|] ${thing} ${v.said} have`,
          `[Check|Look up] [the|] ${thing} ${v.said} for its ${attribute}`
        ]),
        {}
      )
      return answered(r, ask, name, { [arg]: v.json }, back)
    }
  }
}

const units =
  "coins stars kilos meters minutes hours pages seats credits units liters drops boxes bags votes tickets steps cups miles shares bricks tokens spoons rows cards bottles degrees percent".split(
    " "
  )

/** A tool that gives an amount of something to somebody: "add coins to a wallet". */
const amount = (r: Random): Plugin => {
  const unit = r.chance(0.85) ? r.pick(units) : scramble(r, 4, 8)
  const thing = r.chance(0.8) ? r.pick(nouns) : scramble(r, 4, 8)
  const verb = r.pick([
    "add",
    "give",
    "send",
    "pay",
    "grant",
    "feed",
    "load",
    "sell",
    "set",
    "lend",
    "deliver"
  ])
  const name = r
    .pick([`${verb}_${unit}`, `${verb}_${thing}`, `${thing}_${unit}`, `${unit}_to_${thing}`, inventName(r)])
    .replace(/[^a-z0-9_]/g, "")
  const who = r.pick([thing, thing, "name", "to", "target", scramble(r, 3, 6)])
  const many = r.pick([unit, unit, "amount", "count", "number", scramble(r, 3, 6)])
  if (who === many) return amount(r)
  const kind = r.pick<Kind>(["word", "name", "name", "code"])
  const article = /^[aeiou]/.test(thing) ? "an" : "a"
  const description = capital(
    phrase(
      r,
      `[${verb} ${unit} to ${article} ${thing}|${verb} ${article} ${thing} some ${unit}|${verb} ${article} ${thing} a number of ${unit}].`,
      {}
    )
  )
  const back = r.pick<Kind | "ok" | "sentence">(["ok", "ok", "sentence", "number", "code"])
  const swapped = r.chance(0.4)
  return {
    card: {
      name,
      description,
      input: object(
        swapped
          ? { [many]: { type: "integer" }, [who]: { type: "string" } }
          : { [who]: { type: "string" }, [many]: { type: "integer" } }
      )
    },
    step: (r) => {
      const v = value(r, kind)
      const n = value(r, "number")
      const some = r.chance(0.15) ? "" : ` ${unit}`
      const ask = phrase(
        r,
        orders +
          r.pick([
            `[${verb}|give] ${n.said} ${unit} to [the|] ${thing} ${v.said}`,
            `[${verb}|give] ${n.said} ${unit} to ${v.said}`,
            `[${verb}|give] [the|] ${thing} ${v.said} ${n.said}${some}`,
            `[${verb}|give] ${v.said} ${n.said} ${unit}`,
            `[${verb}|give] ${v.said} ${n.said} ${unit} of [|the ]${word(r)}`,
            `${verb} [the|] ${thing} ${v.said} with ${n.said} ${unit}`
          ]),
        {}
      )
      const args = swapped ? { [many]: n.json, [who]: v.json } : { [who]: v.json, [many]: n.json }
      return answered(r, ask, name, args, back)
    }
  }
}

/** A tool that finds one of several things at a place: "the next train at a station". */
const nearest = (r: Random): Plugin => {
  const which = r.pick([
    "next",
    "last",
    "first",
    "best",
    "nearest",
    "newest",
    "oldest",
    "cheapest",
    "open",
    "latest"
  ])
  const thing = r.chance(0.8) ? r.pick(nouns) : scramble(r, 4, 8)
  let place = r.chance(0.8) ? r.pick(nouns) : scramble(r, 4, 8)
  while (place === thing) place = scramble(r, 4, 8)
  const at = r.pick(["at", "in", "of", "for", "near", "on"])
  const article = /^[aeiou]/.test(place) ? "an" : "a"
  const name = r
    .pick([
      `${which}_${thing}`,
      `${thing}_${at}_${place}`,
      `${place}_${thing}`,
      `find_${thing}`,
      `${thing}s`,
      inventName(r)
    ])
    .replace(/[^a-z0-9_]/g, "")
  const arg = r.pick([place, place, "name", "where", scramble(r, 3, 6)])
  const kind = r.pick<Kind>(["word", "name", "name", "code"])
  const back = r.pick<Kind | "sentence">(["sentence", "word", "number", "code", "name"])
  return {
    card: {
      name,
      description: capital(
        phrase(r, `[find|get|tell|show|look up|give] the ${which} ${thing} ${at} ${article} ${place}.`, {})
      ),
      input: object({ [arg]: { type: "string" } })
    },
    step: (r) => {
      const v = value(r, kind)
      const ask = phrase(
        r,
        r.pick([
          `[When|What|Which] is the ${which} ${thing} ${at} [the|] [${place}|] ${v.said}`,
          `[Find|Get|Tell me|Show me|Look up|I need|Give me] the ${which} ${thing} ${at} [the|] [${place}|] ${v.said}`,
          `What's the ${which} ${thing} ${at} ${v.said}`,
          `[${capital(at)}|For] [the|] ${place} ${v.said}, what is the ${which} ${thing}`
        ]),
        {}
      )
      return answered(r, ask, name, { [arg]: v.json }, back)
    }
  }
}

/** A tool that does something to one thing in another: "take a seat on a bus". */
const placed = (r: Random): Plugin => {
  const verb = r.chance(0.85) ? r.pick(verbs) : scramble(r, 4, 8)
  const [a, b] = r.sample(nouns, 2) as [string, string]
  const at = r.pick(["at", "in", "on", "for", "from", "to", "of"])
  const an = (s: string) => (/^[aeiou]/.test(s) ? `an ${s}` : `a ${s}`)
  const name = r
    .pick([`${verb}_${a}`, `${a}_${verb}`, `${verb}_${a}_${at}_${b}`, `${b}_${a}`, inventName(r)])
    .replace(/[^a-z0-9_]/g, "")
  const swapped = r.chance(0.5)
  const kinds = [
    r.pick<Kind>(["word", "code", "name", "number"]),
    r.pick<Kind>(["word", "code", "name", "number"])
  ] as const
  const type = (k: Kind): JsonSchema => ({ type: k === "number" ? "integer" : "string" })
  const back = r.pick<Kind | "ok" | "sentence">(["ok", "sentence", "code", "number", "word"])
  return {
    card: {
      name,
      description: `${capital(verb)} ${an(a)} ${at} ${an(b)}.`,
      input: object(
        swapped ? { [b]: type(kinds[1]), [a]: type(kinds[0]) } : { [a]: type(kinds[0]), [b]: type(kinds[1]) }
      )
    },
    step: (r) => {
      const [v, w] = [value(r, kinds[0]), value(r, kinds[1])]
      const ask = phrase(
        r,
        r.pick([
          `${orders}${verb} [the|] ${a} ${v.said} ${at} [the|] ${b} ${w.said}`,
          `${orders}${verb} [the|] ${a} ${v.said} ${at} ${w.said}`,
          `${orders}${verb} ${v.said} ${at} [the|] ${b} ${w.said}`,
          `${capital(at)} [the|] ${b} ${w.said}, ${verb} [the|] ${a} ${v.said}`
        ]),
        {}
      )
      return answered(
        r,
        ask,
        name,
        swapped ? { [b]: w.json, [a]: v.json } : { [a]: v.json, [b]: w.json },
        back
      )
    }
  }
}

/** A tool nobody ever wrote: a verb, a thing, and what it needs to know. */
const invent = (r: Random): Plugin => {
  const verb = r.chance(0.8) ? r.pick(verbs) : scramble(r, 4, 8)
  const noun = r.chance(0.8) ? r.pick(nouns) : scramble(r, 4, 8)
  const name =
    r
      .pick([
        `${verb}_${noun}`,
        `${verb}_${noun}`,
        `${noun}_${verb}`,
        verb,
        `${verb}_a_${noun}`,
        inventName(r),
        `${noun}s_${verb}`,
        `${scramble(r, 2, 4)}_${verb}`
      ])
      .replace(/[^a-z0-9_]/g, "") || "zz"
  const count = r.pick([0, 1, 1, 1, 1, 2, 2, 2, 3])
  const args = r.sample(slotNames, count)
  const kinds = args.map((a) => r.pick(kindsOf[a] ?? (["word", "code", "name"] as const)))
  const schema = Object.fromEntries(
    args.map((a, i) => [
      r.chance(0.1) ? scramble(r, 3, 6) : a,
      { type: kinds[i] === "number" ? "integer" : kinds[i] === "decimal" ? "number" : "string" } as JsonSchema
    ])
  )
  const slot = Object.keys(schema)
  const firstIsTheThing = count > 0 && r.chance(0.6)
  const rest = args.slice(firstIsTheThing ? 1 : 0)
  const article = /^[aeiou]/.test(noun) ? "an" : "a"
  const description = capital(
    r.pick([
      `${verb} ${article} ${noun}${rest.length > 0 ? ` with ${rest.map((a) => `${/^[aeiou]/.test(a) ? "an" : "a"} ${a}`).join(" and ")}` : ""}.`,
      `${verb} ${article} ${noun}.`,
      `${verb} the ${noun}${firstIsTheThing ? ` of that ${args[0]}` : ""}.`,
      `${verb} one ${noun}${rest.length > 0 ? `, given its ${rest.join(" and ")}` : ""}.`
    ])
  )
  const askParts = (vs: ReadonlyArray<Value>): string => {
    const said = vs[0]?.said ?? ""
    const thing = firstIsTheThing
      ? r.pick([
          `[the|] ${noun} ${said}`,
          `[the|] ${noun} ${said}`,
          `[the|a] ${noun} [called|named] ${said}`,
          ...(count === 1 ? [said] : [])
        ])
      : r.pick([`the ${noun}`, `${article} ${noun}`])
    const tail = rest
      .map((a, i) => {
        const v = vs[i + (firstIsTheThing ? 1 : 0)] as Value
        return r.pick([
          `${a} ${v.said}`,
          `the ${a} ${v.said}`,
          `${a} set to ${v.said}`,
          `a ${a} of ${v.said}`,
          `${v.said} as ${a}`,
          `${v.said} as the ${a}`
        ])
      })
      .join(" and ")
    const joint =
      rest.length === 1 && r.chance(0.25)
        ? `[to|for|at|on|by] ${vs.at(-1)?.said}`
        : `[with|using|with|given] ${tail}`
    return `${orders}${verb} ${thing}${tail === "" ? "" : ` ${joint}`}`
  }
  const back = r.pick<Kind | "sentence" | "ok">(["ok", "sentence", "code", "number", "word", "name"])
  return {
    card: { name, description, input: object(schema) },
    step: (r) => {
      const vs = kinds.map((k) => value(r, k))
      return answered(
        r,
        phrase(r, askParts(vs), {}),
        name,
        Object.fromEntries(slot.map((s, i) => [s, (vs[i] as Value).json])),
        back
      )
    }
  }
}

const family = (r: Random): Plugin => {
  const [names, descriptions, args, asks, back] = r.pick(families)
  const name = r.chance(0.25) ? inventName(r) : r.pick(names.split(" "))
  const keys = Object.keys(args)
  const shown = keys.map((k) => (r.chance(0.2) ? scramble(r, 3, 6) : k))
  const kinds = Object.values(args)
  return {
    card: {
      name,
      description: r.pick(descriptions),
      input: object(
        Object.fromEntries(
          shown.map((k, i) => [
            k,
            { type: kinds[i] === "number" ? "integer" : kinds[i] === "decimal" ? "number" : "string" }
          ])
        )
      )
    },
    step: (r) => {
      const vs = kinds.map((k) => value(r, k))
      const ask = phrase(r, r.pick(asks), Object.fromEntries(vs.map((v, i) => [String(i), v.said])))
      return answered(r, ask, name, Object.fromEntries(shown.map((k, i) => [k, (vs[i] as Value).json])), back)
    }
  }
}

const hiccups = [
  "timed out, try again",
  "busy, try again",
  "temporarily unavailable",
  "connection lost, try again",
  "too many requests, try again later",
  "the service is overloaded"
]
const refusals = [
  "no such {n}",
  "permission denied",
  "quota exceeded",
  "not allowed",
  "invalid value",
  "{n} not found",
  "already exists",
  "out of stock",
  "payment required"
]

/** An answer as services give it: several words and numbers with signs between them, often with what was asked. */
const report = (r: Random, args: Record<string, unknown>): string => {
  const asked = Object.values(args).filter((v) => typeof v === "string" || typeof v === "number")
  const thing = () => (asked.length > 0 && r.chance(0.4) ? String(r.pick(asked)) : word(r))
  const figure = () => String(r.chance(0.3) ? r.int(1, 9999) / 10 : r.int(0, r.pick([9, 99, 999])))
  const measure = () =>
    `${r.chance(0.1) ? "-" : ""}${figure()}${r.pick([" °C", " °F", "%", " km", " EUR", " kg", " ms", ` ${word(r)}`, ""])}`
  const part = () => r.pick([word, (r: Random) => `${word(r)} ${word(r)}`, measure, measure])(r)
  const json = () => {
    const n = r.int(1, 3)
    const keys = Array.from({ length: n }, () => word(r))
    return JSON.stringify(
      Object.fromEntries(keys.map((k) => [k, r.chance(0.5) ? thing() : Number(figure())]))
    )
  }
  return r.pick([
    () => `${capital(thing())}: ${part()}, ${part()}`,
    () => `${capital(thing())}: ${part()}`,
    () => `${thing()} is ${part()}`,
    () => `${part()}, ${part()}${r.chance(0.4) ? `, ${part()}` : ""}`,
    () => `${part()} (${part()})`,
    () => `${capital(word(r))} ${measure()}. ${capital(word(r))} ${part()}.`,
    () => `${word(r)}=${thing()} ${word(r)}=${figure()}`,
    () => `${thing()} -> ${part()}`,
    json
  ])()
}

/** What comes back from a plugin: mostly a result; a passing trouble is tried once more; a lasting one ends the task. */
const answered = (
  r: Random,
  ask: string,
  tool: string,
  args: Record<string, unknown>,
  back: Kind | "sentence" | "ok"
): Step => {
  const text =
    back === "ok"
      ? r.pick(["ok", "done", "ok", "sent", "success"])
      : back === "sentence"
        ? r.chance(0.4)
          ? sentence(r, 1, 5)
          : report(r, args)
        : r.chance(0.2)
          ? report(r, args)
          : value(r, back).json.toString()
  const good = { tool, args, ok: true, text }
  if (r.chance(0.06)) {
    const first = { tool, args, ok: false, text: r.pick(hiccups) }
    if (r.chance(0.75)) return { ask, calls: [first, good], ...(back === "ok" ? {} : { value: text }) }
    const again = { tool, args, ok: false, text: r.pick([first.text, r.pick(hiccups)]) }
    return { ask, calls: [first, again], failed: again.text }
  }
  if (r.chance(0.05)) {
    const trouble = r.pick(refusals).replace("{n}", word(r))
    return { ask, calls: [{ tool, args, ok: false, text: trouble }], failed: trouble }
  }
  return { ask, calls: [good], ...(back === "ok" ? {} : { value: text }) }
}

export const plugin = (r: Random): Plugin => {
  const kind = r.unit()
  const make =
    kind < 0.25
      ? family
      : kind < 0.42
        ? lookup
        : kind < 0.54
          ? amount
          : kind < 0.64
            ? nearest
            : kind < 0.76
              ? placed
              : invent
  const made = make(r)
  return {
    card: made.card,
    step: (r) => {
      const step = made.step(r)
      return r.chance(0.2) ? { ...step, ask: step.ask + r.pick(endings) } : step
    }
  }
}
