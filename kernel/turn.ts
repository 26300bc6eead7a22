/** A turn of the model: the call that it writes, and the page that comes back. */
import type { Engine } from "./engine/engine.ts"
import { closeTurn, message, openTurn } from "./prompt.ts"

/** The share of the window that one result, and one call, may take. */
const pageShare = 1 / 4

/** The pages of one engine's window. */
export const makePages = (engine: Engine["Service"]) => {
  const most = Math.floor(engine.contextSize * pageShare)
  return {
    /** Tokens of the longest call, and of the longest result. */
    most,
    /**
     * In a small window the grammar itself ends a string that will not end. In a large one that would cost more than it is
     * worth (a bound of n is n rules), and a call that runs on is cut off by the loop.
     */
    mostInString: most <= 1024 ? Math.floor(most * 0.8) : undefined,

    /** Long results are cut in the middle: the window is for work. */
    clip: (whole: string): string => {
      // Counting the tokens of a very long text takes longer than anything else here.
      const text = whole.length > most * 32 ? cut(whole, most * 16) : whole
      const tokens = engine.tokenize(text).length
      if (tokens <= most) return text
      return cut(whole, Math.floor((text.length * most) / tokens))
    },

    /** The tokens of a result page after a call, and of what opens the next turn. */
    result: (text: string) => {
      const page = message(engine, "user", text)
      return { tokens: page.length, pending: [...closeTurn(engine), ...page, ...openTurn(engine)] }
    }
  }
}

export type Pages = ReturnType<typeof makePages>

/** The beginning and the end of a text, about `keep` characters together. */
const cut = (text: string, keep: number): string => {
  const head = text.slice(0, Math.floor(keep * 0.6)).toWellFormed()
  const tail = text.slice(text.length - Math.floor(keep * 0.3)).toWellFormed()
  return `${head}\n[${text.length - head.length - tail.length} characters left out]\n${tail}`
}

/** The call in a model's words, if it is one. */
export const parse = (text: string): { readonly tool: string; readonly args: unknown } | undefined => {
  try {
    const call: unknown = JSON.parse(text)
    if (typeof call !== "object" || call === null || !("tool" in call) || typeof call.tool !== "string")
      return undefined
    return { tool: call.tool, args: "args" in call ? call.args : {} }
  } catch {
    return undefined
  }
}
