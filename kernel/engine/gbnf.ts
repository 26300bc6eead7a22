/**
 * The grammar of a syscall: one JSON object that names a granted tool and gives it arguments that fit its schema.
 *
 * The text is compact JSON with at most one space after a colon or a comma, keys in the schema's order, and it ends at
 * the closing brace. What the grammar binds, and what is left to the validator that checks every call anyway:
 *
 * | keyword | in the grammar |
 * |---|---|
 * | type, enum, const, boolean schemas | exactly; an enum is narrowed by the type, bounds, lengths and pattern beside it, its objects and arrays by nothing else |
 * | anyOf, allOf, $ref, $defs | exactly, recursion included; only references inside the schema |
 * | oneOf | as anyOf |
 * | properties, required, additionalProperties | exactly; listed keys in the listed order, others last. Absent `additionalProperties` beside `properties` means none: a tool that wants more keys says so |
 * | patternProperties | any further key with any value |
 * | items, prefixItems, minItems, maxItems | exactly; absent `items` beside `prefixItems` means none |
 * | minLength, maxLength | exactly, in characters, unless a pattern or format binds |
 * | pattern | exactly for regular expressions (see gbnf/pattern.ts); otherwise any string |
 * | format | date, time, date-time, uuid, email, ipv4; 29 February in every year; others any string |
 * | integer with minimum, maximum, exclusive* | exactly, at most 15 digits |
 * | number with minimum, maximum | exactly for whole bounds; a broken bound is widened to the next integer, an exclusive one is inclusive. Bounded numbers have no exponent, except with `minimum` 0 alone |
 * | number | 21 digits before and 22 after the point, exponents to ±99: all that JSON.stringify makes of ordinary values |
 * | multipleOf, uniqueItems, contains, min/maxProperties, propertyNames, dependent*, unevaluated*, not, if/then/else | not at all |
 *
 * A schema without `type` is taken to be about the types that its keywords speak of. Two patterns joined by allOf: the
 * first binds. Strings may spell characters as any JSON escape; half of a surrogate pair cannot be written.
 */
import type { JsonSchema } from "../schema.ts"
import { alt, clean, type Expr, empty, type Rules, rule, seq, text, toGbnf } from "./gbnf/grammar.ts"
import { GrammarError } from "./gbnf/merge.ts"
import { schemaCompiler, sharedRules, space } from "./gbnf/schema.ts"

export { GrammarError } from "./gbnf/merge.ts"

export interface GrammarOptions {
  /** Every call starts with a `"thought"`. Default false. */
  readonly thought?: boolean
  /**
   * Longest string, in characters, where the schema sets no limit; thoughts and the keys of free objects included.
   * Default: none.
   */
  readonly maxStringLength?: number
}

/** The part of a tool that its grammar comes from. */
export interface CallSchema {
  readonly name: string
  readonly input: JsonSchema
}

const finish = (rules: Rules, root: Expr, nothing: string): string => {
  const cleaned = clean(new Map([["root", root], ...rules]))
  if (cleaned === undefined) throw new GrammarError(nothing, "")
  return toGbnf(cleaned)
}

const resolved = (options: GrammarOptions) => ({
  maxStringLength: options.maxStringLength ?? Number.POSITIVE_INFINITY
})

/**
 * The grammar of one call, `{"tool":NAME,"args":{…}}`, with `"thought"` first when asked for.
 *
 * Throws a GrammarError for a schema that no grammar can honour: a reference that leads nowhere or out of the schema,
 * a malformed keyword, an input that no object satisfies.
 *
 * @example
 * callGrammar([{ name: "say", input: { type: "object", properties: { text: { type: "string" } }, required: ["text"] } }])
 */
export const callGrammar = (tools: ReadonlyArray<CallSchema>, options: GrammarOptions = {}): string => {
  const rules = sharedRules(resolved(options))
  const calls = tools.map(({ name, input }, i) => {
    const inner: Rules = new Map(rules)
    const body = objectSchema(input, inner, `t${i}`, options)
    if (clean(new Map([["root", body], ...inner])) === undefined) {
      throw new GrammarError(`no arguments can satisfy the schema of the tool ${name}`, "")
    }
    for (const [key, value] of inner) rules.set(key, value)
    return seq(text(`${JSON.stringify(name)},`), space, text('"args":'), space, body)
  })
  const thought = options.thought ? seq(text('"thought":'), space, rule("string"), text(","), space) : empty
  const root = seq(text("{"), thought, text('"tool":'), space, alt(...calls), text("}"))
  return finish(rules, root, "no tools were given")
}

const objectSchema = (input: JsonSchema, rules: Rules, prefix: string, options: GrammarOptions): Expr => {
  const value = schemaCompiler(input, rules, prefix, resolved(options))
  return value({ allOf: [{ type: "object" }, input] }, "")
}

/** The grammar of any one value that fits a schema, for answers that are not calls. */
export const valueGrammar = (schema: JsonSchema, options: GrammarOptions = {}): string => {
  const rules = sharedRules(resolved(options))
  const root = schemaCompiler(schema, rules, "v", resolved(options))(schema, "")
  return finish(rules, root, "no value can satisfy the schema")
}
