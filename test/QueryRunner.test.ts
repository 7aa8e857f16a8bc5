import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Schema, Stream } from "effect"
import { LookerError, type LookerPolicy, Queries, QueryRunner, QueryTaskPoller, QueryTasks } from "effect-looker"
import { looker } from "./support/layers.ts"
import * as StubLooker from "./support/StubLooker.ts"
import { pass, runOut, timed } from "./support/time.ts"

const query = { model: "m", view: "flights", fields: ["flights.origin", "flights.count"] }

/** The life of one query task `t1`, with answers that a test may replace; counts the requests by name. */
const life = (
  answers: {
    readonly createTask?: () => StubLooker.Answer | Effect.Effect<StubLooker.Answer>
    readonly poll?: (request: number) => unknown
    readonly results?: () => StubLooker.Answer
    readonly kill?: () => StubLooker.Answer | Effect.Effect<StubLooker.Answer>
    readonly policy?: LookerPolicy.Options
  } = {}
) => {
  let polls = 0
  const stub = StubLooker.inProcess(
    StubLooker.withLogin(({ method, path }) => {
      switch (`${method} ${path.replace("/api/4.0", "")}`) {
        case "POST /queries":
          return { json: { id: 7, ...query, limit: "500", a_new_key: 1 } }
        case "POST /query_tasks":
          return answers.createTask?.() ?? { json: { id: "t1", query_id: 7, status: "added" } }
        case "GET /query_tasks/multi_results":
          return { json: { t1: answers.poll?.(++polls) ?? { status: "running" } } }
        case "GET /query_tasks/t1/results":
          return answers.results?.()
        case "DELETE /running_queries/t1":
          return answers.kill?.() ?? { status: 204 }
        default:
          return undefined
      }
    })
  )
  const sent = () => stub.received.map(({ method, path }) => `${method} ${path.replace("/api/4.0", "")}`)
  const kills = () => sent().filter((request) => request === "DELETE /running_queries/t1").length
  return { sent, kills, received: stub.received, layer: looker(stub.layer, { policy: answers.policy ?? {} }) }
}

const run = <Row>(options?: QueryRunner.RunOptions<Row>) =>
  QueryRunner.QueryRunner.use((runner) => runner.run(query, options))

const origin = (value: string) => ({ "flights.origin": value, "flights.count": 3 })

describe("QueryRunner.run", () => {
  it.effect("takes a query from its body to its rows", () => {
    const { layer, sent } = life({
      poll: (request) => (request < 3 ? { status: "running" } : { status: "complete", data: [origin("SFO")] })
    })
    return Effect.gen(function* () {
      const statuses: Array<string> = []
      const result = yield* runOut(
        run({ onStatus: ({ status, taskId }) => Effect.sync(() => void statuses.push(`${taskId} ${status}`)) })
      )
      assert.deepStrictEqual(result.rows, [origin("SFO")])
      assert.strictEqual(result.taskId, "t1")
      assert.strictEqual(result.query.id, "7")
      assert.strictEqual(result.query.a_new_key, 1)
      assert.deepStrictEqual(statuses, ["t1 running", "t1 complete"])
      assert.deepStrictEqual(sent(), [
        "POST /login",
        "POST /queries",
        "POST /query_tasks",
        "GET /query_tasks/multi_results",
        "GET /query_tasks/multi_results",
        "GET /query_tasks/multi_results"
      ])
    }).pipe(Effect.provide(layer))
  })

  for (const [word, entry, tag] of [
    ["error", { status: "error", data: [{ looker_error: "no such column" }] }, "QueryFailed"],
    ["error", { status: "failure" }, "QueryFailed"],
    ["killed", { status: "killed" }, "QueryKilled"],
    ["missing", { status: "missing" }, "TaskMissing"],
    ["expired", { status: "expired" }, "ResultsExpired"]
  ] as const) {
    it.effect(`tells onStatus the last word of a task that ends as ${entry.status}`, () => {
      const { layer } = life({ poll: (request) => (request === 1 ? { status: "running" } : entry) })
      return Effect.gen(function* () {
        const statuses: Array<string> = []
        const onStatus = ({ status }: QueryRunner.StatusUpdate) =>
          Effect.andThen(
            Effect.sleep("1 second"),
            Effect.sync(() => void statuses.push(status))
          )
        assert.strictEqual((yield* runOut(Effect.flip(run({ onStatus }))))._tag, tag)
        assert.deepStrictEqual(statuses, ["running", word])
      }).pipe(Effect.provide(layer))
    })
  }

  it.effect("types the rows by the caller's schema", () => {
    const { layer } = life({ poll: () => ({ status: "complete", data: [origin("SFO")] }) })
    const Row = Schema.Struct({ "flights.origin": Schema.String, "flights.count": Schema.Int })
    return Effect.gen(function* () {
      const { rows } = yield* runOut(run({ row: Row }))
      const typed: ReadonlyArray<{ readonly "flights.origin": string; readonly "flights.count": number }> = rows
      assert.deepStrictEqual(typed, [{ "flights.origin": "SFO", "flights.count": 3 }])
    }).pipe(Effect.provide(layer))
  })

  it.effect("says which value does not fit the caller's schema", () => {
    const { layer } = life({ poll: () => ({ status: "complete", data: [origin("SFO")] }) })
    return Effect.gen(function* () {
      const error = yield* runOut(Effect.flip(run({ row: Schema.Struct({ "flights.origin": Schema.Number }) })))
      assert.strictEqual(error._tag, "UnexpectedResponse")
      assert.include(error.message, "flights.origin")
    }).pipe(Effect.provide(layer))
  })

  it.effect("asks for the format and with the parameters of the caller", () => {
    const { layer, received } = life({ poll: () => ({ status: "complete", data: { data: [] } }) })
    return Effect.gen(function* () {
      yield* runOut(run({ format: "json_detail", params: { cache: false, limit: 10 } }))
      const created = received.find(({ method, path }) => method === "POST" && path === "/api/4.0/query_tasks")
      assert.deepStrictEqual(JSON.parse(created?.body ?? ""), { query_id: "7", result_format: "json_detail" })
      assert.strictEqual(created?.query.get("cache"), "false")
      assert.strictEqual(created?.query.get("limit"), "10")
    }).pipe(Effect.provide(layer))
  })

  it.effect("fetches the result where multi_results does not carry it", () => {
    const { layer, sent } = life({
      poll: () => ({ status: "complete" }),
      results: () => ({ text: 'Flights Origin,Flights Count\n"SFO, CA",3\n' })
    })
    return Effect.gen(function* () {
      const { rows } = yield* runOut(run({ format: "csv" }))
      assert.deepStrictEqual(rows, [{ "Flights Origin": "SFO, CA", "Flights Count": "3" }])
      assert.include(sent(), "GET /query_tasks/t1/results")
    }).pipe(Effect.provide(layer))
  })

  it.effect("does not take 202 for an empty result", () => {
    const { layer } = life({
      poll: () => ({ status: "complete" }),
      results: () => ({ status: 202, text: "The query is not finished" })
    })
    return Effect.gen(function* () {
      const error = yield* runOut(Effect.flip(run({ format: "csv" })))
      assert.strictEqual(error._tag, "UnexpectedResponse")
    }).pipe(Effect.provide(layer))
  })

  it.effect("fails with TruncatedResult when the body breaks off", () => {
    const { layer } = life({
      poll: () => ({ status: "complete" }),
      results: () => ({ text: '[{"flights.origin":"SFO"},{"fli', headers: { "content-type": "application/json" } })
    })
    return Effect.gen(function* () {
      const error = yield* runOut(Effect.flip(run()))
      assert.strictEqual(error._tag, "TruncatedResult")
    }).pipe(Effect.provide(layer))
  })

  it.effect("fails with QueryFailed for looker_error rows in a complete result, and for errors[] in a 200", () => {
    const rows = life({ poll: () => ({ status: "complete", data: [{ looker_error: "no such column" }] }) })
    const detail = life({
      poll: () => ({
        status: "complete",
        data: { data: [], sql: "SELECT 1", errors: [{ message: "bad", sql_error_loc: { line: 2, column: 4 } }] }
      })
    })
    return Effect.gen(function* () {
      const first = yield* runOut(Effect.flip(Effect.provide(run(), rows.layer)))
      assert.deepInclude(first, {
        _tag: "QueryFailed",
        taskId: "t1",
        message: "no such column (run it as json_detail to see the statement)"
      })
      const second = yield* runOut(Effect.flip(Effect.provide(run({ format: "json_detail" }), detail.layer)))
      assert.isTrue(second._tag === "QueryFailed")
      if (second._tag === "QueryFailed") {
        assert.strictEqual(second.sql, "SELECT 1")
        assert.deepInclude(second.errors[0], { line: 2, column: 4 })
      }
    })
  })

  it.effect("passes warnings on beside the rows", () => {
    const note = { message: "Note: development mode", fatal: false, level: "error" }
    const { layer, kills } = life({ poll: () => ({ status: "error", data: { data: [], errors: [note] } }) })
    return Effect.gen(function* () {
      const result = yield* runOut(run({ format: "json_detail" }))
      assert.deepStrictEqual(result.rows, [])
      assert.deepStrictEqual(
        result.warnings.map(({ message }) => message),
        [note.message]
      )
      assert.strictEqual(kills(), 0)
    }).pipe(Effect.provide(layer))
  })

  it.effect("kills the task when it is interrupted", () => {
    const { kills, layer } = life()
    return Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(run())
      yield* pass("1 second")
      assert.strictEqual(kills(), 0)
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(kills(), 1)
    }).pipe(Effect.provide(layer))
  })

  it.effect("kills the task when the caller's time is over, and fails with PollingTimeout", () => {
    const { kills, layer } = life()
    return Effect.gen(function* () {
      const { millis, value } = yield* timed(Effect.flip(run({ timeout: "10 seconds" })))
      assert.strictEqual(value._tag, "PollingTimeout")
      assert.isAtMost(millis, 10_100)
      assert.strictEqual(kills(), 1)
    }).pipe(Effect.provide(layer))
  })

  it.effect("kills the task when polling fails for good", () => {
    const { kills, layer } = life({ poll: () => ({ status: "dreaming" }) })
    return Effect.gen(function* () {
      const error = yield* runOut(Effect.flip(run()))
      assert.strictEqual(error._tag, "UnknownTaskStatus")
      assert.strictEqual(kills(), 1)
    }).pipe(Effect.provide(layer))
  })

  for (const [word, tag] of [
    ["error", "QueryFailed"],
    ["killed", "QueryKilled"],
    ["missing", "TaskMissing"],
    ["expired", "ResultsExpired"]
  ] as const) {
    it.effect(`does not kill a task that ended as ${word}`, () => {
      const { kills, layer } = life({ poll: () => ({ status: word }) })
      return Effect.gen(function* () {
        const error = yield* runOut(Effect.flip(run()))
        assert.strictEqual(error._tag, tag)
        assert.strictEqual(kills(), 0)
      }).pipe(Effect.provide(layer))
    })
  }

  it.effect("keeps the first error when the kill fails, too", () => {
    const { layer } = life({ kill: () => ({ status: 404, text: "<html><title>Not Found</title></html>" }) })
    return Effect.gen(function* () {
      const error = yield* runOut(Effect.flip(run({ timeout: "1 second" })))
      assert.strictEqual(error._tag, "PollingTimeout")
    }).pipe(Effect.provide(layer))
  })

  it.effect("waits no longer than the policy says for a kill that hangs", () => {
    const { layer } = life({ kill: () => Effect.never })
    return Effect.gen(function* () {
      const { millis, value } = yield* timed(Effect.flip(run({ timeout: "1 second" })))
      assert.strictEqual(value._tag, "PollingTimeout")
      assert.isAtMost(millis, 6_100)
    }).pipe(Effect.provide(layer))
  })

  it.effect("kills the task whose id arrives while it is being interrupted", () => {
    const { kills, layer } = life({
      createTask: () => Effect.delay(Effect.succeed({ json: { id: "t1", status: "added" } }), "2 seconds")
    })
    return Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(run())
      yield* pass("1 second")
      const stopping = yield* Effect.forkChild(Fiber.interrupt(fiber))
      yield* pass("2 seconds")
      yield* Fiber.join(stopping)
      assert.strictEqual(kills(), 1)
    }).pipe(Effect.provide(layer))
  })

  it.effect("starts nothing when it is interrupted while a login is on its way", () => {
    let logins = 0
    const stub = StubLooker.inProcess(
      StubLooker.withLogin(({ method, path }) => {
        if (path === "/api/4.0/login") {
          // The token is used up by the first run, and the next one takes its time.
          const answer = { json: { access_token: `token-${++logins}`, token_type: "Bearer", expires_in: 2 } }
          return logins === 1 ? answer : Effect.delay(Effect.succeed(answer), "3 seconds")
        }
        if (path === "/api/4.0/queries") return { json: { id: "7", ...query } }
        if (`${method} ${path}` === "POST /api/4.0/query_tasks") return { json: { id: "t1" } }
        return path === "/api/4.0/query_tasks/multi_results"
          ? { json: { t1: { status: "complete", data: [] } } }
          : undefined
      })
    )
    const started = () =>
      stub.received.filter(({ method, path }) => `${method} ${path}` === "POST /api/4.0/query_tasks")
    return Effect.gen(function* () {
      yield* runOut(run())
      yield* pass("5 seconds")
      const second = yield* Effect.forkChild(run())
      yield* pass("1 second")
      const { millis } = yield* timed(Fiber.interrupt(second))
      assert.isAtMost(millis, 200)
      yield* pass("10 seconds")
      assert.strictEqual(started().length, 1)
    }).pipe(Effect.provide(looker(stub.layer)))
  })

  it.effect("creates a query once more when Looker has lost the one whose id was remembered", () => {
    let restarted = false
    const stub = StubLooker.inProcess(
      StubLooker.withLogin(({ body, method, path }) => {
        if (path === "/api/4.0/queries") return { json: { id: restarted ? "8" : "7", ...query } }
        if (`${method} ${path}` === "POST /api/4.0/query_tasks") {
          const { query_id } = JSON.parse(body)
          return restarted && query_id === "7" ? undefined : { json: { id: `t${query_id}` } }
        }
        return path === "/api/4.0/query_tasks/multi_results"
          ? { json: { t7: { status: "complete", data: [] }, t8: { status: "complete", data: [] } } }
          : undefined
      })
    )
    return Effect.gen(function* () {
      const ids = [(yield* runOut(run())).query.id]
      restarted = true
      for (let again = 0; again < 2; again++) ids.push((yield* runOut(run())).query.id)
      assert.deepStrictEqual(ids, ["7", "8", "8"])
      assert.strictEqual(stub.received.filter(({ path }) => path === "/api/4.0/queries").length, 2)
    }).pipe(Effect.provide(looker(stub.layer)))
  })

  it.effect("starts nothing that has not left when it is interrupted, and kills in the middle of a pause", () => {
    let created = 0
    const stub = StubLooker.inProcess(
      StubLooker.withLogin(({ method, path }) => {
        const request = `${method} ${path.replace("/api/4.0", "")}`
        if (request === "POST /queries") return { json: { id: "1" } }
        if (request === "POST /query_tasks") {
          created++
          return created <= 3
            ? { json: { id: `t${created}` } }
            : { status: 429, headers: { "retry-after": "30" }, json: { message: "too many" } }
        }
        if (request.startsWith("DELETE /running_queries/")) return { status: 204 }
        return request === "GET /query_tasks/multi_results" ? { json: {} } : undefined
      })
    )
    return Effect.gen(function* () {
      const runs = yield* Effect.forkChild(
        Effect.forEach(Array.from({ length: 50 }), () => run(), { concurrency: "unbounded" })
      )
      yield* pass("1 second")
      const before = created
      const { millis } = yield* timed(Fiber.interrupt(runs))
      assert.isAtMost(millis, 200)
      yield* pass("2 minutes", "1 second")
      assert.strictEqual(created, before)
      const kills = stub.received.filter(({ method, path }) => method === "DELETE" && path.includes("running_queries"))
      assert.sameMembers(
        kills.map(({ path }) => path.slice(-2)),
        ["t1", "t2", "t3"]
      )
    }).pipe(Effect.provide(looker(stub.layer)))
  })

  it.effect("leaves no task behind, at whatever moment it is interrupted", () =>
    Effect.gen(function* () {
      for (let steps = 0; steps < 120; steps += 3) {
        const { kills, layer, sent } = life()
        yield* Effect.gen(function* () {
          const fiber = yield* Effect.forkChild(run())
          for (let step = 0; step < steps; step++) {
            yield* step % 2 === 0 ? Effect.yieldNow : Effect.promise(() => Promise.resolve())
          }
          const stopping = yield* Effect.forkChild(Fiber.interrupt(fiber))
          yield* pass("20 millis")
          yield* Fiber.join(stopping)
          const created = sent().filter((request) => request === "POST /query_tasks").length
          assert.strictEqual(kills(), created, `after ${steps} steps`)
        }).pipe(Effect.provide(layer))
      }
    })
  )

  it.effect("stops asking about a task with an observer when its time is over", () => {
    const { layer, sent } = life()
    return Effect.gen(function* () {
      yield* runOut(Effect.flip(run({ timeout: "2 seconds", onStatus: () => Effect.void })))
      const before = sent().length
      yield* pass("1 minute", "1 second")
      assert.strictEqual(sent().length, before)
    }).pipe(Effect.provide(layer))
  })

  it.effect("is interrupted within the policy's time although the id never arrives", () => {
    const { kills, layer } = life({ createTask: () => Effect.never })
    return Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(run())
      yield* pass("1 second")
      const { millis } = yield* timed(Fiber.interrupt(fiber))
      assert.isAtMost(millis, 5_100)
      assert.strictEqual(kills(), 0)
    }).pipe(Effect.provide(layer))
  })

  it.effect("does not start a task for a query that Looker refuses", () => {
    const stub = StubLooker.inProcess(
      StubLooker.withLogin(({ path }) =>
        path === "/api/4.0/queries"
          ? { status: 422, json: { message: "Validation Failed", errors: [{ field: "view", message: "no" }] } }
          : undefined
      )
    )
    return Effect.gen(function* () {
      const error = yield* runOut(Effect.flip(run()))
      assert.strictEqual(error._tag, "ValidationFailed")
      assert.strictEqual(stub.received.length, 2)
    }).pipe(Effect.provide(looker(stub.layer)))
  })

  it.effect("renews the token in the middle of a run and goes on", () => {
    let logins = 0
    let dead = false
    const stub = StubLooker.inProcess(({ headers, method, path }) => {
      if (path === "/api/4.0/login") {
        return { json: { access_token: `token-${++logins}`, token_type: "Bearer", expires_in: 3600 } }
      }
      if (dead && headers.authorization === "Bearer token-1") {
        return { status: 401, json: { message: "Requires authentication.", documentation_url: null } }
      }
      if (path === "/api/4.0/queries") return { json: { id: "1" } }
      if (method === "POST") {
        dead = true
        return { json: { id: "t1" } }
      }
      return { json: { t1: { status: "complete", data: [] } } }
    })
    return Effect.gen(function* () {
      const results = yield* runOut(Effect.all([run(), run()], { concurrency: 2 }))
      assert.strictEqual(results.length, 2)
      assert.strictEqual(logins, 2)
    }).pipe(Effect.provide(looker(stub.layer)))
  })
})

describe("layers", () => {
  it.effect("QueryRunner runs on stand-ins for every service below it", () => {
    const killed: Array<string> = []
    const queries = Layer.mock(Queries.Queries, {
      createQuery: () => Effect.succeed({ id: "1" })
    })
    const tasks = Layer.mock(QueryTasks.QueryTasks, {
      createQueryTask: ({ query_id }) => Effect.succeed({ id: `task-of-${query_id}` }),
      killQuery: (taskId) => Effect.sync(() => void killed.push(taskId))
    })
    const poller = Layer.mock(QueryTaskPoller.QueryTaskPoller, {
      wait: (taskId) => Effect.succeed({ taskId, data: [{ from: taskId }], warnings: [] }),
      observe: () => Stream.empty
    })
    return Effect.gen(function* () {
      const { rows } = yield* run()
      assert.deepStrictEqual(rows, [{ from: "task-of-1" }])
      assert.deepStrictEqual(killed, [])
    }).pipe(Effect.provide(QueryRunner.layer.pipe(Layer.provide([queries, tasks, poller]))))
  })

  it.effect("an application runs on a stand-in for QueryRunner", () => {
    const report = Effect.gen(function* () {
      const runner = yield* QueryRunner.QueryRunner
      const { rows } = yield* runner.run(query)
      return rows.length
    }).pipe(Effect.catchTag("QueryFailed", () => Effect.succeed(-1)))
    const failing = Layer.mock(QueryRunner.QueryRunner, {
      run: () => Effect.fail(LookerError.queryFailed("t1", [], undefined))
    })
    return Effect.gen(function* () {
      assert.strictEqual(yield* Effect.provide(report, failing), -1)
    })
  })

  it.effect("the policy is a layer, too", () => {
    const { layer } = life({ poll: () => ({ status: "expired" }), policy: { grace: "1 second" } })
    return Effect.gen(function* () {
      const { millis, value } = yield* timed(Effect.flip(run()))
      assert.strictEqual(value._tag, "ResultsExpired")
      assert.isAtMost(millis, 1_500)
    }).pipe(Effect.provide(layer))
  })
})
