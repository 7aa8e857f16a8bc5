/**
 * The statements of a plan: its groups, its pivots, the rows with a column for every pivot, totals, and the dates that are missing.
 *
 * @since 0.1.0
 */
import { dimensionSql, measureSql, periodStartSql, timeframeSql } from "./FieldSql.ts"
import type { Dimension, Field } from "./Model.ts"
import type { Fill, Plan, Sort } from "./QueryCompiler.ts"
import { identifier, literal } from "./Sql.ts"

/** All of a plan but the statement that is made from it. */
type Question = Omit<Plan, "sql">

/** `NULL` is last, whatever the direction. */
const orderedBy = (expression: string, desc: boolean): string => `${expression} ${desc ? "DESC" : "ASC"} NULLS LAST`

const orderBy = (terms: ReadonlyArray<string>): ReadonlyArray<string> =>
  terms.length > 0 ? [`ORDER BY ${terms.join(", ")}`] : []

const limitTo = (limit: number | undefined): ReadonlyArray<string> => (limit === undefined ? [] : [`LIMIT ${limit}`])

/** All dimensions break ties, so that the same query always gives the same bytes. */
const tieBreakers = (sorts: ReadonlyArray<Sort>, dimensions: ReadonlyArray<Dimension>): ReadonlyArray<Sort> =>
  dimensions
    .filter(({ name }) => !sorts.some((sort) => sort.field === name))
    .map(({ name }) => ({ field: name, desc: false }))

const same = (left: string, right: string, columns: ReadonlyArray<Field>): string =>
  columns
    .map(({ name }) => `${left}.${identifier(name)} IS NOT DISTINCT FROM ${right}.${identifier(name)}`)
    .join(" AND ")

/** One row for each combination of the values of `by`, with all measures. */
const groups = (
  plan: Question,
  by: ReadonlyArray<Dimension>,
  where: ReadonlyArray<string>,
  having: ReadonlyArray<string>
) => {
  const columns = [
    ...by.map((dimension) => `    ${dimensionSql(dimension, plan.timezone)} AS ${identifier(dimension.name)}`),
    ...plan.measures.map((measure) => `    ${measureSql(measure)} AS ${identifier(measure.name)}`)
  ]
  return [
    `SELECT\n${columns.join(",\n")}`,
    `FROM ${plan.explore.view.sqlTable}`,
    ...(where.length > 0 ? [`WHERE ${where.join(" AND ")}`] : []),
    ...(by.length > 0 ? [`GROUP BY ${by.map((_, index) => index + 1).join(", ")}`] : []),
    ...(having.length > 0 ? [`HAVING ${having.join(" AND ")}`] : [])
  ]
}

/**
 * Whether the groups are the rows: no pivots, nothing to fill in, and no total that asks which groups a measure filter left.
 *
 * @category predicates
 * @since 0.1.0
 */
export const isFlat = (plan: Question): boolean =>
  plan.pivotFields.length === 0 &&
  plan.fills.length === 0 &&
  !(plan.having.length > 0 && (plan.total || plan.subtotals.length > 0))

/**
 * The rows of a flat plan, in order.
 *
 * @category constructors
 * @since 0.1.0
 */
export const flat = (plan: Question, limit: number | undefined): string => {
  const sorts = [...plan.sorts, ...tieBreakers(plan.sorts, plan.dimensions)]
  return [
    ...groups(plan, plan.dimensions, plan.where, plan.having),
    ...orderBy(sorts.map(({ desc, field }) => orderedBy(identifier(field), desc))),
    ...limitTo(limit)
  ].join("\n")
}

/**
 * The groups by all dimensions and pivot fields: with pivots a row for each cell.
 *
 * @category constructors
 * @since 0.1.0
 */
export const cells = (plan: Question): string =>
  groups(plan, [...plan.dimensions, ...plan.pivotFields], plan.where, plan.having).join("\n")

/**
 * What a person is shown as the statement of a query. Looker has the same remark about values that are filled in.
 *
 * @category conversions
 * @since 0.1.0
 */
export const shown = (plan: Question): string => {
  if (isFlat(plan)) return flat(plan, plan.limit)
  const filled = plan.fills.map(({ dimension }) => `'${dimension.name}'`).join(", ")
  const remark = filled === "" ? "" : `-- raw sql results do not include filled-in values for ${filled}\n`
  return `${remark}${cells(plan)}`
}

/** The days that any filter can mean. Those that reach the first or the last of them are taken to have no such bound. */
const firstDay = "DATE '1900-01-01'"
const lastDay = "DATE '2099-12-31'"

/**
 * The values of a date dimension from the first to the last one: of what the filters on it allow or, where they set no bound, of those
 * that `table` has.
 *
 * **Details**
 *
 * Which days a filter allows is asked of the filter itself: a day is in when its first or its last moment is.
 *
 * @category constructors
 * @since 0.1.0
 */
export const filled = ({ dimension, timeframe, within }: Fill, table: string, timezone: string): string => {
  const name = identifier(dimension.name)
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
export const pivots = (plan: Question, cells: string, fill: string | undefined): string => {
  const names = plan.pivotFields.map(({ name }) => identifier(name)).join(", ")
  const sorts = plan.sorts.filter(({ field }) => plan.pivotFields.some(({ name }) => name === field))
  const order = [...sorts, ...tieBreakers(sorts, plan.pivotFields)].map(({ desc, field }) =>
    orderedBy(identifier(field), desc)
  )
  const found = `SELECT DISTINCT ${names} FROM ${cells}`
  // UNION takes a value that is there already once.
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

/**
 * The column of a measure under a pivot. No field has a bar in its name.
 *
 * @category conversions
 * @since 0.1.0
 */
export const pivoted = (measure: string, pivot: number | "total"): string => `${measure}|${pivot}`

/** A measure that orders the rows of a pivoted result, by one of its pivots: Looker's first one unless the sort says which. */
const measureSorts = (plan: Question): ReadonlyArray<Sort> =>
  plan.pivotFields.length === 0
    ? []
    : plan.sorts.filter(({ field }) => plan.measures.some((measure) => measure.name === field))

/**
 * Rows without the cell that they are to be ordered by come last, and among themselves by the best cell they have: so Looker's own
 * statements rank them.
 */
const orderOf = (plan: Question): ReadonlyArray<string> => {
  const byMeasure = measureSorts(plan)
  const rowSorts = plan.sorts.filter(({ field }) => !plan.pivotFields.some(({ name }) => name === field))
  return [...rowSorts, ...tieBreakers(rowSorts, plan.dimensions)].flatMap((sort) => {
    const { desc, field } = sort
    if (!byMeasure.includes(sort)) return [orderedBy(identifier(field), desc)]
    const cell = identifier(`${field}|sort`)
    return [orderedBy(cell, desc), orderedBy(`CASE WHEN ${cell} IS NULL THEN ${identifier(`${field}|best`)} END`, desc)]
  })
}

/** The rows of data that belong to the groups a measure filter left: totals are about those. */
const belonging = (plan: Question, cells: string): ReadonlyArray<string> => {
  if (plan.having.length === 0) return plan.where
  // No explore has a bar in its name.
  const kept = identifier("|kept")
  const equal = [...plan.dimensions, ...plan.pivotFields].map(
    (dimension) =>
      `${kept}.${identifier(dimension.name)} IS NOT DISTINCT FROM ${dimensionSql(dimension, plan.timezone)}`
  )
  const where = equal.length === 0 ? "" : ` WHERE ${equal.join(" AND ")}`
  return [...plan.where, `EXISTS (SELECT 1 FROM ${cells} AS ${kept}${where})`]
}

/**
 * The rows, the totals (by no dimension) or the subtotals (by some) of a plan: a column for each dimension, NULL for those that it is not
 * grouped by, and for each measure or, with pivots, for each measure under each of the first `pivotCount` pivots and the row total.
 *
 * @category constructors
 * @since 0.1.0
 */
export const level = (
  plan: Question,
  sources: Sources,
  pivotCount: number,
  by: ReadonlyArray<Dimension>,
  kind: { readonly isRows: boolean; readonly limit: number | undefined }
): string => {
  const names = by.map(({ name }) => identifier(name))
  const measures = plan.measures.map(({ name }) => identifier(name))
  const isPivoted = plan.pivotFields.length > 0
  const where = belonging(plan, sources.cells)
  const aggregated = (by: ReadonlyArray<Dimension>) => `(${groups(plan, by, where, []).join("\n")})`
  const cells = kind.isRows ? sources.cells : aggregated([...by, ...plan.pivotFields])
  const dimensions = plan.dimensions.map((dimension) =>
    by.includes(dimension) ? identifier(dimension.name) : `NULL AS ${identifier(dimension.name)}`
  )
  const rowTotals =
    plan.rowTotal === undefined
      ? ""
      : `\nUNION ALL SELECT ${[...names, ...measures, "NULL"].join(", ")} FROM ${aggregated(by)}`
  const under = (pivot: number | "total") =>
    plan.measures.map(({ name }) => {
      const isCell = pivot === "total" ? "col IS NULL" : `col = ${pivot}`
      return `any_value(${identifier(name)}) FILTER (WHERE ${isCell}) AS ${identifier(pivoted(name, pivot))}`
    })
  const sorting = measureSorts(plan).flatMap(({ desc, field, pivot = 0 }) => [
    `any_value(${identifier(field)}) FILTER (WHERE col = ${pivot}) AS ${identifier(`${field}|sort`)}`,
    `${desc ? "max" : "min"}(${identifier(field)}) FILTER (WHERE col IS NOT NULL) AS ${identifier(`${field}|best`)}`
  ])
  const pivotIndexes = Array.from({ length: pivotCount }, (_, index) => index)
  const shownMeasures = isPivoted
    ? [...pivotIndexes, ...(plan.rowTotal === undefined ? [] : ["total" as const])].flatMap((pivot) =>
        plan.measures.map(({ name }) => identifier(pivoted(name, pivot)))
      )
    : measures
  const wide = isPivoted
    ? [
        `SELECT ${[...dimensions, ...pivotIndexes.flatMap(under), ...(plan.rowTotal === undefined ? [] : under("total")), ...sorting].join(", ")}`,
        `FROM (SELECT ${[...names, ...measures]
          .map((name) => `cells.${name}`)
          .concat("pivots.col")
          .join(", ")}`,
        `FROM ${cells} AS cells JOIN ${sources.pivots} AS pivots ON ${same("cells", "pivots", plan.pivotFields)}${rowTotals})`,
        ...(by.length > 0 ? [`GROUP BY ${names.join(", ")}`] : kind.isRows ? ["HAVING count(col) > 0"] : [])
      ]
    : [`SELECT ${[...dimensions, ...measures].join(", ")} FROM ${cells}`]
  const fill =
    kind.isRows && sources.fill !== undefined
      ? [
          `UNION ALL BY NAME SELECT ${names.join(", ")} FROM ${sources.fill} ANTI JOIN ${sources.cells} USING (${names.join(", ")})`
        ]
      : []
  return [
    `SELECT ${[...plan.dimensions.map(({ name }) => identifier(name)), ...shownMeasures].join(", ")}`,
    `FROM (${[...wide, ...fill].join("\n")})`,
    ...orderBy(by.length > 0 ? orderOf(plan) : []),
    ...limitTo(kind.limit)
  ].join("\n")
}
