/** A memory map for people: the window as a bar, its parts in numbers, and the pages. Coloured on a terminal. */
import { styleText } from "node:util"
import type { MappedPage, MemoryMap, Section } from "./map.ts"
import { oneLine } from "./report.ts"
import { ago, table } from "./table.ts"

/** How many lines of pages are shown: the latest ones. */
const mostLines = 40

const looks = {
  system: ["S", "bgBlue"],
  instructions: ["I", "bgBlueBright"],
  task: ["T", "bgCyan"],
  notes: ["N", "bgYellow"],
  "paged out": ["P", "bgMagenta"],
  exchanges: ["E", "bgGreen"],
  free: [".", "gray"]
} as const

/** Styled for stdout, where that is a terminal that wants it. */
const paint = (section: Section, text: string): string =>
  styleText(looks[section][1], text, { stream: process.stdout })

const number = (n: number): string => n.toLocaleString("en")

/** The window, in order. A cell shows the smallest part that lies in it, so that none is lost. */
const bar = ({ frames, sections, window }: MemoryMap, cells: number): string => {
  const size = Math.max(window.size ?? 0, window.used, 1)
  const smallest = new Array<Section>(cells).fill("free")
  const tokens = (section: Section) => sections.find((s) => s.section === section)!.tokens
  let at = 0
  for (const frame of frames) {
    const to = at + frame.tokens
    for (let cell = Math.floor((at / size) * cells); cell < Math.min(cells, (to / size) * cells); cell++) {
      const there = smallest[cell]!
      if (there === "free" || tokens(frame.section) < tokens(there)) smallest[cell] = frame.section
    }
    at = to
  }
  const runs: Array<[section: Section, cells: number]> = []
  for (const section of smallest) {
    const run = runs.at(-1)
    if (run?.[0] === section) run[1]++
    else runs.push([section, 1])
  }
  return runs.map(([section, cells]) => paint(section, looks[section][0].repeat(cells))).join("")
}

/** The water marks, under the bar. */
const marks = ({ window: { high, low, size } }: MemoryMap, cells: number): ReadonlyArray<string> => {
  if (size === null || high === null || low === null) return []
  const at = (tokens: number) => Math.floor((tokens / size) * cells)
  const line = `${"^".padStart(at(low) + 1)}${"^".padStart(at(high) - at(low))}`
  const words = `${`low ${number(low)} `.padStart(at(low) + 1)}${`high ${number(high)} `.padStart(at(high) - at(low))}`
  return [line, words.trimEnd()]
}

const parts = ({ sections, window }: MemoryMap, width: number): ReadonlyArray<string> => {
  const of = (tokens: number) =>
    window.size === null ? "" : `${((tokens * 100) / window.size).toFixed(1)} %`
  const used = sections.filter(({ section }) => section !== "free" || window.size !== null)
  const rows = used.map(({ section, tokens }) => [looks[section][0], section, number(tokens), of(tokens)])
  return table(rows, [2, 3], width).map((line, i) => {
    const { section } = used[i]!
    return `${paint(section, line.slice(0, 1))}${line.slice(1)}`
  })
}

const roleText = ({ copy, role, tool }: MappedPage): string =>
  `${role}${tool === null ? "" : `: ${tool}`}${copy === null ? "" : ` of page ${copy}`}`

/** Pages that have left the window and follow each other, as one; every other page by itself. */
const folded = (pages: ReadonlyArray<MappedPage>): ReadonlyArray<ReadonlyArray<MappedPage>> => {
  const groups: Array<Array<MappedPage>> = []
  for (const page of pages) {
    const last = groups.at(-1)
    if (page.residency === "paged out" && last?.at(-1)?.residency === "paged out") last.push(page)
    else groups.push([page])
  }
  return groups
}

const row = (group: ReadonlyArray<MappedPage>, now: number): ReadonlyArray<string> => {
  const first = group[0]!
  const last = group.at(-1)!
  const latest = group.reduce((a, b) => (b.used > a.used ? b : a))
  const sources = new Set(group.map(({ label }) => label.source))
  const used = latest.used === 0 ? "goes first" : `page ${latest.used}, ${ago(now - latest.usedAt)}`
  return [
    first === last ? `${first.page}` : `${first.page}-${last.page}`,
    first === last ? oneLine(roleText(first), 28) : `${group.length} pages`,
    number(group.reduce((n, { tokens }) => n + tokens, 0)),
    first.residency,
    used,
    [...sources].slice(0, 3).join(", ") + (sources.size > 3 ? ", …" : "")
  ]
}

/** Lines of at most `width` characters. `now` is in ms since the epoch. */
export const picture = (map: MemoryMap, width: number, now: number): ReadonlyArray<string> => {
  const { pages, pid, state, status, totals, window } = map
  const cut = (...lines: ReadonlyArray<string>) => lines.map((line) => oneLine(line, width))
  const size = window.size === null ? "of unknown size" : `of ${number(window.size)} tokens`
  const groups = folded(pages)
  const older = groups.slice(0, -mostLines).at(-1)?.at(-1)
  const rows = [
    ["page", "role", "tokens", "where", "last use", "from"],
    ...groups.slice(-mostLines).map((group) => row(group, now))
  ]
  return [
    ...cut(`process ${pid} (${status ?? state}): ${number(window.used)} tokens in a window ${size}`, ""),
    bar(map, width),
    ...cut(...marks(map, width)),
    "",
    ...parts(map, width),
    "",
    ...(older === undefined ? [] : cut(`Pages 1 to ${older.page} are not shown: --json has them.`)),
    ...table(rows, [0, 2], width),
    "",
    ...cut(
      `${number(totals.pages)} pages: ${number(totals.inWindow)} tokens in the window, ${number(totals.inJournal)} in the journal`,
      `${number(totals.evictions)} evictions, ${number(totals.faults)} faults`
    )
  ]
}
