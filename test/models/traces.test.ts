import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { afterAll, assert, describe, it, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { exit } from "../../kernel/calls.ts"
import { makeHandles } from "../../kernel/handles.ts"
import { Journal } from "../../kernel/journal.ts"
import { pagingCalls } from "../../kernel/memory/calls.ts"
import { toolLine } from "../../kernel/prompt.ts"
import { Syscalls } from "../../kernel/syscall.ts"
import { type Chain, chain, type Variant } from "../../models/nano/chains.ts"
import { defaultCards } from "../../models/nano/disguises.ts"
import { compose, phrase, Random, type Voice } from "../../models/nano/language.ts"
import { randomStep, skills } from "../../models/nano/skills.ts"
import { makeTask } from "../../models/nano/task.ts"
import { Bubblewrap } from "../../sandbox/bubblewrap.ts"
import { Sandbox } from "../../sandbox/sandbox.ts"
import { builtins } from "../../tools/index.ts"

const home = mkdtempSync(join(tmpdir(), "noos-traces-"))
afterAll(() => rmSync(home, { recursive: true, force: true }))
const live = Layer.mergeAll(Syscalls.layer, Bubblewrap.layer).pipe(
  Layer.provideMerge(Journal.layer(join(home, "journal.db")))
)

layer(live)("traces", (it) => {
  for (const voice of ["train", "held", "novel"] as const)
    it.effect(`say what the real tools answer (${voice} words and phrasings)`, () =>
      Effect.gen(function* () {
        const journal = yield* Journal
        const run = yield* journal.beginRun({ task: "traces", workspace: home, model: "none" })
        const pid = yield* journal.spawn({ run, program: "traces" })
        const r = new Random(50, voice)
        const seen = new Set<string>()
        for (let n = 0; n < 60; n++) {
          const task = makeTask(r, r.int(1, 4), (w) => randomStep(w, r))
          const folder = mkdtempSync(join(home, "ws-"))
          for (const [file, text] of task.world.initial) {
            mkdirSync(dirname(join(folder, file)), { recursive: true })
            writeFileSync(join(folder, file), text)
          }
          const workspace = yield* (yield* Sandbox).open(folder)
          const caller = {
            pid,
            tools: builtins,
            workspace,
            approve: () => Effect.succeed(false),
            progress: () => Effect.void,
            handles: makeHandles(yield* Effect.scope)
          }
          for (const call of task.steps.flatMap((s) => s.calls)) {
            const outcome = yield* (yield* Syscalls).dispatch(caller, call)
            assert.deepStrictEqual(
              [outcome.text, outcome.ok],
              [call.text, call.ok],
              `${task.text}\n${JSON.stringify(call)}`
            )
            seen.add(String(call.args.command ?? call.tool).split(" ")[0]!)
          }
          for (const [file, text] of task.world.files)
            assert.strictEqual(readFileSync(join(folder, file), "utf8"), text, `${file} after: ${task.text}`)
          rmSync(folder, { recursive: true, force: true })
        }
        assert.isAtLeast(seen.size, 15, "most skills came up")
      })
    )
})

describe("prompts of traces", () => {
  it("list the tools exactly as the kernel does", () => {
    assert.deepStrictEqual(defaultCards.map(toolLine), [...builtins, ...pagingCalls, exit].map(toolLine))
  })

  it("ask in at least twenty ways for each skill, and in other ways when held out", () => {
    for (const skill of skills) {
      const asked = (voice: Voice) => {
        const forms = new Set<string>()
        for (let seed = 0; seed < 3000; seed++) {
          const r = new Random(seed, voice)
          const task = makeTask(r, 1, (w) => {
            w.last = "12345"
            w.noun = "@"
            return skill.make(w, r)
          })
          // Names, numbers and quoted texts are what varies without being another phrasing.
          forms.add(task.steps[0]!.ask.replace(/["'`][^"'`]*["'`]|\S*[\d._/]\S*|\u0001/g, "@").toLowerCase())
        }
        return forms
      }
      const train = asked("train")
      assert.isAtLeast(train.size, 20, skill.name)
      // A held-out phrasing is none that training has.
      for (const voice of ["held", "novel"] as const)
        assert.isEmpty(
          [...asked(voice)].filter((form) => train.has(form)),
          `${skill.name} ${voice}`
        )
    }
  })

  it("never change the case of a name that begins a request", () => {
    for (let seed = 0; seed < 200; seed++) {
      const r = new Random(seed)
      const ask = phrase(r, "{f}: how many lines", { f: "README.md" })
      assert.include(compose(r, [ask, "list the files", ask]), "README.md")
      const lower = phrase(r, "{f}: how many lines", { f: "notes.txt" })
      assert.include(compose(r, [lower, lower]), "notes.txt")
    }
  })

  it("are the same for the same seed", () => {
    const text = () => {
      const r = new Random(7)
      return Array.from({ length: 20 }, () => makeTask(r, 3, (w) => randomStep(w, r)).text).join("\n")
    }
    assert.strictEqual(text(), text())
  })
})

const variants: ReadonlyArray<Variant> = ["note", "recall", "page", "last"]

describe("chains", () => {
  const some = (voice: Voice, count: number): ReadonlyArray<Chain> => {
    const r = new Random(9, voice)
    return Array.from({ length: count }, (_, i) =>
      chain(r, {
        files: r.int(1, 6),
        tokensPerFile: 40,
        variant: variants[i % 4]!,
        place: r.pick([0, 0, 1, 2])
      })
    )
  }

  it("name each file once, in the one before, and say the answer once", () => {
    for (const c of some("held", 200)) {
      const [names, texts] = [[...c.files.keys()], [...c.files.values()]]
      assert.include(c.task, names[0]!, "the task says where to begin")
      for (const [i, name] of names.entries())
        if (i > 0)
          assert.deepStrictEqual(
            texts.flatMap((t, at) => (holds(t, name) ? [at] : [])),
            [i - 1],
            name
          )
      const says = texts.filter((t) => t.toLowerCase().includes(c.label.toLowerCase()))
      assert.deepStrictEqual(says, [texts[c.place]])
      assert.include(says[0]!, c.answer)
    }
  })

  it("are the same for the same seed", () => {
    assert.deepStrictEqual(chain(3, { files: 9 }), chain(3, { files: 9 }))
    assert.notDeepEqual(chain(3, { files: 9 }), chain(4, { files: 9 }))
  })

  it("are held out of training with their labels, requests and lines that say something", () => {
    const forms = (voice: Voice) => {
      const asked = new Set<string>()
      const said = new Set<string>()
      for (const c of some(voice, 3000)) {
        const names = [...c.files.keys()]
        const bare = (text: string) =>
          [...names, c.answer]
            .reduce((t, x) => t.replaceAll(x, "@"), text)
            .replaceAll(c.label, "{l}")
            .replaceAll(
              c.label.replace(/^./, (x) => x.toUpperCase()),
              "{l}"
            )
            .replace(/(the file )?["'`]?@["'`]?/g, "@")
            .replace(/page \d+/g, "page #")
        asked.add(bare(c.task.replace(/[.?]$/, "")))
        for (const [i, text] of [...c.files.values()].entries())
          for (const line of text.split("\n"))
            if (
              (names[i + 1] !== undefined && holds(line, names[i + 1]!)) ||
              (i === c.place && holds(line, c.answer))
            )
              said.add(bare(line))
      }
      return { asked, said }
    }
    const train = forms("train")
    assert.isAtLeast(train.asked.size, 1000)
    assert.isAtLeast(train.said.size, 80)
    for (const voice of ["held", "novel"] as const) {
      const other = forms(voice)
      assert.isEmpty(
        [...other.asked].filter((form) => train.asked.has(form)),
        voice
      )
      assert.isEmpty(
        [...other.said].filter((form) => train.said.has(form)),
        voice
      )
    }
  })
})

/** Whether a text says a name, and not as part of another. */
const holds = (text: string, name: string): boolean =>
  text.split(/[^\w./-]+/).some((x) => x.replace(/[.]$/, "") === name)
