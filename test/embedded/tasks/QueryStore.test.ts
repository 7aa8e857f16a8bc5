/** What one store of queries promises to several who create queries at the same time. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Layer } from "effect"
import type { QueryInput } from "effect-looker/domain/Query"
import { DataFolder } from "effect-looker/embedded"
import { DuckDb, layer as layerDuckDb } from "../../../src/embedded/database/DuckDb.ts"
import * as QueryStore from "../../../src/embedded/tasks/QueryStore.ts"
import { folder, orders } from "../support.ts"

const queries = Layer.unwrap(
  Effect.gen(function* () {
    const path = yield* folder({ "orders.csv": orders, "lines.csv": "id\n1\n" })
    const models = yield* DataFolder.load(yield* DuckDb, { embedded: path, other: path })
    return QueryStore.layer(models, { now: undefined })
  })
).pipe(Layer.provide(layerDuckDb({})))

/** A clock that lets other fibers run before it gives the time: all that happens between the look-up of a query and its storage. */
const yielding = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const clock = yield* Clock.Clock
    return yield* Effect.provideService(effect, Clock.Clock, {
      ...clock,
      currentTimeMillis: Effect.andThen(Effect.yieldNow, clock.currentTimeMillis)
    })
  })

const input = { model: "embedded", view: "orders", fields: ["orders.id"] }

describe("queries that are created at the same time", () => {
  it.effect("are one query with one body", () =>
    Effect.gen(function* () {
      const store = yield* QueryStore.QueryStore
      const made = yield* Effect.all([store.create(input), store.create(input), store.create({ ...input, limit: 3 })], {
        concurrency: "unbounded"
      }).pipe(yielding)
      const [first, second, other] = made.map(({ query }) => query)
      assert.deepStrictEqual(first, second)
      assert.notStrictEqual(first?.id, other?.id)
      assert.strictEqual((yield* store.get(first?.id ?? "")).query, (yield* store.forSlug(first?.slug ?? "")).query)
    }).pipe(Effect.provide(queries))
  )

  it.effect("share no client id", () =>
    Effect.gen(function* () {
      const store = yield* QueryStore.QueryStore
      const client_id = "0123456789abcdefghijAB"
      const made = yield* Effect.all(
        [store.create({ ...input, client_id }), Effect.flip(store.create({ ...input, client_id, limit: 3 }))],
        { concurrency: "unbounded" }
      ).pipe(yielding)
      assert.strictEqual(made[1].errors[0]?.code, "taken")
      assert.strictEqual((yield* store.forSlug(client_id)).query.id, made[0].query.id)
    }).pipe(Effect.provide(queries))
  )
})

/** Keys that Looker sets itself, or that are not supported. */
const without = {
  id: true,
  can: true,
  slug: true,
  share_url: true,
  expanded_share_url: true,
  url: true,
  has_table_calculations: true,
  runtime: true,
  quick_calcs: true,
  analysis_config: true
} as const

describe("the body of a query", () => {
  const base: QueryInput = {
    ...input,
    fields: ["orders.created_year", "orders.status", "orders.count"],
    pivots: ["orders.status"],
    filters: { "orders.status": "new" }
  }

  it.effect("makes another query with another value of any key", () =>
    Effect.gen(function* () {
      const store = yield* QueryStore.QueryStore
      const changes: Omit<{ readonly [Key in keyof Required<QueryInput>]: QueryInput[Key] }, keyof typeof without> = {
        model: "other",
        view: "lines",
        fields: ["orders.status", "orders.created_year", "orders.count"],
        pivots: ["orders.created_year"],
        fill_fields: ["orders.created_year"],
        filters: { "orders.status": "old" },
        filter_expression: "1 = 1",
        sorts: ["orders.created_year"],
        limit: 7,
        column_limit: 7,
        total: true,
        row_total: "left",
        subtotals: ["orders.created_year"],
        vis_config: { type: "table" },
        filter_config: { a: 1 },
        visible_ui_sections: "data",
        dynamic_fields: "[]",
        client_id: "0123456789abcdefghijAB",
        query_timezone: "America/New_York"
      }
      const ids = new Set([(yield* store.create(base)).query.id])
      for (const [key, value] of Object.entries(changes)) {
        // The fields of an explore begin with its name.
        const change =
          key === "view" ? { view: "lines", fields: ["lines.id"], pivots: [], filters: {} } : { [key]: value }
        const { query } = yield* store.create({ ...base, ...change })
        assert.isFalse(ids.has(query.id), key)
        ids.add(query.id)
        assert.strictEqual((yield* store.create({ ...base, ...change })).query.id, query.id, key)
      }
    }).pipe(Effect.provide(queries))
  )

  it.effect("is stored with every documented key, and with the same id, slug and URLs in every run", () =>
    Effect.gen(function* () {
      const store = yield* QueryStore.QueryStore
      const body = {
        model: "embedded",
        view: "orders",
        fields: ["orders.created_year", "orders.status", "orders.count"],
        pivots: ["orders.status"],
        fill_fields: ["orders.created_year"],
        filters: { "orders.status": "new" },
        filter_expression: "1 = 1",
        sorts: ["orders.created_year", "orders.status"],
        limit: "7",
        column_limit: "8",
        total: true,
        row_total: "right",
        subtotals: ["orders.created_year"],
        vis_config: { type: "table" },
        filter_config: { a: 1 },
        visible_ui_sections: "data",
        dynamic_fields: "[]",
        query_timezone: "America/New_York"
      }
      const { query } = yield* store.create({ ...body, limit: 7, column_limit: 8 })
      const { can, client_id, id, slug, url: maybeUrl, ...others } = query
      const url = maybeUrl ?? ""
      const parameters = new URLSearchParams(url.slice(url.indexOf("?")))
      assert.deepStrictEqual(
        [...parameters],
        [
          ["fields", "orders.created_year,orders.status,orders.count"],
          ["pivots", "orders.status"],
          ["fill_fields", "orders.created_year"],
          ["f[orders.status]", "new"],
          ["filter_expression", "1 = 1"],
          ["sorts", "orders.created_year,orders.status"],
          ["limit", "7"],
          ["column_limit", "8"],
          ["total", "on"],
          ["row_total", "right"],
          ["subtotals", "orders.created_year"],
          ["query_timezone", "America/New_York"],
          ["dynamic_fields", "[]"],
          ["vis", '{"type":"table"}']
        ]
      )
      assert.deepStrictEqual(others, {
        ...body,
        share_url: `http://embedded.looker/x/${client_id}`,
        expanded_share_url: `http://embedded.looker${url}`,
        has_table_calculations: false
      })
      assert.isTrue(url.startsWith("/explore/embedded/orders?"))
      assert.deepStrictEqual(can, {
        run: true,
        see_results: true,
        explore: true,
        create: true,
        show: true,
        download: true
      })
      assert.deepStrictEqual([id, slug, client_id], ["587929544862684", "06nm0nf", "K16FOW9H3roizNeN7oy6h0"])
    }).pipe(Effect.provide(queries))
  )

  it.effect("has null for each key that is left out", () =>
    Effect.gen(function* () {
      const store = yield* QueryStore.QueryStore
      const { query } = yield* store.create({ ...input, pivots: null, limit: null })
      const { can, client_id, expanded_share_url, id, share_url, slug, url, ...others } = query
      assert.strictEqual(url, "/explore/embedded/orders?fields=orders.id")
      assert.deepStrictEqual(others, {
        ...input,
        pivots: null,
        fill_fields: null,
        filters: null,
        filter_expression: null,
        sorts: null,
        limit: null,
        column_limit: null,
        total: null,
        row_total: null,
        subtotals: null,
        vis_config: null,
        filter_config: null,
        visible_ui_sections: null,
        dynamic_fields: null,
        query_timezone: null,
        has_table_calculations: false
      })
    }).pipe(Effect.provide(queries))
  )

  it.effect("may have a megabyte of configuration that is never used, and is refused with more", () =>
    Effect.gen(function* () {
      const store = yield* QueryStore.QueryStore
      // The two are measured as the JSON of a list.
      const config = (length: number) => ({ a: "x".repeat(length - '[{"a":""},null]'.length) })
      assert.isString((yield* store.create({ ...input, vis_config: config(1_000_000) })).query.id)
      for (const key of ["vis_config", "filter_config"] as const) {
        const error = yield* Effect.flip(store.create({ ...input, [key]: config(1_000_001) }))
        assert.deepStrictEqual(
          error.errors.map(({ code, field }) => [field, code]),
          [[key, "invalid"]]
        )
      }
    }).pipe(Effect.provide(queries))
  )

  it.effect("may be nested a hundred levels deep, and is refused when it is deeper", () =>
    Effect.gen(function* () {
      const store = yield* QueryStore.QueryStore
      const nested = (levels: number): Record<string, unknown> => (levels === 1 ? {} : { a: nested(levels - 1) })
      assert.isString((yield* store.create({ ...input, vis_config: nested(100) })).query.id)
      const error = yield* Effect.flip(store.create({ ...input, vis_config: nested(101) }))
      assert.deepStrictEqual(
        error.errors.map(({ code, field }) => [field, code]),
        [["vis_config", "invalid"]]
      )
    }).pipe(Effect.provide(queries))
  )

  it.effect("is the same with what is sent in another way, and with what only Looker sets", () =>
    Effect.gen(function* () {
      const store = yield* QueryStore.QueryStore
      const { query } = yield* store.create({ ...base, limit: 7 })
      for (const same of [
        { limit: "7" },
        { limit: 7, sorts: null, total: null, client_id: "" },
        { limit: 7, filters: { "orders.status": "new" } },
        { limit: 7, id: "5", slug: "abc", can: {}, url: "/x", share_url: "/y", runtime: 3 }
      ]) {
        assert.strictEqual((yield* store.create({ ...base, ...same })).query.id, query.id)
      }
    }).pipe(Effect.provide(queries))
  )
})
