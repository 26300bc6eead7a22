/**
 * What nano can be asked to do with the built-in tools: one entry a skill, each with its phrasings, its ideal calls and
 * what the tools answer. Phrasings under `held` are kept out of training and used by bench/nano.ts alone.
 */
import {
  folderName,
  mention,
  numeral,
  pickPhrase,
  quoted,
  type Random,
  scramble,
  sentence,
  word
} from "./language.ts"
import type { Phrasings } from "./phrasings.ts"
import * as say from "./phrasings.ts"
import { type Call, lineCount, linesOf, type Step, type World } from "./world.ts"

interface Skill {
  readonly name: string
  readonly weight: number
  /** Needs a value from the step before. */
  readonly refers?: "value" | "number"
  readonly make: (w: World, r: Random) => Step
}

const shell = (command: string, text: string): Call => ({
  tool: "shell",
  args: { command },
  ok: true,
  text: text === "" ? "done" : text
})
const tool = (name: string, args: Call["args"], text: string): Call => ({ tool: name, args, ok: true, text })

/** The file of a question: usually a new one, sometimes the one that the step before left behind. */
const subject = (
  w: World,
  r: Random,
  make: () => string,
  extensions?: ReadonlyArray<string>
): { file: string; said: string } => {
  if (w.lastFile !== undefined && w.files.has(w.lastFile) && r.chance(0.25))
    return { file: w.lastFile, said: r.pick(["it", "that file", "the file"]) }
  const file = w.given(make(), extensions)
  return { file, said: mention(r, file) }
}

const counting = (
  name: string,
  k: string,
  k1: string,
  flag: string,
  count: (t: string) => number
): Skill => ({
  name,
  weight: name === "lines" ? 2 : 0.8,
  make: (w, r) => {
    const { file, said } = subject(w, r, () => (name === "lines" ? w.long() : w.text()))
    const n = String(count(w.files.get(file) as string))
    w.lastFile = file
    return {
      ask: pickPhrase(r, say.number, { k, k1, f: said }),
      calls: [shell(`wc ${flag} < ${file}`, n)],
      value: n
    }
  }
})

/** A step over a column of numbers. */
const numeric = (
  name: string,
  phrasings: Phrasings,
  command: (f: string) => string,
  value: (xs: ReadonlyArray<number>) => string
): Skill => ({
  name,
  weight: name === "sum" ? 1.5 : 0.7,
  make: (w, r) => {
    const xs = w.numbers()
    const f = w.given(`${xs.join("\n")}\n`, ["txt", "csv", "dat", "log", "num"])
    const v = value(xs)
    w.lastFile = f
    return { ask: pickPhrase(r, phrasings, { f: mention(r, f) }), calls: [shell(command(f), v)], value: v }
  }
})

const sixDigits = (x: number) => String(Number(x.toPrecision(6)))

/** A step that makes one file out of another with a command. */
const transform = (
  name: string,
  phrasings: Phrasings,
  command: (a: string, b: string) => string,
  apply: (text: string) => string,
  make: (w: World) => string = (w) => w.text(2, 6)
): Skill => ({
  name,
  weight: 0.6,
  make: (w, r) => {
    const a = w.given(make(w))
    const b = plainName(w)
    w.files.set(b, apply(w.files.get(a) as string))
    w.lastFile = b
    return {
      ask: pickPhrase(r, phrasings, { a: mention(r, a), b: mention(r, b) }),
      calls: [shell(command(a, b), "")]
    }
  }
})

const copyStep = (w: World, r: Random): Step => {
  const a =
    w.lastFile !== undefined && w.files.has(w.lastFile) && r.chance(0.15) ? w.lastFile : w.given(w.text())
  const said = a === w.lastFile && r.chance(0.6) ? r.pick(["it", "that file"]) : mention(r, a)
  const b = plainName(w)
  w.files.set(b, w.files.get(a) as string)
  w.lastFile = b
  return { ask: pickPhrase(r, say.copy, { a: said, b: mention(r, b) }), calls: [shell(`cp ${a} ${b}`, "")] }
}
/** A new file's name in the workspace's top folder. */
const plainName = (w: World, extensions?: ReadonlyArray<string>): string => {
  for (;;) {
    const f = w.fresh(extensions)
    if (!f.includes("/")) return f
  }
}

export const skills: ReadonlyArray<Skill> = [
  counting("lines", "lines", "line", "-l", lineCount),
  counting("words", "words", "word", "-w", (t) => t.split(/\s+/).filter((x) => x !== "").length),
  counting("bytes", "bytes", "byte", "-c", (t) => t.length),
  numeric(
    "sum",
    say.sum,
    (f) => `awk '{s+=$1} END {print s}' ${f}`,
    (xs) => String(xs.reduce((a, b) => a + b, 0))
  ),
  numeric(
    "mean",
    say.mean,
    (f) => `awk '{s+=$1} END {print s/NR}' ${f}`,
    (xs) => sixDigits(xs.reduce((a, b) => a + b, 0) / xs.length)
  ),
  numeric(
    "max",
    say.max,
    (f) => `sort -n ${f} | tail -n 1`,
    (xs) => String(Math.max(...xs))
  ),
  numeric(
    "min",
    say.min,
    (f) => `sort -n ${f} | head -n 1`,
    (xs) => String(Math.min(...xs))
  ),
  {
    name: "column",
    weight: 0.8,
    make: (w, r) => {
      const { header, rows } = w.table()
      const f = w.given(`${[header, ...rows].map((x) => x.join(",")).join("\n")}\n`, ["csv"])
      const c = r.int(2, header.length)
      const v = String(rows.reduce((s, row) => s + Number(row[c - 1]), 0))
      const ordinal = ["first", "second", "third", "fourth"][c - 1] as string
      w.lastFile = f
      const said = r.pick([
        `column ${c}`,
        `the ${ordinal} column`,
        `the ${c}${["st", "nd", "rd", "th"][c - 1]} column`
      ])
      return {
        ask: pickPhrase(r, say.column, { c: said, f: mention(r, f) }),
        calls: [shell(`awk -F, 'NR>1 {s+=$${c}} END {print s}' ${f}`, v)],
        value: v
      }
    }
  },
  {
    name: "write",
    weight: 2.2,
    make: (w, r) => {
      const t = r.chance(0.15) ? String(r.int(0, 99999)) : sentence(r, 1, 6)
      const f = r.chance(0.1) ? `${folderName(r)}/${plainName(w)}` : plainName(w)
      w.files.set(f, t)
      w.lastFile = f
      return {
        ask: pickPhrase(r, say.write, {
          t: quoted(r, t),
          f: r.chance(0.8) ? f : mention(r, f).replace("the file ", "")
        }),
        calls: [tool("fs_write", { path: f, text: t }, "ok")]
      }
    }
  },
  {
    name: "read",
    weight: 1.5,
    make: (w, r) => {
      const { file, said } = subject(w, r, () => w.text(1, 3))
      const t = w.files.get(file) as string
      w.lastFile = file
      return {
        ask: pickPhrase(r, say.read, { f: said }),
        calls: [tool("fs_read", { path: file }, t.replace(/\n$/, ""))],
        value: t.replace(/\n$/, "")
      }
    }
  },
  {
    name: "which",
    weight: 1.2,
    make: (w, r) => {
      const needle = r.chance(0.6) ? scramble(r, 5, 10) : `${word(r)}${r.int(10, 99)}`
      const before = r.int(0, 2)
      const line = [sentence(r, 0, 2), needle, sentence(r, 0, 2)].filter((x) => x !== "").join(" ")
      const content = `${[...Array.from({ length: before }, () => sentence(r, 1, 3)), line].join("\n")}\n`
      const f = w.given(content)
      for (let i = r.int(0, 2); i > 0; i--) w.given(w.text(1, 2))
      return {
        ask: pickPhrase(r, say.which, { t: r.chance(0.5) ? needle : quoted(r, needle) }),
        calls: [tool("fs_search", { text: needle }, `${f}:${before + 1}: ${line}`)],
        value: f
      }
    }
  },
  {
    name: "edit",
    weight: 1.3,
    make: (w, r) => {
      const a = word(r)
      let b = word(r)
      while (b === a) b = word(r)
      let rest = [scramble(r), scramble(r)]
      while (rest.join(" ").includes(a)) rest = [scramble(r), scramble(r)]
      const f = w.given(`${rest[0]} ${a} ${rest[1]}\n`)
      w.files.set(f, `${rest[0]} ${b} ${rest[1]}\n`)
      w.lastFile = f
      const q = r.chance(0.5) ? (s: string) => s : (s: string) => `"${s}"`
      return {
        ask: pickPhrase(r, say.edit, { a: q(a), b: q(b), f: mention(r, f) }),
        calls: [tool("fs_edit", { path: f, old: a, new: b }, "ok")]
      }
    }
  },
  {
    name: "list",
    weight: 0.8,
    make: (w, r) => {
      if (r.chance(0.5) && w.files.size === 0) {
        for (let i = r.int(1, 4); i > 0; i--) w.initialFile(plainName(w), w.text(1, 1))
        const names = [...w.files.keys()].sort(byteOrder).join("\n")
        w.listed = w.initial.size
        return {
          ask: pickPhrase(r, say.list, {}),
          calls: [tool("fs_list", {}, names)],
          value: names
        }
      }
      const d = folderName(r)
      const names = Array.from({ length: r.int(1, 4) }, () => plainName(w))
      for (const n of names) w.initialFile(`${d}/${n}`, w.text(1, 1))
      const text = [
        ...new Set(
          [...w.files.keys()]
            .filter((f) => f.startsWith(`${d}/`))
            .map((f) => f.slice(d.length + 1).replace(/\/.*/, "/"))
        )
      ]
        .sort(byteOrder)
        .join("\n")
      return {
        ask: pickPhrase(r, say.listFolder, { d }),
        calls: [tool("fs_list", { path: d }, text)],
        value: text
      }
    }
  },
  {
    name: "calc",
    weight: 1.6,
    make: (_w, r) => {
      const a = r.int(2, r.pick([20, 99, 999]))
      const b = r.int(2, r.pick([20, 99, 999]))
      const c = r.int(2, 99)
      const [said, e] = r.pick<[string, string]>([
        [`${a} times ${b}`, `${a}*${b}`],
        [`${a} plus ${b}`, `${a}+${b}`],
        [`${a + b} minus ${b}`, `${a + b}-${b}`],
        [`${a * c} divided by ${c}`, `${a * c}/${c}`],
        [`${a}*${b}+${c}`, `${a}*${b}+${c}`],
        [`(${a}+${b})*${c}`, `(${a}+${b})*${c}`],
        [`${a} + ${b}`, `${a}+${b}`],
        [`${a} * ${b}`, `${a}*${b}`],
        [`${a}*${b}`, `${a}*${b}`],
        [`${a} x ${b}`, `${a}*${b}`],
        [`${a}-${c}`, `${a}-${c}`],
        [`${a}*${b}-${c}`, `${a}*${b}-${c}`],
        [`the sum of ${a} and ${b}`, `${a}+${b}`],
        [`the product of ${a} and ${b}`, `${a}*${b}`]
      ])
      const v = String(evaluate(e))
      return {
        ask: pickPhrase(r, say.calc, { e: said }).replace(`What does ${said} make`, `What does ${said} make`),
        calls: [tool("calc", { expression: e }, v)],
        value: v
      }
    }
  },
  { name: "copy", weight: 1.2, make: copyStep },
  {
    name: "move",
    weight: 0.9,
    make: (w, r) => {
      const a = w.given(w.text())
      const b = plainName(w)
      w.files.set(b, w.files.get(a) as string)
      w.files.delete(a)
      w.lastFile = b
      return {
        ask: pickPhrase(r, say.move, { a: mention(r, a), b: b }),
        calls: [shell(`mv ${a} ${b}`, "")]
      }
    }
  },
  {
    name: "delete",
    weight: 0.9,
    make: (w, r) => {
      const a = w.given(w.text())
      w.files.delete(a)
      w.lastFile = undefined
      return {
        ask: pickPhrase(r, say.remove, { a: mention(r, a) }),
        calls: [shell(`rm ${a}`, "")]
      }
    }
  },
  {
    name: "mkdir",
    weight: 0.5,
    make: (_w, r) => {
      const d = folderName(r)
      return {
        ask: pickPhrase(r, say.mkdir, { d }),
        calls: [shell(`mkdir -p ${d}`, "")]
      }
    }
  },
  {
    name: "append",
    weight: 0.9,
    make: (w, r) => {
      const t = sentence(r, 1, 4)
      const { file, said } = subject(w, r, () => w.text(1, 2))
      w.files.set(file, `${w.files.get(file)}${t}\n`)
      w.lastFile = file
      return {
        ask: pickPhrase(r, say.append, { t: `"${t}"`, f: said }),
        calls: [shell(`echo '${t}' >> ${file}`, "")]
      }
    }
  },
  {
    name: "head",
    weight: 0.7,
    make: (w, r) => {
      const f = w.given(w.text(3, 6))
      const lines = linesOf(w.files.get(f) as string)
      const n = r.int(1, Math.min(3, lines.length))
      const last = r.chance(0.5)
      const text = (last ? lines.slice(-n) : lines.slice(0, n)).join("\n")
      w.lastFile = f
      return {
        ask: pickPhrase(r, say.head, {
          w: last ? "last" : "first",
          n: n === 1 ? "line" : `${numeral(r, n)} lines`,
          f: mention(r, f)
        }),
        calls: [shell(`${last ? "tail" : "head"} -n ${n} ${f}`, text)],
        value: text
      }
    }
  },
  {
    name: "line",
    weight: 0.6,
    make: (w, r) => {
      const f = w.given(w.text(2, 7))
      const lines = linesOf(w.files.get(f) as string)
      const n = r.int(1, lines.length)
      w.lastFile = f
      return {
        ask: pickPhrase(r, say.line, { n: String(n), f: mention(r, f) }),
        calls: [shell(`sed -n '${n}p' ${f}`, lines[n - 1] as string)],
        value: lines[n - 1] as string
      }
    }
  },
  {
    name: "matching",
    weight: 0.8,
    make: (w, r) => {
      const needle = scramble(r, 4, 8)
      const n = r.int(1, 5)
      const rest = Array.from({ length: r.int(0, 4) }, () => sentence(r, 1, 3))
      const lines = r.sample([...rest, ...Array.from({ length: n }, () => `${word(r)} ${needle}`)], 99)
      const f = w.given(`${lines.join("\n")}\n`)
      w.lastFile = f
      return {
        ask: pickPhrase(r, say.matching, { t: quoted(r, needle), f: mention(r, f) }),
        calls: [shell(`grep -c '${needle}' ${f}`, String(n))],
        value: String(n)
      }
    }
  },
  {
    name: "replaceAll",
    weight: 0.5,
    make: (w, r) => {
      const a = scramble(r, 4, 8)
      const b = scramble(r, 4, 8)
      const f = w.given(`${a} ${word(r)}\n${word(r)} ${a}\n`)
      w.files.set(f, (w.files.get(f) as string).replaceAll(a, b))
      w.lastFile = f
      return {
        ask: pickPhrase(r, say.replaceAll, { a, b, f: mention(r, f) }),
        calls: [shell(`sed -i 's/${a}/${b}/g' ${f}`, "")]
      }
    }
  },
  transform(
    "sort",
    say.sort,
    (a, b) => `sort ${a} > ${b}`,
    (t) => `${linesOf(t).sort(byteOrder).join("\n")}\n`
  ),
  transform(
    "upper",
    say.upper,
    (a, b) => `tr a-z A-Z < ${a} > ${b}`,
    (t) => t.toUpperCase()
  ),
  {
    name: "join",
    weight: 0.5,
    make: (w, r) => {
      const a = w.given(w.text(1, 2))
      const b = w.given(w.text(1, 2))
      const c = plainName(w)
      w.files.set(c, `${w.files.get(a)}${w.files.get(b)}`)
      w.lastFile = c
      return {
        ask: pickPhrase(r, say.join, { a, b, c }),
        calls: [shell(`cat ${a} ${b} > ${c}`, "")]
      }
    }
  },
  {
    name: "exists",
    weight: 0.5,
    make: (w, r) => {
      const there = r.chance(0.5)
      const f = there ? w.given(w.text(1, 1)) : w.fresh()
      const v = there ? "yes" : "no"
      return {
        ask: pickPhrase(r, say.exists, { f }),
        calls: [shell(`test -e ${f} && echo yes || echo no`, v)],
        value: v
      }
    }
  },
  {
    name: "countFiles",
    weight: 0.5,
    make: (w, r) => {
      const d = folderName(r)
      const names = new Set(Array.from({ length: r.int(1, 5) }, () => plainName(w)))
      for (const n of names) w.initialFile(`${d}/${n}`, "x\n")
      const n = String(
        new Set(
          [...w.files.keys()]
            .filter((f) => f.startsWith(`${d}/`))
            .map((f) => f.slice(d.length + 1).replace(/\/.*/, ""))
        ).size
      )
      return {
        ask: pickPhrase(r, say.countFiles, { d }),
        calls: [shell(`ls ${d} | wc -l`, n)],
        value: n
      }
    }
  },
  {
    name: "save",
    weight: 3.2,
    refers: "value",
    make: (w, r) => {
      const v = w.last as string
      const f = plainName(w)
      w.files.set(f, v)
      w.lastFile = f
      const isNumber = /^-?\d/.test(v)
      let ask = pickPhrase(r, say.save, {
        n: w.noun,
        f: r.chance(0.85) ? f : mention(r, f).replace("the file ", "")
      })
      if (!isNumber) ask = ask.replace(/(that|the|this) number/, "the result")
      return { ask, calls: [tool("fs_write", { path: f, text: v }, "ok")] }
    }
  },
  {
    name: "onward",
    weight: 1.8,
    refers: "number",
    make: (w, r) => {
      const v = w.last as string
      const n = r.int(2, r.pick([9, 99]))
      const [phrasings, formula] = r.pick(say.onward)
      const e = formula.replaceAll("v", v).replace("n", String(n))
      const result = evaluate(e)
      const value = String(result)
      return {
        ask: pickPhrase(r, phrasings, { n: String(n), v: w.noun }),
        calls: [tool("calc", { expression: e }, value)],
        value
      }
    }
  },
  {
    name: "appendThat",
    weight: 0.7,
    refers: "value",
    make: (w, r) => {
      const v = (w.last as string).replaceAll("\n", " ")
      if (v !== w.last || v.includes("'")) return (skills.find((s) => s.name === "save") as Skill).make(w, r)
      const f = w.given(w.text(1, 2))
      w.files.set(f, `${w.files.get(f)}${v}\n`)
      w.lastFile = f
      return {
        ask: pickPhrase(r, say.appendThat, { n: w.noun, f: mention(r, f) }),
        calls: [shell(`echo '${v}' >> ${f}`, "")]
      }
    }
  }
]

/** Whole-number arithmetic for the simulated `calc`; left to right with the usual precedence. */
export const evaluate = (expression: string): bigint | number => {
  const value = Number(
    new Function(
      `return ${expression.replace(/\d+(\.\d+)?/g, (d) => (d.includes(".") ? d : String(BigInt(d))))}`
    )()
  )
  return Number.isSafeInteger(value) ? value : Number(value.toPrecision(15))
}

/** `LC_ALL=C sort` order. */
export const byteOrder = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

const weighted = (r: Random, among: ReadonlyArray<Skill>): Skill => {
  let left = among.reduce((sum, s) => sum + s.weight, 0) * r.unit()
  for (const skill of among) {
    left -= skill.weight
    if (left <= 0) return skill
  }
  return among[0] as Skill
}

/** What people call the value that a skill finds. */
const nouns: Record<string, ReadonlyArray<string>> = {
  lines: ["count", "line count", "number of lines"],
  words: ["count", "word count", "number of words"],
  bytes: ["count", "size", "number of bytes"],
  matching: ["count", "number of lines"],
  countFiles: ["count", "number of files", "file count"],
  sum: ["sum", "total"],
  column: ["sum", "total"],
  mean: ["average", "mean"],
  max: ["maximum", "largest number", "number"],
  min: ["minimum", "smallest number", "number"],
  which: ["name", "file name", "name of the file"],
  read: ["text", "content"],
  head: ["text", "output"],
  line: ["line", "text"],
  list: ["list", "output"],
  calc: ["result", "answer"],
  onward: ["result", "answer"],
  exists: ["answer"]
}

/** A step whose file is not there. The calls end with the tools' own words for it. */
const missing = (w: World, r: Random): Step => {
  const f = w.fresh()
  const said = mention(r, f)
  const kind = r.int(0, 4)
  const cannot = `/bin/sh: 1: cannot open ${f}: No such file\n[exit 2]`
  const failed = `no such file: ${f}`
  if (kind === 0)
    return {
      ask: pickPhrase(r, say.number, { k: "lines", k1: "line", f: said }),
      calls: [shell(`wc -l < ${f}`, cannot)],
      failed
    }
  if (kind === 1)
    return {
      ask: pickPhrase(r, say.read, { f: said }),
      calls: [{ tool: "fs_read", args: { path: f }, ok: false, text: failed }],
      failed
    }
  if (kind === 2) {
    const b = plainName(w)
    return {
      ask: pickPhrase(r, say.copy, { a: said, b }),
      calls: [shell(`cp ${f} ${b}`, `cp: cannot stat '${f}': No such file or directory\n[exit 1]`)],
      failed
    }
  }
  if (kind === 3) {
    const [a, b] = [word(r), scramble(r)]
    return {
      ask: pickPhrase(r, say.edit, { a, b, f: said }),
      calls: [{ tool: "fs_edit", args: { path: f, old: a, new: b }, ok: false, text: failed }],
      failed
    }
  }
  return {
    ask: pickPhrase(r, say.remove, { a: said }),
    calls: [shell(`rm ${f}`, `rm: cannot remove '${f}': No such file or directory\n[exit 1]`)],
    failed
  }
}

/** A search that finds nothing, or an edit whose text is not there. */
const fruitless = (w: World, r: Random): Step => {
  const t = scramble(r, 5, 10)
  if (r.chance(0.5))
    return {
      ask: pickPhrase(r, say.which, { t: quoted(r, t) }),
      calls: [tool("fs_search", { text: t }, "no match")],
      failed: `no match for ${t}`
    }
  const f = w.given(w.text(1, 2))
  const b = word(r)
  const failed = `text not found in ${f}`
  return {
    ask: pickPhrase(r, say.edit, { a: t, b, f: mention(r, f) }),
    calls: [{ tool: "fs_edit", args: { path: f, old: t, new: b }, ok: false, text: failed }],
    failed
  }
}

/** One random step: mostly a skill that fits what went before, now and then one that must fail. */
export const randomStep = (
  w: World,
  r: Random,
  allow: (tools: ReadonlyArray<Call>) => boolean = () => true
): Step => {
  for (;;) {
    if (r.chance(0.05)) return r.chance(0.7) ? missing(w, r) : fruitless(w, r)
    const numeric = w.last !== undefined && /^\d{1,6}$/.test(w.last)
    const usable = skills.filter(
      (s) =>
        s.refers === undefined ||
        (s.refers === "number" ? numeric : w.last !== undefined && w.last.length < 60)
    )
    const skill = weighted(r, usable)
    const step = skill.make(w, r)
    if (!allow(step.calls)) continue
    w.last = step.value
    if (step.value !== undefined) w.noun = r.pick(nouns[skill.name] ?? ["result"])
    return step
  }
}
