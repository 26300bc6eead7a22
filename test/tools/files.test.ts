import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { workspace } from "../sandbox/workspace.ts"
import { call, shown } from "./call.ts"

describe("fs_read", () => {
  it.live("gives a text file, whole or by lines", () =>
    Effect.gen(function* () {
      const w = yield* workspace
      writeFileSync(join(w.root, "three"), "one\ntwo\nthree")
      expect(yield* call(w, "fs_read", { path: "three" })).toEqual({
        text: "one\ntwo\nthree",
        size: 13,
        line: 1,
        lines: 3,
        more: false
      })
      expect(yield* call(w, "fs_read", { path: "three", line: 2, lines: 1 })).toEqual({
        text: "two\n",
        size: 13,
        line: 2,
        lines: 1,
        more: true
      })
      expect(yield* call(w, "fs_read", { path: "three", line: 3, lines: 9 })).toMatchObject({ text: "three" })
      expect(yield* call(w, "fs_read", { path: "three", line: 4 })).toMatchObject({ text: "", lines: 0 })
      writeFileSync(join(w.root, "empty"), "")
      expect(yield* shown(w, "fs_read", { path: "empty" })).toBe("")
    })
  )

  it.live("reads far into a large file, and cuts no character in two", () =>
    Effect.gen(function* () {
      const w = yield* workspace
      const lines = Array.from({ length: 100_000 }, (_, n) => `line ${n + 1} ${"é".repeat(20)}\n`)
      writeFileSync(join(w.root, "large"), lines.join(""))
      expect(yield* shown(w, "fs_read", { path: "large", line: 99_998, lines: 2 })).toBe(
        lines.slice(99_997, 99_999).join("").trimEnd()
      )
      writeFileSync(join(w.root, "odd"), `a${"é".repeat(300_000)}`)
      const { text, more } = (yield* call(w, "fs_read", { path: "odd" })) as { text: string; more: boolean }
      expect([text.length, more, /^aé+$/.test(text)]).toEqual([131_072, true, true])
      expect(yield* shown(w, "fs_read", { path: "odd" })).toMatch(
        /^aé{131071}\n\[the file goes on: read it from line 1\]$/
      )
    })
  )

  it.live("refuses what is no text, and lines that cannot be", () =>
    Effect.gen(function* () {
      const w = yield* workspace
      writeFileSync(join(w.root, "nul"), "a\0b")
      writeFileSync(join(w.root, "latin"), Buffer.from([0x63, 0xe9, 0x20]))
      const said = (args: object) => shown(w, "fs_read", args)
      expect(yield* said({ path: "nul" })).toBe("not_text: not a text file: nul")
      expect(yield* said({ path: "latin" })).toBe("not_text: not a text file: latin")
      expect(yield* said({ path: "none" })).toBe("not_found: no such file: none")
      expect(yield* said({ path: "." })).toBe("not_a_file: is a folder: .")
      expect(yield* said({ path: "/etc/passwd" })).toBe(
        "outside_workspace: outside the workspace: /etc/passwd"
      )
      expect(yield* said({ path: "nul", line: 0 })).toBe("bad_input: line and lines must be 1 or more")
      expect(yield* said({ path: "nul", lines: -1 })).toBe("bad_input: line and lines must be 1 or more")
      expect((yield* said({ path: "x".repeat(1_000_000) })).length).toBeLessThan(300)
    })
  )
})

describe("fs_write", () => {
  it.live("makes and replaces files", () =>
    Effect.gen(function* () {
      const w = yield* workspace
      expect(yield* call(w, "fs_write", { path: "a/b.txt", text: "é" })).toEqual({ created: true, bytes: 2 })
      expect(yield* shown(w, "fs_write", { path: "a/b.txt", text: "two\n" })).toBe("ok")
      expect(readFileSync(join(w.root, "a/b.txt"), "utf8")).toBe("two\n")
      expect(yield* shown(w, "fs_write", { path: "a", text: "" })).toBe("not_a_file: is a folder: a")
      expect(yield* shown(w, "fs_write", { path: "../x", text: "" })).toBe(
        "outside_workspace: outside the workspace: ../x"
      )
      expect(yield* shown(w, "fs_write", { path: "big", text: "x".repeat(17 * 1024 * 1024) })).toMatch(
        /^too_large: /
      )
    })
  )
})

describe("fs_edit", () => {
  it.live("replaces exactly one place", () =>
    Effect.gen(function* () {
      const w = yield* workspace
      const file = join(w.root, "f")
      writeFileSync(file, "\ufeffone\ntwo $&\nthree\n")
      expect(yield* call(w, "fs_edit", { path: "f", old: "two $&", new: "$' 2" })).toEqual({ line: 2 })
      expect(readFileSync(file, "utf8")).toBe("\ufeffone\n$' 2\nthree\n")
      expect(yield* shown(w, "fs_edit", { path: "f", old: "\nthree", new: "" })).toBe("ok")
      expect(readFileSync(file, "utf8")).toBe("\ufeffone\n$' 2\n")
    })
  )

  it.live("changes nothing when the place is not plain", () =>
    Effect.gen(function* () {
      const w = yield* workspace
      const file = join(w.root, "f")
      writeFileSync(file, "aaa b b")
      const said = (old: string, path = "f") => shown(w, "fs_edit", { path, old, new: "!" })
      expect(yield* said("c")).toBe("no_match: text not found in f")
      expect(yield* said("b")).toBe("ambiguous: text found 2 times in f")
      expect(yield* said("aa")).toBe("ambiguous: text found 2 times in f")
      expect(yield* said("")).toBe("bad_input: the text to replace is empty")
      expect(yield* said("x", "none")).toBe("not_found: no such file: none")
      expect(readFileSync(file, "utf8")).toBe("aaa b b")
      writeFileSync(file, "a\0")
      expect(yield* said("a")).toBe("not_text: not a text file: f")
    })
  )
})

describe("fs_list", () => {
  it.live("names what is there", () =>
    Effect.gen(function* () {
      const w = yield* workspace
      expect(yield* shown(w, "fs_list", {})).toBe("empty")
      yield* w.run([
        "/bin/sh",
        "-c",
        "mkdir sub; echo x > b; echo yy > .hidden; ln -s b link; touch 'new\nline'"
      ])
      expect(yield* shown(w, "fs_list", {})).toBe('.hidden\nb\nlink\n"new\\nline"\nsub/')
      expect(yield* shown(w, "fs_list", { path: "sub" })).toBe("empty")
      expect(yield* shown(w, "fs_list", { path: "b" })).toBe("not_a_directory: not a folder: b")
      expect(yield* call(w, "fs_list", { path: "." })).toContainEqual({
        name: ".hidden",
        kind: "file",
        size: 3
      })
    })
  )
})
