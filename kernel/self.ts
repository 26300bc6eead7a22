/** What a process's own calls may ask of the kernel: the kernel's functions, narrowed to what is its own. */
import { Deferred, Effect, Queue } from "effect"
import { divided } from "./budget.ts"
import type { Journal } from "./journal.ts"
import type { Kernel } from "./kernel.ts"
import type { Memories } from "./memory/memories.ts"
import { recallOf } from "./memory/recall.ts"
import type { Window } from "./memory/window.ts"
import type { Message, Process } from "./process.ts"
import { asToolError, refuse, type Self, ToolError } from "./tool.ts"

/** What it is made of. */
export interface Calls extends Pick<Kernel["Service"], "spawn" | "fork" | "kill"> {
  readonly find: (pid: number) => Process | undefined
  /** Takes a zombie out of the table. */
  readonly forget: (p: Process) => void
  readonly journal: Journal["Service"]
  readonly memories: Memories["Service"]
  readonly window: Window
}

/** Characters of one message. */
const longest = 16_384

export const selfOf = (p: Process, kernel: Calls): Self => ({
  pid: p.pid,

  spawn: ({ task, tokens, tools }) => {
    const own = p.tools.slice(0, -1)
    const unknown = tools?.find((name) => !own.some((t) => t.name === name))
    if (unknown !== undefined) return refuse("denied", `this process itself may not call ${unknown}`)
    const { approve, instructions, pid, priority, program, run, workspace } = p
    const granted = tools === undefined ? own : own.filter((t) => tools.includes(t.name))
    const budget = tokens === undefined ? {} : { tokens }
    const same = { run, program, workspace, instructions, priority, approve }
    return asToolError(kernel.spawn({ ...same, parent: pid, task, tools: granted, budget }))
  },

  // All or none: what they need is set aside before the first is made.
  fork: (texts) =>
    divided(p, texts.length).pipe(
      Effect.flatMap((budget) => Effect.forEach(texts, (text) => kernel.fork(p.pid, { text, budget }))),
      asToolError
    ),

  wait: Effect.fnUntraced(function* (pid) {
    const children = [...p.children].filter((child) => pid === undefined || child.pid === pid)
    if (children.length === 0)
      return yield* refuse("not_found", pid === undefined ? "no child to wait for" : `no child ${pid}`)
    const exited = yield* Effect.raceAllFirst(children.map((child) => Deferred.await(child.exited)))
    for (const child of children) {
      if (child.pid !== exited.pid) continue
      p.children.delete(child)
      kernel.forget(child)
    }
    return exited
  }),

  send: Effect.fnUntraced(function* (pid, text) {
    const to = kernel.find(pid)
    if (to === undefined || to.run !== p.run || to.state === "zombie")
      return yield* refuse("not_found", `no process ${pid} to send to`)
    if (text.length > longest)
      return yield* refuse("too_large", `a message has at most ${longest} characters, got ${text.length}`)
    yield* asToolError(kernel.journal.event(p.pid, "message", { to: pid, text }))
    if (!Queue.offerUnsafe(to.mailbox, { from: p.pid, text })) {
      const message = `the mailbox of process ${pid} is full`
      return yield* new ToolError({ code: "limit", message, retryable: true })
    }
  }),

  receive: (seconds) =>
    Queue.take(p.mailbox).pipe(
      Effect.timeoutOrElse({
        duration: seconds * 1000,
        orElse: (): Effect.Effect<Message, ToolError> =>
          refuse("timeout", `no message came within ${seconds} s`)
      })
    ),

  ...recallOf(p, kernel),

  kill: (pid, signal) => {
    let at = kernel.find(pid)
    while (at !== undefined && at !== p) at = at.parent
    if (at === undefined || pid === p.pid) return refuse("not_found", `no descendant ${pid}`)
    return kernel.kill(pid, signal)
  }
})
