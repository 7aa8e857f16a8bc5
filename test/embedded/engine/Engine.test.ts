/**
 * Queries against SQL that was written by hand, over the same tables.
 */
import { mkdirSync } from "node:fs"
import { join } from "node:path"
import { DuckDBInstance } from "@duckdb/node-api"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/testing/TestClock"
import { knownKeys } from "../../../src/domain/Query.ts"
import * as DataFolder from "../../../src/embedded/data/DataFolder.ts"
import * as DuckDb from "../../../src/embedded/database/DuckDb.ts"
import * as EmbeddedLooker from "../../../src/embedded/EmbeddedLooker.ts"
import * as QueryCompiler from "../../../src/embedded/engine/QueryCompiler.ts"
import * as QueryExecution from "../../../src/embedded/engine/QueryExecution.ts"
import type { Column, RowTable } from "../../../src/embedded/engine/ResultSet.ts"
import { call, createTask, ends, folder, inProcess, login, results, wait } from "../support.ts"

/** The same 3000 orders every time: every column but the first has gaps, `ratio` is of DOUBLEs, and there is an order every hour. */
const orders = (() => {
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

const now = Date.UTC(2024, 2, 15)

type Query = Partial<Parameters<typeof QueryCompiler.compile>[1]>

const field = (name: string) => (/^[a-z_]+$/.test(name) ? `orders.${name}` : name)
/** A field as expressions name it. */
const mention = (name: string) => `\${${name}}`
const named = (...names: ReadonlyArray<string>) => names.map(field)

const engineOver = Effect.fnUntraced(function* (csv: string) {
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
    const drawers = yield* database.run("SELECT table_name FROM duckdb_tables() WHERE schema_name = 'results'")
    assert.isTrue(drawers.every(([name]) => !/cells|pivots|frame|fill/.test(String(name))))
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

const engine = engineOver(orders)

const refusal = (query: Query) =>
  Effect.gen(function* () {
    const { plan } = yield* engine
    const error = yield* Effect.flip(plan(query))
    return error.message
  })

describe("a query agrees with SQL written by hand", () => {
  const flat: ReadonlyArray<readonly [string, Query, string]> = [
    [
      "on groups, aggregates and the order of ties",
      { fields: named("country", "status", "count", "total_price", "average_price", "min_price", "max_id") },
      `SELECT country, status, count(*) AS n, sum(price), avg(price), min(price), max(id) FROM orders GROUP BY 1, 2
       ORDER BY n DESC, country NULLS LAST, status NULLS LAST`
    ],
    [
      "on filters of every type and of a measure",
      {
        fields: named("country", "count"),
        filters: {
          "orders.status": "-old",
          "orders.price": "[100, 900)",
          "orders.paid": "yes",
          "orders.created_date": "2024-03-10 to 2024-05-01",
          "orders.count": ">5"
        },
        sorts: ["orders.country desc"]
      },
      `SELECT country, count(*) FROM orders
       WHERE (status <> 'old' OR status IS NULL) AND price >= 100 AND price < 900 AND paid
         AND created >= '2024-03-10' AND created < '2024-05-01'
       GROUP BY 1 HAVING count(*) > 5 ORDER BY 1 DESC NULLS LAST`
    ],
    [
      "on days of 23, 24 and 25 hours in a time zone",
      {
        fields: named("created_date", "count"),
        query_timezone: "America/New_York",
        filters: { "orders.created_date": "2024-03-09 to 2024-03-12" },
        sorts: named("created_date")
      },
      `SELECT * FROM (VALUES ('2024-03-09', 24), ('2024-03-10', 23), ('2024-03-11', 24))`
    ],
    [
      "on weeks, quarters, years and times in a time zone, and on dates, which have none",
      {
        fields: named("created", "created_week", "created_quarter", "created_year", "day"),
        query_timezone: "Asia/Kolkata",
        filters: { "orders.id": "[0, 40]" },
        sorts: named("created")
      },
      `SELECT strftime(t, '%Y-%m-%d %H:%M:%S'), strftime(date_trunc('week', t), '%Y-%m-%d'), '2024-Q1', 2024, day
       FROM (SELECT created + INTERVAL 330 MINUTE AS t, day FROM orders WHERE id <= 40) ORDER BY 1`
    ],
    [
      "on a year that is filtered as a date and shown as a number",
      { fields: named("day_year", "count"), filters: { "orders.day_year": "2024" } },
      `SELECT 2024, count(*) FROM orders WHERE day >= '2024-01-01' AND day < '2025-01-01'`
    ],
    [
      "on relative dates, read at the time of the query",
      { fields: named("count"), filters: { "orders.created_date": "2 days ago for 2 days" } },
      "SELECT 48"
    ]
  ]
  for (const [what, query, statement] of flat) {
    it.effect(what, () =>
      Effect.gen(function* () {
        const { run, sql } = yield* engine
        const { rows } = yield* run(query)
        assert.isAbove(rows.length, 0)
        assert.deepStrictEqual(rows, yield* sql(statement))
      })
    )
  }

  it.effect("on the 25 hours of the last day of daylight saving time", () =>
    Effect.gen(function* () {
      const { database } = yield* engine
      const models = yield* DataFolder.load(yield* DuckDb.make({}), {
        m: yield* folder({
          "h.csv": `t\n${Array.from({ length: 72 }, (_, hour) =>
            new Date(Date.UTC(2024, 10, 2, hour)).toISOString().slice(0, 19).replace("T", " ")
          ).join("\n")}\n`
        })
      })
      const plan = yield* QueryCompiler.compile(
        models,
        {
          model: "m",
          view: "h",
          fields: ["h.count"],
          filters: { "h.t_date": "2024-11-03" },
          query_timezone: "America/New_York"
        },
        { now }
      )
      // The statement reads no table of the other database: only its condition is asked, of hours that are counted by hand.
      const [condition = ""] = plan.where
      const hours = yield* database.run(
        `SELECT count(*) FROM (SELECT unnest(generate_series(TIMESTAMP '2024-11-02', TIMESTAMP '2024-11-05', INTERVAL 1 HOUR)) AS t) AS h WHERE ${condition}`
      )
      assert.deepStrictEqual(hours, [[25n]])
    })
  )

  const pivoted: ReadonlyArray<readonly [string, Query, string]> = [
    ["one pivot", { fields: named("country", "status", "count", "average_price"), pivots: named("status") }, ""],
    ["two pivots", { fields: named("country", "status", "paid", "count"), pivots: named("paid", "status") }, ""],
    [
      "a pivot over dates in a time zone",
      {
        fields: named("status", "created_month", "total_price"),
        pivots: named("created_month"),
        query_timezone: "America/New_York"
      },
      ""
    ],
    [
      "a pivot with a measure filter",
      { fields: named("country", "status", "count"), pivots: named("status"), filters: { "orders.count": ">120" } },
      "HAVING count(*) > 120"
    ],
    ["a pivot without rows", { fields: named("status", "count", "max_price"), pivots: named("status") }, ""]
  ]
  const written: Readonly<Record<string, string>> = {
    "orders.count": "count(*)",
    "orders.average_price": "avg(price)",
    "orders.total_price": "sum(price)",
    "orders.max_price": "max(price)",
    "orders.paid": "CASE paid WHEN true THEN 'Yes' WHEN false THEN 'No' END",
    "orders.created_month": "strftime(timezone('America/New_York', timezone('UTC', created)), '%Y-%m')",
    "orders.country": "country",
    "orders.status": "status"
  }
  for (const [what, query, having] of pivoted) {
    it.effect(`on the cells of ${what}`, () =>
      Effect.gen(function* () {
        const { run, sql } = yield* engine
        const result = yield* run({ ...query, limit: "-1" })
        const names = [...result.dimensions, ...result.pivotFields].map(({ name }) => name)
        const cells = result.rows.flatMap((row) =>
          result.columns.flatMap((column, index) => {
            if (column.pivot === undefined || row[index] === null) return []
            const pivot = result.pivotFields.map(({ name }) => column.pivot?.data[name] ?? null)
            return [[...row.slice(0, result.dimensions.length), ...pivot, column.field.name, row[index] ?? null]]
          })
        )
        const expected = yield* Effect.forEach(result.measures, ({ name }) =>
          sql(
            `SELECT ${[...names.map((name) => written[name]), `'${name}'`, written[name]].join(", ")} FROM orders GROUP BY ALL ${having}`
          )
        )
        const sorted = (rows: ReadonlyArray<ReadonlyArray<unknown>>) => rows.map((row) => JSON.stringify(row)).sort()
        assert.isAbove(cells.length, 2)
        assert.deepStrictEqual(sorted(cells), sorted(expected.flat().filter((row) => row.at(-1) !== null)))
      })
    )
  }

  it.effect("on totals, row totals, the grand total and subtotals: recomputed, not added up, and never limited", () =>
    Effect.gen(function* () {
      const { run, sql } = yield* engine
      const distinct = JSON.stringify([{ measure: "countries", based_on: "orders.country", type: "count_distinct" }])
      const measures = "count(*), avg(price), count(DISTINCT country)"
      const plain = yield* run({
        fields: [...named("status", "country", "paid", "count", "average_price"), "countries"],
        dynamic_fields: distinct,
        total: true,
        subtotals: named("status", "country"),
        limit: 2,
        sorts: named("status")
      })
      assert.deepStrictEqual([plain.rows.length, plain.truncated], [2, true])
      assert.deepStrictEqual(plain.totals, yield* sql(`SELECT NULL, NULL, NULL, ${measures} FROM orders`))
      assert.deepStrictEqual(plain.subtotals, [
        yield* sql(`SELECT status, NULL, NULL, ${measures} FROM orders GROUP BY status ORDER BY status NULLS LAST`),
        yield* sql(
          `SELECT status, country, NULL, ${measures} FROM orders GROUP BY status, country ORDER BY status NULLS LAST, country NULLS LAST`
        )
      ])

      const pivoted = yield* run({
        fields: [...named("paid", "status", "count", "average_price"), "countries"],
        dynamic_fields: distinct,
        pivots: named("status"),
        total: true,
        row_total: "right",
        subtotals: named("paid"),
        limit: 1,
        column_limit: 2,
        sorts: named("paid", "status")
      })
      assert.deepStrictEqual(pivoted.keys, ["new", "null", "$$$_row_total_$$$"])
      assert.deepStrictEqual([pivoted.truncated, pivoted.columnsTruncated], [true, true])
      const under = (condition: string) => `SELECT ${measures} FROM orders WHERE ${condition}`
      const [news, nulls, all, noNews, noNulls, noAll] = yield* Effect.forEach(
        [
          ...["status = 'new'", "status = 'null'", "true"],
          ...["NOT paid AND status = 'new'", "NOT paid AND status = 'null'", "NOT paid"]
        ],
        (condition) => Effect.map(sql(under(condition)), ([row = []]) => row)
      )
      assert.deepStrictEqual(pivoted.totals, [[null, ...(news ?? []), ...(nulls ?? []), ...(all ?? [])]])
      assert.deepStrictEqual(pivoted.rows, [["No", ...(noNews ?? []), ...(noNulls ?? []), ...(noAll ?? [])]])
      assert.deepStrictEqual(pivoted.subtotals[0]?.[0], pivoted.rows[0])
      assert.strictEqual(pivoted.subtotals[0]?.length, 3)

      const left = yield* run({
        fields: named("paid", "status", "count"),
        pivots: named("status"),
        row_total: "left"
      })
      assert.deepStrictEqual(left.names.slice(0, 3), [
        "orders.paid",
        "orders.count $$$_row_total_$$$",
        "orders.count new"
      ])
    })
  )

  it.effect("on totals of the groups that a measure filter leaves", () =>
    Effect.gen(function* () {
      const { run, sql } = yield* engine
      const kept = `(SELECT country, status FROM orders GROUP BY ALL HAVING count(*) > 125)`
      const among = (condition = "true") => `SELECT count(*), avg(price) FROM orders
        WHERE ${condition} AND EXISTS (SELECT 1 FROM ${kept} AS k WHERE k.country IS NOT DISTINCT FROM orders.country
          AND k.status IS NOT DISTINCT FROM orders.status)`
      const filters = { "orders.count": ">125" }
      const flat = yield* run({ fields: named("country", "status", "count", "average_price"), filters, total: true })
      const groups = yield* sql(`SELECT count(*) FROM ${kept}`)
      assert.deepStrictEqual([[String(flat.rows.length)]], groups)
      assert.deepStrictEqual(flat.totals?.[0]?.slice(2), (yield* sql(among()))[0])
      const pivoted = yield* run({
        fields: named("country", "status", "count", "average_price"),
        pivots: named("status"),
        filters,
        total: true,
        row_total: "right"
      })
      assert.deepStrictEqual(pivoted.totals?.[0]?.slice(-2), (yield* sql(among()))[0])
      const [index] = pivoted.keys.keys()
      assert.deepStrictEqual(
        pivoted.totals?.[0]?.slice(1, 3),
        (yield* sql(among(`status = '${pivoted.keys[index ?? 0]}'`)))[0]
      )
      for (const row of pivoted.rows) {
        const country = row[0] === null ? "country IS NULL" : `country = '${String(row[0]).replaceAll("'", "''")}'`
        assert.deepStrictEqual(row.slice(-2), (yield* sql(among(country)))[0])
      }
    })
  )

  it.effect("on dates that are missing, filled in from the data or from what the filter allows", () =>
    Effect.gen(function* () {
      const { run, sql } = yield* engine
      const days = (from: string, to: string, format: string, step: string) => `
        SELECT strftime(d, '${format}') AS v, n FROM (
          SELECT unnest(generate_series(TIMESTAMP '${from}', TIMESTAMP '${to}', INTERVAL 1 ${step})) AS d) LEFT JOIN (
          SELECT date_trunc('${step}', day) AS k, count(*) AS n FROM orders GROUP BY 1) ON k = d ORDER BY 1 DESC`
      const fill = (name: string, more: Query = {}) =>
        run({ fields: named(name, "count"), fill_fields: named(name), filters: { "orders.day": "NOT NULL" }, ...more })
      assert.deepStrictEqual((yield* fill("day")).rows, yield* sql(days("2024-01-01", "2024-04-09", "%Y-%m-%d", "day")))
      assert.deepStrictEqual(
        (yield* fill("day_month")).rows,
        yield* sql(days("2024-01-01", "2024-04-01", "%Y-%m", "month"))
      )
      assert.deepStrictEqual(
        (yield* fill("day_week")).rows,
        yield* sql(days("2024-01-01", "2024-04-08", "%Y-%m-%d", "week"))
      )
      const within = yield* fill("day_month", { filters: { "orders.day": "2023-12-30 to 2024-06-02" } })
      assert.deepStrictEqual(within.rows, yield* sql(days("2023-12-01", "2024-06-01", "%Y-%m", "month")))
      const open = yield* fill("day", { filters: { "orders.day_month": "after 2024-02" } })
      assert.deepStrictEqual(open.rows, yield* sql(days("2024-02-01", "2024-04-09", "%Y-%m-%d", "day")))
      assert.deepStrictEqual((yield* fill("day_quarter", { filters: { "orders.day": "2023" } })).rows, [
        ["2023-Q4", null],
        ["2023-Q3", null],
        ["2023-Q2", null],
        ["2023-Q1", null]
      ])
      const years = yield* fill("day_year", { filters: { "orders.day": "2022 to 2025" }, sorts: named("day_year") })
      assert.deepStrictEqual(
        years.rows.map(([year]) => year),
        ["2022", "2023", "2024"]
      )
      const relative = yield* fill("created_date", { filters: { "orders.created_date": "8 days" } })
      assert.deepStrictEqual(
        relative.rows.map(([day]) => day),
        [8, 9, 10, 11, 12, 13, 14, 15].map((day) => `2024-03-${String(day).padStart(2, "0")}`).reverse()
      )
      const nothing = yield* fill("day", { filters: { "orders.id": "-1" } })
      assert.deepStrictEqual(nothing.rows, [])
      const withNull = yield* fill("day", { filters: {} })
      assert.strictEqual(withNull.rows.filter(([day]) => day === null).length, 1)
      assert.strictEqual(withNull.rows.length, 101)
      assert.deepStrictEqual((yield* fill("day", { limit: 3 })).rows.length, 3)

      const zone = yield* fill("created_date", {
        filters: { "orders.created_date": "2024-03-05 to 2024-03-11" },
        query_timezone: "America/New_York",
        sorts: named("created_date")
      })
      assert.deepStrictEqual(zone.rows, [
        ["2024-03-05", null],
        ["2024-03-06", null],
        ["2024-03-07", "5"],
        ["2024-03-08", "24"],
        ["2024-03-09", "24"],
        ["2024-03-10", "23"]
      ])

      const pivoted = yield* run({
        fields: named("created_date", "day_month", "count"),
        pivots: named("day_month"),
        fill_fields: named("day_month", "created_date"),
        filters: { "orders.day": "2024", "orders.created_date": "2024-03-01 to 2024-03-10" },
        sorts: named("created_date")
      })
      assert.deepStrictEqual(pivoted.keys.length, 12)
      assert.deepStrictEqual(pivoted.rows.map(([day]) => day)[0], "2024-03-01")
      assert.strictEqual(pivoted.rows.length, 9)
      assert.isTrue(pivoted.rows[0]?.slice(1).every((cell) => cell === null))
    })
  )

  it.effect("on measures, groups and bins that the query brings itself", () =>
    Effect.gen(function* () {
      const { run, sql } = yield* engine
      const dynamic = [
        {
          category: "dimension",
          dimension: "region",
          label: "Region",
          calculation_type: "group_by",
          args: [
            "orders.country",
            [
              { label: "North", filter: "NO,SE" },
              { label: "O'Hara", filter: "it's" }
            ],
            "Rest"
          ],
          _kind_hint: "dimension",
          _type_hint: "string"
        },
        {
          category: "dimension",
          dimension: "size",
          label: "Size",
          value_format: null,
          calculation_type: "bin",
          args: ["orders.price", "250", "0", "600", null, "classic"]
        },
        {
          category: "dimension",
          dimension: "alone",
          calculation_type: "group_by",
          args: ["region", [{ label: "n", filter: "North" }], null]
        },
        { measure: "middle", based_on: "orders.price", type: "median", expression: "" },
        { measure: "paid_orders", based_on: "orders.count", filters: { "orders.paid": "yes", region: "-Rest" } },
        { measure: "paid_sum", based_on: "orders.price", type: "sum", filters: { "orders.paid": "yes" } },
        { measure: "all_statuses", based_on: "orders.status", type: "list" },
        { table_calculation: "off", expression: "1", is_disabled: true }
      ]
      const { names, rows, totals } = yield* run({
        fields: ["region", "size", "alone", "middle", "paid_orders", "paid_sum", "all_statuses"],
        dynamic_fields: JSON.stringify(dynamic),
        filters: { size: "-TXX Undefined", middle: "NOT NULL" },
        sorts: ["region", "size"],
        total: true
      })
      assert.deepStrictEqual(names, ["region", "size", "alone", "middle", "paid_orders", "paid_sum", "all_statuses"])
      const region =
        "CASE WHEN country IN ('NO', 'SE') THEN 'North' WHEN country = 'it''s' THEN 'O''Hara' ELSE 'Rest' END"
      const measures = `CAST(median(CAST(price AS DECIMAL(18, 4))) AS DOUBLE), count(*) FILTER (paid AND ${region} <> 'Rest'), sum(price) FILTER (paid),
        string_agg(DISTINCT status, ', ' ORDER BY status)`
      const [group = [], ...more] = rows
      assert.deepStrictEqual(
        [group, ...more],
        yield* sql(`SELECT ${region}, CASE WHEN price < 0 THEN 'T00 (-inf,0.0)' WHEN price < 250 THEN 'T01 [0.0,250.0)'
            WHEN price < 500 THEN 'T02 [250.0,500.0)' ELSE 'T03 [500.0,inf)' END,
          CASE WHEN ${region} = 'North' THEN 'n' END, ${measures}
          FROM orders WHERE price IS NOT NULL GROUP BY 1, 2, 3 ORDER BY 1, 2`)
      )
      assert.deepStrictEqual(
        totals?.[0]?.slice(3),
        (yield* sql(`SELECT ${measures} FROM orders WHERE price IS NOT NULL`))[0]
      )
    })
  )
})

describe("a median", () => {
  const columns = ["price", "n", "big", "ratio"]
  const most = "9".repeat(38)
  for (const [count, ...expected] of [
    [2, 1.015, 1.5, 1.5, 0.2],
    [3, 1.02, 2, 2, 0.3],
    [4, 1.025, 2, 2.5, 0.65]
  ] as const) {
    it.effect(`of ${count} numbers has the digits it needs, whatever the type of their column`, () =>
      Effect.gen(function* () {
        const lines = ["1.01,1,1,1e-1", "1.02,2,2,3e-1", "1.03,2,3,1", `9.00,7,${most},2`].slice(0, count)
        const types = count < 4 ? `,,${most},` : ""
        const { run } = yield* engineOver(["price,n,big,ratio", ...lines, types, ""].join("\n"))
        const { rows, totals } = yield* run({
          fields: columns.map((column) => `median_${column}`),
          dynamic_fields: JSON.stringify(
            columns.map((column) => ({
              measure: `median_${column}`,
              based_on: field(column),
              type: "median",
              filters: { "orders.price": "NOT NULL" }
            }))
          ),
          total: true
        })
        assert.deepStrictEqual(rows[0]?.map(Number), expected)
        assert.deepStrictEqual(totals?.[0]?.map(Number), expected)
      })
    )
  }
})

describe("an expression", () => {
  it.effect("makes a dimension, of every type, and filters a query and a measure", () =>
    Effect.gen(function* () {
      const { run, sql } = yield* engine
      const dynamic = [
        {
          category: "dimension",
          dimension: "place",
          expression: `concat(${mention("orders.country")}, "/", ${mention("orders.status")})`
        },
        { category: "dimension", dimension: "double", expression: `${mention("orders.price")} * 2` },
        { category: "dimension", dimension: "dear", expression: `${mention("double")} > 1500` },
        { category: "dimension", dimension: "later", expression: `add_days(1, ${mention("orders.created_date")})` },
        {
          measure: "dear_sum",
          based_on: "orders.price",
          type: "sum",
          filter_expression: `${mention("dear")} AND ${mention("orders.paid")}`
        },
        { measure: "double_sum", based_on: "double", type: "sum" }
      ]
      const { rows } = yield* run({
        fields: ["place", "dear", "later", "dear_sum", "double_sum", "orders.count"],
        dynamic_fields: JSON.stringify(dynamic),
        filter_expression: `${mention("orders.created_month")} = date(2024, 4, 1) OR ${mention("orders.id")} < 48`,
        filters: { later: "2024-03-01 to 2024-04-20", dear: "Yes" },
        query_timezone: "Asia/Tokyo",
        sorts: ["later", "place"],
        limit: "-1"
      })
      const local = "(created + INTERVAL 9 HOUR)"
      const expected = yield* sql(`
        SELECT country || '/' || status AS place, 'Yes', strftime(CAST(${local} AS DATE) + 1, '%Y-%m-%d') AS later,
          sum(price) FILTER (paid), sum(price * 2), count(*)
        FROM orders
        WHERE price * 2 > 1500 AND (date_trunc('month', ${local}) = '2024-04-01' OR id < 48)
          AND CAST(${local} AS DATE) + 1 >= '2024-03-01' AND CAST(${local} AS DATE) + 1 < '2024-04-20'
        GROUP BY 1, 2, 3 ORDER BY later, place NULLS LAST`)
      assert.isAbove(rows.length, 10)
      const numbers = (all: DuckDb.Rows) =>
        all.map((row) => row.map((cell, index) => (index >= 3 ? Number(cell) : cell)))
      assert.deepStrictEqual(numbers(rows), numbers(expected))
    })
  )
})

describe("a query without sorts", () => {
  it.effect("has its latest date first, be it a day, a month or a year", () =>
    Effect.gen(function* () {
      const { run } = yield* engineOver("at\n2021-01-01\n2023-01-01\n2023-02-02\n2022-01-01\n2022-01-01\n2022-01-01\n")
      for (const timeframe of ["at", "at_month", "at_year"]) {
        const { rows } = yield* run({ fields: named(timeframe, "count") })
        const dates = rows.map(([date]) => String(date))
        assert.isAbove(dates.length, 2)
        assert.deepStrictEqual(dates, [...dates].sort().reverse())
      }
    })
  )
})

describe("a pivoted query", () => {
  it.effect("orders its columns by the sorts of its pivots, NULL last, and its rows by a column", () =>
    Effect.gen(function* () {
      const { run } = yield* engine
      const base = { fields: named("country", "status", "count"), pivots: named("status") }
      assert.deepStrictEqual((yield* run(base)).keys, ["new", "null", "old", "sold", "null|2"])
      assert.deepStrictEqual((yield* run(base)).pivots.at(-1)?.data, { "orders.status": null })
      assert.deepStrictEqual((yield* run({ ...base, sorts: ["orders.status desc"] })).keys, [
        "sold",
        "old",
        "null",
        "new",
        "null|2"
      ])
      const column = (rows: ReadonlyArray<ReadonlyArray<unknown>>, index: number) =>
        rows.map((row) => Number(row[index]))
      for (const [sorts, index, desc] of [
        [["orders.count desc"], 1, true],
        [["orders.count desc 0"], 1, true],
        [["orders.count 3"], 4, false],
        [["orders.count asc 2", "orders.status"], 3, false],
        [["orders.count desc 1", "orders.count desc 1", "orders.count 0"], 2, true]
      ] as const) {
        const values = column((yield* run({ ...base, sorts: [...sorts] })).rows, index)
        assert.deepStrictEqual(
          values,
          [...values].sort((a, b) => (desc ? b - a : a - b))
        )
      }
    })
  )

  it.effect("puts rows without the cell it is ordered by last, by the best cell they have", () =>
    Effect.gen(function* () {
      const { run } = yield* engine
      // Each order has an id of its own: row 3 has a cell under its own status only.
      const { keys, rows } = yield* run({
        fields: named("id", "status", "total_price"),
        pivots: named("status"),
        filters: { "orders.id": "[0, 200]", "orders.price": "NOT NULL", "orders.status": "-NULL" },
        sorts: ["orders.total_price desc 1"],
        limit: "-1"
      })
      const [, first] = keys
      assert.strictEqual(first, "null")
      const having = rows.filter((row) => row[2] !== null)
      const lacking = rows.filter((row) => row[2] === null)
      assert.isAbove(having.length, 5)
      assert.deepStrictEqual(rows, [...having, ...lacking])
      const best = lacking.map((row) => Math.max(...row.slice(1).map(Number)))
      assert.deepStrictEqual(
        best,
        [...best].sort((a, b) => b - a)
      )
    })
  )

  it.effect("counts rows after pivoting for its limit, and cuts columns without losing rows", () =>
    Effect.gen(function* () {
      const { run, sql } = yield* engine
      const base = {
        fields: named("created_date", "id", "count"),
        pivots: named("id"),
        sorts: named("id", "created_date")
      }
      const few = yield* run({ ...base, limit: 5, column_limit: 3 })
      assert.deepStrictEqual(
        [few.rows.length, few.columns.length, few.truncated, few.columnsTruncated],
        [5, 4, true, true]
      )
      const all = yield* run({ ...base, limit: "-1", row_total: "right" })
      assert.deepStrictEqual([all.columns.length, all.truncated, all.columnsTruncated], [52, false, true])
      assert.deepStrictEqual(
        all.rows.map((row): DuckDb.Rows[number] => [row[0] ?? null, row.at(-1) ?? null]),
        yield* sql("SELECT strftime(created, '%Y-%m-%d'), count(*) FROM orders GROUP BY 1 ORDER BY 1")
      )
      const dimensions = yield* run({ fields: named("status"), total: true, subtotals: named("status") })
      assert.deepStrictEqual([dimensions.totals, dimensions.subtotals], [undefined, [dimensions.rows]])
      const exact = yield* run({ fields: named("status", "count"), limit: 5 })
      assert.deepStrictEqual([exact.rows.length, exact.truncated], [5, false])
      assert.deepStrictEqual((yield* run({ fields: named("status", "count"), limit: 0 })).truncated, true)
      assert.strictEqual((yield* run({ fields: named("id") })).rows.length, 500)
    })
  )

  it.effect("is empty where there is no data, and has a total all the same", () =>
    Effect.gen(function* () {
      const { run } = yield* engine
      for (const fields of [named("status", "count"), named("country", "status", "count")]) {
        const { columns, keys, rows, totals } = yield* run({
          fields,
          pivots: named("status"),
          filters: { "orders.id": "-1" },
          total: true,
          row_total: "right"
        })
        assert.deepStrictEqual([keys, rows], [["$$$_row_total_$$$"], []])
        assert.deepStrictEqual(totals, [[...columns.slice(1).map(() => null), "0"]])
      }
    })
  )

  it.effect("tells values apart that would have the same key", () =>
    Effect.gen(function* () {
      const database = yield* DuckDb.make({})
      const models = yield* DataFolder.load(database, {
        m: yield* folder({ "t.csv": 'a,b\nx|FIELD|y,z\nx,y|FIELD|z\nnull,z\n,z\n$$$_row_total_$$$,\n"",""\n' })
      })
      const plan = yield* QueryCompiler.compile(
        models,
        { model: "m", view: "t", fields: ["t.a", "t.b", "t.count"], pivots: ["t.a", "t.b"] },
        { now }
      )
      const { pivots } = yield* QueryExecution.run(database, plan, "x")
      assert.strictEqual(new Set(pivots.map(({ key }) => key)).size, pivots.length)
    })
  )

  it.effect("refuses, while it runs, to be wider than a table may be", () =>
    Effect.gen(function* () {
      const { left, run } = yield* engine
      const measures = Array.from({ length: 60 }, (_, index) => ({
        measure: `m${index}`,
        based_on: "orders.count",
        filters: { "orders.id": `>${index}` }
      }))
      const fields = [...named("country", "id"), ...measures.map(({ measure }) => measure)]
      const query = { fields, pivots: named("id"), dynamic_fields: JSON.stringify(measures) }
      const error = yield* Effect.flip(run({ ...query, column_limit: 200 }))
      assert.include(error.message, "smaller column_limit")
      assert.strictEqual(yield* left, 0)
      assert.strictEqual((yield* run({ ...query, column_limit: 20 })).columns.length, 1201)
    })
  )

  it.effect("gives the same digits every time, in totals too", () =>
    Effect.gen(function* () {
      const { run } = yield* engine
      const query = {
        fields: named("country", "status", "total_ratio", "average_ratio"),
        pivots: named("status"),
        total: true,
        row_total: "right",
        subtotals: named("country")
      }
      const first = yield* run(query)
      for (let again = 0; again < 4; again++) {
        const { rows, subtotals, totals } = yield* run(query)
        assert.deepStrictEqual([rows, totals, subtotals], [first.rows, first.totals, first.subtotals])
      }
    })
  )
})

describe("an explore", () => {
  it.effect("may have any name, and its columns too", () =>
    Effect.gen(function* () {
      const database = yield* DuckDb.make({})
      const words = ["cells", "pivots", "frame", "spread", "kept", "results", "days", "select", "main"]
      const csv = `${words.join(",")},col,nth,k,v\n${words.map((_, index) => index % 3).join(",")},1,2,3,4\n`
      const models = yield* DataFolder.load(database, {
        m: yield* folder(Object.fromEntries(words.map((word) => [`${word}.csv`, csv])))
      })
      for (const view of words) {
        const columns = [...words, "col", "nth", "k", "v"].map((word) => `${view}.${word}`)
        const plan = yield* QueryCompiler.compile(
          models,
          {
            model: "m",
            view,
            fields: [...columns, `${view}.count`],
            pivots: columns.slice(0, 2),
            filters: { [`${view}.count`]: ">0" },
            total: true,
            row_total: "right",
            subtotals: columns.slice(3, 5)
          },
          { now }
        )
        const { rows } = yield* QueryExecution.run(database, plan, view)
        assert.strictEqual(rows.rowCount, 1)
      }
    })
  )
})

describe("a run", () => {
  it.live("that is interrupted at any moment leaves no table behind", () =>
    Effect.gen(function* () {
      const { database, left, plan } = yield* engine
      const planned = yield* plan({
        fields: named("id", "created_date", "status", "count", "average_price"),
        pivots: named("status"),
        filters: { "orders.count": ">0" },
        total: true,
        row_total: "right",
        subtotals: named("id"),
        limit: "-1"
      })
      for (let millis = 0; millis < 120; millis += 6) {
        const fiber = yield* Effect.forkChild(QueryExecution.run(database, planned, `kill ${millis}`))
        yield* wait(millis)
        yield* Fiber.interrupt(fiber)
        yield* QueryExecution.clear(database, planned, `kill ${millis}`)
        assert.strictEqual(yield* left, 0)
      }
    })
  )

  it.effect("that fails leaves no table behind, and says where in the statement that is shown", () =>
    Effect.gen(function* () {
      const { database, left, plan } = yield* engine
      const planned = yield* plan({ fields: named("status", "count"), pivots: named("status"), total: true })
      const broken = { ...planned, sql: planned.sql.replace("count(*)", "no_function(*)") }
      const error = yield* Effect.flip(QueryExecution.run(database, broken, "x"))
      assert.strictEqual(error.line, 3)
      assert.include(error.message, '\nLINE 3:     no_function(*) AS "orders.count"\n            ^')
      assert.strictEqual(yield* left, 0)
    })
  )

  it.effect("that fails in a statement nobody is shown says nothing of it", () =>
    Effect.gen(function* () {
      const { database, plan } = yield* engine
      const planned = yield* plan({ fields: named("status", "count"), pivots: named("status") })
      const broken = { ...planned, sql: planned.sql.replace('AS "orders.status"', 'AS "other"') }
      const error = yield* Effect.flip(QueryExecution.run(database, broken, "x"))
      assert.isUndefined(error.line)
      assert.match(error.message, /^Binder Error: .*orders\.status/)
      assert.notMatch(error.message, /LINE|SELECT/)
    })
  )
})

describe("a query is refused, with what to do,", () => {
  const group = (field: object) => ({ fields: ["x"], dynamic_fields: JSON.stringify([field]) })
  for (const [what, query, expected] of [
    [
      "when a pivot is not among its fields",
      { fields: named("count"), pivots: named("status") },
      "not one of the fields"
    ],
    ["when a pivot is a measure", { fields: named("count"), pivots: named("count") }, "is no dimension"],
    [
      "when it has pivots and no measure",
      { fields: named("status"), pivots: named("status") },
      "has to have a measure"
    ],
    [
      "when a subtotal is pivoted",
      { fields: named("status", "count"), pivots: named("status"), subtotals: named("status") },
      "is pivoted"
    ],
    [
      "when a subtotal is not among its fields",
      { fields: named("count"), subtotals: named("status") },
      "not one of the fields"
    ],
    ["when row_total is no side", { fields: named("count"), row_total: "top" }, 'neither "right" nor "left"'],
    ["when column_limit is none", { fields: named("count"), column_limit: "0" }, "from 1 to 200"],
    ["when column_limit is too many", { fields: named("count"), column_limit: 201 }, "from 1 to 200"],
    ["when a text is to be filled", { fields: named("status", "count"), fill_fields: named("status") }, "fills dates"],
    [
      "when one of several dimensions is to be filled",
      { fields: named("day", "status"), fill_fields: named("day") },
      "the only dimension"
    ],
    [
      "when a filtered measure is to be filled",
      { fields: named("day", "count"), fill_fields: named("day"), filters: { "orders.count": ">1" } },
      "filters a measure"
    ],
    [
      "when it has absurdly many sorts",
      { fields: named("count"), sorts: Array.from({ length: 101 }, () => "orders.count") },
      "100 are the most"
    ],
    ["when the time zone is unknown", { fields: named("count"), query_timezone: "Mars/Olympus" }, "no time zone"],
    ["when the time zone is a difference", { fields: named("count"), query_timezone: "+02:00" }, "no time zone"],
    ["when a custom filter is used", { fields: named("count"), filter_expression: "1 AND" }, "filter_expression"],
    [
      "when a custom filter is a number",
      { fields: named("count"), filter_expression: "1 + 1" },
      "neither true nor false"
    ],
    [
      "when a custom filter asks a measure",
      { fields: named("count"), filter_expression: `${mention("orders.count")} > 1` },
      "is no dimension"
    ],
    [
      "when a custom filter asks what is not there",
      { fields: named("count"), filter_expression: `${mention("orders.statu")} = "x"` },
      "Did you mean orders.status"
    ],
    ["when a dynamic dimension is nothing", group({ dimension: "x" }), "neither an expression nor"],
    [
      "when a dynamic measure is filtered by a text",
      group({ measure: "x", based_on: "orders.count", filter_expression: '"a"' }),
      "neither true nor false"
    ],
    ["when dynamic_fields is no JSON", { fields: named("count"), dynamic_fields: "[{" }, "JSON array"],
    ["when dynamic_fields is no array", { fields: named("count"), dynamic_fields: "{}" }, "JSON array"],
    [
      "when there is a table calculation",
      { fields: named("count"), dynamic_fields: '[{"table_calculation":"ratio","expression":"1"}]' },
      'Table calculation "ratio"'
    ],
    [
      "when there are too many dynamic fields",
      { fields: named("count"), dynamic_fields: JSON.stringify(Array.from({ length: 101 }, () => ({}))) },
      "more than 100"
    ],
    [
      "when a dynamic field has the name of another",
      group({ measure: "orders.Count", based_on: "orders.id", type: "sum" }),
      "another field of this name"
    ],
    [
      "when a dynamic field has a name with quotes",
      group({ measure: 'x" FROM', based_on: "orders.id", type: "sum" }),
      "letters, digits"
    ],
    [
      "when a dynamic field is misspelt",
      group({ measure: "x", based_on: "orders.id", type: "sum", filter: {} }),
      "Did you mean filters"
    ],
    [
      "when a dynamic field has a NUL in any text",
      group({ measure: "x", based_on: "orders.count", value_format: '0"\0"' }),
      "contains a NUL"
    ],
    [
      "when a label of a group has a NUL",
      group({
        dimension: "x",
        calculation_type: "group_by",
        args: ["orders.status", [{ label: "a\0b", filter: "new" }], null]
      }),
      "contains a NUL"
    ],
    ["when a dynamic field has a wrong type", group({ measure: "x", based_on: ["orders.id"] }), "wrong type"],
    [
      "when a dynamic measure adds up texts",
      group({ measure: "x", based_on: "orders.status", type: "sum" }),
      "has no numbers"
    ],
    [
      "when a dynamic measure is of an unknown type",
      group({ measure: "x", based_on: "orders.id", type: "percentile" }),
      "there are count_distinct"
    ],
    ["when a dynamic measure is based on nothing", group({ measure: "x", type: "sum" }), "based_on"],
    [
      "when a dynamic measure is filtered by an unknown field",
      group({ measure: "x", based_on: "orders.count", filters: { "orders.statu": "x" } }),
      "Did you mean orders.status"
    ],
    [
      "when a dynamic measure is filtered by nonsense",
      group({ measure: "x", based_on: "orders.count", filters: { "orders.id": "cheap" } }),
      "cheap"
    ],
    [
      "when a group has no filters",
      group({ dimension: "x", calculation_type: "group_by", args: ["orders.status"] }),
      "args of a group_by"
    ],
    [
      "when a bin has no size",
      group({ dimension: "x", calculation_type: "bin", args: ["orders.price", "0", "0", "9", null, "classic"] }),
      "ascending bounds"
    ],
    [
      "when a bin has absurdly many",
      group({ dimension: "x", calculation_type: "bin", args: ["orders.price", "1e-9", "0", "9", null, "classic"] }),
      "ascending bounds"
    ],
    [
      "when a bin is of texts",
      group({ dimension: "x", calculation_type: "bin", args: ["orders.status", "1", "0", "9", null, "classic"] }),
      "no numbers"
    ],
    [
      "when a calculation is unknown",
      group({ dimension: "x", calculation_type: "rank", args: [] }),
      "neither group_by nor bin"
    ]
  ] as const) {
    it.effect(what, () => Effect.map(refusal(query), (message) => assert.include(message, expected)))
  }
})

const files = { "orders.csv": orders }
const looker = inProcess(files)

describe("every key of a query", () => {
  const base = { model: "embedded", view: "orders", fields: named("status", "count"), sorts: named("status") }
  const expected: Readonly<Record<string, readonly ["executed" | "carried" | "refused" | "set by Looker", unknown]>> = {
    model: ["executed", "embedded"],
    view: ["executed", "orders"],
    fields: ["executed", named("status", "average_price")],
    pivots: ["executed", named("status")],
    fill_fields: ["executed", named("day")],
    filters: ["executed", { "orders.status": "new" }],
    filter_expression: ["executed", `${mention("orders.id")} > 10`],
    sorts: ["executed", ["orders.status desc"]],
    limit: ["executed", 1],
    column_limit: ["executed", 1],
    total: ["executed", true],
    row_total: ["executed", "right"],
    subtotals: ["executed", named("status")],
    dynamic_fields: ["executed", '[{"measure":"m","based_on":"orders.count"}]'],
    query_timezone: ["executed", "Asia/Tokyo"],
    vis_config: ["carried", { type: "table" }],
    filter_config: ["carried", { a: [1] }],
    visible_ui_sections: ["carried", "data"],
    client_id: ["carried", "abcdefghij0123456789AB"],
    quick_calcs: ["refused", ["x"]],
    analysis_config: ["refused", { forecasting: [] }],
    can: ["set by Looker", { run: false }],
    id: ["set by Looker", "77"],
    slug: ["set by Looker", "mine"],
    share_url: ["set by Looker", "http://elsewhere"],
    expanded_share_url: ["set by Looker", "http://elsewhere"],
    url: ["set by Looker", "/elsewhere"],
    has_table_calculations: ["set by Looker", true],
    runtime: ["set by Looker", 1.5]
  }
  // What a key needs beside it in order to mean anything.
  const beside: Readonly<Record<string, object>> = {
    fill_fields: { fields: named("day", "count"), filters: { "orders.day": "2024-01" }, sorts: [] },
    column_limit: { pivots: named("status") },
    row_total: { pivots: named("status") },
    subtotals: { fields: named("status", "country", "count") },
    dynamic_fields: { fields: ["orders.count", "m"], sorts: [] },
    query_timezone: { fields: named("created_date", "count"), sorts: [] }
  }

  it("is in the table below", () => assert.deepStrictEqual(Object.keys(expected).sort(), [...knownKeys].sort()))

  for (const [key, [what, value]] of Object.entries(expected)) {
    it.effect(`: ${key} is ${what}`, () =>
      Effect.gen(function* () {
        const token = yield* login
        const context = { ...base, ...beside[key] }
        const created = yield* call("POST", "/queries", { token, json: { ...context, [key]: value } })
        if (what === "refused") {
          assert.deepStrictEqual([created.status, created.json.errors[0].field], [422, key])
          return
        }
        assert.strictEqual(created.status, 200)
        if (what === "carried") assert.deepStrictEqual(created.json[key], value)
        if (what === "set by Looker") assert.notDeepEqual(created.json[key], value)
        if (what !== "executed" || key === "model" || key === "view") return
        // Told back as it was said, limits as texts, and something else comes out.
        assert.deepStrictEqual(created.json[key], typeof value === "number" ? String(value) : value)
        const body = (query: object) =>
          Effect.map(results(query, "json_detail"), ({ json }) =>
            JSON.stringify([json.data, json.totals_data, json.subtotals_data, json.fields, json.pivots])
          )
        const without = { ...context, ...(key === "dynamic_fields" ? { fields: named("count") } : {}) }
        assert.notStrictEqual(yield* body({ ...context, [key]: value }), yield* body(without))
      }).pipe(Effect.provide(looker))
    )
  }

  it.effect("that is not one of them is refused by its name", () =>
    Effect.gen(function* () {
      const token = yield* login
      const { json, status } = yield* call("POST", "/queries", { token, json: { ...base, pivot: [] } })
      assert.deepStrictEqual([status, json.errors[0].field], [422, "pivot"])
      assert.include(json.message, "Did you mean pivots?")
    }).pipe(Effect.provide(looker))
  )

  it.effect("that changes the answer is in the query's own URL", () =>
    Effect.gen(function* () {
      const token = yield* login
      const query = {
        ...base,
        pivots: named("status"),
        fields: named("day", "status", "count"),
        fill_fields: named("day"),
        filters: { "orders.status": "new,old" },
        total: true,
        row_total: "right",
        subtotals: named("day"),
        limit: 10,
        column_limit: "5",
        query_timezone: "Asia/Tokyo",
        dynamic_fields: "[]"
      }
      const { json } = yield* call("POST", "/queries", { token, json: query })
      const parameters = Object.fromEntries(new URL(json.expanded_share_url).searchParams)
      assert.deepStrictEqual(parameters, {
        fields: "orders.day,orders.status,orders.count",
        pivots: "orders.status",
        fill_fields: "orders.day",
        "f[orders.status]": "new,old",
        sorts: "orders.status",
        limit: "10",
        column_limit: "5",
        total: "on",
        row_total: "right",
        subtotals: "orders.day",
        query_timezone: "Asia/Tokyo",
        dynamic_fields: "[]"
      })
      assert.isTrue(json.expanded_share_url.endsWith(json.url))
    }).pipe(Effect.provide(looker))
  )
})

describe("input that was written to break out", () => {
  const hostile = [
    'orders.count" FROM orders; DROP TABLE orders; --',
    "'; DROP TABLE orders; --",
    "orders.count); ATTACH '/etc/passwd'",
    "../../etc/passwd",
    mention("orders.count"),
    "\u0000",
    "x".repeat(100_000),
    "__proto__",
    "constructor"
  ]
  it.effect("gets a 422 as a field, and is a text as a value; the data stay as they were", () =>
    Effect.gen(function* () {
      const token = yield* login
      const create = (query: object) =>
        call("POST", "/queries", {
          token,
          json: { model: "embedded", view: "orders", fields: named("count"), ...query }
        })
      for (const text of hostile) {
        for (const query of [
          { fields: [text] },
          { pivots: [text] },
          { sorts: [text] },
          { subtotals: [text] },
          { fill_fields: [text] },
          { filters: { [`${text} `]: "x" } },
          { view: text },
          { model: text },
          { query_timezone: text },
          { limit: text },
          { column_limit: text },
          { row_total: text },
          { filter_expression: text },
          { dynamic_fields: JSON.stringify([{ dimension: "m", expression: text }]) },
          { dynamic_fields: text },
          { dynamic_fields: JSON.stringify([{ measure: `${text} `, based_on: "orders.count" }]) },
          { dynamic_fields: JSON.stringify([{ measure: "m", based_on: text, type: "sum" }]) },
          { dynamic_fields: JSON.stringify([{ measure: "m", based_on: "orders.id", type: text }]) },
          {
            dynamic_fields: JSON.stringify([
              { dimension: "m", calculation_type: "bin", args: ["orders.id", text, "0", "1", null, "classic"] }
            ])
          },
          { filters: { "orders.id": text } },
          { filters: { "orders.created_date": text } }
        ]) {
          assert.deepStrictEqual(
            [JSON.stringify(query).slice(0, 80), (yield* create(query)).status],
            [JSON.stringify(query).slice(0, 80), 422]
          )
        }
        if (text.includes("\u0000")) continue
        const groups = JSON.stringify([
          {
            dimension: "g",
            label: text,
            calculation_type: "group_by",
            args: ["orders.status", [{ label: text, filter: "new" }], text]
          },
          { measure: "m", label: text, based_on: "orders.count", filters: { "orders.status": JSON.stringify(text) } }
        ])
        const answer = yield* results({
          view: "orders",
          fields: ["g", "m", "orders.count"],
          pivots: ["g"],
          dynamic_fields: groups,
          filters: { "orders.country": `-${JSON.stringify(text)}` },
          total: true
        })
        assert.strictEqual(answer.status, 200)
      }
      const { json } = yield* results({ view: "orders", fields: named("count") })
      assert.deepStrictEqual(json, [{ "orders.count": 3000 }])
    }).pipe(Effect.provide(looker))
  )

  it.effect("and filters of absurd length end in an answer or an error, and the server lives on", () =>
    Effect.gen(function* () {
      const token = yield* login
      for (const filters of [
        { "orders.status": Array.from({ length: 50_000 }, (_, index) => `s${index}`).join(",") },
        { "orders.status": Array.from({ length: 50_000 }, (_, index) => `-s${index}`).join(",") },
        { "orders.id": Array.from({ length: 50_000 }, (_, index) => index).join(",") },
        { "orders.status": Array.from({ length: 2000 }, (_, index) => `s${index}%`).join(",") },
        { "orders.id": Array.from({ length: 2000 }, (_, index) => `[${index},${index + 1}]`).join(",") },
        { "orders.created_date": Array.from({ length: 2000 }, () => "2024-03-09 to 2024-03-12").join(",") },
        { "orders.id": `${"NOT ".repeat(10_000)}1` }
      ]) {
        const created = yield* call("POST", "/queries", {
          token,
          json: { model: "embedded", view: "orders", fields: named("count"), filters }
        })
        assert.isTrue(created.status === 200 || created.status === 422)
        if (created.status === 422) continue
        const id = yield* createTask(token, { view: "orders", fields: named("count"), filters }, "json")
        assert.include(["complete", "error"], yield* ends(token, id))
      }
      assert.strictEqual((yield* results({ view: "orders", fields: named("count") })).status, 200)
    }).pipe(Effect.provide(looker))
  )
})

describe("the time that relative dates are relative to", () => {
  const recent = { view: "orders", fields: named("count"), filters: { "orders.created_date": "1 days ago" } }
  const count = Effect.map(results(recent), ({ json }) => json[0]["orders.count"])

  it.effect("is that of the task, not of the query", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(Date.UTC(2024, 2, 8, 12))
      assert.strictEqual(yield* count, 0)
      yield* TestClock.setTime(Date.UTC(2024, 2, 9, 12))
      assert.strictEqual(yield* count, 24)
    }).pipe(Effect.provide(inProcess(files, { resultLife: "1000 days", tokenLife: "1000 days" })))
  )

  it.effect("is fixed when the server is told so", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* count, 24)
    }).pipe(Effect.provide(inProcess(files, { now: "2024-03-10T12:00:00Z" })))
  )

  it.effect("is no time, and the server says so", () =>
    Effect.gen(function* () {
      const data = yield* folder(files)
      const error = yield* Effect.flip(
        Effect.scoped(Effect.provide(login, EmbeddedLooker.layer({ data, now: "soon" })))
      )
      assert.include(String(error), "now is soon")
    })
  )
})

describe("several models", () => {
  it.effect("are served side by side, each with its own files, of the same names too", () =>
    Effect.gen(function* () {
      const [data, other] = [
        yield* folder({ "t.csv": "a\n1\n" }),
        yield* folder({ "t.csv": "a\n1\n2\n", "u.csv": "b\n1\n" })
      ]
      yield* Effect.gen(function* () {
        const rows = (model: string, view: string) =>
          Effect.map(results({ model, view, fields: [`${view}.count`] }), ({ json }) => json[0][`${view}.count`])
        assert.deepStrictEqual(
          [yield* rows("first", "t"), yield* rows("second", "t"), yield* rows("second", "u")],
          [1, 2, 1]
        )
        const token = yield* login
        const wrong = yield* call("POST", "/queries", {
          token,
          json: { model: "first", view: "u", fields: ["u.count"] }
        })
        assert.deepStrictEqual([wrong.status, wrong.json.errors[0].field], [422, "view"])
        const joined = yield* call("POST", "/queries", {
          token,
          json: { model: "second", view: "t", fields: ["t.count", "u.count"] }
        })
        assert.strictEqual(
          joined.json.errors[0].message,
          'Unknown field "u.count". u is another explore: an explore of the embedded Looker is one file, and there are no joins.'
        )
      }).pipe(Effect.provide(EmbeddedLooker.layer({ data, model: "first", models: { second: other } })))
      const twice = EmbeddedLooker.layer({ data, models: { embedded: other } })
      assert.include(String(yield* Effect.flip(Effect.scoped(Effect.provide(login, twice)))), "two models embedded")
      for (const name of ["A", "a\0"]) {
        const alike = EmbeddedLooker.layer({ data, models: { a: other, [name]: other } })
        const refused = yield* Effect.flip(Effect.scoped(Effect.provide(login, alike)))
        assert.strictEqual(refused._tag, "EmbeddedError")
        assert.include(refused.message, `the model ${JSON.stringify(name)} needs another name`)
      }
      const none = EmbeddedLooker.layer({})
      assert.include(String(yield* Effect.flip(Effect.scoped(Effect.provide(login, none)))), "no data")
    })
  )
})

describe("a million rows of CSV", () => {
  it.live(
    "load in seconds",
    () =>
      Effect.gen(function* () {
        const path = join(yield* folder({}), "data")
        mkdirSync(path)
        yield* Effect.promise(async () => {
          const instance = await DuckDBInstance.create(":memory:")
          const connection = await instance.connect()
          await connection.run(`COPY (
            SELECT i AS id, 'u' || (i * 7919) % 100000 AS owner, (i * 37) % 100000 / 100 AS price,
              TIMESTAMP '2020-01-01' + INTERVAL (i) MINUTE AS created, 'note ' || i % 1000 AS note
            FROM range(1000000) r(i)) TO '${join(path, "big.csv")}'`)
          connection.closeSync()
          instance.closeSync()
        })
        const database = yield* DuckDb.make({})
        const start = performance.now()
        yield* DataFolder.load(database, { m: path })
        assert.isBelow(performance.now() - start, 20_000)
        assert.deepStrictEqual(yield* database.run("SELECT count(*), sum(price)::VARCHAR FROM big"), [
          [1_000_000n, "499995000.00"]
        ])
      }),
    60_000
  )
})
