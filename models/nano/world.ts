/**
 * A simulated workspace: what the real tools would answer, so that traces can be written without running anything.
 * bench/nano.ts runs the same tasks through the real kernel and sandbox and compares.
 */
import { fileName, type Random, scramble, sentence, word } from "./language.ts"

/** One call of a trace, with the text that comes back. `tool` and `args` use the built-in names. */
export interface Call {
  readonly tool: string
  readonly args: { readonly [key: string]: unknown }
  readonly ok: boolean
  readonly text: string
}

/** One request of a task: how it is asked, what is done, what the person gets to know. */
export interface Step {
  readonly ask: string
  readonly calls: ReadonlyArray<Call>
  /** What the answer says about this step; nothing for a plain action. */
  readonly value?: string
  /** Set when the step cannot be done: the whole task ends here, as failed, with this answer. */
  readonly failed?: string
}

/** Files of a task: as they were, and as the calls so far have left them. */
export class World {
  readonly random: Random
  readonly initial = new Map<string, string>()
  readonly files = new Map<string, string>()
  /** The value of the step before, for "that number", "it". */
  last: string | undefined
  /** What that value is: "count", "total", "text", … */
  noun = "result"
  /** How many files there were to begin with when the whole folder was listed. */
  listed: number | undefined
  /** The file that the step before made or used, for "that file". */
  lastFile: string | undefined
  constructor(random: Random) {
    this.random = random
  }

  /** A file name that no file of this world has. */
  fresh(extensions?: ReadonlyArray<string>): string {
    for (;;) {
      const name = fileName(this.random, extensions)
      if (!this.files.has(name)) return name
    }
  }

  /** Puts a file into the workspace before the task begins. */
  given(content: string, extensions?: ReadonlyArray<string>): string {
    const name = this.fresh(extensions)
    this.initialFile(name, content)
    return name
  }

  /** Puts a named file into the workspace before the task begins. */
  initialFile(name: string, content: string): void {
    this.initial.set(name, content)
    this.files.set(name, content)
  }

  /** Lines of words. */
  text(min = 1, max = 6): string {
    const r = this.random
    return `${Array.from({ length: r.int(min, max) }, () => sentence(r, 1, 5)).join("\n")}\n`
  }

  /** Many short lines, where only their number matters. */
  long(): string {
    const r = this.random
    const n = r.chance(0.7) ? r.int(1, 60) : r.int(1, 999)
    return `${Array.from({ length: n }, () => word(r)).join("\n")}\n`
  }

  /** A column of whole numbers. */
  numbers(): Array<number> {
    const r = this.random
    const top = r.pick([9, 99, 999, 9999])
    return Array.from({ length: r.int(1, 8) }, () => r.int(0, top))
  }

  /** A table with a heading and whole numbers in every column but the first. */
  table(): { readonly header: ReadonlyArray<string>; readonly rows: ReadonlyArray<ReadonlyArray<string>> } {
    const r = this.random
    const columns = r.int(2, 4)
    const header = Array.from({ length: columns }, () => (r.chance(0.5) ? word(r) : scramble(r, 3, 7)))
    const rows = Array.from({ length: r.int(1, 6) }, () => [
      word(r),
      ...Array.from({ length: columns - 1 }, () => String(r.int(0, 999)))
    ])
    return { header, rows }
  }
}

/** Lines as `wc -l` counts them. */
export const lineCount = (text: string): number => text.split("\n").length - 1
export const linesOf = (text: string): Array<string> => text.replace(/\n$/, "").split("\n")
