/**
 * Runs plans. Every statement is a `CREATE TABLE AS`, whose errors are never lost and which can be interrupted.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import { DatabaseError, type DuckDb, withoutStatement } from "../database/DuckDb.ts"
import { identifier } from "../database/Sql.ts"
import type { Dimension } from "../model/Model.ts"
import type { Plan } from "./QueryPlan.ts"
import * as QuerySql from "./QuerySql.ts"
import type { Column, Pivot, ResultSet } from "./ResultSet.ts"

type Database = DuckDb["Service"]

const table = (id: string, part: string): string => `results.${identifier(part === "" ? id : `${id} ${part}`)}`

/** Tables that are needed only until the rows are there. */
const intermediate = ["cells", "pivots", "frame", "fill rows", "fill pivots"]

/** With many more columns, a single row takes more memory than DuckDB has. */
const mostColumns = 5000

const subtotalName = (index: number): string => `subtotal ${index}`

const drop = (database: Database, tables: ReadonlyArray<string>): Effect.Effect<void, DatabaseError> =>
  Effect.asVoid(database.run(tables.map((table) => `DROP TABLE IF EXISTS ${table}`).join(";")))

/**
 * Drops the tables of a task.
 *
 * @category combinators
 * @since 0.1.0
 */
export const clear = (database: Database, plan: Plan, id: string): Effect.Effect<void, DatabaseError> => {
  const parts = ["", "totals", ...plan.subtotals.map((_, index) => subtotalName(index)), ...intermediate]
  return drop(
    database,
    parts.map((part) => table(id, part))
  )
}

/** The lines of an error as in the statement that users see, which does not have the line with `CREATE TABLE`. */
const inShownLine = (error: DatabaseError): DatabaseError => {
  if (error.line === undefined || error.line < 2) return withoutStatement(error)
  const line = error.line - 1
  const message = error.message.replace(
    /^LINE (\d+: )(.*\n)( *)\^/m,
    (_, number: string, quoted: string, place: string) => {
      const shown = `${line}: `
      return `LINE ${shown}${quoted}${place.slice(number.length - shown.length)}^`
    }
  )
  return new DatabaseError({ message, line })
}

const rowTotal: Pivot = { key: "$$$_row_total_$$$", isTotal: true, data: {} }

/** A number that a double cannot represent stays text: `12.50` becomes 12.5, and 38 digits stay as they are. */
const shownValue = (dimension: Dimension, text: string | null): string | number | null =>
  text === null || dimension.type !== "number" || !Number.isSafeInteger(Math.trunc(Number(text))) ? text : Number(text)

const pivotsOf = (
  fields: ReadonlyArray<Dimension>,
  rows: ReadonlyArray<ReadonlyArray<string | null>>
): ReadonlyArray<Pivot> => {
  const taken = new Set<string>([rowTotal.key])
  return rows.map((row) => {
    // The key of a NULL is not documented. A number is added where two keys would be the same.
    const base = row.map((text) => text ?? "null").join("|FIELD|")
    let key = base
    for (let number = 2; taken.has(key); number++) key = `${base}|${number}`
    taken.add(key)
    const data = fields.map((field, index) => [field.name, shownValue(field, row[index] ?? null)] as const)
    return { key, isTotal: false, data: Object.fromEntries(data) }
  })
}

const columnsOf = (plan: Plan, pivots: ReadonlyArray<Pivot>): ReadonlyArray<Column> => {
  const shown = pivots.map((pivot, index) => ({ pivot, name: pivot.isTotal ? ("total" as const) : index }))
  const total = shown.filter(({ pivot }) => pivot.isTotal)
  const cells = shown.filter(({ pivot }) => !pivot.isTotal)
  const ordered = plan.rowTotal === "left" ? [...total, ...cells] : [...cells, ...total]
  const measures =
    plan.pivotFields.length === 0
      ? plan.measures.map((field) => ({ field, pivot: undefined, sqlName: QuerySql.columnName(field.name) }))
      : ordered.flatMap(({ name, pivot }) =>
          plan.measures.map((field) => ({ field, pivot, sqlName: QuerySql.pivoted(field.name, name) }))
        )
  return [
    ...plan.dimensions.map((field) => ({ field, pivot: undefined, sqlName: QuerySql.columnName(field.name) })),
    ...measures
  ]
}

/**
 * Runs a plan. The tables of its result are named after the task; a run that fails or is interrupted leaves none.
 *
 * @category conversions
 * @since 0.1.0
 */
export const run = (database: Database, plan: Plan, id: string): Effect.Effect<ResultSet, DatabaseError> =>
  Effect.onError(materialise(database, plan, id), () => Effect.ignore(clear(database, plan, id)))

const materialise = Effect.fnUntraced(function* (
  database: Database,
  plan: Plan,
  id: string
): Effect.fn.Return<ResultSet, DatabaseError> {
  const createAs = (part: string, sql: string) => `CREATE TABLE ${table(id, part)} AS\n${sql}`
  const create = (part: string, sql: string) => Effect.mapError(database.run(createAs(part, sql)), inShownLine)
  const runHidden = (sql: string) => Effect.mapError(database.run(sql), withoutStatement)
  const createHidden = (part: string, sql: string) => runHidden(createAs(part, sql))
  const count = Effect.fnUntraced(function* (part: string) {
    const [[rows] = []] = yield* runHidden(`SELECT count(*) FROM ${table(id, part)}`)
    return Number(rows)
  })

  // One row more than the limit shows whether there are more.
  const oneMore = plan.limit === undefined ? undefined : plan.limit + 1
  const sources = {
    cells: table(id, "cells"),
    pivots: table(id, "pivots"),
    fill: plan.fills.some(({ dimension }) => plan.dimensions.includes(dimension)) ? table(id, "fill rows") : undefined
  }
  let pivots: ReadonlyArray<Pivot> = []
  let columnsTruncated = false
  const createLevel = Effect.fnUntraced(function* (part: string, by: ReadonlyArray<Dimension>) {
    const level = { by, isRows: part === "" }
    const limit = level.isRows ? oneMore : undefined
    if (plan.pivotFields.length === 0) {
      yield* createHidden(part, QuerySql.unpivoted(plan, sources, level, limit))
      return
    }
    const frame = table(id, "frame")
    yield* createHidden("frame", QuerySql.frame(plan, sources, level, limit))
    yield* createHidden(part, QuerySql.spread(plan, sources, level, frame, pivots.length))
    yield* drop(database, [frame])
  })

  if (QuerySql.isFlat(plan)) {
    yield* create("", QuerySql.flat(plan, oneMore))
  } else {
    yield* create("cells", plan.sql)
    for (const fill of plan.fills) {
      const part = plan.dimensions.includes(fill.dimension) ? "fill rows" : "fill pivots"
      yield* createHidden(part, QuerySql.filled(fill, sources.cells, plan.timezone))
    }
    if (plan.pivotFields.length > 0) {
      const isFilled = plan.fills.some(({ dimension }) => plan.pivotFields.includes(dimension))
      const fill = isFilled ? table(id, "fill pivots") : undefined
      yield* createHidden("pivots", QuerySql.pivots(plan, sources.cells, fill))
      const names = plan.pivotFields
        .map(({ name }) => `CAST(${identifier(QuerySql.columnName(name))} AS VARCHAR)`)
        .join(", ")
      const found = yield* runHidden(
        `SELECT ${names} FROM ${sources.pivots} WHERE col <= ${plan.columnLimit} ORDER BY col`
      )
      columnsTruncated = found.length > plan.columnLimit
      pivots = pivotsOf(
        plan.pivotFields,
        found.slice(0, plan.columnLimit).map((row) => row.map((value) => (value === null ? null : String(value))))
      )
      const columns = pivots.length * plan.measures.length
      if (columns > mostColumns) {
        const message = `the result would have ${columns} columns, and the embedded Looker writes ${mostColumns} at most: ask for a smaller column_limit`
        return yield* new DatabaseError({ message, line: undefined })
      }
    }
    yield* createLevel("", plan.dimensions)
  }
  let rowCount = yield* count("")
  const truncated = plan.limit !== undefined && rowCount > plan.limit
  if (truncated) {
    yield* runHidden(`DELETE FROM ${table(id, "")} WHERE rowid >= ${plan.limit}`)
    rowCount = plan.limit ?? rowCount
  }

  if (plan.total) yield* createLevel("totals", [])
  const subtotals = yield* Effect.forEach(plan.subtotals, (length, index) =>
    Effect.gen(function* () {
      const fields = plan.dimensions.slice(0, length)
      const part = subtotalName(index)
      yield* createLevel(part, fields)
      return { table: table(id, part), rowCount: yield* count(part), fields }
    })
  )
  yield* drop(
    database,
    intermediate.map((part) => table(id, part))
  )
  const all = plan.pivotFields.length > 0 && plan.rowTotal !== undefined ? [...pivots, rowTotal] : pivots
  return {
    columns: columnsOf(plan, all),
    dimensions: plan.dimensions,
    pivotFields: plan.pivotFields,
    measures: plan.measures,
    pivots: all,
    rows: { table: table(id, ""), rowCount },
    totals: plan.total ? { table: table(id, "totals"), rowCount: 1 } : undefined,
    subtotals,
    truncated,
    columnsTruncated
  }
})

/**
 * The result of a plan that is not run, because the task needs only its SQL.
 *
 * @category conversions
 * @since 0.1.0
 */
export const withoutRows = ({ dimensions, measures, pivotFields }: Plan): ResultSet => ({
  columns: [],
  dimensions,
  pivotFields,
  measures,
  pivots: [],
  rows: { table: "", rowCount: 0 },
  totals: undefined,
  subtotals: [],
  truncated: false,
  columnsTruncated: false
})
