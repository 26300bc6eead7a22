import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { afterAll, assert, describe, it } from "@effect/vitest"
import { Deferred, Effect } from "effect"
import { fast } from "../../agents/programs.ts"
import { processCalls } from "../../kernel/calls.ts"
import { Journal } from "../../kernel/journal.ts"
import { Kernel } from "../../kernel/kernel.ts"
import { defineTool } from "../../kernel/tool.ts"
import { Sandbox } from "../../sandbox/sandbox.ts"
import { code } from "../../tools/code.ts"
import { mcpTools } from "../../tools/mcp/index.ts"
import { loadPlugins } from "../../tools/plugins/index.ts"
import { shell } from "../../tools/shell.ts"
import { longScript as script } from "../fixtures/scripted-engine.ts"
import { scriptedKernel } from "../fixtures/scripted-kernel.ts"
import { marker, running } from "../sandbox/workspace.ts"

const home = mkdtempSync(join(tmpdir(), "noos-handles-"))
afterAll(() => rmSync(home, { recursive: true, force: true }))
const live = scriptedKernel(home, 4096)
const at = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url))

describe("what a process holds open", () => {
  it.live(
    "lasts from call to call, is made again for a fork from the journal, and is gone with the kernel",
    () =>
      Effect.gen(function* () {
        const journal = yield* Journal
        const kernel = yield* Kernel
        const folder = mkdtempSync(join(home, "ws-"))
        const workspace = yield* (yield* Sandbox).open(folder)
        const todo = yield* loadPlugins([{ folder: at("examples/plugins/todo"), grant: "asked" }], home)
        const server = at("node_modules/@modelcontextprotocol/server-memory/dist/index.js")
        const modules = `${at("node_modules")}:/opt/node_modules`
        const { tools: memory } = yield* mcpTools(
          "memory",
          {
            command: ["node", server.replace(at("node_modules"), "/opt/node_modules")],
            mounts: [modules],
            env: { MEMORY_FILE_PATH: "/tmp/memory.json" }
          },
          { workspace, pin: () => Effect.void }
        )
        const mark = marker()
        const python = (text: string) => ["code", { language: "python", code: text }] as const
        const done = ["exit", { answer: "x" }] as const
        const entity = { name: "tea", entityType: "drink", observations: ["hot"] }
        const fork = script(
          ["shell", { command: "pwd; echo $MARK $PLAIN" }],
          python("x + 1"),
          ["memory_read_graph", {}],
          ["todo_list", {}],
          done
        )
        const task = script(
          ["shell", { command: `mkdir d && cd d && export MARK=${mark} && PLAIN=1` }],
          ["shell", { command: `pwd; echo $MARK $PLAIN; sleep ${mark} &` }],
          ["shell", { command: "kill -0 $! && echo still there" }],
          python("x = 41"),
          python("x += 1; x"),
          ["memory_create_entities", { entities: [entity] }],
          ["memory_read_graph", {}],
          ["todo_add", { text: "tea" }],
          ["fork", { texts: [fork] }],
          ["wait", {}],
          done
        )
        const run = yield* journal.beginRun({ task: "test", workspace: folder, model: "nano" })
        const tools = [shell, code, ...todo, ...memory, ...processCalls]
        const pid = yield* kernel.spawn({ run, program: fast(0), task, workspace, tools })
        assert.strictEqual((yield* kernel.wait(pid)).status, "ok")

        const results = Effect.fnUntraced(function* (pid: number) {
          const calls = yield* journal.calls({ pid })
          return calls.map(({ error, text, tool }) => [tool, error === null ? text : error.message])
        })
        const own = yield* results(pid)
        assert.deepStrictEqual(own.slice(1, 5), [
          ["shell", `/work/d\n${mark} 1`],
          ["shell", "still there"],
          ["code", "done"],
          ["code", "42"]
        ])
        assert.include(own[6]![1], '"name": "tea"')
        const child = (yield* journal.processes(run)).find(({ origin }) => origin === pid)!
        const [told, value, graph, list] = yield* results(child.pid)
        // Its folder and environment came back; a variable that is only the shell's did not.
        assert.deepStrictEqual(told, ["shell", `/work/d\n${mark}`])
        assert.deepStrictEqual(value, ["code", "43"])
        assert.notInclude(graph![1], "tea", "a server of its own")
        assert.include(list![1], "tea", "a plugin's state is the plugin's")
        return mark
      }).pipe(
        Effect.scoped,
        Effect.provide(live),
        Effect.tap((mark) => Effect.sync(() => assert.deepStrictEqual(running(mark), [])))
      )
  )

  it.live("is released after the call that uses it has been cancelled", () => {
    const log: Array<string> = []
    const said = (what: string) => Effect.sync(() => void log.push(what))
    return Effect.gen(function* () {
      const kernel = yield* Kernel
      const journal = yield* Journal
      const entered = yield* Deferred.make<void>()
      const holds = defineTool({
        name: "holds",
        description: "For tests.",
        input: { type: "object" },
        effect: "pure",
        execute: (_: object, { handles }) =>
          handles
            .open(
              "thing",
              Effect.acquireRelease(said("opened"), () => said("released"))
            )
            .pipe(
              Effect.andThen(Deferred.succeed(entered, undefined)),
              Effect.andThen(Effect.as(Effect.never, "never")),
              Effect.onInterrupt(() => said("cancelled"))
            )
      })
      const workspace = yield* (yield* Sandbox).open(mkdtempSync(join(home, "ws-")))
      const run = yield* journal.beginRun({ task: "test", workspace: home, model: "nano" })
      const task = script(["holds", {}])
      const pid = yield* kernel.spawn({ run, program: fast(0), task, workspace, tools: [holds] })
      yield* Deferred.await(entered)
      yield* kernel.kill(pid, "KILL")
      assert.strictEqual((yield* kernel.wait(pid)).status, "killed")
    }).pipe(
      Effect.scoped,
      Effect.provide(live),
      Effect.tap(() => Effect.sync(() => assert.deepStrictEqual(log, ["opened", "cancelled", "released"])))
    )
  })
})
