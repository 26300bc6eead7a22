/**
 * How one noos process reaches the kernels of others: each kernel listens on a Unix socket (unix(7)), in a folder that
 * only this user can enter, and answers who runs in it and takes signals for them. Whoever asks goes to all of them.
 *
 * This file takes long to load for what it is: import it when it is needed.
 */
import { createHash, randomBytes } from "node:crypto"
import { chmodSync, lstatSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as NodeSocket from "@effect/platform-node/NodeSocket"
import * as NodeSocketServer from "@effect/platform-node/NodeSocketServer"
import { Cause, Effect, Layer, Option, References, Schedule, Schema } from "effect"
import * as Rpc from "effect/rpc/Rpc"
import * as RpcClient from "effect/rpc/RpcClient"
import type { RpcClientError } from "effect/rpc/RpcClientError"
import * as RpcGroup from "effect/rpc/RpcGroup"
import * as RpcSerialization from "effect/rpc/RpcSerialization"
import * as RpcServer from "effect/rpc/RpcServer"
import { SocketServer } from "effect/socket/SocketServer"
import { Kernel } from "../kernel/kernel.ts"
import { alive } from "../kernel/process.ts"
import { home } from "./environment.ts"
import { Row, row, signals } from "./processes.ts"
import { code, messageOf, Stop } from "./stop.ts"

const Control = RpcGroup.make(
  Rpc.make("processes", { success: Schema.Array(Row) }),
  /** Whether it was sent: the kernel has this process, and it has not exited. */
  Rpc.make("kill", {
    payload: { pid: Schema.Int, signal: Schema.Literals(signals) },
    success: Schema.Boolean
  })
)

const handlers = Control.toLayer(
  Effect.gen(function* () {
    const kernel = yield* Kernel
    const living = Effect.map(kernel.processes, (all) => all.filter(alive))
    return {
      processes: () => Effect.map(living, (all) => all.map(row)),
      kill: ({ pid, signal }) =>
        Effect.gen(function* () {
          if (!(yield* living).some((p) => p.pid === pid)) return false
          return yield* kernel.kill(pid, signal).pipe(
            Effect.as(true),
            Effect.catch(() => Effect.succeed(false))
          )
        })
    }
  })
)

/** Bytes of a socket's path: sun_path has 104 on macOS, its NUL included, and 108 on Linux. */
const longestPath = 103
/** A name that is used once, and says whose it is. */
const name = () => `${process.pid}-${randomBytes(4).toString("hex")}`
const longestName = "4194304-12345678.sock".length

/** The folder of the sockets: in noos's own, or in a short place named after it where the path would be too long. */
const folderOf = (): string => {
  const own = join(home(), "run")
  if (Buffer.byteLength(own) + 1 + longestName <= longestPath) return own
  const hash = createHash("sha256").update(`${process.getuid?.()} ${home()}`).digest("hex")
  return join(tmpdir(), `noos-${hash.slice(0, 16)}`)
}

/** Whether there is a folder, of this user and for nobody else. Throws where it is somebody else's. */
const claim = (folder: string): boolean => {
  const found = lstatSync(folder, { throwIfNoEntry: false })
  if (found === undefined) return false
  if (!found.isDirectory() || found.uid !== process.getuid?.())
    throw new Error(`${folder} is no folder of this user's`)
  if ((found.mode & 0o077) !== 0) chmodSync(folder, 0o700)
  return true
}

/** Makes the folder. Two may do so at a time. */
const make = (folder: string): void => {
  try {
    mkdirSync(folder, 0o700)
  } catch (e) {
    if (!claim(folder)) throw e
  }
}

/** A socket gets its name when it is listened on: one with a name that cannot be connected to has lost its owner. */
const listen = Effect.gen(function* () {
  const folder = folderOf()
  const path = join(folder, name())
  make(folder)
  const server = yield* NodeSocketServer.make({ path })
  yield* Effect.acquireRelease(
    Effect.sync(() => renameSync(path, `${path}.sock`)),
    () => Effect.sync(() => rmSync(`${path}.sock`, { force: true }))
  )
  return server
})

/** Answers others until the scope closes. A run that cannot be reached is told so and goes on. */
export const serve = Layer.build(
  RpcServer.layer(Control, { disableTracing: true }).pipe(
    Layer.provide([handlers, RpcServer.layerProtocolSocketServer]),
    Layer.provide([RpcSerialization.layerNdjson, Layer.effect(SocketServer, listen)])
  )
).pipe(
  // Whoever asks may go before it is answered.
  Effect.provideService(References.UnhandledLogLevel, undefined),
  Effect.catchCause((cause) =>
    Effect.sync(() => {
      const why = messageOf(Cause.squash(cause))
      process.stderr.write(`noos: \`noos ps\` will not show this run: ${why}\nnoos: it goes on without\n`)
    })
  )
)

type Client = RpcClient.RpcClient<RpcGroup.Rpcs<typeof Control>, RpcClientError>

/** What came of asking one kernel. */
type Told<A> = { readonly answer: A } | "gone" | "silent"

/** How long a kernel has for its answer, ms. */
const patience = 2000

const ask = <A>(path: string, question: (client: Client) => Effect.Effect<A, RpcClientError>) =>
  RpcClient.make(Control, { disableTracing: true }).pipe(
    Effect.flatMap(question),
    Effect.provide(
      RpcClient.layerProtocolSocket({ retryPolicy: Schedule.recurs(0) }).pipe(
        Layer.provide([RpcSerialization.layerNdjson, NodeSocket.layerNet({ path })])
      )
    ),
    Effect.scoped,
    Effect.timeoutOption(patience),
    Effect.map((answer): Told<A> => (Option.isSome(answer) ? { answer: answer.value } : "silent")),
    Effect.catchTag("RpcClientError", ({ reason }) =>
      Effect.sync((): Told<A> => {
        if (reason._tag === "SocketOpenError" && isRefusal(reason.cause)) rmSync(path, { force: true })
        return reason._tag.startsWith("Socket") ? "gone" : "silent"
      })
    ),
    // One that is understood no more is of another version of noos.
    Effect.catchDefect(() => Effect.succeed("silent" as const))
  )

const isRefusal = (cause: unknown): boolean =>
  cause instanceof Error && "code" in cause && cause.code === "ECONNREFUSED"

/**
 * Asks all kernels at once. `silent` are the operating system's pids of those that gave no answer in time; those that have
 * gone have none to give.
 */
export const askAll = Effect.fn("noos.askAll")(function* <A>(
  question: (client: Client) => Effect.Effect<A, RpcClientError>
) {
  const folder = folderOf()
  const names = yield* Effect.try({
    try: () => (claim(folder) ? readdirSync(folder) : []),
    catch: (e) =>
      new Stop({
        code: code.environment,
        what: `the kernels cannot be reached: ${messageOf(e)}`,
        todo: "remove that folder, or set NOOS_HOME to another one"
      })
  })
  const sockets = names.filter((name) => name.endsWith(".sock"))
  const told = yield* Effect.forEach(sockets, (name) => ask(join(folder, name), question), {
    concurrency: "unbounded"
  })
  const answers = told.flatMap((t) => (typeof t === "string" ? [] : [t.answer]))
  const silent = sockets.filter((_, i) => told[i] === "silent").map((name) => Number.parseInt(name, 10))
  return { answers, silent }
})
