/**
 * The JavaScript interpreter of a process, as interpreter.ts talks to it: a program of its own, run by Node.js in the
 * sandbox. Cells come on descriptor 5 as a line with their number of bytes, the code, and 32 characters that mark the
 * answer. 6 and 7 are copies of standard output and error, which cells may close; standard input is empty.
 *
 * Cells are run by V8's own REPL mode, that of the console in Chrome: `await` at the top, `let` and `const` that the next
 * cells see and may declare again (Chrome DevTools Protocol, Runtime.evaluate, replMode).
 */
import { fstatSync } from "node:fs"
import { type Runtime, Session } from "node:inspector"
import { createRequire } from "node:module"
import { Socket } from "node:net"
import { inspect } from "node:util"
import { constants, Script } from "node:vm"

/** Characters of a value or an error. */
const maxText = 8000
const here = `${process.cwd()}/cell`
// Cells may replace what everybody uses.
const { stringify } = JSON
const { concat } = Buffer
const exit = process.exit.bind(process)

const channel = new Socket({ fd: 5, readable: true, writable: false })
const output = new Socket({ fd: 6, readable: false, writable: true })
const errors = new Socket({ fd: 7, readable: false, writable: true })

/** What a cell says is said when it goes on: an endless loop must not hold it back, nor an exit lose it. */
for (const { _handle } of [process.stdout, process.stderr] as ReadonlyArray<{
  readonly _handle?: { readonly setBlocking: (blocking: boolean) => void }
}>) {
  _handle?.setBlocking(true)
}

const session = new Session()
session.connect()

const cut = (text: string): string =>
  text.length <= maxText ? text : `${text.slice(0, maxText)}… (${text.length} characters)`

/** Frames of Node.js itself, and those below the cell, which are ours. */
const ours = /\n\s+at (Session\.post \(node:inspector[^\n]*(\n\s+at [^\n]*)*|[^\n]*\(?node:internal[^\n]*)/g

const show = (value: unknown): string => {
  try {
    return cut(inspect(value, { maxStringLength: Number.POSITIVE_INFINITY }).replace(ours, ""))
  } catch (problem) {
    return `<${typeof value} that cannot be shown: ${problem instanceof Error ? problem.name : typeof problem}>`
  }
}

const globals: Record<string, unknown> = {
  require: createRequire(here),
  $show: show,
  /** `import()` seen from the workspace: V8 gives code that the inspector runs none of its own. */
  $import: new Script("(specifier, options) => import(specifier, options)", {
    filename: here,
    importModuleDynamically: constants.USE_MAIN_CONTEXT_DEFAULT_LOADER
  }).runInThisContext()
}
for (const [name, value] of Object.entries(globals)) {
  Object.defineProperty(globalThis, name, { value, writable: true, configurable: true })
}

const evaluate = (expression: string) =>
  new Promise<Runtime.EvaluateReturnType>((resolve, reject) => {
    const parameters = { expression, replMode: true, objectGroup: "cell" }
    // Its types do not know replMode, and so not this call.
    session.post("Runtime.evaluate", parameters, (problem: Error | null, done: object | undefined) =>
      problem === null ? resolve(done as Runtime.EvaluateReturnType) : reject(problem)
    )
  })

/** `show` as the inspector knows it; cells cannot take it away. */
const shower = await new Promise<string>((resolve) =>
  session.post("Runtime.evaluate", { expression: "$show" }, (_, { result }) => resolve(result.objectId!))
)

/** Has `show` called with a value of the inspector's. */
const showRemote = ({ objectId, unserializableValue, value }: Runtime.RemoteObject) => {
  const argument =
    objectId !== undefined
      ? { objectId }
      : unserializableValue !== undefined
        ? { unserializableValue }
        : { value }
  return new Promise<string>((resolve, reject) =>
    session.post(
      "Runtime.callFunctionOn",
      {
        functionDeclaration: "function (value) { return this(value) }",
        objectId: shower,
        arguments: [argument],
        returnByValue: true
      },
      (problem, done) => (problem === null ? resolve(String(done.result.value)) : reject(problem))
    )
  )
}

const compiles = (code: string): boolean => {
  try {
    new Script(`(async () => {\n${code}\n})`)
    return true
  } catch {
    return false
  }
}

/** Calls `$import` for `import`. Where something that is no code at all still compiles, the word is in a text or comment. */
const withImports = (code: string): string => {
  let whole = code
  for (const { index } of [...code.matchAll(/(?<![.\w$])import(?=\s*\()/g)].reverse()) {
    const [before, after] = [whole.slice(0, index), whole.slice(index + "import".length)]
    if (!compiles(`${before}\u0001${after}`)) whole = `${before}$import${after}`
  }
  return whole
}

const run = async (code: string, name: string): Promise<{ value?: string; error?: string }> => {
  const { result, exceptionDetails } = await evaluate(`${withImports(code)}\n//# sourceURL=${name}`)
  if (exceptionDetails === undefined)
    return result.type === "undefined" ? {} : { value: await showRemote(result) }
  const { exception, lineNumber, columnNumber } = exceptionDetails
  const text = exception === undefined ? exceptionDetails.text : await showRemote(exception)
  if (exception?.subtype !== "error") return { error: `Uncaught ${text}` }
  const place = exception.className === "SyntaxError" && !text.includes(`at ${name}:`)
  return { error: place ? `${text}\n    at ${name}:${lineNumber + 1}:${columnNumber + 1}` : text }
}

const write = (stream: NodeJS.WritableStream, data: string) =>
  new Promise<void>((resolve) => stream.write(data, () => resolve()))

/** Whether cells can still say something: what is closed cannot be opened again here. */
const streamsWork = (): boolean => {
  try {
    return (
      [1, 2].every((fd) => fstatSync(fd).isSocket()) && process.stdout.writable && process.stderr.writable
    )
  } catch {
    return false
  }
}

process.on("uncaughtException", (problem) => console.error(show(problem)))

const chunks = channel[Symbol.asyncIterator]()
let received = Buffer.alloc(0)
/** The next bytes of the channel, up to where `end` finds their end. */
const read = async (end: () => number | undefined): Promise<Buffer> => {
  for (;;) {
    const size = end()
    if (size !== undefined) {
      const bytes = received.subarray(0, size)
      received = received.subarray(size)
      return bytes
    }
    const more: IteratorResult<Buffer, undefined> = await chunks.next()
    if (more.done) return exit()
    received = concat([received, more.value])
  }
}
const line = () => (received.includes("\n") ? received.indexOf("\n") + 1 : undefined)
const bytes = (size: number) => () => (received.length >= size ? size : undefined)

const serve = async () => {
  for (let number = 1; ; number++) {
    const size = Number(await read(line))
    const code = (await read(bytes(size))).toString()
    const answer = await run(code, `cell-${number}`)
    session.post("Runtime.releaseObjectGroup", { objectGroup: "cell" })
    const mark = (await read(bytes(32))).toString()
    if (!streamsWork()) return exit()
    await Promise.all([write(process.stdout, ""), write(process.stderr, "")])
    await write(output, `${mark}${stringify(answer)}${mark}`)
    await write(errors, mark)
  }
}
serve().catch(() => exit(1)) // a cell took away what this needs
