/** Fields that a query brings itself. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type * as DuckDb from "../../../src/embedded/database/DuckDb.ts"
import { engine, engineOver, field, mention, named, refusal } from "./support.ts"

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

describe("a dynamic field", () => {
  it.effect("is called by its label, or else by its name", () =>
    Effect.gen(function* () {
      const { plan } = yield* engine
      const entries = [
        { measure: "prices", based_on: "orders.price", type: "sum", label: "All prices" },
        { measure: "highest", based_on: "orders.price", type: "max" },
        { measure: "lowest", based_on: "orders.price", type: "min", label: "" }
      ]
      const { measures } = yield* plan({
        fields: entries.map(({ measure }) => measure),
        dynamic_fields: JSON.stringify(entries)
      })
      assert.deepStrictEqual(
        measures.map(({ fieldGroupVariant, label, labelShort, name }) => [name, label, labelShort, fieldGroupVariant]),
        [
          ["prices", "All prices", "All prices", "All prices"],
          ["highest", "highest", "highest", "highest"],
          ["lowest", "lowest", "lowest", "lowest"]
        ]
      )
    })
  )
})

describe("a bin", () => {
  it.effect("may have a single bound, and then has two bins", () =>
    Effect.gen(function* () {
      const { run } = yield* engine
      const bin = (min: string, max: string) => ({
        fields: ["size"],
        dynamic_fields: JSON.stringify([
          { dimension: "size", calculation_type: "bin", args: ["orders.id", "10", min, max, null, "classic"] }
        ]),
        sorts: ["size"]
      })
      assert.deepStrictEqual((yield* run(bin("5", "5"))).rows, [["T00 (-inf,5.0)"], ["T01 [5.0,inf)"]])
      assert.include(yield* refusal(bin("5", "4")), "size")
    })
  )
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

describe("a measure of a measure", () => {
  const based = (...fields: ReadonlyArray<object>) =>
    JSON.stringify([
      { measure: "new_sum", based_on: "orders.price", type: "sum", filters: { "orders.status": "new" } },
      ...fields
    ])

  it.effect("has its aggregate, with the type written or not, and the conditions of both", () =>
    Effect.gen(function* () {
      const { plan, run, sql } = yield* engine
      const filters = { "orders.country": "SE" }
      const query = {
        fields: ["bare", "empty", "typed", "of_model"],
        dynamic_fields: based(
          { measure: "bare", based_on: "new_sum", filters },
          { measure: "empty", based_on: "new_sum", type: "", filters },
          { measure: "typed", based_on: "new_sum", type: "sum", filters },
          { measure: "of_model", based_on: "orders.average_price", type: "average", filters }
        )
      }
      const { measures } = yield* plan(query)
      assert.deepStrictEqual(
        measures.map(({ lookerType, name }) => [name, lookerType]),
        [
          ["bare", "sum"],
          ["empty", "sum"],
          ["typed", "sum"],
          ["of_model", "average"]
        ]
      )
      const { rows } = yield* run(query)
      const sum = "sum(price) FILTER (status = 'new' AND country = 'SE')"
      assert.deepStrictEqual(
        rows,
        yield* sql(`SELECT ${sum}, ${sum}, ${sum}, avg(price) FILTER (country = 'SE') FROM orders`)
      )
    })
  )

  for (const [basedOn, lookerType, type] of [
    ["new_sum", "sum", "average"],
    ["orders.count", "count", "sum"],
    ["orders.total_price", "sum", "number"]
  ] as const) {
    it.effect(`cannot be a ${type} of ${basedOn}`, () =>
      Effect.gen(function* () {
        const dynamic_fields = based({ measure: "other", based_on: basedOn, type })
        assert.strictEqual(
          yield* refusal({ fields: ["new_sum"], dynamic_fields }),
          `Validation Failed: Dynamic field "other": a measure based on ${basedOn}, which is a ${lookerType}, has its type.`
        )
      })
    )
  }
})

describe("the errors of dynamic fields", () => {
  it.effect("name each field that is wrong, and leave the others out of it", () =>
    Effect.gen(function* () {
      const dynamic_fields = JSON.stringify([
        { dimension: "double", expression: `${mention("orders.price")} * 2` },
        { dimension: "DOUBLE", expression: "1" },
        { dimension: 3 },
        { dimension: "two words", expression: "1" },
        { measure: "double_sum", based_on: "double", type: "sum", is_disabled: true },
        { table_calculation: "calculated", expression: "1" },
        { table_calculation: "disabled", expression: "1", is_disabled: true },
        { category: "other", dimension: "x", expression: "1" },
        { measure: "formatted", based_on: "double", type: "max", value_format_name: "guilders" }
      ])
      const message = yield* refusal({ fields: named("count"), dynamic_fields })
      assert.strictEqual(
        message.slice(0, message.indexOf(": there are decimal_0")),
        'Validation Failed: Dynamic field "DOUBLE": there is another field of this name. ' +
          "Dynamic field 3: a value is of the wrong type " +
          'Dynamic field "two words": dimension has to be a name of letters, digits and underscores. ' +
          'Dynamic field "double_sum": is_disabled is for table calculations only. ' +
          'Table calculation "calculated" is not supported by the embedded Looker. ' +
          'Dynamic field "x": category "other" is none of measure, dimension and table_calculation. ' +
          'Dynamic field "formatted": there is no value_format_name "guilders"'
      )
      assert.match(message, /, id\.$/)
    })
  )
})
