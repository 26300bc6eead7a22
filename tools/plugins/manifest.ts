/** `noos.plugin.json`: what a plugin is, and what it asks for; and what a person has granted it. */
import { readFileSync, realpathSync, statSync } from "node:fs"
import { join, sep } from "node:path"
import { Ajv2020, type ErrorObject } from "ajv/dist/2020.js"
import { Effect, Schema } from "effect"

/** What a plugin may reach: as it asks for it, or as it was granted. */
export interface Permissions {
  readonly workspace?: "read" | "write"
  /** Hosts, see sandbox/egress.ts. */
  readonly net?: ReadonlyArray<string>
  readonly state?: true
  /** Names of environment variables. */
  readonly env?: ReadonlyArray<string>
}

/** The file, as it was written. */
export interface Manifest {
  readonly name: string
  readonly version?: string
  readonly main: string
  readonly seconds?: number
  readonly permissions?: Permissions
}

/** A plugin that cannot be had: what is wrong, and what to do. */
export class PluginError extends Schema.TaggedError<PluginError>()("PluginError", {
  message: Schema.String,
  hint: Schema.String
}) {}

export const manifestName = "noos.plugin.json"

const schema = JSON.parse(readFileSync(new URL("../../noos.plugin.schema.json", import.meta.url), "utf8"))
const ajv = new Ajv2020()
const isManifest = ajv.compile<Manifest>(schema)
const isPermissions = ajv.compile<Permissions>({ ...schema.$defs.permissions })

const explain = (error: ErrorObject): string => {
  const where = error.instancePath.slice(1).replaceAll("/", ".")
  const { additionalProperty, allowedValues, allowedValue } = error.params
  const which = additionalProperty ?? allowedValues?.join(", ") ?? allowedValue
  return `${where === "" ? "" : `${where} `}${error.message}${which === undefined ? "" : `: ${which}`}`
}

/** What is wrong with permissions that somebody wrote, if anything is. */
export const problemOfPermissions = (value: unknown): string | undefined =>
  isPermissions(value) ? undefined : explain(isPermissions.errors![0]!)

const wrong = (message: string, hint = "docs/tools.md has the manifest's fields") =>
  new PluginError({ message, hint })

const parse = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

const exists = (path: string, kind: "isFile" | "isDirectory"): boolean =>
  statSync(path, { throwIfNoEntry: false })?.[kind]() === true

/** A folder's real path and its manifest, checked. */
export const readManifest = Effect.fn("plugins.readManifest")(function* (path: string) {
  if (!exists(path, "isDirectory")) return yield* wrong(`no such plugin: ${path}`, "name the plugin's folder")
  const folder = realpathSync(path)
  const file = join(folder, manifestName)
  if (!exists(file, "isFile") || !realpathSync(file).startsWith(folder + sep))
    return yield* wrong(
      `${path} is no plugin: it has no ${manifestName}`,
      "`noos tool new NAME` makes a plugin"
    )
  const value = parse(readFileSync(file, "utf8"))
  if (value === undefined) return yield* wrong(`${file} is not JSON`)
  if (!isManifest(value)) return yield* wrong(`${file}: ${explain(isManifest.errors![0]!)}`)
  const main = join(folder, value.main)
  if (!exists(main, "isFile") || !realpathSync(main).startsWith(folder + sep))
    return yield* wrong(`${file}: main is no file of the plugin: ${value.main}`)
  return { folder, manifest: value }
})

const lacking = (
  asked: ReadonlyArray<string> | undefined,
  granted: ReadonlyArray<string> | undefined
): ReadonlyArray<string> => (asked ?? []).filter((name) => !(granted ?? []).includes(name))

/** What is asked for and not granted. */
const missing = (asked: Permissions, granted: Permissions): ReadonlyArray<string> => [
  ...(asked.workspace === undefined || granted.workspace === asked.workspace || granted.workspace === "write"
    ? []
    : [`workspace: ${asked.workspace}`]),
  ...lacking(asked.net, granted.net).map((host) => `net: ${host}`),
  ...(asked.state === true && granted.state !== true ? ["state"] : []),
  ...lacking(asked.env, granted.env).map((name) => `env: ${name}`)
]

/** What permissions allow, for a person who grants them. */
export const allowed = ({ workspace, net = [], state, env = [] }: Permissions): ReadonlyArray<string> => [
  ...(workspace === undefined ? [] : [`${workspace === "read" ? "read" : "read and write"} the workspace`]),
  ...(net.length === 0
    ? []
    : [`reach ${net.map((host) => (host === "*" ? "every public host" : host)).join(", ")}`]),
  ...(state === true ? ["keep files of its own"] : []),
  ...(env.length === 0 ? [] : [`read the environment's ${env.join(", ")}`])
]

/** Where a plugin comes from, and what it was granted; `asked`: all that its manifest asks for. */
export interface Source {
  readonly folder: string
  readonly grant: Permissions | "asked"
  /** As the person named it, for messages. Default: the folder. */
  readonly from?: string
  /** The file that keeps its grant under that name. Default: noos.json. */
  readonly grants?: string
  /** What `fingerprintOf` gave when it was agreed to: anything else is not loaded. */
  readonly hash?: string
}

/** Each folder once, as it was named first. */
export const once = (sources: ReadonlyArray<Source>): ReadonlyArray<Source> => {
  const real = ({ folder }: Source) => (exists(folder, "isDirectory") ? realpathSync(folder) : folder)
  return sources.filter((source, i) => sources.findIndex((other) => real(other) === real(source)) === i)
}

/** What the plugin gets: what it asked for, if that was granted. Never more than it asked for. */
export const grantedTo = (
  { folder, from = folder, grant, grants }: Source,
  { name, permissions: asked = {} }: Manifest
): Effect.Effect<Permissions, PluginError> => {
  const lacks = grant === "asked" ? [] : missing(asked, grant)
  if (lacks.length === 0) return Effect.succeed(asked)
  const entry = grants === undefined ? { plugins: [{ from, grant: asked }] } : { [from]: asked }
  return wrong(
    `the plugin ${name} asks for what it was not granted (${lacks.join("; ")})`,
    `to grant it, put this into ${grants ?? "noos.json"}: ${JSON.stringify(entry)}`
  )
}
