/**
 * A file as a table, with columns of the few types that the engine works with.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import type { DuckDb } from "../database/DuckDb.ts"
import { identifier } from "../database/Sql.ts"
import type { EmbeddedError } from "../EmbeddedError.ts"
import type { Table } from "../model/FromTables.ts"
import { type Column, describe } from "./Column.ts"
import * as Csv from "./Csv.ts"
import { readDates } from "./Dates.ts"
import * as Json from "./Json.ts"
import * as Parquet from "./Parquet.ts"
import { unreadable } from "./ReadError.ts"
import { type Source, toName } from "./Sources.ts"

type Database = DuckDb["Service"]

/** What a statement reads in place of a table, and its columns. */
const read = (database: Database, { extension, path }: Source) => {
  switch (extension) {
    case ".csv":
      return Csv.read(database, path)
    case ".json":
      return Json.readArray(database, path)
    case ".parquet":
      return Parquet.read(database, path)
    default:
      return Json.readLines(database, path)
  }
}

/** A column in one of the few types the engine works with: numbers, BOOLEAN, DATE, TIMESTAMP (in UTC) and VARCHAR. */
const normalised = ({ dateFormat, name, type }: Column): string => {
  const column = identifier(name)
  if (dateFormat !== undefined) return `CAST(${column} AS VARCHAR)`
  // The sum of two small integers in an expression would be a small integer again, and overflow.
  if (/^U?((TINY|SMALL)INT|INTEGER)$/.test(type)) return `CAST(${column} AS BIGINT)`
  if (/^(U?(BIG|HUGE)INT$|DECIMAL|BOOLEAN$|VARCHAR$)/.test(type)) return column
  // DuckDB has infinite dates too, which are in no month.
  if (/^(DOUBLE|DATE|TIMESTAMP)$/.test(type)) return `CASE WHEN isfinite(${column}) THEN ${column} END`
  // Cast to text first: 0.1 as a FLOAT is 0.10000000149 as a DOUBLE.
  if (type === "FLOAT") return `CASE WHEN isfinite(${column}) THEN CAST(CAST(${column} AS VARCHAR) AS DOUBLE) END`
  if (type === "TIMESTAMP WITH TIME ZONE") return `timezone('UTC', ${column})`
  if (type.startsWith("TIMESTAMP")) return `CAST(${column} AS TIMESTAMP)`
  if (/^(STRUCT|MAP)|\]$/.test(type)) return `CAST(to_json(${column}) AS VARCHAR)`
  return `CAST(${column} AS VARCHAR)`
}

const uniqueNames = (columns: ReadonlyArray<Column>): ReadonlyArray<string> => {
  const taken = new Set<string>()
  return columns.map((column) => {
    const base = toName(column.name)
    let name = base
    for (let number = 2; taken.has(name); number++) name = `${base}_${number}`
    taken.add(name)
    return name
  })
}

/** Loads a file into a table of the schema. The table is named after the explore. */
export const load = (
  database: Database,
  source: Source,
  schema: string
): Effect.Effect<Table, EmbeddedError, FileSystem.FileSystem> =>
  Effect.mapError(loadTable(database, source, schema), unreadable(source.path))

const loadTable = Effect.fnUntraced(function* (database: Database, source: Source, schema: string) {
  const { columns, rows } = yield* read(database, source)
  const names = uniqueNames(columns)
  const selected = columns.map((column, index) => `${normalised(column)} AS ${identifier(names[index] ?? "")}`)
  const table = `${schema}${identifier(source.name)}`
  yield* database.run(`CREATE TABLE ${table} AS SELECT ${selected.join(", ")} FROM ${rows}`)
  const dates = columns.flatMap(({ dateFormat, type }, index) =>
    dateFormat === undefined ? [] : [{ name: names[index] ?? "", type, dateFormat }]
  )
  yield* readDates(database, table, dates)
  return { name: source.name, sqlName: table, columns: yield* describe(database, table) }
})
