/**
 * Tables as text: csv, txt, md and html, and what all formats share to write rows.
 *
 * The database writes the rows itself, page by page, so that memory stays flat. What people read as a table (these and xlsx) has a line for
 * each pivot field above the labels, and the totals as its last row (inferred from json_bi, whose last row they are).
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { type DatabaseError, DuckDb } from "../database/DuckDb.ts"
import { identifier, literal } from "../database/Sql.ts"
import type { Column, ResultSet, RowTable } from "../engine/ResultSet.ts"
import * as ValueFormat from "../language/ValueFormat.ts"
import type { Field } from "../model/Model.ts"

/** Cells per page: rows may be wide. */
const cellsPerPage = 120_000

/**
 * How the text of a cell is written: an SQL expression over the SQL of the text, which is NULL where there is none.
 *
 * @category models
 * @since 0.1.0
 */
export type Encode = (text: string, field: Field) => string

/**
 * Rows as text: what to select first, then out of that, by names that `row`, an SQL expression, uses. What is used twice is computed once
 * that way.
 *
 * @category models
 * @since 0.1.0
 */
export interface RowSql {
  readonly texts: ReadonlyArray<string>
  readonly read: ReadonlyArray<string>
  readonly row: string
}

const textOf = ({ sqlName }: Column): string => `CAST(${identifier(sqlName)} AS VARCHAR)`

/** A DOUBLE may have become infinite or NaN (of either sign) on the way, for which no format has a word. */
const finite: Encode = (text, { type }) =>
  type === "number" ? `CASE WHEN ${text} NOT IN ('nan', '-nan', 'inf', '-inf') THEN ${text} END` : text

/**
 * The cells of a row, read (as they are or as they are shown) and written in the way of a format; `row` puts them together.
 *
 * **Details**
 *
 * The columns of a pivoted measure go through one expression as a list: a wide pivot would otherwise take DuckDB minutes to plan.
 *
 * @category constructors
 * @since 0.1.0
 */
export const rowSql = (
  columns: ReadonlyArray<Column>,
  read: Encode,
  write: Encode,
  row: (cell: (column: Column) => string) => string
): RowSql => {
  const texts: Array<string> = []
  const reads: Array<string> = []
  const written = new Map<Column, string>()
  const add = (text: string, readAs: (name: string) => string) => {
    const name = `c${texts.length}`
    texts.push(`${text} AS ${name}`)
    reads.push(`${readAs(name)} AS ${name}`)
    return name
  }
  const each = (list: string, encode: Encode, field: Field) =>
    `list_transform(${list}, lambda text: ${encode("text", field)})`
  for (const column of columns) {
    if (column.pivot !== undefined) continue
    const { field } = column
    const name = add(finite(textOf(column), field), (name) => read(name, field))
    written.set(column, write(name, field))
  }
  for (const field of new Set(columns.map((column) => column.field))) {
    const pivoted = columns.filter((column) => column.pivot !== undefined && column.field === field)
    if (pivoted.length === 0) continue
    const list = each(`[${pivoted.map(textOf).join(", ")}]`, finite, field)
    const name = add(list, (name) => each(each(name, read, field), write, field))
    pivoted.forEach((column, index) => {
      written.set(column, `${name}[${index + 1}]`)
    })
  }
  return { texts, read: reads, row: row((column) => written.get(column) ?? "NULL") }
}

/**
 * The rows of a table, with `between` between them, in pieces that split no row.
 *
 * @category conversions
 * @since 0.1.0
 */
export const pages = (
  { rowCount, table }: RowTable,
  { read, row, texts }: RowSql,
  between: string,
  columns: number
): Stream.Stream<string, DatabaseError, DuckDb> => {
  if (rowCount === 0) return Stream.empty
  const size = Math.max(1, Math.floor(cellsPerPage / Math.max(1, columns)))
  return Stream.paginate(0, (start: number) =>
    Effect.gen(function* () {
      const database = yield* DuckDb
      const end = start + size
      const rows = yield* database.run(
        `SELECT string_agg(${row}, ${literal(between)} ORDER BY rowid) FROM (SELECT ${["rowid", ...read].join(", ")} ` +
          `FROM (SELECT ${["rowid", ...texts].join(", ")} FROM ${table} WHERE rowid >= ${start} AND rowid < ${end}))`
      )
      const text = `${start === 0 ? "" : between}${String(rows[0]?.[0] ?? "")}`
      return [[text], end < rowCount ? Option.some(end) : Option.none()] as const
    })
  )
}

/**
 * An SQL expression for a text of parts. `concat` takes any number of them, where a chain of `||` would be too deep for a wide pivot.
 *
 * @category conversions
 * @since 0.1.0
 */
export const concat = (parts: ReadonlyArray<string>): string => `concat(${["''", ...parts].join(", ")})`

/**
 * The format of a field's numbers, if it has one.
 *
 * @category conversions
 * @since 0.1.0
 */
export const formatOf = ({ valueFormat }: Field): ValueFormat.ValueFormat | undefined =>
  valueFormat === undefined ? undefined : ValueFormat.parse(valueFormat)

/**
 * The text of a cell as people are to see it.
 *
 * @category conversions
 * @since 0.1.0
 */
export const rendered: Encode = (text, field) =>
  field.type === "number" ? ValueFormat.toSql(text, formatOf(field)) : text

/**
 * The text of a cell as it is.
 *
 * @category conversions
 * @since 0.1.0
 */
export const plain: Encode = (text) => text

/** Nothing has to be escaped in the digits of a number. */
const isBare = (read: Encode, { type }: Field): boolean => read === plain && type === "number"

const rowTotals = "Row Totals"

/**
 * The lines above a table: one for each pivot field, whose label stands above the last dimension, and one of labels.
 *
 * **Gotchas**
 *
 * Whether Looker writes a pivot as lines of its own could not be verified (inferred).
 *
 * @category conversions
 * @since 0.1.0
 */
export const headers = ({ columns, pivotFields }: ResultSet): ReadonlyArray<ReadonlyArray<string>> => {
  const lastDimension = columns.findLastIndex((column) => column.pivot === undefined)
  const above = pivotFields.map((field, level) =>
    columns.map(({ pivot }, index) => {
      if (pivot === undefined) return index === lastDimension ? field.label : ""
      return pivot.isTotal ? (level === 0 ? rowTotals : "") : String(pivot.data[field.name] ?? "")
    })
  )
  return [...above, columns.map(({ field }) => field.label)]
}

/**
 * How a format writes a table.
 *
 * @category models
 * @since 0.1.0
 */
export interface Layout {
  readonly before: string
  readonly rows: RowSql
  readonly after: string
}

const separated = (result: ResultSet, separator: string, read: Encode): Layout => {
  const { columns } = result
  const special = new RegExp(`["\\r\\n${separator}]`)
  // The only cell of a line is quoted where it is empty: an empty line would be no record.
  const isOnly = columns.length === 1
  const quoted = (text: string) =>
    special.test(text) || (isOnly && text === "") ? `"${text.replaceAll('"', '""')}"` : text
  const write: Encode = (text, field) => {
    const empty = literal(isOnly ? '""' : "")
    if (isBare(read, field)) return `coalesce(${text}, ${empty})`
    const test = `regexp_matches(${text}, ${literal(special.source)})${isOnly ? ` OR ${text} = ''` : ""}`
    const quoted = `concat('"', replace(${text}, '"', '""'), '"')`
    return `coalesce(CASE WHEN ${test} THEN ${quoted} ELSE ${text} END, ${empty})`
  }
  return {
    before: headers(result)
      .map((line) => `${line.map(quoted).join(separator)}\n`)
      .join(""),
    rows: rowSql(columns, read, write, (cell) =>
      concat([
        ...columns.flatMap((column, index) => (index === 0 ? [cell(column)] : [literal(separator), cell(column)])),
        literal("\n")
      ])
    ),
    after: ""
  }
}

/**
 * Comma separated, labels as header, every line ended; the empty text and NULL are both an empty cell.
 *
 * @category conversions
 * @since 0.1.0
 */
export const csv = (result: ResultSet, read: Encode): Layout => separated(result, ",", read)

/**
 * Tab separated, with a header (documented). What is quoted in csv is quoted here (inferred).
 *
 * @category conversions
 * @since 0.1.0
 */
export const txt = (result: ResultSet, read: Encode): Layout => separated(result, "\t", read)

const anyOf = (characters: ReadonlyArray<string>): string =>
  `[${characters.map((character) => character.replace(/[\\\]^-]/, "\\$&")).join("")}]`

/**
 * The same replacements, in the same order, in a text and as an SQL expression. They are tried where the text matches `guard`, by default
 * any of the characters that they begin with.
 *
 * @category conversions
 * @since 0.1.0
 */
export const replaced = (
  replacements: ReadonlyArray<readonly [from: string, to: string]>,
  guard: string = anyOf(replacements.map(([from]) => from.slice(0, 1)))
) => ({
  text: (text: string) =>
    new RegExp(guard).test(text) ? replacements.reduce((done, [from, to]) => done.replaceAll(from, to), text) : text,
  sql: (text: string) => {
    const all = replacements.reduce((done, [from, to]) => `replace(${done}, ${literal(from)}, ${literal(to)})`, text)
    return `CASE WHEN regexp_matches(${text}, ${literal(guard)}) THEN ${all} ELSE ${text} END`
  }
})

const markdown = replaced([
  ["\\", "\\\\"],
  ["|", "\\|"],
  ["&", "&amp;"],
  ["<", "&lt;"],
  ["\r\n", "<br>"],
  ["\n", "<br>"],
  ["\r", "<br>"]
])

/**
 * A table of GitHub's markdown, which has one line of labels: a pivot's values stand before the label of the measure.
 *
 * @category conversions
 * @since 0.1.0
 */
export const md = (result: ResultSet, read: Encode): Layout => {
  const { columns } = result
  const lines = headers(result)
  const labels = columns.map((column, index) =>
    (column.pivot === undefined ? lines.slice(-1) : lines).flatMap((line) => line[index] || []).join(" ")
  )
  const line = (cells: ReadonlyArray<string>) => `| ${cells.join(" | ")} |\n`
  const write: Encode = (text, field) => `coalesce(${isBare(read, field) ? text : markdown.sql(text)}, '')`
  return {
    before: line(labels.map(markdown.text)) + line(labels.map(() => "---")),
    rows: rowSql(columns, read, write, (cell) =>
      concat([
        literal("| "),
        ...columns.flatMap((column, index) => (index === 0 ? [cell(column)] : [literal(" | "), cell(column)])),
        literal(" |\n")
      ])
    ),
    after: ""
  }
}

const markup = replaced([
  ["&", "&amp;"],
  ["<", "&lt;"],
  [">", "&gt;"],
  ['"', "&quot;"],
  // A reader would make a line feed of it.
  ["\r", "&#13;"]
])

/**
 * @category conversions
 * @since 0.1.0
 */
export const html = (result: ResultSet, read: Encode): Layout => {
  const { columns } = result
  const line = (cells: ReadonlyArray<string>) =>
    `<tr>${cells.map((text) => `<th>${markup.text(text)}</th>`).join("")}</tr>\n`
  const write: Encode = (text, field) => `concat('<td>', ${isBare(read, field) ? text : markup.sql(text)}, '</td>')`
  return {
    before: `<table>\n<thead>\n${headers(result).map(line).join("")}</thead>\n<tbody>\n`,
    rows: rowSql(columns, read, write, (cell) => concat([literal("<tr>"), ...columns.map(cell), literal("</tr>\n")])),
    after: "</tbody>\n</table>\n"
  }
}

/**
 * The text of a table in pieces, the totals after its rows.
 *
 * @category conversions
 * @since 0.1.0
 */
export const stream = (
  { columns, rows, totals }: ResultSet,
  layout: Layout
): Stream.Stream<string, DatabaseError, DuckDb> =>
  Stream.make(layout.before).pipe(
    Stream.concat(pages(rows, layout.rows, "", columns.length)),
    Stream.concat(totals === undefined ? Stream.empty : pages(totals, layout.rows, "", columns.length)),
    Stream.concat(layout.after === "" ? Stream.empty : Stream.make(layout.after))
  )
