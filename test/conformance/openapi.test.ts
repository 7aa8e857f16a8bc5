/**
 * The contract against Looker's own OpenAPI document, whose path is taken from LOOKER_OPENAPI; skipped without it, since the document is
 * not ours to ship. Release 26.12 is what the contract was written from.
 */
import { readFileSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import { HttpApi } from "effect/http-api"
import { LookerApi, Query, QueryTask, ResultFormat, RunningQuery, Session } from "effect-looker"
import * as Endpoint from "effect-looker/api/Endpoint"
import { mistakesIn } from "../embedded/conformance.ts"

interface Operation {
  readonly "x-looker-activity-type"?: string
  readonly operationId: string
  readonly parameters?: ReadonlyArray<{ readonly name: string; readonly in: string; readonly required?: boolean }>
  readonly requestBody?: { readonly content: Readonly<Record<string, unknown>> }
  readonly responses: Readonly<Record<string, unknown>>
}

interface Specification {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
  readonly components: {
    readonly schemas: Readonly<
      Record<string, { readonly properties: Readonly<Record<string, { readonly enum?: ReadonlyArray<string> }>> }>
    >
  }
}

const file = process.env.LOOKER_OPENAPI
const specification: Specification | undefined =
  file === undefined || file === "" ? undefined : JSON.parse(readFileSync(file, "utf8"))

interface Ours {
  readonly name: string
  readonly quota: Endpoint.Quota
  readonly method: string
  readonly path: string
  readonly query: ReadonlyArray<string>
  readonly statuses: ReadonlyArray<string>
}

const fieldsOf = (schema: unknown): ReadonlyArray<string> => {
  const { fields, schema: inner } = schema as { fields?: object; schema?: unknown }
  return fields === undefined ? (inner === undefined ? [] : fieldsOf(inner)) : Object.keys(fields)
}

const ours = (): ReadonlyArray<Ours> => {
  const endpoints: Array<Ours> = []
  HttpApi.reflect(LookerApi.LookerApi, {
    onGroup: () => {},
    onEndpoint: ({ endpoint, errors, middleware, successes }) => {
      const known = new Set([...successes.keys(), ...errors.keys()].map(String))
      // A streamed success is no entry of `successes`.
      if (endpoint.identifier === "query_task_results") known.add("200")
      // Looker does not document 401; here the Authorization middleware brings it.
      if (middleware.size > 0) known.delete("401")
      endpoints.push({
        name: endpoint.identifier,
        quota: Endpoint.entryOf(endpoint).quota,
        method: endpoint.method.toLowerCase(),
        path: endpoint.path.replace("/api/4.0", "").replaceAll(/:(\w+)/g, "{$1}"),
        query: endpoint.query === undefined ? [] : fieldsOf(endpoint.query),
        statuses: [...known].sort()
      })
    }
  })
  return endpoints
}

describe.skipIf(specification === undefined)("LookerApi and Looker's OpenAPI document (LOOKER_OPENAPI)", () => {
  for (const endpoint of ours()) {
    it(`${endpoint.name} has the method, path, parameters and status codes of the document`, () => {
      const operation = specification?.paths[endpoint.path]?.[endpoint.method]
      assert.strictEqual(operation?.operationId, endpoint.name)
      const query = (operation?.parameters ?? []).filter((one) => one.in === "query").map(({ name }) => name)
      // Credentials in the URL are deprecated, and end up in logs: the contract has the form body alone.
      if (endpoint.name !== "login") assert.sameMembers([...endpoint.query], query)
      const documented = Object.keys(operation?.responses ?? {})
      // 204 for "not finished" is what Looker answered before 25.0.9.
      if (endpoint.name === "query_task_results") documented.push("204")
      assert.sameMembers([...endpoint.statuses], documented)
    })

    it(`${endpoint.name} counts against the quota of the document`, () => {
      const operation = specification?.paths[endpoint.path]?.[endpoint.method]
      assert.strictEqual(endpoint.quota, operation?.["x-looker-activity-type"])
    })
  }

  const schemas = [
    ["Query", fieldsOf(Query.Query)],
    ["QueryTask", fieldsOf(QueryTask.QueryTask)],
    ["CreateQueryTask", fieldsOf(QueryTask.CreateQueryTask)],
    ["RunningQueries", fieldsOf(RunningQuery.RunningQuery)],
    ["AccessToken", fieldsOf(Session.AccessToken)]
  ] as const
  for (const [name, fields] of schemas) {
    it(`${name} has every field of the document, and no other`, () => {
      assert.sameMembers([...fields], Object.keys(specification?.components.schemas[name]?.properties ?? {}))
    })
  }

  it("the result formats are those of the document", () => {
    const documented = specification?.components.schemas.CreateQueryTask?.properties.result_format?.enum ?? []
    assert.sameMembers([...ResultFormat.ResultFormat.literals], [...documented])
  })
})

const answerOf = (status: number, json: unknown, type = "application/json") => ({
  status,
  type,
  json,
  text: JSON.stringify(json)
})

const token = { access_token: "t", token_type: "Bearer", expires_in: 3600 }
const error = { message: "Not found", documentation_url: "https://cloud.google.com/looker/docs/" }

/** What is said about an answer, for a word in it. */
const said = (method: string, path: string, answer: ReturnType<typeof answerOf>) =>
  mistakesIn(method, `/api/4.0${path}`, answer).join("\n")

describe("the check of every answer in the tests of the embedded Looker", () => {
  it("lets the contract pass", () => {
    assert.strictEqual(said("POST", "/login", answerOf(200, token)), "")
    assert.strictEqual(said("POST", "/login", answerOf(404, error)), "")
    assert.strictEqual(said("GET", "/user", answerOf(401, error)), "")
    assert.strictEqual(said("GET", "/query_tasks/1?fields=status", answerOf(200, { status: "added" })), "")
    assert.strictEqual(said("GET", "/nowhere", answerOf(404, error)), "")
  })

  it("finds a status the endpoint does not have", () => {
    assert.include(said("POST", "/login", answerOf(409, error)), "contract: login has no 409")
    assert.include(said("GET", "/user", answerOf(202, {})), "contract: me has no 202")
    assert.include(said("GET", "/query_tasks/1/results", answerOf(206, [])), "contract: query_task_results has no 206")
    assert.include(said("GET", "/nowhere", answerOf(200, {})), "200 from where no endpoint is")
  })

  it("finds a body that is not the endpoint's", () => {
    assert.include(said("POST", "/login", answerOf(200, { ...token, expires_in: "soon" })), "expires_in")
    assert.include(said("POST", "/login", answerOf(404, { message: "Not found" })), "documentation_url")
    assert.include(said("POST", "/login", answerOf(404, {}, "text/html")), "an error as text/html")
    assert.include(said("DELETE", "/logout", answerOf(204, {})), "204 with a body")
    assert.include(said("GET", "/query_tasks/multi_results", answerOf(200, [])), "contract:")
  })

  it.skipIf(specification === undefined)("finds a key that Looker's document does not have, or that is missing", () => {
    assert.include(said("POST", "/login", answerOf(200, { ...token, scope: "all" })), "scope")
    assert.include(said("GET", "/query_tasks/1", answerOf(200, { id: "1" })), "result_source")
    assert.include(said("GET", "/query_tasks/1?fields=id", answerOf(200, { id: "1", rows: 3 })), "rows")
    const bi = { metadata: { sql: null }, rows: [] }
    assert.include(said("GET", "/query_tasks/1/results", answerOf(200, bi)), "has_totals")
    const multi = { "1": { status: "complete", data: bi } }
    assert.include(said("GET", "/query_tasks/multi_results", answerOf(200, multi)), "has_totals")
  })
})
