/**
 * The sandboxed end of a program's way to the network: a program of its own, run by Node.js beside it. It listens where the
 * program looks for its proxy and carries each connection, as a stream of HTTP/2 (RFC 9113, which keeps a slow one from
 * holding up the others), through the one descriptor that leads out; network.ts is the other end.
 *
 * Closing standard output says that it listens.
 */
import { closeSync } from "node:fs"
import { connect } from "node:http2"
import { createServer, Socket } from "node:net"
import { pipeline } from "node:stream"

const [descriptor, port] = process.argv.slice(2).map(Number)

const way = connect("http://proxy", { createConnection: () => new Socket({ fd: descriptor! }) })
const server = createServer({ allowHalfOpen: true }, (socket) => {
  const stream = way.request({ ":method": "POST" }, { endStream: false })
  // A connection that breaks ends at both ends, and is nobody else's matter.
  pipeline(socket, stream, () => {})
  pipeline(stream, socket, () => {})
})
server.listen(port, "127.0.0.1", () => closeSync(1))
