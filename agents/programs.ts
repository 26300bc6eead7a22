/** The programs that come with noos, and how to write one of your own. */
import type { Program } from "../kernel/process.ts"

/**
 * Declares a program: what the model is told besides the kernel's own words, and how its tokens are chosen.
 *
 * @example
 * const careful = defineAgent({ name: "careful", instructions: "Never delete a file.", thought: true })
 */
export const defineAgent = (program: Pick<Program, "name"> & Partial<Program>): Program => ({
  instructions: "",
  thought: false,
  sampling: { temperature: 0, seed: 0 },
  ...program
})

/** Fast thinking: the model writes its calls token by token, greedily. */
export const fast = (seed: number): Program =>
  defineAgent({ name: "fast", sampling: { temperature: 0, seed } })

/** A program whose instructions are the text of a Markdown file. */
export const fromMarkdown = (name: string, markdown: string, seed: number): Program => ({
  ...fast(seed),
  name,
  instructions: markdown.trim()
})
