/**
 * Skills: folders with a SKILL.md, whose front matter has a name and a line that says what it is for
 * (https://agentskills.io). A process is told of them in a line each; the rest is read when it is needed, as a page that
 * says which file it comes from.
 */
import { Effect } from "effect"
import { type AnyTool, badInput, defineTool, Rendered, refuse, ToolError } from "../kernel/tool.ts"
import type { Workspace } from "../sandbox/sandbox.ts"
import { onOneLine } from "./text.ts"

/** A folder of skills, and how its files are read. */
export interface SkillFolder {
  readonly files: Pick<Workspace, "readFile" | "list">
  readonly path: string
}

export interface Skill {
  readonly name: string
  readonly description: string
  /** The skill's own folder. */
  readonly folder: SkillFolder
}

/** Bytes of one file; skills that are told of; characters of what is said of each. */
const most = { bytes: 1024 * 1024, skills: 64, description: 200 }

const main = "SKILL.md"

/** A file of a skill as text. */
const read = Effect.fnUntraced(function* ({ files, path }: SkillFolder, name: string) {
  const where = `${path}/${name}`
  const { bytes, size } = yield* files.readFile(where, { maxBytes: most.bytes })
  if (size > most.bytes)
    return yield* refuse("too_large", `${where} has ${size} bytes, at most ${most.bytes}`)
  return yield* Effect.try({
    try: () => new TextDecoder("utf-8", { fatal: true }).decode(bytes),
    catch: () => new ToolError({ code: "not_text", message: `${where} is not text` })
  })
})

/** The front matter of a SKILL.md and what is below it. */
const frontMatter = /^\uFEFF?---\r?\n([\s\S]*?)\r?\n---\r?\n?/

/** What a SKILL.md says of itself; undefined if it does not say it. */
const head = async (text: string): Promise<Pick<Skill, "name" | "description"> | undefined> => {
  const said = frontMatter.exec(text)?.[1]
  if (said === undefined) return undefined
  // Loaded here, for most folders have no skills.
  const { parse } = await import("yaml")
  try {
    const { name, description } = parse(said) as Record<string, unknown>
    if (typeof name !== "string" || typeof description !== "string" || name === "") return undefined
    const line = description
      .replace(/[\s\p{Cc}\p{Cf}]+/gu, " ")
      .trim()
      .slice(0, most.description)
    return { name: onOneLine(name.slice(0, 64)), description: line }
  } catch {
    return undefined
  }
}

/** The skills in some folders, each a folder of its own; of two with one name the first counts. Others are passed over. */
export const findSkills = Effect.fnUntraced(function* (
  folders: ReadonlyArray<SkillFolder>
): Effect.fn.Return<ReadonlyArray<Skill>, never> {
  const found = new Map<string, Skill>()
  for (const { files, path } of folders) {
    for (const { name } of yield* files.list(path).pipe(Effect.orElseSucceed(() => []))) {
      const folder = { files, path: `${path}/${name}` }
      const text = yield* read(folder, main).pipe(Effect.orElseSucceed(() => ""))
      const said = yield* Effect.promise(() => head(text))
      if (said !== undefined && !found.has(said.name)) found.set(said.name, { ...said, folder })
    }
  }
  return [...found.values()].slice(0, most.skills)
})

/** What a process is told of them. */
export const skillsText = (skills: ReadonlyArray<Pick<Skill, "name" | "description">>): string =>
  ["Skills, each read with the tool skill before it is used:"]
    .concat(skills.map(({ description, name }) => `- ${name}: ${description}`))
    .join("\n")

export const skillName = "skill"

/** Reads these skills. */
export const skillTool = (skills: ReadonlyArray<Skill>): AnyTool =>
  defineTool({
    name: skillName,
    description: "Read a skill, or another file of it.",
    input: {
      type: "object",
      properties: { name: { enum: skills.map(({ name }) => name) }, file: { type: "string" } },
      required: ["name"],
      additionalProperties: false
    },
    effect: "pure",
    execute: Effect.fn(skillName)(function* ({
      file = main,
      name
    }: {
      readonly name: string
      readonly file?: string
    }) {
      const skill = skills.find((s) => s.name === name)
      if (skill === undefined) return yield* badInput(`no skill ${name}`)
      // A skill's files are those below its folder.
      const parts = file.split("/")
      if (parts.includes("..") || file.startsWith("/"))
        return yield* refuse("outside_workspace", `not a file of the skill ${name}: ${file}`)
      const text = yield* read(skill.folder, file)
      const body = file === main ? text.replace(frontMatter, "") : text
      return new Rendered(text, body.trim(), `${skill.folder.path}/${file}`)
    })
  })
