/** Which hosts and addresses are granted. */
import { Effect } from "effect"
import { badInput, refuse, type ToolError } from "../../kernel/tool.ts"
import { type Address, addressOf, canonical, isLoopback, isPublic, textOf } from "./address.ts"

/** One granted host. */
export interface Grant {
  /** A canonical name or address; `*` for every name and public address. */
  readonly host: string
  /** Names below `host` instead of itself. */
  readonly below: boolean
  readonly ports: ReadonlyArray<number>
}

/** Where a connection shall go. */
export interface Target {
  /** Canonical. */
  readonly host: string
  readonly port: number
}

const defaultPorts = [80, 443]

const parseGrant = (text: string): Grant | undefined => {
  const found = /^(\*\.)?(\[[^\]]*\]|[^:]*|[^[\]]*:[^[\]]*:[^[\]]*)(?::(\d{1,5}))?$/.exec(text)
  if (found === null) return undefined
  const [, below, name = "", digits] = found
  const host = name === "*" ? name : canonical(name.replace(/^\[|\]$/g, ""))
  const port = digits === undefined ? undefined : Number(digits)
  if (host === undefined || (host !== "*" && host.includes("*"))) return undefined
  if (port !== undefined && (port < 1 || port > 65_535)) return undefined
  if (below !== undefined && (host === "*" || addressOf(host) !== undefined)) return undefined
  return { host, below: below !== undefined, ports: port === undefined ? defaultPorts : [port] }
}

/** Reads the hosts that a person grants. */
export const parseGrants = (hosts: ReadonlyArray<string>): Effect.Effect<ReadonlyArray<Grant>, ToolError> =>
  Effect.forEach(hosts, (text) => {
    const grant = parseGrant(text)
    return grant === undefined
      ? badInput(`not a host: ${text.slice(0, 100)} (example.com, example.com:8443, *.example.com, *)`)
      : Effect.succeed(grant)
  })

const shown = ({ host, port }: Target) => {
  const name = host.includes(":") ? `[${host}]` : host
  return defaultPorts.includes(port) ? name : `${name}:${port}`
}

/** Fails unless the host is granted under this name or address. */
export const checkHost = (grants: ReadonlyArray<Grant>, target: Target): Effect.Effect<void, ToolError> => {
  const granted = grants.some(
    ({ host, below, ports }) =>
      ports.includes(target.port) &&
      (host === "*" || (below ? target.host.endsWith(`.${host}`) : target.host === host))
  )
  return granted
    ? Effect.void
    : refuse("denied", `not granted: ${shown(target)} (--net ${shown(target)} grants it)`)
}

/** True if this very address may be reached: public, or granted by itself. */
const mayReach = (grants: ReadonlyArray<Grant>, address: Address, port: number): boolean =>
  isPublic(address) ||
  grants.some(
    ({ host, below, ports }) =>
      ports.includes(port) &&
      !below &&
      (host === textOf(address) || (host === "localhost" && isLoopback(address)))
  )

/** Those of the addresses behind a host that may be reached. Fails if there are none. */
export const checkAddresses = (
  grants: ReadonlyArray<Grant>,
  target: Target,
  addresses: ReadonlyArray<Address>
): Effect.Effect<ReadonlyArray<Address>, ToolError> => {
  const allowed = addresses.filter((address) => mayReach(grants, address, target.port))
  const [first] = addresses
  if (allowed.length > 0 || first === undefined) return Effect.succeed(allowed)
  const address = shown({ host: textOf(first), port: target.port })
  return refuse(
    "denied",
    `not a public address: ${target.host === textOf(first) ? "" : `${target.host} is `}${address} (--net ${address} grants it)`
  )
}
