/**
 * Looker's official SDK against the embedded Looker: it works, and it gets what our client gets.
 */
import { NodeHttpClient } from "@effect/platform-node"
import { assert, layer, vi } from "@effect/vitest"
import { type IWriteCreateQueryTask, type Looker40SDK, ResultFormat } from "@looker/sdk"
import { LookerNodeSDK, NodeSettings } from "@looker/sdk-node"
import { DelimArray, type IApiSection, type IApiSettings } from "@looker/sdk-rtl"
import { Context, Effect, Layer, Redacted, Result, Stream } from "effect"
import { Looker, LookerApi, ResultFormat as LookerFormat, LookerHttp, Queries, QueryTasks } from "effect-looker"
import { EmbeddedLooker } from "effect-looker/embedded"
import { endpoints } from "../embedded/conformance.ts"
import { vega } from "../support/paths.ts"

/** The SDK's settings, from values. */
class Settings extends NodeSettings {
  private readonly values: IApiSection
  constructor(values: IApiSection) {
    super("LOOKERSDK", { base_url: values.base_url } as IApiSettings)
    this.values = values
  }
  override readConfig(): IApiSection {
    return this.values ?? {}
  }
}

/** The SDK, logged in to the embedded Looker of this test. */
class Sdk extends Context.Service<Sdk, Looker40SDK>()("test/Sdk") {}

const server = EmbeddedLooker.layerServer({
  data: vega("airports.csv"),
  users: [
    { id: "1", clientId: "admin", clientSecret: "secret", permissions: ["administer"] },
    { id: "2", clientId: "other", clientSecret: "secret", displayName: "Other" }
  ]
})

/** Method and path of what the SDK sent. */
const requested = new Set<string>()

const newSdk = (values: IApiSection) =>
  Effect.map(EmbeddedLooker.EmbeddedServer, ({ baseUrl, clientId, clientSecret }) =>
    LookerNodeSDK.init40(
      new Settings({ base_url: baseUrl, client_id: clientId, client_secret: Redacted.value(clientSecret), ...values })
    )
  )

const sdk = Layer.effect(
  Sdk,
  Effect.gen(function* () {
    // It prints a line on every call that is made without a signal.
    yield* Effect.acquireRelease(
      Effect.sync(() => vi.spyOn(console, "debug").mockImplementation(() => {})),
      (spy) => Effect.sync(() => spy.mockRestore())
    )
    const { fetch } = globalThis
    yield* Effect.acquireRelease(
      Effect.sync(() =>
        vi.spyOn(globalThis, "fetch").mockImplementation((input, init) => {
          requested.add(`${init?.method ?? "GET"} ${new URL(String(input)).pathname}`)
          return fetch(input, init)
        })
      ),
      (spy) => Effect.sync(() => spy.mockRestore())
    )
    return yield* newSdk({})
  })
)

const client = Layer.unwrap(Effect.map(EmbeddedLooker.EmbeddedServer, (server) => Looker.layer(server))).pipe(
  Layer.provide(NodeHttpClient.layerUndici)
)

const both = Layer.merge(sdk, client).pipe(Layer.provideMerge(server))

const use = <A>(f: (sdk: Looker40SDK) => Promise<{ ok: true; value: A } | { ok: false; error: unknown }>) =>
  Sdk.use((sdk) =>
    Effect.promise(() => f(sdk)).pipe(
      Effect.flatMap((answer) => (answer.ok ? Effect.succeed(answer.value) : Effect.fail(answer.error)))
    )
  )

const query = {
  model: "embedded",
  view: "airports",
  fields: ["airports.state", "airports.count", "airports.max_latitude"],
  filters: { "airports.country": "USA" },
  sorts: ["airports.count desc"],
  limit: "7"
}

/** Our client and the SDK both, and the same came out. */
const agree = Effect.fnUntraced(function* <A, B, E, R>(
  ours: Effect.Effect<A, E, R>,
  theirs: Effect.Effect<B, unknown, Sdk>
) {
  const expected: unknown = yield* ours
  assert.deepStrictEqual(yield* theirs, expected)
  return expected
})

const created = use((sdk) => sdk.create_query(query))

/** The status of a task once it is over. */
const ended = Effect.fnUntraced(function* (id: string) {
  while (true) {
    const { status = "" } = yield* use((sdk) => sdk.query_task(id))
    if (status !== "added" && status !== "running") return status
    yield* Effect.sleep("20 millis")
  }
})

const startTask = Effect.fnUntraced(function* (body: Partial<IWriteCreateQueryTask> = {}) {
  const { id = "" } = yield* created
  const task = yield* use((sdk) =>
    sdk.create_query_task({ body: { query_id: id, result_format: ResultFormat.json, ...body } })
  )
  return task.id ?? ""
})

const call = <A>(f: (http: LookerHttp.LookerHttp["Service"]) => Effect.Effect<A, unknown>) =>
  LookerHttp.LookerHttp.use(f)

layer(both, { excludeTestServices: true })("@looker/sdk-node", (it) => {
  it.effect("logs in, knows who it is, and logs out", () =>
    Effect.gen(function* () {
      yield* agree(
        call((http) => http.call(LookerApi.me, (send) => send({ query: {} }))),
        use((sdk) => sdk.me())
      )
      const leaving = yield* newSdk({})
      const me = () => Effect.tryPromise({ try: () => leaving.ok(leaving.me()), catch: String })
      assert.strictEqual((yield* me()).id, "1")
      assert.isTrue(leaving.authSession.isAuthenticated())
      yield* Effect.promise(() => leaving.ok(leaving.logout()))
      // The SDK does not know that its token has ended, so it sends it again.
      assert.include(yield* Effect.flip(me()), "Requires authentication.")
    })
  )

  it.effect("chooses a workspace, and sees the session of its token", () =>
    Effect.gen(function* () {
      yield* agree(
        call((http) => http.call(LookerApi.updateSession, (send) => send({ payload: { workspace_id: "dev" } }))),
        use((sdk) => sdk.update_session({ workspace_id: "dev" }))
      )
      yield* agree(
        call((http) => http.call(LookerApi.session, (send) => send({}))),
        use((sdk) => sdk.session())
      )
    })
  )

  it.effect("logs in as another user", () =>
    Effect.gen(function* () {
      const theirs = yield* use((sdk) => sdk.login_user("2"))
      const ours = yield* call((http) => http.call(LookerApi.loginUser, (send) => send({ params: { user_id: "2" } })))
      assert.deepStrictEqual({ ...theirs, access_token: "" }, { ...ours, access_token: "" })
      const { baseUrl } = yield* EmbeddedLooker.EmbeddedServer
      const names = yield* Effect.forEach([theirs, ours], ({ access_token }) =>
        Effect.promise(async () => {
          const headers = { authorization: `token ${access_token}` }
          return (await (await fetch(`${baseUrl}/api/4.0/user`, { headers })).json()).display_name
        })
      )
      assert.deepStrictEqual(names, ["Other", "Other"])
    })
  )

  it.effect("gets the query of our client, by id and by slug, and the same for the same body", () =>
    Effect.gen(function* () {
      const { client_id, id, slug } = yield* created
      const queries = yield* Queries.Queries
      yield* agree(queries.createQuery(query), created)
      yield* agree(
        queries.query(id ?? ""),
        use((sdk) => sdk.query(id ?? ""))
      )
      for (const one of [slug ?? "", client_id ?? ""]) {
        yield* agree(
          queries.queryForSlug(one),
          use((sdk) => sdk.query_for_slug(one))
        )
      }
      const some = yield* use((sdk) => sdk.query(id ?? "", "id,model"))
      assert.deepStrictEqual<object>(some, { id, model: "embedded" })
    })
  )

  it.effect("starts the task our client starts, and sees it as our client does", () =>
    Effect.gen(function* () {
      const { id: query_id = "" } = yield* created
      const tasks = yield* QueryTasks.QueryTasks
      const body = { query_id, result_format: "csv", deferred: true } as const
      const theirs = yield* use((sdk) =>
        sdk.create_query_task({ body: { ...body, result_format: ResultFormat.csv }, limit: 3, cache: false })
      )
      const ours = yield* tasks.createQueryTask(body, { limit: 3, cache: false })
      assert.deepStrictEqual<object>({ ...theirs, id: "" }, { ...ours, id: "" })
      yield* agree(
        tasks.queryTask(ours.id),
        use((sdk) => sdk.query_task(ours.id))
      )
      const projected = yield* use((sdk) => sdk.query_task(ours.id, "id,status"))
      assert.deepStrictEqual<object>(projected, { id: ours.id, status: "added" })
      for (const { id = "" } of [theirs, ours]) yield* tasks.killQuery(id)
    })
  )

  for (const format of LookerFormat.ResultFormat.literals) {
    it.effect(`gets as ${format} what our client gets`, () =>
      Effect.gen(function* () {
        const started = yield* Effect.result(startTask({ result_format: ResultFormat[format] }))
        const tasks = yield* QueryTasks.QueryTasks
        if (Result.isFailure(started)) {
          const { id: query_id = "" } = yield* created
          const error = yield* Effect.flip(tasks.createQueryTask({ query_id, result_format: format }))
          assert.strictEqual(error._tag, "ValidationFailed")
          assert.deepInclude(started.failure as object, { message: error.message })
          assert.include(error.message, `result_format ${format} is not supported`)
          return
        }
        const id = started.success
        assert.strictEqual(yield* ended(id), "complete")
        const body = yield* Effect.flatMap(tasks.queryTaskResults(id), Effect.fromOption)
        const bytes = Buffer.concat(yield* Stream.runCollect(body.bytes))
        assert.isAbove(bytes.length, 10)
        const theirs = yield* use<unknown>((sdk) => sdk.query_task_results(id))
        const isJson = body.contentType.startsWith("application/json")
        const isText = isJson || /^text\/|charset=/i.test(body.contentType)
        const text = bytes.toString(isText ? "utf8" : "latin1")
        assert.deepStrictEqual(theirs, isJson ? JSON.parse(text) : text)
      })
    )
  }

  it.effect("asks about several tasks at once, and gets what our client gets", () =>
    Effect.gen(function* () {
      const done = [yield* startTask(), yield* startTask({ result_format: ResultFormat.csv })]
      const waiting = yield* startTask({ deferred: true })
      for (const id of done) assert.strictEqual(yield* ended(id), "complete")
      const ids = [...done, waiting, "0123456789abcdef0123456789abcdef"]
      const tasks = yield* QueryTasks.QueryTasks
      const answers = yield* agree(
        tasks.queryTaskMultiResults(ids),
        use((sdk) => sdk.query_task_multi_results(new DelimArray(ids)))
      )
      const statuses = ids.map((id) => (answers as Record<string, { readonly status: string }>)[id]?.status)
      assert.deepStrictEqual(statuses, ["complete", "complete", "added", "missing"])
      yield* tasks.killQuery(waiting)
    })
  )

  it.effect("sees running queries as our client does, and has no task left to kill afterwards", () =>
    Effect.gen(function* () {
      const id = yield* startTask({ deferred: true })
      const tasks = yield* QueryTasks.QueryTasks
      yield* agree(
        tasks.allRunningQueries,
        use((sdk) => sdk.all_running_queries())
      )
      yield* use((sdk) => sdk.kill_query(id))
      const state = yield* tasks.queryTaskMultiResults([id])
      assert.deepStrictEqual(state, { [id]: { status: "killed" } })
      const [theirs, ours] = [
        yield* Effect.flip(use((sdk) => sdk.kill_query(id))),
        yield* Effect.flip(tasks.killQuery(id))
      ]
      assert.deepInclude(theirs as object, { message: ours.message })
      assert.strictEqual(ours._tag, "NotFound")
    })
  )

  it.effect("learns what is wrong with a field that does not exist", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(
        use((sdk) => sdk.create_query({ model: "embedded", view: "airports", fields: ["airports.stat"] }))
      )
      const { errors, message } = error as { message: string; errors: ReadonlyArray<{ field: string }> }
      assert.isString(message)
      assert.strictEqual(errors.length, 1)
      assert.strictEqual(errors[0]?.field, "fields")
    })
  )

  it.effect("is refused with 404 when its secret is wrong", () =>
    Effect.gen(function* () {
      const stranger = yield* newSdk({ client_secret: "wrong" })
      const error = yield* Effect.flip(Effect.tryPromise({ try: () => stranger.ok(stranger.me()), catch: String }))
      assert.include(error, "Not found")
    })
  )

  it("has run every endpoint of the contract", () => {
    const missing = endpoints.filter(({ matches, method }) => {
      const first = (path: string) => endpoints.find((one) => one.method === method && one.matches.test(path))?.matches
      return ![...requested].some(
        (request) => request.startsWith(`${method} `) && first(request.slice(method.length + 1)) === matches
      )
    })
    assert.deepStrictEqual(
      missing.map(({ name }) => name),
      []
    )
  })
})
