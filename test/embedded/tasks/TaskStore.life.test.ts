import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Logger, Scope } from "effect"
import { HttpClient } from "effect/http"
import { TestClock } from "effect/testing"
import { inProcessBaseUrl } from "../../../src/embedded/EmbeddedLooker.ts"
import { call, createTask, ends, inProcess, leaves, login, orders, overSocket, results, wait } from "../support.ts"

const files = {
  "orders.csv": orders,
  "huge.csv": `n\n${"9".repeat(38)}\n${"9".repeat(38)}\n`
}
const query = { view: "orders", fields: ["orders.status", "orders.count"] }
const overflowing = { view: "huge", fields: ["huge.total_n"] }

const statusOf = (token: string, id: string) =>
  Effect.map(call("GET", `/query_tasks/multi_results?query_task_ids=${id}`, { token }), (answer) => answer.json[id])

/** In place of the loggers: what they would have written. */
const collectingLogs = () => {
  const lines: Array<unknown> = []
  return { lines, layer: Logger.layer([Logger.make(({ message }) => lines.push(message))]) }
}

describe("the life of a task", () => {
  it.effect("stays running for as long as taskDelay says, and says so everywhere", () =>
    Effect.gen(function* () {
      const token = yield* login
      const id = yield* createTask(token, query, "json")
      yield* leaves(token, id, ["added"])
      yield* TestClock.adjust("9 seconds")
      assert.deepStrictEqual(yield* statusOf(token, id), { status: "running" })
      const early = yield* call("GET", `/query_tasks/${id}/results`, { token })
      assert.deepStrictEqual([early.status, early.text, early.type], [202, "The query is not finished", "text/plain"])
      const running = (yield* call("GET", "/running_queries", { token })).json
      assert.deepStrictEqual(
        [running.length, running[0].query_task_id, running[0].status, running[0].runtime],
        [1, id, "running", 9]
      )
      yield* TestClock.adjust("1 seconds")
      assert.strictEqual(yield* ends(token, id), "complete")
      assert.strictEqual((yield* call("GET", `/query_tasks/${id}`, { token })).json.runtime, 10)
    }).pipe(Effect.provide(inProcess(files, { taskDelay: "10 seconds" })))
  )

  it.effect("answers 204 to early requests for results where the options say so", () =>
    Effect.gen(function* () {
      const token = yield* login
      const id = yield* createTask(token, query, "json")
      const early = yield* call("GET", `/query_tasks/${id}/results`, { token })
      assert.deepStrictEqual([early.status, early.text], [204, ""])
    }).pipe(Effect.provide(inProcess(files, { taskDelay: "10 seconds", notFinished: 204 })))
  )

  it.effect("lets the second task wait as added when one may run", () =>
    Effect.gen(function* () {
      const token = yield* login
      const first = yield* createTask(token, query, "json")
      const second = yield* createTask(token, query, "json")
      yield* leaves(token, first, ["added"])
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual(yield* statusOf(token, second), { status: "added" })
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(yield* ends(token, first), "complete")
      assert.strictEqual(yield* leaves(token, second, ["added"]), "running")
    }).pipe(Effect.provide(inProcess(files, { taskDelay: "10 seconds", concurrency: 1 })))
  )

  it.effect("kills a running and a waiting task, once", () =>
    Effect.gen(function* () {
      const token = yield* login
      const ids = [yield* createTask(token, query, "json"), yield* createTask(token, query, "json")]
      for (const id of ids) {
        assert.strictEqual((yield* call("DELETE", `/running_queries/${id}`, { token })).status, 204)
        assert.deepStrictEqual(yield* statusOf(token, id), { status: "killed" })
        assert.strictEqual((yield* call("GET", `/query_tasks/${id}/results`, { token })).status, 404)
        assert.strictEqual((yield* call("DELETE", `/running_queries/${id}`, { token })).status, 404)
      }
      assert.deepStrictEqual((yield* call("GET", "/running_queries", { token })).json, [])
    }).pipe(Effect.provide(inProcess(files, { taskDelay: "10 seconds", concurrency: 1 })))
  )

  it.effect("leaves a deferred task as it is", () =>
    Effect.gen(function* () {
      const token = yield* login
      const { json } = yield* call("POST", "/queries", { token, json: { model: "embedded", ...query } })
      const body = { query_id: json.id, result_format: "json", deferred: true }
      const task = yield* call("POST", "/query_tasks", { token, json: body })
      yield* wait(100)
      assert.deepStrictEqual(yield* statusOf(token, task.json.id), { status: "added" })
      assert.strictEqual((yield* call("DELETE", `/running_queries/${task.json.id}`, { token })).status, 204)
    }).pipe(Effect.provide(inProcess(files)))
  )

  it.effect("forgets results after their life", () =>
    Effect.gen(function* () {
      const token = yield* login
      const id = yield* createTask(token, query, "json")
      yield* ends(token, id)
      yield* TestClock.adjust("59 minutes")
      assert.strictEqual((yield* call("GET", `/query_tasks/${id}/results`, { token })).status, 200)
      yield* TestClock.adjust("1 minutes")
      const later = yield* login
      assert.deepStrictEqual(yield* statusOf(later, id), {
        status: "expired",
        data: { error: "Results have expired. Run the query again." }
      })
      assert.strictEqual((yield* call("GET", `/query_tasks/${id}/results`, { token: later })).status, 404)
    }).pipe(Effect.provide(inProcess(files)))
  )

  it.effect("forgets an expired task after another life, and a killed one after the first", () =>
    Effect.gen(function* () {
      const token = yield* login
      const [complete, failed] = [
        yield* createTask(token, query, "json"),
        yield* createTask(token, overflowing, "json")
      ]
      yield* leaves(token, failed, ["added"])
      yield* TestClock.adjust("10 seconds")
      for (const id of [complete, failed]) yield* ends(token, id)
      const killed = yield* createTask(token, query, "json", "?cache=false")
      yield* call("DELETE", `/running_queries/${killed}`, { token })
      const states = Effect.forEach([complete, failed, killed], (id) =>
        Effect.map(statusOf(token, id), ({ status }) => status as string)
      )
      assert.deepStrictEqual(yield* states, ["complete", "error", "killed"])
      yield* TestClock.adjust("1 minutes")
      assert.deepStrictEqual(yield* states, ["expired", "expired", "missing"])
      yield* TestClock.adjust("1 minutes")
      assert.deepStrictEqual(yield* states, ["missing", "missing", "missing"])
      assert.strictEqual((yield* call("GET", `/query_tasks/${complete}`, { token })).status, 404)
    }).pipe(Effect.provide(inProcess(files, { resultLife: "1 minute", taskDelay: "10 seconds" })))
  )

  it.effect("lets who reads a large result finish, though it expires meanwhile", () =>
    Effect.gen(function* () {
      const token = yield* login
      const id = yield* createTask(token, { view: "numbers", fields: ["numbers.n"], limit: -1 }, "csv")
      yield* ends(token, id)
      const client = yield* HttpClient.HttpClient
      const response = yield* client.get(`${inProcessBaseUrl}/api/4.0/query_tasks/${id}/results`, {
        headers: { authorization: `token ${token}` }
      })
      yield* TestClock.adjust("3 hours")
      assert.deepStrictEqual(yield* statusOf(yield* login, id), { status: "missing" })
      assert.strictEqual((yield* response.text).split("\n").length, 60_002)
    }).pipe(
      Effect.provide(
        inProcess({ "numbers.csv": `n\n${Array.from({ length: 60_000 }, (_, index) => index).join("\n")}\n` })
      )
    )
  )

  it.effect("is reported once, whatever the order and number of the ids", () =>
    Effect.gen(function* () {
      const token = yield* login
      const { json: created } = yield* call("POST", "/queries", { token, json: { model: "embedded", ...query } })
      const body = { query_id: Number(created.id), result_format: "json" }
      const made = yield* Effect.forEach([1, 2, 3, 4, 5], () => call("POST", "/query_tasks", { token, json: body }))
      const ids = made.map(({ json }) => String(json.id))
      const asked = [...ids, ...[...ids].reverse()]
      const { json, status } = yield* call("GET", `/query_tasks/multi_results?query_task_ids=${asked.join(",")}`, {
        token
      })
      assert.deepStrictEqual([status, Object.keys(json)], [200, [...ids].sort()])
      const none = yield* call("GET", "/query_tasks/multi_results?query_task_ids=", { token })
      assert.deepStrictEqual([none.status, none.json.message], [400, "query_task_ids names no task"])
    }).pipe(Effect.provide(inProcess(files)))
  )

  it.live("answers 503 to what still reads when it closes, and logs nothing", () =>
    Effect.gen(function* () {
      const { layer, lines } = collectingLogs()
      const scope = yield* Scope.make()
      const looker = yield* Layer.buildWithScope(inProcess(files), scope)
      yield* Effect.gen(function* () {
        const token = yield* login
        const id = yield* createTask(token, query, "json")
        yield* ends(token, id)
        yield* Scope.close(scope, Exit.void)
        const late = yield* call("GET", `/query_tasks/${id}/results`, { token })
        assert.deepStrictEqual([late.status, late.json.message], [503, "The embedded Looker is closing."])
      }).pipe(Effect.provide(looker), Effect.provide(layer))
      assert.deepStrictEqual(lines, [])
    })
  )

  it.effect("ends a token after its life", () =>
    Effect.gen(function* () {
      const token = yield* login
      yield* TestClock.adjust("29 seconds")
      assert.strictEqual((yield* call("GET", "/user", { token })).status, 200)
      yield* TestClock.adjust("1 seconds")
      assert.strictEqual((yield* call("GET", "/user", { token })).status, 401)
    }).pipe(Effect.provide(inProcess(files, { tokenLife: "30 seconds" })))
  )

  it.effect("reports an error of the database in each format's own way", () =>
    Effect.gen(function* () {
      const token = yield* login
      const message = "The DuckDB database encountered an error while running this query."
      for (const format of ["json", "json_detail", "json_bi", "csv"]) {
        const id = yield* createTask(token, overflowing, format)
        assert.strictEqual(yield* ends(token, id), "error")
        const { data, status } = yield* statusOf(token, id)
        assert.strictEqual(status, "error")
        const answer = yield* call("GET", `/query_tasks/${id}/results`, { token })
        if (format === "json_detail") {
          assert.strictEqual(answer.status, 200)
          assert.deepStrictEqual(answer.json, data)
          assert.deepStrictEqual([data.data, data.errors.length, data.errors[0].message], [[], 1, message])
          assert.include(data.errors[0].message_details, "Overflow")
          assert.include(data.errors[0].params, 'sum("huge"."n")')
        } else {
          assert.deepStrictEqual([answer.status, answer.json.message], [400, message])
          const text =
            format === "json" ? data[0].looker_error : format === "json_bi" ? data.rows[0].looker_error : data
          assert.include(text, "Overflow")
        }
      }
    }).pipe(Effect.provide(inProcess(files)))
  )

  it.effect("gives 500 rows without a limit, all with -1, none with 0, and lets the task override", () =>
    Effect.gen(function* () {
      const numbers = { view: "numbers", fields: ["numbers.n"] }
      const count = (query: object, params = "") =>
        Effect.map(results(query, "json", params), (answer) => answer.json.length as number)
      assert.strictEqual(yield* count(numbers), 500)
      assert.strictEqual(yield* count({ ...numbers, limit: "-1" }), 60_000)
      assert.strictEqual(yield* count({ ...numbers, limit: 0 }), 0)
      assert.strictEqual(yield* count({ ...numbers, limit: "7" }), 7)
      assert.strictEqual(yield* count({ ...numbers, limit: "7" }, "?limit=9"), 9)
      assert.strictEqual(yield* count({ ...numbers, limit: "7" }, "?limit=-1"), 60_000)
      const csv = yield* results({ ...numbers, limit: 0 }, "csv")
      assert.strictEqual(csv.text, "Numbers N\n")
      const pages = (yield* results({ ...numbers, limit: -1, sorts: ["numbers.n"] }, "json")).json
      assert.deepStrictEqual(
        pages.map((row: Record<string, number>) => row["numbers.n"]),
        Array.from({ length: 60_000 }, (_, index) => index)
      )
    }).pipe(
      Effect.provide(
        inProcess({ "numbers.csv": `n\n${Array.from({ length: 60_000 }, (_, index) => index).join("\n")}\n` })
      )
    )
  )

  for (const [where, looker] of [
    ["in process", inProcess],
    ["over a socket", overSocket]
  ] as const) {
    it.live(`closes within a moment while tasks run, ${where}`, () =>
      Effect.gen(function* () {
        const fiber = yield* Effect.forkChild(
          Effect.gen(function* () {
            const token = yield* login
            for (let index = 0; index < 4; index++) yield* createTask(token, query, "json")
            yield* wait(50)
          }).pipe(Effect.provide(looker(files, { taskDelay: "1 hour" })))
        )
        yield* Fiber.join(fiber).pipe(Effect.timeout("5 seconds"))
      })
    )
  }
})
