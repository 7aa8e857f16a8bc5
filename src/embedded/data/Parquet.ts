/**
 * Parquet files, which have the types of their columns in them.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type { DuckDb } from "../database/DuckDb.ts"
import { file } from "../database/Sql.ts"
import { describe } from "./Column.ts"

export const read = Effect.fnUntraced(function* (database: DuckDb["Service"], path: string) {
  const rows = `read_parquet(${file(path)}, hive_partitioning = false)`
  return { rows, columns: yield* describe(database, rows) }
})
