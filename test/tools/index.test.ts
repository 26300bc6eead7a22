import { describe, expect, it } from "@effect/vitest"
import { toolLine } from "../../kernel/prompt.ts"
import { toolName } from "../../kernel/tool.ts"
import { builtins, more } from "../../tools/index.ts"

describe("the built-in tools", () => {
  it("are shown to the model in exactly the lines that it was trained on", () => {
    expect(builtins.map(toolLine)).toEqual([
      "shell(command: string|string[], seconds?: number) Run a command line in the workspace.",
      "fs_read(path: string, line?: integer, lines?: integer) Read a text file.",
      "fs_write(path: string, text: string) Write a text to a file, replacing it.",
      "fs_edit(path: string, old: string, new: string) Replace one piece of text in a file.",
      "fs_list(path?: string) List the files of a folder.",
      "fs_search(text: string, path?: string) Find the lines that contain a text.",
      "calc(expression: string) Compute an arithmetic expression."
    ])
  })

  it("have names and schemas that the kernel takes", () => {
    for (const { name, input, critical = [] } of [...builtins, ...more]) {
      expect(name).toMatch(toolName)
      expect(input).toMatchObject({
        type: "object",
        additionalProperties: false,
        required: expect.any(Array)
      })
      for (const argument of critical) expect(input.properties).toHaveProperty(argument)
    }
  })

  it("say what they do to the world", () => {
    expect(Object.fromEntries(builtins.map(({ name, effect }) => [name, effect]))).toEqual({
      shell: "reversible",
      fs_read: "pure",
      fs_write: "reversible",
      fs_edit: "reversible",
      fs_list: "pure",
      fs_search: "pure",
      calc: "pure"
    })
    expect(Object.fromEntries(more.map(({ name, effect }) => [name, effect]))).toEqual({
      web_fetch: "pure",
      code: "reversible",
      browser_open: "pure",
      browser_read: "pure",
      browser_click: "irreversible",
      browser_type: "irreversible",
      browser_select: "irreversible",
      browser_download: "irreversible",
      browser_screenshot: "reversible",
      browser_back: "pure"
    })
  })
})
