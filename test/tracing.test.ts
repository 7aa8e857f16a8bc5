import { assert, describe, it } from "@effect/vitest"
import { Effect, Option, Stream } from "effect"
import { Queries, QueryRunner, QueryTaskRun, QueryTasks } from "effect-looker"
import { TestTime } from "effect-looker/testing"
import { looker } from "./support/layers.ts"
import * as observe from "./support/observe.ts"
import * as StubLooker from "./support/StubLooker.ts"

/** A Looker with one query, whose task t1 is complete. */
const script = StubLooker.withLogin(({ method, path }) => {
  switch (`${method} ${path.replace("/api/4.0", "")}`) {
    case "POST /queries":
    case "GET /queries/7":
    case "GET /queries/slug/abc":
      return { json: { id: "7", slug: "abc" } }
    case "POST /query_tasks":
      return { json: { id: "t1", status: "added" } }
    case "GET /query_tasks/t1":
      return { json: { id: "t1", status: "complete" } }
    case "GET /query_tasks/multi_results":
      return { json: { t1: { status: "complete", result_source: "query", data: [] } } }
    case "GET /query_tasks/t1/results":
    case "GET /running_queries":
      return { json: [] }
    case "DELETE /running_queries/t1":
      return { status: 204 }
    default:
      return undefined
  }
})

const query = { model: "m", view: "v" }

describe("a tracer", () => {
  it.effect("sees a span for each method that sends a request", () => {
    const observer = observe.make()
    const program = Effect.gen(function* () {
      const queries = yield* Queries.Queries
      yield* queries.createQuery(query)
      yield* queries.query("7")
      yield* queries.queryForSlug("abc")
      const tasks = yield* QueryTasks.QueryTasks
      yield* tasks.createQueryTask({ query_id: "7", result_format: "json" })
      yield* tasks.queryTask("t1")
      yield* tasks.queryTaskMultiResults(["t1"])
      yield* Stream.runDrain(tasks.queryTaskMultiResultsStream(["t1"]))
      yield* Option.getOrThrow(yield* tasks.queryTaskResults("t1")).text
      yield* tasks.allRunningQueries
      yield* tasks.killQuery("t1")
      const runner = yield* QueryRunner.QueryRunner
      yield* runner.run(query)
      yield* Stream.runDrain(runner.stream(query))
      const run = yield* QueryTaskRun.QueryTaskRun
      yield* run.start("7")
      yield* run.kill("t1")
    })
    return Effect.gen(function* () {
      yield* TestTime.run(Effect.provide(program, looker(StubLooker.inProcess(script).layer)))
      const names = new Set(observer.spans.map(({ name }) => name))
      assert.deepStrictEqual([...names].filter((name) => /^\w+\.\w+$/.test(name)).sort(), [
        "LookerAuth.login",
        "LookerAuth.logout",
        "Queries.createQuery",
        "Queries.query",
        "Queries.queryForSlug",
        "QueryRunner.run",
        "QueryRunner.stream",
        "QueryTaskPoller.poll",
        "QueryTaskRun.body",
        "QueryTaskRun.createQuery",
        "QueryTaskRun.kill",
        "QueryTaskRun.rows",
        "QueryTaskRun.start",
        "QueryTaskRun.wait",
        "QueryTasks.allRunningQueries",
        "QueryTasks.createQueryTask",
        "QueryTasks.killQuery",
        "QueryTasks.queryTask",
        "QueryTasks.queryTaskMultiResults",
        "QueryTasks.queryTaskMultiResultsStream",
        "QueryTasks.queryTaskResults"
      ])
    }).pipe(Effect.provide(observer.layer))
  })

  it.effect("sees what a run was about, and which requests asked about its task", () => {
    const observer = observe.make()
    const program = Effect.gen(function* () {
      const runner = yield* QueryRunner.QueryRunner
      yield* runner.run(query)
      yield* Stream.runDrain(runner.stream(query))
    })
    const attributesOf = (name: string) =>
      observer.spans
        .filter((span) => span.name === name)
        .map(({ attributes }) => Object.fromEntries([...attributes].filter(([key]) => key.startsWith("looker."))))
    return Effect.gen(function* () {
      yield* TestTime.run(program).pipe(Effect.provide(looker(StubLooker.inProcess(script).layer)))
      const explore = { "looker.query.model": "m", "looker.query.explore": "v" }
      const task = { "looker.query.id": "7", "looker.task.id": "t1" }
      assert.deepStrictEqual(attributesOf("QueryRunner.run"), [
        { ...explore, ...task, "looker.result.source": "query", "looker.rows": 0 }
      ])
      assert.deepStrictEqual(attributesOf("QueryRunner.stream"), [{ ...explore, ...task }])
      assert.deepStrictEqual(attributesOf("Queries.createQuery"), [
        { ...explore, "looker.query.id": "7", "looker.bytes": 23 }
      ])
      const waited = { "looker.task.id": "t1", "looker.task.status": "complete" }
      assert.deepStrictEqual(attributesOf("QueryTaskRun.wait"), [
        { ...waited, "looker.result.source": "query" },
        { ...waited, "looker.result.source": undefined }
      ])
      const request = { "looker.endpoint": "query_task_multi_results", "looker.quota": "db_query", "looker.attempt": 1 }
      assert.deepStrictEqual(attributesOf("GET /query_tasks/multi_results"), [request])
      const waits = observer.spans.filter(({ name }) => name === "QueryTaskRun.wait")
      const polls = observer.spans.filter(({ name }) => name === "QueryTaskPoller.poll")
      assert.deepStrictEqual(
        polls.map(({ links }) => links.map(({ span }) => span.spanId)),
        waits.map(({ spanId }) => [spanId])
      )
      assert.deepStrictEqual(attributesOf("QueryTaskPoller.poll"), [{ "looker.tasks": 1 }, { "looker.tasks": 1 }])
    }).pipe(Effect.provide(observer.layer))
  })

  it.effect("sees the requests about a task also where only the run has the tracer", () => {
    const observer = observe.make()
    const run = QueryRunner.QueryRunner.use((runner) => runner.run(query)).pipe(Effect.provide(observer.layer))
    return Effect.gen(function* () {
      yield* TestTime.run(run)
      const [poll] = observer.spans.filter(({ name }) => name === "QueryTaskPoller.poll")
      assert.deepStrictEqual(
        poll?.links.map(({ attributes }) => attributes),
        [{ "looker.task.id": "t1" }]
      )
    }).pipe(Effect.provide(looker(StubLooker.inProcess(script).layer)))
  })
})
