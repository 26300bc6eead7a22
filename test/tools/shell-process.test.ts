import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import type { Completed } from "../../sandbox/sandbox.ts"
import { quote } from "../../tools/shell-text.ts"
import { type Random, random } from "../kernel/engine/random.ts"
import { marker, running, workspace } from "../sandbox/workspace.ts"
import { processIn } from "./call.ts"

/** A process's shell: what the model sees of each command. */
const shellIn = Effect.fnUntraced(function* () {
  const w = yield* workspace
  const process = yield* processIn(w)
  const said = (command: string | ReadonlyArray<string>, more = {}) =>
    process.shown("shell", { command, ...more })
  const result = (command: string, more = {}) => process.call("shell", { command, ...more })
  return { w, said, result, past: process.past }
})

const letters = ["a", "'", '"', "$", "\\", " ", "\n", "é", "*", "`", "=", ";"]
const fixed = [
  ...["cd a", "cd a/b", "cd ..", "cd /tmp", "cd /work", "cd nowhere", "cd -P .", "pwd"],
  ...["unset A", "unset B LANG", "export A", "export B=$A$A", "exit 3", "cd a; export A=lost; exit"],
  ...["false", "true", "printf 'no end'", "echo err >&2"]
]

/** A command that changes a shell, or what is told of it. */
const randomCommand = (rng: Random): string => {
  if (rng.chance(0.6)) return rng.pick(fixed)
  const value = Array.from({ length: rng.below(7) }, () => rng.pick(letters)).join("")
  return `export ${rng.pick(["A", "B", "LANG"])}=${quote(value)}`
}

describe("the shell of a process", () => {
  it.live("ends where one script of all the commands does, whatever they are", () =>
    Effect.gen(function* () {
      const { w, result } = yield* shellIn()
      yield* w.run(["mkdir", "-p", "a/b", "a/a/b"])
      const state = `printf '%s|%s|%s|%s\\n' "$PWD" "\${A-none}" "\${B-none}" "\${LANG-none}"`
      for (const seed of [1, 2, 3, 4]) {
        const rng = random(seed)
        const lines = Array.from({ length: 20 }, () => randomCommand(rng))
        yield* result("cd /work; unset A B; export LANG=C.UTF-8")
        const told: Array<string> = []
        for (const line of lines) {
          const { stdout, stderr, exitCode } = (yield* result(line)) as Completed
          told.push(`${stdout}${stderr.replace(/^.*cd: .*\n/m, "no folder\n")}<${exitCode}>`)
          told.push(((yield* result(state)) as Completed).stdout)
        }
        const script = lines.map((line) => {
          const alone = /\bexit\b/.test(line) ? `(${line})` : line
          return `{ ${alone}\n} 2>$err; code=$?; sed 's/^.*cd: .*/no folder/' $err; printf '<%s>' $code\n${state}\n`
        })
        const whole = yield* w.run(["/bin/sh", "-c", `err=/tmp/err\ncd /work\n${script.join("")}`])
        expect(told.join("")).toBe(whole.stdout)
      }
    })
  )

  it.live("keeps folder, variables, functions and settings from one command to the next", () =>
    Effect.gen(function* () {
      const { said, result } = yield* shellIn()
      yield* said("mkdir -p a/b; cd a; x=1; export Y=2; f() { echo f $1; }; umask 077; alias g='echo g'")
      expect(yield* said("pwd; echo $x $Y; f 3; umask; g")).toBe("/work/a\n1 2\nf 3\n0077\ng")
      expect(yield* result("cd b; export Y=5 Z='1\n2'; unset HOME")).toMatchObject({
        cwd: "a/b",
        env: { Y: "5", Z: "1\n2", HOME: null }
      })
      expect(yield* result("cd /tmp; set -u")).toEqual({
        exitCode: 0,
        signal: null,
        stdout: "",
        stderr: "",
        reason: "exit",
        cwd: "/tmp"
      })
      expect(yield* said("echo $nothing; echo on")).toBe("/bin/sh: 1: nothing: parameter not set\n[exit 2]")
      expect(yield* result("cd /work; set +u")).not.toHaveProperty("cwd")
    })
  )

  it.live("runs words as that very program", () =>
    Effect.gen(function* () {
      const { said } = yield* shellIn()
      yield* said("echo() { printf no; }; alias cat='printf no'; mkdir a; cd a; export B=b")
      expect(yield* said(["echo", "$B", "a'b\n", "*"])).toBe("$B a'b\n *")
      expect(yield* said(["sh", "-c", "pwd; echo $B $0 $1", "zero", "-n"])).toBe("/work/a\nb zero -n")
      expect(yield* said(["cd", ".."])).toMatch(/not found\n\[exit 127\]$/)
      expect(yield* said(["A=B"])).toMatch(/not found\n\[exit 127\]$/)
    })
  )

  it.live("shows any bytes, and a last line without its end", () =>
    Effect.gen(function* () {
      const { result, said } = yield* shellIn()
      expect(yield* result("printf 'a\\0b\\377c'; printf e >&2")).toMatchObject({
        stdout: "a\0b\ufffdc",
        stderr: "e"
      })
      expect(yield* said("true")).toBe("done")
      expect(yield* said("cat <<E\na\n  'b\nE")).toBe("a\n  'b")
      expect(yield* said("cat; read x || echo none")).toBe("none")
      expect(yield* said("echo 'it'\\''s' \"$(echo \"a'b\")\"\n\n# comment")).toBe("it's a'b")
    })
  )

  it.live("goes on after what is no command, and errors that end other shells", () =>
    Effect.gen(function* () {
      const { said, result, w } = yield* shellIn()
      yield* said("x=kept")
      expect(yield* said('echo "a')).toMatch(/Unterminated quoted string\n\[exit 2\]$/)
      expect(yield* said("if")).toMatch(/Syntax error.*\n\[exit 2\]$/)
      expect(yield* said("}")).toMatch(/\[exit 2\]$/)
      expect(yield* said("echo a; } 7>&1; echo b")).toMatch(/\[exit 2\]$/)
      expect(yield* said(": > /no/such/file; echo not")).toMatch(/\[exit 2\]$/)
      expect(yield* said(`: \${none?is wanted}; echo not`)).toMatch(/none: is wanted\n\[exit 2\]$/)
      expect(yield* said("readonly r=1; r=2; echo not")).toMatch(/\[exit 2\]$/)
      for (const line of ["no-such-program", "wc < none", "echo 'a", "cd none", "wc < none 2>&1"]) {
        const alone = yield* w.run(["/bin/sh", "-c", line])
        expect(yield* result(line)).toMatchObject({ stdout: alone.stdout, stderr: alone.stderr })
      }
      expect(yield* said("cat <<E\nopen")).toMatch(/^open/)
      expect(yield* said("echo $x")).toBe("kept")
    })
  )

  it.live("is there again with open streams when a command has closed or moved them", () =>
    Effect.gen(function* () {
      const { said } = yield* shellIn()
      yield* said("x=kept")
      // How many streams a command has depends on what the sandbox covers: those the tests were started with.
      const streams = "echo $x; echo err >&2; cat; ls -l /proc/self/fd | grep -c socket"
      const before = yield* said(streams)
      expect(before).toMatch(/^kept\n\d+\nerr$/)
      for (const line of ["exec >&-", "exec 2>&-", "exec >&- 2>&- <&-", "exec >log", "exec 7>&- 8>&-"]) {
        yield* said(line)
        expect(yield* said(streams)).toBe(before)
      }
    })
  )

  it.live("is followed by one like it when a command ends it", () =>
    Effect.gen(function* () {
      const { said, result } = yield* shellIn()
      yield* said('mkdir a; cd a; export A="it\'s"; unset LANG; x=1')
      const state = `echo $PWD $A \${LANG-none} \${x-gone}`
      for (const [line, end] of [
        ["cd /; export A=b; exit 3", "[exit 3]"],
        ["exec sleep 0", "done"],
        ["exec no-such-program", "[exit 127]"],
        ["set -e; false; echo not", "[exit 1]"],
        ["kill $$; sleep 1", "[killed: SIGTERM]"],
        ["kill -9 $$", "[killed: SIGKILL]"],
        ["kill -9 -1; sleep 60", "[killed: SIGKILL]"],
        ["return 4", "[exit 4]"],
        ["trap 'echo bye' EXIT; exit 5", "bye\n[exit 5]"]
      ] as const) {
        expect(
          (yield* said(line))
            .split("\n")
            .slice(end.startsWith("bye") ? -2 : -1)
            .join("\n")
        ).toBe(end)
        expect(yield* said(state)).toBe("/work/a it's none gone")
        yield* said("x=1")
      }
      expect(yield* result("sleep 60; echo not", { seconds: 0.2 })).toMatchObject({
        killed: "timeout after 0.2 s",
        cwd: "a"
      })
      expect(yield* said(state)).toBe("/work/a it's none gone")
      expect(yield* said("yes")).toContain("[killed: more than 262144 bytes of output]")
      expect(yield* said(state)).toBe("/work/a it's none gone")
    })
  )

  it.live("ends a fork bomb in its time, and one in the background with the next command", () =>
    Effect.gen(function* () {
      const { said } = yield* shellIn()
      expect(yield* said("b() { b | b & b; }; b", { seconds: 1 })).toMatch(/\[(killed: |exit 2)/)
      expect(yield* said("echo on")).toContain("on")
    })
  )

  it.live("starts where a folder is gone, and goes on in one that is deleted", () =>
    Effect.gen(function* () {
      const { said } = yield* shellIn()
      expect(yield* said("mkdir a; cd a; rmdir ../a; echo $PWD")).toBe("/work/a")
      expect(yield* said("ls; echo on")).toBe("on")
      expect(yield* said("exit 1")).toBe("[exit 1]")
      expect(yield* said("pwd")).toBe("/work")
    })
  )

  it.live("keeps what runs in the background, whose words come when it says them", () =>
    Effect.gen(function* () {
      const id = marker()
      yield* Effect.scoped(
        Effect.gen(function* () {
          const { said } = yield* shellIn()
          expect(yield* said(`mkfifo go; (read x < go; echo later; sleep ${id}) &`)).toBe("done")
          expect(yield* said("exit 1")).toBe("[exit 1]")
          expect(yield* said("echo > go; while ! pgrep -f sleep >/dev/null; do :; done")).toBe("later")
          expect(running(id).length).toBeGreaterThan(0)
          expect(yield* said("while :; do echo tick; done & sleep 0.1; echo $A", { seconds: 5 })).toMatch(
            /tick/
          )
          expect(yield* said("kill %% $!; echo killed", { seconds: 5 })).toBeTypeOf("string")
        })
      )
      expect(running(id)).toEqual([])
    })
  )

  it.live("in a fork goes on as the parent's was", () =>
    Effect.gen(function* () {
      const { said, past, w } = yield* shellIn()
      yield* said("mkdir a; cd a; export A=1 B=2 __proto__=p; x=1")
      yield* said("unset B")
      yield* said("exit 1")
      const fork = yield* processIn(w, past())
      const own = (command: string) => fork.shown("shell", { command })
      expect(yield* own(`echo $PWD $A \${B-none} $__proto__ \${x-none}`)).toBe("/work/a 1 none p none")
      yield* own("cd ..; export A=fork")
      expect(yield* said("echo $PWD $A")).toBe("/work/a 1")
    })
  )

  it.live("is not fooled by a command that knows how it is asked", () =>
    Effect.gen(function* () {
      const { said } = yield* shellIn()
      expect(
        yield* said("tr '\\0' '\\n' </proc/$$/cmdline; cat /proc/$PPID/cmdline | tr '\\0' ' '; set; export")
      ).not.toMatch(/[0-9a-f]{32}/)
      expect(yield* said("printf() { :; }; alias command=false export=false eval=false; cd /tmp")).toBeTypeOf(
        "string"
      )
      expect(yield* said("set -x; IFS=0123456789abcdef; echo on")).toContain("on")
      expect(yield* said("pwd")).toContain("/tmp")
    })
  )
})
