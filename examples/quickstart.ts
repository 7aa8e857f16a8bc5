/**
 * The whole life of some query tasks: five and more at once, their progress, their rows, and what they cost.
 *
 * `npm start` runs it on an embedded Looker over three million US flights. With LOOKERSDK_BASE_URL, LOOKERSDK_CLIENT_ID and
 * LOOKERSDK_CLIENT_SECRET set it runs on that Looker; give it queries that Looker knows:
 *
 *     npm start -- my-queries.json      (an object of name to Query body)
 */
import { fileURLToPath } from "node:url"
import { NodeFileSystem, NodeHttpClient, NodeRuntime } from "@effect/platform-node"
import { Config, Console, Duration, Effect, FileSystem, Layer, Option, Schema } from "effect"
import { HttpClient } from "effect/http"
import { Looker, Query, QueryRunner } from "effect-looker"
import { EmbeddedLooker } from "effect-looker/embedded"

const sample: Readonly<Record<string, Query.QueryInput>> = {
  "Busiest airports": {
    model: "embedded",
    view: "flights",
    fields: ["flights.origin", "flights.count", "flights.average_delay"],
    sorts: ["flights.count desc"],
    limit: 5
  },
  "Delay by month": {
    model: "embedded",
    view: "flights",
    fields: ["flights.date_month", "flights.count", "flights.average_delay"],
    sorts: ["flights.date_month"]
  },
  "Longest routes": {
    model: "embedded",
    view: "flights",
    fields: ["flights.origin", "flights.destination", "flights.max_distance", "flights.count"],
    filters: { "flights.distance": ">4000" },
    sorts: ["flights.max_distance desc"],
    limit: 5
  },
  "More than three hours late, not from Atlanta or Chicago": {
    model: "embedded",
    view: "flights",
    fields: ["flights.origin", "flights.count", "flights.max_delay"],
    filters: { "flights.delay": ">180", "flights.origin": "-ATL,-ORD" },
    sorts: ["flights.count desc"],
    limit: 5
  },
  "States with most airports": {
    model: "embedded",
    view: "airports",
    fields: ["airports.state", "airports.count"],
    limit: 5
  },
  "Seattle's weather": {
    model: "embedded",
    view: "seattle_weather",
    fields: ["seattle_weather.weather", "seattle_weather.count", "seattle_weather.average_temp_max"]
  }
}

const dataFile = (name: string) => fileURLToPath(new URL(`../node_modules/vega-datasets/data/${name}`, import.meta.url))

/** The HTTP client of the program, which counts what it sends. */
let requests = 0
const countingHttpClient = Layer.effect(
  HttpClient.HttpClient,
  Effect.map(
    HttpClient.HttpClient,
    HttpClient.tapRequest(() => Effect.sync(() => requests++))
  )
).pipe(Layer.provide(NodeHttpClient.layerUndici))

const embeddedLooker = Layer.unwrap(
  Effect.gen(function* () {
    const server = yield* EmbeddedLooker.EmbeddedServer
    yield* Console.log(`An embedded Looker serves three million flights at ${server.baseUrl}\n`)
    return Looker.layer(server)
  })
).pipe(
  Layer.provide(
    EmbeddedLooker.layerServer({
      data: {
        flights: dataFile("flights-3m.parquet"),
        airports: dataFile("airports.csv"),
        seattle_weather: dataFile("seattle-weather.csv")
      }
    })
  )
)

const looker = Layer.unwrap(
  Effect.map(Config.option(Config.String("LOOKERSDK_BASE_URL")), (baseUrl) =>
    Option.isSome(baseUrl) ? Looker.layerEnv : embeddedLooker
  )
).pipe(Layer.provide(countingHttpClient))

const readQueries = Effect.gen(function* () {
  const file = process.argv[2]
  if (file === undefined) return sample
  const text = yield* Effect.flatMap(FileSystem.FileSystem, (fs) => fs.readFileString(file))
  return yield* Schema.decodeEffect(Schema.fromJsonString(Schema.Record(Schema.String, Query.QueryInput)))(text)
})

const program = Effect.gen(function* () {
  const runner = yield* QueryRunner.QueryRunner
  const queries = Object.entries(yield* readQueries)
  const tasks = new Set<string>()

  const [elapsed, results] = yield* Effect.timed(
    Effect.forEach(
      queries,
      ([name, query]) =>
        runner
          .run(query, {
            onStatus: ({ status, taskId }) => {
              tasks.add(taskId)
              return Console.log(`${status.padEnd(9)} ${name}`)
            }
          })
          .pipe(Effect.result),
      { concurrency: "unbounded" }
    )
  )

  for (const [index, result] of results.entries()) {
    yield* Console.log(`\n${queries[index]?.[0]}`)
    if (result._tag === "Failure") yield* Console.log(`${result.failure._tag}: ${result.failure.message}`)
    else yield* Console.table(result.success.rows)
  }
  yield* Console.log(
    `\n${tasks.size} tasks, ${requests} requests, ${Duration.format(Duration.millis(Math.round(Duration.toMillis(elapsed))))}`
  )
  if (results.some((result) => result._tag === "Failure")) process.exitCode = 1
})

NodeRuntime.runMain(program.pipe(Effect.provide(Layer.merge(looker, NodeFileSystem.layer))))
