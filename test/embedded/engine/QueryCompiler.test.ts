/** Queries that the engine refuses, each with what to do about it. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { engine, mention, named, refusal } from "./support.ts"

describe("a query is refused, with what to do,", () => {
  const group = (field: object) => ({ fields: ["x"], dynamic_fields: JSON.stringify([field]) })
  for (const [what, query, expected] of [
    [
      "when a pivot is not among its fields",
      { fields: named("count"), pivots: named("status") },
      "not one of the fields"
    ],
    ["when a pivot is a measure", { fields: named("count"), pivots: named("count") }, "is not a dimension"],
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
      "when it has too many sorts",
      { fields: named("count"), sorts: Array.from({ length: 101 }, () => "orders.count") },
      "100 are the most"
    ],
    ["when the time zone is unknown", { fields: named("count"), query_timezone: "Mars/Olympus" }, "not a time zone"],
    ["when the time zone is a difference", { fields: named("count"), query_timezone: "+02:00" }, "not a time zone"],
    ["when a custom filter is used", { fields: named("count"), filter_expression: "1 AND" }, "filter_expression"],
    [
      "when a custom filter is a number",
      { fields: named("count"), filter_expression: "1 + 1" },
      "neither true nor false"
    ],
    [
      "when a custom filter asks a measure",
      { fields: named("count"), filter_expression: `${mention("orders.count")} > 1` },
      "is not a dimension"
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
      "when there are too many bins",
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

describe("the clauses of a query", () => {
  it.effect("are all checked, and their errors come in the order of the clauses", () =>
    Effect.gen(function* () {
      const message = yield* refusal({
        fields: named("status", "nope"),
        pivots: named("status"),
        query_timezone: "Mars/Base",
        limit: "many",
        column_limit: 0,
        row_total: "top",
        filters: { "orders.created_date": "soon", "orders.price": ">1" },
        filter_expression: "1",
        fill_fields: named("status"),
        sorts: named("count")
      })
      const parts = [
        "query_timezone",
        "limit ",
        "column_limit",
        "row_total",
        'Unknown field "orders.nope"',
        "A query with pivots",
        'Filter "soon" on orders.created_date',
        "filter_expression is neither",
        "fill_fields: orders.status",
        "Sort field orders.count is not one of the fields of the query."
      ]
      const places = parts.map((part) => message.indexOf(part))
      assert.notInclude(places, -1)
      assert.deepStrictEqual(
        places,
        places.toSorted((a, b) => a - b)
      )
      assert.isTrue(message.endsWith(parts.at(-1) ?? ""))
    })
  )

  it.effect("fill a pivot that is the only one, beside any number of dimensions", () =>
    Effect.gen(function* () {
      const { plan } = yield* engine
      const fill_fields = named("day")
      const fields = named("status", "country", "day", "created_date", "count")
      const { fills } = yield* plan({ fields, pivots: named("day"), fill_fields })
      assert.deepStrictEqual(
        fills.map(({ dimension, timeframe }) => [dimension.name, timeframe]),
        [["orders.day", "date"]]
      )
      assert.strictEqual(
        yield* refusal({ fields, pivots: named("day", "status"), fill_fields }),
        "Validation Failed: fill_fields: orders.day cannot be filled: it has to be the only dimension, or the only pivot."
      )
    })
  )

  it.effect("give ten errors, and the number of the others", () =>
    Effect.gen(function* () {
      const fields = Array.from({ length: 33 }, (_, index) => `orders.no_${index}`)
      const message = yield* refusal({ fields })
      assert.isTrue(message.endsWith(" There are 23 more errors."), message)
      assert.include(message, '"orders.no_9". There are orders.')
      assert.notInclude(message, "orders.no_10")
    })
  )

  it.effect("take the most that they allow", () =>
    Effect.gen(function* () {
      const { plan } = yield* engine
      const sorts = Array.from({ length: 100 }, () => "orders.count desc 2")
      const dynamic_fields = JSON.stringify(
        Array.from({ length: 100 }, (_, index) => ({ dimension: `d${index}`, expression: "1" }))
      )
      const most = yield* plan({
        fields: named("count"),
        sorts,
        dynamic_fields,
        column_limit: "200",
        limit: "9".repeat(15)
      })
      assert.deepStrictEqual(
        [most.sorts.length, most.sorts[99]],
        [100, { field: "orders.count", desc: true, pivot: 2 }]
      )
      assert.deepStrictEqual([most.columnLimit, most.limit], [200, 999_999_999_999_999])
      const least = yield* plan({ fields: named("count"), column_limit: 1, limit: -1, query_timezone: "Etc/UTC" })
      assert.deepStrictEqual([least.columnLimit, least.limit, least.timezone], [1, undefined, "UTC"])
      const defaults = yield* plan({ fields: named("count"), column_limit: "", limit: "", query_timezone: "" })
      assert.deepStrictEqual([defaults.columnLimit, defaults.limit, defaults.timezone], [50, 500, "UTC"])
    })
  )
})
