/** Scripts to be repaired with the usual tools: several edits are plausible, and only the test tells which is right. */
import { Effect } from "effect"
import { Random, word } from "../models/nano/language.ts"
import { families, sound } from "./defects.ts"
import type { Item, Suite } from "./suite.ts"

/** A script with a wrong piece. */
export interface Defect {
  /** Of the script. */
  readonly path: string
  readonly files: Readonly<Record<string, string>>
  /** The piece that is wrong, the one that is right, and all that are plausible in its place, the right one among them. */
  readonly wrong: string
  readonly right: string
  readonly plausible: ReadonlyArray<string>
}

export const testFile = "test.sh"
const test = ["sh", testFile] as const
export const testCommand = test.join(" ")

/** A defect of a family, whose right and wrong pieces are drawn from the same. */
export const makeDefect = (r: Random, family = r.pick(Object.keys(families))): Defect => {
  const [name, data] = [word(r), `${word(r)}.${r.pick(["txt", "csv", "dat"])}`]
  const path = `${name}.sh`
  const gap = families[family]!(r, data)
  if (!sound(gap) || path === testFile) return makeDefect(r, family)
  const [wrong, right] = r.sample(
    gap.pieces.map((_, i) => i),
    2
  ) as [number, number]
  return {
    path,
    wrong: gap.pieces[wrong]!,
    right: gap.pieces[right]!,
    plausible: gap.pieces.filter((_, i) => i !== wrong),
    files: {
      [path]: `${gap.script.replace("@", () => gap.pieces[wrong]!)}\n`,
      [data]: gap.data,
      [testFile]: `if [ "$(sh ${path})" = "${gap.outputs[right]}" ]; then\n  echo ok\nelse\n  echo wrong\n  exit 1\nfi\n`
    }
  }
}

export const repairText = ({ path }: Defect): string => `${testCommand} fails. Fix ${path}.`

export const repairItem = (id: string, defect: Defect): Item => ({
  id,
  task: repairText(defect),
  files: defect.files,
  verifier: true,
  check: Effect.fn("repair.check")(function* ({ workspace }) {
    for (const [path, text] of Object.entries(defect.files)) {
      if (path === defect.path) continue
      const { bytes } = yield* workspace.readFile(path)
      if (Buffer.from(bytes).toString() !== text) return false
    }
    return (yield* workspace.run(test)).exitCode === 0
  })
})

/** Seeds of the two sets, in words that training lacks and in those that it has. */
const seeds = { items: 24_063, calibration: 24_064 }

const defects = (r: Random, count: number, prefix: string): ReadonlyArray<Item> => {
  const names = Object.keys(families)
  return Array.from({ length: count }, (_, i) => {
    const family = names[i % names.length]!
    return repairItem(`${prefix}${family}-${Math.floor(i / names.length)}`, makeDefect(r, family))
  })
}

export const repair: Suite = {
  name: "repair",
  about: "shell scripts with a failing test, where only trying tells the right edit",
  items: defects(new Random(seeds.items, "held"), 120, ""),
  calibration: defects(new Random(seeds.calibration), 48, "c-"),
  tokens: 8000
}
