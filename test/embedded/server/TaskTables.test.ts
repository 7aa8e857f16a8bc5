/** The tables of the page of tasks, read from the server with the test's clock. */
import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { HttpClient } from "effect/http"
import { TestClock } from "effect/testing"
import { EmbeddedLooker, Fault } from "effect-looker/embedded"
import { call, createTask, ends, leaves, login, orders, overSocket, send } from "../support.ts"

const query = { view: "orders", fields: ["orders.id", "orders.status"], sorts: ["orders.id"] }

/** A query that runs for so long: the script of the server knows it by its limit. */
const lasting = (limit: number) => ({ ...query, limit: String(limit) })

/** How long the query with the limit 1 runs, and so on, in milliseconds. */
const lengths = [999, 1000, 59_999, 60_000, 125_000]

const faults = [...lengths, 3_600_000].map((length, index) => ({
  on: { query: { limit: String(index + 1) } },
  fault: Fault.slow(length)
}))

/** The text of the cells of each row, by the id of its table. */
const rowsOf = (page: string) =>
  Object.fromEntries(
    [...page.matchAll(/<section id="(\w+)">([\s\S]*?)<\/section>/g)].map(([, id, section = ""]) => [
      id,
      [...section.matchAll(/<tr id="task-\w+">([\s\S]*?)<\/tr>/g)].map(([, row = ""]) =>
        [...row.matchAll(/<td[^>]*>([\s\S]*?)<\/td>/g)].map(([, cell = ""]) =>
          cell
            .replaceAll(/<[^>]*>/g, " ")
            .replaceAll(/\s+/g, " ")
            .trim()
        )
      )
    ])
  )

layer(overSocket({ "orders.csv": orders }, { faults }))("the tables of tasks", (it) => {
  it.effect("show the status, the query, the user, the times and the rows of each", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(rowsOf((yield* send("GET", "/?tasks")).text), { running: [], waiting: [], finished: [] })
      yield* TestClock.adjust("10 hours")
      const token = yield* login
      const ids: Array<string> = []
      for (const [index, length] of lengths.entries()) {
        const id = yield* createTask(token, lasting(index + 1), "csv")
        yield* leaves(token, id, ["added"])
        yield* TestClock.adjust(length)
        yield* ends(token, id)
        yield* TestClock.adjust(125_000 - length)
        ids.push(id)
      }
      const killed = yield* createTask(token, lasting(6), "json")
      yield* leaves(token, killed, ["added"])
      yield* call("DELETE", `/running_queries/${killed}`, { token })
      const running = yield* createTask(
        token,
        { ...lasting(6), filters: { "orders.status": "new" }, query_timezone: "Asia/Tokyo" },
        "json"
      )
      yield* leaves(token, running, ["added"])
      yield* TestClock.adjust("7 seconds")
      const { id: query_id } = (yield* call("POST", "/queries", { token, json: { model: "embedded", ...lasting(7) } }))
        .json
      const body = { query_id, result_format: "md", deferred: true }
      const waiting = (yield* call("POST", "/query_tasks", { token, json: body })).json.id

      const fields = "orders.id orders.status sorts orders.id limit"
      const asked = (limit: number, id: string | undefined) => `embedded / orders ${fields} ${limit} ${id}`
      const user = "Embedded User"
      const page = (yield* send("GET", "/?tasks")).text
      const { finished, ...others } = rowsOf(page)
      assert.deepStrictEqual(others, {
        running: [
          [
            "running",
            `embedded / orders orders.id orders.status filters orders.status: new sorts orders.id limit 6 query_timezone Asia/Tokyo ${running}`,
            user,
            ...["json", "10:10:25", "10:10:25", "7.0 s", "–"]
          ]
        ],
        waiting: [["added", asked(7, waiting), user, "md", "10:10:32", "–", "–", "–"]]
      })
      const times = ["10:00:00", "10:02:05", "10:04:10", "10:06:15", "10:08:20"]
      const shown = ["999 ms", "1.0 s", "60.0 s", "1 min 0 s", "2 min 5 s"]
      assert.deepStrictEqual(finished, [
        ["killed", asked(6, killed), user, "json", "10:10:25", "10:10:25", "0 ms", "–"],
        ...ids
          .map((id, index) => {
            const [time, length] = [times[index], shown[index]]
            return ["complete", asked(index + 1, id), user, "csv", time, time, length, String(Math.min(index + 1, 4))]
          })
          .reverse()
      ])
    })
  )

  it.effect("are sent with headers that keep them out of caches, frames and other pages", () =>
    Effect.gen(function* () {
      const { headers } = yield* HttpClient.get(`${EmbeddedLooker.inProcessBaseUrl}/?tasks`)
      const { "cache-control": cache, "referrer-policy": referrer, "x-content-type-options": sniffing } = headers
      assert.deepStrictEqual([cache, referrer, sniffing], ["no-store", "no-referrer", "nosniff"])
      const policy = headers["content-security-policy"]?.replaceAll(/'sha256-[\w+/=]{44}'/g, "HASH")
      assert.strictEqual(
        policy,
        "default-src 'none'; img-src data:; style-src HASH; script-src HASH; connect-src 'self'; " +
          "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
      )
    })
  )
})
