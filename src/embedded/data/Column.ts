/**
 * The columns of a file, as DuckDB finds them.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type { DatabaseError, DuckDb } from "../database/DuckDb.ts"

/**
 * A column with its DuckDB type. Dates are loaded as text first: `dateFormat` is the format that DuckDB found for them, or empty if it
 * would cast them.
 */
export interface Column {
  readonly name: string
  readonly type: string
  readonly dateFormat?: string
}

export const isDate = (type: string): boolean => /^(DATE|TIMESTAMP)/.test(type)

/**
 * Options of DuckDB's readers. The sample is the whole file, so that a value near its end decides the type of the column instead of
 * breaking the load. A folder named `year=2020` in the path makes no column.
 */
export const sniffing = "sample_size = -1, hive_partitioning = false"

/** The columns of whatever can stand after FROM. */
export const describe = Effect.fnUntraced(function* (
  database: DuckDb["Service"],
  source: string
): Effect.fn.Return<ReadonlyArray<Column>, DatabaseError> {
  const rows = yield* database.run(`SELECT column_name, column_type FROM (DESCRIBE SELECT * FROM ${source})`)
  return rows.map(([name, type]): Column => ({ name: String(name), type: String(type) }))
})
