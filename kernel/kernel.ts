/**
 * The kernel as everybody else sees it: how processes are made, awaited and signalled. The loop that runs them is loop.ts.
 */
import { Clock, Context, Deferred, Effect, Layer, Queue, Scope } from "effect"
import type { Workspace } from "../sandbox/sandbox.ts"
import { type Budget, budgetOf, lend, nothing, pooledBudget, spend } from "./budget.ts"
import { exit } from "./calls.ts"
import { Engine, type EngineError } from "./engine/engine.ts"
import { callGrammar } from "./engine/gbnf.ts"
import { type KernelEvent, Observer } from "./event.ts"
import { makeHandles } from "./handles.ts"
import { makeImages } from "./image.ts"
import { Journal, type JournalError, type Label } from "./journal.ts"
import { makeLoop } from "./loop.ts"
import { recall } from "./memory/calls.ts"
import { append, born } from "./memory/context.ts"
import { Memories } from "./memory/memories.ts"
import { makeMemory } from "./memory/memory.ts"
import { Pager } from "./memory/pager.ts"
import { makeWindow } from "./memory/window.ts"
import {
  alive,
  type Came,
  type Exit,
  type Message,
  type Process,
  type Program,
  type Signal,
  type Stop,
  silent,
  type Traced,
  unused
} from "./process.ts"
import { askSummary, message, resultText, type Span } from "./prompt.ts"
import { newborn } from "./scheduler.ts"
import { type Calls, selfOf } from "./self.ts"
import type { Approve, Request } from "./syscall.ts"
import { type AnyTool, badInput, ToolError } from "./tool.ts"
import { makeTracer, type Tracer } from "./trace.ts"

/** A process to start. */
export interface Spawn {
  /** The journal's run that it belongs to. */
  readonly run: number
  readonly program: Program
  readonly task: string
  readonly workspace: Workspace
  /** What it is told of its folder before its task. What of it is long is shown in part, and can be recalled. */
  readonly instructions?: ReadonlyArray<Instructions>
  /** What it may call; `recall` and `exit` are added by the kernel. */
  readonly tools: ReadonlyArray<AnyTool>
  /** Steps of nice(1), upwards: each is a quarter more of the engine. Default 0. */
  readonly priority?: number
  readonly budget?: Partial<Budget>
  /** Asked before an irreversible call; default: always no. */
  readonly approve?: Approve
  /** Makes it a child: its tools must be among the parent's, its budget is a slice of the parent's. */
  readonly parent?: number
  /** It goes from stop to stop, as its tracer lets it (trace.ts). It has read its task at the first. */
  readonly traced?: boolean
}

/** Words that are not the person's task: the instructions of a folder, a list of skills. */
export interface Instructions {
  readonly text: string
  /** Whose words they are. */
  readonly label: Label
}

/** How a fork differs from the process that it is forked from. */
export interface Fork {
  /** What it reads next, as the result of the call that the other is in. Without it, it goes on where the other is. */
  readonly text?: string
  /** How its tokens are chosen; default: as the other's. */
  readonly seed?: number
  readonly temperature?: number
  readonly budget?: Partial<Budget>
  /**
   * A fork of a traced process, at the same stop, in a branch of its own. It is a child of `parent`, who traces the
   * other too, or is it, and whose budget it spends; calls that reach past the branch wait until it is adopted.
   */
  readonly branch?: { readonly parent: number; readonly workspace: Workspace }
}

/** Characters of a summary. */
const longestSummary = 400
/** The lowest priority. */
const leisure = -20

/** Messages that wait in a mailbox before senders are told that it is full. */
const mailboxSize = 64

export class Kernel extends Context.Service<
  Kernel,
  Tracer & {
    /** Starts a process and gives its pid. */
    readonly spawn: (options: Spawn) => Effect.Effect<number, JournalError | EngineError | ToolError>
    /**
     * Makes a child that is a copy of a process between two of its tokens: its context, its KV cache, and its place in the
     * call that it is writing. One that waits for a call's result can be forked only with a text in its place. Like every
     * child it ends when its parent does: stop the parent if the copy shall outlive its turn.
     */
    readonly fork: (
      pid: number,
      options?: Fork
    ) => Effect.Effect<number, JournalError | EngineError | ToolError>
    /** Waits until a process has exited. Waiting again gives the same answer, from the journal. */
    readonly wait: (pid: number) => Effect.Effect<Exit, JournalError | EngineError | ToolError>
    /** Sends a signal, to be delivered before the process's next token. An exited process takes no notice. */
    readonly kill: (pid: number, signal: Signal) => Effect.Effect<void, ToolError>
    /** Those alive, and zombies that nobody has waited for. */
    readonly processes: Effect.Effect<ReadonlyArray<Process>>
  }
>()("noos/Kernel") {
  static readonly layer = Layer.suspend(() => Layer.effect(Kernel, make))
}

const make = Effect.gen(function* () {
  const engine = yield* Engine
  const journal = yield* Journal
  const kernelScope = yield* Effect.scope
  const memories = yield* Memories
  const watcher = yield* Observer
  /** A watcher that throws is its own fault, and costs the process nothing. */
  const observe = (event: KernelEvent) => {
    try {
      watcher(event)
    } catch {}
  }
  const window = makeWindow(engine)
  const policy = yield* Pager
  const memory = makeMemory({ window, journal, policy, observe, going: (pid, pages) => sumUp(pid, pages) })
  const loop = yield* makeLoop(window, memory, observe, (p) => selfOf(p, calls))
  const { atRest, fault, halt, ready, served, table, wake } = loop
  const tracer = yield* makeTracer({ engine, window, loop })
  const imageOf = yield* makeImages(engine, window.mostInString)

  type Born = Pick<Process, "parent" | "run" | "program" | "image" | "tools" | "task" | "priority"> &
    Pick<Process, "instructions"> &
    Pick<Process, "budget" | "workspace" | "approve" | "memory" | "sequence" | "context" | "pending"> &
    Pick<Process, "turn" | "said" | "past" | "traced" | "pooled">

  /** Puts a process into the table, with nothing done yet. */
  const begin = Effect.fnUntraced(function* (pid: number, born: Born) {
    const scope = yield* Scope.fork(kernelScope)
    // Made first, and so closed last: a call is over before what it uses is released.
    const held = yield* Scope.fork(scope)
    const p: Process = {
      ...born,
      pid,
      started: yield* Clock.currentTimeMillis,
      usage: { ...unused },
      scope,
      handles: makeHandles(held),
      exited: yield* Deferred.make<Exit>(),
      mailbox: yield* Queue.dropping<Message>(mailboxSize),
      children: new Set(),
      lent: nothing,
      state: "ready",
      since: served(),
      share: newborn,
      calling: undefined,
      remark: {},
      summariser: undefined,
      summary: undefined,
      outcome: undefined,
      signals: [],
      terminating: false,
      doomed: undefined,
      denied: false
    }
    table.set(pid, p)
    spend(p, "cachedTokens", p.sequence?.length ?? 0)
    const { parent, run, task } = p
    parent?.children.add(p)
    const kin =
      parent === undefined ? {} : { parent: parent.pid, ...(p.pooled ? { branch: true as const } : {}) }
    observe({ type: "start", pid, run, task, ...kin })
    const late = Effect.sync(() => {
      p.doomed ??= { status: "budget", reason: `more than ${p.budget.seconds} s` }
    })
    yield* Effect.sleep(p.budget.seconds * 1000).pipe(
      Effect.andThen(late),
      Effect.andThen(wake),
      Effect.forkIn(p.scope)
    )
    return p
  })

  /** What a process is told, as far as it is shown. */
  const view = (instructions: ReadonlyArray<Instructions>) =>
    instructions.map(({ label, text }, i) => {
      const shown = window.view(text, i + 2, Math.floor(window.instructions / instructions.length))
      return { text, label, tokens: message(engine, "user", shown), whole: shown === text }
    })

  const spawn = Effect.fn("Kernel.spawn")(function* (options: Spawn) {
    const { budget: wanted = {}, priority = 0, program, run, task, workspace } = options
    const { approve = () => Effect.succeed(false), instructions = [] } = options
    if (typeof task !== "string" || task.trim() === "") return yield* badInput("the task is empty")
    const names = options.tools.map((t) => t.name)
    const twice = names.find((name, i) => names.indexOf(name) !== i)
    if (twice !== undefined) return yield* badInput(`two tools have the name "${twice}"`)
    if (names.includes(exit.name)) return yield* badInput(`the name "${exit.name}" is the kernel's own`)
    const other = options.tools.find((tool) => tool.name === recall.name && tool !== recall)
    if (other !== undefined) return yield* badInput(`the name "${recall.name}" is the kernel's own`)
    // Whose pages can be taken away can get them back.
    const tools = [...options.tools, ...(names.includes(recall.name) ? [] : [recall]), exit]
    const image = yield* imageOf(program, tools, table.values())
    const page = message(engine, "user", task)
    const told = view(instructions)
    const context = born(image.prefix, page, told)
    const { size } = context
    if (size > window.high)
      return yield* badInput(
        `the task and the tools take ${size} tokens of a window of ${window.size}: shorten the task, or use a model with a larger window`
      )
    const birth = Effect.gen(function* () {
      const parent = options.parent === undefined ? undefined : yield* living(options.parent)
      const foreign = parent && tools.find((tool) => !parent.tools.includes(tool))
      if (foreign !== undefined)
        return yield* new ToolError({ code: "denied", message: `the parent may not call ${foreign.name}` })
      const budget = yield* budgetOf(parent, wanted, yield* Clock.currentTimeMillis)
      const family = parent === undefined ? {} : { parent: parent.pid }
      const pid = yield* journal.spawn({ run, ...family, program: program.name, priority, budget })
      yield* journal.appendPage(pid, { role: "system", ...image.system })
      for (const { label, text, tokens, whole } of told) {
        const size = { tokens: tokens.length, cut: !whole }
        yield* journal.appendPage(pid, { role: "instructions", text, label, ...size })
      }
      yield* journal.appendPage(pid, { role: "task", text: task, tokens: page.length })
      const asked = {
        parent,
        run,
        program,
        image,
        tools,
        task,
        priority,
        budget,
        workspace,
        approve,
        instructions
      }
      const pending = window.lacking(context, 0)
      const none = { sequence: undefined, turn: undefined, said: silent, past: [], pooled: false }
      const traced = options.traced === true ? newlyTraced(undefined) : undefined
      const memory = yield* Scope.fork(kernelScope)
      const child = yield* begin(pid, { ...asked, ...none, memory, context, pending, traced })
      if (parent !== undefined) lend(parent, child)
      return pid
    })
    return yield* atRest(birth)
  })

  const fork = Effect.fn("Kernel.fork")(function* (origin: number, options: Fork = {}) {
    const { branch, budget: asked = {}, text } = options
    const birth = Effect.gen(function* () {
      const p = yield* living(origin)
      if (p.calling !== undefined && text === undefined) {
        const message = `process ${origin} waits for the result of ${p.calling}`
        return yield* new ToolError({ code: "unavailable", message, retryable: true })
      }
      if (p.calling === undefined && text !== undefined)
        return yield* badInput(`process ${origin} is in no call whose result the text could be`)
      if ((branch === undefined) !== (p.traced === undefined))
        return yield* badInput("branches are forked from traced processes, and nothing else is")
      if (p.traced !== undefined && !(p.traced.halted && p.turn === undefined)) {
        const message = `process ${origin} is not about to write a call`
        return yield* new ToolError({ code: "unavailable", message })
      }
      const parent = branch === undefined ? p : yield* living(branch.parent)
      if (parent !== p && p.parent !== parent)
        return yield* badInput(`process ${origin} is no child of ${parent.pid}`)
      const pooled = branch !== undefined
      const now = yield* Clock.currentTimeMillis
      const budget = yield* pooled ? pooledBudget(parent, now) : budgetOf(p, asked, now)
      const cache = yield* Scope.fork(kernelScope)
      const sequence = p.sequence && (yield* Scope.provide(engine.fork(p.sequence), cache))
      const { approve, image, instructions, priority, run, task, tools } = p
      const { seed = p.program.sampling.seed, temperature = p.program.sampling.temperature } = options
      const program = { ...p.program, sampling: { ...p.program.sampling, seed, temperature } }
      const kin = { run, parent: parent.pid, origin, program: program.name, priority, budget }
      const pid = yield* journal.spawn(kin)
      const { context, past, pending, said, turn } = p
      const same = {
        parent,
        run,
        image,
        tools,
        priority,
        instructions,
        approve,
        context,
        past,
        pending,
        said,
        pooled,
        workspace: branch?.workspace ?? p.workspace,
        traced: p.traced && newlyTraced(p.traced.later ?? [], p.traced.came)
      }
      const own = { program, task: text ?? task, budget, memory: cache, sequence, turn }
      const child = yield* begin(pid, { ...same, ...own })
      if (text !== undefined) {
        // Its page for the call is shared if the call has begun.
        const { shared } = (yield* journal.process(pid))!
        yield* memory.enter(child, { text: resultText(true, text), page: shared + 1, source: "fork" })
        child.usage.cachedTokens = child.sequence!.length
      }
      lend(parent, child)
      if (child.traced !== undefined) yield* halt(child, { at: "turn", came: p.traced?.came })
      else if (sequence !== undefined) yield* ready(child, "fork")
      return pid
    })
    return yield* atRest(birth)
  })

  const exitOnly = yield* Effect.cached(
    Effect.suspend(() => engine.grammar(callGrammar([exit], { maxStringLength: longestSummary })))
  )

  /**
   * Lets a fork sum up the pages that go, before they do. It has read them already, can do nothing but answer, and runs
   * when nobody else wants to. No summary is worth a fault: where there is no room or no budget, there is none.
   */
  const sumUp = Effect.fnUntraced(function* (
    origin: number,
    pages: ReadonlyArray<Span>
  ): Effect.fn.Return<void, JournalError | EngineError> {
    const p = table.get(origin)
    if (p?.program.summaries !== true || p.summariser !== undefined) return
    const text = askSummary(pages)
    const { result, tokens } = window.exchange(p.said.tokens, text)
    const page = { page: p.context.pages + 2, about: p.said.about, tokens, pinned: false, whole: true }
    const context = append(p.context, { ...page, label: { integrity: "trusted", source: "kernel" } })
    const needed = window.most / 2
    if (context.size + window.opening.length + needed > window.size) return
    const wanted = { tokens: tokens.length + Math.ceil(needed), syscalls: 1, processes: 0 }
    const now = yield* Clock.currentTimeMillis
    const budget = yield* budgetOf(p, wanted, now).pipe(Effect.catchTag("ToolError", () => Effect.undefined))
    if (budget === undefined) return
    const cache = yield* Scope.fork(kernelScope)
    const sequence = yield* Scope.provide(engine.fork(p.sequence!), cache)
    const { approve, instructions, run, said, workspace } = p
    const program = { ...p.program, name: "summary", summaries: false }
    const kin = { run, parent: origin, origin, program: program.name, priority: leisure, budget }
    const pid = yield* journal.spawn(kin)
    yield* journal.appendPage(pid, { role: "result", text, tokens: result })
    const image = { ...p.image, grammar: yield* exitOnly }
    const pending = window.lacking(context, sequence.length)
    const same = { parent: p, run, program, image, instructions, workspace, approve, budget, said, context }
    const own = { task: text, priority: leisure, tools: [exit], memory: cache, sequence, pending }
    const free = { traced: undefined, pooled: false }
    const child = yield* begin(pid, { ...same, ...own, ...free, turn: undefined, past: [] })
    lend(p, child)
    // Nobody waits for it, and nobody else's child is it.
    p.children.delete(child)
    p.summariser = child
    yield* ready(child, "fork")
  })

  const living = Effect.fnUntraced(function* (pid: number) {
    const p = table.get(pid)
    if (p === undefined) return yield* missing(pid)
    if (alive(p)) return p
    return yield* new ToolError({ code: "not_found", message: `process ${pid} has exited` })
  })

  const kill = Effect.fn("Kernel.kill")(function* (pid: number, signal: Signal) {
    const p = table.get(pid) ?? (yield* missing(pid))
    p.signals.push(signal)
    yield* wake
  })

  /** A zombie that has been waited for is only in the journal. */
  const buried = Effect.fnUntraced(function* (pid: number): Effect.fn.Return<Exit, JournalError | ToolError> {
    const row = yield* journal.process(pid)
    if (row === undefined || row.status === null) return yield* missing(pid)
    const usage = row.usage as unknown as Exit["usage"]
    return { pid, status: row.status, answer: row.answer, reason: row.why, usage }
  })

  const wait = Effect.fn("Kernel.wait")(function* (pid: number) {
    const p = table.get(pid)
    if (p === undefined) return yield* buried(pid)
    const exited = yield* Effect.raceFirst(Deferred.await(p.exited), Deferred.await(fault))
    // A child stays until its parent has waited for it.
    if (p.parent === undefined) table.delete(pid)
    return exited
  })

  const calls: Calls = {
    spawn,
    fork,
    kill,
    find: (pid) => table.get(pid),
    forget: (p) => table.delete(p.pid),
    journal,
    memories,
    window
  }

  const processes = Effect.sync(() => [...table.values()])
  return Kernel.of({ spawn, fork, wait, kill, processes, ...tracer })
})

const newlyTraced = (later: ReadonlyArray<Request> | undefined, came?: Came): Traced => ({
  halted: false,
  stop: Deferred.makeUnsafe<Stop>(),
  came,
  asked: undefined,
  later: later && [...later]
})

const missing = (pid: number) =>
  Effect.fail(new ToolError({ code: "not_found", message: `no process ${pid}` }))
