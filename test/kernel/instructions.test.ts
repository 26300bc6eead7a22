import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { briefing } from "../../agents/instructions.ts"
import { fast } from "../../agents/programs.ts"
import { processCalls } from "../../kernel/calls.ts"
import { Engine } from "../../kernel/engine/engine.ts"
import { Journal } from "../../kernel/journal.ts"
import { type Instructions, Kernel } from "../../kernel/kernel.ts"
import { memoryCalls } from "../../kernel/memory/calls.ts"
import { Sandbox } from "../../sandbox/sandbox.ts"
import { longScript as script } from "../fixtures/scripted-engine.ts"
import { scriptedKernel } from "../fixtures/scripted-kernel.ts"

const home = mkdtempSync(join(tmpdir(), "noos-instructions-"))
afterAll(() => rmSync(home, { recursive: true, force: true }))
const live = scriptedKernel(home, 2048)

const workspaceWith = Effect.fnUntraced(function* (files: { readonly [path: string]: string }) {
  const folder = mkdtempSync(join(home, "ws-"))
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(join(folder, path, ".."), { recursive: true })
    writeFileSync(join(folder, path), text)
  }
  return yield* (yield* Sandbox).open(folder)
})

/** A process in a folder, told of it, to its end. */
const follow = Effect.fnUntraced(function* (files: { readonly [path: string]: string }, task: string) {
  const workspace = yield* workspaceWith(files)
  const kernel = yield* Kernel
  const { instructions, tools } = yield* briefing(workspace)
  const run = yield* (yield* Journal).beginRun({ task: "test", workspace: workspace.root, model: "nano" })
  const pid = yield* kernel.spawn({
    run,
    program: fast(0),
    task,
    workspace,
    tools: [...tools, ...memoryCalls, ...processCalls],
    instructions
  })
  const process = (yield* kernel.processes).find((p) => p.pid === pid)!
  const exit = yield* kernel.wait(pid)
  const pages = yield* (yield* Journal).pages(pid)
  const engine = yield* Engine
  const view = engine.detokenize(process.context.frames.flatMap(({ tokens }) => tokens))
  return { pid, exit, pages, view, context: process.context }
})

const skill = (name: string, body: string) =>
  `---\nname: ${name}\ndescription: >\n  How to make\n  a ${name}.\nlicense: MIT\n---\n${body}\n`

layer(live, { timeout: "60 seconds", excludeTestServices: true })(
  "what a process is told of its folder",
  (it) => {
    it.effect("stands before its task as pages that say where they come from, and stays", () =>
      Effect.gen(function* () {
        const files = { "AGENTS.md": "Use tabs.\n", ".agents/skills/pdf/SKILL.md": skill("pdf", "Use qpdf.") }
        const calls = [
          ["skill", { name: "pdf" }],
          ["forget", { page: 2 }],
          ["exit", { answer: "x" }]
        ] as const
        const { exit, pages, view } = yield* follow(files, script(...calls))
        assert.strictEqual(exit.status, "ok")
        const first = pages.slice(0, 4).map(({ label, role, text }) => [role, label, text])
        assert.deepStrictEqual(first.slice(1, 3), [
          [
            "instructions",
            { integrity: "untrusted", source: "AGENTS.md" },
            "AGENTS.md of this folder:\nUse tabs."
          ],
          [
            "instructions",
            { integrity: "untrusted", source: "skills" },
            "Skills, each read with the tool skill before it is used:\n- pdf: How to make a pdf."
          ]
        ])
        assert.deepStrictEqual(first[3]!.slice(0, 2), ["task", { integrity: "trusted", source: "person" }])
        const results = pages.filter(({ role }) => role === "result")
        assert.deepStrictEqual(
          results.map(({ label, text }) => [text, label.source]),
          [
            ["result: Use qpdf.", ".agents/skills/pdf/SKILL.md"],
            ["error: page 2 is the instructions page, which stays", "forget"]
          ]
        )
        assert.include(view, "Use tabs.")
      })
    )

    it.effect("is shown in part where it is long, and the rest is a recall away", () =>
      Effect.gen(function* () {
        const text = Array.from({ length: 400 }, (_, i) => `rule ${i}: keep ${i} of them`).join("\n")
        const calls = [
          ["recall", { page: 2, part: 3 }],
          ["recall", { text: "rule 200" }],
          ["exit", { answer: "x" }]
        ] as const
        const { context, exit, pages, view } = yield* follow({ "AGENTS.md": text }, script(...calls))
        assert.strictEqual(exit.status, "ok")
        assert.strictEqual(pages[1]!.text, `AGENTS.md of this folder:\n${text}`)
        assert.isTrue(pages[1]!.cut)
        assert.isAtMost(context.frames[1]!.tokens.length, 2048 / 8 + 32)
        assert.notInclude(view.slice(0, view.indexOf("script")), "rule 200:")
        const [part, found] = pages.filter(({ role }) => role === "result").map((page) => page.text)
        assert.match(part!, /^result: \[page 2, part 3\]\nrule \d+/)
        assert.match(found!, /page 2: rule 200: keep 200 of them/)
      })
    )

    it.effect("is told to children too, and shared by forks", () =>
      Effect.gen(function* () {
        const journal = yield* Journal
        const child = script(["exit", { answer: "child" }])
        const calls = [
          ["spawn", { task: child }],
          ["wait", {}],
          ["fork", { texts: [script(["exit", { answer: "fork" }])] }],
          ["wait", {}],
          ["exit", { answer: "x" }]
        ] as const
        const { exit, pages, pid } = yield* follow({ "AGENTS.md": "Use tabs." }, script(...calls))
        assert.strictEqual(exit.status, "ok", JSON.stringify(pages.map((p) => p.text)))
        const family = (yield* journal.processes()).filter(({ parent }) => parent === pid)
        assert.strictEqual(family.length, 2)
        for (const member of family) {
          const [, told] = yield* journal.pages(member.pid)
          assert.deepStrictEqual(
            [told!.role, told!.text],
            ["instructions", "AGENTS.md of this folder:\nUse tabs."]
          )
        }
      })
    )

    it.effect("is nothing where the folder says nothing, or says it in something else than a file", () =>
      Effect.gen(function* () {
        const nothing: ReadonlyArray<Instructions> = []
        for (const files of [
          {},
          { "AGENTS.md": " \n" },
          { "AGENTS.md/x": "a folder" },
          { ".agents/skills/a/SKILL.md": "no front matter" },
          { ".agents/skills/a/SKILL.md": "---\nname: [1\n---\n" },
          { ".agents/skills/a/SKILL.md": "---\nname: a\n---\nwithout a description" },
          { ".agents/skills/a/README.md": skill("a", "the wrong file") }
        ]) {
          const told = yield* briefing(yield* workspaceWith(files))
          assert.deepStrictEqual(told, { instructions: nothing, tools: [] })
        }
      })
    )

    it.effect("a skill's files are those below its folder", () =>
      Effect.gen(function* () {
        const files = {
          "secret.txt": "no skill's",
          ".agents/skills/a/SKILL.md": skill("a", "See forms.md."),
          ".agents/skills/a/forms.md": "forms",
          ".agents/skills/b/SKILL.md": skill("a", "of the same name")
        }
        const read = (file: string) => ["skill", { name: "a", file }] as const
        const calls = [read("forms.md"), read("../../../secret.txt"), read("/secret.txt"), read("none.md")]
        const { pages } = yield* follow(files, script(...calls, ["exit", { answer: "x" }]))
        assert.deepStrictEqual(
          pages.filter(({ role }) => role === "result").map(({ text }) => text),
          [
            "result: forms",
            "error: not a file of the skill a: ../../../secret.txt",
            "error: not a file of the skill a: /secret.txt",
            "error: no such file: .agents/skills/a/none.md"
          ]
        )
      })
    )
  }
)
