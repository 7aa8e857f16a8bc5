/**
 * Models: explores with their dimensions and measures. The engine knows nothing else about the data, so anything that makes a model can be
 * queried. Today that is a folder of files.
 *
 * @since 0.1.0
 */

/**
 * The types of fields. They decide how a filter is read and how a value is written.
 *
 * @category models
 * @since 0.1.0
 */
export type FieldType = "string" | "number" | "yesno" | "date" | "time"

/**
 * The parts of a time that a dimension group offers.
 *
 * @category models
 * @since 0.1.0
 */
export type Timeframe = "time" | "date" | "week" | "month" | "quarter" | "year"

/**
 * How a measure aggregates the values of its column. `list` is the distinct values as one text.
 *
 * @category models
 * @since 0.1.0
 */
export type Aggregate = "count" | "count_distinct" | "sum" | "average" | "median" | "min" | "max" | "list"

/**
 * What dimensions and measures have in common, most of it metadata.
 *
 * **Details**
 *
 * `type` is the type of the values in a result, which are text for all types but `number`. `lookerType` is the type as Looker's metadata has
 * it (`date_month`, `count_distinct`). `sql` is the SQL of the field in the model, without time zone, aggregate or format. `valueFormat` is
 * the format of its numbers (see `ValueFormat`).
 *
 * @category models
 * @since 0.1.0
 */
export interface FieldInfo {
  readonly name: string
  readonly label: string
  readonly labelShort: string
  readonly type: FieldType
  readonly lookerType: string
  readonly view: string
  readonly viewLabel: string
  readonly dimensionGroup: string | null
  readonly fieldGroupLabel: string | null
  readonly fieldGroupVariant: string
  readonly sql: string | null
  readonly valueFormat?: string | undefined
}

/**
 * A field that groups rows.
 *
 * **Details**
 *
 * `column` is an SQL expression of the type `columnType`: a DATE for `date`, a TIMESTAMP in UTC for `time`, a BOOLEAN for
 * `yesno`. A filter compares with this column, in the filter language of its type. A result has its `timeframe`, if there is one.
 * `isDouble`: the numbers are DOUBLEs, whose sum depends on the order in which they are added.
 *
 * @category models
 * @since 0.1.0
 */
export interface Dimension extends FieldInfo {
  readonly category: "dimension"
  readonly column: string
  readonly columnType: FieldType
  readonly isDouble: boolean
  readonly timeframe: Timeframe | undefined
}

/**
 * An aggregate of a column, over the rows that meet all of its conditions. A `count` without a column counts rows.
 *
 * @category models
 * @since 0.1.0
 */
export interface Measure extends FieldInfo {
  readonly category: "measure"
  readonly aggregate: Aggregate
  readonly column: string | undefined
  readonly isDouble: boolean
  readonly conditions: ReadonlyArray<string>
}

/**
 * @category models
 * @since 0.1.0
 */
export type Field = Dimension | Measure

/**
 * A table under the name that fields refer to it by.
 *
 * **Details**
 *
 * `sqlTable` is what stands after FROM or JOIN, with the alias: `"orders" AS "orders"`. `primaryKey` is an SQL expression whose value is
 * different in every row. Without one, a join that repeats rows makes sums of this view impossible.
 *
 * @category models
 * @since 0.1.0
 */
export interface View {
  readonly name: string
  readonly label: string
  readonly sqlTable: string
  readonly primaryKey: string | undefined
}

/**
 * How many rows of a joined view match one row of the views before it, and the other way round.
 *
 * @category models
 * @since 0.1.0
 */
export type Relationship = "many_to_one" | "one_to_one" | "one_to_many" | "many_to_many"

/**
 * A view that is joined when a query has a field of it.
 *
 * **Details**
 *
 * `sqlOn` is a condition, which a `cross` join does not have. `joinedTo` are the views that the condition compares it with:
 * `relationship` says how their rows and those of `view` match. `requiredJoins` are the views that have to be joined too. Both are names,
 * and come earlier in the joins of the source.
 *
 * @category models
 * @since 0.1.0
 */
export interface Join {
  readonly view: View
  readonly type: "left_outer" | "inner" | "full_outer" | "cross"
  readonly relationship: Relationship
  readonly sqlOn: string | undefined
  readonly joinedTo: ReadonlyArray<string>
  readonly requiredJoins: ReadonlyArray<string>
}

/**
 * What the rows of an explore come from: the table of its base view, and the joins that a query may need, in the order in which they are
 * joined.
 *
 * @category models
 * @since 0.1.0
 */
export interface Source {
  readonly view: View
  readonly joins: ReadonlyArray<Join>
}

/**
 * What Looker's queries call `view`: where the rows come from, and all the fields that a query may name, by their full names
 * (`flights.origin`).
 *
 * @category models
 * @since 0.1.0
 */
export interface Explore {
  readonly name: string
  readonly label: string
  readonly from: Source
  readonly fields: ReadonlyMap<string, Field>
}

/**
 * @category models
 * @since 0.1.0
 */
export interface Model {
  readonly name: string
  readonly label: string
  readonly explores: ReadonlyMap<string, Explore>
}

/**
 * A name as Looker labels it: `flight_no` becomes `Flight No`.
 *
 * @category conversions
 * @since 0.1.0
 */
export const titleCase = (name: string): string =>
  name
    .split("_")
    .filter((word) => word !== "")
    .map((word) => word.charAt(0).toUpperCase() + word.slice(1))
    .join(" ")
