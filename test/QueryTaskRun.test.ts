import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Stream } from "effect"
import { LookerError, Queries, type Query, QueryTaskPoller, QueryTaskRun, QueryTasks } from "effect-looker"
import { looker } from "./support/layers.ts"
import * as logs from "./support/logs.ts"
import * as StubLooker from "./support/StubLooker.ts"
import { pass, runOut, timed } from "./support/time.ts"

const query = { model: "m", view: "flights", fields: ["flights.count"] }

/** The steps over a Looker that a test writes down, beside the working answers for what it leaves out. */
const steps = (
  script: (request: string, received: StubLooker.Received) => ReturnType<StubLooker.Script> | undefined = () =>
    undefined
) => {
  let created = 0
  const stub = StubLooker.inProcess(
    StubLooker.withLogin((received) => {
      const request = `${received.method} ${received.path.replace("/api/4.0", "")}`
      const answer = script(request, received)
      if (answer !== undefined) return answer
      if (request === "POST /queries") return { json: { id: String(++created) } }
      if (request === "POST /query_tasks") return { json: { id: `t${JSON.parse(received.body).query_id}` } }
      return request.startsWith("DELETE /running_queries/") ? { status: 204 } : undefined
    })
  )
  const sent = (request: string) =>
    stub.received.filter(({ method, path }) => `${method} ${path.replace("/api/4.0", "")}` === request)
  return { sent, layer: looker(stub.layer) }
}

const use = <A, E, R>(step: (run: QueryTaskRun.QueryTaskRun["Service"]) => Effect.Effect<A, E, R>) =>
  QueryTaskRun.QueryTaskRun.use(step)

describe("QueryTaskRun.createQuery", () => {
  it.effect("creates a query once, whatever the order of its keys and however many ask at the same time", () => {
    const { layer, sent } = steps((request) =>
      request === "POST /queries" ? Effect.delay(Effect.succeed({ json: { id: "7" } }), "1 second") : undefined
    )
    const turned = { fields: ["flights.count"], view: "flights", model: "m" }
    return Effect.gen(function* () {
      const create = use((run) =>
        Effect.forEach([query, turned, { ...query, id: "1", share_url: "http://looker" }], run.createQuery, {
          concurrency: "unbounded"
        })
      )
      const together = yield* runOut(create)
      const later = yield* runOut(create)
      assert.deepStrictEqual(
        [...together, ...later].map(({ id }) => id),
        Array.from({ length: 6 }, () => "7")
      )
      assert.strictEqual(sent("POST /queries").length, 1)
    }).pipe(Effect.provide(layer))
  })

  it.effect("goes on creating a query for others when the first who asked is interrupted", () => {
    const { layer, sent } = steps((request) =>
      request === "POST /queries" ? Effect.delay(Effect.succeed({ json: { id: "7" } }), "1 second") : undefined
    )
    return Effect.gen(function* () {
      const first = yield* Effect.forkChild(use((run) => run.createQuery(query)))
      const second = yield* Effect.forkChild(use((run) => run.createQuery(query)))
      yield* pass("500 millis")
      yield* Fiber.interrupt(first)
      assert.strictEqual((yield* runOut(Fiber.join(second))).id, "7")
      assert.strictEqual(sent("POST /queries").length, 1)
    }).pipe(Effect.provide(layer))
  })

  it.effect("sends a query as the caller wrote it, and a changed one as another", () => {
    const { layer, sent } = steps()
    const changing = { view: "flights", model: "m", fields: ["b", "a"], filters: { b: "1", a: "2" } }
    return Effect.gen(function* () {
      const ids = [(yield* runOut(use((run) => run.createQuery(changing)))).id]
      changing.fields.push("c")
      ids.push((yield* runOut(use((run) => run.createQuery(changing)))).id)
      assert.deepStrictEqual(ids, ["1", "2"])
      const [first, second] = sent("POST /queries").map(({ body }) => body)
      assert.include(first, '"fields":["b","a"],"filters":{"b":"1","a":"2"}')
      assert.include(second, '"fields":["b","a","c"]')
    }).pipe(Effect.provide(layer))
  })

  it.effect("does not remember a creation that failed", () => {
    let attempts = 0
    const { layer } = steps((request) =>
      request === "POST /queries" && ++attempts === 1 ? { status: 422, json: { message: "no", errors: [] } } : undefined
    )
    return Effect.gen(function* () {
      const error = yield* runOut(Effect.flip(use((run) => run.createQuery(query))))
      assert.strictEqual(error._tag, "ValidationFailed")
      assert.strictEqual((yield* runOut(use((run) => run.createQuery(query)))).id, "1")
      assert.strictEqual(attempts, 2)
    }).pipe(Effect.provide(layer))
  })

  it.effect("remembers the thousand queries that were used last", () => {
    const created: Array<Query.QueryInput> = []
    const queries = Layer.mock(Queries.Queries, {
      createQuery: (query) => Effect.sync(() => ({ id: String(created.push(query)) }))
    })
    const layer = QueryTaskRun.layer.pipe(
      Layer.provide([
        queries,
        Layer.mock(QueryTasks.QueryTasks, {}),
        Layer.mock(QueryTaskPoller.QueryTaskPoller, { observe: () => Stream.empty })
      ])
    )
    const create = (limit: number) => use((run) => run.createQuery({ ...query, limit }))
    return Effect.gen(function* () {
      for (let limit = 1; limit <= 1000; limit++) yield* create(limit)
      yield* create(1)
      assert.strictEqual(created.length, 1000)
      yield* create(1001)
      yield* create(1)
      assert.strictEqual(created.length, 1001)
      yield* create(2)
      assert.strictEqual(created.length, 1002)
    }).pipe(Effect.provide(layer))
  })

  it.effect("fails with BadRequest for a query that is no JSON, and sends nothing", () => {
    const { layer, sent } = steps()
    const cyclic: { self?: unknown } = {}
    cyclic.self = cyclic
    return Effect.gen(function* () {
      const error = yield* Effect.flip(use((run) => run.createQuery({ ...query, vis_config: cyclic })))
      assert.strictEqual(error._tag, "BadRequest")
      assert.include(error.message, "The query is not JSON")
      assert.strictEqual(sent("POST /queries").length, 0)
    }).pipe(Effect.provide(layer))
  })

  it.effect("fails with UnexpectedResponse when the response has no id", () => {
    const { layer } = steps((request) => (request === "POST /queries" ? { json: { model: "m" } } : undefined))
    return Effect.gen(function* () {
      const error = yield* runOut(Effect.flip(use((run) => run.createQuery(query))))
      assert.deepInclude(error, { _tag: "UnexpectedResponse", endpoint: "POST /queries" })
    }).pipe(Effect.provide(layer))
  })
})

describe("QueryTaskRun.start", () => {
  it.effect("starts a task of any format for a query by its id", () => {
    const { layer, sent } = steps()
    return Effect.gen(function* () {
      const taskId = yield* runOut(use((run) => run.start("42", { format: "xlsx", params: { cache: false } })))
      assert.strictEqual(taskId, "t42")
      const [request] = sent("POST /query_tasks")
      assert.deepStrictEqual(JSON.parse(request?.body ?? ""), { query_id: "42", result_format: "xlsx" })
      assert.strictEqual(request?.target, "/api/4.0/query_tasks?cache=false&fields=id")
      assert.strictEqual(sent("POST /queries").length, 0)
      assert.strictEqual(sent("DELETE /running_queries/t42").length, 0)
    }).pipe(Effect.provide(layer))
  })

  it.effect("asks for json unless a format is given", () => {
    const { layer, sent } = steps()
    return Effect.gen(function* () {
      yield* runOut(use((run) => run.start("42")))
      assert.deepStrictEqual(JSON.parse(sent("POST /query_tasks")[0]?.body ?? ""), {
        query_id: "42",
        result_format: "json"
      })
    }).pipe(Effect.provide(layer))
  })

  it.effect("fails with NotFound for a query that Looker does not know", () => {
    const { layer } = steps((request) => (request === "POST /query_tasks" ? { status: 404 } : undefined))
    return Effect.gen(function* () {
      assert.strictEqual((yield* runOut(Effect.flip(use((run) => run.start("42")))))._tag, "NotFound")
    }).pipe(Effect.provide(layer))
  })

  it.effect("kills the task whose id arrives during the interruption", () => {
    const { layer, sent } = steps((request) =>
      request === "POST /query_tasks" ? Effect.delay(Effect.succeed({ json: { id: "t9" } }), "2 seconds") : undefined
    )
    return Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(use((run) => run.start("42")))
      yield* pass("1 second")
      const { millis } = yield* timed(Fiber.interrupt(fiber))
      assert.isAtLeast(millis, 900)
      assert.strictEqual(sent("DELETE /running_queries/t9").length, 1)
    }).pipe(Effect.provide(layer))
  })
})

describe("QueryTaskRun.withTask", () => {
  const withTask = <A, E>(effect: Effect.Effect<A, E>) => use((run) => run.withTask(query, {}, () => effect))

  it.effect("hands over the query with its id, and the task", () => {
    const { layer, sent } = steps((request) =>
      request === "POST /queries" ? { json: { id: 7, model: "m", a_new_key: 1 } } : undefined
    )
    return Effect.gen(function* () {
      const started = yield* runOut(use((run) => run.withTask(query, { format: "md" }, Effect.succeed)))
      assert.deepStrictEqual(started, { taskId: "t7", query: { id: "7", model: "m", a_new_key: 1 } })
      assert.strictEqual(JSON.parse(sent("POST /query_tasks")[0]?.body ?? "").result_format, "md")
      assert.strictEqual(sent("DELETE /running_queries/t7").length, 0)
    }).pipe(Effect.provide(layer))
  })

  for (const [error, kills] of [
    [LookerError.queryFailed("t1", [], undefined), 0],
    [new LookerError.QueryKilled({ message: "", taskId: "t1" }), 0],
    [new LookerError.ResultsExpired({ message: "", taskId: "t1" }), 0],
    [new LookerError.TaskMissing({ message: "", taskId: "t1" }), 0],
    [new LookerError.PollingTimeout({ message: "", taskId: "t1" }), 1],
    [new LookerError.UnknownTaskStatus({ message: "", taskId: "t1", status: "" }), 1],
    [new LookerError.Unauthorized({ message: "" }), 1],
    ["no error of this library", 1]
  ] as const) {
    const name = typeof error === "string" ? error : error._tag
    it.effect(`${kills === 0 ? "does not kill" : "kills"} the task when its use fails with: ${name}`, () => {
      const { layer, sent } = steps()
      return Effect.gen(function* () {
        assert.strictEqual(yield* runOut(Effect.flip(withTask(Effect.fail(error)))), error)
        assert.strictEqual(sent("DELETE /running_queries/t1").length, kills)
      }).pipe(Effect.provide(layer))
    })
  }

  it.effect("kills the task when its use is interrupted, or dies", () => {
    const { layer, sent } = steps()
    return Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(withTask(Effect.never))
      yield* pass("1 second")
      assert.strictEqual(sent("DELETE /running_queries/t1").length, 0)
      yield* runOut(Fiber.interrupt(fiber))
      assert.strictEqual(sent("DELETE /running_queries/t1").length, 1)
      yield* runOut(Effect.exit(withTask(Effect.die("a defect"))))
      assert.strictEqual(sent("DELETE /running_queries/t1").length, 2)
    }).pipe(Effect.provide(layer))
  })

  it.effect("creates a lost query again only once, however many runs find it lost", () => {
    let restarted = false
    const { layer, sent } = steps((request, { body }) => {
      if (request === "POST /queries") return { json: { id: restarted ? "8" : "7" } }
      return request === "POST /query_tasks" && restarted && JSON.parse(body).query_id === "7"
        ? { status: 404 }
        : undefined
    })
    return Effect.gen(function* () {
      yield* runOut(withTask(Effect.void))
      restarted = true
      const many = Array.from({ length: 5 }, () => withTask(Effect.void))
      yield* runOut(Effect.all(many, { concurrency: "unbounded" }))
      assert.strictEqual(sent("POST /queries").length, 2)
    }).pipe(Effect.provide(layer))
  })
})

describe("QueryTaskRun.rows and body", () => {
  const rows = [{ "flights.count": 3 }]

  it.effect("take a finished task by its id alone", () => {
    const { layer } = steps((request) => (request === "GET /query_tasks/t1/results" ? { json: rows } : undefined))
    return Effect.gen(function* () {
      const run = yield* QueryTaskRun.QueryTaskRun
      const read = yield* run.rows({ taskId: "t1", data: undefined, warnings: [] })
      assert.deepStrictEqual(read, { taskId: "t1", rows, warnings: [], limitReached: false, data: rows })
      const body = yield* run.body("t1")
      const bytes = yield* Stream.runCollect(body.bytes)
      assert.strictEqual(bytes.map((chunk) => new TextDecoder().decode(chunk)).join(""), JSON.stringify(rows))
      assert.include((yield* run.body("t1")).contentType, "application/json")
    }).pipe(Effect.provide(layer))
  })

  it.effect("take the rows that the wait brought along, and do not fetch them again", () => {
    const { layer, sent } = steps()
    return Effect.gen(function* () {
      const run = yield* QueryTaskRun.QueryTaskRun
      const read = yield* run.rows({ taskId: "t1", data: rows, warnings: [] })
      assert.deepStrictEqual(read.rows, rows)
      assert.strictEqual(sent("GET /query_tasks/t1/results").length, 0)
    }).pipe(Effect.provide(layer))
  })

  it.effect("keep the warnings that the wait brought along, or else have those of the body", () => {
    const warning = { message: "Note: development mode", fatal: false, raw: undefined }
    const detail = { data: [], errors: [warning] }
    const { layer } = steps((request) => (request === "GET /query_tasks/t1/results" ? { json: detail } : undefined))
    return Effect.gen(function* () {
      const run = yield* QueryTaskRun.QueryTaskRun
      const waited = [{ ...warning, message: "Note: from the wait" }]
      const kept = yield* run.rows({ taskId: "t1", data: undefined, warnings: waited }, { format: "json_detail" })
      assert.deepStrictEqual(kept.warnings, waited)
      const read = yield* run.rows({ taskId: "t1", data: undefined, warnings: [] }, { format: "json_detail" })
      assert.deepStrictEqual(
        read.warnings.map(({ message }) => message),
        [warning.message]
      )
    }).pipe(Effect.provide(layer))
  })
})

describe("QueryTaskRun.wait", () => {
  it.effect("leaves the task running when it runs out of time", () => {
    const { layer, sent } = steps((request) =>
      request === "GET /query_tasks/multi_results" ? { json: { t1: { status: "running" } } } : undefined
    )
    return Effect.gen(function* () {
      const error = yield* runOut(Effect.flip(use((run) => run.wait("t1", { timeout: "3 seconds" }))))
      assert.strictEqual(error._tag, "PollingTimeout")
      assert.strictEqual(sent("DELETE /running_queries/t1").length, 0)
    }).pipe(Effect.provide(layer))
  })
})

describe("QueryTaskRun.kill", () => {
  const kill = (answers: (attempt: number) => StubLooker.Answer) => {
    let attempts = 0
    const { layer, sent } = steps((request) =>
      request === "DELETE /running_queries/t1" ? answers(++attempts) : undefined
    )
    const log = logs.captured()
    const killing = timed(use((run) => run.kill("t1"))).pipe(Effect.provide(layer), Effect.provide(log.layer))
    return Effect.map(killing, ({ millis }) => ({
      millis,
      attempts: sent("DELETE /running_queries/t1").length,
      warnings: log.warnings()
    }))
  }

  for (const status of [400, 401, 403, 422, 500]) {
    it.effect(`is repeated whatever it fails with, and says nothing when it succeeds: ${status}`, () =>
      Effect.gen(function* () {
        const { attempts, warnings } = yield* kill((attempt) =>
          attempt <= 4 ? { status, json: { message: "no" } } : { status: 204 }
        )
        assert.strictEqual(attempts, 5)
        assert.deepStrictEqual(warnings, [])
      })
    )
  }

  it.effect("warns with the id of the task when it fails until the time is over", () =>
    Effect.gen(function* () {
      const { millis, warnings } = yield* kill(() => ({ status: 401, json: { message: "Requires authentication." } }))
      assert.isAtLeast(millis, 5000)
      assert.isAtMost(millis, 5100)
      assert.strictEqual(warnings.length, 1)
      assert.match(warnings[0] ?? "", /^Task t1 may still run in Looker: its kill failed \(Unauthorized.*Requires/)
    })
  )

  it.effect("is done where the task has ended", () =>
    Effect.gen(function* () {
      const { attempts, warnings } = yield* kill(() => ({ status: 404 }))
      assert.deepStrictEqual({ attempts, warnings }, { attempts: 1, warnings: [] })
    })
  )
})
