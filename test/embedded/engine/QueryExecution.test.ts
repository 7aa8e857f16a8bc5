/** What a run leaves in the database, also when it fails or is interrupted. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { DataFolder } from "effect-looker/embedded"
import * as DuckDb from "../../../src/embedded/database/DuckDb.ts"
import * as QueryCompiler from "../../../src/embedded/engine/QueryCompiler.ts"
import * as QueryExecution from "../../../src/embedded/engine/QueryExecution.ts"
import { folder, wait } from "../support.ts"
import { engine, named, now } from "./support.ts"

describe("an explore", () => {
  it.effect("may have any name, and its columns too", () =>
    Effect.gen(function* () {
      const database = yield* DuckDb.make({})
      const words = ["cells", "pivots", "frame", "spread", "kept", "results", "days", "select", "main"]
      const csv = `${words.join(",")},col,nth,k,v\n${words.map((_, index) => index % 3).join(",")},1,2,3,4\n`
      const models = yield* DataFolder.load(database, {
        m: yield* folder(Object.fromEntries(words.map((word) => [`${word}.csv`, csv])))
      })
      for (const view of words) {
        const columns = [...words, "col", "nth", "k", "v"].map((word) => `${view}.${word}`)
        const plan = yield* QueryCompiler.compile(
          models,
          {
            model: "m",
            view,
            fields: [...columns, `${view}.count`],
            pivots: columns.slice(0, 2),
            filters: { [`${view}.count`]: ">0" },
            total: true,
            row_total: "right",
            subtotals: columns.slice(3, 5)
          },
          { now }
        )
        const { rows } = yield* QueryExecution.run(database, plan, view)
        assert.strictEqual(rows.rowCount, 1)
      }
    })
  )
})

describe("a run", () => {
  it.live("that is interrupted at any moment leaves no table behind", () =>
    Effect.gen(function* () {
      const { database, left, plan } = yield* engine
      const planned = yield* plan({
        fields: named("id", "created_date", "status", "count", "average_price"),
        pivots: named("status"),
        filters: { "orders.count": ">0" },
        total: true,
        row_total: "right",
        subtotals: named("id"),
        limit: "-1"
      })
      for (let millis = 0; millis < 120; millis += 6) {
        const fiber = yield* Effect.forkChild(QueryExecution.run(database, planned, `kill ${millis}`))
        yield* wait(millis)
        yield* Fiber.interrupt(fiber)
        yield* QueryExecution.clear(database, planned, `kill ${millis}`)
        assert.strictEqual(yield* left, 0)
      }
    })
  )

  it.effect("that fails leaves no table behind, and says where in the statement that is shown", () =>
    Effect.gen(function* () {
      const { database, left, plan } = yield* engine
      const planned = yield* plan({ fields: named("status", "count"), pivots: named("status"), total: true })
      const broken = { ...planned, sql: planned.sql.replace("count(*)", "no_function(*)") }
      const error = yield* Effect.flip(QueryExecution.run(database, broken, "x"))
      assert.strictEqual(error.line, 3)
      assert.include(error.message, '\nLINE 3:     no_function(*) AS "orders.count"\n            ^')
      assert.strictEqual(yield* left, 0)
    })
  )

  it.effect("that fails in a statement that is not shown says nothing of it", () =>
    Effect.gen(function* () {
      const { database, plan } = yield* engine
      const planned = yield* plan({ fields: named("status", "count"), pivots: named("status") })
      const broken = { ...planned, sql: planned.sql.replace('AS "orders.status"', 'AS "other"') }
      const error = yield* Effect.flip(QueryExecution.run(database, broken, "x"))
      assert.isUndefined(error.line)
      assert.match(error.message, /^Binder Error: .*orders\.status/)
      assert.notMatch(error.message, /LINE|SELECT/)
    })
  )
})
