/**
 * `dynamic_fields`: the measures and dimensions that a query brings itself, as fields like those of the model.
 *
 * Table calculations, which Looker computes after the database, are refused by name; one that is disabled changes nothing.
 *
 * @since 0.1.0
 */
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { literal } from "../database/Sql.ts"
import type { Typed } from "../language/LookerExpression.ts"
import * as ValueFormat from "../language/ValueFormat.ts"
import type { Aggregate, Dimension, Explore, Field, FieldInfo, Measure } from "../model/Model.ts"
import { suggest } from "../refusal/Suggestion.ts"
import { dimensionSql } from "./FieldSql.ts"

const Text = Schema.optional(Schema.NullOr(Schema.String))

/** All that Looker is known to write; the last ones are said of a field and change no value. */
const DynamicField = Schema.Struct({
  category: Text,
  dimension: Text,
  measure: Text,
  table_calculation: Text,
  based_on: Text,
  type: Text,
  expression: Text,
  filters: Schema.optional(Schema.NullOr(Schema.Record(Schema.String, Schema.String))),
  filter_expression: Text,
  calculation_type: Text,
  args: Schema.optional(Schema.NullOr(Schema.Array(Schema.Unknown))),
  is_disabled: Schema.optional(Schema.NullOr(Schema.Boolean)),
  label: Text,
  description: Text,
  value_format: Text,
  value_format_name: Text,
  source_field: Text,
  _kind_hint: Text,
  _type_hint: Text
})

type DynamicField = typeof DynamicField.Type

const knownKeys = Object.keys(DynamicField.fields)

const decode = Schema.decodeUnknownOption(
  Schema.fromJsonString(Schema.Array(Schema.Record(Schema.String, Schema.Unknown)))
)
const decodeField = Schema.decodeUnknownOption(DynamicField)

/** A field is SQL, and SQL takes time to be read: what a person clicks together has far fewer. */
const mostFields = 100
const mostGroups = 500

/**
 * What dynamic fields are made with: how a filter on a dimension is read, and an expression.
 *
 * @category models
 * @since 0.1.0
 */
export interface Context {
  readonly explore: Explore
  readonly timezone: string
  readonly condition: (field: Dimension, filter: string) => Result.Result<string, string>
  readonly expression: (text: string, find: Find) => Result.Result<Typed, string>
}

/**
 * How an expression finds the dimension that it names.
 *
 * @category models
 * @since 0.1.0
 */
export type Find = (name: string) => Result.Result<Dimension, string>

const groupArgs = Schema.decodeUnknownOption(
  Schema.Tuple([
    Schema.String,
    Schema.Array(Schema.Struct({ label: Schema.String, filter: Schema.String })),
    Schema.NullOr(Schema.String)
  ])
)

const NumberText = Schema.NullOr(Schema.Union([Schema.String, Schema.Finite]))

const binArgs = Schema.decodeUnknownOption(
  Schema.Tuple([
    Schema.String,
    NumberText,
    NumberText,
    NumberText,
    Schema.NullOr(Schema.Array(Schema.Union([Schema.String, Schema.Finite]))),
    Schema.Literal("classic")
  ])
)

const aggregates: ReadonlyMap<string, Aggregate> = new Map(
  (["count_distinct", "sum", "average", "median", "min", "max", "list"] as const).map((name) => [name, name])
)

/** As Looker writes the bounds of a tier: `10.0`. */
const bound = (value: number): string => (Number.isInteger(value) ? value.toFixed(1) : String(value))

const tierSql = (column: string, tiers: ReadonlyArray<number>): string => {
  const whens = [undefined, ...tiers].map((low, index) => {
    const high = tiers[index]
    const conditions = [
      ...(low === undefined ? [] : [`${column} >= ${low}`]),
      ...(high === undefined ? [] : [`${column} < ${high}`])
    ]
    const range = `${low === undefined ? "(-inf" : `[${bound(low)}`},${high === undefined ? "inf" : bound(high)})`
    return `WHEN ${conditions.join(" AND ")} THEN ${literal(`T${String(index).padStart(2, "0")} ${range}`)}`
  })
  return `CASE ${whens.join(" ")} ELSE 'TXX Undefined' END`
}

/** `min` to `max` in steps of `size`, or the bounds as they are listed. */
const tiersOf = (args: ReadonlyArray<string | number | null>, listed: ReadonlyArray<string | number> | null) => {
  const steps = () => {
    const [size = Number.NaN, min = Number.NaN, max = Number.NaN] = args.map((arg) => Number(arg ?? Number.NaN))
    const count = Math.floor((max - min) / size + 1e-9) + 1
    if (!(size > 0) || !(count >= 1 && count <= mostGroups)) return []
    // Through twelve digits: 3 * 0.1 is 0.30000000000000004.
    return Array.from({ length: count }, (_, index) => Number((min + index * size).toPrecision(12)))
  }
  const tiers = listed === null || listed.length === 0 ? steps() : listed.map(Number)
  const ascending = tiers.every(
    (tier, index) => Number.isFinite(tier) && (index === 0 || tier > (tiers[index - 1] ?? 0))
  )
  return tiers.length > 0 && tiers.length <= mostGroups && ascending ? tiers : undefined
}

/**
 * The fields that `dynamic_fields` defines, by name, or what is wrong with them. Those further down can be based on those before them.
 *
 * @category constructors
 * @since 0.1.0
 */
export const compile = (
  json: string,
  context: Context
): { readonly fields: ReadonlyMap<string, Field>; readonly errors: ReadonlyArray<string> } => {
  const { explore, timezone } = context
  const made = new Map<string, Field>()
  const errors: Array<string> = []
  const parsed = decode(json)
  if (Option.isNone(parsed)) {
    return { fields: made, errors: ["dynamic_fields has to be a text with a JSON array of objects."] }
  }
  // As in filters and expressions. What stands behind an escaped backslash is no NUL.
  if (json.replaceAll("\\\\", "").includes("\\u0000")) {
    return { fields: made, errors: ["dynamic_fields contains a NUL character."] }
  }
  if (parsed.value.length > mostFields) {
    return { fields: made, errors: [`dynamic_fields has more than ${mostFields} fields.`] }
  }
  const taken = new Set([...explore.fields.keys()].map((name) => name.toLowerCase()))

  const find = (name: string): Result.Result<Field, string> => {
    const field = made.get(name) ?? explore.fields.get(name)
    const names = [...explore.fields.keys(), ...made.keys()]
    return field === undefined
      ? Result.fail(`unknown field ${JSON.stringify(name)}. ${suggest(name, names, "/")}`)
      : Result.succeed(field)
  }

  const findDimension = (name: string): Result.Result<Dimension, string> =>
    Result.flatMap(find(name), (field) =>
      field.category === "dimension" ? Result.succeed(field) : Result.fail(`${name} is no dimension`)
    )

  const infoOf = (name: string, { label }: DynamicField): Omit<FieldInfo, "type" | "lookerType" | "sql"> => ({
    name,
    label: label || name,
    labelShort: label || name,
    view: explore.name,
    // How Looker heads them in its field picker (inferred: no recorded answer has one).
    viewLabel: "Custom Fields",
    dimensionGroup: null,
    fieldGroupLabel: null,
    fieldGroupVariant: label || name
  })

  const newDimension = (name: string, field: DynamicField, { sql, type }: Typed): Dimension => {
    const timeframe = type === "date" || type === "time" ? type : undefined
    return {
      ...infoOf(name, field),
      category: "dimension",
      type,
      lookerType: timeframe === undefined ? type : `date_${timeframe}`,
      sql,
      column: `(${sql})`,
      columnType: type,
      // Who knows what an expression makes of numbers.
      isDouble: type === "number",
      timeframe
    }
  }

  const grouped = (name: string, field: DynamicField): Result.Result<Dimension, string> => {
    const args = groupArgs(field.args)
    if (Option.isNone(args)) {
      return Result.fail(
        'the args of a group_by have to be [field, [{"label": ..., "filter": ...}, ...], label of the others or null]'
      )
    }
    const [basedOn, groups, others] = args.value
    if (groups.length === 0 || groups.length > mostGroups)
      return Result.fail(`it has to have 1 to ${mostGroups} groups`)
    return Result.flatMap(findDimension(basedOn), (dimension) => {
      const whens: Array<string> = []
      for (const { filter, label } of groups) {
        const condition = context.condition(dimension, filter)
        if (Result.isFailure(condition)) return Result.fail(`filter ${JSON.stringify(filter)}: ${condition.failure}`)
        whens.push(`WHEN ${condition.success || "TRUE"} THEN ${literal(label)}`)
      }
      // What is in no group has no value when the others have no label (inferred).
      const otherwise = others === null ? "" : ` ELSE ${literal(others)}`
      return Result.succeed(
        newDimension(name, field, { sql: `CASE ${whens.join(" ")}${otherwise} END`, type: "string" })
      )
    })
  }

  const binned = (name: string, field: DynamicField): Result.Result<Dimension, string> => {
    const args = binArgs(field.args)
    if (Option.isNone(args)) {
      return Result.fail('the args of a bin have to be [field, size, min, max, bounds or null, "classic"]')
    }
    const [basedOn, size, min, max, listed] = args.value
    const tiers = tiersOf([size, min, max], listed)
    if (tiers === undefined) return Result.fail(`its args have to make 1 to ${mostGroups} ascending bounds`)
    return Result.flatMap(findDimension(basedOn), (dimension) =>
      dimension.columnType === "number"
        ? Result.succeed(newDimension(name, field, { sql: tierSql(dimension.column, tiers), type: "string" }))
        : Result.fail(`${basedOn} has no numbers to put in bins`)
    )
  }

  const dimensionOf = (name: string, field: DynamicField): Result.Result<Dimension, string> => {
    switch (field.calculation_type || undefined) {
      case "group_by":
        return grouped(name, field)
      case "bin":
        return binned(name, field)
      case undefined:
        return field.expression
          ? Result.map(context.expression(field.expression, findDimension), (typed) => newDimension(name, field, typed))
          : Result.fail("it has neither an expression nor a calculation_type")
      default:
        return Result.fail(`calculation_type ${JSON.stringify(field.calculation_type)} is neither group_by nor bin`)
    }
  }

  const measureBase = (name: string, field: DynamicField, basedOn: Field): Result.Result<Measure, string> => {
    const info = { ...infoOf(name, field), category: "measure" as const }
    if (basedOn.category === "measure") {
      return field.type && field.type !== basedOn.lookerType
        ? Result.fail(`a measure based on ${basedOn.name}, which is a ${basedOn.lookerType}, has its type`)
        : Result.succeed({ ...basedOn, ...info })
    }
    const aggregate = aggregates.get(field.type ?? "")
    if (aggregate === undefined) {
      const known = [...aggregates.keys()].join(", ")
      return Result.fail(`type ${JSON.stringify(field.type ?? null)} is not supported: there are ${known}`)
    }
    const isShown = aggregate === "count_distinct" || aggregate === "list"
    if (!isShown && basedOn.type !== "number") return Result.fail(`${basedOn.name} has no numbers for a ${field.type}`)
    const column = dimensionSql(basedOn, timezone)
    return Result.succeed({
      ...info,
      type: aggregate === "list" ? "string" : "number",
      lookerType: aggregate,
      sql: basedOn.sql,
      aggregate,
      column: aggregate === "list" && basedOn.type === "number" ? `CAST(${column} AS VARCHAR)` : column,
      isDouble: basedOn.isDouble,
      conditions: []
    })
  }

  const measureOf = (name: string, field: DynamicField): Result.Result<Measure, string> => {
    if (field.expression) return Result.fail("a measure with an expression is not supported by the embedded Looker")
    if (!field.based_on) return Result.fail("based_on has to name a field")
    return Result.flatMap(find(field.based_on), (basedOn) =>
      Result.flatMap(measureBase(name, field, basedOn), (measure) => {
        const conditions = [...measure.conditions]
        for (const [filtered, expression] of Object.entries(field.filters ?? {})) {
          const condition = Result.flatMap(findDimension(filtered), (dimension) =>
            context.condition(dimension, expression)
          )
          if (Result.isFailure(condition)) {
            return Result.fail(`filter ${JSON.stringify(expression)} on ${filtered}: ${condition.failure}`)
          }
          if (condition.success !== "") conditions.push(condition.success)
        }
        if (!field.filter_expression) return Result.succeed({ ...measure, conditions })
        return Result.flatMap(context.expression(field.filter_expression, findDimension), ({ sql, type }) =>
          type === "yesno"
            ? Result.succeed({ ...measure, conditions: [...conditions, sql] })
            : Result.fail("its filter_expression is neither true nor false")
        )
      })
    )
  }

  for (const [index, raw] of parsed.value.entries()) {
    const unknown = Object.keys(raw).find((key) => !knownKeys.includes(key))
    const decoded = decodeField(raw)
    if (unknown !== undefined || Option.isNone(decoded)) {
      const why =
        unknown === undefined
          ? "a value is of the wrong type"
          : `there is no ${JSON.stringify(unknown)}. ${suggest(unknown, knownKeys)}`
      errors.push(`Dynamic field ${index + 1}: ${why}`)
      continue
    }
    const field = decoded.value
    if (field.category === "table_calculation" || field.table_calculation) {
      if (field.is_disabled === true) continue
      const name = JSON.stringify(field.table_calculation || field.label || "")
      errors.push(`Table calculation ${name} is not supported by the embedded Looker.`)
      continue
    }
    const kind = field.category || (field.measure ? "measure" : "dimension")
    const name = (kind === "measure" ? field.measure : field.dimension) || ""
    const complain = (why: string) => errors.push(`Dynamic field ${JSON.stringify(name)}: ${why}.`)
    if (!/^[\p{L}_][\p{L}\p{N}_.]{0,254}$/u.test(name)) {
      complain(`${kind === "measure" ? "measure" : "dimension"} has to be a name of letters, digits and underscores`)
    } else if (taken.has(name.toLowerCase())) {
      complain("there is another field of this name")
    } else if (kind !== "measure" && kind !== "dimension") {
      complain(`category ${JSON.stringify(kind)} is none of measure, dimension and table_calculation`)
    } else if (field.is_disabled === true) {
      complain("is_disabled is for table calculations only")
    } else {
      const result: Result.Result<Field, string> =
        kind === "measure" ? measureOf(name, field) : dimensionOf(name, field)
      if (Result.isFailure(result)) {
        complain(result.failure)
      } else {
        const format = ValueFormat.ofField(field.value_format, field.value_format_name)
        if (Result.isFailure(format)) {
          complain(format.failure)
          continue
        }
        taken.add(name.toLowerCase())
        made.set(name, { ...result.success, valueFormat: format.success ?? result.success.valueFormat })
      }
    }
  }
  return { fields: made, errors }
}
