/**
 * Plans become tables: every statement is a `CREATE TABLE AS`, so that it fails loudly and can be interrupted.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type { DatabaseError, DuckDb } from "./DuckDb.ts"
import type { Plan } from "./QueryCompiler.ts"
import type { ResultSet } from "./ResultSet.ts"
import { identifier } from "./Sql.ts"

type Database = DuckDb["Service"]

/**
 * The tables of a task, by what is in them. All that `run` may leave behind.
 */
const tablesOf = (id: string) => ({ rows: `results.${identifier(id)}` })

/**
 * Runs a plan. The tables of its result are named after the task.
 *
 * @category conversions
 * @since 0.1.0
 */
export const run = Effect.fnUntraced(function* (
  database: Database,
  plan: Plan,
  id: string
): Effect.fn.Return<ResultSet, DatabaseError> {
  const tables = tablesOf(id)
  const limit = plan.limit ?? Number.POSITIVE_INFINITY
  yield* database.run(`CREATE TABLE ${tables.rows} AS\n${plan.sql}`)
  const [[rowCount] = []] = yield* database.run(`SELECT count(*) FROM ${tables.rows}`)
  return {
    columns: plan.fields.map((field) => ({ field, pivot: undefined, sqlName: field.name })),
    dimensions: plan.dimensions,
    pivotFields: plan.pivotFields,
    measures: plan.measures,
    pivots: [],
    rows: { table: tables.rows, rowCount: Number(rowCount) },
    totals: undefined,
    subtotals: [],
    truncated: Number(rowCount) >= limit,
    columnsTruncated: false
  }
})

/**
 * Drops whatever is there of the result of a task.
 *
 * @category conversions
 * @since 0.1.0
 */
export const drop = (database: Database, id: string): Effect.Effect<void, DatabaseError> =>
  Effect.asVoid(
    database.run(
      Object.values(tablesOf(id))
        .map((table) => `DROP TABLE IF EXISTS ${table}`)
        .join(";")
    )
  )
