/**
 * What can be asked: explores with their dimensions and measures. The engine knows nothing else about the data, so whatever
 * produces this value (a folder of files today) can be queried.
 *
 * @since 0.1.0
 */

/**
 * The types of Looker that the embedded Looker tells apart: they decide how a filter is read and how a value is written.
 *
 * @category models
 * @since 0.1.0
 */
export type FieldType = "string" | "number" | "yesno" | "date" | "time"

/**
 * A dimension is something to group by, a measure an aggregate.
 *
 * **Details**
 *
 * `sql` is the value as it is shown: text for all types but `number`. `sqlRaw` is what a filter compares with: a DATE or
 * TIMESTAMP for `date` and `time`, a BOOLEAN for `yesno`, and the same as `sql` for the others.
 *
 * @category models
 * @since 0.1.0
 */
export interface Field {
  readonly category: "dimension" | "measure"
  readonly name: string
  readonly label: string
  readonly labelShort: string
  readonly type: FieldType
  readonly sql: string
  readonly sqlRaw: string
}

/**
 * What Looker's queries call `view`: a table and the fields it offers, by their full names (`flights.origin`).
 *
 * @category models
 * @since 0.1.0
 */
export interface Explore {
  readonly name: string
  readonly label: string
  readonly sqlFrom: string
  readonly fields: ReadonlyMap<string, Field>
}

/**
 * @category models
 * @since 0.1.0
 */
export interface Model {
  readonly name: string
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
