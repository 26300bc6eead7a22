/** Suites that people write: YAML, JSON, or JSONL with a task on each line, checked against noos.suite.schema.json. */
import { lstatSync, readdirSync, readFileSync, statSync } from "node:fs"
import { basename, dirname, extname, join, posix, relative, resolve, sep } from "node:path"
import { Ajv2020 } from "ajv/dist/2020.js"
import { Effect, Schema } from "effect"
import { type Document, isNode, LineCounter, parseDocument } from "yaml"
import schema from "../noos.suite.schema.json" with { type: "json" }
import { type CheckText, checkOf } from "./check.ts"
import type { Item, Suite } from "./suite.ts"

/** A suite that cannot be used: where, and what is wrong there. */
export class SuiteError extends Schema.TaggedError<SuiteError>()("SuiteError", {
  where: Schema.String,
  message: Schema.String
}) {}

/** A task as it is written. */
interface TaskText {
  readonly id?: string
  readonly task: string
  readonly files?: Readonly<Record<string, string>>
  readonly workspace?: string
  readonly check: CheckText
  readonly verifier?: boolean
}

/** A suite as it is written. */
interface SuiteText {
  readonly name?: string
  readonly about?: string
  readonly tokens?: number
  readonly grant?: ReadonlyArray<string>
  readonly tasks: ReadonlyArray<TaskText>
  readonly calibration?: ReadonlyArray<TaskText>
}

const usualTokens = 8192

/** Bytes of a suite's file, and of all files of a workspace; files of a workspace. */
const most = { suite: 64 * 2 ** 20, workspace: 16 * 2 ** 20, files: 5000 }

const fits = new Ajv2020({ strict: false }).compile<SuiteText>(schema)

/** Reads a suite. Fails with a SuiteError that says where in the file something is wrong. */
export const loadSuite = Effect.fn("loadSuite")((path: string) =>
  Effect.try({
    try: () => read(path),
    catch: (e) => (e instanceof SuiteError ? e : fault(path, e instanceof Error ? e.message : String(e)))
  })
)

const fault = (where: string, message: string) => new SuiteError({ where, message })

const read = (path: string): Suite => {
  if (!statSync(path).isFile()) throw fault(path, "it is not a file")
  if (statSync(path).size > most.suite) throw fault(path, `it has more than ${most.suite} bytes`)
  const source = extname(path) === ".jsonl" ? fromLines(path) : fromDocument(path)
  const { calibration = [], tasks, ...suite } = source.suite
  const wrongIn = (list: string, i: number) => (what: string) => fault(source.where([list, i]), what)
  const ids = tasks.map(({ id }, i) => id ?? `task-${i + 1}`)
  return {
    name: suite.name ?? basename(path, extname(path)),
    about: suite.about ?? "",
    tokens: suite.tokens ?? usualTokens,
    calibration: calibration.map((task, i) =>
      itemOf(task, `calibration-${i + 1}`, suite.grant, dirname(path), wrongIn("calibration", i))
    ),
    items: tasks.map((task, i) => {
      const wrong = wrongIn("tasks", i)
      if (ids.indexOf(ids[i]!) !== i) throw wrong(`two tasks have the id ${ids[i]}`)
      return itemOf(task, ids[i]!, suite.grant, dirname(path), wrong)
    })
  }
}

type Wrong = (what: string) => SuiteError

const itemOf = (
  { check, files, task, verifier, workspace }: TaskText,
  id: string,
  grant: ReadonlyArray<string> | undefined,
  folder: string,
  wrong: Wrong
): Item => {
  if (verifier === true && check.answer !== undefined)
    throw wrong("check.answer gives the answer away, so it cannot be a verifier")
  for (const path of Object.keys(files ?? {})) {
    if (posix.isAbsolute(path) || posix.normalize(path) !== path || path.startsWith(".."))
      throw wrong(`files: not a path inside the workspace: ${path}`)
  }
  let checked: Item["check"]
  try {
    checked = checkOf(check)
  } catch (e) {
    throw wrong(`check: ${(e as Error).message}`)
  }
  return {
    id,
    task,
    ...(grant === undefined ? {} : { grant }),
    files: workspace === undefined ? (files ?? {}) : filesOf(resolve(folder, workspace), wrong),
    check: checked,
    verifier: verifier ?? false
  }
}

/** The text files of a folder. What cannot be carried over as it is, is refused. */
const filesOf = (folder: string, wrong: Wrong): Readonly<Record<string, string>> => {
  if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() !== true)
    throw wrong(`workspace: not a folder: ${folder}`)
  const files: Record<string, string> = {}
  let bytes = 0
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    const from = join(entry.parentPath, entry.name)
    const path = relative(folder, from).split(sep).join("/")
    if (entry.isDirectory()) continue
    if (!entry.isFile()) throw wrong(`workspace: ${path} is neither a file nor a folder`)
    bytes += lstatSync(from).size
    if (bytes > most.workspace) throw wrong(`workspace: more than ${most.workspace} bytes`)
    try {
      files[path] = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(readFileSync(from))
    } catch {
      throw wrong(`workspace: ${path} is not a text file`)
    }
    if (Object.keys(files).length > most.files) throw wrong(`workspace: more than ${most.files} files`)
  }
  return files
}

/** What was read, and the line that a part of it is on. */
interface Source {
  readonly suite: SuiteText
  readonly where: (path: ReadonlyArray<string | number>) => string
}

const fromDocument = (path: string): Source => {
  const lines = new LineCounter()
  const document = parseDocument(readFileSync(path, "utf8"), { lineCounter: lines })
  const where = (at: ReadonlyArray<string | number>) => `${path}:${lineOf(document, lines, at)}`
  const [broken] = document.errors
  if (broken !== undefined)
    throw fault(`${path}:${lines.linePos(broken.pos[0]).line}`, broken.message.split("\n", 1)[0]!)
  return { suite: checked(document.toJS({ maxAliasCount: 100 }), where), where }
}

/** The line of the innermost part of a path that there is. */
const lineOf = (document: Document, lines: LineCounter, path: ReadonlyArray<string | number>): number => {
  for (let length = path.length; length > 0; length--) {
    const node = document.getIn(path.slice(0, length), true)
    if (isNode(node) && node.range) return lines.linePos(node.range[0]).line
  }
  return 1
}

const fromLines = (path: string): Source => {
  const tasks: Array<unknown> = []
  const at: Array<number> = []
  for (const [i, line] of readFileSync(path, "utf8").split("\n").entries()) {
    if (line.trim() === "") continue
    try {
      tasks.push(JSON.parse(line))
    } catch (e) {
      throw fault(`${path}:${i + 1}`, `not JSON: ${(e as Error).message}`)
    }
    at.push(i + 1)
  }
  const where = ([, task]: ReadonlyArray<string | number>) => `${path}:${at[Number(task ?? 0)] ?? 1}`
  return { suite: checked({ tasks }, where), where }
}

const checked = (value: unknown, where: Source["where"]): SuiteText => {
  if (fits(value)) return value
  const { instancePath = "", keyword, message = "", params } = fits.errors?.[0] ?? {}
  const path = instancePath
    .split("/")
    .slice(1)
    .map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"))
  const which = params?.additionalProperty ?? params?.propertyName
  const said = keyword === "not" ? "has both files and workspace: name one" : message
  const name = path.length === 0 ? "it" : path.join(".")
  throw fault(where(path), `${name} ${said}${which === undefined ? "" : `: ${which}`}`)
}
