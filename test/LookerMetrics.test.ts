import { assert, describe, it } from "@effect/vitest"
import { Effect, Metric, Stream } from "effect"
import { LookerMetrics, QueryRunner, QueryTasks } from "effect-looker"
import { TestTime } from "effect-looker/testing"
import { looker } from "./support/layers.ts"
import * as observe from "./support/observe.ts"
import * as StubLooker from "./support/StubLooker.ts"

const query = { model: "m", view: "v" }
const tooMany = (seconds: number): StubLooker.Answer => ({
  status: 429,
  json: { message: "Too many requests" },
  headers: { "retry-after": String(seconds) }
})

/** A Looker with one query, whose tasks end at the second poll. `refuse` answers in its place. */
const stub = (refuse: (request: StubLooker.Received) => StubLooker.Answer | undefined = () => undefined) => {
  let polls = 0
  return StubLooker.inProcess(
    StubLooker.withLogin((request) => {
      const refused = refuse(request)
      if (refused !== undefined) return refused
      switch (`${request.method} ${request.path.replace("/api/4.0", "")}`) {
        case "POST /queries":
          return { json: { id: "7" } }
        case "POST /query_tasks":
          return { json: { id: "t1", status: "added" } }
        case "GET /query_tasks/t1":
          return { json: { id: "t1", status: "complete" } }
        case "GET /query_tasks/multi_results":
          return { json: { t1: ++polls === 1 ? { status: "running" } : { status: "complete", data: [{ a: 1 }] } } }
        case "GET /query_tasks/t1/results":
          return { json: [{ a: 1 }, { a: 2 }], chunked: true }
        default:
          return undefined
      }
    })
  )
}

/** All series after a program, as text. */
const seriesAfter = <A, E>(
  program: Effect.Effect<A, E, QueryRunner.QueryRunner | QueryTasks.QueryTasks>,
  server = stub()
) =>
  Effect.gen(function* () {
    yield* TestTime.run(program).pipe(Effect.provide(looker(server.layer)))
    const all: Record<string, unknown> = {}
    for (const { attributes = {}, id, state } of yield* Metric.snapshot) {
      const { unit: _, ...shown } = attributes as Record<string, string>
      const name = [id.replace("looker_", ""), ...Object.values(shown)].join(" ")
      all[name] = "count" in state ? state.count : "value" in state ? state.value : state
    }
    return all
  }).pipe(Effect.provideService(Metric.MetricRegistry, new Map()))

const run = QueryRunner.QueryRunner.use((runner) => runner.run(query))

describe("the metrics", () => {
  it.effect("count the requests, polls, tasks, bytes and logins of a run", () =>
    Effect.gen(function* () {
      const series = yield* seriesAfter(run)
      assert.deepStrictEqual(series, {
        logins: 1,
        polls: 2,
        "requests login 200 none": 1,
        "requests logout 204 none": 1,
        "requests create_query 200 db_query": 1,
        "requests create_query_task 200 db_query": 1,
        "requests query_task_multi_results 200 db_query": 2,
        "received_bytes login": 66,
        "received_bytes create_query": 10,
        "received_bytes create_query_task": 28,
        "received_bytes query_task_multi_results": 28 + 44,
        "tasks created": 1,
        "tasks running": 1,
        "tasks complete": 1,
        tasks_waiting: 0,
        delivery_delay: 1
      })
    })
  )

  it.effect("count a body by what was read where its length is not announced", () =>
    Effect.gen(function* () {
      const stream = QueryRunner.QueryRunner.use((runner) => Stream.runDrain(runner.stream(query)))
      assert.deepInclude(yield* seriesAfter(stream), { "received_bytes query_task_results": 17 })
    })
  )

  it.effect("count requests by their status, retries by their reason, and the time paused", () =>
    Effect.gen(function* () {
      let creates = 0
      const server = stub(({ method, path }) => {
        if (method !== "POST" || !path.endsWith("/query_tasks")) return undefined
        creates++
        return creates === 1 ? tooMany(3) : creates === 2 ? { status: 503, text: "" } : undefined
      })
      assert.deepInclude(yield* seriesAfter(run, server), {
        "requests create_query_task 429 db_query": 1,
        "requests create_query_task 503 db_query": 1,
        "requests create_query_task 200 db_query": 1,
        "retries create_query_task TooManyRequests": 1,
        "retries create_query_task LookerUnavailable": 1,
        paused: 3000
      })
    })
  )

  it.effect("count a request without a response, a second one after a 401, and its new login", () =>
    Effect.gen(function* () {
      let asked = 0
      const server = stub(({ method, path }) => {
        if (method !== "GET" || !path.endsWith("/query_tasks/t1")) return undefined
        asked++
        return asked === 1 ? { reset: "before" } : asked === 2 ? { status: 401, text: "" } : undefined
      })
      const ask = QueryTasks.QueryTasks.use((tasks) => tasks.queryTask("t1"))
      const series = yield* seriesAfter(ask, server)
      assert.deepInclude(series, {
        "requests query_task none db_query": 1,
        "requests query_task 401 db_query": 1,
        "requests query_task 200 db_query": 1,
        "retries query_task LookerUnavailable": 1,
        "retries query_task Unauthorized": 1
      })
    })
  )

  it.effect.each(["added", "running", "pending", "complete", "error", "killed", "expired", "missing"])(
    "count a task that gets into the state %s by this word",
    (status) =>
      Effect.gen(function* () {
        const server = stub(({ path }) =>
          path.endsWith("/multi_results") ? { json: { t1: { status, data: [] } } } : undefined
        )
        assert.deepInclude(yield* seriesAfter(Effect.exit(run).pipe(Effect.timeoutOption("1 minute")), server), {
          [`tasks ${status}`]: 1
        })
      })
  )

  it.effect("count a task with any other word as one in an unknown state", () =>
    Effect.gen(function* () {
      const server = stub(({ path }) =>
        path.endsWith("/multi_results") ? { json: { t1: { status: "pondering", data: [] } } } : undefined
      )
      const series = yield* seriesAfter(Effect.exit(run), server)
      assert.deepInclude(series, { "tasks unknown": 1 })
      assert.notProperty(series, "tasks pondering")
    })
  )

  it.effect("are read with the attributes of their series", () =>
    Effect.gen(function* () {
      yield* TestTime.run(run).pipe(Effect.provide(looker(stub().layer)))
      const attributes = { quota: "db_query", status: "200", endpoint: "create_query_task" }
      const { count } = yield* Metric.value(Metric.withAttributes(LookerMetrics.requests, attributes))
      assert.strictEqual(count, 1)
    }).pipe(Effect.provideService(Metric.MetricRegistry, new Map()))
  )
})

describe("the log", () => {
  const warningsOf = (text: string) => text.split("\n").filter((line) => line.includes("level=WARN"))

  it.effect("has a warning when a pause begins and one when it ends, with their numbers", () => {
    const observer = observe.make()
    let refused = 0
    const server = stub(({ path }) => (path.endsWith("/query_tasks") && refused++ === 0 ? tooMany(3) : undefined))
    return Effect.gen(function* () {
      yield* TestTime.run(run).pipe(Effect.provide(looker(server.layer)))
      const [begins, ends, ...others] = warningsOf(observer.text())
      assert.include(begins, "Looker responds with 429: no requests for 3s")
      assert.include(ends, "Requests are sent without a limit again, 3s after the first 429")
      assert.include(ends, "1 request was refused")
      assert.deepStrictEqual(others, [])
      assert.include(observer.text(), "POST /query_tasks: Too many requests. Again in 3s")
    }).pipe(Effect.provide(observer.layer))
  })
})

describe("a metric", () => {
  it("keeps its name, by which dashboards know it", () => {
    assert.deepStrictEqual(
      Object.fromEntries(Object.entries(LookerMetrics).map(([name, { id, type }]) => [name, `${id} ${type}`])),
      {
        requests: "looker_requests Counter",
        retries: "looker_retries Counter",
        bytes: "looker_received_bytes Counter",
        logins: "looker_logins Counter",
        polls: "looker_polls Counter",
        tasks: "looker_tasks Counter",
        strays: "looker_possible_strays Counter",
        waiting: "looker_tasks_waiting Gauge",
        delivery: "looker_delivery_delay Histogram",
        paused: "looker_paused Counter"
      }
    )
  })

  it.effect("of delays has buckets from 50 ms to a minute", () =>
    Effect.gen(function* () {
      const { buckets } = yield* Metric.value(LookerMetrics.delivery)
      const boundaries = [50, 100, 200, 500, 1000, 2000, 5000, 10_000, 30_000, 60_000]
      assert.deepStrictEqual(
        buckets.map(([boundary]) => boundary),
        boundaries
      )
    })
  )
})
