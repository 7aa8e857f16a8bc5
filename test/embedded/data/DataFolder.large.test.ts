/** Files that are large. */

import { mkdirSync } from "node:fs"
import { join } from "node:path"
import { DuckDBInstance } from "@duckdb/node-api"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { DataFolder } from "effect-looker/embedded"
import * as DuckDb from "../../../src/embedded/database/DuckDb.ts"
import { cpuTimed } from "../../support/cpu.ts"
import { folder } from "../support.ts"

describe("a million rows of CSV", () => {
  it.live("load in seconds", () =>
    Effect.gen(function* () {
      const path = join(yield* folder({}), "data")
      mkdirSync(path)
      yield* Effect.promise(async () => {
        const instance = await DuckDBInstance.create(":memory:")
        const connection = await instance.connect()
        await connection.run(`COPY (
            SELECT i AS id, 'u' || (i * 7919) % 100000 AS owner, (i * 37) % 100000 / 100 AS price,
              TIMESTAMP '2020-01-01' + INTERVAL (i) MINUTE AS created, 'note ' || i % 1000 AS note
            FROM range(1000000) r(i)) TO '${join(path, "big.csv")}'`)
        connection.closeSync()
        instance.closeSync()
      })
      const database = yield* DuckDb.make({})
      const { millis } = yield* cpuTimed(DataFolder.load(database, { m: path }))
      assert.isBelow(millis, 20_000)
      assert.deepStrictEqual(yield* database.run("SELECT count(*), sum(price)::VARCHAR FROM big"), [
        [1_000_000n, "499995000.00"]
      ])
    })
  )
})
