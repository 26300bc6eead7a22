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
import { type Call, lineCount, linesOf, type Step, type World } from "./world.ts"

interface Phrasings {
  readonly train: ReadonlyArray<string>
  readonly held: ReadonlyArray<string>
}
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

const number = {
  train: [
    "How many {k} [are in|are there in|does] {f} [have|contain|]",
    "[Count|count up|Find] the [number of |]{k} [in|of|inside] {f}",
    "[Tell me|Give me|Say|Show|Find out] how many {k} {f} has",
    "[Get|Report|Determine|Give me] the {k1} count [of|for] {f}",
    "What is the [number of {k}|{k1} count] [in|of] {f}",
    "how many {k} [in|has|are in] {f}",
    "[Check|See] how many {k} [there are in|are in] {f}",
    "{f}: how many {k}"
  ],
  held: [
    "Work out the number of {k} that {f} holds",
    "I want to know how many {k} {f} has got",
    "What's the {k1} total for {f}",
    "Let me know the count of {k} in {f}"
  ]
} satisfies Phrasings

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
      ask: pickPhrase(r, number, { k, k1, f: said }),
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

const copy = {
  train: [
    "[Copy|Duplicate] {a} to {b}",
    "[Duplicate|Copy] {a} as {b}",
    "Make a copy of {a} [called|named|at|in] {b}",
    "[Back up|Backup] {a} to {b}",
    "Save a copy of {a} [as|under the name] {b}",
    "Create {b} as a copy of {a}",
    "cp {a} {b}",
    "Put a [copy|duplicate] of {a} in {b}",
    "Clone {a} [to|into|as] {b}",
    "[Please|] copy {a} into {b}"
  ],
  held: [
    "Keep a spare of {a} under {b}",
    "Make {b} an exact copy of {a}",
    "I need {a} copied over to {b}",
    "Replicate {a} as {b}"
  ]
}
const copyStep = (w: World, r: Random): Step => {
  const a =
    w.lastFile !== undefined && w.files.has(w.lastFile) && r.chance(0.15) ? w.lastFile : w.given(w.text())
  const said = a === w.lastFile && r.chance(0.6) ? r.pick(["it", "that file"]) : mention(r, a)
  const b = plainName(w)
  w.files.set(b, w.files.get(a) as string)
  w.lastFile = b
  return { ask: pickPhrase(r, copy, { a: said, b: mention(r, b) }), calls: [shell(`cp ${a} ${b}`, "")] }
}
/** A new file's name in the workspace's top folder. */
const plainName = (w: World, extensions?: ReadonlyArray<string>): string => {
  for (;;) {
    const f = w.fresh(extensions)
    if (!f.includes("/")) return f
  }
}

const save = {
  train: [
    "[save|write|put|store|record] the {n} [to|in|into] [a file called|a file named|the file|] {f}",
    "[save|write|store] the {n} [to|in|into] {f}",
    "[create|make] {f} with the {n} [in it|]",
    "[save|write|put|store|record] [that|it|the result|that result|the answer|that value] [to|in|into] {f}",
    "[save|write|store|put] [that number|the number|this number|that number] [to|in|into] {f}",
    "[write|save] the [result|answer|output|value] [to|into|in] [a file called|a file named|a new file|] {f}",
    "[create|make] {f} with [that|the result|the answer|it] [in it|inside|as its content]",
    "[record|log|keep|note] [it|that|the result] in {f}",
    "put [the result|that|the value] into {f}"
  ],
  held: [
    "drop the {n} into {f}",
    "have {f} contain that result",
    "keep that value in {f}",
    "let {f} hold the answer"
  ]
} satisfies Phrasings

export const skills: ReadonlyArray<Skill> = [
  counting("lines", "lines", "line", "-l", lineCount),
  counting("words", "words", "word", "-w", (t) => t.split(/\s+/).filter((x) => x !== "").length),
  counting("bytes", "bytes", "byte", "-c", (t) => t.length),
  numeric(
    "sum",
    {
      train: [
        "[Sum|Sum up|Total|Add up|Add together] [the|all|all the] [numbers|values] in {f}",
        "What is the [sum|total] of [the|all] numbers in {f}",
        "What do the numbers in {f} add up to",
        "[Compute|Calculate|Find|Get] the [sum|total] of {f}",
        "[Give me|Tell me|Report] the [total|sum] of the [numbers|values] in {f}",
        "Add [all|] the numbers [from|of|in] {f}",
        "What is the [sum|total] of {f}",
        "[Sum|Total] {f}"
      ],
      held: [
        "How much do the numbers in {f} come to",
        "What does {f} sum to",
        "Take the numbers in {f} and total them",
        "I need the numbers of {f} added together"
      ]
    },
    (f) => `awk '{s+=$1} END {print s}' ${f}`,
    (xs) => String(xs.reduce((a, b) => a + b, 0))
  ),
  numeric(
    "mean",
    {
      train: [
        "What is the [average|mean] of [the|all] [numbers|values] in {f}",
        "[Compute|Calculate|Find|Get|Give me] the [average|mean] of {f}",
        "[Average|Take the mean of] the [numbers|values] in {f}",
        "[Tell me|Report|Show] the [average|mean] [number|value] [in|of] {f}",
        "Find the [mean|average] of the numbers in {f}"
      ],
      held: [
        "What do the numbers in {f} average out at",
        "Work out the mean of {f}",
        "What's the average value found in {f}",
        "Give the mean for the numbers of {f}"
      ]
    },
    (f) => `awk '{s+=$1} END {print s/NR}' ${f}`,
    (xs) => sixDigits(xs.reduce((a, b) => a + b, 0) / xs.length)
  ),
  numeric(
    "max",
    {
      train: [
        "What is the [largest|biggest|highest|greatest|maximum] [number|value] in {f}",
        "[Find|Get|Give me|Tell me|Show] the [largest|biggest|highest|maximum|top] [number|value] [in|of] {f}",
        "[Which|What] number in {f} is the [largest|biggest|highest]",
        "What is the [max|maximum] of {f}"
      ],
      held: [
        "Pick out the greatest number of {f}",
        "What's the maximum found in {f}",
        "Look for the biggest value {f} holds",
        "How high do the numbers in {f} go"
      ]
    },
    (f) => `sort -n ${f} | tail -n 1`,
    (xs) => String(Math.max(...xs))
  ),
  numeric(
    "min",
    {
      train: [
        "What is the [smallest|lowest|least|minimum] [number|value] in {f}",
        "[Find|Get|Give me|Tell me|Show] the [smallest|lowest|minimum|least] [number|value] [in|of] {f}",
        "[Which|What] number in {f} is the [smallest|lowest]",
        "What is the [min|minimum] of {f}"
      ],
      held: [
        "Pick out the least number of {f}",
        "What's the minimum found in {f}",
        "Look for the smallest value {f} holds",
        "How low do the numbers in {f} go"
      ]
    },
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
        ask: pickPhrase(
          r,
          {
            train: [
              "[Sum|Add up|Total] {c} of {f}",
              "What is the [sum|total] of {c} [in|of] {f}",
              "[Compute|Find|Get|Calculate] the [sum|total] of {c} in {f}",
              "Add [up|together] [the numbers in|the values in|] {c} of {f}",
              "[Give me|Tell me] the total of {c} in {f}"
            ],
            held: [
              "What does {c} of {f} come to",
              "Take {c} of {f} and total it",
              "I need {c} in {f} added up",
              "How much is {c} of {f} in all"
            ]
          },
          { c: said, f: mention(r, f) }
        ),
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
        ask: pickPhrase(
          r,
          {
            train: [
              "[Write|Save|Put|Store] {t} [to|in|into] {f}",
              "[Create|Make] [a file called|a file named|the file|a new file|] {f} [with|containing|that says|holding] {t}",
              "[Create|Make] {f} with the [text|content|words] {t}",
              "[Write|Save] the [text|words|line] {t} [to|in|into] {f}",
              "[Put|Place] the [text|words] {t} [in|into] {f}",
              "Make {f} say {t}",
              "Set the content of {f} to {t}",
              "Fill {f} with {t}",
              "Store the [text|line] {t} in a file [called|named] {f}"
            ],
            held: [
              "I want {f} to contain {t}",
              "Drop {t} into a file named {f}",
              "Have {f} read {t}",
              "Let a new file {f} say {t}"
            ]
          },
          { t: quoted(r, t), f: r.chance(0.8) ? f : mention(r, f).replace("the file ", "") }
        ),
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
        ask: pickPhrase(
          r,
          {
            train: [
              "What does {f} [say|contain]",
              "[Read|Show|Print|Display|Output] {f}",
              "[Show|Tell|Give] me [what {f} says|the content of {f}|the contents of {f}|the text of {f}]",
              "What is [in|inside|written in] {f}",
              "[Read|Open|Print] {f} and [tell me what it says|show it|give me its content]",
              "[Show|Print|Display|Read] the [content|contents|text] of {f}",
              "[Get|Give] the text [of|in] {f}",
              "cat {f}"
            ],
            held: [
              "Let me see what {f} has in it",
              "What's the text of {f}",
              "Quote {f} for me",
              "Recite the contents of {f}"
            ]
          },
          { f: said }
        ),
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
        ask: pickPhrase(
          r,
          {
            train: [
              "[Which|What] file [mentions|contains|has|includes] {t}",
              "[Find|Locate] the file that [mentions|contains|has|includes] {t}",
              "[Find|Tell me|Show me|Say] which file [mentions|contains|has] {t}",
              "In which file [is|does] {t} [appear|occur|written|mentioned]",
              "Where is {t} [mentioned|written|used]",
              "Search [the files|the workspace|all files|] for {t} and [name the file|tell me the file|say where it is]",
              "Look for the file [with|containing] {t}",
              "grep for {t}"
            ],
            held: [
              "Which of the files talks about {t}",
              "Hunt down the file that mentions {t}",
              "Where does {t} show up",
              "What's the name of the file holding {t}"
            ]
          },
          { t: r.chance(0.5) ? needle : quoted(r, needle) }
        ),
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
        ask: pickPhrase(
          r,
          {
            train: [
              "[Replace|Change|Swap] {a} [with|for] {b} in {f}",
              "[Change|Rename|Turn] {a} [to|into] {b} in {f}",
              "In {f}, [replace|change|swap] {a} [with|to|for] {b}",
              "[Edit|Update|Modify] {f} [and|to|so as to] [replace|change] {a} [with|to] {b}",
              "[Edit|Open] {f}: [change|replace] {a} [to|with|by] {b}",
              "Make {a} [into|] {b} in {f}",
              "[Put|Write] {b} [instead of|in place of] {a} in {f}"
            ],
            held: [
              "Where {f} says {a}, make it say {b}",
              "Correct {a} to {b} in {f}",
              "{f} should say {b} rather than {a}",
              "Substitute {b} for {a} in {f}"
            ]
          },
          { a: q(a), b: q(b), f: mention(r, f) }
        ),
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
        return {
          ask: pickPhrase(
            r,
            {
              train: [
                "[List|Show|Print] [the|all|all the] files",
                "[What|Which] files are [here|there|in the workspace|in this folder]",
                "[Show|Tell|Give] me [the|all|a list of the] files [here|in the workspace|]",
                "[List|Show] [everything|what is] in [the workspace|this folder|the current folder]",
                "ls"
              ],
              held: [
                "What have we got in this folder",
                "Name every file in the workspace",
                "Which files do I have",
                "Enumerate the files"
              ]
            },
            {}
          ),
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
        ask: pickPhrase(
          r,
          {
            train: [
              "[List|Show|Print] [the|all|all the] files in [the folder|] {d}",
              "[What|Which] files are in [the folder|folder|] {d}",
              "[What|Show what] is in [the folder|the directory] {d}",
              "[Show|Tell|Give] me the files in {d}",
              "ls {d}",
              "List [the folder|the directory|] {d}"
            ],
            held: [
              "What have we got in the folder {d}",
              "Name every file under {d}",
              "Which files does {d} hold",
              "Enumerate the contents of the folder {d}"
            ]
          },
          { d }
        ),
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
        ask: pickPhrase(
          r,
          {
            train: [
              "[Compute|Calculate|Work out|Evaluate] {e}",
              "What is {e}",
              "[How much is|What does] {e} [equal|make|]",
              "[Tell me|Give me|Find] {e}",
              "[Get|Find] the [result|value] of {e}",
              "[Use the calculator for|Do the sum] {e}"
            ],
            held: ["What do you get for {e}", "Figure out {e}", "I'd like to know {e}", "Solve {e}"]
          },
          { e: said }
        ).replace(`What does ${said} make`, `What does ${said} make`),
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
        ask: pickPhrase(
          r,
          {
            train: [
              "[Rename|Move] {a} to {b}",
              "Rename {a} [as|into] {b}",
              "[Change|Set] the name of {a} to {b}",
              "mv {a} {b}",
              "Give {a} the [new name|name] {b}",
              "Move {a} [over to|into|to] {b}",
              "Let {a} be [called|named] {b}"
            ],
            held: [
              "{a} should be called {b} from now on",
              "Retitle {a} to {b}",
              "I want {a} renamed {b}",
              "Make {b} the new name of {a}"
            ]
          },
          { a: mention(r, a), b: b }
        ),
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
        ask: pickPhrase(
          r,
          {
            train: [
              "[Delete|Remove|Erase] {a}",
              "[Get rid of|Throw away|Drop] {a}",
              "rm {a}",
              "[Delete|Remove] [the file called|the file named|] {a}",
              "[Please|] [remove|delete|erase] {a} [from the workspace|from here|]",
              "Clean up {a}"
            ],
            held: [
              "{a} can go, delete it",
              "Make {a} disappear",
              "I no longer want {a}: remove it",
              "Wipe {a}"
            ]
          },
          { a: mention(r, a) }
        ),
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
        ask: pickPhrase(
          r,
          {
            train: [
              "[Create|Make|Add] [a|the] [folder|directory] [called|named|] {d}",
              "[Make|Create] a new [folder|directory] {d}",
              "mkdir {d}",
              "[Set up|Add] a [folder|directory] named {d}"
            ],
            held: [
              "I need a folder by the name of {d}",
              "Start a directory called {d}",
              "Let there be a folder {d}",
              "Open up a new directory named {d}"
            ]
          },
          { d }
        ),
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
        ask: pickPhrase(
          r,
          {
            train: [
              "[Append|Add] {t} to {f}",
              "Add [the line|a line|the text] {t} to [the end of|] {f}",
              "[Append|Put|Write] {t} [at|to] the end of {f}",
              "[Append|Add] the [text|line|words] {t} [to|at the end of] {f}",
              "Extend {f} with the line {t}"
            ],
            held: [
              "Tack {t} onto {f}",
              "Let {f} end with the line {t}",
              "Attach {t} to the bottom of {f}",
              "Stick {t} on the end of {f}"
            ]
          },
          { t: `"${t}"`, f: said }
        ),
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
        ask: pickPhrase(
          r,
          {
            train: [
              "[Show|Print|Display|Give me|Read] the {w} {n} of {f}",
              "What [is|are] the {w} {n} [of|in] {f}",
              "[Get|Give|Output] the {w} {n} of {f}",
              "[Show|Tell] me the {w} {n} [in|of] {f}"
            ],
            held: [
              "Let me see the {w} {n} of {f}",
              "Quote the {w} {n} of {f}",
              "I want the {w} {n} from {f}",
              "What do the {w} {n} of {f} say"
            ]
          },
          { w: last ? "last" : "first", n: n === 1 ? "line" : `${numeral(r, n)} lines`, f: mention(r, f) }
        ),
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
        ask: pickPhrase(
          r,
          {
            train: [
              "[Show|Print|Read|Display|Give me|Get] line {n} of {f}",
              "What [is|does] line {n} of {f} [say|]",
              "What is [on|in] line {n} [of|in] {f}",
              "[Tell|Show] me line [number|] {n} of {f}"
            ],
            held: [
              "What's written on line {n} of {f}",
              "Quote line {n} of {f}",
              "Let me see line {n} of {f}",
              "I want to read line {n} in {f}"
            ]
          },
          { n: String(n), f: mention(r, f) }
        ),
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
        ask: pickPhrase(
          r,
          {
            train: [
              "How many lines [of|in] {f} [contain|mention|have|include] {t}",
              "[Count|Find the number of] [the|] lines [with|containing|that contain|that mention] {t} in {f}",
              "[Tell me|Give me|Report] how many lines [in|of] {f} [contain|mention|have] {t}",
              "In {f}, how many lines [contain|mention|have] {t}",
              "[Count|Tell me] how often {t} [appears|occurs] in {f}"
            ],
            held: [
              "What's the number of lines in {f} with {t} in them",
              "On how many lines of {f} does {t} show up",
              "How many of the lines in {f} mention {t}",
              "Tally the lines of {f} that have {t}"
            ]
          },
          { t: quoted(r, needle), f: mention(r, f) }
        ),
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
        ask: pickPhrase(
          r,
          {
            train: [
              "[Replace|Change] [every|all|each] {a} [with|to|by] {b} in {f}",
              "[Replace|Change] all [occurrences|uses] of {a} [with|to] {b} in {f}",
              "In {f}, [replace|change] [every|each] {a} [with|to] {b}",
              "[Change|Turn] {a} [to|into] {b} everywhere in {f}"
            ],
            held: [
              "Throughout {f}, turn {a} into {b}",
              "Swap every single {a} for {b} in {f}",
              "Wherever {f} has {a}, use {b}",
              "All of the {a} in {f} should become {b}"
            ]
          },
          { a, b, f: mention(r, f) }
        ),
        calls: [shell(`sed -i 's/${a}/${b}/g' ${f}`, "")]
      }
    }
  },
  transform(
    "sort",
    {
      train: [
        "Sort {a} [into|to] {b}",
        "Sort the lines of {a} [into|to|and save them in|and write them to] {b}",
        "[Save|Write|Put] [a sorted copy of {a}|the sorted lines of {a}] [in|into|to] {b}",
        "[Create|Make] {b} with the [sorted lines|lines sorted] of {a}"
      ],
      held: [
        "Put the lines of {a} in order into {b}",
        "Order {a} alphabetically and save it as {b}",
        "{b} should hold {a}, sorted",
        "Arrange the lines of {a} in order in {b}"
      ]
    },
    (a, b) => `sort ${a} > ${b}`,
    (t) => `${linesOf(t).sort(byteOrder).join("\n")}\n`
  ),
  transform(
    "upper",
    {
      train: [
        "[Convert|Turn|Change] {a} to [upper case|uppercase|capitals|capital letters] [in|into|and save it as] {b}",
        "[Write|Save] {a} in [upper case|uppercase|capitals|capital letters] [to|as|into] {b}",
        "[Create|Make] {b} as an [upper case|uppercase] copy of {a}"
      ],
      held: [
        "Make the text of {a} all caps and save it as {b}",
        "{b} should be {a} in big letters",
        "Uppercase {a} into {b}",
        "Put {a} into {b} with capital letters"
      ]
    },
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
        ask: pickPhrase(
          r,
          {
            train: [
              "[Join|Combine|Merge|Concatenate] {a} and {b} [into|to|in] {c}",
              "[Put|Write|Save] {a} and {b} together [in|into|as] {c}",
              "[Make|Create] {c} from {a} and {b}",
              "[Merge|Combine] {a} with {b} [into|in] {c}"
            ],
            held: [
              "Glue {a} and {b} together as {c}",
              "{c} should be {a} followed by {b}",
              "Build {c} out of {a} and {b}",
              "Stitch {a} and {b} into {c}"
            ]
          },
          { a, b, c }
        ),
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
        ask: pickPhrase(
          r,
          {
            train: [
              "Does {f} exist",
              "[Check|Tell me|See|Find out|Say] [if|whether] [the file|] {f} exists",
              "[Check|Tell me|See|Find out|Say] [if|whether] there is a [file|file called|file named] {f}",
              "Is {f} [there|here|in the workspace|in this folder]",
              "Is there a file [called|named|by the name of|] {f}"
            ],
            held: [
              "Do we have {f}",
              "Can you see {f} in the workspace",
              "I wonder whether there is a {f} here",
              "Verify that {f} is present"
            ]
          },
          { f }
        ),
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
        ask: pickPhrase(
          r,
          {
            train: [
              "How many files are [there in|in] [the folder|the directory|folder|] {d}",
              "[Count|Find the number of] [the|] files in [the folder|] {d}",
              "[Tell me|Give me] [how many files are in|the number of files in] {d}",
              "how many files [in|does] the folder {d} [have|contain|]"
            ],
            held: [
              "What number of files does the folder {d} hold",
              "Tally the files under {d}",
              "I want the file count of the folder {d}",
              "The folder {d} has how many files"
            ]
          },
          { d }
        ),
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
      let ask = pickPhrase(r, save, {
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
      const [train, held, e] = r.pick<[ReadonlyArray<string>, ReadonlyArray<string>, string]>([
        [
          [
            "multiply [it|that|that number|the result|the number] by {n}",
            "[compute|calculate] [that|the result|it] times {n}",
            "what is [that|that number|the result] times {n}"
          ],
          ["find {n} times that", "have that multiplied by {n}"],
          `${v}*${n}`
        ],
        [
          [
            "add {n} to [it|that|that number|the result|the number]",
            "[compute|calculate] [that|the result|it] plus {n}",
            "what is [that|that number|the result] plus {n}"
          ],
          ["increase that by {n}", "raise the number by {n}"],
          `${v}+${n}`
        ],
        [
          [
            "subtract {n} from [it|that|that number|the result|the number]",
            "take {n} away from [that|it|the result]",
            "what is [that|the result] minus {n}"
          ],
          ["lower that by {n}", "reduce the number by {n}"],
          `${v}-${n}`
        ],
        [
          ["double [it|that|that number|the result]"],
          ["work out twice that", "make that number twice as big"],
          `${v}*2`
        ],
        [
          ["square [it|that|that number|the result]"],
          ["work out the square of that", "multiply that number with itself"],
          `${v}*${v}`
        ]
      ])
      const result = evaluate(e)
      const value = String(result)
      return {
        ask: pickPhrase(r, { train, held }, { n: String(n) }),
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
        ask: pickPhrase(
          r,
          {
            train: [
              "[append|add] [it|that|the result|the answer] to {f}",
              "[add|write|put] [that|it|the result] [at|to] the end of {f}"
            ],
            held: ["tack that onto {f}", "stick the result on the end of {f}"]
          },
          { f: mention(r, f) }
        ),
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
      ask: pickPhrase(r, number, { k: "lines", k1: "line", f: said }),
      calls: [shell(`wc -l < ${f}`, cannot)],
      failed
    }
  if (kind === 1)
    return {
      ask: pickPhrase(
        r,
        {
          train: ["[Read|Show|Print|Display] {f}", "What does {f} [say|contain]", "What is in {f}"],
          held: ["Let me see what {f} has in it", "Quote {f} for me"]
        },
        { f: said }
      ),
      calls: [{ tool: "fs_read", args: { path: f }, ok: false, text: failed }],
      failed
    }
  if (kind === 2) {
    const b = plainName(w)
    return {
      ask: pickPhrase(r, copy, { a: said, b }),
      calls: [shell(`cp ${f} ${b}`, `cp: cannot stat '${f}': No such file or directory\n[exit 1]`)],
      failed
    }
  }
  if (kind === 3) {
    const [a, b] = [word(r), scramble(r)]
    return {
      ask: pickPhrase(
        r,
        {
          train: ["[Replace|Change] {a} [with|to] {b} in {f}", "In {f}, [replace|change] {a} [with|to] {b}"],
          held: ["Substitute {b} for {a} in {f}"]
        },
        { a, b, f: said }
      ),
      calls: [{ tool: "fs_edit", args: { path: f, old: a, new: b }, ok: false, text: failed }],
      failed
    }
  }
  return {
    ask: pickPhrase(
      r,
      {
        train: ["[Delete|Remove|Erase] {a}", "[Get rid of|Drop] {a}"],
        held: ["Wipe {a}", "Make {a} disappear"]
      },
      { a: said }
    ),
    calls: [shell(`rm ${f}`, `rm: cannot remove '${f}': No such file or directory\n[exit 1]`)],
    failed
  }
}

/** A search that finds nothing, or an edit whose text is not there. */
const fruitless = (w: World, r: Random): Step => {
  const t = scramble(r, 5, 10)
  if (r.chance(0.5))
    return {
      ask: pickPhrase(
        r,
        {
          train: ["[Which|What] file [mentions|contains] {t}", "Find the file that [mentions|contains] {t}"],
          held: ["Where does {t} show up"]
        },
        { t: quoted(r, t) }
      ),
      calls: [tool("fs_search", { text: t }, "no match")],
      failed: `no match for ${t}`
    }
  const f = w.given(w.text(1, 2))
  const b = word(r)
  const failed = `text not found in ${f}`
  return {
    ask: pickPhrase(
      r,
      {
        train: ["[Replace|Change] {a} [with|to] {b} in {f}", "In {f}, [replace|change] {a} [with|to] {b}"],
        held: ["Substitute {b} for {a} in {f}"]
      },
      { a: t, b, f: mention(r, f) }
    ),
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
