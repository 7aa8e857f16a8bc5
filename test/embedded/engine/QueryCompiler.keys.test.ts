/** Every key of a query does something, is carried, is refused, or is set by Looker. */
import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { Query } from "effect-looker"
import { call, login, results } from "../support.ts"
import { looker, mention, named } from "./support.ts"

// One server for all of them: what it remembers of one query changes nothing for the others.
layer(looker)("every key of a query", (it) => {
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

  it("is in the table below", () => assert.deepStrictEqual(Object.keys(expected).sort(), [...Query.knownKeys].sort()))

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
        // It comes back as it was sent, limits as texts, and changes the result.
        assert.deepStrictEqual(created.json[key], typeof value === "number" ? String(value) : value)
        const body = (query: object) =>
          Effect.map(results(query, "json_detail"), ({ json }) =>
            JSON.stringify([json.data, json.totals_data, json.subtotals_data, json.fields, json.pivots])
          )
        const without = { ...context, ...(key === "dynamic_fields" ? { fields: named("count") } : {}) }
        assert.notStrictEqual(yield* body({ ...context, [key]: value }), yield* body(without))
      })
    )
  }

  it.effect("that is not one of them is refused by its name", () =>
    Effect.gen(function* () {
      const token = yield* login
      const { json, status } = yield* call("POST", "/queries", { token, json: { ...base, pivot: [] } })
      assert.deepStrictEqual([status, json.errors[0].field], [422, "pivot"])
      assert.include(json.message, "Did you mean pivots?")
    })
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
    })
  )
})
