/** Arithmetic expressions as people write answers to number puzzles: read exactly, with what they use. */
import { apply, type Fraction, fraction, type Operator } from "./numbers.ts"

/** The value of an expression, and the numbers in it in the order in which they stand. */
export interface Value {
  readonly value: Fraction
  readonly numbers: ReadonlyArray<number>
}

/** Longest expression that is read, characters: no puzzle's answer comes near. */
const longest = 200

/** Other ways to write the operators. */
const spellings: Readonly<Record<string, string>> = {
  "/": ":",
  "÷": ":",
  "×": "*",
  x: "*",
  "·": "*",
  "−": "-"
}

/**
 * Reads whole numbers, + - * : with their usual precedence, and parentheses. Division is exact. Undefined for anything
 * else, a division by zero, and a text that goes on after the expression; one leading `V =` or trailing `= V` is no part
 * of an answer and is refused.
 */
export const evaluate = (text: string): Value | undefined => {
  if (text.length > longest) return undefined
  const tokens = text.match(/\d+|\S/g)?.map((t) => spellings[t] ?? t) ?? []
  const numbers: Array<number> = []
  let at = 0

  /** Operands with operators of one precedence between them, from the left. */
  const chain = (operators: string, operand: () => Fraction | undefined): Fraction | undefined => {
    let value = operand()
    while (value !== undefined && at < tokens.length && operators.includes(tokens[at]!)) {
      const operator = tokens[at++] as Operator
      const right = operand()
      value = right === undefined ? undefined : apply(value, operator, right)
    }
    return value
  }
  const sum = (): Fraction | undefined => chain("+-", product)
  const product = (): Fraction | undefined => chain("*:", primary)
  const primary = (): Fraction | undefined => {
    const token = tokens[at++] ?? ""
    if (/^\d+$/.test(token)) {
      numbers.push(Number(token))
      return fraction(Number(token))
    }
    if (token !== "(") return undefined
    const value = sum()
    return tokens[at++] === ")" ? value : undefined
  }

  const value = sum()
  return value === undefined || at !== tokens.length ? undefined : { value, numbers }
}

/** How tightly a written expression holds together: a number, a product, a sum. */
type Binding = 2 | 1 | 0

/** A part of an expression as it is written. */
export interface Written {
  readonly text: string
  readonly binding: Binding
}

/** Two written parts joined, with parentheses only where they are needed. */
export const join = (a: Written, operator: Operator, b: Written): Written => {
  const binding = operator === "+" || operator === "-" ? 0 : 1
  const wrap = (part: Written, least: number) => (part.binding < least ? `(${part.text})` : part.text)
  // What stands behind - and : is bound more tightly than they are.
  const right = wrap(b, operator === "+" || operator === "*" ? binding : binding + 1)
  return { text: `${wrap(a, binding)}${operator === ":" ? "/" : operator}${right}`, binding }
}
