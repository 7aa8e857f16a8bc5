/**
 * Looker's official SDK against the embedded Looker: it works, and it gets what our client gets.
 */
import { fileURLToPath } from "node:url"
import { NodeHttpClient } from "@effect/platform-node"
import { assert, layer, vi } from "@effect/vitest"
import { type Looker40SDK, ResultFormat } from "@looker/sdk"
import { LookerNodeSDK, NodeSettings } from "@looker/sdk-node"
import { DelimArray, type IApiSection, type IApiSettings } from "@looker/sdk-rtl"
import { Context, Effect, Layer, Redacted } from "effect"
import { Looker, QueryRunner, QueryTasks } from "effect-looker"
import { EmbeddedLooker } from "effect-looker/embedded"

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
  data: fileURLToPath(new URL("../../node_modules/vega-datasets/data/airports.csv", import.meta.url))
})

const sdk = Layer.effect(
  Sdk,
  Effect.gen(function* () {
    const { baseUrl, clientId, clientSecret } = yield* EmbeddedLooker.EmbeddedServer
    // It prints a line on every call that is made without a signal.
    yield* Effect.acquireRelease(
      Effect.sync(() => vi.spyOn(console, "debug").mockImplementation(() => {})),
      (spy) => Effect.sync(() => spy.mockRestore())
    )
    return LookerNodeSDK.init40(
      new Settings({ base_url: baseUrl, client_id: clientId, client_secret: Redacted.value(clientSecret) })
    )
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

/** The life of a task as the SDK's own examples write it. */
const runWithSdk = Effect.fnUntraced(function* (format: "json" | "json_detail" | "json_bi" | "csv") {
  const { id = "" } = yield* use((sdk) => sdk.create_query(query))
  const task = yield* use((sdk) =>
    sdk.create_query_task({ body: { query_id: id, result_format: ResultFormat[format] } })
  )
  while (true) {
    const { status } = yield* use((sdk) => sdk.query_task(task.id ?? ""))
    if (status === "complete") break
    assert.include(["added", "running"], status)
    yield* Effect.sleep("20 millis")
  }
  return yield* use<unknown>((sdk) => sdk.query_task_results(task.id ?? ""))
})

layer(both, { excludeTestServices: true })("@looker/sdk-node", (it) => {
  it.effect("logs in, knows who it is, and logs out", () =>
    Effect.gen(function* () {
      const me = yield* use((sdk) => sdk.me())
      assert.isString(me.id)
      const sdk = yield* Sdk
      assert.isTrue(sdk.authSession.isAuthenticated())
      yield* Effect.promise(() => sdk.authSession.logout())
      assert.isString((yield* use((sdk) => sdk.me())).id)
    })
  )

  for (const format of ["json", "json_detail", "json_bi", "csv"] as const) {
    it.effect(`gets as ${format} what our client gets`, () =>
      Effect.gen(function* () {
        const theirs = yield* runWithSdk(format)
        const ours = yield* QueryRunner.QueryRunner.use((runner) => runner.run(query, { format }))
        assert.strictEqual(ours.rows.length, 7)
        const comparable = (body: unknown) =>
          format === "json_detail" ? { ...(body as object), id: "", ran_at: "", runtime: "" } : body
        assert.deepStrictEqual(comparable(theirs), comparable(ours.data))
      })
    )
  }

  it.effect("finds the query again by id and by slug, the same for the same body", () =>
    Effect.gen(function* () {
      const first = yield* use((sdk) => sdk.create_query(query))
      const second = yield* use((sdk) => sdk.create_query(query))
      assert.strictEqual(first.id, second.id)
      assert.deepStrictEqual(yield* use((sdk) => sdk.query(first.id ?? "")), first)
      assert.strictEqual((yield* use((sdk) => sdk.query_for_slug(first.slug ?? ""))).id, first.id)
      assert.strictEqual((yield* use((sdk) => sdk.query_for_slug(first.client_id ?? ""))).id, first.id)
    })
  )

  it.effect("asks about several tasks at once", () =>
    Effect.gen(function* () {
      const { id = "" } = yield* use((sdk) => sdk.create_query(query))
      const tasks = yield* Effect.forEach([1, 2, 3], () =>
        use((sdk) => sdk.create_query_task({ body: { query_id: id, result_format: ResultFormat.json } }))
      )
      const ids = tasks.map((task) => task.id ?? "")
      while (true) {
        const answers = yield* use((sdk) => sdk.query_task_multi_results(new DelimArray(ids)))
        assert.sameMembers(Object.keys(answers), ids)
        if (ids.every((id) => answers[id].status === "complete")) {
          assert.deepStrictEqual(answers[ids[0] ?? ""].data, answers[ids[2] ?? ""].data)
          break
        }
        yield* Effect.sleep("20 millis")
      }
    })
  )

  it.effect("sees running queries, and has no task left to kill afterwards", () =>
    Effect.gen(function* () {
      const { id = "" } = yield* use((sdk) => sdk.create_query(query))
      const task = yield* use((sdk) =>
        sdk.create_query_task({ body: { query_id: id, result_format: ResultFormat.json, deferred: true } })
      )
      const running = yield* use((sdk) => sdk.all_running_queries())
      assert.include(
        running.map((one) => one.query_task_id),
        task.id
      )
      yield* use((sdk) => sdk.kill_query(task.id ?? ""))
      const tasks = yield* QueryTasks.QueryTasks
      const state = yield* tasks.queryTaskMultiResults([task.id ?? ""])
      assert.deepStrictEqual(state, { [task.id ?? ""]: { status: "killed" } })
      const again = yield* Effect.flip(use((sdk) => sdk.kill_query(task.id ?? "")))
      assert.deepInclude(again as object, { message: "Not found" })
    })
  )

  it.effect("is told what is wrong with a field that does not exist", () =>
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
      const { baseUrl } = yield* EmbeddedLooker.EmbeddedServer
      const stranger = LookerNodeSDK.init40(
        new Settings({
          base_url: baseUrl,
          client_id: "embedded",
          client_secret: "wrong"
        })
      )
      const error = yield* Effect.flip(Effect.tryPromise({ try: () => stranger.ok(stranger.me()), catch: String }))
      assert.include(error, "Not found")
    })
  )
})
