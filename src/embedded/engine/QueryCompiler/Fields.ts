/**
 * The lists of fields of a query: `fields`, and `pivots` and `subtotals`, which name dimensions out of `fields`.
 *
 * @since 0.1.0
 */
import * as Result from "effect/Result"
import type { QueryInput } from "../../../domain/Query.ts"
import type { ValidationDetail } from "../../../LookerError.ts"
import type { Dimension, Field } from "../../model/Model.ts"
import { detail } from "../../refusal/Validation.ts"
import type { Scope } from "./Scope.ts"

type Results<A> = ReadonlyArray<Result.Result<A, ValidationDetail>>

export const fieldsOf = (scope: Scope, query: QueryInput): Results<Field> => {
  const names = query.fields ?? []
  return names.length === 0
    ? [Result.fail(detail("fields", "missing_field", "Must query at least one dimension or measure."))]
    : [...new Set(names)].map((name) => scope.find("fields", name))
}

/** The dimensions that another list of the query names; `fields` are those that the query selects. */
export const dimensionsOf = (
  scope: Scope,
  query: QueryInput,
  clause: "pivots" | "subtotals" | "fill_fields",
  fields: ReadonlyArray<Field>
): Results<Dimension> =>
  [...new Set(query[clause] ?? [])].map((name) =>
    Result.flatMap(scope.find(clause, name), (field) => {
      if (field.category === "dimension" && fields.includes(field)) return Result.succeed(field)
      const why = field.category === "measure" ? "is not a dimension" : "is not one of the fields of the query"
      return Result.fail(detail(clause, "invalid", `${clause}: ${name} ${why}.`))
    })
  )

/** In the order of `pivots`: the first one is the outermost. */
export const pivotsOf = (scope: Scope, query: QueryInput, fields: ReadonlyArray<Field>): Results<Dimension> => {
  const pivots = dimensionsOf(scope, query, "pivots", fields)
  return pivots.some(Result.isSuccess) && !fields.some(({ category }) => category === "measure")
    ? [...pivots, Result.fail(detail("pivots", "invalid", "A query with pivots has to have a measure."))]
    : pivots
}

/** For each subtotal, how many of the leading `dimensions` it is grouped by. */
export const subtotalsOf = (
  scope: Scope,
  query: QueryInput,
  fields: ReadonlyArray<Field>,
  dimensions: ReadonlyArray<Dimension>
): Results<number> =>
  dimensionsOf(scope, query, "subtotals", fields).map(
    Result.flatMap((dimension) =>
      dimensions.includes(dimension)
        ? Result.succeed(dimensions.indexOf(dimension) + 1)
        : Result.fail(detail("subtotals", "invalid", `subtotals: ${dimension.name} is pivoted.`))
    )
  )
