import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { call, createTask, ends, inProcess, leaves, login, orders } from "../support.ts"

const files = { "orders.csv": orders, "huge.csv": `n\n${"9".repeat(38)}\n${"9".repeat(38)}\n` }
const query = { view: "orders", fields: ["orders.status", "orders.count"] }

const read = (token: string, id: string) => Effect.map(call("GET", `/query_tasks/${id}`, { token }), ({ json }) => json)

/** Runs a query to its end, and says where its rows come from. */
const sourceOf = Effect.fnUntraced(function* (token: string, params = "", asked: object = query, format = "json") {
  const id = yield* createTask(token, asked, format, params)
  yield* ends(token, id)
  const { cache_key, result_source, status } = yield* read(token, id)
  return { id, cache_key, result_source, status }
})

describe("the cache", () => {
  it.effect("answers the same query at once, in any format, and another one not", () =>
    Effect.gen(function* () {
      const token = yield* login
      const first = yield* createTask(token, query, "json")
      yield* leaves(token, first, ["added"])
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(yield* ends(token, first), "complete")
      // No time passes here, so a query that ran would not end.
      const csv = yield* sourceOf(token, "", query, "csv")
      const { cache_key } = yield* read(token, first)
      assert.match(cache_key, /^[0-9a-f]{32}$/)
      assert.deepStrictEqual(csv, { id: csv.id, cache_key, result_source: "cache", status: "complete" })
      const text = (yield* call("GET", `/query_tasks/${csv.id}/results`, { token })).text
      assert.isTrue(text.startsWith("Orders Status,Orders Count\n"))
      const multi = yield* call("GET", `/query_tasks/multi_results?query_task_ids=${csv.id}`, { token })
      assert.deepStrictEqual(multi.json[csv.id], { status: "complete", result_source: "cache", data: text })
      for (const [asked, params] of [
        [query, "?limit=1"],
        [{ ...query, limit: 1 }, ""],
        [{ ...query, filters: { "orders.status": "new" } }, ""]
      ] as const) {
        const id = yield* createTask(token, asked, "json", params)
        yield* leaves(token, id, ["added"])
        assert.strictEqual((yield* read(token, id)).status, "running")
        yield* call("DELETE", `/running_queries/${id}`, { token })
      }
    }).pipe(Effect.provide(inProcess(files, { taskDelay: "10 seconds" })))
  )

  it.effect("answers the creation with added, and says nothing of a result before the end", () =>
    Effect.gen(function* () {
      const token = yield* login
      yield* sourceOf(token)
      const { json: created } = yield* call("POST", "/queries", { token, json: { model: "embedded", ...query } })
      const task = yield* call("POST", "/query_tasks", { token, json: { query_id: created.id, result_format: "json" } })
      assert.deepStrictEqual([task.json.status, task.json.cache_key, task.json.result_source], ["added", null, null])
      assert.strictEqual((yield* read(token, task.json.id)).status, "complete")
    }).pipe(Effect.provide(inProcess(files)))
  )

  it.effect("is passed by with cache=false, whose result it then has", () =>
    Effect.gen(function* () {
      const token = yield* login
      yield* sourceOf(token)
      assert.strictEqual((yield* sourceOf(token, "?cache=false")).result_source, "query")
      yield* TestClock.adjust("59 minutes")
      const fresh = yield* sourceOf(token, "?cache=false")
      assert.strictEqual(fresh.result_source, "query")
      yield* TestClock.adjust("2 minutes")
      const later = yield* login
      assert.strictEqual((yield* sourceOf(later)).result_source, "cache")
    }).pipe(Effect.provide(inProcess(files)))
  )

  it.effect("is over after its life, and with cache_only after another", () =>
    Effect.gen(function* () {
      const token = yield* login
      yield* sourceOf(token)
      yield* TestClock.adjust("60 seconds")
      const expired = yield* sourceOf(token, "?cache_only=true")
      assert.strictEqual(expired.result_source, "cache")
      yield* TestClock.adjust("60 seconds")
      const gone = yield* sourceOf(token, "?cache_only=true")
      assert.deepStrictEqual([gone.status, gone.result_source], ["error", "query"])
      // The task that had the rows from the cache still has them, for its own life.
      assert.strictEqual((yield* call("GET", `/query_tasks/${expired.id}/results`, { token })).json.length, 3)
      assert.strictEqual((yield* sourceOf(token)).result_source, "query")
    }).pipe(Effect.provide(inProcess(files, { cacheLife: "60 seconds" })))
  )

  it.effect("says with cache_only that it has nothing, and runs nothing", () =>
    Effect.gen(function* () {
      const token = yield* login
      const id = yield* createTask(token, query, "json_detail", "?cache_only=true")
      const multi = yield* call("GET", `/query_tasks/multi_results?query_task_ids=${id}`, { token })
      assert.strictEqual(multi.json[id].status, "error")
      assert.include(multi.json[id].data.errors[0].message_details, "Run it without cache_only first")
    }).pipe(Effect.provide(inProcess(files, { taskDelay: "10 seconds" })))
  )

  it.effect("has nothing to do with the format sql, which runs nothing", () =>
    Effect.gen(function* () {
      const token = yield* login
      assert.strictEqual((yield* sourceOf(token, "", query, "sql")).result_source, "query")
      assert.strictEqual((yield* sourceOf(token)).result_source, "query")
      const sql = yield* sourceOf(token, "", query, "sql")
      assert.strictEqual(sql.result_source, "query")
      assert.include((yield* call("GET", `/query_tasks/${sql.id}/results`, { token })).text, "SELECT")
    }).pipe(Effect.provide(inProcess(files)))
  )

  it.effect("keeps no errors, and nothing at all with a life of 0", () =>
    Effect.gen(function* () {
      const token = yield* login
      const huge = { view: "huge", fields: ["huge.total_n"] }
      const failed = yield* sourceOf(token, "", huge)
      assert.deepStrictEqual([failed.status, failed.result_source], ["error", "query"])
      assert.strictEqual((yield* sourceOf(token, "", huge)).result_source, "query")
      yield* sourceOf(token)
      assert.strictEqual((yield* sourceOf(token)).result_source, "query")
    }).pipe(Effect.provide(inProcess(files, { cacheLife: 0 })))
  )
})

describe("runtime", () => {
  it.effect("is that of prior runs", () =>
    Effect.gen(function* () {
      const token = yield* login
      const first = yield* createTask(token, query, "json")
      yield* leaves(token, first, ["added"])
      assert.isNull((yield* read(token, first)).runtime)
      yield* TestClock.adjust("10 seconds")
      yield* ends(token, first)
      const second = yield* createTask(token, query, "json", "?cache=false")
      yield* leaves(token, second, ["added"])
      assert.strictEqual((yield* read(token, second)).runtime, 10)
    }).pipe(Effect.provide(inProcess(files, { taskDelay: "10 seconds" })))
  )
})
