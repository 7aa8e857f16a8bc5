/** Queries against SQL that was written by hand, over the same tables. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { DataFolder } from "effect-looker/embedded"
import * as DuckDb from "../../../src/embedded/database/DuckDb.ts"
import * as QueryCompiler from "../../../src/embedded/engine/QueryCompiler.ts"
import { folder } from "../support.ts"
import { engine, engineOver, named, now, type Query } from "./support.ts"

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

describe("a query without sorts", () => {
  it.effect("has no order where it asks for none", () =>
    Effect.gen(function* () {
      const { plan } = yield* engine
      const query = { fields: named("status", "count") }
      assert.strictEqual((yield* plan(query)).sorts.length, 1)
      assert.deepStrictEqual((yield* plan({ ...query, sorts: ["orders.status", "__UNSORTED__"] })).sorts, [])
    })
  )

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
