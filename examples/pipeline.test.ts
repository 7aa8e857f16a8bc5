/**
 * A small pipeline, and tests that let it meet what a real Looker does now and then: limits, gateways that fail, tokens that end,
 * queries that are killed or run for hours, results that break off. They need no Looker and no waiting: the embedded one follows a
 * script of faults, and runs on the clock of the test.
 */
import { NodeFileSystem } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, FileSystem, Layer, Result, Stream } from "effect"
import { Looker, type Query, QueryRunner, QueryTasks } from "effect-looker"
import { EmbeddedLooker, Fault, type Faults } from "effect-looker/embedded"
import { TestTime } from "effect-looker/testing"

// ---- the pipeline ----

/** Ends that say nothing against the query: a second run may well come through. */
const worthAnotherRun: ReadonlySet<string> = new Set([
  "QueryKilled",
  "ResultsExpired",
  "TaskMissing",
  "TruncatedResult"
])

/** Writes each report as lines of JSON, whole or not at all, and says how many rows it has or what went wrong. */
const exportReports = Effect.fn("exportReports")(function* (
  reports: Readonly<Record<string, Query.QueryInput>>,
  folder: string
) {
  const runner = yield* QueryRunner.QueryRunner
  const fs = yield* FileSystem.FileSystem

  const exportOne = Effect.fnUntraced(function* (name: string, query: Query.QueryInput) {
    const part = `${folder}/${name}.part`
    let rows = 0
    // json_detail has the message of the database about a query that fails; the other formats only that it failed.
    yield* runner.stream(query, { format: "json_detail", timeout: "5 minutes" }).pipe(
      Stream.map((row) => {
        rows++
        return `${JSON.stringify(row)}\n`
      }),
      Stream.encodeText,
      Stream.run(fs.sink(part)),
      Effect.onError(() => Effect.ignore(fs.remove(part)))
    )
    yield* fs.rename(part, `${folder}/${name}.ndjson`)
    return rows
  })

  const outcomes = yield* Effect.forEach(
    Object.entries(reports),
    ([name, query]) =>
      exportOne(name, query).pipe(
        Effect.retry({ times: 1, while: ({ _tag }) => worthAnotherRun.has(_tag) }),
        Effect.result,
        Effect.map((result) => [name, result] as const)
      ),
    { concurrency: 5 }
  )
  return Object.fromEntries(outcomes)
})

// ---- its tests ----

const reports = {
  airports: { model: "embedded", view: "airports", fields: ["airports.iata", "airports.state"], limit: -1 },
  weather: {
    model: "embedded",
    view: "seattle_weather",
    fields: ["seattle_weather.date_month", "seattle_weather.average_temp_max"],
    limit: -1
  }
} satisfies Record<string, Query.QueryInput>

const sample = "node_modules/vega-datasets/data"

/** A Looker over the sample files in which these things go wrong. */
const lookerWith = (...faults: ReadonlyArray<Faults.Rule>) =>
  Looker.layer({ baseUrl: EmbeddedLooker.inProcessBaseUrl, ...EmbeddedLooker.credentials }).pipe(
    Layer.provide(EmbeddedLooker.layer({ data: [`${sample}/airports.csv`, `${sample}/seattle-weather.csv`], faults })),
    Layer.merge(NodeFileSystem.layer)
  )

/** Runs the pipeline; gives rows or the name of the error for each report, and what is in the folder afterwards. */
const exported = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const folder = yield* fs.makeTempDirectoryScoped()
  const outcomes = yield* TestTime.run(exportReports(reports, folder))
  const files: Record<string, number> = {}
  for (const file of yield* fs.readDirectory(folder)) {
    files[file] = (yield* fs.readFileString(`${folder}/${file}`)).split("\n").length - 1
  }
  const ends = Object.entries(outcomes).map(([name, result]) => [
    name,
    Result.isSuccess(result) ? result.success : result.failure._tag
  ])
  return { ends: Object.fromEntries(ends), files, outcomes }
})

const all = { ends: { airports: 3376, weather: 48 }, files: { "airports.ndjson": 3376, "weather.ndjson": 48 } }
const onlyAirports = { "airports.ndjson": 3376 }

describe("exportReports", () => {
  it.effect("writes every report", () =>
    Effect.gen(function* () {
      assert.deepInclude(yield* exported, all)
    }).pipe(Effect.provide(lookerWith()))
  )

  it.effect("waits for a limit, a gateway and a new token", () =>
    Effect.gen(function* () {
      assert.deepInclude(yield* exported, all)
      assert.isAtLeast(yield* Clock.currentTimeMillis, 30_000)
    }).pipe(
      Effect.provide(
        lookerWith(
          { on: { endpoint: "create_query_task", nth: 1 }, fault: Fault.tooManyRequests({ retryAfter: "30 seconds" }) },
          { on: { endpoint: "query_task", nth: 1 }, fault: Fault.unavailable(502) },
          { on: { endpoint: "query_task_results", nth: 1 }, fault: Fault.tokenDeath }
        )
      )
    )
  )

  it.effect("runs a killed query, and one whose result broke off, once more", () =>
    Effect.gen(function* () {
      assert.deepInclude(yield* exported, all)
    }).pipe(
      Effect.provide(
        lookerWith(
          { on: { query: { view: "airports" }, nth: 1 }, fault: Fault.killed },
          {
            on: { endpoint: "query_task_results", query: { view: "seattle_weather" }, nth: 1 },
            fault: Fault.truncated({ fraction: 0.5 }, { end: "clean" })
          }
        )
      )
    )
  )

  it.effect("leaves no half of a file where a result breaks off every time", () =>
    Effect.gen(function* () {
      const { ends, files } = yield* exported
      assert.deepStrictEqual([ends.weather, files], ["TruncatedResult", onlyAirports])
    }).pipe(
      Effect.provide(
        lookerWith({
          on: { endpoint: "query_task_results", query: { view: "seattle_weather" } },
          fault: Fault.appendedError()
        })
      )
    )
  )

  it.effect("gives the message of the database for one report, and writes the others", () =>
    Effect.gen(function* () {
      const { files, outcomes } = yield* exported
      assert.deepStrictEqual(files, onlyAirports)
      const { weather } = outcomes
      assert(weather !== undefined && Result.isFailure(weather) && weather.failure._tag === "QueryFailed")
      assert.include(weather.failure.message, "out of disk")
    }).pipe(
      Effect.provide(lookerWith({ on: { query: { view: "seattle_weather" } }, fault: Fault.error("out of disk") }))
    )
  )

  it.effect("gives up a report after five minutes, and leaves nothing running in Looker", () =>
    Effect.gen(function* () {
      const { ends, files } = yield* exported
      assert.deepStrictEqual([ends.weather, files], ["PollingTimeout", onlyAirports])
      assert.isAtLeast(yield* Clock.currentTimeMillis, 300_000)
      assert.deepStrictEqual(yield* TestTime.run(QueryTasks.QueryTasks.use((tasks) => tasks.allRunningQueries)), [])
    }).pipe(Effect.provide(lookerWith({ on: { query: { view: "seattle_weather" } }, fault: Fault.slow("2 hours") })))
  )
})
