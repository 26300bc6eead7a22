import { readFile } from "node:fs/promises"
import { join } from "node:path"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import type { Language } from "../../tools/code/interpreter.ts"
import { marker, opened, running, workspace } from "../sandbox/workspace.ts"
import { processIn } from "./call.ts"

/** A process that runs cells: what the model sees of each, and the result. */
const cellsIn = Effect.fnUntraced(function* (language: Language) {
  const w = yield* workspace
  const process = yield* processIn(w)
  const said = (code: string, more = {}) => process.shown("code", { language, code, ...more })
  const result = (code: string, more = {}) => process.call("code", { language, code, ...more })
  return { w, said, result, past: process.past }
})

describe("code in Python", () => {
  it.live("keeps what cells define, and shows what they say and their last value", () =>
    Effect.gen(function* () {
      const { said, result } = yield* cellsIn("python")
      expect(yield* said("x = 20\nimport math\ndef f(n):\n  return n * 2")).toBe("done")
      expect(yield* said("print('héé'); f(x) + math.floor(2.5)")).toBe("héé\n42")
      expect(yield* result("import sys\nprint('e', file=sys.stderr)\n'a\\n'")).toEqual({
        stdout: "",
        stderr: "e\n",
        value: "'a\\n'"
      })
      expect(yield* said("")).toBe("done")
      expect(yield* said("None")).toBe("done")
      expect(yield* said("print('no end', end=''); x = 1")).toBe("no end")
      expect(
        yield* said(
          "class A: pass\nimport pickle\npickle.loads(pickle.dumps(A())).__class__.__name__, __name__"
        )
      ).toBe("('A', '__main__')")
      expect(yield* said("open('made', 'w').write('x'); import os; os.listdir()")).toBe("['made']")
    })
  )

  it.live("tells exceptions with the cell's own lines", () =>
    Effect.gen(function* () {
      const { said, result } = yield* cellsIn("python")
      yield* said("def f(n):\n  return 1 / n")
      expect(yield* said("print('before')\nf(0)")).toBe(
        [
          "before",
          "Traceback (most recent call last):",
          '  File "<cell 2>", line 2, in <module>',
          "    f(0)",
          '  File "<cell 1>", line 2, in f',
          "    return 1 / n",
          "            ~~^~~",
          "ZeroDivisionError: division by zero"
        ].join("\n")
      )
      const syntax = (yield* result("x = = 1")) as { error: string }
      expect(syntax.error).toMatch(
        /^ {2}File "<cell 3>", line 1\n {4}x = = 1\n.*\nSyntaxError: invalid syntax$/
      )
      expect(yield* said("def r(): r()\nr()")).toMatch(/RecursionError: maximum recursion depth exceeded$/)
      const chained = yield* said("try:\n  f(0)\nexcept Exception as e:\n  raise KeyError('k') from e")
      expect(chained).toContain("ZeroDivisionError")
      expect(chained).toMatch(/KeyError: 'k'$/)
      expect(chained).not.toContain("<string>")
      expect(yield* said("raise KeyboardInterrupt")).toMatch(/KeyboardInterrupt$/)
      expect(yield* said("f(1)")).toBe("1.0")
    })
  )

  it.live("is not confused by what cells do to its streams and files", () =>
    Effect.gen(function* () {
      const { said } = yield* cellsIn("python")
      yield* said("import os, sys, threading, time; x = 'kept'")
      for (const [line, expected] of [
        ["os.write(1, b'raw\\xff\\n'); print('then')", "raw\ufffd\nthen"],
        ["sys.stdout = None; sys.stderr = None", "done"],
        ["sys.stdout.close(); sys.stderr.close()", "done"],
        ["os.close(1); os.close(2)", "done"],
        ["print(sys.stdin.read() == '', sys.stdin.readline() == '')", "True True"],
        ["import builtins; p = print; builtins.print = builtins.repr = builtins.open = None", "done"],
        ["builtins.print = p", "done"],
        ["import json; json.dumps = os.write = sys.exit", "done"],
        ["print('\\ud800')", "\\ud800"],
        ["'\\ud800'", "'\\ud800'"]
      ] as const) {
        expect(yield* said(line)).toBe(expected)
        expect(yield* said("x")).toBe("'kept'")
      }
    })
  )

  it.live("carries what threads and children say when they say it", () =>
    Effect.gen(function* () {
      const { said } = yield* cellsIn("python")
      yield* said("import os, threading; go = threading.Event(); x = 1")
      yield* said("t = threading.Thread(target=lambda: (go.wait(), print('later'))); t.start()")
      expect(yield* said("go.set(); t.join(); x")).toBe("later\n1")
      expect(
        yield* said("pid = os.fork()\nif pid == 0: print('child')\nelse: os.waitpid(pid, 0); print('parent')")
      ).toBe("child\nparent")
      expect(
        yield* said(
          "import subprocess; subprocess.run('echo sub; ls /proc/self/fd | wc -l', shell=True).returncode"
        )
      ).toBe("sub\n4\n0")
    })
  )

  it.live("cuts what is long and says what cannot be shown", () =>
    Effect.gen(function* () {
      const { result, said } = yield* cellsIn("python")
      const long = (yield* result("list(range(10**6))")) as { value: string }
      expect(long.value.length).toBeLessThan(8100)
      expect(long.value.slice(-22)).toBe("… (7888890 characters)")
      expect(yield* said("class R:\n  def __repr__(self): raise SystemExit(1)\nR()")).toBe(
        "<R without repr: SystemExit>"
      )
      expect(yield* said("class E(Exception):\n  def __str__(self): 1/0\nraise E")).toMatch(
        /<exception str\(\) failed>$/
      )
      const wide = (yield* result("'\\U0001f600' * 10000")) as { value: string }
      expect([...wide.value].length).toBeLessThan(8100)
    })
  )

  it.live("loses its variables, and no more, when a cell ends it", () =>
    Effect.gen(function* () {
      const { said, w } = yield* cellsIn("python")
      const gone = "all variables are gone]"
      for (const [line, expected, more] of [
        ["print('out'); import sys; sys.exit(3)", `out\n[exit 3; ${gone}`, {}],
        ["import os; os._exit(0)", `[exit 0; ${gone}`, {}],
        ["import os; os.kill(os.getpid(), 9)", `[killed: SIGKILL; ${gone}`, {}],
        ["import ctypes; ctypes.string_at(0)", `[killed: SIGSEGV; ${gone}`, {}],
        ["print('begun')\nwhile True: pass", `begun\n[timeout after 0.3 s; ${gone}`, { seconds: 0.3 }],
        ["import os; os.closerange(3, 20)", `; ${gone}`, {}]
      ] as const) {
        yield* said("x = 1")
        expect((yield* said(line, more)).slice(-expected.length)).toBe(expected)
        expect(yield* said("x")).toMatch(/NameError: name 'x' is not defined$/)
      }
      yield* said("import os, threading; go = threading.Event()")
      yield* said(
        "threading.Thread(target=lambda: (go.wait(), os._exit(0))).start(); threading.Timer(0.1, go.set).start()"
      )
      yield* w.run(["sleep", "1"])
      expect(yield* said("6 * 7")).toBe(`[the interpreter had ended, this was not run; ${gone}`)
      expect(yield* said("6 * 7")).toBe("42")
      expect(yield* said("while True: print('y' * 1000)")).toMatch(/\[more than 262144 bytes of output; all/)
      expect(yield* said("6 * 7")).toBe("42")
    })
  )

  it.live("is made again in a fork from the cells before", () =>
    Effect.gen(function* () {
      const { said, past, w } = yield* cellsIn("python")
      yield* said("x = 1")
      yield* said("import sys; sys.exit()")
      yield* said("print('not again'); x = 5; import os")
      yield* said("1 / 0")
      yield* said("os.mkdir('d'); y = 6")
      const fork = yield* processIn(w, past())
      const own = (code: string) => fork.call("code", { language: "python", code })
      expect(yield* own("x")).toEqual({
        stdout: "",
        stderr: "",
        value: "5",
        rebuilt: { cells: 3, failed: [3] }
      })
      expect(yield* own("x = 7")).toEqual({ stdout: "", stderr: "" })
      expect(yield* own("y")).toMatchObject({ error: expect.stringContaining("NameError") })
      expect(yield* said("x, y")).toBe("(5, 6)")
      const other = yield* processIn(yield* opened(w.root), past())
      expect(yield* other.shown("code", { language: "python", code: "x" })).toBe(
        "[run again, failed: cell 3, 4]\n5"
      )
      expect(yield* other.shown("code", { language: "javascript", code: "typeof x" })).toBe("'undefined'")
    })
  )

  it.live("ends with its process", () =>
    Effect.gen(function* () {
      const id = marker()
      yield* Effect.scoped(
        Effect.gen(function* () {
          const { said } = yield* cellsIn("python")
          // Once it has said something, /proc tells its command line: not so right after execve(2).
          yield* said(
            `import subprocess as s; p = s.Popen(['sh', '-c', 'echo up; exec sleep ${id}'], stdout=s.PIPE); p.stdout.readline()`
          )
          expect(running(id).length).toBe(1)
        })
      )
      expect(running(id)).toEqual([])
    })
  )
})

describe("code in JavaScript", () => {
  it.live("keeps what cells declare, waits at the top, and shows values", () =>
    Effect.gen(function* () {
      const { said, result } = yield* cellsIn("javascript")
      expect(yield* said("const x = 20; let y; class A { a = 1 }; function f(n) { return n * 2 }")).toBe(
        "done"
      )
      expect(yield* said("console.log('héé'); f(x) + 2")).toBe("héé\n42")
      expect(yield* said("const x = await Promise.resolve(5); x")).toBe("5")
      expect(yield* said("new A()")).toBe("A { a: 1 }")
      expect(yield* result("console.error('e'); [-0, 1n, Symbol('s'), 'a']")).toEqual({
        stdout: "",
        stderr: "e\n",
        value: "[ -0, 1n, Symbol(s), 'a' ]"
      })
      for (const [line, shown] of [
        ["-0", "-0"],
        ["10n ** 20n", "100000000000000000000n"],
        ["null", "null"],
        ["'a\\n'", "'a\\n'"],
        ["undefined", "done"],
        ["", "done"],
        ["NaN", "NaN"]
      ] as const)
        expect(yield* said(line)).toBe(shown)
      expect(yield* said("await new Promise((done) => setTimeout(() => done(7), 1))")).toBe("7")
    })
  )

  it.live("imports", () =>
    Effect.gen(function* () {
      const { said, w } = yield* cellsIn("javascript")
      yield* w.writeFile("own.mjs", "export const six = 6")
      yield* w.writeFile(
        "node_modules/mod/package.json",
        '{"exports": {"import": "./a.mjs", "require": "./b.cjs"}}'
      )
      yield* w.writeFile("node_modules/mod/a.mjs", "export default 'esm'")
      yield* w.writeFile("node_modules/mod/b.cjs", "module.exports = 'cjs'")
      expect(yield* said("const { six } = await import('./own.mjs'); six")).toBe("6")
      expect(yield* said("[(await import('mod')).default, require('mod')]")).toBe("[ 'esm', 'cjs' ]")
      expect(yield* said("const fs = require('fs'); fs.existsSync('own.mjs')")).toBe("true")
      expect(
        yield* said(
          `/* import('x') */ \`import('\${(await import ('node:os')).EOL}import(')\` + 'import(' + /import(?:x)/.source`
        )
      ).toBe("\"import('\\nimport(')import(import(?:x)\"")
    })
  )

  it.live("tells exceptions with the cell's own lines", () =>
    Effect.gen(function* () {
      const { said } = yield* cellsIn("javascript")
      yield* said("function f() {\n  throw new TypeError('boo')\n}")
      expect(yield* said("console.log('before')\nf()")).toBe(
        "before\nTypeError: boo\n    at f (cell-1:2:9)\n    at cell-2:2:1"
      )
      expect(yield* said("await Promise.resolve()\nawait (async () => f())()")).toBe(
        "TypeError: boo\n    at f (cell-1:2:9)\n    at cell-3:2:20\n    at cell-3:2:24"
      )
      expect(yield* said("if (")).toMatch(/^SyntaxError: Unexpected end of input\n {4}at cell-4:\d+:\d+$/)
      expect(yield* said("throw 'text'")).toBe("Uncaught 'text'")
      expect(yield* said("none")).toBe("ReferenceError: none is not defined\n    at cell-6:1:1")
      expect(yield* said("throw new Error('outer', { cause: new Error('inner') })")).not.toContain("node:")
      expect(
        yield* said("setTimeout(() => f(), 0); await new Promise((done) => setTimeout(done, 20)); 1")
      ).toMatch(/^TypeError: boo\n.*cell-1:2:9[\s\S]*\n1$/)
      expect(
        yield* said(
          "Promise.reject(new Error('nobody')); await new Promise((done) => setTimeout(done, 5)); 2"
        )
      ).toMatch(/^Error: nobody\n[\s\S]*\n2$/)
    })
  )

  it.live("is not confused by what cells do to its streams and objects", () =>
    Effect.gen(function* () {
      const { said } = yield* cellsIn("javascript")
      yield* said("const fs = require('fs'); const x = 'kept'")
      for (const [line, expected] of [
        ["fs.writeSync(1, Buffer.from([0x72, 0xff, 10])); console.log('then')", "r\ufffd\nthen"],
        ["fs.readFileSync(0).length", "0"],
        ["JSON.stringify = () => 'x'; Promise.prototype.x = 1; 1", "1"],
        ["console = undefined", "done"],
        ["console = require('console'); $show = $import = undefined", "done"],
        [
          "({ get a() { throw 1 }, [require('util').inspect.custom]() { throw new RangeError() } })",
          "<object that cannot be shown: RangeError>"
        ]
      ] as const) {
        expect(yield* said(line)).toBe(expected)
        expect(yield* said("x")).toBe("'kept'")
      }
      expect(yield* said("'a'.repeat(1e6)")).toMatch(/^'a{7999}… \(1000002 characters\)$/)
      expect(yield* said("console.log('y'.repeat(200000)); 1")).toMatch(/^y{200000}\n1$/)
    })
  )

  it.live("loses its variables, and no more, when a cell ends it", () =>
    Effect.gen(function* () {
      const { said } = yield* cellsIn("javascript")
      const gone = "all variables are gone]"
      for (const [line, expected, more] of [
        ["console.log('out'); process.exit(3)", `out\n[exit 3; ${gone}`, {}],
        ["process.kill(process.pid, 'SIGKILL')", `[killed: SIGKILL; ${gone}`, {}],
        ["process.abort()", `[killed: SIGABRT; ${gone}`, {}],
        ["console.log('begun'); for (;;);", `begun\n[timeout after 0.5 s; ${gone}`, { seconds: 0.5 }],
        ["await new Promise(() => {})", `[timeout after 0.3 s; ${gone}`, { seconds: 0.3 }],
        ["require('fs').closeSync(1)", `[exit 0; ${gone}`, {}],
        ["process.stdout.end()", `[exit 0; ${gone}`, {}]
      ] as const) {
        yield* said("const x = 1")
        expect((yield* said(line, more)).slice(-expected.length)).toBe(expected)
        expect(yield* said("typeof x")).toBe("'undefined'")
      }
      expect(yield* said("for (;;) console.log('y'.repeat(1000))")).toMatch(
        /\[more than 262144 bytes of output; all/
      )
    })
  )

  it.live("is made again in a fork from the cells before", () =>
    Effect.gen(function* () {
      const { said, past, w } = yield* cellsIn("javascript")
      yield* said("let x = await Promise.resolve(5)")
      yield* said("console.log('not again'); x++")
      const fork = yield* processIn(w, past())
      expect(yield* fork.call("code", { language: "javascript", code: "x" })).toEqual({
        stdout: "",
        stderr: "",
        value: "6",
        rebuilt: { cells: 2, failed: [] }
      })
    })
  )
})

describe("code", () => {
  it.live("runs nothing again where hosts are granted, and says so before it runs more", () =>
    Effect.gen(function* () {
      const { said, past, w } = yield* cellsIn("python")
      yield* said("f = open('times', 'a'); f.write('x'); f.close()")
      const fork = yield* processIn(yield* opened(w.root, ["127.0.0.1:81"]), past())
      const own = (code: string) => fork.shown("code", { language: "python", code })
      expect(yield* own("f.name")).toBe(
        "[the interpreter is a new one, this was not run; all variables are gone]"
      )
      expect(yield* own("open('times').read()")).toBe("'x'")
    })
  )

  it.live("has lost its variables, and runs nothing again, after a call that is cancelled", () =>
    Effect.gen(function* () {
      const { said, w } = yield* cellsIn("python")
      yield* said("f = open('times', 'a'); f.write('x'); f.close()")
      yield* said("import os; os.mkfifo('begun')")
      const cell = yield* Effect.forkChild(said("open('begun', 'w').close()\nwhile True: pass"))
      yield* Effect.promise(() => readFile(join(w.root, "begun")))
      yield* Fiber.interrupt(cell)
      expect(yield* said("f.name")).toBe(
        "[the interpreter had ended, this was not run; all variables are gone]"
      )
      expect(yield* said("open('times').read()")).toBe("'x'")
    })
  )

  it.live("refuses what is no call", () =>
    Effect.gen(function* () {
      const { said, result } = yield* cellsIn("python")
      expect(yield* said("1", { language: "ruby" })).toMatch(/^bad_input: /)
      expect(yield* said("1", { seconds: 0 })).toMatch(/^bad_input: seconds/)
      expect(yield* result("len('''\0''')")).toMatchObject({ error: expect.stringContaining("null bytes") })
    })
  )
})
