/** Queries with pivots: the order of their columns, their limits and their keys. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { DataFolder } from "effect-looker/embedded"
import * as DuckDb from "../../../src/embedded/database/DuckDb.ts"
import * as QueryCompiler from "../../../src/embedded/engine/QueryCompiler.ts"
import * as QueryExecution from "../../../src/embedded/engine/QueryExecution.ts"
import { folder } from "../support.ts"
import { engine, engineOver, named, now } from "./support.ts"

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

  it.effect("has another plan and other rows under another limit, though its statement is the same", () =>
    Effect.gen(function* () {
      const { plan, run } = yield* engine
      const query = { fields: named("created_date", "status", "count"), pivots: named("status") }
      const [three, seven] = [
        { ...query, limit: 3 },
        { ...query, limit: 7 }
      ]
      const plans = [yield* plan(three), yield* plan(seven)] as const
      assert.deepStrictEqual(
        plans.map(({ limit }) => limit),
        [3, 7]
      )
      assert.strictEqual(plans[0].sql, plans[1].sql)
      const rows = (yield* run(seven)).rows
      assert.strictEqual(rows.length, 7)
      assert.deepStrictEqual((yield* run(three)).rows, rows.slice(0, 3))
      const columns = yield* run({ ...seven, column_limit: 2 })
      assert.deepStrictEqual([columns.columns.length, columns.columnsTruncated], [3, true])
    })
  )

  it.effect("has the limits it asks for, as texts and with spaces too", () =>
    Effect.gen(function* () {
      const { plan } = yield* engine
      const query = { fields: named("status", "count"), pivots: named("status") }
      for (const limit of [7, "7", " 7 "]) {
        const planned = yield* plan({ ...query, limit, column_limit: limit })
        assert.deepStrictEqual([planned.limit, planned.columnLimit], [7, 7])
      }
    })
  )

  it.effect(
    "takes the largest of several cells for the best when it sorts down, and the smallest when it sorts up",
    () =>
      Effect.gen(function* () {
        const { run } = yield* engineOver("place,kind,n\na,q,1\na,r,9\nb,q,5\nc,p,3\n")
        const query = { fields: named("place", "kind", "total_n"), pivots: named("kind") }
        for (const [sort, places] of [
          ["orders.total_n desc 0", ["c", "a", "b"]],
          ["orders.total_n asc 0", ["c", "a", "b"]]
        ] as const) {
          const { rows } = yield* run({ ...query, sorts: [sort] })
          assert.deepStrictEqual(
            rows.map(([place]) => place),
            [...places]
          )
        }
      })
  )

  it.effect("has a row total only where it has a pivot", () =>
    Effect.gen(function* () {
      const { run } = yield* engine
      const flat = yield* run({ fields: named("status", "count"), row_total: "right" })
      assert.deepStrictEqual([flat.keys, flat.names], [[], named("status", "count")])
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

  it.effect("distinguishes values that would have the same key", () =>
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
