/**
 * Dates and times that were loaded as text: which columns are dates, and in which format.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type { DuckDb } from "../database/DuckDb.ts"
import { identifier, literal } from "../database/Sql.ts"
import type { Column } from "./Column.ts"

/** The format with day, month and year in other orders: `01/02/24` can be read in three. */
const otherOrders = (format: string): ReadonlyArray<string> => {
  const orders = format.includes("%Y") ? ["%d%m%Y", "%m%d%Y"] : ["%d%m%y", "%m%d%y", "%y%m%d"]
  return orders
    .map((order) => {
      const parts = order.match(/%./g) ?? []
      let next = 0
      return format.replaceAll(/%[dmyY]/g, (part) => parts[next++] ?? part)
    })
    .filter((other) => other !== format)
}

/**
 * Turns columns of text into dates and times where all values of a column can be read in one way only. DuckDB itself uses the first order
 * of day and month that fits, the same for all columns of a file, and reads `13/02/24` as a day of the year 13.
 */
export const readDates = Effect.fnUntraced(function* (
  database: DuckDb["Service"],
  table: string,
  dates: ReadonlyArray<Column & { readonly dateFormat: string }>
) {
  if (dates.length === 0) return
  const reads = (value: string, format: string) =>
    // `%Y` reads 24 as the year 24.
    `count(*) FILTER (try_strptime(${value}, ${literal(format)}) >= TIMESTAMP '0100-01-01')`
  const measured = dates.map(({ dateFormat, name, type }) => {
    const value = identifier(name)
    const start = `left(${value}, 4)`
    const isYearFirst = `bool_and(NOT contains(${start}, '-') AND NOT contains(${start}, '/'))`
    const isDay = `max(length(trim(${value}))) <= 10`
    const isCast = dateFormat === "" || /^%Y[-/]/.test(dateFormat)
    const isSure = [
      `${reads(value, dateFormat)} = count(${value})`,
      ...otherOrders(dateFormat).map((other) => `${reads(value, other)} < count(${value})`)
    ]
    return `CASE
      WHEN ${isYearFirst} AND count(TRY_CAST(${value} AS ${type})) = count(${value})
      THEN CASE WHEN ${isDay} THEN 'day' ELSE 'cast' END
      WHEN ${isCast ? "false" : isSure.join(" AND ")} THEN 'format'
      ELSE 'text' END`
  })
  const [kinds = []] = yield* database.run(`SELECT ${measured.join(", ")} FROM ${table}`)
  for (const [index, { dateFormat, name, type }] of dates.entries()) {
    const kind = kinds[index]
    if (kind === "text") continue
    const value = identifier(name)
    const read = kind === "format" ? `strptime(${value}, ${literal(dateFormat)})` : `CAST(${value} AS ${type})`
    const to = kind === "day" || type === "DATE" ? "DATE" : "TIMESTAMP"
    const inUtc = type.includes("ZONE") ? `timezone('UTC', ${read})` : read
    yield* database.run(
      `ALTER TABLE ${table} ALTER ${value} TYPE ${to} USING CASE WHEN isfinite(${read}) THEN CAST(${inUtc} AS ${to}) END`
    )
  }
})
