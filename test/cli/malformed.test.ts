import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, assert, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { codeOfCall } from "../../cli/stop.ts"
import { callTool } from "../../cli/tool.ts"
import { Journal } from "../../kernel/journal.ts"
import { Syscalls } from "../../kernel/syscall.ts"
import { Random } from "../../models/nano/language.ts"
import { Bubblewrap } from "../../sandbox/bubblewrap.ts"

const home = mkdtempSync(join(tmpdir(), "noos-malformed-"))
afterAll(() => rmSync(home, { recursive: true, force: true }))
const live = Layer.mergeAll(Syscalls.layer, Bubblewrap.layer).pipe(
  Layer.provideMerge(Journal.layer(join(home, "journal.db")))
)

const names = ["shell", "fs_read", "fs_write", "fs_edit", "fs_list", "fs_search", "calc", "exit"]
const good: Record<string, Record<string, unknown>> = {
  shell: { command: "echo hi" },
  fs_read: { path: "a.txt" },
  fs_write: { path: "b.txt", text: "x" },
  fs_edit: { path: "a.txt", old: "a", new: "b" },
  fs_list: { path: "." },
  fs_search: { text: "a" },
  calc: { expression: "1+1" },
  exit: { answer: "x" }
}
const escapes = [
  "../x",
  "../../etc/passwd",
  "/etc/passwd",
  "link/passwd",
  "sub/../../x",
  "/proc/self/root/etc/passwd",
  "sub/../../../../../../tmp/noos-escaped",
  "~root/../../x/../../y"
]

/** A call that must not be served, and why. */
const malformed = (r: Random): { readonly name: string; readonly text: string; readonly kind: string } => {
  const name = r.pick(names)
  const args = { ...good[name] }
  const key = r.pick(Object.keys(args))
  const json = (value: unknown) => JSON.stringify(value)
  switch (r.int(0, 10)) {
    case 0: {
      const text = json(args)
      return { name, text: text.slice(0, r.int(0, text.length - 1)), kind: "cut JSON" }
    }
    case 1:
      return {
        name,
        text: r.pick(["", "nope", "{'a':1}", '{"a":}', "[", "\u0000", "{}{}", "NaN"]),
        kind: "no JSON"
      }
    case 2:
      return {
        name,
        text: r
          .pick(["null", "[]", "3", '"x"', "true", "[{}]"])
          .replace("{}", name === "fs_list" ? "3" : "{}"),
        kind: "not these arguments"
      }
    case 3:
      return {
        name,
        text: json({ ...args, [key]: r.pick<unknown>([3, null, true, {}, { a: 1 }, 1e308]) }),
        kind: "wrong type"
      }
    case 4:
      return { name, text: json({ ...args, [`x${r.int(0, 99)}`]: 1 }), kind: "unknown argument" }
    case 5:
      return {
        name: r.pick([
          "",
          "Shell",
          "shell ",
          "nothing",
          "__proto__",
          "constructor",
          "fs.read",
          "x".repeat(100_000),
          "shell\u0000"
        ]),
        text: json(args),
        kind: "unknown tool"
      }
    case 6:
      return { name, text: json({ ...args, [key]: "x".repeat(r.int(1_100_000, 2_000_000)) }), kind: "huge" }
    case 7:
      return {
        name: r.pick(["fs_read", "fs_list", "fs_search", "shell"]),
        text: json({ path: `a\u0000${r.int(0, 9)}`, text: "\u0000", command: "echo \u0000" }),
        kind: "NUL and more"
      }
    case 8: {
      const depth = r.pick([65, 1000, 100_000])
      return { name, text: `{"${key}":${"[".repeat(depth)}${"]".repeat(depth)}}`, kind: "deep" }
    }
    case 9: {
      const path = r.pick(escapes)
      const target = r.pick(["fs_read", "fs_write", "fs_edit", "fs_list", "fs_search"])
      return { name: target, text: json({ ...good[target], path }), kind: "escape" }
    }
    default: {
      const target = r.pick(["fs_read", "fs_write", "fs_edit", "fs_list", "fs_search"])
      return {
        name: target,
        text: json({ ...good[target], path: r.pick([`n\u0000${r.int(0, 9)}.txt`, "loop", "x".repeat(300)]) }),
        kind: "no such path can be"
      }
    }
  }
}

/** Every file below a folder, with what it holds. */
const snapshot = (folder: string): Record<string, string> =>
  Object.fromEntries(
    (readdirSync(folder, { recursive: true, withFileTypes: true }) as Array<import("node:fs").Dirent>)
      .filter((e) => e.isFile())
      .map((e) => [join(e.parentPath, e.name), readFileSync(join(e.parentPath, e.name), "utf8")])
  )

layer(live, { timeout: "120 seconds" })("tool call", (it) => {
  it.effect("500 malformed calls: each a typed error with exit code 2 or 4, and nothing is touched", () =>
    Effect.gen(function* () {
      const workspace = join(home, "ws")
      const outside = join(home, "outside")
      mkdirSync(join(workspace, "sub"), { recursive: true })
      mkdirSync(outside)
      writeFileSync(join(outside, "passwd"), "a secret")
      writeFileSync(join(workspace, "a.txt"), "a\n")
      symlinkSync(outside, join(workspace, "link"))
      symlinkSync("loop", join(workspace, "loop"))
      const before = [snapshot(workspace), snapshot(outside)]
      const r = new Random(20261124)
      const codes = new Map<string, Set<number>>()
      for (let i = 0; i < 500; i++) {
        const { name, text, kind } = malformed(r)
        const { outcome } = yield* callTool(name, text, workspace, { approved: false })
        const what = `${kind}: ${name.slice(0, 40)} ${text.slice(0, 80)}`
        if (outcome.ok) return assert.fail(`${what} was served: ${outcome.text}`)
        const code = codeOfCall(outcome.error.code)
        assert.include([2, 4], code, `${what}: ${outcome.error.code} ${outcome.error.message.slice(0, 200)}`)
        assert.isBelow(outcome.error.message.length, 2000, what)
        assert.notInclude(outcome.text, "secret")
        if (kind === "escape") assert.strictEqual(code, 4, `${what}: ${outcome.error.code}`)
        codes.set(kind, (codes.get(kind) ?? new Set()).add(code))
      }
      assert.strictEqual(codes.size, 11)
      assert.deepStrictEqual([snapshot(workspace), snapshot(outside)], before)
      assert.isFalse(existsSync(join(tmpdir(), "noos-escaped")))
    })
  )
})
