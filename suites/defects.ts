/**
 * Small shell scripts with one piece wrong. Each family has a place where several pieces are plausible; the right one cannot
 * be told from the script, only by trying. `output` says what the script prints with a piece, so that no two print the same.
 */
import { type Random, word } from "../models/nano/language.ts"

/** A script with a gap, and what may stand in it. */
export interface Gap {
  /** With `@` where the piece stands. */
  readonly script: string
  readonly pieces: ReadonlyArray<string>
  /** What the script prints with `pieces[i]`. */
  readonly outputs: ReadonlyArray<string>
  readonly data: string
}

/** A family: a script that reads `file`. */
type Family = (r: Random, file: string) => Gap

const numbers = (r: Random, low: number, high: number): ReadonlyArray<number> =>
  Array.from({ length: r.int(6, 10) }, () => r.int(low, high))
const lines = (xs: ReadonlyArray<number | string>): string => `${xs.join("\n")}\n`
const words = (r: Random, count: number): ReadonlyArray<string> => {
  const all = new Set<string>()
  while (all.size < count) all.add(word(r))
  return [...all]
}
const gap = (
  script: string,
  data: string,
  choices: ReadonlyArray<readonly [piece: string, output: string | number]>
): Gap => ({
  script,
  data,
  pieces: choices.map(([piece]) => piece),
  outputs: choices.map(([, output]) => String(output))
})

/** Comparisons as awk and as test(1) write them. */
const comparisons = [
  [">", "-gt", (a: number, b: number) => a > b],
  ["<", "-lt", (a: number, b: number) => a < b],
  [">=", "-ge", (a: number, b: number) => a >= b],
  ["<=", "-le", (a: number, b: number) => a <= b],
  ["==", "-eq", (a: number, b: number) => a === b],
  ["!=", "-ne", (a: number, b: number) => a !== b]
] as const

/** A pivot that is there, between numbers close to it. */
const around = (r: Random) => {
  const xs = numbers(r, 1, 9)
  return { xs, pivot: r.pick(xs) }
}

export const families: Readonly<Record<string, Family>> = {
  filter: (r, file) => {
    const { pivot, xs } = around(r)
    return gap(
      `awk '@' ${file} | wc -l`,
      lines(xs),
      comparisons.map(([awk, , is]) => [`$1 ${awk} ${pivot}`, xs.filter((x) => is(x, pivot)).length])
    )
  },
  branch: (r, file) => {
    const { pivot, xs } = around(r)
    return gap(
      `c=0\nfor n in $(cat ${file}); do\n  if [ $n @ ${pivot} ]; then c=$((c + 1)); fi\ndone\necho $c`,
      lines(xs),
      comparisons.map(([, test, is]) => [test, xs.filter((x) => is(x, pivot)).length])
    )
  },
  column: (r, file) => {
    const count = r.int(4, 6)
    const cells = words(r, count * 3)
    const rows = [0, 1, 2].map((i) => cells.slice(i * count, (i + 1) * count))
    return gap(
      `cut -d, @ ${file} | sort | sed 1q`,
      lines(rows.map((row) => row.join(","))),
      rows[0]!.map((_, i) => [`-f${i + 1}`, rows.map((row) => row[i]!).sort()[0]!])
    )
  },
  arithmetic: (r, file) => {
    const [a, b] = [r.int(10, 99), r.int(2, 9)]
    return gap(`read a b < ${file}\necho $((@))`, `${a} ${b}\n`, [
      ["a + b", a + b],
      ["a - b", a - b],
      ["a * b", a * b],
      ["a / b", Math.floor(a / b)],
      ["a % b", a % b]
    ])
  },
  order: (r, file) => {
    const xs = numbers(r, 1, 200)
    const text = xs.map(String).sort()
    return gap(`sort @ ${file} | sed 1q`, lines(xs), [
      ["-n", Math.min(...xs)],
      ["-rn", Math.max(...xs)],
      ["-u", text[0]!],
      ["-r", text.at(-1)!]
    ])
  },
  line: (r, file) => {
    const all = words(r, r.int(4, 6))
    return gap(
      `sed -n @ ${file}`,
      lines(all),
      all.map((one, i) => [`${i + 1}p`, one])
    )
  },
  fold: (r, file) => {
    const xs = numbers(r, 1, 99)
    const sum = xs.reduce((a, b) => a + b, 0)
    return gap(`awk '{ s @ $1 } END { print s }' ${file}`, lines(xs), [
      ["+=", sum],
      ["-=", -sum],
      ["*=", 0],
      ["=", xs.at(-1)!]
    ])
  },
  total: (r, file) => {
    const xs = numbers(r, 1, 99)
    const sum = xs.reduce((a, b) => a + b, 0)
    const rest = sum % xs.length
    // A mean without a fraction: the same digits in every awk.
    const all = [...xs.slice(1), xs[0]! + (rest === 0 ? 0 : xs.length - rest)]
    const [s, n] = [all.reduce((a, b) => a + b, 0), all.length]
    return gap(`awk '{ s += $1 } END { print @ }' ${file}`, lines(all), [
      ["s / NR", s / n],
      ["s * NR", s * n],
      ["s - NR", s - n],
      ["NR", n]
    ])
  },
  character: (r, file) => {
    const marks = r.sample([",", ":", ".", "_", "+", "="], r.int(4, 6))
    const text = [word(r), ...marks.flatMap((mark) => [mark, word(r)])].join("")
    return gap(
      `tr @ < ${file}`,
      `${text}\n`,
      marks.map((mark) => [`-d ${mark}`, text.replaceAll(mark, "")])
    )
  },
  separator: (r, file) => {
    const marks = r.sample([",", ":", "=", "_", "+"], r.int(4, 5))
    const text = [word(r), ...marks.flatMap((mark) => [mark, word(r)])].join("")
    return gap(
      `cut @ -f2 ${file}`,
      `${text}\n`,
      marks.map((mark) => [`-d${mark}`, text.split(mark)[1]!])
    )
  },
  matching: (r, file) => {
    const [is, ...others] = words(r, 4) as [string, ...Array<string>]
    const upper = is.toUpperCase()
    const repeat = (line: string) => Array.from({ length: r.int(1, 4) }, () => line)
    const all = r.sample([is, `${is} ${others[0]}`, upper, ...others].flatMap(repeat), 99)
    const count = (holds: (line: string) => boolean) => all.filter(holds).length
    return gap(`grep @ ${is} ${file}`, lines(all), [
      ["-c", count((l) => l.includes(is))],
      ["-vc", count((l) => !l.includes(is))],
      ["-ic", count((l) => l.toLowerCase().includes(is))],
      ["-xc", count((l) => l === is)]
    ])
  },
  cutting: (r, file) => {
    const mark = r.pick([".", "-", "_", ":"])
    const [a, b, c] = words(r, 3)
    return gap(`v=$(cat ${file})\necho \${@}`, `${[a, b, c].join(mark)}\n`, [
      [`v%${mark}*`, `${a}${mark}${b}`],
      [`v%%${mark}*`, a!],
      [`v#*${mark}`, `${b}${mark}${c}`],
      [`v##*${mark}`, c!]
    ])
  }
}

/** Whether each piece can be told by what is printed, and by where it stands in the script. */
export const sound = ({ outputs, pieces, script }: Gap): boolean =>
  new Set(outputs).size === outputs.length &&
  pieces.every((piece) => script.replace("@", piece).split(piece).length === 2)
