/** Wraps a program of the system, diff(1), which may read the workspace and nothing else. */
import { execFile } from "node:child_process"
import { defineTool, ToolError } from "noos/plugin"

/** Bytes of a difference that are still worth reading. */
const most = 256 * 1024

interface Ended {
  readonly code: number | string | null
  readonly stdout: string
  readonly stderr: string
}

/** Names are arguments, never part of a command line; `--` ends the options. Labels leave out the times of the files. */
const diff = (from: string, to: string, cwd: string, signal: AbortSignal): Promise<Ended> =>
  new Promise((resolve) => {
    const options = { cwd, signal, maxBuffer: most }
    const labels = ["--label", from, "--label", to]
    execFile("diff", ["-u", ...labels, "--", from, to], options, (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : (error.code ?? null), stdout, stderr })
    )
  })

export default defineTool({
  name: "diff",
  description: "Show how two text files differ.",
  input: {
    type: "object",
    properties: {
      from: { type: "string", minLength: 1, maxLength: 4096 },
      to: { type: "string", minLength: 1, maxLength: 4096 }
    },
    required: ["from", "to"],
    additionalProperties: false
  },
  output: { type: "string" },
  effect: "pure",
  // They run in a copy of this folder's examples/.
  examples: [
    {
      args: { from: "old.txt", to: "new.txt" },
      result: "--- old.txt\n+++ new.txt\n@@ -1,3 +1,3 @@\n one\n-two\n+2\n three\n"
    },
    { args: { from: "old.txt", to: "old.txt" }, result: "" }
  ],
  execute: async ({ from, to }: { from: string; to: string }, { workspace, signal }) => {
    if (`${from}${to}`.includes("\0"))
      throw new ToolError({ code: "bad_input", message: "a name with a NUL" })
    const { code, stdout, stderr } = await diff(from, to, workspace, signal)
    if (code === 0 || code === 1) return stdout
    if (code === "ERR_CHILD_PROCESS_STDIO_MAXBUFFER")
      throw new ToolError({ code: "too_large", message: `the difference is longer than ${most} bytes` })
    throw new ToolError({ code: "bad_input", message: stderr.trim() || "diff failed" })
  },
  toModel: (text) => (text === "" ? "no difference" : text)
})
