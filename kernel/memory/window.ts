/** The window of one engine: how large its parts may be, and how pages are written into it. */
import type { Engine, Token } from "../engine/engine.ts"
import { closeTurn, type Gone, longText, message, openTurn, type Span, stubText } from "../prompt.ts"
import { type Context, tokensOf } from "./context.ts"

/** Shares of the window. One call and one result may take a quarter each. */
export const share = {
  page: 1 / 4,
  instructions: 1 / 8,
  high: 3 / 4,
  low: 1 / 2,
  pinned: 3 / 8,
  stub: 1 / 16,
  workingSet: 1 / 16
}

/** Of the room for a long page: what its beginning and its end get. The rest is for the line between them. */
const shown = { head: 0.55, tail: 0.25 }

/** A cutting place at or before an index that is not in the middle of a character. */
const whole = (text: string, at: number): number => (/[\udc00-\udfff]/.test(text.charAt(at)) ? at - 1 : at)

/** Spans that a stub names; of more it names only where they begin and end. */
const mostSpans = 4

export const makeWindow = (engine: Engine["Service"]) => {
  const part = (of: number) => Math.floor(engine.contextSize * of)
  const most = part(share.page)
  const stubSize = part(share.stub)
  const opening = openTurn(engine)
  const closing = closeTurn(engine)
  const count = (text: string) => engine.tokenize(text).length

  /** The longest beginning, or end, of a text that has at most so many tokens, as far as can be told quickly. */
  const cut = (text: string, tokens: number, end: "head" | "tail"): string => {
    const take = (n: number) =>
      end === "head"
        ? text.slice(0, whole(text, n))
        : text.slice(whole(text, Math.max(0, text.length - n + 1)))
    let piece = take(tokens * 8)
    for (let n = count(piece); n > tokens; n = count(piece))
      piece = take(Math.min(piece.length - 1, Math.floor((piece.length * tokens) / n)))
    return piece
  }

  /** Tokens of a part of a long page: however much is pinned, it can be shown whole. */
  const piece = Math.max(Math.floor(most / 2), most - 128)
  const fits = (text: string, tokens: number) => text.length <= tokens * 8 && count(text) <= tokens

  /** Texts of at most so many tokens that together are the text; cut at the ends of lines where there are some. */
  function* split(text: string, tokens: number): Generator<string> {
    for (let at = 0; at < text.length; ) {
      let part = cut(text.slice(at, whole(text, at + tokens * 8)), tokens, "head")
      const line = at + part.length < text.length ? part.lastIndexOf("\n") + 1 : 0
      if (line > part.length / 2) part = part.slice(0, line)
      if (part === "") part = String.fromCodePoint(text.codePointAt(at)!)
      yield part
      at += part.length
    }
  }

  return {
    /** Tokens that fit in. */
    size: engine.contextSize,
    /** Tokens of the longest call, and of the longest result. */
    most,
    /** Above `high` the pager pages out down to `low`. */
    high: part(share.high),
    low: part(share.low),
    /** What notes, the task and the tools may take together: beside them the longest call still fits, and some result. */
    pinned: part(share.pinned),
    /** What the folder's instructions and lists may take together: the rest of them is recalled. */
    instructions: part(share.instructions),
    stubSize,
    /** Tokens of the latest exchanges that stay. */
    workingSet: part(share.workingSet),
    /**
     * In a small window the grammar itself ends a string that will not end. In a large one that would cost more than it is
     * worth (a bound of n is n rules), and a call that runs on is cut off by the loop.
     */
    mostInString: most <= 1024 ? Math.floor(most * 0.8) : undefined,
    /** Tokens of a text. */
    count,
    /** What stands at the end of a context that the model is to go on with. */
    opening,

    /** What a sequence that has so many tokens of a context lacks until the model can go on. */
    lacking: (context: Context, length: number): ReadonlyArray<Token> =>
      [...tokensOf(context), ...opening].slice(length),

    /** The text of a page in the parts in which it can be recalled: one, if it is not long. */
    parts: (text: string): Iterable<string> => (fits(text, piece) ? [text] : split(text, piece)),

    /** What is shown of a page that has just come: all of it, or its beginning and end and how to read the rest. */
    view: (text: string, page: number, room: number): string => {
      const tokens = Math.min(most, room)
      if (fits(text, tokens)) return text
      const head = cut(text, Math.floor(tokens * shown.head), "head")
      const tail = cut(text.slice(head.length), Math.floor(tokens * shown.tail), "tail")
      return longText(head, page, text.length, tail)
    },

    /** The tokens of an exchange: the call as it was written, and its result. So many of them come with the result. */
    exchange: (call: ReadonlyArray<Token>, text: string) => {
      const result = [...closing, ...message(engine, "user", text)]
      return { tokens: [...opening, ...call, ...result], result: result.length }
    },

    /** A stub of at most its share of the window: with what of it fits. */
    stub: (spans: ReadonlyArray<Span>, gone: ReadonlyArray<Gone>, summary?: string): ReadonlyArray<Token> => {
      const named = spans.length <= mostSpans ? spans : [[spans[0]![0], spans.at(-1)![1]] as const]
      const render = (latest: ReadonlyArray<Gone>, said?: string) =>
        message(engine, "user", stubText(named, latest, said))
      let latest = gone
      while (latest.length > 0 && render(latest).length > stubSize) latest = latest.slice(1)
      const room = stubSize - render(latest, "").length
      return summary === undefined || room <= 0 ? render(latest) : render(latest, cut(summary, room, "head"))
    }
  }
}

export type Window = ReturnType<typeof makeWindow>
