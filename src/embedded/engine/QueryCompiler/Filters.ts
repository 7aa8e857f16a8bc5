/**
 * The conditions of a query: `filters`, and the custom filter, `filter_expression`.
 *
 * @since 0.1.0
 */
import * as Result from "effect/Result"
import type { QueryInput } from "../../../domain/Query.ts"
import type { ValidationDetail } from "../../../LookerError.ts"
import * as FilterExpression from "../../language/FilterExpression.ts"
import type { Field } from "../../model/Model.ts"
import { detail } from "../../refusal/Validation.ts"
import { dimensionCondition, expressionSql, type FindDimension, measureSql } from "../FieldSql.ts"
import type { Scope } from "./Scope.ts"

/** A filter on a field, as it was written and as an SQL condition. */
export interface Filter {
  readonly field: Field
  readonly filter: string
  readonly condition: string
}

const conditionOf = (scope: Scope, field: Field, filter: string): Result.Result<string, string> =>
  field.category === "dimension"
    ? dimensionCondition(field, filter, scope)
    : FilterExpression.toSql(field.type, measureSql(field, scope.explore), filter, scope)

/** A filter that allows any value has an empty condition. */
export const filtersOf = (scope: Scope, query: QueryInput): ReadonlyArray<Result.Result<Filter, ValidationDetail>> =>
  Object.entries(query.filters ?? {}).map(([name, filter]) =>
    Result.flatMap(scope.find("filters", name), (field) =>
      Result.mapBoth(conditionOf(scope, field, filter), {
        onFailure: (why) => detail("filters", "invalid", `Filter ${JSON.stringify(filter)} on ${name}: ${why}.`),
        onSuccess: (condition) => ({ field, filter, condition })
      })
    )
  )

/** The condition of the custom filter, if the query has one. */
export const filterExpressionOf = (
  scope: Scope,
  query: QueryInput
): Result.Result<string | undefined, ValidationDetail> => {
  if (!query.filter_expression) return Result.succeed(undefined)
  const find: FindDimension = (name) => {
    const field = scope.explore.fields.get(name)
    if (field === undefined) return Result.fail(`unknown field ${JSON.stringify(name)}. ${scope.hint(name)}`)
    return field.category === "dimension" ? Result.succeed(field) : Result.fail(`${name} is not a dimension`)
  }
  const compiled = expressionSql(query.filter_expression, find, scope)
  if (Result.isFailure(compiled)) {
    return Result.fail(detail("filter_expression", "invalid", `filter_expression: ${compiled.failure}.`))
  }
  return compiled.success.type === "yesno"
    ? Result.succeed(compiled.success.sql)
    : Result.fail(detail("filter_expression", "invalid", "filter_expression is neither true nor false."))
}
