/**
 * Evaluates arithmetic: `+ - * / % ^` with the usual precedence (power binds to the right and before a sign in front
 * of it: -2^2 is -4), parentheses, decimals, `pi`, `e` and the functions below.
 *
 * Whole numbers are exact to `maxDigits` digits; anything else is a double, shown with 15 digits, so that 0.1 + 0.2
 * is 0.3. `%` has the sign of the left side. Written here because the libraries at hand are large (a whole algebra
 * system) or evaluate code, and because bounds on depth and size have to be part of the evaluation.
 *
 * @example evaluate("2^64 + 1") // "18446744073709551617"
 */

/** Why an expression has no value: it is not arithmetic, or its value cannot be had or shown. */
export class ArithmeticError extends Error {
  readonly code: "bad_input" | "limit"
  constructor(message: string, code: "bad_input" | "limit" = "bad_input") {
    super(message)
    this.code = code
  }
}

type Value = bigint | number

/** Characters of an expression, operators within operators, decimal digits of a whole number. */
const maxLength = 10_000
const maxDepth = 200
const maxDigits = 1000
const maxBits = Math.ceil(maxDigits * Math.log2(10))

const tooLarge = () => new ArithmeticError(`the result has more than ${maxDigits} digits`, "limit")

/** Bits of a whole number, to within four. */
const bits = (n: bigint): number => 4 * n.toString(16).length

const whole = (n: bigint): bigint => {
  if (bits(n) > maxBits + 4) throw tooLarge()
  return n
}

const real = (x: number): number => {
  if (Number.isNaN(x)) throw new ArithmeticError("the result is not a real number")
  if (!Number.isFinite(x)) throw new ArithmeticError("the result is too large", "limit")
  return x
}

/** A double without the noise of its last digits, so that floor((0.1 + 0.7) * 10) is 8. */
const tidy = (x: number): number => Number(x.toPrecision(15))

const isWhole = (v: Value): v is bigint => typeof v === "bigint"

/** A quotient of whole numbers: exact where it is whole; also right where both are too large for a double. */
const quotient = (a: bigint, b: bigint): Value => {
  if (a % b === 0n) return a / b
  const shift = BigInt(Math.max(0, Math.max(bits(a), bits(b)) - 1000))
  return real(Number(a >> shift) / Number(b >> shift))
}

const power = (a: Value, b: Value): Value => {
  if (Number(a) === 0 && Number(b) < 0) throw new ArithmeticError("division by zero")
  if (!isWhole(a) || !isWhole(b)) return real(Number(a) ** Number(b))
  if (b < 0n) return quotient(1n, power(a, -b) as bigint)
  if (a === 1n || a === -1n) return b % 2n === 0n ? 1n : a
  if (a === 0n) return b === 0n ? 1n : 0n
  if (b > BigInt(maxBits) || (bits(a) - 4) * Number(b) > maxBits) throw tooLarge()
  return whole(a ** b)
}

const operators: Readonly<Record<string, (a: Value, b: Value) => Value>> = {
  "+": (a, b) => (isWhole(a) && isWhole(b) ? whole(a + b) : real(Number(a) + Number(b))),
  "-": (a, b) => (isWhole(a) && isWhole(b) ? whole(a - b) : real(Number(a) - Number(b))),
  "*": (a, b) => (isWhole(a) && isWhole(b) ? whole(a * b) : real(Number(a) * Number(b))),
  "/": (a, b) => {
    if (Number(b) === 0) throw new ArithmeticError("division by zero")
    return isWhole(a) && isWhole(b) ? quotient(a, b) : real(Number(a) / Number(b))
  },
  "%": (a, b) => {
    if (Number(b) === 0) throw new ArithmeticError("division by zero")
    return isWhole(a) && isWhole(b) ? a % b : real(Number(a) % Number(b))
  },
  "^": power
}

/** The whole part of a square root, by Newton's method. */
const wholeRoot = (n: bigint): bigint => {
  let root = 1n << BigInt(Math.ceil(bits(n) / 2))
  for (;;) {
    const next = (root + n / root) >> 1n
    if (next >= root) return root
    root = next
  }
}

const squareRoot = (x: Value): Value => {
  if (!isWhole(x) || x < 1n) return real(Math.sqrt(Number(x)))
  const root = wholeRoot(x)
  return root * root === x ? root : real(Math.sqrt(Number(x)))
}

/** A function to whole numbers, as a function that keeps whole numbers as they are. */
const toWhole =
  (f: (x: number) => number) =>
  (x: Value): Value =>
    isWhole(x) ? x : BigInt(f(tidy(x)))

/** Halves go away from zero, as in school. */
const half = (x: number): number => Math.sign(x) * Math.round(Math.abs(x))

const round = (x: Value, digits: Value = 0n): Value => {
  if (isWhole(x) && isWhole(digits) && digits >= 0n) return x
  const places = Number(digits)
  if (!Number.isInteger(places) || Math.abs(places) > 15)
    throw new ArithmeticError("round: digits from -15 to 15")
  return places === 0 ? toWhole(half)(x) : real(half(tidy(Number(x) * 10 ** places)) / 10 ** places)
}

const onReals =
  (f: (x: number) => number) =>
  (x: Value): Value =>
    real(f(Number(x)))

const logarithm = (f: (x: number) => number) => onReals((x) => (x > 0 ? f(x) : Number.NaN))

const best =
  (better: (a: Value, b: Value) => boolean) =>
  (first: Value, ...others: ReadonlyArray<Value>): Value =>
    others.reduce((a, b) => (better(b, a) ? b : a), first)

type Operation = (first: Value, ...others: ReadonlyArray<Value>) => Value

/** By name: how many arguments it takes, and what it does with them. */
const functions: Readonly<Record<string, readonly [least: number, most: number, f: Operation]>> = {
  abs: [1, 1, (x: Value) => (x < 0 ? -x : x)],
  sqrt: [1, 1, squareRoot],
  round: [1, 2, round],
  floor: [1, 1, toWhole(Math.floor)],
  ceil: [1, 1, toWhole(Math.ceil)],
  trunc: [1, 1, toWhole(Math.trunc)],
  min: [1, 100, best((a, b) => a < b)],
  max: [1, 100, best((a, b) => a > b)],
  exp: [1, 1, onReals(Math.exp)],
  log: [1, 1, logarithm(Math.log)],
  ln: [1, 1, logarithm(Math.log)],
  log2: [1, 1, logarithm(Math.log2)],
  log10: [1, 1, logarithm(Math.log10)],
  sin: [1, 1, onReals(Math.sin)],
  cos: [1, 1, onReals(Math.cos)],
  tan: [1, 1, onReals(Math.tan)]
}

const constants: Readonly<Record<string, number>> = { pi: Math.PI, e: Math.E }

interface Token {
  readonly kind: "number" | "name" | "sign" | "end"
  readonly text: string
  readonly at: number
}

const lexeme = /\s*(?:((?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|([A-Za-z_][A-Za-z_0-9]*)|(\*\*|[-+*/%^(),]))/y

const tokens = (text: string): ReadonlyArray<Token> => {
  const found: Array<Token> = []
  lexeme.lastIndex = 0
  while (lexeme.lastIndex < text.length) {
    const start = lexeme.lastIndex
    const match = lexeme.exec(text)
    if (match === null) {
      const rest = text.slice(start).trimStart()
      if (rest === "") break
      throw new ArithmeticError(
        `unexpected ${JSON.stringify(rest.slice(0, 1))} at ${text.length - rest.length + 1}`
      )
    }
    const [all, number, name, sign] = match
    const kind = number !== undefined ? "number" : name !== undefined ? "name" : "sign"
    const word = number ?? name ?? sign ?? ""
    found.push({ kind, text: word === "**" ? "^" : word, at: start + all.length - word.length + 1 })
  }
  return [...found, { kind: "end", text: "the end", at: text.length + 1 }]
}

/** The value of an expression, as text. Throws `ArithmeticError` and nothing else. */
export const evaluate = (text: string): string => {
  if (text.length > maxLength) throw new ArithmeticError(`longer than ${maxLength} characters`, "limit")
  const list = tokens(text)
  let next = 0
  let depth = 0
  const peek = (): Token => list[next]!
  const take = (): Token => list[next++]!
  const unexpected = ({ kind, text, at }: Token) =>
    new ArithmeticError(
      kind === "end" ? "the expression is not complete" : `unexpected ${JSON.stringify(text)} at ${at}`
    )
  const expect = (text: string) => {
    if (peek().kind !== "sign" || peek().text !== text) throw unexpected(peek())
    next++
  }
  const isSign = (...signs: ReadonlyArray<string>) => peek().kind === "sign" && signs.includes(peek().text)

  /** Operands joined by operators of one precedence, from the left. */
  const chain = (operand: () => Value, ...signs: ReadonlyArray<string>): Value => {
    let value = operand()
    while (isSign(...signs)) value = operators[take().text]!(value, operand())
    return value
  }
  const sum = (): Value => chain(product, "+", "-")
  const product = (): Value => chain(signed, "*", "/", "%")
  const signed = (): Value => {
    if (++depth > maxDepth) throw new ArithmeticError(`more than ${maxDepth} levels deep`, "limit")
    const value = isSign("-", "+") ? (take().text === "-" ? -signed() : signed()) : raised()
    depth--
    return value
  }
  const raised = (): Value => {
    const base = primary()
    if (!isSign("^")) return base
    next++
    return power(base, signed())
  }
  const primary = (): Value => {
    const token = take()
    if (token.kind === "number")
      return /^\d+$/.test(token.text) ? whole(BigInt(token.text)) : real(Number(token.text))
    if (token.kind === "name") return named(token)
    if (token.text !== "(" || token.kind === "end") throw unexpected(token)
    const value = sum()
    expect(")")
    return value
  }
  const named = ({ text, at }: Token): Value => {
    const name = text.toLowerCase()
    if (Object.hasOwn(constants, name)) return constants[name]!
    if (!Object.hasOwn(functions, name))
      throw new ArithmeticError(`unknown name ${JSON.stringify(text)} at ${at}`)
    const [least, most, f] = functions[name]!
    expect("(")
    const first = sum()
    const others: Array<Value> = []
    while (isSign(",")) {
      next++
      others.push(sum())
    }
    expect(")")
    if (others.length + 1 < least || others.length + 1 > most) {
      throw new ArithmeticError(`${name} takes ${least === most ? least : `${least} to ${most}`} arguments`)
    }
    return f(first, ...others)
  }

  const value = sum()
  if (peek().kind !== "end") throw unexpected(peek())
  return isWhole(value) ? `${value}` : `${tidy(value)}`
}
