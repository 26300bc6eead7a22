/**
 * `noos tool test`: whether a plugin keeps what the ABI asks of it, and does what its own examples say.
 *
 * Each tool begins with new processes, workspaces and state. The workspace holds what lies in the plugin's folder
 * `examples/`.
 */
import { cpSync, lstatSync, mkdtempSync, readdirSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Result } from "effect"
import { makeHandles } from "../../kernel/handles.ts"
import { Rendered } from "../../kernel/tool.ts"
import { Sandbox } from "../../sandbox/sandbox.ts"
import { loadPlugin, preparePlugin } from "./load.ts"
import { readManifest } from "./manifest.ts"
import { hooks, type Plugin, program } from "./program.ts"
import { places } from "./protocol.ts"
import { type Call, questions } from "./questions.ts"

/** What a check came to. `tool`: whose, if it is about one. */
export interface Check {
  readonly name: string
  readonly tool?: string
  readonly ok: boolean
  /** Why it failed, or what it found. */
  readonly detail?: string
}

const temporary = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "noos-test-"))),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
)

const workspaceFor = Effect.fnUntraced(function* (folder: string) {
  const root = yield* temporary
  const given = join(folder, "examples")
  // The folder itself: a link could lead to anything of the person's.
  if (lstatSync(given, { throwIfNoEntry: false })?.isDirectory()) cpSync(given, root, { recursive: true })
  return yield* (yield* Sandbox).open(root)
})

/** What calls the plugin as one process does, in a workspace of its own, until the scope closes. */
const processFor = Effect.fn("conformance.process")(function* (folder: string) {
  const workspace = yield* workspaceFor(folder)
  const handles = makeHandles(yield* Effect.scope)
  const call: Call = (tool, args, idempotencyKey = "test") =>
    tool
      .execute(args, {
        workspace,
        handles,
        idempotencyKey,
        progress: () => Effect.void,
        self: undefined,
        history: Effect.succeed([]),
        signal: new AbortController().signal
      })
      .pipe(Effect.map((given) => (given instanceof Rendered ? given.result : given)))
  return call
})

/** The plugin's own tests, by Node.js's test runner (https://nodejs.org/docs/latest-v24.x/api/test.html). */
const ownTests = Effect.fn("conformance.ownTests")(function* (plugin: Plugin, files: ReadonlyArray<string>) {
  const workspace = yield* workspaceFor(plugin.folder)
  const { argv, start } = program(plugin, workspace, [
    ...["--import", hooks, "--test", "--test-isolation=none", "--test-reporter=spec"],
    ...files.map((file) => `${places.plugin}/${file}`)
  ])
  const seconds = plugin.manifest.seconds ?? 60
  const session = yield* workspace.start(argv, { ...start, limits: { ...start.limits, seconds } })
  let printed = ""
  for (let piece = yield* session.read; piece !== undefined; piece = yield* session.read)
    printed = (printed + new TextDecoder().decode(piece.bytes)).slice(-100_000)
  const { exitCode, reason } = yield* session.ended
  if (exitCode === 0) return undefined
  const failing = printed
    .slice(Math.max(0, printed.lastIndexOf("failing tests:")))
    .trim()
    .slice(0, 2000)
  return reason === "timeout" ? `they took longer than ${seconds} s` : failing
}, Effect.scoped)

/** Runs the whole suite. `each` hears of every check as it is done. */
export const conformance = Effect.fn("plugins.conformance")(function* (
  path: string,
  each: (check: Check) => void
) {
  const checks: Array<Check> = []
  const note = (name: string, wrong: string | undefined, tool?: string) => {
    const check = {
      name,
      ...(tool === undefined ? {} : { tool }),
      ok: wrong === undefined,
      ...(wrong === undefined ? {} : { detail: wrong })
    }
    checks.push(check)
    each(check)
  }
  const messageOf = (e: { readonly message: string }) => e.message
  const manifest = yield* Effect.result(readManifest(path))
  note("manifest", Result.isFailure(manifest) ? messageOf(manifest.failure) : undefined)
  if (Result.isFailure(manifest)) return checks
  const { folder, manifest: said } = manifest.success
  const { permissions = {} } = said
  const home = yield* temporary

  const loaded = yield* Effect.result(loadPlugin({ folder, grant: "asked" }, home))
  note(
    "loads: names, descriptions, schemas",
    Result.isFailure(loaded) ? messageOf(loaded.failure) : undefined
  )
  if (Result.isFailure(loaded)) return checks
  const tools = loaded.success
  for (const [at, tool] of tools.entries()) {
    rmSync(join(home, "state"), { recursive: true, force: true })
    yield* Effect.gen(function* () {
      const [one, two] = [yield* processFor(folder), yield* processFor(folder)]
      for (const { name, applies, wrong } of questions)
        if (applies(tool, permissions.net !== undefined))
          note(name, yield* wrong(tool, one, two, tools.slice(0, at)), tool.name)
    }).pipe(Effect.scoped)
  }
  const tests = readdirSync(folder).filter((file) => /\.test\.[cm]?[jt]s$/.test(file))
  if (tests.length > 0) {
    const outcome = yield* Effect.result(
      Effect.flatMap(preparePlugin({ folder, grant: "asked" }, home), ({ plugin }) => ownTests(plugin, tests))
    )
    note(tests.join(), Result.isFailure(outcome) ? messageOf(outcome.failure) : outcome.success)
  }
  return checks
}, Effect.scoped)
