/**
 * MCP's stdio transport (modelcontextprotocol.io, revision 2025-11-25: a JSON-RPC message a line) over a program in the
 * sandbox.
 */
import { StringDecoder } from "node:string_decoder"
import type { Transport } from "@modelcontextprotocol/sdk/shared/transport.js"
import type { JSONRPCMessage } from "@modelcontextprotocol/sdk/types.js"
import { Effect, FiberSet, type Scope } from "effect"
import type { Session } from "../../sandbox/sandbox.ts"
import { leastOfMessage, mostBetween, mostInMessage } from "./limits.ts"

/** A transport that can say why it ended. */
export interface Line extends Transport {
  readonly why: () => string | undefined
}

/** Characters of what a program says on stderr that are kept for the message about its end. */
const lastWords = 4000

/** The transport of a started program. The program ends with the scope that it was started in, not with the transport. */
export const stdio = Effect.fn("Mcp.stdio")(function* (
  session: Session
): Effect.fn.Return<Line, never, Scope.Scope> {
  const run = yield* FiberSet.makeRuntimePromise<never>()
  const decoder = new StringDecoder("utf8")
  let over = false
  let why: string | undefined
  let said = ""
  let buffer = ""
  /** What came since it was last asked or told something. */
  let since = 0

  const end = (reason?: string) => {
    if (over) return
    over = true
    why = reason
    line.onclose?.()
  }

  const hear = (text: string) => {
    const [first = "", ...rest] = text.split("\n")
    since += text.length + rest.length * leastOfMessage
    const lines = [buffer + first, ...rest]
    buffer = lines.pop()!
    for (const one of lines) {
      if (one.length > mostInMessage) return end(`sent a message of more than ${mostInMessage} characters`)
      // Programs that were not written for MCP alone greet on stdout.
      if (!one.startsWith("{")) continue
      try {
        line.onmessage?.(JSON.parse(one) as JSONRPCMessage)
      } catch {
        return end(`sent what is no message: ${JSON.stringify(one.slice(0, 80))}`)
      }
    }
    if (buffer.length > mostInMessage) end(`sent a message of more than ${mostInMessage} characters`)
    if (since > mostBetween) end(`sent more than anybody asked for`)
  }

  const reading = Effect.gen(function* () {
    while (!over) {
      const output = yield* session.read
      if (output === undefined) break
      if (output.stream === "stdout") hear(decoder.write(Buffer.from(output.bytes)))
      else said = (said + Buffer.from(output.bytes).toString()).slice(-lastWords)
    }
    const ended = yield* Effect.option(session.ended)
    end(ended._tag === "None" ? "ended" : `ended (${howOf(ended.value)})${tail(said)}`)
  })

  const line: Line = {
    why: () => why,
    start: async () => {
      run(reading).catch(() => {})
    },
    send: (message) => {
      // Answers to what it asks of us are no reason to listen longer.
      if ("method" in message) since = 0
      return run(session.write(`${JSON.stringify(message)}\n`))
    },
    close: async () => end()
  }
  return line
})

const howOf = (ended: { readonly exitCode: number | null; readonly reason: string }): string =>
  ended.exitCode === null ? ended.reason : `exit ${ended.exitCode}`

/** What it said last: of a stack trace the line that names the error. */
const tail = (said: string): string => {
  const lines = said.trim().split("\n")
  const last = lines.findLast((line) => /^\s*\w*error\b/i.test(line)) ?? lines.at(-1)!
  return last === "" ? "" : `: ${last.trim().slice(0, 200)}`
}
