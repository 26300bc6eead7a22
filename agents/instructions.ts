/** What a process is told of its folder before its task: AGENTS.md (https://agents.md), and which skills there are. */
import { Effect } from "effect"
import type { Instructions } from "../kernel/kernel.ts"
import type { AnyTool } from "../kernel/tool.ts"
import type { Workspace } from "../sandbox/sandbox.ts"
import { findSkills, type SkillFolder, skillsText, skillTool } from "../tools/skills.ts"

/** Bytes of AGENTS.md that are read. */
const most = 256 * 1024

const name = "AGENTS.md"

/** Where a folder has its skills. */
export const skillsFolder = ".agents/skills"

/** What a folder says for itself. Whoever can write a file there can write this: nothing of it is a person's word. */
export interface Briefing {
  readonly instructions: ReadonlyArray<Instructions>
  /** What reads the skills, if there are any. */
  readonly tools: ReadonlyArray<AnyTool>
}

/** AGENTS.md as a process reads it. */
export const folderText = (agents: string): string => `${name} of this folder:\n${agents}`

const untrusted = (source: string) => ({ integrity: "untrusted", source }) as const

/** Reads a folder's AGENTS.md and looks for skills in it and in folders of the person's. */
export const briefing = Effect.fn("briefing")(function* (
  workspace: Workspace,
  folders: ReadonlyArray<SkillFolder> = []
): Effect.fn.Return<Briefing> {
  const agents = yield* workspace.readFile(name, { maxBytes: most }).pipe(
    Effect.map(({ bytes }) => new TextDecoder().decode(bytes).trim()),
    // Missing, or no file: then it says nothing.
    Effect.orElseSucceed(() => "")
  )
  const skills = yield* findSkills([{ files: workspace, path: skillsFolder }, ...folders])
  return {
    instructions: [
      ...(agents === "" ? [] : [{ text: folderText(agents), label: untrusted(name) }]),
      ...(skills.length === 0 ? [] : [{ text: skillsText(skills), label: untrusted("skills") }])
    ],
    tools: skills.length === 0 ? [] : [skillTool(skills)]
  }
})
