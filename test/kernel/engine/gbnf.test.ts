import { Ajv2020 } from "ajv/dist/2020.js"
import { getLlama, type Llama, LlamaLogLevel } from "node-llama-cpp"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { callGrammar, GrammarError, valueGrammar } from "../../../kernel/engine/gbnf.ts"
import type { JsonSchema } from "../../../kernel/schema.ts"
import type { Json } from "../../../kernel/tool.ts"
import { sampler } from "./gbnf-sampler.ts"
import { random } from "./random.ts"
import { document, near } from "./schemas.ts"

const ajv = new Ajv2020({ strict: false, validateFormats: false })

let llama: Llama
beforeAll(async () => {
  llama = await getLlama({
    gpu: false,
    build: "never",
    progressLogs: false,
    logLevel: LlamaLogLevel.disabled
  })
})
afterAll(() => llama.dispose())

/** llama.cpp's own judgement of whole texts. The method is the library's, though not in its types. */
const judge = async (gbnf: string): Promise<(text: string) => boolean> => {
  const grammar = (await llama.createGrammar({ grammar: gbnf })) as unknown as {
    _testText: (text: string) => boolean
  }
  return (text) => grammar._testText(text)
}

const accepts = async (schema: JsonSchema, options = {}): Promise<(value: unknown) => boolean> => {
  const test = await judge(valueGrammar(schema, options))
  return (value) => test(JSON.stringify(value))
}

const object = (properties: Record<string, unknown>, required: ReadonlyArray<string> = []): JsonSchema => ({
  type: "object",
  properties,
  required,
  additionalProperties: false
})

describe("calls", () => {
  const tools = [
    { name: "say", input: object({ text: { type: "string" }, loud: { type: "boolean" } }, ["text"]) },
    { name: "add", input: object({ a: { type: "integer" }, b: { type: "integer" } }, ["a", "b"]) },
    { name: "now", input: object({}) }
  ]

  it("accepts exactly the calls of the tools, spelled compactly", async () => {
    const test = await judge(callGrammar(tools))
    expect(test('{"tool":"say","args":{"text":"hi"}}')).toBe(true)
    expect(test('{"tool": "say", "args": {"text": "hi", "loud": true}}')).toBe(true)
    expect(test('{"tool":"add","args":{"a":1,"b":-2}}')).toBe(true)
    expect(test('{"tool":"now","args":{}}')).toBe(true)
    for (const wrong of [
      '{"tool":"say","args":{"text":"hi"}} ',
      '{"tool":"say","args":{"text":"hi"}}\n',
      ' {"tool":"now","args":{}}',
      '{"tool":"say","args":{"text":"hi","loud":1}}',
      '{"tool":"say","args":{"loud":true}}',
      '{"tool":"say","args":{"loud":true,"text":"hi"}}',
      '{"tool":"say","args":{"text":"hi",}}',
      '{"tool":"say","args":{"text":"a\nb"}}',
      '{"tool":"say","args":{"text":"\\ud83d"}}',
      '{"tool":"say","args":{"text":"\\x41"}}',
      '{"tool":"say"}',
      '{"tool":"shout","args":{}}',
      '{"tool":"add","args":{"a":01,"b":2}}',
      '{"tool":"add","args":{"a":1.5,"b":2}}',
      '{"tool":  "now","args":{}}',
      '{"thought":"hm","tool":"now","args":{}}'
    ]) {
      expect(test(wrong), wrong).toBe(false)
    }
  })

  it("has the thought first when asked for", async () => {
    const test = await judge(callGrammar(tools, { thought: true }))
    expect(test('{"thought":"greet \\"them\\"","tool":"say","args":{"text":"hi"}}')).toBe(true)
    expect(test('{"tool":"now","args":{}}')).toBe(false)
  })

  it("bounds strings that the schema leaves open", async () => {
    const test = await judge(callGrammar(tools, { maxStringLength: 3, thought: true }))
    expect(test('{"thought":"abc","tool":"say","args":{"text":"😀é\\n"}}')).toBe(true)
    expect(test('{"thought":"abcd","tool":"say","args":{"text":""}}')).toBe(false)
    expect(test('{"thought":"","tool":"say","args":{"text":"abcd"}}')).toBe(false)
  })

  it("takes any object where the schema says no more", async () => {
    const test = await judge(
      callGrammar([
        { name: "free", input: { type: "object" } },
        { name: "any", input: {} }
      ])
    )
    for (const args of ["{}", '{"a":[1,{"b":null}],"c":"d"}']) {
      expect(test(`{"tool":"free","args":${args}}`)).toBe(true)
      expect(test(`{"tool":"any","args":${args}}`)).toBe(true)
    }
    expect(test('{"tool":"free","args":[]}')).toBe(false)
    expect(test('{"tool":"any","args":1}')).toBe(false)
  })

  it("every random text of a call grammar is a valid call", async () => {
    const gbnf = callGrammar(tools, { thought: true })
    const next = sampler(gbnf, random(5), 120)
    const validate = ajv.compile({
      type: "object",
      required: ["thought", "tool", "args"],
      additionalProperties: false,
      properties: { thought: { type: "string" }, tool: true, args: true },
      oneOf: tools.map(({ name, input }) => ({ properties: { tool: { const: name }, args: input } }))
    })
    for (let i = 0; i < 300; i++) {
      const text = next()
      expect(validate(JSON.parse(text)), text).toBe(true)
    }
  })
})

describe("schemas", () => {
  it("a random text of a random schema's grammar is a valid instance, and llama.cpp reads it the same way", async () => {
    let texts = 0
    for (let seed = 0; seed < 120; seed++) {
      const r = random(seed)
      const schema = document(r, 1 + (seed % 3))
      const gbnf = grammarOrNothing(schema)
      if (gbnf === undefined) continue
      const validate = ajv.compile(schema)
      const test = await judge(gbnf)
      const next = sampler(gbnf, r)
      for (let i = 0; i < 8; i++) {
        const text = next()
        expect(validate(JSON.parse(text)), `seed ${seed}: ${text} for ${JSON.stringify(schema)}`).toBe(true)
        expect(test(text), `seed ${seed}: ${text}`).toBe(true)
        texts++
      }
    }
    expect(texts).toBeGreaterThan(800)
  })

  it("llama.cpp accepts a compact value exactly when the validator does", async () => {
    const counts = { valid: 0, invalid: 0 }
    for (let seed = 1000; seed < 1120; seed++) {
      const r = random(seed)
      const schema = document(r, 1 + (seed % 3))
      const gbnf = grammarOrNothing(schema)
      const validate = ajv.compile(schema)
      const test = gbnf === undefined ? () => false : await judge(gbnf)
      for (let i = 0; i < 12; i++) {
        const value = near(r, schema, schema, 4)
        const valid = validate(value)
        counts[valid ? "valid" : "invalid"]++
        expect(
          test(JSON.stringify(value)),
          `seed ${seed}: ${JSON.stringify(value)} for ${JSON.stringify(schema)}`
        ).toBe(valid)
      }
    }
    expect(counts.valid).toBeGreaterThan(400)
    expect(counts.invalid).toBeGreaterThan(250)
  })

  it("writes integer ranges exactly", async () => {
    const r = random(3)
    for (let i = 0; i < 60; i++) {
      const min = r.below(10 ** (1 + r.below(5))) - r.below(10 ** (1 + r.below(5)))
      const max = min + r.below(10 ** (1 + r.below(4)))
      const test = await accepts({ type: "integer", minimum: min, maximum: max })
      const near = [min, max, 0, min + r.below(max - min + 1), -min, -max, min * 10, max * 10]
      for (const n of near.flatMap((n) => [n - 1, n, n + 1])) {
        expect(test(n), `${n} in ${min}..${max}`).toBe(n >= min && n <= max)
      }
    }
  })

  it("bounds digits, so that no number goes on for ever", async () => {
    const integers = await judge(valueGrammar({ type: "integer" }))
    expect(integers("9".repeat(15))).toBe(true)
    expect(integers("9".repeat(16))).toBe(false)
    expect(integers("-0")).toBe(false)
    const numbers = await judge(valueGrammar({ type: "number" }))
    expect(numbers(`1.${"3".repeat(23)}`)).toBe(false)
    expect(numbers("1e100")).toBe(false)
    for (const n of [0.1 + 0.2, 1e21, -1e-7, 123456789012345680000, 1 / 3, -2.5e-9]) {
      expect(numbers(JSON.stringify(n)), String(n)).toBe(true)
    }
    const positive = await judge(valueGrammar({ type: "number", minimum: 0 }))
    expect(positive("-1")).toBe(false)
    expect(positive("1e-7")).toBe(true)
  })

  it("keeps long limits exact", async () => {
    for (const [min, max] of [
      [0, 1000],
      [250, 730],
      [401, 450],
      [3, 20000]
    ] as const) {
      const test = await accepts({ type: "string", minLength: min, maxLength: max })
      for (const n of [0, min - 1, min, min + 1, 99, 100, 200, 500, max - 1, max, max + 1]) {
        if (n >= 0) expect(test("é".repeat(n)), `${n} of ${min}..${max}`).toBe(n >= min && n <= max)
      }
    }
    const list = await accepts({ type: "array", items: { type: "integer" }, minItems: 300 })
    expect(list(Array.from({ length: 299 }, () => 1))).toBe(false)
    expect(list(Array.from({ length: 777 }, () => 1))).toBe(true)
  })

  it("a further key is none of the listed keys, however it is spelled", async () => {
    const test = await judge(
      valueGrammar({
        type: "object",
        properties: { path: { type: "integer" } },
        additionalProperties: { type: "string" }
      })
    )
    expect(test('{"path":1,"pat":"x","paths":"y","":"z"}')).toBe(true)
    expect(test('{"path":1,"path":"x"}')).toBe(false)
    expect(test('{"\\u0070ath":"x"}')).toBe(false)
  })

  it("knows dates, times, identifiers and addresses", async () => {
    const cases: ReadonlyArray<readonly [string, ReadonlyArray<string>, ReadonlyArray<string>]> = [
      ["date", ["2026-11-24", "2024-02-29"], ["2026-13-01", "2026-04-31", "26-1-1", "2026-02-30"]],
      ["time", ["23:59:59Z", "00:00:00.5+02:00"], ["24:00:00Z", "12:00", "12:00:00"]],
      ["date-time", ["2026-11-24T05:53:00Z"], ["2026-11-24", "2026-11-24 05:53:00Z"]],
      ["uuid", ["123e4567-e89b-12d3-a456-426614174000"], ["123e4567e89b12d3a456426614174000"]],
      ["email", ["ada.l@example.org"], ["ada", "@example.org", "ada@example"]],
      ["ipv4", ["127.0.0.1", "255.1.20.3"], ["256.0.0.1", "1.2.3"]],
      ["no-such-format", ["anything"], []]
    ]
    for (const [format, good, bad] of cases) {
      const test = await accepts({ type: "string", format })
      for (const text of good) expect(test(text), `${format} ${text}`).toBe(true)
      for (const text of bad) expect(test(text), `${format} ${text}`).toBe(false)
    }
  })

  it("reads regular expressions as the validator does", async () => {
    const r = random(11)
    const alphabet = Array.from('abz09_-. \t\n"\\/é😀^$()[]{}')
    for (const source of [
      "^[a-z][a-z0-9_]{0,5}$",
      "^(?:ab|z+)*$",
      "[^a-z\\s]",
      "^\\S+$",
      "\\W\\d",
      "^.{2,3}$",
      "a.*z",
      "^(a(b(z)?)?)$|^9+$",
      "^[\\w.\\-]+$",
      "^\\u0061\\x62\\u{7a}?",
      '^["\\\\]+$',
      "^[^\\n]*$",
      "^(?<year>\\d{2})-?",
      "^a+?b??$",
      "^[\\]^-]$",
      "^$"
    ]) {
      const test = await accepts({ type: "string", pattern: source })
      const re = new RegExp(source, "u")
      let matched = 0
      for (let i = 0; i < 150; i++) {
        const text = Array.from({ length: r.below(6) }, () => r.pick(alphabet)).join("")
        expect(test(text), `${JSON.stringify(text)} for ${source}`).toBe(re.test(text))
        if (re.test(text)) matched++
      }
      const next = sampler(valueGrammar({ type: "string", pattern: source }), r, 20)
      for (let i = 0; i < 40; i++) {
        const text = JSON.parse(next()) as string
        expect(re.test(text), `${JSON.stringify(text)} for ${source}`).toBe(true)
      }
      expect(matched, source).toBeLessThan(150)
    }
  })

  it("takes any string where a pattern is beyond it", async () => {
    for (const source of ["(?=a)b", "(a)\\1", "\\bfoo", "\\p{L}", "(^a)", "[", "a{"]) {
      expect((await accepts({ type: "string", pattern: source }))("anything"), source).toBe(true)
    }
  })

  it("joins schemas by allOf as JSON Schema means it", async () => {
    const closed = await accepts({
      allOf: [object({ a: { type: "integer" } }, ["a"]), { properties: { a: { minimum: 3 } } }]
    })
    expect(closed({ a: 3 })).toBe(true)
    expect(closed({ a: 2 })).toBe(false)
    expect(closed({ a: 3, b: 1 })).toBe(false)
    const narrowed = await accepts({ allOf: [{ enum: [1, 2, 3] }, { enum: [3, 4] }], type: "integer" })
    expect(narrowed(3)).toBe(true)
    expect(narrowed(2)).toBe(false)
    const beside = await accepts({
      type: "object",
      properties: { a: { type: "string" } },
      anyOf: [{ required: ["a"] }, { maxProperties: 0 }]
    })
    expect(beside({ a: "x" })).toBe(true)
    expect(beside({})).toBe(true)
  })

  it("leaves keys that match a pattern to the validator", async () => {
    const test = await accepts({
      type: "object",
      properties: { a: { type: "integer" } },
      patternProperties: { "^x-": { type: "string" } },
      required: ["x-id"],
      additionalProperties: false
    })
    expect(test({ a: 1, "x-id": "one", "x-more": "two" })).toBe(true)
    expect(test({ a: 1 })).toBe(false)
  })

  it("takes schemas that nest deeply", async () => {
    const test = await accepts(nested(100))
    let value: Json = "end"
    for (let i = 0; i < 100; i++) value = { a: value }
    expect(test(value)).toBe(true)
    expect(test({ a: value })).toBe(false)
  })

  it("follows recursion", async () => {
    const tree: JsonSchema = {
      $ref: "#/$defs/node",
      $defs: {
        node: object(
          { value: { type: "integer" }, left: { anyOf: [{ $ref: "#/$defs/node" }, { type: "null" }] } },
          ["value"]
        )
      }
    }
    const test = await accepts(tree)
    expect(test({ value: 1, left: { value: 2, left: { value: 3, left: null } } })).toBe(true)
    expect(test({ value: 1, left: { left: null } })).toBe(false)
    const self = await accepts({ ...object({ child: { $ref: "#" } }), description: "nested" })
    expect(self({ child: { child: {} } })).toBe(true)
    expect(self({ child: 1 })).toBe(false)
  })

  it("reads the tuples of older drafts and schemas without a type", async () => {
    const tuple = await accepts({ type: "array", items: [{ type: "integer" }, { type: "string" }] })
    expect(tuple([1, "a"])).toBe(true)
    expect(tuple(["a", 1])).toBe(false)
    const implied = await accepts({ properties: { a: { minimum: 1, maximum: 9 } }, required: ["a"] })
    expect(implied({ a: 4.5 })).toBe(true)
    expect(implied({ a: 10 })).toBe(false)
    expect(implied("text")).toBe(false)
  })

  it("is a superset where a keyword cannot be a grammar", async () => {
    const value: Json = [4, 4]
    for (const schema of [
      { type: "array", items: { type: "integer" }, uniqueItems: true },
      { type: "array", items: { type: "integer", multipleOf: 3 } },
      { type: "array", not: { minItems: 2 } },
      { type: "array", if: { minItems: 1 }, else: false },
      { type: "array", contains: { const: 5 } }
    ]) {
      expect((await accepts(schema))(value), JSON.stringify(schema)).toBe(true)
    }
  })
})

const nested = (depth: number): JsonSchema => {
  let schema: JsonSchema = { type: "string" }
  for (let i = 0; i < depth; i++) schema = { type: "object", properties: { a: schema } }
  return schema
}

describe("schemas that no grammar can honour", () => {
  const cases: ReadonlyArray<readonly [string, JsonSchema, RegExp]> = [
    [
      "a reference to nowhere",
      object({ a: { $ref: "#/$defs/none" } }),
      /nothing is at the reference "#\/\$defs\/none"/
    ],
    [
      "a reference out of the schema",
      object({ a: { $ref: "https://example.org/x.json" } }),
      /only references inside/
    ],
    [
      "a schema that is itself",
      { $ref: "#/$defs/a", $defs: { a: { anyOf: [{ $ref: "#/$defs/a" }, {}] } } },
      /defined as itself/
    ],
    ["a ring of references", object({ a: { $ref: "#/$defs/a" } }, ["a"]), /nothing is at/],
    [
      "a type that does not exist",
      object({ a: { type: "text" } }),
      /unknown type "text" \(at .*\/properties\/a\/type\)/
    ],
    ["an input that is no object", { type: "string" }, /no arguments can satisfy/],
    ["an impossible argument", object({ a: false }, ["a"]), /no arguments can satisfy/],
    [
      "an endless argument",
      { $ref: "#/$defs/a", $defs: { a: object({ a: { $ref: "#/$defs/a" } }, ["a"]) } },
      /no arguments/
    ],
    ["a bound that is no number", object({ a: { type: "integer", minimum: "1" } }), /must be a number/],
    ["a reference that is not well formed", object({ a: { $ref: "#/%" } }), /nothing is at the reference/],
    [
      "required keys that are no list",
      { type: "object", required: "a" },
      /must be an array \(at \/required\)/
    ],
    ["a schema that nests without end", nested(3000), /nests too deeply/],
    ["a schema that is no schema", object({ a: "string" }), /must be an object or a boolean/]
  ]
  for (const [name, input, message] of cases) {
    it(`refuses ${name}`, () => {
      expect(() => callGrammar([{ name: "t", input }])).toThrow(GrammarError)
      expect(() => callGrammar([{ name: "t", input }])).toThrow(message)
    })
  }

  it("leaves out alternatives that cannot be satisfied", async () => {
    const test = await accepts({ anyOf: [false, { type: "integer" }, object({ a: false }, ["a"])] })
    expect(test(1)).toBe(true)
    expect(test({})).toBe(false)
    const list = await accepts({ type: "array", items: false })
    expect(list([])).toBe(true)
    expect(list([1])).toBe(false)
  })

  it("refuses to make a grammar of no tools", () => {
    expect(() => callGrammar([])).toThrow("no tools were given")
  })
})

/** The grammar of a random schema, or undefined when it cannot be satisfied. */
const grammarOrNothing = (schema: JsonSchema): string | undefined => {
  try {
    return valueGrammar(schema)
  } catch (error) {
    if (error instanceof GrammarError && error.reason.startsWith("no value")) return undefined
    throw error
  }
}
