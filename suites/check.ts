/** When an answer is right, as people write it in a suite. */
import { Ajv2020 } from "ajv/dist/2020.js"
import { Effect } from "effect"
import type { End, Item } from "./suite.ts"

/** One of these. */
export interface CheckText {
  readonly command?: string
  readonly answer?: string
  readonly pattern?: string
  readonly schema?: object | boolean
}

/** Throws when the pattern or the schema is none. */
export const checkOf = ({ answer, command, pattern, schema }: CheckText): Item["check"] => {
  if (command !== undefined)
    return (end) =>
      end.workspace
        .run(["sh", "-c", command], { stdin: textOf(end.answer) })
        .pipe(Effect.map(({ exitCode }) => exitCode === 0))
  if (answer !== undefined) return told((text) => text.trim() === answer.trim())
  if (pattern !== undefined) {
    const expression = new RegExp(pattern, "u")
    return told((text) => expression.test(text))
  }
  const fits = new Ajv2020({ strict: false }).compile(schema!)
  return ({ answer: value }: End) => Effect.succeed(fits(value) || readings(value).some((read) => fits(read)))
}

const told =
  (right: (text: string) => boolean): Item["check"] =>
  ({ answer }) =>
    Effect.succeed(right(textOf(answer)))

/** No answer is an empty text. */
const textOf = (answer: unknown): string =>
  typeof answer === "string" ? answer : answer == null ? "" : JSON.stringify(answer)

/** The JSON that an answer's text is, if it is any: models answer in text. */
const readings = (answer: unknown): ReadonlyArray<unknown> => {
  if (typeof answer !== "string") return []
  try {
    return [JSON.parse(answer)]
  } catch {
    return []
  }
}
