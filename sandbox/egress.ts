/**
 * The way to the network: which hosts may be reached, and nothing else reaches any.
 *
 * A host is `example.com`, `example.com:8443`, `*.example.com`, an IP address with or without a port, or `*` for every
 * public one. Without a port, 80 and 443 are meant. Names are resolved once, here, and the connection goes to the address
 * that was checked: no second lookup can give another one (DNS rebinding). Addresses that are not public (loopback,
 * private, link-local, metadata, …) are refused, whatever name leads there, unless that very address, or `localhost`,
 * is granted by itself.
 */
import { Effect, type Scope } from "effect"
import { badInput, type ToolError } from "../kernel/tool.ts"
import { addressesFor, Resolver } from "./egress/connect.ts"
import { fetchThrough } from "./egress/fetch.ts"
import { openProxy } from "./egress/proxy.ts"
import { parseGrants } from "./egress/rules.ts"
import { targetOf } from "./egress/url.ts"

/** An HTTP request. Redirects are followed by `fetch`, each checked like the first. */
export interface HttpRequest {
  readonly url: string
  readonly method?: string
  readonly headers?: { readonly [name: string]: string }
  readonly body?: string | Uint8Array
  /** Bytes of the body that are read. More is an error `too_large`. Default: 8 MiB. */
  readonly maxBytes?: number
  /** Wall clock, seconds. Default: 30. */
  readonly seconds?: number
}

export interface HttpResponse {
  /** After redirects. */
  readonly url: string
  readonly status: number
  /** Names in lower case. */
  readonly headers: { readonly [name: string]: string }
  readonly body: Uint8Array
}

/** An HTTP proxy (RFC 9110: CONNECT and absolute form) on loopback, for programs that speak to one. */
export interface Proxy {
  readonly port: number
  readonly username: string
  readonly password: string
}

export interface Egress {
  readonly hosts: ReadonlyArray<string>
  /** One request. A host that is not granted fails with `denied`, one that cannot be reached with `unavailable`. */
  readonly fetch: (request: HttpRequest) => Effect.Effect<HttpResponse, ToolError>
  /** Fails as `fetch` would, before it connects: what is the matter with an address that could not be loaded? */
  readonly check: (url: string) => Effect.Effect<void, ToolError>
  /** A proxy that obeys the same rules, until the scope closes. */
  readonly proxy: Effect.Effect<Proxy, ToolError, Scope.Scope>
}

/** The way to these hosts. One that is malformed fails with `bad_input`. */
export const makeEgress = Effect.fn("makeEgress")(function* (
  hosts: ReadonlyArray<string>
): Effect.fn.Return<Egress, ToolError> {
  const grants = yield* parseGrants(hosts)
  const resolver = yield* Resolver
  const withResolver = Effect.provideService(Resolver, resolver)
  return {
    hosts,
    fetch: (request) => withResolver(fetchThrough(grants, request)),
    check: (url) => {
      const target = targetOf(url)
      return "problem" in target
        ? badInput(target.problem)
        : withResolver(Effect.asVoid(addressesFor(grants, target)))
    },
    proxy: withResolver(openProxy(grants))
  }
})
