import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { EmbeddedLooker } from "effect-looker/embedded"
import { call, createTask, ends, folder, inProcess, leaves, login, orders } from "../support.ts"

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

describe("the key of a result in the cache", () => {
  const pivoted = {
    view: "orders",
    fields: ["orders.created_year", "orders.status", "orders.count"],
    pivots: ["orders.status"],
    sorts: ["orders.created_year"]
  }
  const lives = { resultLife: "1000 days", tokenLife: "1000 days" } as const

  /** Both queries run twice, one after the other: the second time with the rows of the first, and with no others. */
  const areApart = Effect.fnUntraced(function* (
    one: object,
    other: object,
    params: readonly [string, string] = ["", ""]
  ) {
    const token = yield* login
    const rows = Effect.fnUntraced(function* (asked: object, params: string) {
      const { cache_key, id, result_source } = yield* sourceOf(token, params, asked)
      const { text } = yield* call("GET", `/query_tasks/${id}/results`, { token })
      return { cache_key, result_source, text }
    })
    const what = JSON.stringify([one, other, params])
    const before = [yield* rows(one, params[0]), yield* rows(other, params[1])]
    const after = [yield* rows(one, params[0]), yield* rows(other, params[1])]
    assert.notStrictEqual(before[0]?.cache_key, before[1]?.cache_key, what)
    assert.strictEqual(before[1]?.result_source, "query", what)
    for (const [index, { cache_key, result_source, text }] of after.entries()) {
      assert.deepStrictEqual(
        [what, cache_key, result_source, text],
        [what, before[index]?.cache_key, "cache", before[index]?.text]
      )
    }
    return before.map(({ text }) => text)
  })

  it.effect("has the limit of the task, also with pivots, whose SQL has none", () =>
    Effect.gen(function* () {
      const [all, one] = yield* areApart(pivoted, pivoted, ["?limit=500", "?limit=1"])
      assert.lengthOf(JSON.parse(all ?? ""), 2)
      assert.lengthOf(JSON.parse(one ?? ""), 1)
      yield* areApart(query, query, ["?limit=2", "?limit=-1"])
    }).pipe(Effect.provide(inProcess(files)))
  )

  it.effect("has every key of the query that changes the result, also what is not in the SQL that is shown", () =>
    Effect.gen(function* () {
      for (const change of [
        { limit: 1 },
        { column_limit: 1 },
        { total: true },
        { row_total: "right" },
        { sorts: ["orders.created_year desc"] },
        { filters: { "orders.status": "new" } },
        // biome-ignore lint/suspicious/noTemplateCurlyInString: Looker's own notation
        { filter_expression: "${orders.id} = 1" },
        { query_timezone: "America/New_York" },
        { fill_fields: ["orders.created_year"] },
        { pivots: ["orders.created_year"] },
        { fields: ["orders.created_year", "orders.status", "orders.total_price"] },
        { dynamic_fields: JSON.stringify([{ measure: "m", based_on: "orders.price", type: "max", label: "M" }]) }
      ]) {
        yield* areApart(pivoted, { ...pivoted, ...change })
      }
      const flat = { ...pivoted, pivots: [] }
      yield* areApart(flat, { ...flat, subtotals: ["orders.created_year"] })
    }).pipe(Effect.provide(inProcess(files)))
  )

  it.effect("has the model, whose data may be others", () =>
    Effect.gen(function* () {
      const [data, other] = [yield* folder({ "t.csv": "a\n1\n" }), yield* folder({ "t.csv": "a\n1\n2\n" })]
      const count = { view: "t", fields: ["t.count"] }
      const texts = yield* areApart({ ...count, model: "embedded" }, { ...count, model: "other" }).pipe(
        Effect.provide(EmbeddedLooker.layer({ data, models: { other } }))
      )
      assert.deepStrictEqual(texts, ['[{"t.count":1}]', '[{"t.count":2}]'])
    })
  )

  it.effect("has the time that relative dates are relative to", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(Date.UTC(2001, 0, 11, 12))
      const token = yield* login
      const recent = { ...query, filters: { "orders.created_date": "1 days ago" } }
      const before = yield* sourceOf(token, "", recent)
      assert.strictEqual((yield* sourceOf(token, "", recent)).result_source, "cache")
      yield* TestClock.adjust("1 day")
      const after = yield* sourceOf(token, "", recent)
      assert.strictEqual(after.result_source, "query")
      assert.notStrictEqual(after.cache_key, before.cache_key)
    }).pipe(Effect.provide(inProcess(files, lives)))
  )

  it.effect("has neither the format, nor how a result is shown, nor the user", () =>
    Effect.gen(function* () {
      const token = yield* login
      const { cache_key } = yield* sourceOf(token)
      for (const format of ["json_detail", "json_bi", "csv", "html", "xlsx"]) {
        const same = yield* sourceOf(token, "?apply_formatting=true&generate_drill_links=true", query, format)
        assert.deepStrictEqual([format, same.cache_key, same.result_source], [format, cache_key, "cache"])
      }
      const { json } = yield* call("POST", "/login", { form: { client_id: "two", client_secret: "s" } })
      const other = yield* sourceOf(json.access_token)
      assert.deepStrictEqual([other.cache_key, other.result_source], [cache_key, "cache"])
    }).pipe(
      Effect.provide(
        inProcess(files, {
          users: [
            { id: "1", clientId: "embedded", clientSecret: "embedded" },
            { id: "2", clientId: "two", clientSecret: "s" }
          ]
        })
      )
    )
  )
})

describe("runtime", () => {
  it.effect("is that of prior runs", () =>
    Effect.gen(function* () {
      // A time that is not zero tells a duration from a sum.
      yield* TestClock.adjust("1 hour")
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
