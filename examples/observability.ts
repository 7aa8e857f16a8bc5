/**
 * Sends the metrics, the spans and the log of a few runs over OTLP, and shows what a dashboard would make of the metrics.
 *
 *     npx node --conditions=effect-looker-source examples/observability.ts
 *
 * The collector is a stub in this process. With OTEL_EXPORTER_OTLP_ENDPOINT set (http://localhost:4318, say) everything goes to that
 * collector, and the table is left to its dashboards. The Looker is the embedded one, with a limit and a gateway that fails.
 */
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { NodeRuntime } from "@effect/platform-node"
import { Config, Console, Effect, Layer, Option, Result, Schema, Stream } from "effect"
import { FetchHttpClient } from "effect/http"
import { Otlp, OtlpExporter } from "effect/observability"
import { Looker, QueryRunner } from "effect-looker"
import { EmbeddedLooker, Fault } from "effect-looker/embedded"

// ---- the program to watch ----

const looker = Looker.layer({ baseUrl: EmbeddedLooker.inProcessBaseUrl, ...EmbeddedLooker.credentials }).pipe(
  Layer.provide(
    EmbeddedLooker.layer({
      data: "node_modules/vega-datasets/data/airports.csv",
      faults: [
        { on: { endpoint: "create_query_task", nth: 3 }, fault: Fault.tooManyRequests({ retryAfter: "1 second" }) },
        { on: { endpoint: "query_task_multi_results", nth: 1 }, fault: Fault.unavailable(502) },
        { on: { query: { filters: { "airports.state": "TX" } } }, fault: Fault.error("out of disk") }
      ]
    })
  )
)

const report = Effect.gen(function* () {
  const runner = yield* QueryRunner.QueryRunner
  const queries = ["AK", "CA", "FL", "HI", "NY", "TX"].map((state) => ({
    model: "embedded",
    view: "airports",
    fields: ["airports.city", "airports.count"],
    filters: { "airports.state": state }
  }))
  yield* Stream.runForEach(runner.runAll(queries), ({ query, result }) =>
    Result.isSuccess(result)
      ? Effect.logInfo(`${result.success.rows.length} cities`)
      : Effect.logError(`${JSON.stringify(query.filters)}: ${result.failure.message}`)
  )
})

// ---- a collector, and its dashboard ----

const Point = Schema.Struct({
  attributes: Schema.Array(
    Schema.Struct({ key: Schema.String, value: Schema.Struct({ stringValue: Schema.optional(Schema.String) }) })
  ),
  asDouble: Schema.optional(Schema.Number),
  count: Schema.optional(Schema.Number),
  sum: Schema.optional(Schema.Number),
  max: Schema.optional(Schema.Number)
})
const Points = Schema.optional(Schema.Struct({ dataPoints: Schema.Array(Point) }))
const Exported = Schema.fromJsonString(
  Schema.Struct({
    resourceMetrics: Schema.Array(
      Schema.Struct({
        scopeMetrics: Schema.Array(
          Schema.Struct({
            metrics: Schema.Array(
              Schema.Struct({ name: Schema.String, unit: Schema.String, sum: Points, gauge: Points, histogram: Points })
            )
          })
        )
      })
    )
  })
)

/** What the collector stub received last of each kind. */
const received = { metrics: "", spans: 0, records: 0 }

const countOf = (body: string, key: string) => body.split(`"${key}"`).length - 1

const collector = Effect.acquireRelease(
  Effect.callback<{ readonly endpoint: string; readonly close: () => void }>((resume) => {
    const server = createServer((request, response) => {
      const chunks: Array<Buffer> = []
      request.on("data", (chunk) => chunks.push(chunk))
      request.on("end", () => {
        const body = Buffer.concat(chunks).toString()
        if (request.url === "/v1/metrics") received.metrics = body
        if (request.url === "/v1/traces") received.spans += countOf(body, "spanId")
        if (request.url === "/v1/logs") received.records += countOf(body, "severityText")
        response.setHeader("content-type", "application/json").end("{}")
      })
    })
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo
      resume(Effect.succeed({ endpoint: `http://127.0.0.1:${port}`, close: () => server.close() }))
    })
  }),
  ({ close }) => Effect.sync(close)
)

const showDashboard = Effect.gen(function* () {
  const exported = yield* Schema.decodeEffect(Exported)(received.metrics)
  const metrics = exported.resourceMetrics.flatMap(({ scopeMetrics }) => scopeMetrics.flatMap(({ metrics }) => metrics))
  const lines = metrics.flatMap(({ gauge, histogram, name, sum, unit }) =>
    (sum ?? gauge ?? histogram ?? { dataPoints: [] }).dataPoints.map(({ asDouble, attributes, count, max, sum }) => ({
      metric: name,
      of: attributes
        .filter(({ key }) => key !== "unit")
        .map(({ value }) => value.stringValue)
        .join(" "),
      value:
        asDouble ??
        `${count} times, ${Math.round((sum ?? 0) / (count || 1))} on average, ${Math.round(max ?? 0)} at most`,
      unit: unit === "1" ? "" : unit
    }))
  )
  yield* Console.table(lines.filter(({ metric }) => metric.startsWith("looker_")).sort(byName))
  yield* Console.log(`${received.spans} spans and ${received.records} log records`)
})

const byName = (one: { readonly metric: string; readonly of: string }, other: typeof one) =>
  `${one.metric} ${one.of}` < `${other.metric} ${other.of}` ? -1 : 1

const program = Effect.gen(function* () {
  const configured = yield* Config.option(Config.String("OTEL_EXPORTER_OTLP_ENDPOINT"))
  const baseUrl = Option.isSome(configured) ? configured.value : (yield* collector).endpoint
  const otlp = Otlp.layerJson({ baseUrl, resource: { serviceName: "nightly-export" } }).pipe(
    Layer.provide(FetchHttpClient.layer)
  )
  // The exporters go around the layer of Looker, so that they see what it does by itself: polls, pauses, logins.
  yield* report.pipe(
    Effect.provide(looker),
    Effect.andThen(OtlpExporter.Flusher.use(({ flush }) => flush)),
    Effect.provide(otlp)
  )
  if (Option.isNone(configured)) yield* showDashboard
}).pipe(Effect.scoped)

NodeRuntime.runMain(program)
