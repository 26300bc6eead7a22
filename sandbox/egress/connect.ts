/** Connections: a name is resolved once, its addresses are checked, and one of those is connected to. */
import { lookup } from "node:dns/promises"
import { connect as connectTo, type LookupFunction, type Socket } from "node:net"
import { Context, Effect } from "effect"
import { ToolError } from "../../kernel/tool.ts"
import { type Address, addressOf, textOf } from "./address.ts"
import { checkAddresses, checkHost, type Grant, type Target } from "./rules.ts"

/** How names become addresses: the system's way, hosts(5) and all, unless a test says otherwise. */
export const Resolver = Context.Reference<(name: string) => Promise<ReadonlyArray<string>>>(
  "noos/egress/Resolver",
  { defaultValue: () => async (name) => (await lookup(name, { all: true })).map(({ address }) => address) }
)

/** No name server is to answer for this name: RFC 6761, 6.3. */
const localhost = ["127.0.0.1", "::1"]

const reasonOf = (cause: unknown): string => {
  // With several addresses to try, each has its own.
  const first = cause instanceof AggregateError ? cause.errors[0] : cause
  return first instanceof Error ? ((first as NodeJS.ErrnoException).code ?? first.message) : String(first)
}

/** It may be reached another time. */
export const unreachable = (host: string, cause: unknown): ToolError =>
  new ToolError({
    code: "unavailable",
    message: `cannot reach ${host}: ${reasonOf(cause)}`,
    retryable: true
  })

const resolve = (
  resolver: (name: string) => Promise<ReadonlyArray<string>>,
  host: string
): Effect.Effect<ReadonlyArray<Address>, ToolError> =>
  addressOf(host) !== undefined || host === "localhost"
    ? Effect.succeed((host === "localhost" ? localhost : [host]).flatMap((text) => addressOf(text) ?? []))
    : Effect.tryPromise({ try: () => resolver(host), catch: (cause) => unreachable(host, cause) }).pipe(
        Effect.map((texts) => texts.flatMap((text) => addressOf(text) ?? [])),
        Effect.filterOrFail(
          (addresses) => addresses.length > 0,
          () => unreachable(host, "no address")
        )
      )

/** The addresses that a connection to the target may use. */
export const addressesFor = Effect.fnUntraced(function* (grants: ReadonlyArray<Grant>, target: Target) {
  yield* checkHost(grants, target)
  return yield* checkAddresses(grants, target, yield* resolve(yield* Resolver, target.host))
})

/** A connection, which is the caller's to end. Interruption ends one that is still being made. */
export const connect = Effect.fnUntraced(function* (grants: ReadonlyArray<Grant>, target: Target) {
  const addresses = yield* addressesFor(grants, target)
  const checked = addresses.map((address) => ({
    address: textOf(address),
    family: address.kind() === "ipv4" ? 4 : 6
  }))
  // Answers with what was checked: Node may try these one after the other (RFC 8305), and knows no others.
  const answer: LookupFunction = (_name, { all }, done) =>
    all ? done(null, checked) : done(null, checked[0]!.address, checked[0]!.family)
  return yield* Effect.callback<Socket, ToolError>((resume) => {
    const socket = connectTo({
      host: "checked.invalid",
      port: target.port,
      lookup: answer,
      autoSelectFamily: true
    })
    const failed = (cause: unknown) => resume(Effect.fail(unreachable(target.host, cause)))
    socket.once("error", failed)
    socket.once("connect", () => {
      socket.off("error", failed)
      socket.on("error", () => {}) // whoever uses it sees it close
      resume(Effect.succeed(socket))
    })
    return Effect.sync(() => socket.destroy())
  })
})
