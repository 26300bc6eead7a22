import { mkdirSync, symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { folder, workspace } from "../sandbox/workspace.ts"
import { call, shown } from "./call.ts"

describe("fs_search", () => {
  it.live("finds a literal text, by path and line", () =>
    Effect.gen(function* () {
      const w = yield* workspace
      for (const name of ["src/deep", ".git", "src/node_modules"])
        mkdirSync(join(w.root, name), { recursive: true })
      writeFileSync(join(w.root, "b.txt"), "x\na.c here\nabc\n")
      writeFileSync(join(w.root, "src/deep/a:1:.txt"), "a.c: first\n")
      writeFileSync(join(w.root, ".git/config"), "a.c\n")
      writeFileSync(join(w.root, "src/node_modules/m.js"), "a.c\n")
      writeFileSync(join(w.root, "binary"), "a.c\0\n")
      expect(yield* shown(w, "fs_search", { text: "a.c" })).toBe(
        "b.txt:2: a.c here\nsrc/deep/a:1:.txt:1: a.c: first"
      )
      expect(yield* call(w, "fs_search", { text: "a.c", path: "./src//" })).toEqual({
        matches: [{ path: "src/deep/a:1:.txt", line: 1, text: "a.c: first" }],
        more: false
      })
      expect(yield* shown(w, "fs_search", { text: "a.c", path: "b.txt" })).toBe("b.txt:2: a.c here")
      expect(yield* shown(w, "fs_search", { text: "nowhere" })).toBe("no match")
    })
  )

  it.live("takes any text and any name as they are", () =>
    Effect.gen(function* () {
      const w = yield* workspace
      writeFileSync(join(w.root, "-e"), "--help '$(id)' \"\\\n")
      mkdirSync(join(w.root, "-r dir"))
      writeFileSync(join(w.root, "-r dir/line\nbreak"), "--help\n")
      expect(yield* shown(w, "fs_search", { text: "--help '$(id)' \"\\" })).toBe("-e:1: --help '$(id)' \"\\")
      expect(yield* shown(w, "fs_search", { text: "--help", path: "-e" })).toBe("-e:1: --help '$(id)' \"\\")
      expect(yield* call(w, "fs_search", { text: "--help", path: "-r dir" })).toMatchObject({
        matches: [{ path: "-r dir/line\nbreak", line: 1, text: "--help" }]
      })
    })
  )

  it.live("is bounded, and says so", () =>
    Effect.gen(function* () {
      const w = yield* workspace
      writeFileSync(join(w.root, "many"), "hit\n".repeat(5000))
      writeFileSync(join(w.root, "long"), `${"hit".repeat(2_000_000)}\n`)
      const result = (yield* call(w, "fs_search", { text: "hit", path: "many" })) as {
        matches: ReadonlyArray<unknown>
        more: boolean
      }
      expect([result.matches.length, result.more]).toEqual([200, true])
      expect(yield* shown(w, "fs_search", { text: "hit", path: "many" })).toMatch(
        /\n\[more matches left out\]$/
      )
      expect((yield* shown(w, "fs_search", { text: "hit", path: "long" })).length).toBeLessThan(1000)
    })
  )

  it.live("does not look outside", () =>
    Effect.gen(function* () {
      const w = yield* workspace
      const out = yield* folder
      writeFileSync(join(out, "secret"), "needle\n")
      symlinkSync(out, join(w.root, "link"))
      symlinkSync(join(out, "secret"), join(w.root, "file"))
      expect(yield* shown(w, "fs_search", { text: "needle" })).toBe("no match")
      for (const path of ["link", "file", "..", "/etc", "/usr/share"]) {
        expect(yield* shown(w, "fs_search", { text: "e", path })).toBe(
          `outside_workspace: outside the workspace: ${path}`
        )
      }
      expect(yield* shown(w, "fs_search", { text: "" })).toMatch(/^bad_input: /)
      expect(yield* shown(w, "fs_search", { text: "a\nb" })).toMatch(/^bad_input: /)
      expect(yield* shown(w, "fs_search", { text: "a", path: "none" })).toBe("not_found: no such file: none")
    })
  )
})
