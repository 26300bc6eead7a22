/**
 * A plugin's process: started in the sandbox, asked what its tools are, called, and ended.
 *
 * What it says to the kernel has a descriptor of its own, and all that the plugin prints, to stdout as to stderr, comes out
 * of another. Nobody listens between calls, so whoever prints without end then is
 * ended by the sandbox's limit.
 */
import { Effect, type Scope } from "effect"
import { messageOf, Rendered, type ToolContext, ToolError } from "../../kernel/tool.ts"
import { type Egress, makeEgress } from "../../sandbox/egress.ts"
import type { Workspace } from "../../sandbox/sandbox.ts"
import { host, type Plugin, program } from "./program.ts"
import {
  descriptors,
  type Failure,
  type FromPlugin,
  lines,
  maxBody,
  maxResult,
  places,
  type ToPlugin
} from "./protocol.ts"

/** Wall clock of one call, seconds, where the manifest says nothing. */
const defaultSeconds = 60

/** What a call that is cancelled has to end by itself, milliseconds. */
const grace = 1000

/** Bytes that a plugin may print, and say beside its result, in one call. */
const maxNoise = 1024 * 1024

/** Lines of progress that one call may show. */
const maxProgress = 200

/** Requests of one call that may be under way at a time. */
const maxRequests = 32

/** Moves the descriptors of the program before it starts. */
const script = `exec ${descriptors.say}>&1 ${descriptors.hear}<&0 1>&2 0</dev/null "$@"`

/** Without what a terminal would obey. */
const plain = (text: string): string => text.replace(/[\x00-\x1f\x7f-\x9f]+/g, " ")

/** What a plugin that has ended printed last, for people: the line that names an error, or the last one. */
const lastWord = (printed: string): string => {
  const said = printed
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && !/^(Node\.js v|at |\d+: 0x|<---|-----)/.test(line))
  return (said.findLast((line) => /^\w*error\b|^fatal/i.test(line)) ?? said.at(-1) ?? "").slice(0, 300)
}

export interface PluginProcess {
  /** What it says its tools are: nothing about it has been believed yet. */
  readonly tools: ReadonlyArray<unknown>
  readonly call: (
    tool: string,
    args: unknown,
    ctx: Pick<ToolContext, "idempotencyKey" | "progress">
  ) => Effect.Effect<Rendered, ToolError>
  /** Whether it can be called: it may also end between two calls. */
  readonly alive: () => boolean
}

type Progress = ToolContext["progress"]

/** Starts a plugin's process; it ends with the scope. */
export const startPlugin = Effect.fn("plugins.start")(function* (plugin: Plugin, workspace: Workspace) {
  const { manifest, permissions } = plugin
  const seconds = manifest.seconds ?? defaultSeconds
  const failed = (code: ToolError["code"], message: string) =>
    new ToolError({ code, message: `plugin ${manifest.name}: ${message}` })

  const { argv, start } = program(plugin, workspace, [
    host,
    `${places.plugin}/${manifest.main}`,
    Object.keys(permissions).join()
  ])
  const session = yield* workspace.start(["/bin/sh", "-c", script, "sh", ...argv], start)
  const egress = permissions.net === undefined ? undefined : yield* makeEgress(permissions.net)

  let broken: ToolError | undefined
  const breakWith = (error: ToolError) => {
    broken ??= error
    return Effect.fail(broken)
  }
  const decoder = new TextDecoder()
  let printed = ""
  const heard: Array<{ readonly message: FromPlugin; readonly bytes: number }> = []
  const cut = lines((line) => {
    const message = JSON.parse(line) as FromPlugin | null
    if (message === null || (message.type !== "fetch" && line.length > maxResult))
      throw new TypeError("not a message")
    heard.push({ message, bytes: line.length })
  })

  let over = false
  yield* Effect.ignore(session.ended).pipe(
    Effect.andThen(Effect.sync(() => (over = true))),
    Effect.forkScoped
  )
  const tell = (message: ToPlugin) => session.write(`${JSON.stringify(message)}\n`)

  /** Reads until a message has come that `wanted` takes. All others are dealt with, if they are not too many. */
  const listen = <A>(
    wanted: (message: FromPlugin) => A | undefined,
    progress: Progress,
    fetch: (request: FromPlugin & { type: "fetch" }) => Effect.Effect<void, ToolError>
  ): Effect.Effect<A, ToolError> =>
    Effect.gen(function* () {
      let noise = 0
      let shown = 0
      const show = (text: string) =>
        ++shown > maxProgress || text.trim() === ""
          ? Effect.void
          : progress(`${manifest.name}: ${plain(text).slice(0, 500)}`)
      while (true) {
        for (let next = heard.shift(); next !== undefined; next = heard.shift()) {
          const { message, bytes } = next
          const taken = wanted(message)
          if (taken !== undefined) return taken
          if (message.type === "fetch") yield* fetch(message)
          else noise += bytes
          if (message.type === "progress") yield* show(String(message.text))
        }
        if (noise > maxNoise)
          return yield* breakWith(failed("limit", `it printed more than ${maxNoise} bytes in one call`))
        const piece = yield* session.read
        if (piece === undefined) return yield* breakWith(yield* ended)
        if (piece.stream === "stdout") {
          try {
            cut(piece.bytes)
          } catch {
            return yield* breakWith(failed("failed", "it does not keep to the protocol"))
          }
        } else {
          const text = decoder.decode(piece.bytes, { stream: true })
          noise += piece.bytes.length
          printed = (printed + text).slice(-16_384)
          for (const line of text.split("\n")) yield* show(line)
        }
      }
    })

  const ended = Effect.map(session.ended, ({ exitCode, signal, reason }) => {
    const how = signal === null ? `with exit code ${exitCode}` : `by ${signal}`
    const why = reason === "exit" || reason === "signal" ? lastWord(printed) : `passed its limit of ${reason}`
    return failed("failed", `its process ended ${how}${why === "" ? "" : `: ${plain(why)}`}`)
  })

  /** Makes a request for the plugin, in the background of the call's scope. */
  const fetchIn = (scope: Scope.Scope) => {
    let underWay = 0
    return (request: FromPlugin & { type: "fetch" }) => {
      if (++underWay > maxRequests)
        return breakWith(failed("limit", `more than ${maxRequests} requests at a time`))
      return perform(egress, request).pipe(
        Effect.flatMap((response) => tell({ type: "fetched", id: request.id, response })),
        Effect.ignore,
        Effect.ensuring(Effect.sync(() => underWay--)),
        Effect.forkIn(scope),
        Effect.asVoid
      )
    }
  }

  const ready = yield* listen(
    (m) => (m.type === "ready" || m.type === "broken" ? m : undefined),
    () => Effect.void,
    fetchIn(yield* Effect.scope)
  ).pipe(
    Effect.timeoutOrElse({
      duration: seconds * 1000,
      orElse: () => failed("timeout", `it did not start within ${seconds} s`)
    })
  )
  if (ready.type === "broken")
    return yield* failed("failed", `it cannot be loaded: ${plain(String(ready.message))}`)
  if (plugin.tools !== undefined && JSON.stringify(ready.tools) !== plugin.tools)
    return yield* failed("failed", "its tools are not those that it was loaded with")

  let count = 0
  const call = Effect.fn("PluginProcess.call")(function* (
    tool: string,
    args: unknown,
    { idempotencyKey, progress }: Pick<ToolContext, "idempotencyKey" | "progress">
  ) {
    const id = ++count
    const fetch = fetchIn(yield* Effect.scope)
    const answer = listen(
      (m) => ((m.type === "result" || m.type === "error") && m.id === id ? m : undefined),
      progress,
      fetch
    )
    /** Asks the call to end; a plugin that does not answer is not called again. */
    const hangUp = Effect.suspend(() =>
      broken !== undefined
        ? Effect.void
        : tell({ type: "cancel", id }).pipe(
            Effect.andThen(answer),
            Effect.timeout(grace),
            Effect.catch(() => breakWith(failed("timeout", "it does not end a call that is cancelled"))),
            Effect.ignore
          )
    )
    const asked = tell({ type: "call", id, tool, args, key: idempotencyKey }).pipe(
      Effect.catch((e) => breakWith(e)),
      Effect.andThen(answer),
      Effect.timeoutOption(seconds * 1000)
    )
    const answered = yield* Effect.uninterruptibleMask((restore) =>
      restore(asked).pipe(
        Effect.onInterrupt(() => hangUp),
        Effect.tap((answered) => (answered._tag === "None" ? hangUp : Effect.void))
      )
    )
    if (answered._tag === "None") return yield* failed("timeout", `${tool} took longer than ${seconds} s`)
    const message = answered.value
    if (message.type === "result") return new Rendered(message.result, String(message.text))
    return yield* toToolError(message.error)
  }, Effect.scoped)

  return { tools: ready.tools, call, alive: () => broken === undefined && !over } satisfies PluginProcess
})

/** What the plugin says went wrong; whatever it says, it is an error of a known kind. */
const toToolError = ({ code, message, retryable }: Failure): ToolError => {
  const text = plain(String(message)).slice(0, 2000)
  try {
    return new ToolError({
      code,
      message: text,
      ...(retryable === undefined ? {} : { retryable: retryable === true })
    })
  } catch {
    return new ToolError({ code: "failed", message: text })
  }
}

/** One request, with what became of it. */
const perform = (egress: Egress | undefined, request: FromPlugin & { type: "fetch" }) => {
  if (egress === undefined) {
    const message = `no network: the plugin did not ask for "net" in the permissions of its noos.plugin.json`
    return Effect.succeed<Failure>({ code: "denied", message })
  }
  const failure = ({ code, message, retryable }: ToolError): Failure => ({
    code,
    message,
    ...(retryable === undefined ? {} : { retryable })
  })
  return Effect.suspend(() => {
    const { url, method, headers, body } = request
    return egress.fetch({
      url,
      method,
      headers,
      maxBytes: maxBody,
      ...(body === undefined ? {} : { body: Buffer.from(body, "base64") })
    })
  }).pipe(
    Effect.map((response) => ({ ...response, body: Buffer.from(response.body).toString("base64") })),
    Effect.catch((e) => Effect.succeed(failure(e))),
    // What it asks for has not been checked: it may be no request at all.
    Effect.catchDefect((e) => Effect.succeed<Failure>({ code: "bad_input", message: messageOf(e) }))
  )
}
