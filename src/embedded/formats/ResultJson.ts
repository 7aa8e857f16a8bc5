/**
 * json, json_detail and json_bi.
 *
 * Numbers have all their digits (`12.50`, 38-digit integers), which JSON allows.
 *
 * @since 0.1.0
 */
import * as DateTime from "effect/DateTime"
import * as Stream from "effect/Stream"
import type { Query } from "../../domain/Query.ts"
import type { DatabaseError, DuckDb } from "../database/DuckDb.ts"
import { literal } from "../database/Sql.ts"
import type { Plan } from "../engine/QueryPlan.ts"
import type { Column, Pivot, ResultSet } from "../engine/ResultSet.ts"
import * as ValueFormat from "../language/ValueFormat.ts"
import type { Field } from "../model/Model.ts"
import { concat, type Encode, formatOf, pages, plain, type RowSql, rendered, rowSql } from "./ResultText.ts"

/**
 * What a body says about the run of a query: `id` is that of its task.
 *
 * @category models
 * @since 0.1.0
 */
export interface Run {
  readonly id: string
  readonly stored: { readonly query: Query }
  readonly plan: Pick<
    Plan,
    "explore" | "dimensions" | "pivotFields" | "measures" | "filters" | "sorts" | "timezone" | "sql"
  >
}

/**
 * @category options
 * @since 0.1.0
 */
export interface Options {
  readonly seesSql: boolean
  readonly warnings: ReadonlyArray<string>
}

/**
 * When a query ran, in milliseconds since 1970.
 *
 * @category models
 * @since 0.1.0
 */
export interface Ended {
  readonly startedAt: number
  readonly endedAt: number
}

const quoted = (text: string): string => `coalesce(CAST(to_json(${text}) AS VARCHAR), 'null')`

const value: Encode = (text, { type }) => (type === "number" ? `coalesce(${text}, 'null')` : quoted(text))

/** A cell has `rendered` if it differs from `value` (recorded). */
const cell: Encode = (text, field) => {
  const start = [literal('{"value":'), value(text, field)]
  if (field.type !== "number") return concat([...start, "'}'"])
  const more =
    `CASE WHEN ${ValueFormat.changes(text, formatOf(field))} ` +
    `THEN concat(${literal(',"rendered":')}, ${quoted(rendered(text, field))}) END`
  return concat([...start, more, "'}'"])
}

type Members = ReadonlyArray<readonly [key: string, value: string]>

const object = (members: Members): string =>
  concat([
    "'{'",
    ...members.flatMap(([key, value], index) => [literal(`${index === 0 ? "" : ","}${JSON.stringify(key)}:`), value]),
    "'}'"
  ])

/** The values of a pivoted measure are nested under the keys of the pivots: `row[measure][key]` (seen in clients for json_detail, inferred for json). */
const nested = (columns: ReadonlyArray<Column>, read: Encode, write: Encode, more: Members = []): RowSql =>
  rowSql(columns, read, write, (cell) => {
    const members = [...new Set(columns.map(({ field }) => field))].map((field) => {
      const own = columns.filter((column) => column.field === field)
      const pivoted = own.flatMap((column) =>
        column.pivot === undefined ? [] : [[column.pivot.key, cell(column)] as const]
      )
      return [field.name, pivoted.length === 0 ? own.map(cell).join("") : object(pivoted)] as const
    })
    return object([...members, ...more])
  })

/** The key of a pivot is part of the name: `measure|FIELD|key` (seen in a client of json_bi). */
const flat = (columns: ReadonlyArray<Column>): RowSql =>
  rowSql(columns, plain, cell, (cell) =>
    object(
      columns.map((column) => [
        column.pivot === undefined ? column.field.name : `${column.field.name}|FIELD|${column.pivot.key}`,
        cell(column)
      ])
    )
  )

const between = ",\n"

/**
 * json: an array of rows, without the totals (inferred). With `isFormatted` every number is a text in its value format (inferred).
 *
 * @category conversions
 * @since 0.1.0
 */
export const json = (
  { columns, rows }: ResultSet,
  isFormatted: boolean
): Stream.Stream<string, DatabaseError, DuckDb> =>
  Stream.make("[").pipe(
    Stream.concat(
      pages(
        rows,
        isFormatted ? nested(columns, rendered, quoted) : nested(columns, plain, value),
        between,
        columns.length
      )
    ),
    Stream.concat(Stream.make("]"))
  )

/** The keys of a field in json_bi, which are those of the specification. */
const fieldOf = (field: Field, { seesSql }: Options): Record<string, unknown> => ({
  name: field.name,
  label: field.label,
  field_group_label: field.fieldGroupLabel,
  field_group_variant: field.fieldGroupVariant,
  type: field.lookerType,
  category: field.category,
  view: field.view,
  view_label: field.viewLabel,
  dimension_group: field.dimensionGroup,
  hidden: false,
  description: null,
  sql: seesSql ? field.sql : null
})

/** The keys of a field in json_detail. */
const detailField = ({ plan }: Run, field: Field, options: Options): Record<string, unknown> => {
  const sortIndex = plan.sorts.findIndex((sort) => sort.field === field.name)
  const sort = plan.sorts[sortIndex]
  return {
    ...fieldOf(field, options),
    label_short: field.labelShort,
    is_numeric: field.type === "number",
    measure: field.category === "measure",
    align: field.type === "number" ? "right" : "left",
    value_format: field.valueFormat ?? null,
    ...(sort === undefined ? {} : { sorted: { sort_index: sortIndex, desc: sort.desc } })
  }
}

const fieldsOf = (run: Run, describe: (field: Field) => Record<string, unknown>): Record<string, unknown> => {
  const { dimensions, measures, pivotFields } = run.plan
  return {
    measures: measures.map(describe),
    dimensions: dimensions.map(describe),
    table_calculations: [],
    pivots: pivotFields.map(describe)
  }
}

const appliedFilters = (run: Run, options: Options): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(run.plan.filters).map(([name, value]) => {
      const { dimensions, explore, measures, pivotFields } = run.plan
      // The explore does not have the dynamic fields of the query.
      const asked = [...dimensions, ...pivotFields, ...measures]
      const field = explore.fields.get(name) ?? asked.find((field) => field.name === name)
      return [name, { field: field === undefined ? undefined : detailField(run, field, options), value }]
    })
  )

/** With the keys of a recorded result (public code). Looker's `labels` also have links. */
const detailPivot = ({ data, isTotal, key }: Pivot): Record<string, unknown> => ({
  key,
  data,
  sort_values: data,
  labels: data,
  is_total: isTotal,
  metadata: Object.fromEntries(Object.entries(data).map(([name, value]) => [name, { value }]))
})

/** The members of json_detail before the rows, with the keys of recorded responses. */
const detailHead = (
  run: Run,
  { endedAt, startedAt }: Ended,
  result: ResultSet | undefined,
  options: Options
): Record<string, unknown> => {
  const { explore, sorts, sql, timezone } = run.plan
  const { fill_fields, filter_expression } = run.stored.query
  return {
    from_cache: true,
    id: run.id,
    truncated: result?.truncated,
    supports_pivot_in_db: true,
    null_sort_treatment: "last",
    expired: false,
    ran_at: DateTime.formatIso(DateTime.makeUnsafe(startedAt)).replace(/\.\d+Z$/, "+00:00"),
    aggregate_table_used_info: null,
    runtime: ((endedAt - startedAt) / 1000).toFixed(3),
    added_params: {
      query_timezone: timezone,
      sorts: sorts.map((sort) => `${sort.field}${sort.desc ? " desc" : ""}`)
    },
    forecast_result: null,
    sql: options.seesSql ? sql : null,
    sql_explain: null,
    fields: fieldsOf(run, (field) => detailField(run, field, options)),
    fill_fields: fill_fields ?? [],
    has_totals: result?.totals !== undefined,
    has_row_totals: result?.pivots.some((pivot) => pivot.isTotal) ?? false,
    applied_filters: appliedFilters(run, options),
    applied_filter_expression: filter_expression ?? null,
    number_format: "1,234.56",
    // Clients treat a result with `pivots` as pivoted.
    ...(result === undefined || result.pivotFields.length === 0
      ? {}
      : { pivots: result.pivots.map(detailPivot), columns_truncated: columnsTruncated(result) }),
    ...(result === undefined || result.subtotals.length === 0
      ? {}
      : { subtotal_sets: result.subtotals.map(({ fields }) => fields.map((field) => field.name)) }),
    explore: { name: explore.name, label: explore.label, description: null },
    timezone
  }
}

/** A string in the specification, whose values are not documented (inferred). */
const columnsTruncated = (result: ResultSet | undefined): string => (result?.columnsTruncated === true ? "yes" : "no")

/** An object without its closing brace. */
const opened = (object: Record<string, unknown>): string => JSON.stringify(object).slice(0, -1)

const warningOf = (message: string): Record<string, unknown> => ({
  message,
  message_details: null,
  params: null,
  edit_url: null,
  error_pos: null,
  fatal: false,
  level: "error",
  login_required_oauth_application_id: null
})

const detailTail = (result: ResultSet | undefined): Record<string, unknown> => ({
  drill_menu_build_time: 0,
  has_subtotals: (result?.subtotals.length ?? 0) > 0
})

/** The subtotals, keyed by the number of fields that they are grouped by (recorded). */
const subtotalsOf = ({ columns, subtotals }: ResultSet) => {
  const depths = subtotals.map((table, index) => {
    const grouping = literal(JSON.stringify(table.fields.map((field) => field.name)))
    const members = nested(columns, plain, cell, [["$$$__grouping__$$$", grouping]])
    return Stream.make(`${index === 0 ? "" : ","}"${table.fields.length}":[`).pipe(
      Stream.concat(pages(table, members, between, columns.length)),
      Stream.concat(Stream.make("]"))
    )
  })
  return [Stream.make(',"subtotals_data":{'), ...depths, Stream.make("}")].reduce(Stream.concat)
}

/**
 * json_detail. `warnings` are errors that are not fatal, as Looker reports them in development mode.
 *
 * @category conversions
 * @since 0.1.0
 */
export const jsonDetail = (
  run: Run,
  ended: Ended & { readonly result: ResultSet },
  options: Options
): Stream.Stream<string, DatabaseError, DuckDb> => {
  const { result } = ended
  const { columns, rows, totals } = result
  const { warnings } = options
  const measures = columns.filter(({ field }) => field.category === "measure")
  const tail = {
    ...(warnings.length === 0 ? {} : { errors: warnings.map(warningOf) }),
    ...detailTail(result)
  }
  return Stream.make(`${opened(detailHead(run, ended, result, options))},"data":[`).pipe(
    Stream.concat(pages(rows, nested(columns, plain, cell), between, columns.length)),
    Stream.concat(Stream.make("]")),
    Stream.concat(
      totals === undefined
        ? Stream.empty
        : Stream.concat(
            Stream.make(',"totals_data":'),
            pages(totals, nested(measures, plain, cell), between, columns.length)
          )
    ),
    Stream.concat(result.subtotals.length === 0 ? Stream.empty : subtotalsOf(result)),
    Stream.concat(Stream.make(`,${JSON.stringify(tail).slice(1)}`))
  )
}

/** The values of a pivot are texts in the specification, for any type of field. A missing value is null (inferred). */
const texts = (data: Pivot["data"]): Record<string, string | null> =>
  Object.fromEntries(Object.entries(data).map(([name, value]) => [name, value === null ? null : String(value)]))

const biMetadata = (run: Run, result: ResultSet | undefined, options: Options): Record<string, unknown> => ({
  big_query_metadata: null,
  fields: fieldsOf(run, (field) => fieldOf(field, options)),
  pivots: (result?.pivots ?? []).map(({ data, isTotal, key }) => ({
    key,
    data: texts(data),
    sort_values: texts(data),
    is_total: isTotal
  })),
  has_subtotals: (result?.subtotals.length ?? 0) > 0,
  has_totals: result?.totals !== undefined,
  columns_truncated: columnsTruncated(result),
  filter_expression: run.stored.query.filter_expression ?? null,
  filters: run.plan.filters,
  sql: options.seesSql ? run.plan.sql : null
})

/**
 * json_bi. The totals are the last row, without values for the dimensions (seen in a client, which drops it).
 *
 * @category conversions
 * @since 0.1.0
 */
export const jsonBi = (run: Run, result: ResultSet, options: Options): Stream.Stream<string, DatabaseError, DuckDb> => {
  const { columns, rows, totals } = result
  const members = flat(columns)
  return Stream.make(`${opened({ metadata: biMetadata(run, result, options) })},"rows":[`).pipe(
    Stream.concat(pages(rows, members, between, columns.length)),
    Stream.concat(totals === undefined || rows.rowCount === 0 ? Stream.empty : Stream.make(between)),
    Stream.concat(totals === undefined ? Stream.empty : pages(totals, members, between, columns.length)),
    Stream.concat(Stream.make("]}"))
  )
}

/**
 * json_detail of a query that failed.
 *
 * @category conversions
 * @since 0.1.0
 */
export const detailFailure = (run: Run, ended: Ended, error: Record<string, unknown>, options: Options): string =>
  JSON.stringify({ ...detailHead(run, ended, undefined, options), data: [], errors: [error], ...detailTail(undefined) })

/**
 * json_bi of a query that failed.
 *
 * @category conversions
 * @since 0.1.0
 */
export const biFailure = (run: Run, sentence: string, options: Options): string =>
  JSON.stringify({ metadata: biMetadata(run, undefined, options), rows: [{ looker_error: sentence }] })
