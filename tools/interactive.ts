/**
 * Questions and answers with a program that also writes what it likes: a shell, an interpreter.
 *
 * Its answer stands on standard output between two marks, and one mark on standard error says that what was said there
 * before is all. A mark is random and made for one question, so nothing that is written by chance, or was written
 * before, is taken for it. It is no secret from the program itself, which can lie about its own answers only.
 */
import { randomBytes } from "node:crypto"
import { Effect, Exit, Option, Scope } from "effect"
import { badInput, type ToolError } from "../kernel/tool.ts"
import type { Completed, Output, Session } from "../sandbox/sandbox.ts"

/** The longest time a call may ask for, seconds. */
const maxSeconds = 3600

/** Refuses a time that no call may take. */
export const checkSeconds = (seconds: number): Effect.Effect<void, ToolError> =>
  seconds > 0 && seconds <= maxSeconds
    ? Effect.void
    : Effect.fail(badInput(`seconds must be above 0, up to ${maxSeconds}`))

export const newMark = (): string => randomBytes(16).toString("hex")

/** What was said besides the answer, and the answer with its mark, or why there is none. */
export interface Reply {
  readonly stdout: string
  readonly stderr: string
  readonly end:
    | { readonly mark: string; readonly answer: string }
    | { readonly ended: Completed }
    | "timeout"
    | "output"
}

/** Bytes of an answer: all variables of a program's environment fit, ARG_MAX of execve(2). */
const maxAnswer = 4 * 1024 * 1024

/** What one stream said, and has not been taken yet. */
interface Heard {
  bytes: Buffer
}

/** A program that is asked. What it says between two questions belongs to the next reply. */
interface Asked {
  readonly session: Session
  readonly heard: Readonly<Record<Output["stream"], Heard>>
}

/** The earliest of the marks in some bytes. */
const find = (bytes: Buffer, marks: ReadonlyArray<string>) =>
  marks
    .map((mark) => ({ mark, at: bytes.indexOf(mark) }))
    .filter(({ at }) => at >= 0)
    .sort((a, b) => a.at - b.at)[0]

/** The text of some bytes, of which `limit` are kept; a character that the limit cuts in two is left out. */
const text = (bytes: Buffer, limit: number): string =>
  new TextDecoder().decode(bytes.subarray(0, limit), { stream: bytes.length > limit })

/** Seconds until the answer, and bytes of each stream before it. */
export interface Bounds {
  readonly seconds: number
  readonly limit: number
}

/** Writes a question and reads to the end of the answer, within the bounds. */
const ask = Effect.fnUntraced(function* (
  { session, heard }: Asked,
  question: string,
  marks: ReadonlyArray<string>,
  { seconds, limit }: Bounds
): Effect.fn.Return<Reply, ToolError> {
  const { stdout, stderr } = heard

  /** The end of the reply in what has been heard so far, which is then taken out of it. */
  const look = (): Reply | undefined => {
    const found = find(stdout.bytes, marks)
    if ((found?.at ?? stdout.bytes.length) > limit) return say("output")
    const errors = find(stderr.bytes, found === undefined ? marks : [found.mark])
    if ((errors?.at ?? stderr.bytes.length) > limit) return say("output")
    if (found === undefined) return undefined
    const from = found.at + found.mark.length
    const to = stdout.bytes.indexOf(found.mark, from)
    if (to < 0) return stdout.bytes.length > from + maxAnswer ? say("output") : undefined
    if (errors === undefined) return undefined
    const reply = {
      stdout: text(stdout.bytes.subarray(0, found.at), limit),
      stderr: text(stderr.bytes.subarray(0, errors.at), limit),
      end: { mark: found.mark, answer: stdout.bytes.toString("utf8", from, to) }
    }
    stdout.bytes = stdout.bytes.subarray(to + found.mark.length)
    stderr.bytes = stderr.bytes.subarray(errors.at + found.mark.length)
    return reply
  }
  const say = (end: Reply["end"]): Reply => ({
    stdout: text(stdout.bytes, limit),
    stderr: text(stderr.bytes, limit),
    end
  })
  const listen = Effect.gen(function* () {
    for (;;) {
      const reply = look()
      if (reply !== undefined) return reply
      const next = yield* session.read
      if (next === undefined) return say({ ended: yield* session.ended })
      const stream = heard[next.stream]
      stream.bytes = Buffer.concat([stream.bytes, next.bytes])
    }
  })
  // One that has ended does not take the question, and what it said last tells why.
  const writing = Effect.andThen(Effect.ignore(session.write(question)), Effect.never)
  const reply = yield* Effect.raceFirst(listen, writing).pipe(Effect.timeoutOption(seconds * 1000))
  return Option.getOrElse(reply, () => say("timeout"))
})

/** Talks to a program. One that gives no answer is in an unknown state: it is ended, and another one is started. */
export interface Talk {
  /** Changes with every start. Starts the program if none runs. */
  readonly start: Effect.Effect<number, ToolError>
  readonly ask: (
    question: string,
    marks: ReadonlyArray<string>,
    bounds: Bounds
  ) => Effect.Effect<Reply, ToolError>
  /** Ends the program, if one runs. */
  readonly stop: Effect.Effect<void>
}

/** The program is gone with the scope. */
export const makeTalk = Effect.fn("makeTalk")(function* (
  starting: Effect.Effect<Session, ToolError, Scope.Scope>
) {
  const outer = yield* Effect.scope
  let count = 0
  let asking = false
  let current: (Asked & { readonly scope: Scope.Closeable }) | undefined

  const end = Effect.suspend(() => {
    const scope = current?.scope
    current = undefined
    return scope === undefined ? Effect.void : Scope.close(scope, Exit.void)
  })
  const begin = Effect.fnUntraced(function* (
    restore: <A, E>(effect: Effect.Effect<A, E>) => Effect.Effect<A, E>
  ) {
    const scope = yield* Scope.fork(outer)
    const session = yield* restore(Scope.provide(starting, scope)).pipe(
      Effect.onError(() => Scope.close(scope, Exit.void))
    )
    const started = {
      session,
      heard: { stdout: { bytes: Buffer.alloc(0) }, stderr: { bytes: Buffer.alloc(0) } },
      scope
    }
    current = started
    count++
    // One that ends while nobody asks is not asked again.
    yield* Effect.exit(session.ended).pipe(
      Effect.andThen(Effect.suspend(() => (current === started && !asking ? end : Effect.void))),
      Effect.forkIn(outer)
    )
    return started
  })
  const open = Effect.uninterruptibleMask((restore) => begin(restore))
  const talk: Talk = {
    stop: end,
    start: Effect.suspend(() => (current === undefined ? open : Effect.succeed(current))).pipe(
      Effect.map(() => count)
    ),
    ask: (question, marks, bounds) =>
      Effect.gen(function* () {
        const asked = current ?? (yield* open)
        asking = true
        return yield* ask(asked, question, marks, bounds)
      }).pipe(
        Effect.onExit((exit) => {
          asking = false
          const answered =
            Exit.isSuccess(exit) && typeof exit.value.end === "object" && "answer" in exit.value.end
          return answered ? Effect.void : end
        })
      )
  }
  return talk
})
