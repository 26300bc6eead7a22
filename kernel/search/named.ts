/** Strategies by the names that people write: on a command line, in a suite. */
import { Effect, Schema } from "effect"
import { beam } from "./beam.ts"
import { dfs } from "./dfs.ts"
import { greedy } from "./greedy.ts"
import { mcts } from "./mcts.ts"
import { bestOfN, selfConsistency } from "./rollouts.ts"
import type { Strategy } from "./search.ts"

/** There is no strategy of this name, or not with these numbers. The message lists those that there are. */
export class UnknownStrategy extends Schema.TaggedError<UnknownStrategy>()("UnknownStrategy", {
  message: Schema.String
}) {}

type Numbers = ReadonlyArray<number | undefined>

interface Form {
  /** As people are told. */
  readonly form: string
  /** Of what stands behind the colon: a number in each group. */
  readonly numbers: RegExp
  readonly make: (numbers: Numbers) => Strategy
}

const count = "([1-9]\\d{0,3})"
const fraction = "(\\d(?:\\.\\d+)?)"
const only = (pattern: string) => new RegExp(`^${pattern}$`)

const forms: Readonly<Record<string, Form>> = {
  greedy: {
    form: "greedy[:WIDTH]",
    numbers: only(count),
    make: ([width = 3]) => greedy({ width })
  },
  "best-of-n": {
    form: "best-of-n[:N]",
    numbers: only(count),
    make: ([tries = Number.POSITIVE_INFINITY]) => bestOfN({ tries })
  },
  "self-consistency": {
    form: "self-consistency[:N]",
    numbers: only(count),
    make: ([tries = Number.POSITIVE_INFINITY]) => selfConsistency({ tries })
  },
  beam: {
    form: "beam[:KEPTxWIDTH]",
    numbers: only(`${count}x${count}`),
    make: ([keep = 5, width = 3]) => beam({ keep, width })
  },
  dfs: {
    form: "dfs[:WIDTH[xWIDENINGS][@THRESHOLD]]",
    numbers: only(`${count}(?:x${count})?(?:@${fraction})?`),
    make: ([width = 3, widen = 1, threshold = 0.1]) => dfs({ width, widen, threshold })
  },
  mcts: {
    form: "mcts[:WIDTH[@EXPLORATION]]",
    numbers: only(`${count}(?:@${fraction})?`),
    make: ([width = 3, explore = 0.5]) => mcts({ width, explore })
  }
}

export const strategyNamed = (text: string): Effect.Effect<Strategy, UnknownStrategy> => {
  const [name, ...rest] = text.split(":")
  const form = Object.hasOwn(forms, name!) ? forms[name!] : undefined
  const numbers = rest.length === 0 ? [] : form?.numbers.exec(rest.join(":"))?.slice(1)
  if (form !== undefined && numbers !== undefined)
    return Effect.succeed(form.make(numbers.map((n) => (n === undefined ? undefined : Number(n)))))
  const choices = Object.values(forms).map((f) => f.form)
  return Effect.fail(
    new UnknownStrategy({ message: `no strategy "${text}": the choices are ${choices.join(", ")}` })
  )
}
