/**
 * Every format through the whole server, and those that our client reads through the whole client.
 */
import { execFileSync } from "node:child_process"
import { join } from "node:path"
import { assert, describe, it, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { Looker, LookerError, QueryRunner, type ResultRows } from "effect-looker"
import { EmbeddedLooker } from "effect-looker/embedded"
import { root } from "../../support/paths.ts"
import { call, createTask, ends, folder, inProcess, login } from "../support.ts"

const sales = [
  "city,status,year,amount",
  ...["Ulm,new,2001,1000.50", "Ulm,paid,2001,2.25", "Ulm,paid,2002,3.00", "Bonn,new,2002,4.75", '"a, ""b""",,2001,5']
].join("\n")
const files = {
  "sales.csv": `${sales}\n`,
  "large.csv": "n\n1e308\n",
  "huge.csv": `n\n${"9".repeat(38)}\n${"9".repeat(38)}\n`
}

const both = Layer.unwrap(
  Effect.map(folder(files), (data) =>
    Looker.layer({ baseUrl: EmbeddedLooker.inProcessBaseUrl, ...EmbeddedLooker.credentials }).pipe(
      Layer.provideMerge(EmbeddedLooker.layer({ data }))
    )
  )
)

const formats = {
  json: "application/json; charset=utf-8",
  json_detail: "application/json; charset=utf-8",
  json_bi: "application/json; charset=utf-8",
  inline_json: "application/json; charset=utf-8",
  csv: "text/csv; charset=utf-8",
  txt: "text/plain; charset=utf-8",
  md: "text/markdown; charset=utf-8",
  html: "text/html; charset=utf-8",
  xlsx: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
  sql: "application/sql"
}

const flat = {
  model: "embedded",
  view: "sales",
  fields: ["sales.city", "sales.count", "sales.total_amount"],
  sorts: ["sales.city desc"],
  total: true
}

const pivoted = {
  ...flat,
  fields: ["sales.city", "sales.status", "sales.year", "sales.count", "sales.total_amount"],
  pivots: ["sales.status", "sales.year"],
  row_total: "right"
}

const run = (query: typeof flat, options: QueryRunner.RunOptions<ResultRows.Row>) =>
  QueryRunner.QueryRunner.use((runner) => runner.run(query, options))

/** A task that has ended, as text, and its entry in multi_results. */
const delivered = Effect.fnUntraced(function* (query: object, format: string, params = "") {
  const token = yield* login
  const id = yield* createTask(token, query, format, params)
  const status = yield* ends(token, id)
  const answer = yield* call("GET", `/query_tasks/${id}/results`, { token })
  const entry = (yield* call("GET", `/query_tasks/multi_results?query_task_ids=${id}`, { token })).json[id]
  return { id, status, answer, entry }
})

layer(both, { excludeTestServices: true })("the formats", (it) => {
  it.effect("have their media types, and the same bytes for the same query", () =>
    Effect.gen(function* () {
      for (const [format, type] of Object.entries(formats)) {
        const first = yield* delivered(pivoted, format)
        const second = yield* delivered(pivoted, format)
        assert.deepStrictEqual([first.answer.status, first.answer.type], [200, type])
        const timeless = ({ answer, id }: typeof first) =>
          answer.text.replaceAll(id, "id").replace(/"(ran_at|runtime)":"[^"]*"/g, "")
        assert.strictEqual(timeless(first), timeless(second), format)
      }
    })
  )

  it.effect("are read by our client alike, with totals where they have them", () =>
    Effect.gen(function* () {
      const rows = [
        { "sales.city": 'a, "b"', "sales.count": 1, "sales.total_amount": 5 },
        { "sales.city": "Ulm", "sales.count": 3, "sales.total_amount": 1005.75 },
        { "sales.city": "Bonn", "sales.count": 1, "sales.total_amount": 4.75 }
      ]
      const totals = { "sales.city": null, "sales.count": 5, "sales.total_amount": 1015.5 }
      assert.deepStrictEqual((yield* run(flat, { format: "json" })).rows, rows)
      assert.deepStrictEqual((yield* run(flat, { format: "json_detail" })).rows, rows)
      assert.deepStrictEqual((yield* run(flat, { format: "json_bi" })).rows, [...rows, totals])
      const csv = yield* run(flat, { format: "csv" })
      assert.deepStrictEqual(
        csv.rows.map((row) => Object.values(row).map((text) => (text === "" ? null : text))),
        [...rows, totals].map((row) => [
          row["sales.city"],
          String(row["sales.count"]),
          row["sales.total_amount"].toFixed(2)
        ])
      )
      assert.deepStrictEqual(Object.keys(csv.rows[0] ?? {}), ["Sales City", "Sales Count", "Sales Total Amount"])
    })
  )

  it.effect("have pivots, which our client reads", () =>
    Effect.gen(function* () {
      const keys = ["new|FIELD|2001", "new|FIELD|2002", "paid|FIELD|2001", "paid|FIELD|2002", "null|FIELD|2001"]
      const all = [...keys, "$$$_row_total_$$$"]
      const ulm = [1, null, 1, 1, null, 3]
      const counts = Object.fromEntries(all.map((key, index) => [key, ulm[index]]))
      for (const format of ["json", "json_detail"] as const) {
        const { rows } = yield* run(pivoted, { format })
        assert.strictEqual(rows.length, 3)
        assert.deepStrictEqual(rows[1]?.["sales.count"], counts)
      }
      const bi = yield* run(pivoted, { format: "json_bi" })
      assert.strictEqual(bi.rows.length, 4)
      assert.deepStrictEqual(
        all.map((key) => bi.rows[1]?.[`sales.count|FIELD|${key}`]),
        ulm
      )
      const csv = yield* run(pivoted, { format: "csv" })
      assert.strictEqual(csv.rows.length, 2 + 4)
      const cells = csv.rows.map((row) => Object.values(row))
      assert.deepStrictEqual(cells[0]?.slice(0, 4), ["Sales Year", "2001", "2001", "2002"])
      assert.deepStrictEqual(cells[1]?.slice(0, 3), ["Sales City", "Sales Count", "Sales Total Amount"])
      assert.deepStrictEqual(cells[3]?.slice(0, 3), ["Ulm", "1", "1000.50"])
    })
  )

  it.effect("have subtotals in json_detail", () =>
    Effect.gen(function* () {
      const query = { ...flat, fields: ["sales.city", "sales.year", "sales.count"], subtotals: ["sales.city"] }
      const { json } = (yield* delivered(query, "json_detail")).answer
      assert.isTrue(json.has_subtotals)
      assert.deepStrictEqual(json.totals_data, { "sales.count": { value: 5 } })
      const ulm = json.subtotals_data["1"].find(
        (row: Record<string, { value: unknown }>) => row["sales.city"]?.value === "Ulm"
      )
      assert.deepStrictEqual(ulm, {
        "sales.city": { value: "Ulm" },
        "sales.year": { value: null },
        "sales.count": { value: 3 },
        $$$__grouping__$$$: ["sales.city"]
      })
    })
  )

  it.effect("show the format of a field", () =>
    Effect.gen(function* () {
      const field = { category: "measure", measure: "money", based_on: "sales.amount", type: "sum" }
      const query = (format: object) => ({
        model: "embedded",
        view: "sales",
        fields: ["money"],
        dynamic_fields: JSON.stringify([{ ...field, ...format }])
      })
      const usd = query({ value_format_name: "usd" })
      const { json } = (yield* delivered({ ...usd, filters: { money: ">5" } }, "json_detail")).answer
      assert.deepStrictEqual(
        [json.applied_filters.money.value, json.applied_filters.money.field.value_format],
        [">5", "$#,##0.00"]
      )
      assert.deepStrictEqual(json.data, [{ money: { value: 1015.5, rendered: "$1,015.50" } }])
      assert.strictEqual(json.fields.measures[0].value_format, "$#,##0.00")
      assert.strictEqual((yield* delivered(usd, "csv")).answer.text, "money\n1015.50\n")
      assert.strictEqual((yield* delivered(usd, "csv", "?apply_formatting=true")).answer.text, 'money\n"$1,015.50"\n')
      const token = yield* login
      for (const [format, why] of [
        [{ value_format_name: "dollars" }, "there is no value_format_name"],
        [{ value_format: "yyyy" }, "is not supported"]
      ] as const) {
        const refused = yield* call("POST", "/queries", { token, json: query(format) })
        assert.deepStrictEqual([refused.status, refused.json.errors[0].field], [422, "dynamic_fields"])
        assert.include(refused.json.errors[0].message, why)
      }
    })
  )

  it.effect("have no word for a number that is none", () =>
    Effect.gen(function* () {
      // Infinity less infinity is -nan.
      const none = { dimension: "none", expression: `\${large.n} * 10 - \${large.n} * 10` }
      const query = { view: "large", fields: ["none"], dynamic_fields: JSON.stringify([none]) }
      assert.strictEqual((yield* delivered(query, "json")).answer.text, '[{"none":null}]')
      assert.deepStrictEqual((yield* delivered(query, "json_detail")).entry.data.data, [{ none: { value: null } }])
      assert.strictEqual((yield* delivered(query, "csv")).answer.text, 'none\n""\n')
      assert.strictEqual((yield* delivered(query, "html")).answer.text.includes("nan"), false)
    })
  )

  it.effect("have all rows and cells, whatever a dynamic field is called", () =>
    Effect.gen(function* () {
      const table = Effect.fnUntraced(function* (name: string) {
        const dimension = { dimension: name, expression: `concat("in ", \${sales.city})` }
        const measure = { measure: name, based_on: "sales.total_amount" }
        const texts: Array<string> = []
        for (const [field, query] of [
          [dimension, { fields: [name, "sales.count"], sorts: ["sales.count"], limit: "2", total: true }],
          [dimension, { fields: [name, "sales.status", "sales.count"], pivots: ["sales.status"], row_total: "right" }],
          [dimension, { fields: ["sales.year", name, "sales.count"], pivots: [name], sorts: ["sales.count desc 1"] }],
          [measure, { fields: ["sales.city", "sales.status", name], pivots: ["sales.status"], sorts: [`${name} desc`] }]
        ] as const) {
          const { answer } = yield* delivered(
            { view: "sales", ...query, dynamic_fields: JSON.stringify([field]) },
            "csv"
          )
          texts.push(answer.text.replaceAll(name, "x"))
        }
        return texts
      })
      const expected = yield* table("harmless")
      assert.include(expected[0], "in Bonn,1\n")
      for (const name of ["rowid", "ROWID", "col", "nth", "cells", "frame", "pivots", "spread", "m0", "c0"]) {
        assert.deepStrictEqual(yield* table(name), expected, name)
      }
    })
  )

  it.effect("give the SQL of a query that is not run", () =>
    Effect.gen(function* () {
      // Running it fails: the sum is too large.
      const { answer, entry, status } = yield* delivered({ view: "huge", fields: ["huge.total_n"] }, "sql")
      assert.strictEqual(status, "complete")
      assert.include(answer.text, 'sum("huge"."n")')
      assert.strictEqual(entry.data, answer.text)
    })
  )

  it.effect("report an error of the database each in its own way", () =>
    Effect.gen(function* () {
      for (const format of Object.keys(formats)) {
        if (format === "sql") continue
        const { answer, entry, status } = yield* delivered({ view: "huge", fields: ["huge.total_n"] }, format)
        assert.strictEqual(status, "error")
        assert.strictEqual(answer.status, format === "json_detail" ? 200 : 400)
        assert.strictEqual(entry.status, "error")
        assert.include(JSON.stringify(entry.data), "Overflow")
      }
      for (const format of ["json", "json_detail", "json_bi", "csv"] as const) {
        const error = yield* Effect.flip(
          run({ ...flat, view: "huge", fields: ["huge.total_n"], sorts: [] }, { format })
        )
        assert.instanceOf(error, LookerError.QueryFailed)
        assert.include(error.message, "DuckDB")
      }
    })
  )

  it.effect("that are not there are refused with those that are", () =>
    Effect.gen(function* () {
      const token = yield* login
      const created = yield* call("POST", "/queries", { token, json: flat })
      for (const format of ["json_fe", "gsxml", "odc", "png"]) {
        const body = { query_id: created.json.id, result_format: format }
        const refused = yield* call("POST", "/query_tasks", { token, json: body })
        assert.deepStrictEqual([refused.status, refused.json.errors[0].field], [422, "result_format"])
        if (format !== "png") assert.include(refused.json.message, Object.keys(formats).join(", "))
      }
    })
  )
})

describe("a server without the package fflate", () => {
  it.live("has every format but xlsx, and says what xlsx needs", () =>
    Effect.gen(function* () {
      const hook = `
        import { registerHooks } from "node:module"
        registerHooks({
          resolve: (name, context, next) => {
            if (name === "fflate") throw Object.assign(new Error("no fflate"), { code: "ERR_MODULE_NOT_FOUND" })
            return next(name, context)
          }
        })`
      const main = `
        import * as Effect from "effect/Effect"
        import * as EmbeddedLooker from "${join(root, "src/embedded/EmbeddedLooker.ts")}"
        const run = Effect.gen(function* () {
          const { baseUrl } = yield* EmbeddedLooker.EmbeddedServer
          yield* Effect.promise(async () => {
            const get = (path, options) => fetch(baseUrl + "/api/4.0" + path, options)
            const body = new URLSearchParams({ client_id: "embedded", client_secret: "embedded" })
            const { access_token } = await (await get("/login", { method: "POST", body })).json()
            const headers = { authorization: "token " + access_token, "content-type": "application/json" }
            const post = async (path, json) =>
              (await get(path, { method: "POST", headers, body: JSON.stringify(json) })).json()
            const { id } = await post("/queries", { model: "embedded", view: "sales", fields: ["sales.count"] })
            for (const result_format of ["csv", "xlsx"]) {
              const task = await post("/query_tasks", { query_id: id, result_format })
              let answer
              do answer = await get("/query_tasks/" + task.id + "/results", { headers })
              while (answer.status === 202 || answer.status === 204)
              const many = await (await get("/query_tasks/multi_results?query_task_ids=" + task.id, { headers })).json()
              console.log(answer.status, await answer.text(), JSON.stringify(many[task.id].data))
            }
          })
        })
        await Effect.runPromise(run.pipe(Effect.provide(EmbeddedLooker.layerServer({ data: process.argv[1] }))))`
      const data = yield* folder(files)
      const output = yield* Effect.sync(() =>
        execFileSync(
          process.execPath,
          [
            "--conditions=effect-looker-source",
            `--import=data:text/javascript,${encodeURIComponent(hook)}`,
            "--input-type=module",
            ...["-e", main, data]
          ],
          { cwd: root, timeout: 100_000, encoding: "utf8" }
        )
      )
      const [csv, xlsx] = output.trim().split(/\n(?=\d+ )/)
      assert.match(csv ?? "", /^200 Sales Count\s+5\s/)
      assert.strictEqual(xlsx?.match(/xlsx needs the package fflate: npm install fflate/g)?.length, 2, output)
      assert.match(xlsx ?? "", /^400 /)
    })
  )
})

describe("a result that cannot be read", () => {
  it.effect("is an error of its own task, beside the others", () =>
    Effect.gen(function* () {
      const token = yield* login
      const long = { measure: "long", based_on: "numbers.count", value_format: `0"${"x".repeat(400_000)}"` }
      const query = { view: "numbers", fields: ["numbers.n", "long"], dynamic_fields: JSON.stringify([long]) }
      const unreadable = yield* createTask(token, query, "json", "?apply_formatting=true")
      const readable = yield* createTask(token, { view: "numbers", fields: ["numbers.count"] }, "json")
      for (const id of [unreadable, readable]) assert.strictEqual(yield* ends(token, id), "complete")
      const path = `/query_tasks/multi_results?query_task_ids=${unreadable},${readable}`
      const { json, status } = yield* call("GET", path, { token })
      assert.deepStrictEqual([status, json[unreadable].status, json[readable].status], [200, "error", "complete"])
      assert.include(json[unreadable].data[0].looker_error, "Out of Memory")
      assert.deepStrictEqual(json[readable].data, [{ "numbers.count": 300 }])
    }).pipe(
      Effect.provide(inProcess({ "numbers.csv": `n\n${[...Array(300).keys()].join("\n")}\n` }, { memoryLimit: "40MB" }))
    )
  )
})
