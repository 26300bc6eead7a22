import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { workspace } from "../sandbox/workspace.ts"
import { call, shown } from "./call.ts"

describe("shell", () => {
  it.live("runs a command line or a program with arguments", () =>
    Effect.gen(function* () {
      const w = yield* workspace
      expect(yield* call(w, "shell", { command: "echo $((1+1)); echo no >&2; exit 3" })).toEqual({
        exitCode: 3,
        signal: null,
        stdout: "2\n",
        stderr: "no\n",
        reason: "exit"
      })
      expect(yield* call(w, "shell", { command: ["echo", "$((1+1))", "; ls"] })).toMatchObject({
        stdout: "$((1+1)) ; ls\n"
      })
    })
  )

  it.live("tells the model what was said and how it ended", () =>
    Effect.gen(function* () {
      const w = yield* workspace
      const said = (command: string, more = {}) => shown(w, "shell", { command, ...more })
      expect(yield* said("printf 'a\\nb\\n'")).toBe("a\nb")
      expect(yield* said("true")).toBe("done")
      expect(yield* said("echo out; echo err >&2")).toBe("out\nerr")
      expect(yield* said("echo err >&2")).toBe("err")
      expect(yield* said("exit 4")).toBe("[exit 4]")
      expect(yield* said("echo out; echo err >&2; exit 1")).toBe("out\nerr\n[exit 1]")
      expect(yield* said("echo begun; sleep 60", { seconds: 0.5 })).toBe(
        "begun\n[killed: timeout after 0.5 s]"
      )
      expect(yield* said("kill -SEGV $$")).toBe("[killed: SIGSEGV]")
      const flood = yield* said("yes")
      expect(flood.endsWith("\n[killed: more than 262144 bytes of output]")).toBe(true)
      expect(flood.length).toBe(262_144 - 1 + "\n[killed: more than 262144 bytes of output]".length)
    })
  )

  it.live("refuses what is no command", () =>
    Effect.gen(function* () {
      const w = yield* workspace
      const said = (args: object) => shown(w, "shell", args)
      expect(yield* said({ command: [] })).toMatch(/^bad_input: /)
      expect(yield* said({ command: [""] })).toMatch(/^bad_input: /)
      expect(yield* said({ command: "echo \0" })).toBe("bad_input: command with a NUL character")
      expect(yield* said({ command: "x".repeat(1_000_000) })).toBe("bad_input: command too long")
      expect(yield* said({ command: "true", seconds: 0 })).toMatch(/^bad_input: seconds/)
      expect(yield* said({ command: "true", seconds: 1e9 })).toMatch(/^bad_input: seconds/)
      expect(yield* said({})).toMatch(/^bad_input: /)
      expect(yield* said({ command: "" })).toBe("done")
    })
  )
})
