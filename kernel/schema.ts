/**
 * Schemas as authors of tools write them: JSON Schema, an Effect Schema, or any schema that follows Standard Schema
 * (https://standardschema.dev) and can say its JSON Schema, such as those of Zod from 4.2 on and ArkType from 2.1.28 on.
 */
import { Schema } from "effect"
import type { StandardJSONSchemaV1, StandardSchemaV1 } from "effect/StandardSchema"

/** A JSON Schema (draft 2020-12) as plain data. */
export type JsonSchema = { readonly [key: string]: unknown }

/** A schema that checks values, and says as JSON Schema which ones it takes. */
export interface StandardSchema<Input = unknown, Output = Input> {
  readonly "~standard": StandardSchemaV1.Props<Input, Output> & StandardJSONSchemaV1.Props<Input, Output>
}

/** A library's schema: one that follows the standard, or one of Effect's. */
export type LibrarySchema<Output> = StandardSchema<unknown, Output> | Schema.Codec<Output, unknown>

/** A library's schema as what the kernel uses. */
export interface Described {
  readonly json: JsonSchema
  /** The value as the schema makes it (defaults, transformations), or what is wrong with it. */
  readonly parse: (value: unknown) => Promise<{ readonly value: unknown } | { readonly problem: string }>
}

const dialect = "draft-2020-12"

const isObject = (value: unknown): value is JsonSchema =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** Properties that an object's schema does not name are ignored by such schemas, so a model should not write any. */
const closed = (schema: unknown): unknown => {
  if (Array.isArray(schema)) return schema.map(closed)
  if (!isObject(schema)) return schema
  const inside = Object.fromEntries(Object.entries(schema).map(([key, value]) => [key, closed(value)]))
  const open = schema.additionalProperties === undefined || schema.additionalProperties === true
  return isObject(schema.properties) && schema.type === "object" && open
    ? { ...inside, additionalProperties: false }
    : inside
}

/** Both halves of a library's schema; undefined for a plain JSON Schema. Throws for one that cannot say its JSON Schema. */
export const describe = (schema: unknown): Described | undefined => {
  const standard = Schema.isSchema(schema)
    ? Schema.toStandardJSONSchemaV1(Schema.toStandardSchemaV1(schema as Schema.Codec<unknown>))
    : schema
  // Schemas of some libraries are functions.
  if ((typeof standard !== "object" && typeof standard !== "function") || standard === null) return undefined
  if (!("~standard" in standard)) return undefined
  const { jsonSchema, validate, vendor } = (standard as StandardSchema)["~standard"]
  if (jsonSchema === undefined)
    throw new TypeError(
      `a schema of ${vendor} cannot say its JSON Schema: use a newer ${vendor}, or JSON Schema`
    )
  const { $schema: _, ...json } = jsonSchema.input({ target: dialect })
  return {
    json: closed(json) as JsonSchema,
    parse: async (value) => {
      const parsed = await validate(value)
      if (parsed.issues === undefined) return { value: parsed.value }
      const { message, path = [] } = parsed.issues[0]!
      const where = path.map((key) => String(typeof key === "object" ? key.key : key)).join(".")
      return { problem: `bad arguments: ${where === "" ? "" : `${where} `}${message}` }
    }
  }
}
