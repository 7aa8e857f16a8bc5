/** What each endpoint of the contract is to the client, and that a call takes no other endpoint. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { HttpApiEndpoint } from "effect/http-api"
import { LookerApi, LookerHttp } from "effect-looker"
import * as Endpoint from "effect-looker/api/Endpoint"

/** Name, request line, priority, quota, and whether a request may be repeated. */
const table: ReadonlyArray<readonly [Endpoint.Declaration, string, Endpoint.Priority, Endpoint.Quota, boolean]> = [
  [LookerApi.login, "POST /login", "submission", "none", true],
  [LookerApi.loginUser, "POST /login/{user_id}", "submission", "none", true],
  [LookerApi.logout, "DELETE /logout", "none", "none", true],
  [LookerApi.session, "GET /session", "urgent", "non_query", true],
  [LookerApi.updateSession, "PATCH /session", "urgent", "non_query", true],
  [LookerApi.me, "GET /user", "urgent", "non_query", true],
  [LookerApi.createQuery, "POST /queries", "submission", "db_query", true],
  [LookerApi.query, "GET /queries/{query_id}", "urgent", "db_query", true],
  [LookerApi.queryForSlug, "GET /queries/slug/{slug}", "urgent", "db_query", true],
  [LookerApi.createQueryTask, "POST /query_tasks", "start", "db_query", false],
  [LookerApi.queryTask, "GET /query_tasks/{query_task_id}", "poll", "db_query", true],
  [LookerApi.queryTaskMultiResults, "GET /query_tasks/multi_results", "poll", "db_query", true],
  [LookerApi.queryTaskResults, "GET /query_tasks/{query_task_id}/results", "urgent", "db_query", true],
  [LookerApi.allRunningQueries, "GET /running_queries", "urgent", "db_query", true],
  [LookerApi.killQuery, "DELETE /running_queries/{query_task_id}", "none", "db_query", true]
]

const contract = Object.values(LookerApi.LookerApi.groups).flatMap(
  (group): ReadonlyArray<Endpoint.Declaration> => Object.values(group.endpoints)
)

describe("the table of endpoints", () => {
  it("has every endpoint of the contract, and this test a row for each", () => {
    assert.sameMembers(
      table.map(([{ identifier }]) => identifier),
      contract.map(({ identifier }) => identifier)
    )
  })

  it.each(table.map((row) => [row[0].identifier, row] as const))(
    "knows the priority, the quota and the repeatability of %s",
    (name, [endpoint, line, priority, quota, isRepeatable]) => {
      const inContract = contract.find(({ identifier }) => identifier === name)
      assert.isDefined(inContract)
      for (const one of [endpoint, inContract]) {
        const entry = Endpoint.entryOf(one)
        assert.deepStrictEqual(
          { name: entry.name, priority: entry.priority, quota: entry.quota, isRepeatable: entry.isRepeatable },
          { name, priority, quota, isRepeatable }
        )
        assert.strictEqual(Endpoint.requestLine(one), line)
        assert.strictEqual(Endpoint.entryOf(one), entry)
      }
    }
  )

  it("does not repeat a POST that says nothing about it, and repeats the other methods", () => {
    assert.isFalse(Endpoint.entryOf(HttpApiEndpoint.post("a", "/a")).isRepeatable)
    assert.isTrue(Endpoint.entryOf(HttpApiEndpoint.put("b", "/b")).isRepeatable)
    assert.isTrue(Endpoint.entryOf(HttpApiEndpoint.delete("c", "/c")).isRepeatable)
    const repeatable = HttpApiEndpoint.post("d", "/d").annotate(LookerApi.Repeatable, true)
    assert.isTrue(Endpoint.entryOf(repeatable).isRepeatable)
  })

  it("counts an error without a status as 500", () => {
    const endpoint = HttpApiEndpoint.get("a", "/a", { error: Schema.String })
    assert.deepStrictEqual([...Endpoint.entryOf(endpoint).errorStatuses], [500])
  })

  it("names a request with its parameters", () => {
    const { queryTaskResults } = LookerApi
    assert.strictEqual(Endpoint.requestLine(queryTaskResults, { query_task_id: "t1" }), "GET /query_tasks/t1/results")
  })
})

describe("LookerHttp.call", () => {
  it("takes endpoints of the contract only", () => {
    const calls = LookerHttp.LookerHttp.use(({ call }) => {
      const foreign = HttpApiEndpoint.get("look", "/looks/:look_id", { success: Schema.String })
      // @ts-expect-error: an endpoint that the contract does not have
      void call(foreign, (send) => send({}))
      const elsewhere = HttpApiEndpoint.get("session", "/session/elsewhere", { success: Schema.String })
      // @ts-expect-error: the name of an endpoint of the contract, at another path
      void call(elsewhere, (send) => send({}))
      const otherwise = HttpApiEndpoint.get("session", "/session", { success: Schema.Number })
      // @ts-expect-error: an endpoint of the contract with another body
      void call(otherwise, (send) => send({}))
      const widened: HttpApiEndpoint.Top = LookerApi.query
      // @ts-expect-error: any endpoint
      void call(widened, () => Effect.void)
      return call(LookerApi.session, (send) => send({}))
    })
    assert.isTrue(Effect.isEffect(calls))
  })
})
