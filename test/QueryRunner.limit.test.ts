/**
 * Whether a limit may have cut a result.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Result } from "effect"
import { Looker, Query, QueryRunner } from "effect-looker"
import { EmbeddedLooker } from "effect-looker/embedded"
import * as oneTask from "./support/oneTask.ts"

const rows = (count: number) => Array.from({ length: count }, (_, index) => ({ "flights.origin": `A${index}` }))
const cells = (count: number) => rows(count).map((row) => ({ "flights.origin": { value: row["flights.origin"] } }))
const csv = (count: number) => `Origin\n${"SFO\n".repeat(count)}`

interface Case {
  readonly name: string
  readonly created?: Readonly<Record<string, unknown>>
  readonly options?: QueryRunner.RunOptions<unknown>
  readonly body: unknown
  readonly limit?: number | undefined
}

const limited: ReadonlyArray<Case> = [
  { name: "as many rows as the query allows", created: { limit: "3" }, body: rows(3), limit: 3 },
  { name: "a limit that Looker sends as a number", created: { limit: 3 }, body: rows(3), limit: 3 },
  { name: "500 rows, and no limit said", body: rows(500), limit: 500 },
  { name: "500 rows, and null as the limit", created: { limit: null }, body: rows(500), limit: 500 },
  {
    name: "as many rows as the task allows",
    created: { limit: "500" },
    options: { params: { limit: 2 } },
    body: rows(2),
    limit: 2
  },
  {
    name: "the limit of the task instead of -1",
    created: { limit: "-1" },
    options: { params: { limit: 2 } },
    body: rows(2),
    limit: 2
  },
  {
    name: "json_detail with totals, which are no row",
    created: { limit: "2" },
    options: { format: "json_detail" },
    body: { data: cells(2), totals_data: { a: { value: 1 } } },
    limit: 2
  },
  {
    name: "json_detail that is truncated, whatever its rows",
    created: { limit: "500" },
    options: { format: "json_detail" },
    body: { truncated: true, data: cells(1) },
    limit: 500
  },
  {
    name: "json_detail that says only at its end that it is truncated",
    created: { limit: "-1" },
    options: { format: "json_detail" },
    body: { data: cells(1), truncated: true },
    limit: undefined
  },
  {
    name: "json_bi whose last row is the totals",
    created: { limit: "3" },
    options: { format: "json_bi" },
    body: { metadata: { has_totals: true }, rows: cells(4) },
    limit: 3
  },
  {
    name: "json_bi of a query with totals, that does not say so",
    created: { limit: "3", total: true },
    options: { format: "json_bi" },
    body: { metadata: {}, rows: cells(4) },
    limit: 3
  },
  {
    name: "json_bi without totals",
    created: { limit: "3", total: true },
    options: { format: "json_bi" },
    body: { metadata: { has_totals: false }, rows: cells(3) },
    limit: 3
  },
  { name: "csv", created: { limit: "3" }, options: { format: "csv" }, body: csv(3), limit: 3 },
  {
    name: "csv whose last record is the totals",
    created: { limit: "3", total: true },
    options: { format: "csv" },
    body: csv(4),
    limit: 3
  }
]

const unlimited: ReadonlyArray<Case> = [
  { name: "fewer rows", created: { limit: "3" }, body: rows(2) },
  { name: "499 rows, and no limit said", body: rows(499) },
  { name: "more rows, which the limit has not cut", created: { limit: "2" }, body: rows(3) },
  { name: "500 rows of all", created: { limit: "-1" }, body: rows(500) },
  { name: "all rows by the task", created: { limit: "3" }, options: { params: { limit: -1 } }, body: rows(3) },
  { name: "no rows asked for", created: { limit: "0" }, body: [] },
  { name: "no rows asked for by the task", created: { limit: "3" }, options: { params: { limit: 0 } }, body: [] },
  {
    name: "no rows asked for, and truncated as in every recording",
    created: { limit: "0" },
    options: { format: "json_detail" },
    body: { truncated: true, data: [] }
  },
  {
    name: "truncated: false",
    created: { limit: "3" },
    options: { format: "json_detail" },
    body: { truncated: false, data: cells(1) }
  },
  {
    name: "json_bi with totals as the last of its rows",
    created: { limit: "3" },
    options: { format: "json_bi" },
    body: { metadata: { has_totals: true }, rows: cells(3) }
  },
  {
    name: "csv with totals as the last of its records",
    created: { limit: "3", total: true },
    options: { format: "csv" },
    body: csv(3)
  },
  { name: "an empty csv", created: { limit: "3" }, options: { format: "csv" }, body: "Origin\n" }
]

const warnings = (logged: ReadonlyArray<string>) => logged.filter((line) => line.startsWith("Warn"))

describe("a limit that may have cut the rows", () => {
  it.effect.each(limited)("is limitReached: $name", ({ body, created = {}, limit, options }) =>
    Effect.gen(function* () {
      const { logged, run, runAll, sent, stream } = oneTask.make({ created, body })
      const result = yield* run(options)
      assert.isTrue(result.limitReached)
      const outcome = yield* runAll(options)
      assert.isTrue(outcome?.limitReached)
      assert.isTrue(Result.isSuccess(outcome?.result ?? Result.fail("no outcome")))
      assert.deepStrictEqual(warnings(logged), [])

      const streamed = yield* stream(options)
      assert.deepStrictEqual(streamed, { rows: [...result.rows], error: undefined })
      const [warning = "", ...others] = warnings(logged)
      assert.match(warning, /Task t1: .* more$/)
      assert.deepStrictEqual(others, [])

      const failing = { ...options, whenLimited: "fail" } as const
      const error = yield* Effect.flip(run(failing))
      assert.deepInclude(error, { _tag: "LimitReached", taskId: "t1", isRetryable: false })
      assert.strictEqual(error._tag === "LimitReached" && error.limit, limit)
      const failed = yield* runAll(failing)
      assert.isTrue(failed?.limitReached)
      assert.isTrue(Result.isFailure(failed?.result ?? Result.succeed("no outcome")))
      const cut = yield* stream(failing)
      assert.strictEqual(cut.error?._tag, "LimitReached")
      assert.deepStrictEqual(cut.rows, [...result.rows])
      assert.strictEqual(warnings(logged).length, 1)
      assert.strictEqual(sent("DELETE /running_queries/t1"), 0)
    })
  )

  it.effect.each(unlimited)("is not limitReached: $name", ({ body, created = {}, options }) =>
    Effect.gen(function* () {
      const { logged, run, runAll, stream } = oneTask.make({ created, body })
      const failing = { ...options, whenLimited: "fail" } as const
      const result = yield* run(failing)
      assert.isFalse(result.limitReached)
      assert.isFalse((yield* runAll(failing))?.limitReached)
      assert.deepStrictEqual(yield* stream(options), { rows: [...result.rows], error: undefined })
      assert.deepStrictEqual(yield* stream(failing), { rows: [...result.rows], error: undefined })
      assert.deepStrictEqual(warnings(logged), [])
    })
  )
})

describe("a limit of the embedded Looker", () => {
  const looker = Looker.layer({ baseUrl: EmbeddedLooker.inProcessBaseUrl, ...EmbeddedLooker.credentials }).pipe(
    Layer.provide(EmbeddedLooker.layer({ data: "node_modules/vega-datasets/data/airports.csv" }))
  )
  const states = { model: "embedded", view: "airports", fields: ["airports.state", "airports.count"], total: true }

  it.live("is reached in every format, totals not counted, and not by a query for all rows", () =>
    Effect.gen(function* () {
      const runner = yield* QueryRunner.QueryRunner
      for (const format of ["json", "json_detail", "json_bi", "csv"] as const) {
        assert.isTrue((yield* runner.run({ ...states, limit: 3 }, { format })).limitReached, format)
        assert.isFalse((yield* runner.run({ ...states, limit: -1 }, { format })).limitReached, format)
        assert.isFalse((yield* runner.run(states, { format })).limitReached, format)
        assert.isFalse((yield* runner.run({ ...states, limit: 0 }, { format })).limitReached, format)
      }
    }).pipe(Effect.provide(looker))
  )
})

describe("Query.rowLimit", () => {
  it.each([
    [{}, undefined, 500],
    [{ limit: null }, undefined, 500],
    [{ limit: "" }, undefined, 500],
    [{ limit: "7" }, undefined, 7],
    [{ limit: "0" }, undefined, 0],
    [{ limit: "-1" }, undefined, undefined],
    [{ limit: "many" }, undefined, undefined],
    [{ limit: "7" }, 3, 3],
    [{ limit: "7" }, 0, 0],
    [{ limit: "7" }, -1, undefined],
    [{ limit: "-1" }, 3, 3]
  ] as const)("of %j and the task's %s is %s", (query, taskLimit, limit) => {
    assert.strictEqual(Query.rowLimit(query, taskLimit), limit)
  })
})
