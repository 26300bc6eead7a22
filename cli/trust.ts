/** `noos trust`: a person agrees to what a folder's noos.json lets happen, or to what an MCP server says now. */
import { resolve } from "node:path"
import { Effect, Option } from "effect"
import { Command, Flag } from "effect/cli"
import { agree, unpin } from "./agreed.ts"
import { saysYes } from "./approval.ts"
import { consequences, fingerprint, readConfig } from "./config.ts"
import { code, Stop, usage } from "./stop.ts"

export const trust = Command.make(
  "trust",
  {
    workspace: Flag.String("workspace").pipe(
      Flag.withDefault("."),
      Flag.withDescription("The folder whose noos.json is meant")
    ),
    mcp: Flag.String("mcp").pipe(
      Flag.optional,
      Flag.map(Option.getOrUndefined),
      Flag.withDescription("Agree to what this MCP server of it will say of its tools next time")
    ),
    yes: Flag.Boolean("yes").pipe(Flag.withDefault(false), Flag.withDescription("Agree without being asked"))
  },
  Effect.fn("noos.trust")(function* ({ mcp, workspace, yes }) {
    const config = yield* readConfig(resolve(workspace))
    if (mcp !== undefined) {
      if (yield* unpin(config.path, mcp)) return console.log(`${mcp}: what it says next time counts`)
      return yield* usage(`${mcp} of ${config.path} has not been used yet`, "nothing is to be done")
    }
    if (config.text === "")
      return yield* usage(`there is no ${config.path}`, "name the folder with --workspace")
    const seen = yield* fingerprint(config)
    console.log(`${config.path} lets happen:`)
    for (const line of consequences(config)) console.log(`  ${line}`)
    if (!yes && !(yield* saysYes("agree?")))
      return yield* new Stop({
        code: code.denied,
        what: "nobody agreed to it",
        todo: "agree with y on a terminal, or with --yes"
      })
    yield* agree(config.path, seen)
  })
).pipe(Command.withDescription("Agree to what a folder's noos.json lets happen"))
