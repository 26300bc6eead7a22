/** Whether a regular expression that somebody else wrote can be tried on any text without taking for ever. */

/** How many ways a part has to match: at most `ways` times the text's length to the power of `endless`. */
interface Cost {
  readonly ways: number
  readonly endless: number
}

/** Ways to match a text of so many characters that are not too many. */
const mostWays = 10_000
const mostEndless = 2
const longest = 1000

/** What ends the reading: the pattern has something whose cost is not known. */
class Unknown extends Error {}

/** A class, an escape or any other single character. Backreferences (`\1`, `\k`) are none of these. */
const atom = /\[(?:\\[\s\S]|[^\]\\])*\]|\\p\{[^}]*\}|\\P\{[^}]*\}|\\u\{[^}]*\}|\\[^1-9k]|[^\\()[\]|*+?{}]/uy
const repetition = /(?:[*+?]|\{(\d+)(,(\d*))?\})\??/y
const group = /\((?:\?:|\?<[A-Za-z]\w*>)?(?!\?)/y

/** The cost of a pattern: backtracking takes as many steps as there are ways to match (ECMAScript's RegExp). */
const costOf = (pattern: string): Cost => {
  let at = 0
  const take = (what: RegExp): RegExpExecArray | undefined => {
    what.lastIndex = at
    const found = what.exec(pattern) ?? undefined
    if (found !== undefined) at = what.lastIndex
    return found
  }
  const repeated = ({ endless, ways }: Cost, found: RegExpExecArray): Cost => {
    const [text, least, comma, most] = found
    if (text.startsWith("?")) return { ways: ways + 1, endless }
    const times = comma === undefined ? Number(least) : Number(most)
    if (least === undefined || most === "") {
      // What can match in two ways, each time anew, is what takes for ever.
      if (ways > 1 || endless > 0 || Number(least ?? 0) > longest) throw new Unknown()
      return { ways: 1, endless: 1 }
    }
    if (times > longest || (times > 1 && endless > 0)) throw new Unknown()
    return { ways: (ways === 1 ? 1 : ways ** times) * (times - Number(least) + 1 || 1), endless }
  }
  const alternatives = (): Cost => {
    let whole: Cost = { ways: 0, endless: 0 }
    do {
      let one: Cost = { ways: 1, endless: 0 }
      while (at < pattern.length && pattern[at] !== "|" && pattern[at] !== ")") {
        let part: Cost = { ways: 1, endless: 0 }
        if (take(group)) {
          part = alternatives()
          if (pattern[at++] !== ")") throw new Unknown()
        } else if (!take(atom)) throw new Unknown()
        const again = take(repetition)
        if (again !== undefined) part = repeated(part, again)
        one = { ways: one.ways * part.ways, endless: one.endless + part.endless }
      }
      whole = { ways: whole.ways + one.ways, endless: Math.max(whole.endless, one.endless) }
    } while (pattern[at] === "|" && ++at)
    return whole
  }
  const cost = alternatives()
  if (at < pattern.length) throw new Unknown()
  return cost
}

/**
 * True for patterns of few ways to match: at most two repetitions without an end, none of them of what repeats or
 * branches; nothing that looks ahead or back. It errs on the safe side.
 */
export const isSimple = (pattern: string): boolean => {
  if (pattern.length > longest) return false
  try {
    const { endless, ways } = costOf(pattern)
    return endless <= mostEndless && ways <= mostWays
  } catch {
    return false
  }
}
