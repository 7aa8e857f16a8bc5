/**
 * Custom dimensions: an expression, groups of values, or bins of numbers.
 *
 * @since 0.1.0
 */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { literal } from "../../database/Sql.ts"
import type { Typed } from "../../language/LookerExpression.ts"
import type { Dimension } from "../../model/Model.ts"
import { dimensionCondition, expressionSql } from "../FieldSql.ts"
import { type DynamicField, infoOf, type Scope } from "./DynamicField.ts"

/** More groups than this make a statement that takes long to read. */
const mostGroups = 500

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

/** A bound of a tier in Looker's form: `10.0`. */
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

/** The bounds of the bins: `min` to `max` in steps of `size`, or a list. `undefined` if they are none, too many or not ascending. */
const tiersOf = (args: ReadonlyArray<string | number | null>, listed: ReadonlyArray<string | number> | null) => {
  const steps = () => {
    const [size = Number.NaN, min = Number.NaN, max = Number.NaN] = args.map((arg) => Number(arg ?? Number.NaN))
    const count = Math.floor((max - min) / size + 1e-9) + 1
    if (!(size > 0) || !(count >= 1 && count <= mostGroups)) return []
    // Rounded to twelve digits: 3 * 0.1 is 0.30000000000000004.
    return Array.from({ length: count }, (_, index) => Number((min + index * size).toPrecision(12)))
  }
  const tiers = listed === null || listed.length === 0 ? steps() : listed.map(Number)
  const ascending = tiers.every(
    (tier, index) => Number.isFinite(tier) && (index === 0 || tier > (tiers[index - 1] ?? 0))
  )
  return tiers.length > 0 && tiers.length <= mostGroups && ascending ? tiers : undefined
}

const newDimension = (scope: Scope, name: string, field: DynamicField, { sql, type }: Typed): Dimension => {
  const timeframe = type === "date" || type === "time" ? type : undefined
  return {
    ...infoOf(scope, name, field),
    category: "dimension",
    type,
    lookerType: timeframe === undefined ? type : `date_${timeframe}`,
    sql,
    column: `(${sql})`,
    columnType: type,
    // An expression over numbers of any type can give a DOUBLE.
    isDouble: type === "number",
    timeframe
  }
}

const grouped = (scope: Scope, name: string, field: DynamicField): Result.Result<Dimension, string> =>
  Result.gen(function* () {
    const [basedOn, groups, others] = yield* Result.fromOption(
      groupArgs(field.args),
      () =>
        'the args of a group_by have to be [field, [{"label": ..., "filter": ...}, ...], label of the others or null]'
    )
    if (groups.length === 0 || groups.length > mostGroups) {
      return yield* Result.fail(`it has to have 1 to ${mostGroups} groups`)
    }
    const dimension = yield* scope.findDimension(basedOn)
    const whens: Array<string> = []
    for (const { filter, label } of groups) {
      const condition = yield* Result.mapError(
        dimensionCondition(dimension, filter, scope),
        (why) => `filter ${JSON.stringify(filter)}: ${why}`
      )
      whens.push(`WHEN ${condition || "TRUE"} THEN ${literal(label)}`)
    }
    // A value that is in no group becomes NULL where the others have no label (inferred).
    const otherwise = others === null ? "" : ` ELSE ${literal(others)}`
    return newDimension(scope, name, field, { sql: `CASE ${whens.join(" ")}${otherwise} END`, type: "string" })
  })

const binned = (scope: Scope, name: string, field: DynamicField): Result.Result<Dimension, string> =>
  Result.gen(function* () {
    const [basedOn, size, min, max, listed] = yield* Result.fromOption(
      binArgs(field.args),
      () => 'the args of a bin have to be [field, size, min, max, bounds or null, "classic"]'
    )
    const tiers = tiersOf([size, min, max], listed)
    if (tiers === undefined) return yield* Result.fail(`its args have to make 1 to ${mostGroups} ascending bounds`)
    const dimension = yield* scope.findDimension(basedOn)
    return dimension.columnType === "number"
      ? newDimension(scope, name, field, { sql: tierSql(dimension.column, tiers), type: "string" })
      : yield* Result.fail(`${basedOn} has no numbers to put in bins`)
  })

export const customDimension = (scope: Scope, name: string, field: DynamicField): Result.Result<Dimension, string> => {
  switch (field.calculation_type || undefined) {
    case "group_by":
      return grouped(scope, name, field)
    case "bin":
      return binned(scope, name, field)
    case undefined:
      return field.expression
        ? Result.map(expressionSql(field.expression, scope.findDimension, scope), (typed) =>
            newDimension(scope, name, field, typed)
          )
        : Result.fail("it has neither an expression nor a calculation_type")
    default:
      return Result.fail(`calculation_type ${JSON.stringify(field.calculation_type)} is neither group_by nor bin`)
  }
}
