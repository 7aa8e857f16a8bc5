/**
 * Looker's filter expressions as SQL conditions.
 *
 * Every value goes through `Sql.literal`, or is a parsed number or date, so that an expression can only become a condition on its field. An
 * expression that cannot be read is a failure with the reason, never a guess.
 *
 * @since 0.1.0
 */
import * as Result from "effect/Result"
import type { FieldType } from "../model/Model.ts"
import { dateCondition } from "./filter/DateFilter.ts"
import { numberCondition } from "./filter/NumberFilter.ts"
import { stringCondition } from "./filter/StringFilter.ts"
import { type Condition, collect, is, isNotNull, isNull, split } from "./filter/Term.ts"

/**
 * The present, in milliseconds since 1970, and the time zone of the query, an IANA name. Columns of type `time` are in UTC, and dates in
 * filters on them are local dates of that zone; columns of type `date` have no zone.
 *
 * @category models
 * @since 0.1.0
 */
export interface Context {
  readonly now: number
  readonly timezone: string
}

const yesnoCondition = (column: string, expression: string): Condition =>
  collect(
    column,
    split(expression).map((text) => {
      switch (text.toLowerCase()) {
        case "yes":
        case "true":
          return Result.succeed(is(column))
        case "no":
        case "false":
          return Result.succeed(is(`NOT ${column}`))
        case "null":
          return Result.succeed(isNull(column))
        case "not null":
        case "-null":
          return Result.succeed(isNotNull(column))
        default:
          return Result.fail(`${JSON.stringify(text)} is neither yes nor no`)
      }
    })
  )

/**
 * The SQL condition for a filter on a column, or why it cannot be read. An empty condition means any value.
 *
 * **Details**
 *
 * Supports all that Looker's documentation has for strings, numbers, dates and yes/no. Strings are case-sensitive. Negations keep the
 * rows without a value. Weeks begin on Monday, and fiscal years in January. User attributes are refused.
 *
 * **Gotchas**
 *
 * A `date` column has local dates. Where they are made from times in UTC, convert these to the zone of the query before, or filter
 * the times as `time`.
 *
 * @category conversions
 * @since 0.1.0
 */
export const toSql = (type: FieldType, column: string, expression: string, context: Context): Condition => {
  if (expression.includes("\0")) return Result.fail("it contains a NUL character")
  if (/\{\{.*_user_attributes.*\}\}/s.test(expression)) {
    return Result.fail("the embedded Looker has no user attributes: write the value")
  }
  switch (type) {
    case "string":
      return stringCondition(column, expression)
    case "number":
      return numberCondition(column, expression)
    case "yesno":
      return yesnoCondition(column, expression)
    case "date":
    case "time":
      return dateCondition(type, column, expression, context)
  }
}
