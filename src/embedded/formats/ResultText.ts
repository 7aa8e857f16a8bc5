/**
 * Tables as text: csv, txt, md and html, and the SQL of rows that all formats share.
 *
 * The database encodes the rows page by page, so that a result does not have to fit into memory. These formats and xlsx have a line for each
 * pivot field above the labels, and the totals as the last row (inferred from json_bi, where they are the last row).
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
 * Makes the SQL of an encoded cell from the SQL of its text, which is NULL for an empty cell.
 *
 * @category models
 * @since 0.1.0
 */
export type Encode = (text: string, field: Field) => string

/**
 * The SQL of rows as text, in three nested selects so that nothing is computed twice: `texts` are the texts of the cells, `read` the texts as
 * a format shows them, and `row` the row made of those.
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

/** Makes NULL of a DOUBLE that is infinite or NaN (of either sign), which no format can write. */
const finite: Encode = (text, { type }) =>
  type === "number" ? `CASE WHEN ${text} NOT IN ('nan', '-nan', 'inf', '-inf') THEN ${text} END` : text

/**
 * The SQL of rows from that of their cells: `read` makes the text to show, `write` encodes it, and `row` joins the cells.
 *
 * **Details**
 *
 * The columns of a pivoted measure are one list in one expression, because DuckDB takes minutes to plan an expression for each.
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
 * The rows of a table with `between` between them, in pieces of whole rows.
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
 * The SQL of a text made of parts. It is one call of `concat`, because a chain of `||` would be nested too deeply for a wide pivot.
 *
 * @category conversions
 * @since 0.1.0
 */
export const concat = (parts: ReadonlyArray<string>): string => `concat(${["''", ...parts].join(", ")})`

/**
 * The value format of a field.
 *
 * @category conversions
 * @since 0.1.0
 */
export const formatOf = ({ valueFormat }: Field): ValueFormat.ValueFormat | undefined =>
  valueFormat === undefined ? undefined : ValueFormat.parse(valueFormat)

/**
 * The text of a cell in its value format.
 *
 * @category conversions
 * @since 0.1.0
 */
export const rendered: Encode = (text, field) =>
  field.type === "number" ? ValueFormat.toSql(text, formatOf(field)) : text

/**
 * The text of a cell without its value format.
 *
 * @category conversions
 * @since 0.1.0
 */
export const plain: Encode = (text) => text

/** Whether a cell has nothing to escape: the digits of a number. */
const isBare = (read: Encode, { type }: Field): boolean => read === plain && type === "number"

const rowTotals = "Row Totals"

/**
 * The lines above a table: one for each pivot field, with its label above the last dimension, and one with the labels of the columns.
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
 * The layout of a table in a format.
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
  // A line with one empty cell is quoted, because an empty line is no record.
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
 * Comma separated with a header of labels. Every line ends with a line feed. NULL and the empty text are both an empty cell.
 *
 * @category conversions
 * @since 0.1.0
 */
export const csv = (result: ResultSet, read: Encode): Layout => separated(result, ",", read)

/**
 * Tab separated with a header (documented), and quoted like csv (inferred).
 *
 * @category conversions
 * @since 0.1.0
 */
export const txt = (result: ResultSet, read: Encode): Layout => separated(result, "\t", read)

const anyOf = (characters: ReadonlyArray<string>): string =>
  `[${characters.map((character) => character.replace(/[\\\]^-]/, "\\$&")).join("")}]`

/**
 * Replacements as a function of a text and as an SQL expression. Only a text that matches `guard` is searched, by default one with any of the
 * characters that the replacements begin with.
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
 * A table of GitHub's markdown. It has one header line, so the values of a pivot are put before the label of the measure.
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
  // A parser would read it as a line feed.
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
 * A table in pieces, with the totals after its rows.
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
