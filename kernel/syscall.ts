/**
 * The one way a call reaches the world: check → authorise → journal the intent → run → journal the outcome.
 *
 * Model, command line and library all come through `dispatch`. It never fails for what a call does: every wrong call
 * gets an `Outcome` that says what was wrong. Only a journal that cannot be written is a failure, and then nothing runs.
 */
import { Ajv2020, type ErrorObject, type ValidateFunction } from "ajv/dist/2020.js"
import { Clock, Context, Effect, Layer } from "effect"
import type { Workspace } from "../sandbox/sandbox.ts"
import { Journal, type JournalError, type NewPage } from "./journal.ts"
import { pendingText } from "./prompt.ts"
import type { JsonSchema } from "./schema.ts"
import {
  type AnyTool,
  asToolError,
  badInput,
  messageOf,
  Rendered,
  refuse,
  type Self,
  type ToolContext,
  ToolError
} from "./tool.ts"

/** A call as it comes in: nothing about it has been believed yet. */
export interface Request {
  readonly tool: string
  readonly args: unknown
  /** The page that the model wrote it on. */
  readonly page?: Pick<NewPage, "text" | "tokens" | "copy">
}

/** What became of a call. `id` is its number in the journal; a call that was refused before it began has none. */
export type Outcome = {
  readonly id: number | undefined
  readonly ms: number
  readonly text: string
  /** Where its text comes from, if its tool has said so. */
  readonly source?: string
} & (
  | { readonly ok: true; readonly result: unknown }
  | { readonly ok: false; readonly error: { readonly code: ToolError["code"]; readonly message: string } }
)

/** Asks a person about one exact call. */
export type Approve = (tool: AnyTool, args: unknown) => Effect.Effect<boolean>

/** Who calls: on whose behalf, with which tools, in which folder. */
export interface Caller {
  readonly pid: number
  readonly tools: ReadonlyArray<AnyTool>
  readonly workspace: Workspace
  readonly approve: Approve
  readonly progress: (text: string) => Effect.Effect<void>
  readonly handles: ToolContext["handles"]
  /** Absent where no process makes the call. */
  readonly self?: Self
  /** Of a caller in a branch: takes a call that reaches past it, which is then not made now. */
  readonly later?: (request: Request) => void
}

/** Bytes of one call's arguments as JSON, and how deep they may nest. */
const limits = { bytes: 1024 * 1024, depth: 64 }

const ajv = new Ajv2020({ strict: false, allErrors: false, validateFormats: false, logger: false })
const compiled = new WeakMap<JsonSchema, ValidateFunction>()

/** The check that a schema stands for. Throws for a schema that is none. */
export const validator = (schema: JsonSchema): ValidateFunction => {
  const known = compiled.get(schema)
  if (known !== undefined) return known
  const validate = ajv.compile(schema)
  compiled.set(schema, validate)
  return validate
}

const deeperThan = (value: unknown, depth: number): boolean =>
  typeof value === "object" &&
  value !== null &&
  (depth === 0 || Object.values(value).some((v) => deeperThan(v, depth - 1)))

const explain = (error: ErrorObject | undefined): string => {
  if (error === undefined) return "does not fit its schema"
  const where = error.instancePath === "" ? "" : `${error.instancePath.slice(1).replaceAll("/", ".")} `
  const extra = error.keyword === "additionalProperties" ? `: ${error.params.additionalProperty}` : ""
  const allowed = error.keyword === "enum" ? `: ${JSON.stringify(error.params.allowedValues)}` : ""
  return `${where}${error.message}${extra}${allowed}`
}

/** What of a value a schema does not take, if anything. */
const problem = (schema: JsonSchema, value: unknown): string | undefined => {
  try {
    const validate = validator(schema)
    return validate(value) ? undefined : explain(validate.errors?.[0])
  } catch (e) {
    // A schema that refers to itself can go deeper than the stack.
    return `cannot be checked: ${messageOf(e)}`
  }
}

/** Why this call must not run, if so. */
const check = (caller: Caller, request: Request): AnyTool | ToolError => {
  const tool = caller.tools.find((t) => t.name === request.tool)
  if (tool === undefined) return badInput(`no such tool: ${request.tool.slice(0, 80)}`)
  if (deeperThan(request.args, limits.depth))
    return badInput(`bad arguments: nested deeper than ${limits.depth}`)
  const bytes = Buffer.byteLength(JSON.stringify(request.args ?? null))
  if (bytes > limits.bytes) return badInput(`bad arguments: ${bytes} bytes, at most ${limits.bytes}`)
  const wrong = problem(tool.input, request.args)
  return wrong === undefined ? tool : badInput(`bad arguments: ${wrong}`)
}

/** What a call may do to the world, where it is made. */
const effectOf = (tool: AnyTool, { net }: Workspace): AnyTool["effect"] =>
  tool.egress === true && net.hosts.length > 0 ? "irreversible" : tool.effect

/** What a tool runs in a branch reaches nothing: what it did there could not be undone. */
const offline = ({ workspace }: Caller): Workspace => {
  const no = refuse("denied", "nothing is reached from a branch")
  return { ...workspace, net: { hosts: [], fetch: () => no, check: () => no, proxy: no } }
}

/** An approval that breaks is none. */
const approved = (caller: Caller, tool: AnyTool, args: unknown) =>
  Effect.suspend(() => caller.approve(tool, args)).pipe(Effect.catchDefect(() => Effect.succeed(false)))

/** What is wrong with a result, if anything is. */
const misfit = (tool: AnyTool, result: unknown): string | undefined => {
  if (!isJson(result)) return "is not plain data"
  const wrong = tool.output === undefined ? undefined : problem(tool.output, result)
  return wrong === undefined ? undefined : `does not fit its output schema: ${wrong}`
}

/** The text a model sees of a result. */
export const textOf = (tool: AnyTool, given: unknown): string => {
  if (given instanceof Rendered) return given.text
  if (tool.toModel !== undefined) return tool.toModel(given)
  return typeof given === "string" ? given : (JSON.stringify(given) ?? "done")
}

export class Syscalls extends Context.Service<
  Syscalls,
  {
    /** Runs one call to its end. Interrupting it cancels the call, whose outcome is then journalled as cancelled. */
    readonly dispatch: (caller: Caller, request: Request) => Effect.Effect<Outcome, JournalError>
  }
>()("noos/Syscalls") {
  static readonly layer = Layer.effect(
    Syscalls,
    Effect.gen(function* () {
      const journal = yield* Journal

      const turnDown = Effect.fnUntraced(function* (caller: Caller, request: Request, error: ToolError) {
        if (request.page !== undefined)
          yield* journal.appendPage(caller.pid, { role: "call", ...request.page })
        const { code, message } = error
        yield* journal.event(caller.pid, "refused", { tool: request.tool.slice(0, 80), code, message })
        return refusal(error)
      })

      const dispatch = Effect.fn("Syscalls.dispatch")(function* (caller: Caller, request: Request) {
        const tool = check(caller, request)
        if (tool instanceof ToolError) return yield* turnDown(caller, request, tool)
        const { later } = caller
        if (tool.effect === "irreversible" && later !== undefined) {
          const { args, page } = request
          if (page !== undefined) yield* journal.appendPage(caller.pid, { role: "call", ...page })
          yield* journal.event(caller.pid, "pending", { tool: tool.name, args })
          later({ tool: tool.name, args })
          return { id: undefined, ms: 0, ok: true, result: { pending: true }, text: pendingText } as const
        }
        if (tool.effect === "irreversible" && !(yield* approved(caller, tool, request.args))) {
          const message = `denied: ${tool.name} reaches outside the workspace and nobody approved this call`
          return yield* turnDown(caller, request, new ToolError({ code: "denied", message }))
        }

        const attempt = Effect.fnUntraced(function* (key: string) {
          const given = yield* Effect.suspend(() => {
            const { handles, pid, progress, self } = caller
            const workspace = later !== undefined && tool.egress === true ? offline(caller) : caller.workspace
            const running = tool.execute(request.args as never, {
              workspace,
              idempotencyKey: key,
              progress,
              self,
              handles,
              history: asToolError(journal.history(pid, tool.name)),
              signal: never
            })
            if (Effect.isEffect(running)) return running
            return new ToolError({ code: "failed", message: `${tool.name}: execute must return an Effect` })
          })
          const result = given instanceof Rendered ? given.result : given
          const wrong = misfit(tool, result)
          const text: unknown = wrong === undefined ? textOf(tool, given) : undefined
          const from = given instanceof Rendered && given.source !== undefined ? { source: given.source } : {}
          if (typeof text === "string") return { ok: true as const, result, text, ...from }
          const why = wrong ?? "has no text for the model"
          return yield* new ToolError({ code: "failed", message: `${tool.name}: its result ${why}` })
        })
        // Between intent and outcome only the tool itself can be interrupted: what has happened is always written down.
        return yield* Effect.uninterruptibleMask((restore) =>
          Effect.gen(function* () {
            const began = yield* Clock.currentTimeMillis
            const { id, key } = yield* journal.syscallIntent(caller.pid, {
              tool: tool.name,
              args: request.args,
              effect: later === undefined ? effectOf(tool, caller.workspace) : tool.effect,
              ...(request.page === undefined ? {} : { page: request.page })
            })
            const outcome = yield* restore(attempt(key)).pipe(
              Effect.catch((e) => Effect.succeed(failure(e))),
              // A tool that throws costs its own call and nothing else.
              Effect.catchDefect((defect) =>
                Effect.succeed(
                  failure(
                    new ToolError({ code: "failed", message: `${tool.name} crashed: ${messageOf(defect)}` })
                  )
                )
              ),
              Effect.onInterrupt(() => Effect.ignore(journal.syscallOutcome(id, failure(cancelled))))
            )
            yield* journal.syscallOutcome(id, outcome)
            return { ...outcome, id, ms: (yield* Clock.currentTimeMillis) - began } satisfies Outcome
          })
        )
      })

      return { dispatch }
    })
  )
}

/** Whether a result survives being written down: no cycles, functions or big integers. */
const isJson = (value: unknown): boolean => {
  try {
    return value === undefined || JSON.stringify(value) !== undefined
  } catch {
    return false
  }
}

/** For tools that were not made with `defineTool`, whose interruption is all there is. */
const never = new AbortController().signal

const cancelled = new ToolError({ code: "failed", message: "cancelled" })

/** The outcome of a call that never began. */
export const refusal = (error: ToolError): Outcome => ({ id: undefined, ms: 0, ...failure(error) })

const failure = (error: ToolError) => ({
  ok: false as const,
  error: { code: error.code, message: error.message },
  text: error.message
})
