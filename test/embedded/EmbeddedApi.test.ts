import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { HttpBody, HttpClient } from "effect/http"
import { EmbeddedLooker } from "effect-looker/embedded"
import { cpuTimed } from "../support/cpu.ts"
import { call, createTask, ends, inProcess, login, orders, overSocket, results, send } from "./support.ts"

const files = { "orders.csv": orders, "notes.txt": "not data" }
const query = {
  model: "embedded",
  view: "orders",
  fields: ["orders.status", "orders.count", "orders.total_price"],
  sorts: ["orders.status"]
}

for (const [where, looker] of [
  ["in process", inProcess(files)],
  ["over a socket", overSocket(files)]
] as const) {
  layer(looker)(`embedded Looker, ${where}`, (it) => {
    it.effect("gives a new token for every login and leaves earlier ones alone", () =>
      Effect.gen(function* () {
        const form = { client_id: "embedded", client_secret: "embedded" }
        const first = yield* call("POST", "/login", { form })
        const second = yield* call("POST", `/login?${new URLSearchParams(form)}`)
        assert.deepStrictEqual([first.json.token_type, first.json.expires_in, first.status], ["Bearer", 3600, 200])
        assert.notStrictEqual(first.json.access_token, second.json.access_token)
        for (const token of [first.json.access_token, second.json.access_token]) {
          assert.strictEqual((yield* call("GET", "/user", { token })).json.id, "1")
          assert.strictEqual((yield* call("GET", "/user", { token, scheme: "Bearer" })).status, 200)
        }
      })
    )

    it.effect("answers wrong credentials with 404 and a message", () =>
      Effect.gen(function* () {
        for (const form of [{ client_id: "embedded", client_secret: "wrong" }, {}]) {
          const answer = yield* call("POST", "/login", { form })
          assert.deepStrictEqual(
            [answer.status, answer.json],
            [404, { message: "Not found", documentation_url: "https://cloud.google.com/looker/docs/" }]
          )
        }
      })
    )

    it.effect("knows a form by the beginning of its content type", () =>
      Effect.gen(function* () {
        const form = "client_id=embedded&client_secret=embedded"
        for (const [type, status] of [
          ["application/x-www-form-urlencoded", 200],
          ["APPLICATION/X-WWW-FORM-URLENCODED; charset=utf-8", 200],
          ["text/plain; as=application/x-www-form-urlencoded", 404]
        ] as const) {
          const url = `${EmbeddedLooker.inProcessBaseUrl}/api/4.0/login`
          assert.strictEqual((yield* HttpClient.post(url, { body: HttpBody.text(form, type) })).status, status, type)
        }
      })
    )

    it.effect("says that credentials are sent as a form, where there is no form", () =>
      Effect.gen(function* () {
        for (const sent of [{ json: { client_id: "embedded", client_secret: "embedded" } }, {}]) {
          const { json, status } = yield* call("POST", "/login", sent)
          assert.strictEqual(status, 404)
          assert.include(json.message, "send client_id and client_secret as a form (application/x-www-form-urlencoded)")
        }
      })
    )

    it.effect("ends the current token at logout, and only this one", () =>
      Effect.gen(function* () {
        const [kept, ended] = [yield* login, yield* login]
        const answer = yield* call("DELETE", "/logout", { token: ended })
        assert.deepStrictEqual([answer.status, answer.text], [204, ""])
        const refused = yield* call("GET", "/user", { token: ended })
        assert.deepStrictEqual([refused.status, refused.json.message], [401, "Requires authentication."])
        assert.strictEqual((yield* call("GET", "/user", { token: kept })).status, 200)
        assert.strictEqual((yield* call("DELETE", "/logout", { token: ended })).status, 401)
      })
    )

    it.effect("asks for a token before anything else", () =>
      Effect.gen(function* () {
        for (const [method, path] of [
          ["GET", "/user"],
          ["POST", "/queries"],
          ["GET", "/queries/1"],
          ["POST", "/query_tasks"],
          ["GET", "/query_tasks/multi_results"],
          ["GET", "/query_tasks/x"],
          ["GET", "/query_tasks/x/results"],
          ["GET", "/running_queries"],
          ["DELETE", "/running_queries/x"],
          ["DELETE", "/logout"]
        ] as const) {
          const answer = yield* call(method, path)
          assert.deepStrictEqual([path, answer.status], [path, 401])
          assert.strictEqual(answer.json.message, "Requires authentication.")
        }
      })
    )

    it.effect("gives an identical query the same id and finds it by id, slug and client id", () =>
      Effect.gen(function* () {
        const token = yield* login
        const first = yield* call("POST", "/queries", { token, json: { ...query, limit: 7 } })
        const again = yield* call("POST", "/queries?fields=", {
          token,
          json: { limit: "7", ...query, pivots: null, id: "55", can: {} }
        })
        const other = yield* call("POST", "/queries?fields=id", { token, json: { ...query, limit: 8 } })
        assert.deepStrictEqual(again.json, first.json)
        assert.deepStrictEqual(Object.keys(other.json), ["id"])
        assert.notStrictEqual(other.json.id, first.json.id)
        assert.strictEqual(first.json.limit, "7")
        assert.match(first.json.client_id, /^[A-Za-z0-9]{22}$/)
        for (const path of [
          `/queries/${first.json.id}`,
          `/queries/slug/${first.json.slug}`,
          `/queries/slug/${first.json.client_id}`
        ]) {
          assert.deepStrictEqual((yield* call("GET", path, { token })).json, first.json)
        }
        assert.strictEqual((yield* call("GET", "/queries/999", { token })).status, 404)
        assert.strictEqual((yield* call("GET", "/queries/slug/none", { token })).status, 404)
      })
    )

    it.effect("gives a query its id again after a restart, and no other query that id", () =>
      Effect.gen(function* () {
        const created = (limits: ReadonlyArray<number>) =>
          Effect.gen(function* () {
            const token = yield* login
            const ids: Array<string> = []
            for (const limit of limits) {
              ids.push((yield* call("POST", "/queries", { token, json: { ...query, limit } })).json.id)
            }
            return ids
          })
        const [one, two] = yield* created([91, 92])
        assert.match(`${one} ${two}`, /^\d{15} \d{15}$/)
        assert.deepStrictEqual(yield* created([92, 91]).pipe(Effect.provide(inProcess(files))), [two, one])
      })
    )

    it.effect("keeps the client id of a query for that query", () =>
      Effect.gen(function* () {
        const token = yield* login
        const client_id = "0123456789abcdefghijAB"
        const create = (change: object) => call("POST", "/queries", { token, json: { ...query, limit: 3, ...change } })
        const first = yield* create({ client_id })
        assert.deepStrictEqual((yield* create({ client_id })).json, first.json)
        const taken = yield* create({ client_id, limit: 4 })
        assert.deepStrictEqual([taken.status, taken.json.errors[0].field], [422, "client_id"])
        assert.include(taken.json.message, "is that of another query")
        const own = yield* create({ limit: 5 })
        assert.strictEqual((yield* create({ client_id: own.json.client_id, limit: 6 })).status, 422)
        assert.deepStrictEqual((yield* call("GET", `/queries/slug/${client_id}`, { token })).json, first.json)
      })
    )

    it.effect("refuses to keep more than a megabyte that it only carries", () =>
      Effect.gen(function* () {
        const token = yield* login
        for (const field of ["vis_config", "filter_config"]) {
          const send = (length: number) =>
            call("POST", "/queries", { token, json: { ...query, [field]: { x: "x".repeat(length) } } })
          const { json, status } = yield* send(1_000_000)
          assert.deepStrictEqual([status, json.errors[0].field], [422, field])
          assert.include(json.message, "1000000 characters")
          assert.strictEqual((yield* send(100_000)).status, 200)
        }
      })
    )

    it.effect("keeps what it carries without using it", () =>
      Effect.gen(function* () {
        const token = yield* login
        const carried = {
          vis_config: { type: "table", nested: { a: [1] } },
          filter_config: { x: [] },
          visible_ui_sections: "data",
          client_id: "abcdefghij0123456789AB",
          query_timezone: "UTC",
          column_limit: "50"
        }
        const { json } = yield* call("POST", "/queries", { token, json: { ...query, ...carried } })
        for (const [key, value] of Object.entries(carried)) assert.deepStrictEqual(json[key], value)
      })
    )

    it.effect("refuses what it cannot do, with one entry per field", () =>
      Effect.gen(function* () {
        const token = yield* login
        for (const [field, change, expected] of [
          ["pivots", { pivots: ["orders.id"] }, "not one of the fields of the query"],
          ["dynamic_fields", { dynamic_fields: '[{"a":1}]' }, 'there is no "a"'],
          ["filter_expression", { filter_expression: "1 + 1" }, "neither true nor false"],
          ["query_timezone", { query_timezone: "Europe/Olso" }, "not a time zone"],
          ["model", { model: "embeded" }, "Did you mean embedded?"],
          ["view", { view: "order" }, "Did you mean orders?"],
          ["fields", { fields: ["orders.statu"], sorts: [] }, "Did you mean orders.status?"],
          ["fields", { fields: [], sorts: [] }, "at least one dimension or measure"],
          ["fields", { fields: null, sorts: [] }, "at least one dimension or measure"],
          ["filters", { filters: { "orders.nothing_like": "x" } }, "There are orders.id"],
          ["filters", { filters: { "orders.created": "last weak" } }, "is not a date or time such as"],
          ["filters", { filters: { "orders.price": "cheap" } }, 'orders.price: "cheap" is not a number'],
          ["sorts", { sorts: ["orders.id"] }, "not one of the fields of the query"],
          ["sorts", { sorts: ["orders.count down"] }, 'write "view.field"'],
          ["limit", { limit: "-2" }, "neither a row count nor -1"],
          ["client_id", { client_id: "short" }, "22 letters and digits"],
          ["filter", { filter: { "orders.status": "new" } }, "Did you mean filters?"],
          ["analysis_config", { analysis_config: { forecasting: [] } }, "not supported by the embedded Looker"]
        ] as const) {
          const answer = yield* call("POST", "/queries", { token, json: { ...query, ...change } })
          assert.deepStrictEqual([field, answer.status], [field, 422])
          assert.deepStrictEqual(
            answer.json.errors.map((error: { field: string }) => error.field),
            [field]
          )
          assert.include(answer.json.errors[0].message, expected)
          assert.notProperty(answer.json, "_tag")
        }
      })
    )

    it.effect("refuses an unknown or unsupported key also when the same query without it was created before", () =>
      Effect.gen(function* () {
        const token = yield* login
        const client_id = "SameQuery1234567890abc"
        for (const known of [query, { ...query, client_id }]) {
          const created = yield* call("POST", "/queries", { token, json: known })
          assert.strictEqual(created.status, 200)
          for (const [field, code, change] of [
            ["pivot", "unknown", { pivot: ["orders.status"] }],
            ["analysis_config", "not_supported", { analysis_config: { forecasting: [] } }],
            ["quick_calcs", "not_supported", { quick_calcs: [{ field: "orders.count" }] }]
          ] as const) {
            const { json, status } = yield* call("POST", "/queries", { token, json: { ...known, ...change } })
            assert.strictEqual(status, 422)
            const errors: ReadonlyArray<{ readonly field: string; readonly code: string }> = json.errors
            assert.deepStrictEqual(
              errors.map((error) => [error.field, error.code]),
              [[field, code]]
            )
          }
          // Unset, a key asks for nothing.
          const unset = yield* call("POST", "/queries", { token, json: { ...known, quick_calcs: [], runtime: 0.5 } })
          assert.strictEqual(unset.json.id, created.json.id)
        }
      })
    )

    it.effect("says what is wrong with a request it cannot read", () =>
      Effect.gen(function* () {
        const token = yield* login
        const missing = yield* call("POST", "/queries", { token, json: { model: "embedded" } })
        assert.deepStrictEqual([missing.status, missing.json.errors[0].field], [422, "view"])
        const format = yield* call("POST", "/query_tasks", { token, json: { query_id: "1", result_format: "png" } })
        assert.deepStrictEqual([format.status, format.json.errors[0].field], [422, "result_format"])
        const broken = yield* call("POST", "/queries", { token, body: "{" })
        assert.deepStrictEqual([broken.status, broken.json.message.includes("valid JSON")], [400, true])
        const noIds = yield* call("GET", "/query_tasks/multi_results", { token })
        assert.deepStrictEqual([noIds.status, noIds.json.message.includes("query_task_ids")], [400, true])
        const form = yield* call("POST", "/queries", { token, form: { a: "b" } })
        assert.deepStrictEqual([form.status, form.json.message.includes("application/json")], [400, true])
        if (where === "over a socket") {
          const large = yield* call("POST", "/queries", { token, body: "x".repeat(11_000_000) })
          assert.deepStrictEqual([large.status, large.json.message.includes("10 MB")], [413, true])
          assert.strictEqual((yield* call("GET", "/user", { token })).status, 200)
        }
      })
    )

    it.effect("refuses a body that is nested too deeply", () =>
      Effect.gen(function* () {
        const token = yield* login
        const nested = (levels: number) => JSON.parse(`${'{"a":'.repeat(levels)}1${"}".repeat(levels)}`)
        for (const field of ["vis_config", "filter_config"]) {
          const kept = yield* call("POST", "/queries", { token, json: { ...query, [field]: nested(100) } })
          assert.strictEqual(kept.status, 200)
          const body = JSON.stringify({ ...query, [field]: 0 }).replace(
            `"${field}":0`,
            () => `"${field}":${'{"a":'.repeat(200_000)}1${"}".repeat(200_000)}`
          )
          const refused = yield* call("POST", "/queries", { token, body })
          assert.deepStrictEqual([refused.status, refused.json.errors[0].field], [422, field])
        }
      })
    )

    it.effect("names the first ten mistakes of many, and how many more there are", () =>
      Effect.gen(function* () {
        const token = yield* login
        const names = Array.from({ length: 50_000 }, (_, index) => `orders.status${index}`)
        const unknown = Object.fromEntries(names.map((name) => [name, ""]))
        for (const change of [{ fields: names, sorts: [] }, { filters: unknown }, unknown]) {
          const { millis, value } = yield* cpuTimed(call("POST", "/queries", { token, json: { ...query, ...change } }))
          // A second; minutes, if every name were compared with every other.
          assert.isBelow(millis, 10_000)
          const { json } = value
          assert.strictEqual(json.errors.length, 11)
          assert.strictEqual(json.errors[10].message, "There are 49990 more errors.")
          assert.include(json.message, "There are 49990 more errors.")
        }
      })
    )

    it.effect("says in plain words what a body lacks, or has in a wrong form", () =>
      Effect.gen(function* () {
        const token = yield* login
        for (const [path, json, status, expected] of [
          ["/queries", { model: "embedded" }, 422, "Validation Failed: view is missing"],
          ["/queries", { ...query, fields: "orders.id" }, 422, "Validation Failed: fields has to be a list of texts"],
          ["/queries", { ...query, fields: [1] }, 422, "Validation Failed: fields.0 has to be a text"],
          ["/queries", { ...query, filters: [] }, 422, "Validation Failed: filters has to be an object"],
          ["/queries", { ...query, limit: true }, 422, "Validation Failed: limit has to be a text or a number"],
          ["/queries", { ...query, total: "yes" }, 422, "Validation Failed: total has to be true or false"],
          ["/queries", [], 400, "The body cannot be read: it has to be an object"]
        ] as const) {
          const answer = yield* call("POST", path, { token, json })
          assert.deepStrictEqual([answer.status, answer.json.message], [status, expected])
        }
        const task = yield* call("POST", "/query_tasks", { token, json: { query_id: "1", result_format: "docx" } })
        assert.match(task.json.message, /result_format has to be "inline_json", .*, "sql" or "odc"$/)
      })
    )

    it.effect("names the field of a body that has a wrong form", () =>
      Effect.gen(function* () {
        const token = yield* login
        const { json } = yield* call("POST", "/queries", { token, json: { ...query, fields: [1] } })
        const documentation_url = "https://cloud.google.com/looker/docs/"
        assert.deepStrictEqual(json, {
          message: "Validation Failed: fields.0 has to be a text",
          errors: [{ field: "fields.0", code: "invalid", message: "fields.0 has to be a text", documentation_url }],
          documentation_url
        })
      })
    )

    it.effect("explains a path that no endpoint has", () =>
      Effect.gen(function* () {
        for (const [path, expected] of [
          ["//api/4.0/login", "must not end with a slash"],
          ["/api/4.0/api/4.0/login", "must not contain /api/4.0"],
          ["/api/4.0/looks", "has the endpoints of"],
          ["/login", "Every path begins with /api/4.0"]
        ] as const) {
          const answer = yield* send("POST", path, { form: { client_id: "embedded", client_secret: "embedded" } })
          assert.strictEqual(answer.status, 404)
          assert.include(answer.json.message, expected)
        }
      })
    )

    it.effect("creates tasks, projects their fields and refuses unknown ones", () =>
      Effect.gen(function* () {
        const token = yield* login
        const { json: created } = yield* call("POST", "/queries", { token, json: query })
        const body = { query_id: created.id, result_format: "json" }
        const only = yield* call("POST", "/query_tasks?fields=id", { token, json: body })
        assert.deepStrictEqual(Object.keys(only.json), ["id"])
        assert.match(only.json.id, /^[0-9a-f]{32}$/)
        yield* ends(token, only.json.id)
        const full = yield* call("POST", "/query_tasks?fields=&cache=false", { token, json: body })
        assert.deepStrictEqual(
          [full.json.status, full.json.query, full.json.cache, full.json.cache_key, full.json.result_source],
          ["added", created, false, null, null]
        )
        // Of the prior run.
        assert.isNumber(full.json.runtime)
        yield* ends(token, full.json.id)
        const done = yield* call("GET", `/query_tasks/${full.json.id}`, { token })
        assert.deepStrictEqual([done.json.status, done.json.result_source], ["complete", "query"])
        assert.isNumber(done.json.runtime)
        assert.strictEqual((yield* call("GET", "/query_tasks/none", { token })).status, 404)
        assert.strictEqual((yield* call("GET", "/query_tasks/none/results", { token })).status, 404)
        assert.strictEqual((yield* call("DELETE", "/running_queries/none", { token })).status, 404)
        assert.strictEqual((yield* call("DELETE", `/running_queries/${full.json.id}`, { token })).status, 404)
        const unknown = yield* call("POST", "/query_tasks", { token, json: { ...body, query_id: "999" } })
        assert.strictEqual(unknown.status, 404)
        const unsupported = yield* call("POST", "/query_tasks", { token, json: { ...body, result_format: "gsxml" } })
        assert.deepStrictEqual([unsupported.status, unsupported.json.errors[0].field], [422, "result_format"])
        assert.deepStrictEqual((yield* call("GET", "/running_queries", { token })).json, [])
      })
    )

    it.effect("delivers the same rows in every format, at /results and in multi_results", () =>
      Effect.gen(function* () {
        const token = yield* login
        const rows = [
          { "orders.status": 'a, "b"', "orders.count": 1, "orders.total_price": 0.25 },
          { "orders.status": "new", "orders.count": 2, "orders.total_price": 19.55 },
          { "orders.status": null, "orders.count": 1, "orders.total_price": null }
        ]
        const csv = 'Orders Status,Orders Count,Orders Total Price\n"a, ""b""",1,0.25\nnew,2,19.55\n,1,\n'
        const ids: Record<string, string> = {}
        for (const format of ["json", "json_detail", "json_bi", "csv"]) {
          ids[format] = yield* createTask(token, query, format)
          yield* ends(token, ids[format] ?? "")
        }
        const all = Object.values(ids)
        const multi = yield* call("GET", `/query_tasks/multi_results?query_task_ids=${all.join("%2C")},nobody`, {
          token
        })
        assert.deepStrictEqual(Object.keys(multi.json).sort(), [...all, "nobody"].sort())
        assert.deepStrictEqual(multi.json.nobody, { status: "missing" })
        const entry = (format: string) => multi.json[ids[format] ?? ""]
        const body = (format: string) => call("GET", `/query_tasks/${ids[format]}/results`, { token })

        const json = yield* body("json")
        assert.strictEqual(json.type, "application/json; charset=utf-8")
        assert.deepStrictEqual(json.json, rows)
        const { result_source, ...rest } = entry("json")
        assert.include(["query", "cache"], result_source)
        assert.deepStrictEqual(rest, { status: "complete", data: rows })
        assert.strictEqual((yield* body("csv")).text, csv)
        assert.strictEqual(entry("csv").data, csv)

        const plain = (row: Record<string, { value: unknown }>) =>
          Object.fromEntries(Object.entries(row).map(([key, cell]) => [key, cell.value]))
        assert.deepStrictEqual((yield* body("json_bi")).json.rows.map(plain), rows)
        const detail = (yield* body("json_detail")).json
        assert.deepStrictEqual(entry("json_detail").data, detail)
        assert.deepStrictEqual(detail.data.map(plain), rows)
        assert.deepStrictEqual([detail.id, detail.from_cache, detail.timezone], [ids.json_detail, true, "UTC"])
        assert.match(detail.runtime, /^\d+\.\d{3}$/)
        assert.include(detail.sql, 'FROM "orders"')
        assert.deepStrictEqual(
          detail.fields.measures.map((field: { label: string }) => field.label),
          ["Orders Count", "Orders Total Price"]
        )
      })
    )

    it.effect("writes all digits of a decimal", () =>
      Effect.gen(function* () {
        const answer = yield* results({ view: "orders", fields: ["orders.price"], sorts: ["orders.price"] })
        assert.strictEqual(
          answer.text,
          '[{"orders.price":0.25},\n{"orders.price":7.05},\n{"orders.price":12.50},\n{"orders.price":null}]'
        )
      })
    )
  })
}
