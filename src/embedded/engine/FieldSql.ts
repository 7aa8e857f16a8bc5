/**
 * Fields as SQL expressions: the value of a dimension in a time zone, filters on it, and the aggregate of a measure.
 *
 * @since 0.1.0
 */

import * as Result from "effect/Result"
import { literal } from "../database/Sql.ts"
import * as FilterExpression from "../language/FilterExpression.ts"
import * as LookerExpression from "../language/LookerExpression.ts"
import type { Dimension, Explore, FieldType, Measure, Timeframe } from "../model/Model.ts"

/** The column as local time in the query's time zone. Times are stored in UTC, and dates have no zone. */
const local = ({ column, columnType }: Dimension, timezone: string): string =>
  columnType === "time" && timezone !== "UTC" ? `timezone(${literal(timezone)}, timezone('UTC', ${column}))` : column

/**
 * The text of a timeframe, from a DATE or a local TIMESTAMP.
 *
 * @category conversions
 * @since 0.1.0
 */
export const timeframeSql = (timeframe: Timeframe, value: string): string => {
  switch (timeframe) {
    case "time":
      return `strftime(${value}, '%Y-%m-%d %H:%M:%S')`
    case "date":
      return `strftime(${value}, '%Y-%m-%d')`
    case "week":
      return `strftime(date_trunc('week', ${value}), '%Y-%m-%d')`
    case "month":
      return `strftime(${value}, '%Y-%m')`
    case "quarter":
      return `(strftime(${value}, '%Y') || '-Q' || quarter(${value}))`
    case "year":
      return `year(${value})`
  }
}

/**
 * The first day of a period, as a DATE, from the text that its timeframe has in a result.
 *
 * @category conversions
 * @since 0.1.0
 */
export const periodStartSql = (timeframe: Timeframe, text: string): string => {
  switch (timeframe) {
    case "month":
      return `TRY_CAST(${text} || '-01' AS DATE)`
    case "quarter":
      return `TRY_CAST(split_part(${text}, '-Q', 1) || '-' || (split_part(${text}, '-Q', 2)::INTEGER * 3 - 2) || '-01' AS DATE)`
    case "year":
      return `make_date(${text}, 1, 1)`
    default:
      return `TRY_CAST(${text} AS DATE)`
  }
}

/**
 * The value of a dimension in a result: text for all types but `number`.
 *
 * @category conversions
 * @since 0.1.0
 */
export const dimensionSql = (dimension: Dimension, timezone: string): string => {
  const { column, columnType, timeframe } = dimension
  if (timeframe !== undefined) return timeframeSql(timeframe, local(dimension, timezone))
  return columnType === "yesno" ? `CASE WHEN ${column} THEN 'Yes' WHEN NOT ${column} THEN 'No' END` : column
}

/**
 * The value of a dimension in an expression: the first day, if the dimension is a week, month or quarter.
 *
 * @category conversions
 * @since 0.1.0
 */
export const valueSql = (
  dimension: Dimension,
  timezone: string
): { readonly sql: string; readonly type: FieldType } => {
  const { column, columnType, timeframe } = dimension
  switch (timeframe) {
    case undefined:
    case "time":
      return { sql: column, type: columnType }
    case "year":
      return { sql: timeframeSql(timeframe, local(dimension, timezone)), type: "number" }
    case "date":
      return { sql: columnType === "date" ? column : `CAST(${local(dimension, timezone)} AS DATE)`, type: "date" }
    default:
      return { sql: `CAST(date_trunc('${timeframe}', ${local(dimension, timezone)}) AS DATE)`, type: "date" }
  }
}

/**
 * A filter on a dimension as a condition on its column, or on another column of the same type.
 *
 * @category conversions
 * @since 0.1.0
 */
export const dimensionCondition = (
  dimension: Dimension,
  filter: string,
  context: FilterExpression.Context,
  column = dimension.column
): Result.Result<string, string> => FilterExpression.toSql(dimension.columnType, column, filter, context)

/**
 * Finds the dimension that an expression names, or says why it cannot be used.
 *
 * @category models
 * @since 0.1.0
 */
export type FindDimension = (name: string) => Result.Result<Dimension, string>

/**
 * An expression in Looker's language over dimensions.
 *
 * @category conversions
 * @since 0.1.0
 */
export const expressionSql = (
  expression: string,
  find: FindDimension,
  context: FilterExpression.Context
): Result.Result<LookerExpression.Typed, string> =>
  LookerExpression.compile(
    expression,
    (name) => Result.map(find(name), (dimension) => valueSql(dimension, context.timezone)),
    context
  )

/**
 * The aggregate of a measure. The joins of the explore decide whether rows of the measure's view can occur more than once; an explore of
 * files has no joins.
 *
 * @category conversions
 * @since 0.1.0
 */
export const measureSql = ({ aggregate, column, conditions, isDouble }: Measure, _explore: Explore): string => {
  const where = conditions.length > 0 ? ` FILTER (WHERE ${conditions.map((sql) => `(${sql})`).join(" AND ")})` : ""
  // DOUBLEs are added in a fixed order: otherwise the last digits of a sum change from run to run.
  const ordered = isDouble ? `${column} ORDER BY ${column}` : column
  switch (aggregate) {
    case "count":
      return `count(${column ?? "*"})${where}`
    case "count_distinct":
      return `count(DISTINCT ${column})${where}`
    case "sum":
      return `sum(${ordered})${where}`
    case "average":
      return `avg(${ordered})${where}`
    case "median": {
      // DuckDB's median of decimals is rounded to the digits of the column: the median of 1.01 and 1.02 would be 1.01.
      const middle = (order: string) => `quantile_disc(${column}, 0.5 ORDER BY ${column} ${order})${where}`
      return `list_avg([${middle("ASC")}, ${middle("DESC")}])`
    }
    case "min":
      return `min(${column})${where}`
    case "max":
      return `max(${column})${where}`
    case "list":
      return `string_agg(DISTINCT ${column}, ', ' ORDER BY ${column})${where}`
  }
}
