/**
 * Plugin tools that nano was never trained on: other names, other arguments, other words. Each really computes its answer,
 * and says what a right answer is.
 */
import { Effect } from "effect"
import type { JsonSchema } from "../kernel/schema.ts"
import { type AnyTool, defineTool } from "../kernel/tool.ts"
import { phrase, type Random, scramble, sentence, word } from "../models/nano/language.ts"
import type { Step } from "../models/nano/world.ts"

/** A tool, and a request for it with the call that serves it. */
export interface Unseen {
  readonly tool: AnyTool
  readonly step: (r: Random) => Step
}

const object = (properties: Record<string, JsonSchema>): JsonSchema => ({
  type: "object",
  properties,
  required: Object.keys(properties),
  additionalProperties: false
})
const text: JsonSchema = { type: "string" }
const whole: JsonSchema = { type: "integer" }

/** A number from a text: the same for the tool and for the checker. */
const digest = (s: string): number => [...s].reduce((h, c) => (h * 31 + c.charCodeAt(0)) % 997, 7)

const make = <Args extends Record<string, string | number>>(
  name: string,
  description: string,
  properties: Record<keyof Args & string, JsonSchema>,
  compute: (args: Args) => string,
  asks: ReadonlyArray<string>,
  draw: (r: Random) => { readonly args: Args; readonly said?: Record<string, string> }
): Unseen => ({
  tool: defineTool({
    name,
    description,
    input: object(properties),
    effect: "pure",
    execute: (args: Args) => Effect.succeed(compute(args))
  }),
  step: (r) => {
    const { args, said } = draw(r)
    const slots = Object.fromEntries(Object.entries(args).map(([k, v]) => [k, said?.[k] ?? String(v)]))
    const result = compute(args)
    const ask = phrase(r, r.pick(asks), slots)
    const call = { tool: name, args, ok: true, text: result }
    return result === "ok" ? { ask, calls: [call] } : { ask, calls: [call], value: result }
  }
})

const capital = (s: string) => s.replace(/^./, (c) => c.toUpperCase())

export const unseen: ReadonlyArray<Unseen> = [
  make<{ day: string }>(
    "moon_phase",
    "Tell the phase of the moon on a day.",
    { day: text },
    ({ day }) => ["new", "waxing", "full", "waning"][digest(day) % 4]!,
    [
      "What is the phase of the moon on {day}",
      "[Tell me|Find] the moon's phase on {day}",
      "Look up the moon phase of {day}"
    ],
    (r) => ({ args: { day: `${r.int(2020, 2030)}-0${r.int(1, 9)}-${r.int(10, 28)}` } })
  ),
  make<{ text: string; shift: number }>(
    "caesar",
    "Shift the letters of a text by a number.",
    { text, shift: whole },
    ({ text, shift }) =>
      text.replace(/[a-z]/g, (c) => String.fromCharCode(97 + ((c.charCodeAt(0) - 97 + shift) % 26))),
    ["Shift the letters of {text} by {shift}", "Shift {text} by {shift}"],
    (r) => {
      const t = word(r)
      return { args: { text: t, shift: r.int(1, 25) }, said: { text: `"${t}"` } }
    }
  ),
  make<{ ingredient: string }>(
    "pantry",
    "Tell how much of an ingredient is left.",
    { ingredient: text },
    ({ ingredient }) => `${digest(ingredient)} g`,
    [
      "How much {ingredient} is left",
      "[Tell me|Check] how much of the ingredient {ingredient} is left",
      "Check the pantry for {ingredient}"
    ],
    (r) => ({ args: { ingredient: word(r) } })
  ),
  make<{ stop: string }>(
    "next_bus",
    "Find the next bus at a stop.",
    { stop: text },
    ({ stop }) => `bus ${digest(stop)}`,
    [
      "When is the next bus at {stop}",
      "Find the next bus at the stop {stop}",
      "Which is the next bus at {stop}"
    ],
    (r) => ({ args: { stop: capital(word(r)) } })
  ),
  make<{ pet: string; grams: number }>(
    "feed_pet",
    "Feed a pet some grams of food.",
    { pet: text, grams: whole },
    () => "ok",
    [
      "Feed the pet {pet} {grams} grams",
      "Feed {pet} {grams} grams of food",
      "Give the pet {pet} {grams} grams of food"
    ],
    (r) => ({ args: { pet: capital(word(r)), grams: r.int(1, 900) } })
  ),
  make<{ harbour: string }>(
    "tide",
    "Get the height of the tide at a harbour.",
    { harbour: text },
    ({ harbour }) => `${digest(harbour)} cm`,
    [
      "What is the tide at the harbour {harbour}",
      "[Get|Tell me] the height of the tide at {harbour}",
      "How high is the tide at {harbour}"
    ],
    (r) => ({ args: { harbour: capital(word(r)) } })
  ),
  make<{ flight: string; seat: string }>(
    "take_seat",
    "Take a seat on a flight.",
    { flight: text, seat: text },
    ({ flight, seat }) => `pass-${digest(flight + seat)}`,
    [
      "Take the seat {seat} on the flight {flight}",
      "Take seat {seat} on flight {flight}",
      "On flight {flight}, take seat {seat}"
    ],
    (r) => ({
      args: {
        flight: `${scramble(r, 2, 2).toUpperCase()}${r.int(100, 999)}`,
        seat: `${r.int(1, 40)}${r.pick(["A", "B", "C", "D"])}`
      }
    })
  ),
  make<{ word: string }>(
    "rhyme",
    "Find a rhyme for a word.",
    { word: text },
    ({ word }) => `${"bcdfgmprst"[digest(word) % 10]}${word.slice(1)}`,
    ["Find a rhyme for {word}", "What rhymes with {word}", "[Give me|Get] a rhyme for the word {word}"],
    (r) => ({ args: { word: word(r) } })
  ),
  make<{ player: string; points: number }>(
    "add_points",
    "Add points to a player.",
    { player: text, points: whole },
    ({ player, points }) => `${points + digest(player)} points`,
    [
      "Add {points} points to {player}",
      "Add {points} points to the player {player}",
      "Give the player {player} {points} points"
    ],
    (r) => ({ args: { player: capital(word(r)), points: r.int(1, 500) } })
  ),
  make<{ plant: string }>(
    "water_plant",
    "Water a plant.",
    { plant: text },
    () => "ok",
    ["Water the plant {plant}", "Water the {plant}", "Give water to the plant {plant}"],
    (r) => ({ args: { plant: word(r) } })
  ),
  make<{ room: string; lux: number }>(
    "dim_lights",
    "Dim the lights of a room to a brightness in lux.",
    { room: text, lux: whole },
    () => "ok",
    [
      "Dim the lights of the {room} to {lux}",
      "Dim the {room} lights to {lux} lux",
      "Set the lights of the room {room} to {lux} lux"
    ],
    (r) => ({ args: { room: word(r), lux: r.int(5, 800) } })
  ),
  make<{ caption: string }>(
    "print_sticker",
    "Print a sticker with a caption.",
    { caption: text },
    ({ caption }) => `sticker ${digest(caption)}`,
    [
      "Print a sticker with the caption {caption}",
      "Print a sticker that says {caption}",
      "Make a sticker with {caption} on it"
    ],
    (r) => {
      const t = sentence(r, 1, 4)
      return { args: { caption: t }, said: { caption: `"${t}"` } }
    }
  ),
  make<{ isbn: string }>(
    "borrow_book",
    "Borrow a book by its number.",
    { isbn: text },
    ({ isbn }) => `due in ${digest(isbn) % 30} days`,
    ["Borrow the book {isbn}", "Borrow book number {isbn}", "Take out the book {isbn}"],
    (r) => ({ args: { isbn: `${r.int(100, 999)}-${r.int(1000, 9999)}` } })
  )
]
