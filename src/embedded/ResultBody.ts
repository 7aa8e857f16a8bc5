/**
 * The rows of a finished task as the text Looker sends, written by the database itself, page by page.
 *
 * Numbers are written with all their digits (`12.50`, 38-digit integers), which JSON allows; text is quoted.
 *
 * @since 0.1.0
 */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { type DatabaseError, DuckDb } from "./DuckDb.ts"
import type { Field } from "./Model.ts"
import type { Column, ResultSet } from "./ResultSet.ts"
import { identifier, literal } from "./Sql.ts"
import type { Task } from "./TaskStore.ts"

/**
 * The formats this server writes.
 *
 * @category models
 * @since 0.1.0
 */
export type Format = "json" | "json_detail" | "json_bi" | "csv"

/**
 * @category constants
 * @since 0.1.0
 */
export const formats: ReadonlyArray<Format> = ["json", "json_detail", "json_bi", "csv"]

/**
 * The media type of a format. That of csv is not documented.
 *
 * @category conversions
 * @since 0.1.0
 */
export const contentType = (format: Format): string =>
  format === "csv" ? "text/csv; charset=utf-8" : "application/json; charset=utf-8"

/** One row as a SQL expression that gives its text, and what stands around and between rows. */
interface Layout {
  readonly before: string
  readonly row: string
  readonly between: string
  readonly after: string
}

/** Rows per page. */
const pageSize = 20_000

const cellText = ({ field, sqlName }: Column): string => {
  const text = `CAST(${identifier(sqlName)} AS VARCHAR)`
  // A DOUBLE may have become infinite or NaN on the way, for which JSON has no word.
  return field.type === "number" ? `CASE WHEN ${text} NOT IN ('nan', 'inf', '-inf') THEN ${text} END` : text
}

const jsonCell = (column: Column): string =>
  `coalesce(${column.field.type === "number" ? cellText(column) : `CAST(to_json(${cellText(column)}) AS VARCHAR)`}, 'null')`

const jsonRow = (columns: ReadonlyArray<Column>, cell: (column: Column) => string): string => {
  const members = columns.map((column) => `${literal(`${JSON.stringify(column.field.name)}:`)} || ${cell(column)}`)
  return `'{' || ${members.join(" || ',' || ")} || '}'`
}

const csvText = (text: string): string => `CASE WHEN regexp_matches(${text}, '[",\\r\\n]')
  THEN '"' || replace(${text}, '"', '""') || '"' ELSE ${text} END`

const csvQuoted = (text: string): string => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text)

const csvHeader = (columns: ReadonlyArray<Column>): string =>
  `${columns.map(({ field }) => csvQuoted(field.label)).join(",")}\n`

const fieldOf =
  (task: Task) =>
  (field: Field): Record<string, unknown> => {
    const sortIndex = task.plan.sorts.findIndex((sort) => sort.field === field.name)
    const sort = task.plan.sorts[sortIndex]
    return {
      name: field.name,
      label: field.label,
      label_short: field.labelShort,
      field_group_label: field.fieldGroupLabel,
      field_group_variant: field.fieldGroupVariant,
      type: field.lookerType,
      category: field.category,
      view: field.view,
      view_label: field.viewLabel,
      dimension_group: field.dimensionGroup,
      hidden: false,
      description: null,
      is_numeric: field.type === "number",
      sql: field.sql,
      ...(sort === undefined ? {} : { sorted: { sort_index: sortIndex, desc: sort.desc } })
    }
  }

const fieldsOf = (task: Task): Record<string, unknown> => {
  const describe = fieldOf(task)
  const of = (category: Field["category"]) =>
    task.plan.fields.filter((field) => field.category === category).map(describe)
  return { measures: of("measure"), dimensions: of("dimension"), table_calculations: [], pivots: [] }
}

const filtersOf = (task: Task): Record<string, unknown> => {
  const entries = Object.entries(task.plan.filters).map(([name, value]) => {
    const field = task.plan.explore.fields.get(name)
    return [name, { field: field === undefined ? undefined : fieldOf(task)(field), value }] as const
  })
  return Object.fromEntries(entries)
}

interface Ended {
  readonly startedAt: number
  readonly endedAt: number
}

interface Complete extends Ended {
  readonly result: ResultSet
}

/** What json_detail says before its rows, with the keys of recorded answers. */
const detailHead = (task: Task, { endedAt, startedAt }: Ended, truncated: boolean): Record<string, unknown> => ({
  from_cache: true,
  id: task.id,
  truncated,
  supports_pivot_in_db: true,
  null_sort_treatment: "last",
  expired: false,
  ran_at: DateTime.formatIso(DateTime.makeUnsafe(startedAt)).replace(/\.\d+Z$/, "+00:00"),
  aggregate_table_used_info: null,
  runtime: ((endedAt - startedAt) / 1000).toFixed(3),
  added_params: {
    query_timezone: task.plan.timezone,
    sorts: task.plan.sorts.map((sort) => `${sort.field}${sort.desc ? " desc" : ""}`)
  },
  forecast_result: null,
  sql: task.plan.sql,
  sql_explain: null,
  fields: fieldsOf(task),
  fill_fields: [],
  has_totals: false,
  has_row_totals: false,
  applied_filters: filtersOf(task),
  applied_filter_expression: null,
  number_format: "1,234.56",
  explore: { name: task.plan.explore.name, label: task.plan.explore.label, description: null },
  timezone: task.plan.timezone
})

const detailTail = { drill_menu_build_time: 0, has_subtotals: false }

const biMetadata = (task: Task): Record<string, unknown> => ({
  big_query_metadata: null,
  fields: fieldsOf(task),
  pivots: [],
  has_subtotals: false,
  has_totals: false,
  columns_truncated: "no",
  filter_expression: null,
  filters: task.plan.filters,
  sql: task.plan.sql
})

/** An object with an array still to be filled in under `key`, cut in two. */
const around = (head: Record<string, unknown>, key: string, tail: Record<string, unknown>) => {
  const rest = JSON.stringify(tail).slice(1)
  return {
    before: `${JSON.stringify(head).slice(0, -1)},${JSON.stringify(key)}:[`,
    after: rest === "}" ? "]}" : `],${rest}`
  }
}

const layoutOf = (task: Task, format: Format, ended: Complete): Layout => {
  const { columns } = ended.result
  const between = ",\n"
  switch (format) {
    case "json":
      return { before: "[", row: jsonRow(columns, jsonCell), between, after: "]" }
    case "json_bi":
      return { ...around({ metadata: biMetadata(task) }, "rows", {}), row: jsonRow(columns, jsonCell), between }
    case "json_detail":
      return {
        ...around(detailHead(task, ended, ended.result.truncated), "data", detailTail),
        row: jsonRow(columns, (column) => `'{"value":' || ${jsonCell(column)} || '}'`),
        between
      }
    case "csv":
      return {
        before: csvHeader(columns),
        row: `${columns.map((column) => `coalesce(${csvText(cellText(column))}, '')`).join(" || ',' || ")} || '\n'`,
        between: "",
        after: ""
      }
  }
}

/**
 * The body of a complete task, in pieces: a piece never splits a row.
 *
 * @category conversions
 * @since 0.1.0
 */
export const stream = (task: Task, format: Format, ended: Complete): Stream.Stream<string, DatabaseError, DuckDb> => {
  const layout = layoutOf(task, format, ended)
  const { rowCount, table } = ended.result.rows
  const pages = Stream.paginate(0, (start: number) =>
    Effect.gen(function* () {
      const database = yield* DuckDb
      const end = start + pageSize
      const rows = yield* database.run(
        `SELECT string_agg(${layout.row}, ${literal(layout.between)} ORDER BY rowid) FROM ${table} ` +
          `WHERE rowid >= ${start} AND rowid < ${end}`
      )
      const text = `${start === 0 ? "" : layout.between}${String(rows[0]?.[0] ?? "")}`
      return [[text], end < rowCount ? Option.some(end) : Option.none()] as const
    })
  )
  return Stream.make(layout.before).pipe(
    Stream.concat(rowCount === 0 ? Stream.empty : pages),
    Stream.concat(layout.after === "" ? Stream.empty : Stream.make(layout.after))
  )
}

/**
 * The sentence Looker writes for an error of the database.
 *
 * @category constants
 * @since 0.1.0
 */
export const databaseFailed = "The DuckDB database encountered an error while running this query."

/**
 * The body of a failed task as `multi_results` carries it: `errors` in json_detail, a `looker_error` row in the other JSON
 * formats, and a sentence elsewhere.
 *
 * @category conversions
 * @since 0.1.0
 */
export const failure = (task: Task, format: Format, ended: Ended, error: DatabaseError): string => {
  const sentence = `${databaseFailed} ${error.message}`
  switch (format) {
    case "json":
      return JSON.stringify([{ looker_error: sentence }])
    case "json_bi":
      return JSON.stringify({ metadata: biMetadata(task), rows: [{ looker_error: sentence }] })
    case "json_detail":
      return JSON.stringify({
        ...detailHead(task, ended, false),
        truncated: undefined,
        data: [],
        errors: [
          {
            message: databaseFailed,
            message_details: error.message,
            params: task.plan.sql,
            edit_url: null,
            error_pos: null,
            level: "error",
            // The statement follows a first line of ours.
            sql_error_loc: error.line === undefined ? {} : { line: Math.max(1, error.line - 1) }
          }
        ],
        ...detailTail
      })
    case "csv":
      return sentence
  }
}
