/** How much of a long text the model is shown. */

/** Characters of one result that the model sees. The whole result is in the journal. */
export const modelChars = 4000

/** The text, or its beginning and end with a line between that says how many bytes were left out. */
export const shorten = (text: string, max = modelChars): string => {
  if (text.length <= max) return text
  const head = whole(text, Math.floor(max * 0.6))
  const tail = whole(text, text.length - Math.floor(max * 0.4))
  const left = Buffer.byteLength(text.slice(head, tail))
  return `${text.slice(0, head)}\n[${left} bytes left out]\n${text.slice(tail)}`
}

/** A cutting place at or just after `index` that does not split a surrogate pair. */
const whole = (text: string, index: number): number =>
  /[\udc00-\udfff]/.test(text.charAt(index)) ? index + 1 : index

/** A file name as it may stand on a line of its own. */
export const onOneLine = (name: string): string =>
  /[\u0000-\u001f\u007f]/.test(name) ? JSON.stringify(name) : name
