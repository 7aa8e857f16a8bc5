/** Fields that a query brings itself. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type * as DuckDb from "../../../src/embedded/database/DuckDb.ts"
import { engine, engineOver, field, mention } from "./support.ts"

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
