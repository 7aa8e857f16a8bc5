import { NodeHttpClient } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { FetchHttpClient } from "effect/http"
import { type LookerError, Queries } from "effect-looker"
import { httpClients, looker } from "./support/layers.ts"
import * as StubLooker from "./support/StubLooker.ts"

const query = Queries.Queries.use((queries) => queries.query("1"))

const clients = [...httpClients, { name: "node:http", http: NodeHttpClient.layerNodeHttp }]

/** Another server, and a Looker that redirects to it. */
const redirecting = Effect.fnUntraced(function* (status: number, path: string) {
  const other = yield* StubLooker.onSocket(() => ({ json: { access_token: "theirs", expires_in: 3600, id: "1" } }))
  const location = `${other.baseUrl}/elsewhere?next=secret`
  const stub = yield* StubLooker.onSocket(
    StubLooker.withLogin((request) =>
      request.path === `/api/4.0${path}` ? { status, headers: { location }, text: "Moved" } : undefined
    )
  )
  return { other, stub, baseUrl: stub.baseUrl, target: `${other.baseUrl}/elsewhere` }
})

const assertNotFollowed = (error: LookerError.LookerError, target: string) => {
  assert.strictEqual(error._tag, "UnexpectedResponse")
  assert.include(error.message, `Looker redirects to ${target}. Redirects are not followed`)
  assert.include(error.message, "base URL")
}

describe.each(clients)("a redirect, with $name,", ({ http }) => {
  it.live.each([301, 302, 303, 307, 308])("is not followed with the credentials: %d of a login", (status) =>
    Effect.gen(function* () {
      const { baseUrl, other, stub, target } = yield* redirecting(status, "/login")
      const error = yield* Effect.flip(Effect.provide(query, looker(http, { baseUrl })))
      assertNotFollowed(error, target)
      assert.notInclude(JSON.stringify(error), "next=secret")
      assert.strictEqual(error._tag === "UnexpectedResponse" && error.status, status)
      assert.strictEqual(stub.received.length, 1)
      assert.strictEqual(other.received.length, 0)
    })
  )

  it.live.each([302, 307])("is not followed with the token: %d of a query", (status) =>
    Effect.gen(function* () {
      const { baseUrl, other, target } = yield* redirecting(status, "/queries/1")
      assertNotFollowed(yield* Effect.flip(Effect.provide(query, looker(http, { baseUrl }))), target)
      assert.strictEqual(other.received.length, 0)
    })
  )

  it.live("to a path is shown with its host", () =>
    Effect.gen(function* () {
      const stub = yield* StubLooker.onSocket(
        StubLooker.withLogin(({ path }) =>
          path === "/api/4.0/queries/1" ? { status: 302, headers: { location: "/login" } } : undefined
        )
      )
      const error = yield* Effect.flip(Effect.provide(query, looker(http, { baseUrl: stub.baseUrl })))
      assertNotFollowed(error, `${stub.baseUrl}/login`)
    })
  )
})

describe("the RequestInit of a program", () => {
  /** A `fetch` that keeps the options it was given. */
  const recording = () => {
    const seen: Array<RequestInit> = []
    const fetch: typeof globalThis.fetch = async (_, init) => {
      seen.push(init ?? {})
      return Response.json({ access_token: "a-token", expires_in: 3600, id: "1" })
    }
    return { seen, fetch: Layer.succeed(FetchHttpClient.Fetch, fetch) }
  }
  const init = Layer.succeed(FetchHttpClient.RequestInit, { credentials: "include", headers: { "x-team": "data" } })

  const assertKept = (seen: ReadonlyArray<RequestInit>) => {
    assert.isAtLeast(seen.length, 2)
    for (const { credentials, headers, redirect } of seen) {
      assert.strictEqual(redirect, "manual")
      assert.strictEqual(credentials, "include")
      assert.strictEqual(new Headers(headers as Record<string, string>).get("x-team"), "data")
    }
  }

  it.live("is kept when it was given to the layer of the client", () => {
    const { fetch, seen } = recording()
    const http = FetchHttpClient.layer.pipe(Layer.provide([init, fetch]))
    return Effect.gen(function* () {
      yield* query
      assertKept(seen)
    }).pipe(Effect.provide(looker(http)))
  })

  it.live("is kept when the calling fiber has it", () => {
    const { fetch, seen } = recording()
    return Effect.gen(function* () {
      yield* Effect.provide(query, init)
      assertKept(seen)
    }).pipe(Effect.provide(looker(FetchHttpClient.layer.pipe(Layer.provide(fetch)))))
  })

  it.live("is no more than redirect: manual where there was none, and does not stay with the calling fiber", () => {
    const { fetch, seen } = recording()
    return Effect.gen(function* () {
      yield* query
      assert.strictEqual(seen[0]?.redirect, "manual")
      assert.isUndefined(seen[0]?.credentials)
      assert.strictEqual((yield* Effect.serviceOption(FetchHttpClient.RequestInit))._tag, "None")
    }).pipe(Effect.provide(looker(FetchHttpClient.layer.pipe(Layer.provide(fetch)))))
  })

  it.live("is a redirect whose target a browser does not show", () => {
    const opaque = Layer.succeed(FetchHttpClient.Fetch, async () => {
      const response = Response.error()
      Object.defineProperty(response, "type", { value: "opaqueredirect" })
      return response
    })

    return Effect.gen(function* () {
      const error = yield* Effect.flip(query)
      assert.strictEqual(error._tag, "UnexpectedResponse")
      assert.include(error.message, "a browser does not show where to")
      assert.include(error.message, "Redirects are not followed")
      assert.strictEqual(error.endpoint, "POST /login")
    }).pipe(Effect.provide(looker(FetchHttpClient.layer.pipe(Layer.provide(opaque)))))
  })
})
