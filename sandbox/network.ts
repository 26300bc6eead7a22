/**
 * A sandboxed program's way to the network: it has none of its own but loopback, where relay.mts listens as its HTTP proxy.
 * What is said there comes out of one descriptor and goes on to the proxy of its Egress, which decides what it may reach.
 */
import { connect } from "node:net"
import { join } from "node:path"
import { type Duplex, pipeline } from "node:stream"
import type { Egress } from "./egress.ts"
import type { Mount, Start } from "./sandbox.ts"

/** Where the relay listens, in the sandbox. */
export const relayPort = 3128

/** Node.js in the sandbox, which has the same programs as the host only below /usr. */
export const nodeInside: Mount = { from: process.execPath, to: "/opt/noos/node" }

const extension = import.meta.filename.endsWith(".ts") ? "mts" : "mjs"

/** The relay, as it is mounted. */
export const relay: Mount = {
  from: join(import.meta.dirname, `relay.${extension}`),
  to: `/opt/noos/relay.${extension}`
}

/** Processes and threads of the relay. */
export const relayProcesses = 16

/** Certificates of those who vouch for hosts, where systems keep them, and nothing secret. */
export const certificates = [
  "/etc/ssl/certs",
  "/etc/ca-certificates/extracted",
  "/etc/pki/tls/certs",
  "/etc/pki/ca-trust/extracted"
]

/** Tells programs of the proxy. What is on the sandbox's own loopback is reached without it, if the host's is not granted. */
export const proxyVariables = (
  { username, password }: { readonly username: string; readonly password: string },
  { hosts }: Pick<Egress, "hosts">
): NonNullable<Start["env"]> => {
  const proxy = `http://${username}:${password}@127.0.0.1:${relayPort}`
  const own = ["localhost", "127.0.0.1"].filter((name) => !hosts.some((host) => host.startsWith(name)))
  const both = { http_proxy: proxy, https_proxy: proxy, no_proxy: own.join(",") }
  const upper = Object.entries(both).map(([name, value]) => [name.toUpperCase(), value])
  return { ...both, ...Object.fromEntries(upper), NODE_USE_ENV_PROXY: "1" }
}

/** Carries the connections that come out of the sandbox to a port of this machine, as long as `way` is open. */
export const carry = (way: Duplex, port: number): void => {
  const { createServer } = process.getBuiltinModule("node:http2") // few need it, and it takes a while to load
  const server = createServer()
  server.on("stream", (stream) => {
    stream.respond()
    const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true })
    // A connection that breaks ends at both ends, and is nobody else's matter.
    pipeline(socket, stream, () => {})
    pipeline(stream, socket, () => {})
  })
  server.on("sessionError", () => way.destroy())
  server.emit("connection", way)
}
