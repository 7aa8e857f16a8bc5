/**
 * The columns of a file, as DuckDB finds them.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type { DatabaseError, DuckDb } from "../database/DuckDb.ts"

/** `dateFormat` is of dates that are loaded as text: how DuckDB would read them, empty where it would cast them. */
export interface Column {
  readonly name: string
  readonly type: string
  readonly dateFormat?: string
}

export const isDate = (type: string): boolean => /^(DATE|TIMESTAMP)/.test(type)

/**
 * The whole file is the sample: a late value decides the type of its column instead of breaking the load. A folder named
 * `year=2020` is a folder, not a column.
 */
export const sniffing = "sample_size = -1, hive_partitioning = false"

export const describe = Effect.fnUntraced(function* (
  database: DuckDb["Service"],
  source: string
): Effect.fn.Return<ReadonlyArray<Column>, DatabaseError> {
  const rows = yield* database.run(`SELECT column_name, column_type FROM (DESCRIBE SELECT * FROM ${source})`)
  return rows.map(([name, type]): Column => ({ name: String(name), type: String(type) }))
})
