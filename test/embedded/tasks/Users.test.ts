import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Redacted } from "effect"
import { TestClock } from "effect/testing"
import { EmbeddedLooker } from "effect-looker/embedded"
import type { UserOptions } from "../../../src/embedded/tasks/Users.ts"
import { call, createTask, ends, folder, inProcess, leaves, orders } from "../support.ts"

const files = { "orders.csv": orders }
const query = { view: "orders", fields: ["orders.status", "orders.count"] }

const users: ReadonlyArray<UserOptions> = [
  { id: "1", clientId: "admin", clientSecret: "a", permissions: ["administer"] },
  { id: "7", clientId: "anna", clientSecret: Redacted.make("b"), displayName: "Anna Lyst", email: "anna@example.com" },
  { id: "8", clientId: "ben", clientSecret: "c", permissions: ["see_sql"] },
  { id: "9", clientId: "nobody", clientSecret: "d", models: [] }
]

const login = (client_id: string, client_secret: string) =>
  Effect.map(call("POST", "/login", { form: { client_id, client_secret } }), ({ json }) => String(json.access_token))

const everybody = Effect.all({
  admin: login("admin", "a"),
  anna: login("anna", "b"),
  ben: login("ben", "c"),
  nobody: login("nobody", "d")
})

const idOf = (token: string) => Effect.map(call("GET", "/user?fields=id", { token }), ({ json }) => json)

describe("users", () => {
  it.effect("get the format sql, and SQL in a result, with see_sql only", () =>
    Effect.gen(function* () {
      const { anna, ben } = yield* everybody
      const created = yield* call("POST", "/queries", { token: anna, json: { model: "embedded", ...query } })
      const body = { query_id: created.json.id, result_format: "sql" }
      const refused = yield* call("POST", "/query_tasks", { token: anna, json: body })
      assert.deepStrictEqual([refused.status, refused.json.errors[0].field], [422, "result_format"])
      assert.include(refused.json.message, "see_sql")
      const id = yield* createTask(ben, query, "sql")
      assert.strictEqual(yield* ends(ben, id), "complete")
      assert.include((yield* call("GET", `/query_tasks/${id}/results`, { token: ben })).text, "SELECT")
      for (const [token, sees] of [
        [anna, false],
        [ben, true]
      ] as const) {
        const detail = yield* createTask(token, query, "json_detail")
        yield* ends(token, detail)
        const { json } = yield* call("GET", `/query_tasks/${detail}/results`, { token })
        assert.deepStrictEqual([json.data.length, json.sql === null], [3, !sees])
      }
    }).pipe(Effect.provide(inProcess(files, { users })))
  )

  it.effect("log in with their own credentials only, and see who they are", () =>
    Effect.gen(function* () {
      const { anna } = yield* everybody
      const me = (yield* call("GET", "/user", { token: anna })).json
      assert.deepStrictEqual(
        [me.id, me.display_name, me.first_name, me.last_name, me.email, me.can.sudo],
        ["7", "Anna Lyst", "Anna", "Lyst", "anna@example.com", false]
      )
      const form = { client_id: "anna", client_secret: "c" }
      assert.strictEqual((yield* call("POST", "/login", { form })).status, 404)
      const old = { client_id: "embedded", client_secret: "embedded" }
      assert.strictEqual((yield* call("POST", "/login", { form: old })).status, 404)
    }).pipe(Effect.provide(inProcess(files, { users })))
  )

  it.effect("do not find each other's tasks, and neither does an admin", () =>
    Effect.gen(function* () {
      const { admin, anna, ben } = yield* everybody
      const id = yield* createTask(anna, query, "json")
      yield* ends(anna, id)
      for (const token of [admin, ben]) {
        const multi = yield* call("GET", `/query_tasks/multi_results?query_task_ids=${id}`, { token })
        assert.deepStrictEqual([multi.status, multi.json], [200, { [id]: { status: "missing" } }])
        assert.strictEqual((yield* call("GET", `/query_tasks/${id}`, { token })).status, 404)
        assert.strictEqual((yield* call("GET", `/query_tasks/${id}/results`, { token })).status, 404)
      }
      assert.strictEqual((yield* call("GET", `/query_tasks/${id}/results`, { token: anna })).status, 200)
    }).pipe(Effect.provide(inProcess(files, { users })))
  )

  it.effect("see and kill their own running queries; an admin those of all", () =>
    Effect.gen(function* () {
      const { admin, anna, ben } = yield* everybody
      const annas = yield* createTask(anna, query, "json")
      const bens = yield* createTask(ben, query, "json")
      for (const [token, id] of [
        [anna, annas],
        [ben, bens]
      ] as const) {
        yield* leaves(token, id, ["added"])
      }
      const seen = (token: string) =>
        Effect.map(call("GET", "/running_queries", { token }), ({ json }) =>
          json.map((one: { query_task_id: string; sql: string | null; user: { display_name: string } }) => [
            one.query_task_id,
            one.user.display_name,
            one.sql === null
          ])
        )
      assert.deepStrictEqual(yield* seen(anna), [[annas, "Anna Lyst", true]])
      assert.deepStrictEqual(yield* seen(ben), [[bens, "ben", false]])
      assert.deepStrictEqual(yield* seen(admin), [
        [annas, "Anna Lyst", false],
        [bens, "ben", false]
      ])
      assert.strictEqual((yield* call("DELETE", `/running_queries/${bens}`, { token: anna })).status, 404)
      assert.strictEqual((yield* call("DELETE", `/running_queries/${bens}`, { token: admin })).status, 204)
      const { can, status } = (yield* call("GET", `/query_tasks/${bens}`, { token: ben })).json
      assert.deepStrictEqual([status, can], ["killed", { index: true, show: true, kill: false, see_results: false }])
      assert.deepStrictEqual(yield* seen(admin), [[annas, "Anna Lyst", false]])
    }).pipe(Effect.provide(inProcess(files, { users, taskDelay: "10 seconds" })))
  )

  it.effect("see the SQL of a result with see_sql only, and get no format sql without", () =>
    Effect.gen(function* () {
      const { admin, anna, ben } = yield* everybody
      for (const [token, sees] of [
        [admin, true],
        [ben, true],
        [anna, false]
      ] as const) {
        for (const format of ["json_detail", "json_bi"]) {
          const id = yield* createTask(token, query, format)
          yield* ends(token, id)
          const { json, text } = yield* call("GET", `/query_tasks/${id}/results`, { token })
          const { sql } = format === "json_bi" ? json.metadata : json
          assert.deepStrictEqual([format, sql === null], [format, !sees])
          assert.strictEqual(/FROM/.test(text), sees)
        }
        const created = (yield* call("POST", "/queries", { token, json: { model: "embedded", ...query } })).json
        const body = { query_id: created.id, result_format: "sql" }
        assert.strictEqual((yield* call("POST", "/query_tasks", { token, json: body })).status, sees ? 200 : 422)
      }
    }).pipe(Effect.provide(inProcess(files, { users })))
  )

  it.effect("find nothing of a model they may not use: no query, no slug, no task", () =>
    Effect.gen(function* () {
      const { ben, nobody } = yield* everybody
      const body = { model: "embedded", ...query }
      const created = (yield* call("POST", "/queries", { token: ben, json: body })).json
      const task = { query_id: created.id, result_format: "json" }
      const refused = [
        yield* call("POST", "/queries", { token: nobody, json: body }),
        yield* call("GET", `/queries/${created.id}`, { token: nobody }),
        yield* call("GET", `/queries/slug/${created.slug}`, { token: nobody }),
        yield* call("GET", `/queries/slug/${created.client_id}`, { token: nobody }),
        yield* call("POST", "/query_tasks", { token: nobody, json: task })
      ]
      assert.deepStrictEqual(
        refused.map(({ json, status }) => [status, json.message]),
        refused.map(() => [404, "Not found"])
      )
      assert.strictEqual((yield* call("POST", "/query_tasks", { token: ben, json: task })).status, 200)
    }).pipe(Effect.provide(inProcess(files, { users })))
  )
})

describe("login_user", () => {
  it.effect("lets an admin act as another user, with a new token per call", () =>
    Effect.gen(function* () {
      const { admin, anna } = yield* everybody
      const id = yield* createTask(anna, query, "json")
      const first = yield* call("POST", "/login/7", { token: admin })
      const second = yield* call("POST", "/login/7", { token: admin })
      assert.deepStrictEqual([first.status, first.json.token_type, first.json.expires_in], [200, "Bearer", 3600])
      assert.notStrictEqual(first.json.access_token, second.json.access_token)
      const sudo = first.json.access_token
      assert.deepStrictEqual(yield* idOf(sudo), { id: "7" })
      assert.strictEqual((yield* call("GET", `/query_tasks/${id}`, { token: sudo })).status, 200)
      assert.strictEqual((yield* call("POST", "/login/8", { token: sudo })).status, 403)
      assert.strictEqual((yield* call("DELETE", "/logout", { token: sudo })).status, 204)
      assert.strictEqual((yield* call("GET", "/user", { token: sudo })).status, 401)
      assert.deepStrictEqual(yield* idOf(admin), { id: "1" })
      assert.deepStrictEqual(yield* idOf(second.json.access_token), { id: "7" })
      yield* TestClock.adjust("1 hour")
      assert.strictEqual((yield* call("GET", "/user", { token: second.json.access_token })).status, 401)
    }).pipe(Effect.provide(inProcess(files, { users })))
  )

  it.effect("refuses a user who is no admin, an unknown token, and an unknown user", () =>
    Effect.gen(function* () {
      const { admin, ben } = yield* everybody
      const refused = yield* call("POST", "/login/7", { token: ben })
      assert.deepStrictEqual([refused.status, refused.json.message.includes("Only an admin")], [403, true])
      assert.strictEqual((yield* call("POST", "/login/7")).status, 401)
      assert.strictEqual((yield* call("POST", "/login/99", { token: admin })).status, 404)
    }).pipe(Effect.provide(inProcess(files, { users })))
  )
})

describe("the session of a token", () => {
  it.effect("is in production until another workspace is chosen, which a new login forgets", () =>
    Effect.gen(function* () {
      const { admin } = yield* everybody
      const session = (token: string) => Effect.map(call("GET", "/session", { token }), ({ json }) => json)
      assert.deepInclude(yield* session(admin), { workspace_id: "production", sudo_user_id: null })
      const chosen = yield* call("PATCH", "/session", { token: admin, json: { workspace_id: "dev" } })
      assert.deepStrictEqual([chosen.status, chosen.json.workspace_id], [200, "dev"])
      assert.deepInclude(yield* session(admin), { workspace_id: "dev" })
      assert.deepInclude(yield* session(yield* login("admin", "a")), { workspace_id: "production" })
      const unknown = yield* call("PATCH", "/session", { token: admin, json: { workspace_id: "staging" } })
      assert.deepStrictEqual([unknown.status, unknown.json.errors[0].field], [422, "workspace_id"])
    }).pipe(Effect.provide(inProcess(files, { users })))
  )

  it.effect("says who is behind a sudo", () =>
    Effect.gen(function* () {
      const { admin } = yield* everybody
      const sudo = (yield* call("POST", "/login/7", { token: admin })).json.access_token
      assert.deepInclude((yield* call("GET", "/session", { token: sudo })).json, { sudo_user_id: "1" })
    }).pipe(Effect.provide(inProcess(files, { users })))
  )
})

describe("the users of the options", () => {
  const one = { id: "1", clientId: "a", clientSecret: "s" }
  it.effect.each([
    { given: { users: [] }, message: "users is empty" },
    { given: { users: [one], clientId: "b" }, message: "put the credentials into users" },
    { given: { users: [{ ...one, clientSecret: "" }] }, message: "users[0].clientSecret has to be a text" },
    { given: { users: [{ ...one, id: "" }] }, message: "users[0].id has to be a text" },
    { given: { users: [{ ...one, clientId: "" }] }, message: "users[0].clientId has to be a text" },
    {
      given: { users: [one, { id: "2", clientId: "b", clientSecret: Redacted.make("") }] },
      message: "users[1].clientSecret has to be a text"
    },
    { given: { users: [one, { ...one, clientId: "b" }] }, message: 'two users have the id "1"' },
    { given: { users: [one, { ...one, id: "2" }] }, message: 'two users have the clientId "a"' },
    { given: { users: [{ ...one, models: ["sales"] }] }, message: 'models has "sales", and there is only embedded' },
    {
      given: { users: [{ ...one, permissions: ["root" as "see_sql"] }] },
      message: 'permissions has "root", and there is only administer, see_sql'
    }
  ])("are refused: $message", ({ given, message }) =>
    Effect.gen(function* () {
      const data = yield* folder(files)
      const error = yield* Effect.flip(Layer.build(EmbeddedLooker.layer({ data, ...given })))
      assert.strictEqual(error._tag, "EmbeddedError")
      assert.include(error.message, message)
    })
  )
})

describe("fields", () => {
  it.effect("projects what is named, also within the query, and nothing where it is empty", () =>
    Effect.gen(function* () {
      const { anna } = yield* everybody
      const created = (yield* call("POST", "/queries?fields=id,model", {
        token: anna,
        json: { model: "embedded", ...query }
      })).json
      assert.deepStrictEqual(created, { id: created.id, model: "embedded" })
      const task = yield* call("POST", "/query_tasks?fields=id,%20query(id,%20model),status", {
        token: anna,
        json: { query_id: created.id, result_format: "json" }
      })
      const { id } = task.json
      assert.deepStrictEqual(task.json, { id, query: created, status: "added" })
      const read = (fields: string) =>
        Effect.map(call("GET", `/query_tasks/${id}?fields=${fields}`, { token: anna }), ({ json }) => json)
      assert.deepStrictEqual(Object.keys(yield* read("id,nothing,can(kill)")), ["can", "id"])
      assert.deepStrictEqual((yield* read("can(kill)")).can.see_results, undefined)
      assert.isAbove(Object.keys(yield* read("")).length, 15)
      assert.isAbove(Object.keys(yield* read("null")).length, 15)
      const view = yield* call("GET", `/queries/${created.id}?fields=view`, { token: anna })
      assert.deepStrictEqual(view.json, { view: "orders" })
    }).pipe(Effect.provide(inProcess(files, { users })))
  )
})
