/**
 * The types of a compiled query.
 *
 * @since 0.1.0
 */
import type { Dimension, Explore, Field, Measure, Timeframe } from "../model/Model.ts"

/**
 * One sort of a query. `pivot` is the index of the pivot column whose measure orders the rows.
 *
 * @category models
 * @since 0.1.0
 */
export interface Sort {
  readonly field: string
  readonly desc: boolean
  readonly pivot?: number | undefined
}

/**
 * A date dimension whose missing values are added to the result. `within` gives the query's filters on the dimension as conditions on
 * another column.
 *
 * @category models
 * @since 0.1.0
 */
export interface Fill {
  readonly dimension: Dimension
  readonly timeframe: Timeframe
  readonly within: (column: string) => ReadonlyArray<string>
}

/**
 * The clauses of a query, with fields of the model in place of names.
 *
 * **Details**
 *
 * `explore` has the dynamic fields of the query too. `dimensions` are those of the rows. `where` and `having` are SQL conditions.
 * `subtotals` are the numbers of leading dimensions that each subtotal is grouped by.
 *
 * @category models
 * @since 0.1.0
 */
export interface Clauses {
  readonly explore: Explore
  readonly fields: ReadonlyArray<Field>
  readonly dimensions: ReadonlyArray<Dimension>
  readonly pivotFields: ReadonlyArray<Dimension>
  readonly measures: ReadonlyArray<Measure>
  readonly filters: Readonly<Record<string, string>>
  readonly where: ReadonlyArray<string>
  readonly having: ReadonlyArray<string>
  readonly sorts: ReadonlyArray<Sort>
  readonly limit: number | undefined
  readonly columnLimit: number
  readonly total: boolean
  readonly rowTotal: "left" | "right" | undefined
  readonly subtotals: ReadonlyArray<number>
  readonly fills: ReadonlyArray<Fill>
  readonly timezone: string
}

/**
 * A query that can be run. `sql` is the statement for its rows as it is shown to a user: with pivots one row for each cell.
 *
 * @category models
 * @since 0.1.0
 */
export interface Plan extends Clauses {
  readonly sql: string
}
