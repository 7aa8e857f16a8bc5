/**
 * `dynamic_fields`: the dimensions and measures that a query defines itself, compiled to fields like those of the model.
 *
 * Table calculations, which Looker computes after the database, are refused by name; one that is disabled changes nothing.
 *
 * @since 0.1.0
 */
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type * as FilterExpression from "../language/FilterExpression.ts"
import * as ValueFormat from "../language/ValueFormat.ts"
import type { Explore, Field } from "../model/Model.ts"
import { suggest } from "../refusal/Suggestion.ts"
import { customDimension } from "./DynamicFields/CustomDimension.ts"
import { customMeasure } from "./DynamicFields/CustomMeasure.ts"
import { DynamicField, type Scope } from "./DynamicFields/DynamicField.ts"

const decodeList = Schema.decodeUnknownOption(
  Schema.fromJsonString(Schema.Array(Schema.Record(Schema.String, Schema.Unknown)))
)
const decodeField = Schema.decodeUnknownOption(DynamicField)

const knownKeys = Object.keys(DynamicField.fields)

/** DuckDB has to parse the SQL of every field. Queries from Looker's pages have far fewer. */
const mostFields = 100

/** The entries of `dynamic_fields`, none of them checked yet. */
const entriesOf = (json: string): Result.Result<ReadonlyArray<Readonly<Record<string, unknown>>>, string> => {
  const entries = decodeList(json)
  if (Option.isNone(entries)) return Result.fail("dynamic_fields has to be a text with a JSON array of objects.")
  // As in filters and expressions. An escaped backslash before `u0000` makes it a text and no NUL.
  if (json.replaceAll("\\\\", "").includes("\\u0000")) return Result.fail("dynamic_fields contains a NUL character.")
  if (entries.value.length > mostFields) return Result.fail(`dynamic_fields has more than ${mostFields} fields.`)
  return Result.succeed(entries.value)
}

const decode = (entry: Readonly<Record<string, unknown>>): Result.Result<DynamicField, string> => {
  const unknown = Object.keys(entry).find((key) => !knownKeys.includes(key))
  if (unknown !== undefined) {
    return Result.fail(`there is no ${JSON.stringify(unknown)}. ${suggest(unknown, knownKeys)}`)
  }
  return Result.fromOption(decodeField(entry), () => "a value is of the wrong type")
}

const customField = (
  scope: Scope,
  kind: string,
  name: string,
  field: DynamicField,
  isTaken: boolean
): Result.Result<Field, string> =>
  Result.gen(function* () {
    if (!/^[\p{L}_][\p{L}\p{N}_.]{0,254}$/u.test(name)) {
      const key = kind === "measure" ? "measure" : "dimension"
      return yield* Result.fail(`${key} has to be a name of letters, digits and underscores`)
    }
    if (isTaken) return yield* Result.fail("there is another field of this name")
    if (kind !== "measure" && kind !== "dimension") {
      const message = `category ${JSON.stringify(kind)} is none of measure, dimension and table_calculation`
      return yield* Result.fail(message)
    }
    if (field.is_disabled === true) return yield* Result.fail("is_disabled is for table calculations only")
    const made: Field = yield* kind === "measure"
      ? customMeasure(scope, name, field)
      : customDimension(scope, name, field)
    const valueFormat = yield* ValueFormat.ofField(field.value_format, field.value_format_name)
    return { ...made, valueFormat: valueFormat ?? made.valueFormat }
  })

/**
 * What dynamic fields are compiled with: the explore of the query, the present and the time zone.
 *
 * @category models
 * @since 0.1.0
 */
export interface Context extends FilterExpression.Context {
  readonly explore: Explore
}

/**
 * The fields that `dynamic_fields` defines, by name, and what is wrong with the others. A field can be based on those before it.
 *
 * @category constructors
 * @since 0.1.0
 */
export const compile = (
  json: string,
  context: Context
): { readonly fields: ReadonlyMap<string, Field>; readonly errors: ReadonlyArray<string> } => {
  const { explore } = context
  const fields = new Map<string, Field>()
  const entries = entriesOf(json)
  if (Result.isFailure(entries)) return { fields, errors: [entries.failure] }

  const find = (name: string): Result.Result<Field, string> => {
    const field = fields.get(name) ?? explore.fields.get(name)
    return field === undefined
      ? Result.fail(
          `unknown field ${JSON.stringify(name)}. ${suggest(name, [...explore.fields.keys(), ...fields.keys()], "/")}`
        )
      : Result.succeed(field)
  }
  const findDimension = (name: string) =>
    Result.flatMap(find(name), (field) =>
      field.category === "dimension" ? Result.succeed(field) : Result.fail(`${name} is not a dimension`)
    )
  const scope: Scope = { ...context, find, findDimension }
  const taken = new Set([...explore.fields.keys()].map((name) => name.toLowerCase()))

  const errors: Array<string> = []
  for (const [index, entry] of entries.success.entries()) {
    const decoded = decode(entry)
    if (Result.isFailure(decoded)) {
      errors.push(`Dynamic field ${index + 1}: ${decoded.failure}`)
      continue
    }
    const field = decoded.success
    if (field.category === "table_calculation" || field.table_calculation) {
      if (field.is_disabled === true) continue
      const name = JSON.stringify(field.table_calculation || field.label || "")
      errors.push(`Table calculation ${name} is not supported by the embedded Looker.`)
      continue
    }
    const kind = field.category || (field.measure ? "measure" : "dimension")
    const name = (kind === "measure" ? field.measure : field.dimension) || ""
    const made = customField(scope, kind, name, field, taken.has(name.toLowerCase()))
    if (Result.isFailure(made)) {
      errors.push(`Dynamic field ${JSON.stringify(name)}: ${made.failure}.`)
      continue
    }
    taken.add(name.toLowerCase())
    fields.set(name, made.success)
  }
  return { fields, errors }
}
