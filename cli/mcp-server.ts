/**
 * What `noos mcp` serves. The client is one caller with one process in the journal: each of its calls takes the whole path,
 * and what they hold open (a shell, an interpreter) lasts as long as the connection. With `spawn`, `wait` and `kill` it
 * runs processes of the kernel, which is loaded by the first.
 */
import { Server } from "@modelcontextprotocol/sdk/server/index.js"
import { StdioServerTransport } from "@modelcontextprotocol/sdk/server/stdio.js"
import {
  CallToolRequestSchema,
  type CallToolResult,
  type Tool as Described,
  ListToolsRequestSchema
} from "@modelcontextprotocol/sdk/types.js"
import { Context, Deferred, Effect, FiberSet, Layer, Scope, Semaphore } from "effect"
import { exit, processCalls } from "../kernel/calls.ts"
import { makeHandles } from "../kernel/handles.ts"
import { Journal } from "../kernel/journal.ts"
import { Kernel, type Spawn } from "../kernel/kernel.ts"
import { memoryCalls } from "../kernel/memory/calls.ts"
import type { Program } from "../kernel/process.ts"
import { type Outcome, Syscalls } from "../kernel/syscall.ts"
import { type AnyTool, asToolError, refuse, type Self } from "../kernel/tool.ts"
import { Sandbox } from "../sandbox/sandbox.ts"
import { callLayer, kernelLayer, version } from "./environment.ts"
import { usage } from "./stop.ts"
import { added, granted, type Sources } from "./toolset.ts"

/** What is served, as `settle` gives it. */
export interface Served {
  readonly folder: string
  readonly net: ReadonlyArray<string>
  readonly grant: ReadonlyArray<string> | undefined
  readonly sources: Sources
  /** How processes work that the client starts. */
  readonly task: { readonly program: Program }
  readonly model: string
  /** Whether calls that reach outside the workspace are approved: there is nobody to ask. */
  readonly approved: boolean
}

/** Processes that the engine holds at a time; more take turns. */
const rows = 4

/** What a client can do to the processes that it started. */
const control = processCalls.filter(({ name }) => ["spawn", "wait", "kill"].includes(name))

/** Calls that only a process can make. */
const internal: ReadonlyArray<AnyTool> = [...memoryCalls, ...processCalls, exit]

/** A tool as MCP describes it (schema.ts of revision 2025-11-25, `Tool`). */
const described = ({ description, effect, input, name, output }: AnyTool): Described => ({
  name,
  description,
  inputSchema: { ...input, type: "object" },
  ...(output?.type === "object" ? { outputSchema: { ...output, type: "object" } } : {}),
  annotations: {
    readOnlyHint: effect === "pure",
    destructiveHint: effect !== "pure",
    openWorldHint: effect === "irreversible"
  }
})

const answered = (outcome: Outcome): CallToolResult => {
  if (!outcome.ok) {
    const { code, message } = outcome.error
    return { isError: true, content: [{ type: "text", text: `${code}: ${message}` }] }
  }
  const { result, text } = outcome
  const structured = typeof result === "object" && result !== null && !Array.isArray(result)
  return {
    content: [{ type: "text", text }],
    ...(structured ? { structuredContent: result as Record<string, unknown> } : {})
  }
}

/** The client's hold on the kernel: `spawn`, `wait` and `kill` of processes that are made as `options` says. */
const selfOf = Effect.fnUntraced(function* (
  pid: number,
  options: Omit<Spawn, "task">,
  loaded: Effect.Effect<Kernel["Service"], { readonly message: string }>
) {
  const own = new Set<number>()
  const kernel = asToolError(loaded)
  const only = refuse("unavailable", "only a running process can call this")
  const mine = (child: number) =>
    own.has(child) ? Effect.void : refuse("not_found", `no process ${child} of yours`)
  const { tools } = options

  const self: Self = {
    pid,
    spawn: Effect.fnUntraced(function* ({ task, tokens, tools: wanted }) {
      const unknown = wanted?.find((name) => !tools.some((tool) => tool.name === name))
      if (unknown !== undefined) return yield* refuse("denied", `not granted: ${unknown}`)
      const granted = wanted === undefined ? tools : tools.filter(({ name }) => wanted.includes(name))
      const budget = tokens === undefined ? {} : { tokens }
      const spawned = (yield* kernel).spawn({ ...options, task, tools: granted, budget })
      // Born and known at once, so that none outlives the connection.
      return yield* Effect.uninterruptible(
        Effect.tap(asToolError(spawned), (child) => Effect.sync(() => own.add(child)))
      )
    }),
    wait: Effect.fnUntraced(function* (child) {
      if (child !== undefined) yield* mine(child)
      else if (own.size === 0) return yield* refuse("not_found", "no process to wait for")
      const { wait } = yield* kernel
      const pids = child === undefined ? [...own] : [child]
      const exited = yield* asToolError(Effect.raceAllFirst(pids.map((one) => wait(one))))
      own.delete(exited.pid)
      return exited
    }),
    kill: Effect.fnUntraced(function* (child, signal) {
      yield* mine(child)
      yield* (yield* kernel).kill(child, signal)
    }),
    fork: () => only,
    send: () => only,
    receive: () => only,
    recall: () => only,
    note: () => only,
    forget: () => only,
    remember: () => only
  }

  yield* Effect.addFinalizer(() =>
    Effect.forEach(
      own,
      (child) =>
        Effect.ignore(Effect.flatMap(kernel, (k) => Effect.andThen(k.kill(child, "INT"), k.wait(child)))),
      { concurrency: "unbounded", discard: true }
    )
  )
  return self
})

/** Serves until stdin ends. All that the client has opened or started is released then. */
export const serve = Effect.fn("noos.serveMcp")(function* (served: Served) {
  const memo = yield* Layer.makeMemoMap
  const scope = yield* Effect.scope
  const services = yield* Layer.buildWithMemoMap(callLayer, memo, scope)
  const journal = Context.get(services, Journal)
  const syscalls = Context.get(services, Syscalls)
  const { approved, folder, grant, model, net, sources, task } = served
  const workspace = yield* Context.get(services, Sandbox)
    .open(folder, net)
    .pipe(Effect.catchTag("ToolError", (e) => usage(e.message, "name an existing folder with --workspace")))
  const own = yield* Effect.provide(added(sources, workspace), services)
  const all = yield* granted(grant, own, "")
  // Older than what stops its processes, and so closed after it. A load that was cut short would stay so.
  const kernelScope = yield* Scope.fork(scope)
  const loaded = yield* Layer.buildWithMemoMap(kernelLayer(model, rows), memo, kernelScope).pipe(
    Effect.map(Context.get(Kernel)),
    Effect.uninterruptible,
    Effect.cached
  )

  const run = yield* journal.beginRun({ task: "mcp", workspace: folder, model })
  const pid = yield* journal.spawn({ run, program: "mcp" })
  yield* Effect.addFinalizer((end) => {
    const status = end._tag === "Success" ? "ok" : "interrupted"
    return Effect.ignore(
      Effect.andThen(journal.exit(pid, { status, why: "mcp" }), journal.endRun(run, status))
    )
  })

  const approve = () => Effect.succeed(approved)
  const { program } = task
  const child = {
    run,
    program,
    workspace,
    approve,
    instructions: own.instructions,
    tools: all.filter((tool) => tool !== exit)
  }
  const self = yield* selfOf(pid, child, loaded)
  const tools = [...all.filter((tool) => !internal.includes(tool)), ...control]
  const handles = makeHandles(scope)
  const turns = Semaphore.makeUnsafe(1)

  const call = (name: string, args: unknown, progress: (text: string) => Effect.Effect<void>) => {
    const caller = { pid, tools, workspace, approve, self, handles, progress }
    const outcome = Effect.map(syscalls.dispatch(caller, { tool: name, args }), answered)
    // Tools hold things open for one call at a time; who waits for a process must be able to kill it.
    return control.some((tool) => tool.name === name) ? outcome : turns.withPermit(outcome)
  }

  const server = new Server({ name: "noos", version }, { capabilities: { tools: {} } })
  const runPromise = yield* FiberSet.makeRuntimePromise()
  server.setRequestHandler(ListToolsRequestSchema, () => ({ tools: tools.map(described) }))
  server.setRequestHandler(CallToolRequestSchema, ({ params }, { _meta, sendNotification, signal }) => {
    let steps = 0
    const token = _meta?.progressToken
    const progress = (message: string) =>
      token === undefined
        ? Effect.void
        : Effect.promise(() =>
            sendNotification({
              method: "notifications/progress",
              params: { progressToken: token, progress: ++steps, message }
            })
          )
    return runPromise(call(params.name, params.arguments ?? {}, progress), { signal })
  })
  server.onerror = (error) => process.stderr.write(`noos: ${error.message.split("\n", 1)[0]}\n`)

  const ended = yield* Deferred.make<void>()
  const end = () => Deferred.doneUnsafe(ended, Effect.void)
  server.onclose = end
  process.stdin.once("end", end)
  process.stdin.once("close", end)
  yield* Effect.promise(() => server.connect(new StdioServerTransport()))
  yield* Effect.addFinalizer(() => Effect.promise(() => server.close()))
  yield* Deferred.await(ended)
}, Effect.scoped)
