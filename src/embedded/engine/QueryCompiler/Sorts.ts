/**
 * The order of the rows: `sorts`, and Looker's order for a query without them.
 *
 * @since 0.1.0
 */
import * as Result from "effect/Result"
import type { QueryInput } from "../../../domain/Query.ts"
import type { ValidationDetail } from "../../../LookerError.ts"
import type { Field } from "../../model/Model.ts"
import { detail } from "../../refusal/Validation.ts"
import type { Sort } from "../QueryPlan.ts"
import type { Scope } from "./Scope.ts"

/** A sort by a pivot adds columns to the statement. */
const mostSorts = 100

/** `view.field desc 2`, where the number is that of a pivot column. Looker leaves it there in a query without pivots too. */
const sortPattern = /^(\S+?)(?:\s+(asc|desc))?(?:\s+(\d{1,6}))?$/i

/** Looker's sign for rows in any order. */
const unsorted = "__UNSORTED__"

/**
 * Looker's default order: by the first date, latest first; without one by the first measure, largest first; without one by the
 * first dimension.
 */
export const defaultSorts = (fields: ReadonlyArray<Field>): ReadonlyArray<Sort> => {
  const dimensions = fields.filter((field) => field.category === "dimension")
  // Years are numbers, and dates all the same.
  const date = dimensions.find(
    (field) => field.type === "date" || field.type === "time" || field.timeframe !== undefined
  )
  const latestOrLargest = date ?? fields.find((field) => field.category === "measure")
  if (latestOrLargest !== undefined) return [{ field: latestOrLargest.name, desc: true }]
  return dimensions.slice(0, 1).map((field) => ({ field: field.name, desc: false }))
}

const sortOf = (scope: Scope, fields: ReadonlyArray<Field>, text: string): Result.Result<Sort, ValidationDetail> => {
  const [, name = "", direction, pivot] = sortPattern.exec(text.trim()) ?? []
  if (name === "") {
    const why = `Sort ${JSON.stringify(text)} cannot be read: write "view.field", "view.field desc" or, with pivots, "view.field desc 0".`
    return Result.fail(detail("sorts", "invalid", why))
  }
  return Result.flatMap(scope.find("sorts", name), (field) => {
    if (!fields.includes(field)) {
      return Result.fail(detail("sorts", "invalid", `Sort field ${name} is not one of the fields of the query.`))
    }
    const desc = direction?.toLowerCase() === "desc"
    return Result.succeed({ field: name, desc, ...(pivot === undefined ? {} : { pivot: Number(pivot) }) })
  })
}

/** `fields` are those that the query selects. */
export const sortsOf = (
  scope: Scope,
  query: QueryInput,
  fields: ReadonlyArray<Field>
): ReadonlyArray<Result.Result<Sort, ValidationDetail>> => {
  const texts = query.sorts ?? []
  if (texts.includes(unsorted)) return []
  const sorts = texts.map((text) => sortOf(scope, fields, text))
  const most = `There are ${texts.length} sorts: ${mostSorts} are the most.`
  return texts.length > mostSorts ? [...sorts, Result.fail(detail("sorts", "invalid", most))] : sorts
}
