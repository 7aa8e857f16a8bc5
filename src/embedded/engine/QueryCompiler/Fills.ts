/**
 * The dates that a query adds to its result: `fill_fields`.
 *
 * @since 0.1.0
 */
import * as Result from "effect/Result"
import type { QueryInput } from "../../../domain/Query.ts"
import type { ValidationDetail } from "../../../LookerError.ts"
import type { Dimension, Field } from "../../model/Model.ts"
import { detail } from "../../refusal/Validation.ts"
import { dimensionCondition } from "../FieldSql.ts"
import type { Fill } from "../QueryPlan.ts"
import { dimensionsOf } from "./Fields.ts"
import type { Filter } from "./Filters.ts"
import type { Scope } from "./Scope.ts"

/** The clauses that a fill depends on. */
export interface Selection {
  readonly fields: ReadonlyArray<Field>
  readonly dimensions: ReadonlyArray<Dimension>
  readonly pivotFields: ReadonlyArray<Dimension>
  readonly filters: ReadonlyArray<Filter>
}

const fillOf = (
  scope: Scope,
  { dimensions, filters, pivotFields }: Selection,
  dimension: Dimension
): Result.Result<Fill, ValidationDetail> => {
  const { name, timeframe } = dimension
  const refuse = (why: string) =>
    Result.fail(detail("fill_fields", "not_supported", `fill_fields: ${name} cannot be filled: ${why}.`))
  if (timeframe === undefined || timeframe === "time") {
    return refuse("the embedded Looker fills dates, weeks, months, quarters and years")
  }
  if ((pivotFields.includes(dimension) ? pivotFields : dimensions).length > 1) {
    return refuse("it has to be the only dimension, or the only pivot")
  }
  // As in Looker: the rows that the filter takes away would come back as filled-in ones.
  if (filters.some(({ field }) => field.category === "measure")) return refuse("the query filters a measure")
  const within = (column: string) =>
    filters.flatMap(({ field, filter }) =>
      field.category === "dimension" && field.column === dimension.column
        ? Result.match(dimensionCondition(field, filter, scope, column), {
            onFailure: () => [],
            onSuccess: (condition) => [condition]
          })
        : []
    )
  return Result.succeed({ dimension, timeframe, within })
}

export const fillsOf = (
  scope: Scope,
  query: QueryInput,
  selection: Selection
): ReadonlyArray<Result.Result<Fill, ValidationDetail>> =>
  dimensionsOf(scope, query, "fill_fields", selection.fields).map(
    Result.flatMap((dimension) => fillOf(scope, selection, dimension))
  )
