/** A folder's noos.json: read, checked against noos.schema.json, and counted only if the person has agreed to it. */
import { closeSync, constants, fstatSync, openSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { Ajv2020 } from "ajv/dist/2020.js"
import { Effect } from "effect"
import schema from "../noos.schema.json" with { type: "json" }
import type { McpServer } from "../tools/mcp/index.ts"
import type { Permissions, Source } from "../tools/plugins/index.ts"
import { sha256, trusted } from "./agreed.ts"
import { home, real } from "./environment.ts"
import { oneLine } from "./report.ts"
import { code, messageOf, Stop, usage } from "./stop.ts"

export interface Config {
  /** The file, whether it is there or not. */
  readonly path: string
  readonly plugins: ReadonlyArray<string | { readonly from: string; readonly grant?: Permissions }>
  readonly mcp: { readonly [name: string]: McpServer }
  readonly skills: ReadonlyArray<string>
  /** The file's text; empty if there is none. */
  readonly text: string
}

const fits = new Ajv2020({ strict: false, allErrors: false }).compile<Partial<Config>>(schema)

const none = { plugins: [], mcp: {}, skills: [] } as const

/** Bytes of a noos.json. */
const most = 1024 * 1024

/** A file's text; undefined if there is none. What is no file, such as a pipe that nobody writes to, is not waited for. */
const readText = (path: string): string | undefined => {
  let fd: number
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  } catch (e) {
    if ((e as NodeJS.ErrnoException).code === "ENOENT") return undefined
    throw e
  }
  try {
    const stats = fstatSync(fd)
    if (!stats.isFile()) throw new Error("it is not a file")
    if (stats.size > most) throw new Error(`it has more than ${most} bytes`)
    return readFileSync(fd, "utf8")
  } finally {
    closeSync(fd)
  }
}

/** What a folder's noos.json says, agreed to or not. A folder without one has nothing to say. */
export const readConfig = Effect.fn("readConfig")(function* (folder: string): Effect.fn.Return<Config, Stop> {
  const path = join(real(folder), "noos.json")
  const bad = (why: string) =>
    usage(`${path}: ${why}`, "mend it, or remove it; noos.schema.json says what it may hold")
  const text = yield* Effect.try({ try: () => readText(path), catch: (e) => bad(messageOf(e)) })
  if (text === undefined) return { path, ...none, text: "" }
  const said = yield* Effect.try({
    try: () => JSON.parse(text) as unknown,
    catch: (e) => bad(`not JSON: ${messageOf(e)}`)
  })
  if (!fits(said)) {
    const { instancePath = "", message = "", params } = fits.errors?.[0] ?? {}
    const where = instancePath === "" ? "it" : instancePath.slice(1).replaceAll("/", ".")
    const which = params?.additionalProperty ?? params?.propertyName
    return yield* bad(`${where} ${message}${which === undefined ? "" : `: ${which}`}`)
  }
  return { path, ...none, ...said, text }
})

/** What it lets happen, a line each, for the person who is asked. Values of variables and headers may be secrets. */
export const consequences = ({ mcp, plugins }: Config): ReadonlyArray<string> => [
  ...plugins.map((plugin) => {
    const { from, ...grant } = typeof plugin === "string" ? { from: plugin } : plugin
    return line(`plugin ${from}`, grant)
  }),
  ...Object.entries(mcp).map(([name, server]) => {
    if ("url" in server) {
      const { headers = {}, url, ...rest } = server
      return line(`MCP server ${name} at ${url}`, { headers: Object.keys(headers), ...rest })
    }
    const { command, env = {}, ...rest } = server
    return line(`MCP server ${name}: ${command.join(" ")}`, { env: Object.keys(env), ...rest })
  })
]

const line = (what: string, rest: object): string => {
  const said = Object.entries(rest).filter(([, value]) => !Array.isArray(value) || value.length > 0)
  return oneLine(said.length === 0 ? what : `${what} with ${JSON.stringify(Object.fromEntries(said))}`, 2000)
}

/** The plugins of a noos.json, each with the hash of all its files, wherever these lie: what a person agrees to is what runs. */
export const pluginsOf = Effect.fn("pluginsOf")(
  function* (config: Config) {
    if (config.plugins.length === 0) return []
    const { discover, fingerprintOf } = yield* Effect.promise(() => import("../tools/plugins/index.ts"))
    const found = yield* discover({ config, home: home() })
    // Those of the person's own folder have their grants elsewhere.
    return yield* Effect.forEach(
      found.filter(({ grants }) => grants === undefined),
      (source) => Effect.map(fingerprintOf(source.folder), (hash) => ({ ...source, hash }))
    )
  },
  Effect.catchTag("PluginError", ({ hint, message }) => usage(message, hint))
)

/** What a person agrees to: the text of the file, and all files of its plugins. */
export const fingerprint = ({ text }: Config, plugins: ReadonlyArray<{ readonly hash: string }>): string =>
  sha256(JSON.stringify([text, ...plugins.map(({ hash }) => hash)]))

/** A noos.json that a person has agreed to, with its plugins as they were then. */
export interface Agreed extends Config {
  readonly sources: ReadonlyArray<Source>
}

/** A folder's noos.json, which counts only as the person has seen it: whoever works in the folder can write it. */
export const configOf = Effect.fn("configOf")(function* (folder: string) {
  const config = yield* readConfig(folder)
  const sources = yield* pluginsOf(config)
  if (consequences(config).length === 0 || (yield* trusted(config.path, fingerprint(config, sources))))
    return { ...config, sources } satisfies Agreed
  return yield* new Stop({
    code: code.denied,
    what: `${config.path}, or a plugin that it names, is new or has changed since you agreed to it`,
    todo: `read it, then \`noos trust --workspace ${folder}\``
  })
})
