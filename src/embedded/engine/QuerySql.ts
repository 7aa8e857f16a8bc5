/**
 * The statements of a plan: its groups, its pivots, the rows with a column for every pivot, totals, and filled-in dates.
 *
 * @since 0.1.0
 */
import { identifier, literal } from "../database/Sql.ts"
import type { Dimension, Field } from "../model/Model.ts"
import { dimensionSql, measureSql, periodStartSql, timeframeSql } from "./FieldSql.ts"
import type { Clauses, Fill, Sort } from "./QueryPlan.ts"

/**
 * The column of a field in every table of a result. A dynamic field can have a name such as `rowid`, which is DuckDB's own, so a name
 * without a dot gets one.
 *
 * @category conversions
 * @since 0.1.0
 */
export const columnName = (field: string): string => (field.includes(".") ? field : `.${field}`)

const columnOf = (field: string): string => identifier(columnName(field))

/** `NULL` comes last in both directions. */
const orderedBy = (expression: string, desc: boolean): string => `${expression} ${desc ? "DESC" : "ASC"} NULLS LAST`

const orderBy = (terms: ReadonlyArray<string>): ReadonlyArray<string> =>
  terms.length > 0 ? [`ORDER BY ${terms.join(", ")}`] : []

const limitTo = (limit: number | undefined): ReadonlyArray<string> => (limit === undefined ? [] : [`LIMIT ${limit}`])

/** All dimensions break ties, so that the same query always gives the same rows in the same order. */
const tieBreakers = (sorts: ReadonlyArray<Sort>, dimensions: ReadonlyArray<Dimension>): ReadonlyArray<Sort> =>
  dimensions
    .filter(({ name }) => !sorts.some((sort) => sort.field === name))
    .map(({ name }) => ({ field: name, desc: false }))

const same = (left: string, right: string, columns: ReadonlyArray<Field>): string =>
  columns.map(({ name }) => `${left}.${columnOf(name)} IS NOT DISTINCT FROM ${right}.${columnOf(name)}`).join(" AND ")

/** One row for each combination of the values of `by`, with all measures. */
const groups = (
  plan: Clauses,
  by: ReadonlyArray<Dimension>,
  where: ReadonlyArray<string>,
  having: ReadonlyArray<string>
) => {
  const columns = [
    ...by.map((dimension) => `    ${dimensionSql(dimension, plan.timezone)} AS ${columnOf(dimension.name)}`),
    ...plan.measures.map((measure) => `    ${measureSql(measure, plan.explore)} AS ${columnOf(measure.name)}`)
  ]
  return [
    `SELECT\n${columns.join(",\n")}`,
    `FROM ${plan.explore.from.view.sqlTable}`,
    ...(where.length > 0 ? [`WHERE ${where.join(" AND ")}`] : []),
    ...(by.length > 0 ? [`GROUP BY ${by.map((_, index) => index + 1).join(", ")}`] : []),
    ...(having.length > 0 ? [`HAVING ${having.join(" AND ")}`] : [])
  ]
}

/**
 * Whether one statement gives the rows: the plan has no pivots, no dates to fill in, and no totals over the groups that a measure filter
 * leaves.
 *
 * @category predicates
 * @since 0.1.0
 */
export const isFlat = (plan: Clauses): boolean =>
  plan.pivotFields.length === 0 &&
  plan.fills.length === 0 &&
  !(plan.having.length > 0 && (plan.total || plan.subtotals.length > 0))

/**
 * The rows of a flat plan, in order.
 *
 * @category constructors
 * @since 0.1.0
 */
export const flat = (plan: Clauses, limit: number | undefined): string => {
  const sorts = [...plan.sorts, ...tieBreakers(plan.sorts, plan.dimensions)]
  return [
    ...groups(plan, plan.dimensions, plan.where, plan.having),
    ...orderBy(sorts.map(({ desc, field }) => orderedBy(columnOf(field), desc))),
    ...limitTo(limit)
  ].join("\n")
}

/**
 * The groups by all dimensions and pivot fields: with pivots a row for each cell.
 *
 * @category constructors
 * @since 0.1.0
 */
export const cells = (plan: Clauses): string =>
  groups(plan, [...plan.dimensions, ...plan.pivotFields], plan.where, plan.having).join("\n")

/**
 * The statement of a query as users see it. The comment about filled-in values is Looker's.
 *
 * @category conversions
 * @since 0.1.0
 */
export const shown = (plan: Clauses): string => {
  if (isFlat(plan)) return flat(plan, plan.limit)
  const filled = plan.fills.map(({ dimension }) => `'${dimension.name}'`).join(", ")
  const comment = filled === "" ? "" : `-- raw sql results do not include filled-in values for ${filled}\n`
  return `${comment}${cells(plan)}`
}

/** Filters are tested on these days. A filter that allows the first or the last of them counts as unbounded on that side. */
const firstDay = "DATE '1900-01-01'"
const lastDay = "DATE '2099-12-31'"

/**
 * All values of a date dimension from the first to the last: of those that its filters allow or, on a side without a bound, of those in
 * `table`.
 *
 * **Details**
 *
 * The filters themselves are run on every day. A day counts if its first or its last moment is allowed.
 *
 * @category constructors
 * @since 0.1.0
 */
export const filled = ({ dimension, timeframe, within }: Fill, table: string, timezone: string): string => {
  const name = columnOf(dimension.name)
  const start = periodStartSql(timeframe, name)
  const value = `${timeframeSql(timeframe, "days.day")} AS ${name}`
  const shownDays = `SELECT min(${start}) AS first, max(${start}) AS last FROM ${table}`
  const conditions = within("moments.moment")
  if (conditions.length === 0) {
    return `WITH shown AS (${shownDays}),
days AS (SELECT unnest(generate_series(CAST(first AS TIMESTAMP), CAST(last AS TIMESTAMP), INTERVAL 1 DAY)) AS day FROM shown)
SELECT DISTINCT ${value} FROM days`
  }
  const moment = (local: string) =>
    dimension.columnType === "time"
      ? `timezone('UTC', timezone(${literal(timezone)}, ${local}))`
      : `CAST(${local} AS DATE)`
  return `WITH shown AS (${shownDays}),
everyday AS (SELECT unnest(generate_series(CAST(${firstDay} AS TIMESTAMP), CAST(${lastDay} AS TIMESTAMP), INTERVAL 1 DAY)) AS day),
moments AS (
  SELECT day, ${moment("day")} AS moment FROM everyday
  UNION ALL SELECT day, ${moment("day + INTERVAL 1 DAY - INTERVAL 1 MICROSECOND")} FROM everyday
),
allowed AS (SELECT DISTINCT day FROM moments WHERE ${conditions.map((condition) => `(${condition})`).join(" AND ")}),
days AS (
  SELECT day FROM allowed, shown
  WHERE ((SELECT min(day) FROM allowed) > ${firstDay} OR day >= first)
    AND ((SELECT max(day) FROM allowed) < ${lastDay} OR day <= last)
)
SELECT DISTINCT ${value} FROM days`
}

/**
 * The combinations of the pivot fields' values, numbered in the order of the columns.
 *
 * @category constructors
 * @since 0.1.0
 */
export const pivots = (plan: Clauses, cells: string, fill: string | undefined): string => {
  const names = plan.pivotFields.map(({ name }) => columnOf(name)).join(", ")
  const sorts = plan.sorts.filter(({ field }) => plan.pivotFields.some(({ name }) => name === field))
  const order = [...sorts, ...tieBreakers(sorts, plan.pivotFields)].map(({ desc, field }) =>
    orderedBy(columnOf(field), desc)
  )
  const found = `SELECT DISTINCT ${names} FROM ${cells}`
  // UNION drops the values that occur in both.
  const all = fill === undefined ? found : `${found} UNION SELECT ${names} FROM ${fill}`
  return `SELECT ${names}, row_number() OVER (ORDER BY ${order.join(", ")}) - 1 AS col FROM (${all})`
}

/**
 * The tables that a result is made from: its cells, its pivots, and the values to fill in of the dimension of its rows.
 *
 * @category models
 * @since 0.1.0
 */
export interface Sources {
  readonly cells: string
  readonly pivots: string
  readonly fill: string | undefined
}

/** The number of the row total among the pivots. */
const totalIndex = -1

/**
 * The column of a measure under a pivot, or under the row total. No field begins with a digit.
 *
 * @category conversions
 * @since 0.1.0
 */
export const pivoted = (measure: string, pivot: number | "total"): string =>
  `${pivot === "total" ? totalIndex : pivot}_${measure}`

/**
 * A measure that orders the rows of a pivoted result by one of its pivots. `cell` and `best` are the columns of the frame for this: the
 * value under that pivot, and the best value under any.
 */
interface MeasureSort {
  readonly sort: Sort
  readonly cell: string
  readonly best: string
}

const measureSorts = (plan: Clauses): ReadonlyArray<MeasureSort> =>
  plan.pivotFields.length === 0
    ? []
    : plan.sorts
        .filter(({ field }) => plan.measures.some((measure) => measure.name === field))
        .map((sort, index) => ({ sort, cell: identifier(`sort ${index}`), best: identifier(`best ${index}`) }))

/**
 * Rows without a value under the pivot that orders them come last, ordered by the best value they have: Looker's own statements do the
 * same.
 */
const orderOf = (plan: Clauses): ReadonlyArray<string> => {
  const byMeasure = new Map(measureSorts(plan).map((measureSort) => [measureSort.sort, measureSort]))
  const rowSorts = plan.sorts.filter(({ field }) => !plan.pivotFields.some(({ name }) => name === field))
  return [...rowSorts, ...tieBreakers(rowSorts, plan.dimensions)].flatMap((sort) => {
    const hidden = byMeasure.get(sort)
    if (hidden === undefined) return [orderedBy(columnOf(sort.field), sort.desc)]
    const { best, cell } = hidden
    return [orderedBy(cell, sort.desc), orderedBy(`CASE WHEN ${cell} IS NULL THEN ${best} END`, sort.desc)]
  })
}

/** The conditions of totals: with a measure filter, only rows of the groups that it leaves are counted. */
const totalConditions = (plan: Clauses, cells: string): ReadonlyArray<string> => {
  if (plan.having.length === 0) return plan.where
  // No explore has a bar in its name.
  const kept = identifier("|kept")
  const equal = [...plan.dimensions, ...plan.pivotFields].map(
    (dimension) => `${kept}.${columnOf(dimension.name)} IS NOT DISTINCT FROM ${dimensionSql(dimension, plan.timezone)}`
  )
  const where = equal.length === 0 ? "" : ` WHERE ${equal.join(" AND ")}`
  return [...plan.where, `EXISTS (SELECT 1 FROM ${cells} AS ${kept}${where})`]
}

/** A level of a result (its rows, its totals, or a subtotal), and the dimensions that it is grouped by. */
interface Level {
  readonly by: ReadonlyArray<Dimension>
  readonly isRows: boolean
}

const cellsOf = (plan: Clauses, sources: Sources, { by, isRows }: Level): string =>
  isRows ? sources.cells : aggregated(plan, sources, [...by, ...plan.pivotFields])

const aggregated = (plan: Clauses, sources: Sources, by: ReadonlyArray<Dimension>): string =>
  `(${groups(plan, by, totalConditions(plan, sources.cells), []).join("\n")})`

/** A column for each dimension. It is NULL if the level is not grouped by the dimension. */
const dimensionsOf = (plan: Clauses, { by }: Level, table: string): ReadonlyArray<string> =>
  plan.dimensions.map((dimension) => {
    const name = columnOf(dimension.name)
    return by.includes(dimension) ? `${table}.${name}` : `NULL AS ${name}`
  })

/** Adds the filled-in rows that have no cells. */
const withFill = (sources: Sources, { by, isRows }: Level): ReadonlyArray<string> => {
  const names = by.map(({ name }) => columnOf(name)).join(", ")
  return isRows && sources.fill !== undefined
    ? [`UNION ALL BY NAME SELECT ${names} FROM ${sources.fill} ANTI JOIN ${sources.cells} USING (${names})`]
    : []
}

/**
 * A level without pivots: a column for each dimension and measure, in order.
 *
 * @category constructors
 * @since 0.1.0
 */
export const unpivoted = (plan: Clauses, sources: Sources, level: Level, limit: number | undefined): string => {
  const columns = [...dimensionsOf(plan, level, "cells"), ...plan.measures.map(({ name }) => columnOf(name))]
  return [
    "SELECT * FROM (",
    `SELECT ${columns.join(", ")} FROM ${cellsOf(plan, sources, level)} AS cells`,
    ...withFill(sources, level),
    ")",
    ...orderBy(level.by.length > 0 ? orderOf(plan) : []),
    ...limitTo(limit)
  ].join("\n")
}

/**
 * The rows of a pivoted level without their cells, in order. The limit counts these rows, and only their cells become columns.
 *
 * @category constructors
 * @since 0.1.0
 */
export const frame = (plan: Clauses, sources: Sources, level: Level, limit: number | undefined): string => {
  const { by, isRows } = level
  // Looker sorts by the first pivot unless the sort names another one.
  const sorting = measureSorts(plan).flatMap(({ best, cell, sort: { desc, field, pivot = 0 } }) => [
    `any_value(${columnOf(field)}) FILTER (WHERE col = ${pivot}) AS ${cell}`,
    `${desc ? "max" : "min"}(${columnOf(field)}) AS ${best}`
  ])
  const names = by.map(({ name }) => `cells.${columnOf(name)}`)
  const cells = `FROM ${cellsOf(plan, sources, level)} AS cells JOIN ${sources.pivots} AS pivots ON ${same("cells", "pivots", plan.pivotFields)}`
  // Totals are always one row. Without dimensions the rows are one row too, or no row if there are no cells.
  if (by.length === 0) return isRows ? `SELECT count(*) AS cells ${cells} HAVING count(*) > 0` : "SELECT 0 AS cells"
  return [
    "SELECT * FROM (",
    `SELECT ${[...dimensionsOf(plan, level, "cells"), ...sorting].join(", ")}`,
    cells,
    `GROUP BY ${names.join(", ")}`,
    ...withFill(sources, level),
    ")",
    ...orderBy(orderOf(plan)),
    ...limitTo(limit)
  ].join("\n")
}

/**
 * A pivoted level: the rows of its frame, with a column for each measure under each of the first `pivotCount` pivots and the row total.
 *
 * @category constructors
 * @since 0.1.0
 */
export const spread = (plan: Clauses, sources: Sources, level: Level, frame: string, pivotCount: number): string => {
  const { by } = level
  const measures = plan.measures.map(({ name }) => columnOf(name))
  const columns = [
    ...Array.from({ length: pivotCount }, (_, index) => index),
    ...(plan.rowTotal === undefined ? [] : [totalIndex])
  ]
  const dimensions = by.length > 0 ? dimensionsOf(plan, level, "frame") : dimensionsOf(plan, level, "")
  if (columns.length === 0)
    return `SELECT ${[...dimensions, "NULL AS nothing"].join(", ")} FROM ${frame} AS frame ORDER BY frame.rowid`
  const isRow = by.length === 0 ? "TRUE" : same("frame", "cells", by)
  const columnsOf = (col: string) =>
    ["frame.rowid AS nth", `${col} AS col`, ...measures.map((name) => `cells.${name}`)].join(", ")
  const rowTotals =
    plan.rowTotal === undefined
      ? []
      : [
          `UNION ALL SELECT ${columnsOf(String(totalIndex))}`,
          `FROM ${aggregated(plan, sources, by)} AS cells JOIN ${frame} AS frame ON ${isRow}`
        ]
  const values = columns.flatMap((index) =>
    plan.measures.map(
      ({ name }, position) => `spread.cells[${index}].m${position} AS ${identifier(`${index}_${name}`)}`
    )
  )
  const cell = measures.map((name, position) => `m${position}: ${name}`).join(", ")
  // DuckDB's own PIVOT takes half a minute for 60 measures with 20 values.
  return [
    `SELECT ${[...dimensions, ...values].join(", ")}`,
    `FROM ${frame} AS frame LEFT JOIN (`,
    `SELECT nth, map_from_entries(list({k: col, v: {${cell}}})) AS cells FROM (`,
    `SELECT ${columnsOf("pivots.col")}`,
    `FROM ${cellsOf(plan, sources, level)} AS cells`,
    `JOIN ${sources.pivots} AS pivots ON pivots.col < ${pivotCount} AND ${same("cells", "pivots", plan.pivotFields)}`,
    `JOIN ${frame} AS frame ON ${isRow}`,
    ...rowTotals,
    ") GROUP BY nth",
    ") AS spread ON spread.nth = frame.rowid",
    "ORDER BY frame.rowid"
  ].join("\n")
}
