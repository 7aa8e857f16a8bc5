/**
 * CSV files: the types of their columns, decimals kept exact, and errors with the line that is wrong.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { DatabaseError, DuckDb } from "../database/DuckDb.ts"
import { file, identifier, literal } from "../database/Sql.ts"
import { type Column, isDate, sniffing } from "./Column.ts"

type Database = DuckDb["Service"]

const csvSource = (path: string, types: ReadonlyArray<Column>): string => {
  const pairs = types.map(
    ({ dateFormat, name, type }) => `${literal(name)}: ${literal(dateFormat === undefined ? type : "VARCHAR")}`
  )
  const given = pairs.length > 0 ? `, types = {${pairs.join(", ")}}` : ""
  // Without `skip = 0` DuckDB takes shorter or longer lines at the beginning for comments and leaves them out.
  return `read_csv(${file(path)}, header = true, skip = 0, ${sniffing}${given})`
}

const describeCsv = Effect.fnUntraced(function* (database: Database, path: string) {
  const sniffed = `sniff_csv(${file(path)}, header = true, skip = 0, ${sniffing})`
  const rows = yield* database.run(
    `SELECT found.name, found.type, CASE found.type WHEN 'DATE' THEN DateFormat WHEN 'TIMESTAMP' THEN TimestampFormat END
    FROM (SELECT unnest(Columns) AS found, DateFormat, TimestampFormat FROM ${sniffed})`
  )
  return rows.map(
    ([name, type, format]): Column => ({
      name: String(name),
      type: String(type),
      ...(isDate(String(type)) ? { dateFormat: String(format ?? "") } : {})
    })
  )
})

/** The first line of a file without the spaces around it, and without a byte order mark. */
const firstLine = Effect.fnUntraced(function* (path: string) {
  const fs = yield* FileSystem.FileSystem
  const line = yield* fs.stream(path).pipe(Stream.decodeText, Stream.splitLines, Stream.runHead)
  return Option.getOrElse(line, () => "").trim()
})

const separator = /[,;|\t]/

/** Names the first line that has too few or too many columns. DuckDB only reports it when the separator is given. */
const unevenLines = Effect.fnUntraced(function* (database: Database, path: string, header: string) {
  if (header === "") {
    return yield* Effect.fail({ message: "its first line is empty, and has to have the names of the columns" })
  }
  const bare = header.replaceAll(/"[^"]*"/g, "")
  const delimiter = separator.exec(bare)?.[0] ?? ","
  const count = bare.split(delimiter).length
  const columns = Array.from({ length: count }, (_, index) => `c${index}: 'VARCHAR'`).join(", ")
  const dialect = `auto_detect = false, delim = ${literal(delimiter)}, quote = '"', escape = '"', header = true, skip = 0`
  const { message } = yield* Effect.flip(
    database.run(`SELECT count(COLUMNS(*)) FROM read_csv(${file(path)}, ${dialect}, columns = {${columns}})`)
  ).pipe(Effect.catch(() => Effect.succeed({ message: "" })))
  const [, line, text = "", found] =
    /CSV Error on Line: (\d+)\nOriginal Line: (.*)\nExpected Number of Columns: \d+ Found: (\d+)/.exec(message) ?? []
  const where = line === undefined ? "" : `: the header has ${count}, line ${line} has ${found} (${text.slice(0, 100)})`
  return yield* Effect.fail({ message: `its lines do not have the same number of columns${where}` })
})

/** Fails with the reason why DuckDB could not find the columns of a file. */
const csvFailure = Effect.fnUntraced(function* (database: Database, path: string, { message }: DatabaseError) {
  const line = /CSV Error on Line: (\d+)/.exec(message)?.[1]
  if (line !== undefined && message.includes("not utf-8")) {
    return yield* Effect.fail({ message: `line ${line} is not UTF-8` })
  }
  const header = yield* firstLine(path)
  return header === "" || message.includes("detect the CSV parsing dialect")
    ? yield* unevenLines(database, path, header)
    : yield* Effect.fail({ message })
})

/**
 * Finds DECIMAL types for columns of plain decimals, with room for all digits. DuckDB takes `12.50` for a DOUBLE, and sums of DOUBLEs are
 * inexact and change from run to run.
 */
const exactDecimals = Effect.fnUntraced(function* (database: Database, path: string, columns: ReadonlyArray<Column>) {
  const doubles = columns.filter(({ type }) => type === "DOUBLE")
  if (doubles.length === 0) return columns
  const source = csvSource(
    path,
    doubles.map(({ name }) => ({ name, type: "VARCHAR" }))
  )
  const measured = doubles.map(({ name }) => {
    const value = `trim(${identifier(name)})`
    return [
      `coalesce(bool_and(regexp_full_match(${value}, '[+-]?[0-9]*[.]?[0-9]*')), false)`,
      `coalesce(max(length(regexp_extract(${value}, '^[+-]?0*([0-9]*)', 1))), 0)`,
      `coalesce(max(length(regexp_extract(${value}, '[.]([0-9]*)$', 1))), 0)`
    ].join(", ")
  })
  const row = (yield* database.run(`SELECT ${measured.join(", ")} FROM ${source}`))[0] ?? []
  const types = new Map(
    doubles.map(({ name }, index) => {
      const [plain, whole, scale] = row.slice(index * 3)
      const digits = Number(whole) + Number(scale)
      return [name, plain === true && digits <= 38 ? `DECIMAL(${digits <= 18 ? 18 : 38}, ${scale})` : "DOUBLE"]
    })
  )
  return columns.map((column) => ({ ...column, type: types.get(column.name) ?? column.type }))
})

/** What to read, and its columns. Every statement about a CSV reads the whole file, so there are as few as possible. */
export const read = Effect.fnUntraced(function* (database: Database, path: string) {
  const sniffed = yield* Effect.catch(describeCsv(database, path), (error) => csvFailure(database, path, error))
  const [first] = sniffed
  if (sniffed.length === 1 && first !== undefined) {
    const header = yield* firstLine(path)
    // DuckDB makes one column, named after the whole first line, if the lines do not agree on a separator.
    const isLine = header === first.name.trim() && separator.test(header)
    if (header === "" || isLine) return yield* unevenLines(database, path, header)
  }
  const columns = yield* exactDecimals(database, path, sniffed)
  return { rows: csvSource(path, columns), columns }
})
