import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Queries, type Query } from "effect-looker"
import { looker } from "./support/layers.ts"
import * as StubLooker from "./support/StubLooker.ts"

/** Answers every query with `answer`, and shows what was asked beside the login. */
const answering = (answer: unknown) => {
  const stub = StubLooker.inProcess(
    StubLooker.withLogin(({ path }) => (path.startsWith("/api/4.0/queries") ? { json: answer } : undefined))
  )
  return { layer: looker(stub.layer), asked: () => stub.received.filter(({ path }) => !/\/log(in|out)$/.test(path)) }
}

const odd: ReadonlyArray<readonly [string, string]> = [
  ["1", "1"],
  ["a b", "a%20b"],
  ["a/b", "a%2Fb"],
  ["../../logout", "..%2F..%2Flogout"],
  ["a?b=c", "a%3Fb%3Dc"],
  ["a#b", "a%23b"],
  ["a%20b", "a%2520b"],
  ["%2e%2e", "%252e%252e"],
  ["...", "..."],
  ["é✓", "%C3%A9%E2%9C%93"],
  [":query_id", "%3Aquery_id"]
]

describe("Queries.createQuery", () => {
  const create = (query: Query.QueryInput, options?: Queries.Options) =>
    Queries.Queries.use((queries) => queries.createQuery(query, options))

  it.effect("sends the query as JSON, limits as text, null as null, and keys it does not know", () => {
    const { asked, layer } = answering({ id: "1" })
    return Effect.gen(function* () {
      yield* create({
        model: "airports",
        view: "flights",
        fields: ["flights.origin", "flights.count"],
        filters: { "flights.origin": 'SFO, "LAX", O\'Hare' },
        sorts: [],
        limit: 500,
        column_limit: 50,
        total: true,
        subtotals: null,
        vis_config: { type: "table", x: { y: [1, null] } },
        // A key of a newer Looker than this library knows.
        ...{ a_new_key: { z: 1 } }
      })
      const [request] = asked()
      assert.strictEqual(request?.method, "POST")
      assert.strictEqual(request?.target, "/api/4.0/queries")
      assert.strictEqual(request?.headers["content-type"], "application/json")
      assert.deepStrictEqual(JSON.parse(request?.body ?? ""), {
        model: "airports",
        view: "flights",
        fields: ["flights.origin", "flights.count"],
        filters: { "flights.origin": 'SFO, "LAX", O\'Hare' },
        sorts: [],
        limit: "500",
        column_limit: "50",
        total: true,
        subtotals: null,
        vis_config: { type: "table", x: { y: [1, null] } },
        // A key of a newer Looker than this library knows.
        ...{ a_new_key: { z: 1 } }
      })
    }).pipe(Effect.provide(layer))
  })

  it.effect("leaves out what only Looker sets, and filter_config", () => {
    const { asked, layer } = answering({ id: "1" })
    return Effect.gen(function* () {
      yield* create({
        model: "m",
        view: "v",
        id: "1944",
        can: { run: true },
        slug: "s",
        share_url: "https://acme/x/s",
        expanded_share_url: "https://acme/e",
        url: "/e",
        has_table_calculations: false,
        filter_config: { a: 1 },
        client_id: "AbCdEfGhIjKlMnOpQrStUv"
      })
      assert.deepStrictEqual(JSON.parse(asked()[0]?.body ?? ""), {
        model: "m",
        view: "v",
        client_id: "AbCdEfGhIjKlMnOpQrStUv"
      })
    }).pipe(Effect.provide(layer))
  })

  it.effect("takes the answer of another call as its query", () => {
    const { asked, layer } = answering({ id: 5, model: "m", view: "v", limit: "500", slug: "s", runtime: 0.4 })
    return Effect.gen(function* () {
      const queries = yield* Queries.Queries
      const query = yield* queries.query("5")
      yield* create({ ...query, model: query.model ?? "", view: query.view ?? "" })
      assert.deepStrictEqual(JSON.parse(asked()[1]?.body ?? ""), { model: "m", view: "v", limit: "500", runtime: 0.4 })
    }).pipe(Effect.provide(layer))
  })

  it.effect.each([
    [{}, "/api/4.0/queries"],
    [{ fields: undefined }, "/api/4.0/queries"],
    [{ fields: "" }, "/api/4.0/queries?fields="],
    [{ fields: "id,slug" }, "/api/4.0/queries?fields=id%2Cslug"]
  ] as const)("asks for the fields %j", ([options, target]) => {
    const { asked, layer } = answering({ id: "1" })
    return Effect.gen(function* () {
      assert.deepStrictEqual(yield* create({ model: "m", view: "v" }, options), { id: "1" })
      assert.strictEqual(asked()[0]?.target, target)
    }).pipe(Effect.provide(layer))
  })

  it.effect.each([
    { view: "v" },
    { model: "m" },
    { model: "m", view: 5 },
    { model: "m", view: "v", fields: "flights.count" },
    { model: "m", view: "v", filters: { a: 1 } },
    { model: "m", view: "v", limit: true }
  ])("refuses %j as BadRequest, and asks Looker nothing", (query) => {
    const { asked, layer } = answering({ id: "1" })
    return Effect.gen(function* () {
      const error = yield* Effect.flip(create(query as never))
      assert.strictEqual(error._tag, "BadRequest")
      assert.isNotEmpty(error.message)
      assert.strictEqual(asked().length, 0)
    }).pipe(Effect.provide(layer))
  })
})

const lookups = [
  {
    name: "query",
    path: "/api/4.0/queries/",
    call: (id: string, options?: Queries.Options) => Queries.Queries.use((queries) => queries.query(id, options))
  },
  {
    name: "queryForSlug",
    path: "/api/4.0/queries/slug/",
    call: (slug: string, options?: Queries.Options) =>
      Queries.Queries.use((queries) => queries.queryForSlug(slug, options))
  }
] as const

describe.each(lookups)("Queries.$name", ({ call, path }) => {
  it.effect.each(odd)("puts %j into the path as %s", ([id, encoded]) => {
    const { asked, layer } = answering({ id: "1" })
    return Effect.gen(function* () {
      yield* call(id)
      assert.deepStrictEqual(
        asked().map(({ method, target }) => [method, target]),
        [["GET", path + encoded]]
      )
    }).pipe(Effect.provide(layer))
  })

  it.effect.each(["", ".", ".."])("refuses %j as BadRequest, and asks Looker nothing", (id) => {
    const { asked, layer } = answering({ id: "1" })
    return Effect.gen(function* () {
      const error = yield* Effect.flip(call(id))
      assert.strictEqual(error._tag, "BadRequest")
      assert.strictEqual(asked().length, 0)
    }).pipe(Effect.provide(layer))
  })

  it.effect("refuses text that no URL can hold", () => {
    const { asked, layer } = answering({ id: "1" })
    return Effect.gen(function* () {
      const error = yield* Effect.flip(call("\uD800"))
      assert.strictEqual(error._tag, "BadRequest")
      assert.strictEqual(asked().length, 0)
    }).pipe(Effect.provide(layer))
  })

  it.effect("asks for fields, and takes an answer that has no others", () => {
    const { asked, layer } = answering({ model: "m" })
    return Effect.gen(function* () {
      assert.deepStrictEqual(yield* call("1", { fields: "model" }), { model: "m" })
      assert.strictEqual(asked()[0]?.target, `${path}1?fields=model`)
    }).pipe(Effect.provide(layer))
  })

  it.effect("gives ids and limits as text, and keeps null and unknown keys", () => {
    const { layer } = answering({
      id: 1944,
      model: "m",
      view: "v",
      limit: 500,
      fields: null,
      pivots: null,
      a_new_key: [1]
    })
    return Effect.gen(function* () {
      assert.deepStrictEqual(yield* call("1944"), {
        id: "1944",
        model: "m",
        view: "v",
        limit: "500",
        fields: null,
        pivots: null,
        a_new_key: [1]
      })
    }).pipe(Effect.provide(layer))
  })
})
