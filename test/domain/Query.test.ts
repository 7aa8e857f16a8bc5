import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { Query, QueryTask, RunningQuery } from "effect-looker"

/** A query as Looker returns it, in full, with the keys its documentation leaves out. */
const full = {
  can: { run: true, see_results: true },
  id: "1944",
  model: "airports",
  view: "flights",
  fields: ["flights.origin", "flights.count"],
  pivots: ["flights.carrier"],
  fill_fields: [],
  filters: { "flights.origin": "SFO, LAX", "flights.date": "7 days" },
  filter_expression: "flights.count > 1",
  sorts: ["flights.count desc 0"],
  limit: "500",
  column_limit: "50",
  total: true,
  row_total: "right",
  subtotals: ["flights.origin"],
  vis_config: { type: "table", nested: { deep: [1, null, "x"] } },
  filter_config: { "flights.origin": [{ type: "=", values: [] }] },
  visible_ui_sections: null,
  slug: "abc",
  dynamic_fields: '[{"table_calculation":"x"}]',
  client_id: "AbCdEfGhIjKlMnOpQrStUv",
  share_url: "https://acme/x/abc",
  expanded_share_url: "https://acme/explore/airports/flights",
  url: "/explore/airports/flights",
  query_timezone: "America/Los_Angeles",
  has_table_calculations: true,
  runtime: 0.42,
  quick_calcs: null,
  analysis_config: { forecasting: [] }
}

const decode = Schema.decodeUnknownEffect(Query.Query)
const encodeInput = Schema.encodeUnknownEffect(Query.QueryInput)

describe("Query", () => {
  it.effect("keeps every key, known and unknown", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* decode(full), full)
    })
  )

  it.effect("takes null for every documented field but id, and the absence of all", () =>
    Effect.gen(function* () {
      const nulls = Object.fromEntries(
        Object.keys(full)
          .filter((key) => key !== "id")
          .map((key) => [key, null])
      )
      assert.deepStrictEqual(yield* decode(nulls), nulls)
      assert.deepStrictEqual(yield* decode({}), {})
    })
  )

  it.effect("takes numbers for ids and limits, and gives text", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* decode({ id: 1944, limit: 500, column_limit: 50 }), {
        id: "1944",
        limit: "500",
        column_limit: "50"
      })
      assert.deepStrictEqual(yield* decode({ id: 0, limit: -1 }), { id: "0", limit: "-1" })
    })
  )
})

describe("Query.toInput", () => {
  const kept = [
    "model",
    "view",
    "fields",
    "pivots",
    "fill_fields",
    "filters",
    "filter_expression",
    "sorts",
    "limit",
    "column_limit",
    "total",
    "row_total",
    "subtotals",
    "vis_config",
    "visible_ui_sections",
    "dynamic_fields",
    "client_id",
    "query_timezone",
    "runtime",
    "quick_calcs",
    "analysis_config"
  ]

  it.effect("leaves out what only Looker sets and filter_config, and keeps the rest", () =>
    Effect.gen(function* () {
      const input = Query.toInput({ ...(yield* decode(full)), model: "airports", view: "flights" })
      assert.deepStrictEqual(Object.keys(input).sort(), [...kept].sort())
      for (const key of kept) assert.deepStrictEqual(input[key as keyof typeof input], full[key as keyof typeof full])
    })
  )

  it.effect("gives a body that Looker's answer, sent again, is the same as", () =>
    Effect.gen(function* () {
      const once = yield* encodeInput(Query.toInput({ ...full, id: "1944" }))
      const again = yield* decode(once)
      assert.deepStrictEqual(Query.toInput({ ...again, model: "airports", view: "flights" }), once)
    })
  )

  it("changes nothing of the query it is given", () => {
    const before = structuredClone(full)
    Query.toInput(full)
    assert.deepStrictEqual(full, before)
  })

  it.effect.each([
    [500, "500"],
    [-1, "-1"],
    [0, "0"],
    ["500", "500"],
    ["-1", "-1"],
    [null, null]
  ] as const)("sends the limit %j as %j", ([limit, sent]) =>
    Effect.gen(function* () {
      const body = yield* encodeInput(Query.toInput({ model: "m", view: "v", limit, column_limit: limit }))
      assert.deepStrictEqual(body, { model: "m", view: "v", limit: sent, column_limit: sent })
    })
  )
})

describe("QueryTask", () => {
  const task = {
    can: { index: true, show: true, kill: true, see_results: true },
    id: "be74000bd08bf295c075586eb60f8f2f",
    query_id: "1944",
    query: full,
    generate_links: true,
    force_production: false,
    path_prefix: "/explore",
    cache: false,
    server_table_calcs: true,
    cache_only: false,
    cache_key: null,
    status: "added",
    source: "api",
    runtime: null,
    rebuild_pdts: false,
    result_source: null,
    look_id: null,
    dashboard_id: null,
    result_format: "json_detail",
    a_new_key: [1]
  }

  it.effect("keeps every key of a recorded answer, and unknown ones", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* Schema.decodeUnknownEffect(QueryTask.QueryTask)(task), task)
    })
  )

  it.effect.each(["0.418", 0.418, null])("takes a runtime of %j", (runtime) =>
    Effect.gen(function* () {
      const decoded = yield* Schema.decodeUnknownEffect(QueryTask.QueryTask)({
        id: 1,
        query_id: 2,
        look_id: 3,
        runtime
      })
      assert.deepStrictEqual(decoded, { id: "1", query_id: "2", look_id: "3", runtime })
    })
  )
})

describe("RunningQuery", () => {
  it.effect("takes numbers for ids, null for everything else, and unknown keys", () =>
    Effect.gen(function* () {
      const decoded = yield* Schema.decodeUnknownEffect(RunningQuery.RunningQuery)({
        id: 5,
        query_task_id: "t1",
        query_id: 7,
        node_id: 1,
        connection_id: null,
        user: { id: "1", display_name: "A" },
        query: null,
        sql_query: null,
        look: null,
        runtime: 0.5,
        status: "Waiting for PDT",
        sql: null,
        a_new_key: 1
      })
      assert.strictEqual(decoded.id, "5")
      assert.strictEqual(decoded.query_id, "7")
      assert.strictEqual(decoded.node_id, "1")
      assert.strictEqual(decoded.a_new_key, 1)
    })
  )
})
