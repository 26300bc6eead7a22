/** Texts as the model reads them. */

/** A file name as it may stand on a line of its own. */
export const onOneLine = (name: string): string =>
  /[\u0000-\u001f\u007f]/.test(name) ? JSON.stringify(name) : name

/** What a terminal or a model could take for something else than text of one line. */
export const unprintable = /[\p{Cc}\p{Cf}\p{Co}\p{Cn}\p{Cs}\p{Zl}\p{Zp}]/u

/** One line of at most so many characters, without what is unprintable. */
export const oneLine = (text: string, most: number): string => {
  const line = text.replace(/[\p{Cc}\p{Cf}\p{Co}\p{Cn}\p{Cs}\p{Zl}\p{Zp}\s]+/gu, " ").trim()
  return line.length <= most ? line : `${line.slice(0, most - 1).trimEnd()}…`
}
