/** `noos trust`: a person agrees to what a folder's noos.json lets happen, or to what an MCP server says now. */
import { resolve } from "node:path"
import { Effect, Option } from "effect"
import { Command, Flag } from "effect/cli"
import { toolLine } from "../kernel/prompt.ts"
import { Sandbox } from "../sandbox/sandbox.ts"
import { agree, repin } from "./agreed.ts"
import { saysYes } from "./approval.ts"
import { type Config, configOf, consequences, fingerprint, pluginsOf, readConfig } from "./config.ts"
import { callLayer } from "./environment.ts"
import { oneLine } from "./report.ts"
import { code, Stop, usage } from "./stop.ts"

const show = (head: string, lines: ReadonlyArray<string>) => {
  console.log(head)
  for (const line of lines) console.log(`  ${oneLine(line, 2000)}`)
}

const agreed = Effect.fnUntraced(function* (yes: boolean) {
  if (yes || (yield* saysYes("agree?"))) return
  return yield* new Stop({
    code: code.denied,
    what: "nobody agreed to it",
    todo: "agree with y on a terminal, or with --yes"
  })
})

/** What each plugin may do, in words. One that asks for more than it is granted could not be used. */
const asked = Effect.fnUntraced(
  function* (config: Config) {
    const { allowed, grantedTo, readManifest } = yield* Effect.promise(
      () => import("../tools/plugins/index.ts")
    )
    const sources = yield* pluginsOf(config)
    const lines: Array<string> = []
    for (const source of sources) {
      const { manifest } = yield* readManifest(source.folder)
      const may = allowed(yield* grantedTo(source, manifest))
      lines.push(`plugin ${source.from} may ${may.length === 0 ? "only compute" : may.join(", ")}`)
    }
    return { lines, seen: fingerprint(config, sources) }
  },
  Effect.catchTag("PluginError", ({ hint, message }) => usage(message, hint))
)

/** Shows what a server says of its tools now, and keeps that. */
const server = Effect.fnUntraced(function* (folder: string, name: string, yes: boolean) {
  const config = yield* configOf(folder)
  const found = config.mcp[name]
  if (found === undefined) return yield* usage(`${config.path} has no MCP server ${name}`, "see its `mcp`")
  const { mcpTools } = yield* Effect.promise(() => import("../tools/mcp/index.ts"))
  let said = ""
  const pin = (_: string, hash: string) =>
    Effect.sync(() => {
      said = hash
    })
  const workspace = yield* (yield* Sandbox).open(folder)
  const { tools } = yield* mcpTools(name, found, { workspace, pin })
  show(`${name} says of its tools:`, tools.map(toolLine))
  yield* agreed(yes)
  yield* repin(config.path, name, said)
}, Effect.scoped)

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
      Flag.withDescription("Agree to what this MCP server of it says of its tools now")
    ),
    yes: Flag.Boolean("yes").pipe(Flag.withDefault(false), Flag.withDescription("Agree without being asked"))
  },
  Effect.fn("noos.trust")(function* ({ mcp, workspace, yes }) {
    const folder = resolve(workspace)
    if (mcp !== undefined)
      return yield* server(folder, mcp, yes).pipe(
        Effect.catchTag("ToolError", (e) => usage(e.message, "see the folder's noos.json")),
        Effect.provide(callLayer)
      )
    const config = yield* readConfig(folder)
    if (config.text === "")
      return yield* usage(`there is no ${config.path}`, "name the folder with --workspace")
    const { lines, seen } = yield* asked(config)
    show(`${config.path} lets happen:`, [...consequences(config), ...lines])
    yield* agreed(yes)
    yield* agree(config.path, seen)
  })
).pipe(Command.withDescription("Agree to what a folder's noos.json lets happen"))
