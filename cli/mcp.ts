/** `noos mcp`: the tools, and the kernel, as a server of the Model Context Protocol on stdin and stdout. */
import { Effect } from "effect"
import { Command } from "effect/cli"
import { runFlags, taskFlags } from "./flags.ts"
import { settle } from "./tasks.ts"

export const mcp = Command.make(
  "mcp",
  {
    workspace: taskFlags.workspace,
    grant: taskFlags.grant,
    net: taskFlags.net,
    plugins: taskFlags.plugins,
    yes: runFlags.yes,
    model: runFlags.model
  },
  Effect.fn("noos.mcp")(function* ({ model, yes, ...flags }) {
    const usual = {
      agent: "fast",
      seed: 0,
      priority: 0,
      tokens: undefined,
      seconds: undefined,
      summaries: false,
      verify: undefined,
      strategy: undefined
    }
    const settled = yield* settle({ ...usual, ...flags }, "")
    // Loaded here, for no other command needs it.
    const { serve } = yield* Effect.promise(() => import("./mcp-server.ts"))
    yield* serve({ ...settled, model, approved: yes })
  })
).pipe(Command.withDescription("Serve the tools to other programs over MCP, on stdin and stdout"))
