/**
 * What a person has agreed to: `$NOOS_HOME/trust.json`. A folder's noos.json can start programs and open hosts, and
 * whoever works in the folder can write it, so it counts only in the form in which the person saw it. What an MCP server
 * says of its tools is kept the same way, from its first use on.
 */
import { createHash } from "node:crypto"
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Effect, Schema, Semaphore } from "effect"
import { ToolError } from "../kernel/tool.ts"
import { home } from "./environment.ts"
import { messageOf, type Stop, usage } from "./stop.ts"

const Trust = Schema.fromJsonString(
  Schema.Struct({
    /** Hash of each noos.json, by its path. */
    files: Schema.Record(Schema.String, Schema.String),
    /** Hash of what each MCP server said of its tools, by the path of its noos.json and its name. */
    servers: Schema.Record(Schema.String, Schema.String)
  })
)
type Trust = typeof Trust.Type

export const sha256 = (data: string | Uint8Array): string => createHash("sha256").update(data).digest("hex")

const file = (): string => join(home(), "trust.json")

const load: Effect.Effect<Trust, Stop> = Effect.gen(function* () {
  const text = yield* Effect.try({
    try: () => {
      try {
        return readFileSync(file(), "utf8")
      } catch (e) {
        if ((e as NodeJS.ErrnoException).code === "ENOENT") return '{"files":{},"servers":{}}'
        throw e
      }
    },
    catch: (e) => usage(`cannot read ${file()}: ${messageOf(e)}`, "make it readable, or remove it")
  })
  return yield* Schema.decodeEffect(Trust)(text).pipe(
    Effect.mapError(() =>
      usage(`${file()} is damaged`, "remove it: what you have agreed to is then asked again")
    )
  )
})

const turns = Semaphore.makeUnsafe(1)

/** Changes what is kept: to a file beside it, which takes its place at once. */
const change = (what: (trust: Trust) => Trust): Effect.Effect<void, Stop> =>
  Effect.flatMap(load, (trust) =>
    Effect.try({
      try: () => {
        mkdirSync(home(), { recursive: true, mode: 0o700 })
        const draft = `${file()}.${process.pid}`
        writeFileSync(draft, JSON.stringify(what(trust), null, 2), { mode: 0o600 })
        renameSync(draft, file())
      },
      catch: (e) => usage(`cannot write ${file()}: ${messageOf(e)}`, "make its folder writable")
    })
  ).pipe(turns.withPermit)

/** Whether a person has agreed to a noos.json in this form. */
export const trusted = (path: string, hash: string): Effect.Effect<boolean, Stop> =>
  Effect.map(load, ({ files }) => files[path] === hash)

export const agree = (path: string, hash: string): Effect.Effect<void, Stop> =>
  change((all) => ({ ...all, files: { ...all.files, [path]: hash } }))

const serverKey = (config: string, name: string) => `${config}#${name}`

/** Keeps what a server says of its tools at its first use, and refuses it when it later says something else. */
export const pin =
  (config: string) =>
  (name: string, hash: string): Effect.Effect<void, ToolError> =>
    Effect.gen(function* () {
      const key = serverKey(config, name)
      const known = (yield* load).servers[key]
      if (known === hash) return
      if (known === undefined)
        return yield* change((all) => ({ ...all, servers: { ...all.servers, [key]: hash } }))
      const message = `the MCP server ${name} says something else of its tools than when you first used it: look at it, then \`noos trust --mcp ${name}\``
      return yield* new ToolError({ code: "denied", message })
    }).pipe(
      Effect.catchTag("Stop", ({ todo, what }) =>
        Effect.fail(new ToolError({ code: "unavailable", message: `${what}: ${todo}` }))
      )
    )

/** Keeps what a server says of its tools now. */
export const repin = (config: string, name: string, hash: string): Effect.Effect<void, Stop> =>
  change((all) => ({ ...all, servers: { ...all.servers, [serverKey(config, name)]: hash } }))
