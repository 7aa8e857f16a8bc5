import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { QueryRunner } from "effect-looker"
import { looker } from "./support/layers.ts"
import * as StubLooker from "./support/StubLooker.ts"
import { runOut } from "./support/time.ts"

const query = { model: "m", view: "flights", fields: ["flights.origin", "flights.count"] }

describe("QueryRunner", () => {
  it.effect("takes a query from its body to its rows", () => {
    let polls = 0
    const stub = StubLooker.inProcess(
      StubLooker.withLogin(({ method, path }) => {
        switch (`${method} ${path}`) {
          case "POST /api/4.0/queries":
            return { json: { id: 7, ...query, limit: "500", a_new_key: 1 } }
          case "POST /api/4.0/query_tasks":
            return { json: { id: "t1", query_id: 7, status: "added" } }
          case "GET /api/4.0/query_tasks/multi_results":
            polls++
            return {
              json: {
                t1: polls < 3 ? { status: "running" } : { status: "complete", data: [{ "flights.origin": "SFO" }] }
              }
            }
          default:
            return undefined
        }
      })
    )
    return Effect.gen(function* () {
      const statuses: Array<string> = []
      const result = yield* QueryRunner.QueryRunner.use((runner) =>
        runner.run(query, { onStatus: ({ status }) => Effect.sync(() => void statuses.push(status)) })
      ).pipe(runOut)
      assert.deepStrictEqual(result.rows, [{ "flights.origin": "SFO" }])
      assert.strictEqual(result.query.id, "7")
      assert.strictEqual(result.query.a_new_key, 1)
      assert.deepStrictEqual(statuses, ["running", "complete"])
      assert.deepStrictEqual(
        stub.received.map(({ method, path }) => `${method} ${path.replace("/api/4.0", "")}`),
        [
          "POST /login",
          "POST /queries",
          "POST /query_tasks",
          "GET /query_tasks/multi_results",
          "GET /query_tasks/multi_results",
          "GET /query_tasks/multi_results"
        ]
      )
    }).pipe(Effect.provide(looker(stub.layer)))
  })
})
