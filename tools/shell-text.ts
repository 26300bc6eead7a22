/** Text for a shell and from one: POSIX.1-2024, Shell Command Language, 2.2 "Quoting". */

/** Exported variables by name. */
export type Variables = ReadonlyMap<string, string>

/** A text as one word, whatever it holds. */
export const quote = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`

/** One piece of a quoted word, as dash ('…' and "…"), busybox ('…') and bash ("…", $'…') write it. */
const piece = /'([^']*)'|"((?:[^"\\]|\\[\s\S])*)"|\$'((?:[^'\\]|\\[\s\S])*)'|\\([\s\S])|[^\s'"\\]+/y

/** What bash writes in $'…' for characters that are not printable. */
const escapes: Readonly<Record<string, string>> = {
  n: "\n",
  t: "\t",
  r: "\r",
  a: "\x07",
  b: "\b",
  v: "\v",
  f: "\f",
  E: "\x1b"
}

const plain = (text: string): string =>
  text.replace(/\\([0-7]{1,3}|[\s\S])/g, (_, code: string) =>
    /^[0-7]/.test(code) ? String.fromCharCode(Number.parseInt(code, 8)) : (escapes[code] ?? code)
  )

/** Reads what `export -p` says: `export NAME='…'`, or `declare -x NAME="…"`; names without a value are left out. */
export const readExports = (text: string): Variables => {
  const variables = new Map<string, string>()
  const start = /(?:export|declare -x) ([A-Za-z_]\w*)(=?)/y
  for (let at = 0; ; ) {
    start.lastIndex = at
    const found = start.exec(text)
    if (found === null) return variables
    const [, name = "", given] = found
    let value = ""
    at = piece.lastIndex = start.lastIndex
    for (let part = given ? piece.exec(text) : null; part !== null; part = piece.exec(text)) {
      const [all, single, double, dollar, escaped] = part
      value +=
        single ??
        double?.replace(/\\([$`"\\])|\\\n/g, "$1") ??
        (dollar === undefined ? undefined : plain(dollar)) ??
        escaped ??
        all
      at = piece.lastIndex
    }
    if (given) variables.set(name, value)
    if (text[at] !== "\n") return variables
    at++
  }
}
