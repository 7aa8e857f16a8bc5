/**
 * The result of a query: tables with the values as they are shown, and a description of their columns. The formats are written from it.
 *
 * @since 0.1.0
 */
import type { Field } from "../model/Model.ts"

/**
 * One combination of values of the pivot fields, or the row total beside them.
 *
 * **Details**
 *
 * `key` is Looker's: the values joined with `|FIELD|`, and `$$$_row_total_$$$` for the row total. `data` has the values as they are
 * shown, by the name of the pivot field; it is empty for the row total.
 *
 * @category models
 * @since 0.1.0
 */
export interface Pivot {
  readonly key: string
  readonly isTotal: boolean
  readonly data: Readonly<Record<string, string | number | null>>
}

/**
 * A column of the result, in the order of output: dimensions first, then measures; with pivots every measure once for each pivot.
 * `sqlName` is its name in the tables.
 *
 * @category models
 * @since 0.1.0
 */
export interface Column {
  readonly field: Field
  readonly pivot: Pivot | undefined
  readonly sqlName: string
}

/**
 * A finished table, whose rows are in the order of `rowid`, from 0. `table` is its name in SQL, with schema and quotes.
 *
 * @category models
 * @since 0.1.0
 */
export interface RowTable {
  readonly table: string
  readonly rowCount: number
}

/**
 * The tables of a result, and the fields that their columns come from.
 *
 * **Details**
 *
 * `rows` has a column for each of `columns`. `totals`, one row, and `subtotals` have the same columns. Dimensions that a level is not
 * grouped by are NULL. A subtotal is grouped by `fields`.
 *
 * `truncated` says that there are more rows than the limit, `columnsTruncated` that there are more pivots than the column limit.
 *
 * @category models
 * @since 0.1.0
 */
export interface ResultSet {
  readonly columns: ReadonlyArray<Column>
  readonly dimensions: ReadonlyArray<Field>
  readonly pivotFields: ReadonlyArray<Field>
  readonly measures: ReadonlyArray<Field>
  readonly pivots: ReadonlyArray<Pivot>
  readonly rows: RowTable
  readonly totals: RowTable | undefined
  readonly subtotals: ReadonlyArray<RowTable & { readonly fields: ReadonlyArray<Field> }>
  readonly truncated: boolean
  readonly columnsTruncated: boolean
}
