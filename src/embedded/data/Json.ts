/**
 * JSON files: an array of objects, or an object on each line.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type { DuckDb } from "../database/DuckDb.ts"
import { file } from "../database/Sql.ts"
import { type Column, describe, isDate, sniffing } from "./Column.ts"

type Database = DuckDb["Service"]

/** Without these options DuckDB reads `01-02-2024` as the first of February. With them, times are text. */
const isoDates = "dateformat = 'iso', timestampformat = 'iso'"

const jsonSource = Effect.fnUntraced(function* (database: Database, path: string, options: string) {
  const columns = yield* describe(database, `read_json(${file(path)}, ${options})`)
  return {
    rows: `read_json(${file(path)}, ${options}, ${isoDates})`,
    columns: columns.map(
      (column): Column =>
        isDate(column.type)
          ? { ...column, type: column.type === "DATE" ? "DATE" : "TIMESTAMP WITH TIME ZONE", dateFormat: "" }
          : column
    )
  }
})

/** An array of objects. */
export const readArray = (database: Database, path: string) => jsonSource(database, path, sniffing)

/** An object on each line. */
export const readLines = (database: Database, path: string) =>
  jsonSource(database, path, `${sniffing}, format = 'newline_delimited'`)
