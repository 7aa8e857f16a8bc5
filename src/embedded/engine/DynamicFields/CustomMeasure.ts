/**
 * Custom measures: an aggregate of a dimension, or a measure with more conditions.
 *
 * @since 0.1.0
 */
import * as Result from "effect/Result"
import type { Aggregate, Field, Measure } from "../../model/Model.ts"
import { dimensionCondition, dimensionSql, expressionSql } from "../FieldSql.ts"
import { type DynamicField, infoOf, type Scope } from "./DynamicField.ts"

const aggregates: ReadonlyMap<string, Aggregate> = new Map(
  (["count_distinct", "sum", "average", "median", "min", "max", "list"] as const).map((name) => [name, name])
)

const withoutConditions = (
  scope: Scope,
  name: string,
  field: DynamicField,
  basedOn: Field
): Result.Result<Measure, string> => {
  const info = { ...infoOf(scope, name, field), category: "measure" as const }
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
  const column = dimensionSql(basedOn, scope.timezone)
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

/** The conditions that a measure adds to those of the measure it is based on. */
const conditionsOf = (scope: Scope, field: DynamicField): Result.Result<ReadonlyArray<string>, string> =>
  Result.gen(function* () {
    const conditions: Array<string> = []
    for (const [filtered, filter] of Object.entries(field.filters ?? {})) {
      const condition = yield* Result.mapError(
        Result.flatMap(scope.findDimension(filtered), (dimension) => dimensionCondition(dimension, filter, scope)),
        (why) => `filter ${JSON.stringify(filter)} on ${filtered}: ${why}`
      )
      if (condition !== "") conditions.push(condition)
    }
    if (!field.filter_expression) return conditions
    const { sql, type } = yield* expressionSql(field.filter_expression, scope.findDimension, scope)
    if (type !== "yesno") return yield* Result.fail("its filter_expression is neither true nor false")
    return [...conditions, sql]
  })

export const customMeasure = (scope: Scope, name: string, field: DynamicField): Result.Result<Measure, string> =>
  Result.gen(function* () {
    if (field.expression) {
      return yield* Result.fail("a measure with an expression is not supported by the embedded Looker")
    }
    if (!field.based_on) return yield* Result.fail("based_on has to name a field")
    const basedOn = yield* scope.find(field.based_on)
    const measure = yield* withoutConditions(scope, name, field, basedOn)
    return { ...measure, conditions: [...measure.conditions, ...(yield* conditionsOf(scope, field))] }
  })
