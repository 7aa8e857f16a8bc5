/** Queries that try to get out of their literals, or are too large. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { call, createTask, ends, login, results } from "../support.ts"
import { looker, mention, named } from "./support.ts"

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

  it.effect("and filters of extreme length end in a result or an error, and the server lives on", () =>
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
