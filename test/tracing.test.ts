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
      return { json: { t1: { status: "complete", data: [] } } }
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
      assert.deepStrictEqual([...names].filter((name) => name.includes(".")).sort(), [
        "LookerAuth.login",
        "LookerAuth.logout",
        "Queries.createQuery",
        "Queries.query",
        "Queries.queryForSlug",
        "QueryRunner.run",
        "QueryRunner.stream",
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
})
