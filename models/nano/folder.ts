/**
 * What a process may be told of its folder before its task: an AGENTS.md, a list of skills. nano is to do its task all the
 * same: none of it has to do with what is asked.
 */
import { folderText } from "../../agents/instructions.ts"
import { skillsText } from "../../tools/skills.ts"
import { fileName, folderName, type Random, sentence, word } from "./language.ts"

/** Lines as projects have them; `{w}` a word, `{f}` a file, `{d}` a folder, `{s}` some words, `{n}` a number. */
const lines = [
  "Run `{w} test` before you commit.",
  "Use {w} for new code, not {w}.",
  "Use tabs.",
  "Use {n} spaces.",
  "Never edit files in {d}/.",
  "The tests are in {d}/, the docs in {d}/.",
  "Build with `make {w}`, then run `{w} --{w}`.",
  "{f} is written by {w}: do not change it.",
  "Keep lines under {n} characters.",
  "Write commit messages as {w}: {s}.",
  "Ask before you add a dependency.",
  "Every file in {d} has a test beside it.",
  "This project is about {w} and {w}.",
  "Start with {f}.",
  "Install with `npm install {w}`.",
  "Names are {w}_{w}, never {w}-{w}.",
  "See {f} for how {w} works.",
  "Errors go to {f}.",
  "Answer in {w}.",
  "Do not use {w}; it is too slow.",
  "The {w} of the {w} is {s}.",
  "Count from {n}.",
  "Never print {s}.",
  "Set {w} to {n} in {f}.",
  "Write tests first.",
  "Keep {f} up to date.",
  "Prefer {w} over {w}.",
  "Deploy from {d} on {w} only."
]

const titles = [
  "About",
  "Build",
  "Style",
  "Tests",
  "Rules",
  "Notes for agents",
  "Layout",
  "Set-up",
  "Release"
]

const fill = (r: Random, line: string): string =>
  line.replace(/\{(\w)\}/g, (_, slot: string) => {
    if (slot === "f") return fileName(r)
    if (slot === "d") return folderName(r)
    if (slot === "n") return String(r.int(2, 200))
    return slot === "s" ? sentence(r) : word(r)
  })

const agents = (r: Random): string => {
  const parts: Array<string> = r.chance(0.6) ? [`# ${r.chance(0.5) ? word(r) : sentence(r, 1, 3)}`, ""] : []
  for (let sections = r.pick([1, 1, 1, 2, 2, 3]); sections > 0; sections--) {
    if (r.chance(0.5)) parts.push(`## ${r.pick(titles)}`)
    const mark = r.pick(["- ", "- ", "* ", "", ""])
    for (let n = r.int(1, 4); n > 0; n--) parts.push(mark + fill(r, r.pick(lines)))
    parts.push("")
  }
  return parts.join("\n").trim()
}

const skills = (r: Random) =>
  Array.from({ length: r.pick([1, 1, 2, 3]) }, () => ({
    name: r.chance(0.5) ? word(r) : `${word(r)}-${word(r)}`,
    description: `${r.pick(["How to", "Use it to", "For when you have to", "Helps to"])} ${word(r)} ${r.pick(["a", "the", "every"])} ${word(r)}.`
  }))

/** The pages that stand between the system page and the task. */
export const folderPages = (r: Random): ReadonlyArray<string> => {
  const list = r.chance(0.3) ? [skillsText(skills(r))] : []
  return list.length > 0 && r.chance(0.5) ? list : [folderText(agents(r)), ...list]
}
