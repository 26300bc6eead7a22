/** The programs that come with noos, and how to write one of your own. */
import type { Program } from "../kernel/process.ts"

/** Fast thinking: the model writes its calls token by token, greedily. */
export const fast = (seed: number): Program => ({
  name: "fast",
  instructions: "",
  thought: false,
  sampling: { temperature: 0, seed }
})

/** A program whose instructions are the text of a Markdown file. */
export const fromMarkdown = (name: string, markdown: string, seed: number): Program => ({
  ...fast(seed),
  name,
  instructions: markdown.trim()
})
