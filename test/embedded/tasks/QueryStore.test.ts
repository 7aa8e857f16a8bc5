/** What one store of queries promises to several who create queries at the same time. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Layer } from "effect"
import { DataFolder } from "effect-looker/embedded"
import { DuckDb, layer as layerDuckDb } from "../../../src/embedded/database/DuckDb.ts"
import * as QueryStore from "../../../src/embedded/tasks/QueryStore.ts"
import { folder, orders } from "../support.ts"

const queries = Layer.unwrap(
  Effect.gen(function* () {
    const path = yield* folder({ "orders.csv": orders })
    const models = yield* DataFolder.load(yield* DuckDb, { embedded: path })
    return QueryStore.layer(models, { now: undefined })
  })
).pipe(Layer.provide(layerDuckDb({})))

/** A clock that lets other fibers run before it tells the time: all that happens between the look-up of a query and its storage. */
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
