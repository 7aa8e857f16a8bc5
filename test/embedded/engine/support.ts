/**
 * What the tests of the engine share: a table of orders, and the engine over it.
 */
import { assert } from "@effect/vitest"
import { Effect, Scope } from "effect"
import { DataFolder } from "effect-looker/embedded"
import * as DuckDb from "../../../src/embedded/database/DuckDb.ts"
import * as QueryCompiler from "../../../src/embedded/engine/QueryCompiler.ts"
import * as QueryExecution from "../../../src/embedded/engine/QueryExecution.ts"
import type { Column, RowTable } from "../../../src/embedded/engine/ResultSet.ts"
import { folder, inProcess } from "../support.ts"

/** The same 3000 orders every time: every column but the first has gaps, `ratio` is of DOUBLEs, and there is an order every hour. */
export const orders = (() => {
  let seed = 1
  const next = (most: number) => {
    seed = (seed * 48_271) % 2_147_483_647
    return seed % most
  }
  const start = Date.UTC(2024, 2, 8)
  const lines = Array.from({ length: 3000 }, (_, index) => {
    const created = new Date(start + index * 3_600_000).toISOString().slice(0, 19).replace("T", " ")
    const day = next(9) === 0 ? "" : `2024-${["01", "03", "04"][next(3)]}-${String(1 + next(9)).padStart(2, "0")}`
    return [
      index,
      ["new", "old", "sold", "null", ""][next(5)],
      ["NO", "SE", "DK", "it's", ""][next(5)],
      next(7) === 0 ? "" : (next(100_000) / 100).toFixed(2),
      `${next(1000)}e-${next(9)}`,
      ["true", "false", ""][next(3)],
      created,
      day
    ].join(",")
  })
  return ["id,status,country,price,ratio,paid,created,day", ...lines, ""].join("\n")
})()

export const now = Date.UTC(2024, 2, 15)

export type Query = Partial<Parameters<typeof QueryCompiler.compile>[1]>

export const field = (name: string) => (/^[a-z_]+$/.test(name) ? `orders.${name}` : name)
/** A field as expressions name it. */
export const mention = (name: string) => `\${${name}}`
export const named = (...names: ReadonlyArray<string>) => names.map(field)

export const engineOver = Effect.fnUntraced(function* (csv: string) {
  const database = yield* DuckDb.make({})
  const models = yield* DataFolder.load(database, { embedded: yield* folder({ "orders.csv": csv }) })
  let runs = 0
  const plan = (query: Query) => QueryCompiler.compile(models, { model: "embedded", view: "orders", ...query }, { now })

  const text = Effect.fnUntraced(function* (columns: ReadonlyArray<Column>, { rowCount, table }: RowTable) {
    const shown = columns.map(({ sqlName }) => `CAST("${sqlName}" AS VARCHAR)`).join(", ")
    const rows = yield* database.run(`SELECT ${shown} FROM ${table} ORDER BY rowid`)
    assert.strictEqual(rows.length, rowCount)
    return rows
  })

  /** What a query gives, as texts; its tables are gone afterwards. */
  const run = Effect.fnUntraced(function* (query: Query) {
    const planned = yield* plan(query)
    const id = `run ${runs++}`
    const result = yield* QueryExecution.run(database, planned, id)
    const { columns, subtotals, totals } = result
    const answer = {
      ...result,
      names: columns.map((column) => [column.field.name, column.pivot?.key].filter(Boolean).join(" ")),
      keys: result.pivots.map(({ key }) => key),
      rows: yield* text(columns, result.rows),
      totals: totals === undefined ? undefined : yield* text(columns, totals),
      subtotals: yield* Effect.forEach(subtotals, (subtotal) => text(columns, subtotal))
    }
    const tables = yield* database.run("SELECT table_name FROM duckdb_tables() WHERE schema_name = 'results'")
    assert.isTrue(tables.every(([name]) => !/cells|pivots|frame|fill/.test(String(name))))
    yield* QueryExecution.clear(database, planned, id)
    return answer
  })

  const left = Effect.map(database.run("SELECT count(*) FROM duckdb_tables() WHERE schema_name = 'results'"), (rows) =>
    Number(rows[0]?.[0])
  )

  /** Hand-written SQL, as texts. */
  const sql = (statement: string) => database.run(`SELECT CAST(COLUMNS(*) AS VARCHAR) FROM (${statement})`)
  return { database, plan, run, sql, left }
})

const open = () => Effect.runPromise(Effect.provideService(engineOver(orders), Scope.Scope, Scope.makeUnsafe()))
let opened: ReturnType<typeof open> | undefined

/** The engine over the orders, opened once in each worker and never closed: a run leaves nothing in it. */
export const engine = Effect.promise(() => (opened ??= open()))

export const refusal = (query: Query) =>
  Effect.gen(function* () {
    const { plan } = yield* engine
    const error = yield* Effect.flip(plan(query))
    return error.message
  })

export const files = { "orders.csv": orders }
export const looker = inProcess(files)
