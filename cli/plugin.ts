/** `noos tool new`, `test` and `add`: what authors of plugins need, and those who install them. */
import { resolve } from "node:path"
import { Effect } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import type { Check, Manifest, PluginError } from "../tools/plugins/index.ts"
import { saysYes } from "./approval.ts"
import { callLayer, home } from "./environment.ts"
import { jsonFlag } from "./flags.ts"
import { code, Stop, usage } from "./stop.ts"

/** Loaded when it is needed: most commands have nothing to do with plugins. */
const plugins = Effect.promise(() => import("../tools/plugins/index.ts"))

const asUsage = ({ message, hint }: PluginError) => usage(message, hint)

export const newTool = Command.make(
  "new",
  {
    name: Argument.String("name").pipe(
      Argument.withDescription("The plugin, and the folder that is made for it")
    )
  },
  Effect.fn("noos.tool.new")(function* ({ name }) {
    const { newPlugin } = yield* plugins
    yield* newPlugin(name).pipe(Effect.catchTag("PluginError", asUsage))
    console.log(`made ${name}: edit ${name}/index.ts, then \`noos tool test ${name}\``)
  })
).pipe(Command.withDescription("Make a plugin to begin with"))

const line = ({ tool, name, ok, detail }: Check): string =>
  `${ok ? "ok  " : "FAIL"} ${tool === undefined ? "" : `${tool}: `}${name}${detail === undefined ? "" : `\n     ${detail}`}`

export const testTool = Command.make(
  "test",
  {
    folder: Argument.String("folder").pipe(Argument.withDescription("The plugin's folder")),
    json: jsonFlag
  },
  Effect.fn("noos.tool.test")(function* ({ folder, json }) {
    const { conformance } = yield* plugins
    const checks = yield* conformance(resolve(folder), (check) =>
      console.log(json ? JSON.stringify({ type: "check", ...check }) : line(check))
    ).pipe(Effect.provide(callLayer))
    const failed = checks.filter(({ ok }) => !ok).length
    if (json) console.log(JSON.stringify({ type: "summary", checks: checks.length, failed }))
    else
      console.log(
        failed === 0 ? `all ${checks.length} checks passed` : `${failed} of ${checks.length} checks failed`
      )
    if (failed > 0) return yield* new Stop({ code: code.failed })
  })
).pipe(
  Command.withDescription(
    "Check a plugin: its manifest, its examples, and how it behaves when things go wrong"
  )
)

/** Fails unless the person says yes, here or with the command. */
const agreed =
  (yes: boolean) =>
  (name: string, { permissions = {} }: Manifest) =>
    Effect.gen(function* () {
      const may = (yield* plugins).allowed(permissions)
      process.stderr.write(`${name} ${may.length === 0 ? "asks for nothing" : `may ${may.join("; ")}`}\n`)
      if (yes || (yield* saysYes("add it?"))) return
      return yield* new Stop({
        code: code.denied,
        what: `${name} was not added: nobody agreed to it`,
        todo: "agree with y on a terminal, or with --yes"
      })
    })

export const addTool = Command.make(
  "add",
  {
    spec: Argument.String("package").pipe(Argument.withDescription("A package as npm names it")),
    yes: Flag.Boolean("yes").pipe(
      Flag.withDefault(false),
      Flag.withDescription("Grant what it asks for without being asked")
    )
  },
  Effect.fn("noos.tool.add")(function* ({ spec, yes }) {
    const { addPlugin } = yield* plugins
    const name = yield* addPlugin(spec, home(), agreed(yes)).pipe(Effect.catchTag("PluginError", asUsage))
    console.log(`added ${name}`)
  })
).pipe(Command.withDescription("Install a plugin from npm"))
