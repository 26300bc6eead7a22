import { describe, expect, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { ArithmeticError, evaluate } from "../../tools/arithmetic.ts"
import { tool } from "./call.ts"

describe("arithmetic", () => {
  it.each([
    ["17*23+4", "395"],
    ["10 - 2 - 3", "5"],
    ["100/7/2", "7.14285714285714"],
    ["6/3", "2"],
    ["7/2", "3.5"],
    ["-7 % 3", "-1"],
    ["5.5 % 2", "1.5"],
    ["-2^2", "-4"],
    ["2^-1", "0.5"],
    ["2^3^2", "512"],
    ["2**10", "1024"],
    ["(1+2)*(3-4)", "-3"],
    ["--3 + +2", "5"],
    ["0.1+0.2", "0.3"],
    [".5 + 1.", "1.5"],
    ["1e3", "1000"],
    ["2^64", "18446744073709551616"],
    ["12345678901234567890*3", "37037036703703703670"],
    ["12345678901234567890 % 7", `${12345678901234567890n % 7n}`],
    ["10^400 / (10^399 * 3)", "3.33333333333333"],
    ["sqrt(10^40)", "100000000000000000000"],
    ["sqrt(2)", "1.4142135623731"],
    ["abs(-5) + min(3, 1.5, 2) + max(1, 2)", "8.5"],
    ["round(2.5) + round(-2.5)", "0"],
    ["round(3.14159, 2)", "3.14"],
    ["round(1250, -2)", "1300"],
    ["floor((0.1+0.7)*10)", "8"],
    ["floor(-0.5) + ceil(0.5) + trunc(-1.5)", "-1"],
    ["cos(pi) + sin(0)", "-1"],
    ["log(e^2) + ln(e) + log2(8) + log10(1000)", "9"],
    ["exp(0)", "1"],
    ["(-1)^99999999999999999999", "-1"],
    ["0^0", "1"]
  ])("%s is %s", (expression, value) => expect(evaluate(expression)).toBe(value))

  it.each([
    ["", "the expression is not complete"],
    ["1+", "the expression is not complete"],
    ["(1+2", "the expression is not complete"],
    ["1 2", 'unexpected "2" at 3'],
    ["1,000", 'unexpected "," at 2'],
    ["2 $ 3", 'unexpected "$" at 3'],
    ["max()", 'unexpected ")" at 5'],
    ["sqrt(1, 2)", "sqrt takes 1 arguments"],
    ["constructor(1)", 'unknown name "constructor" at 1'],
    ["__proto__", 'unknown name "__proto__" at 1'],
    ["process.exit()", 'unexpected "." at 8'],
    ["1/0", "division by zero"],
    ["1.5 % 0", "division by zero"],
    ["0^-1", "division by zero"],
    ["sqrt(-1)", "the result is not a real number"],
    ["log(0)", "the result is not a real number"],
    ["(-8)^0.5", "the result is not a real number"]
  ])("%j is refused: %s", (expression, message) => {
    expect(() => evaluate(expression)).toThrow(new ArithmeticError(message))
  })

  it.each([
    "2^2^2^2^2^2",
    "9^9^9^9",
    "10^100000",
    "exp(1000)",
    "1e400",
    "(10^900)*(10^900)",
    "(10^900)*1.5",
    "(".repeat(100_000),
    "(".repeat(300),
    "-".repeat(9_000) + 1,
    `${"sqrt(".repeat(300)}1${")".repeat(300)}`,
    "2^".repeat(300) + 1,
    "9".repeat(100_000)
  ])("%.20j is beyond a limit", (expression) => {
    expect(() => evaluate(expression)).toThrow(expect.objectContaining({ code: "limit" }))
  })

  it.prop(
    "never fails in any other way",
    [Schema.Array(Schema.Literals([..."0123456789.+-*/%^(), epi", "sqrt(", "min("]))],
    ([parts]) => {
      try {
        expect(evaluate(parts.join(""))).toMatch(/^-?\d/)
      } catch (cause) {
        expect(cause).toBeInstanceOf(ArithmeticError)
      }
    }
  )

  it.effect("is the tool calc", () =>
    Effect.gen(function* () {
      const { execute } = tool("calc")
      expect(yield* execute({ expression: "6*7" }, {} as never)).toBe("42")
      const error = yield* execute({ expression: "6*" }, {} as never).pipe(Effect.flip)
      expect(error).toMatchObject({ _tag: "ToolError", code: "bad_input" })
    })
  )
})
