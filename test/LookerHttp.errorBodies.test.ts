import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Layer, Schedule } from "effect"
import { HttpClient, HttpClientResponse } from "effect/http"
import { LookerApi, LookerHttp, Queries } from "effect-looker"
import { httpClients, looker } from "./support/layers.ts"
import * as StubLooker from "./support/StubLooker.ts"

const query = Queries.Queries.use((queries) => queries.query("1"))
const once = { retry: Schedule.recurs(0) }

/** A Looker in process whose answers have an endless body, and how many bytes of it were taken. */
const endless = (status: number, piece: string) => {
  let taken = 0
  let left = false
  const bytes = new TextEncoder().encode(piece)
  const client = HttpClient.make((request, url) => {
    if (url.pathname.endsWith("/login")) {
      const login = Response.json({ access_token: "a-token", expires_in: 3600 })
      return Effect.succeed(HttpClientResponse.fromWeb(request, login))
    }
    const body = new ReadableStream<Uint8Array>({
      pull: (controller) => {
        taken += bytes.length
        controller.enqueue(bytes)
      },
      cancel: () => {
        left = true
      }
    })
    return Effect.succeed(HttpClientResponse.fromWeb(request, new Response(body, { status })))
  })
  return { layer: Layer.succeed(HttpClient.HttpClient, client), taken: () => taken, left: () => left }
}

describe("the body of an error", () => {
  it.live.each([400, 404, 429, 500, 503, 418])("is left after 64 kB when it never ends (%d)", (status) => {
    const stub = endless(status, "x".repeat(1000))
    return Effect.gen(function* () {
      const error = yield* Effect.flip(query)
      assert.include(error.message, "xxx")
      assert.isBelow(error.message.length, 700)
      assert.isBelow(stub.taken(), 80_000)
      assert.isTrue(stub.left())
    }).pipe(Effect.provide(looker(stub.layer, { policy: once })))
  })

  it.live("is left also with a success status that the contract does not have", () => {
    const stub = endless(206, "x".repeat(1000))
    return Effect.gen(function* () {
      const error = yield* Effect.flip(
        LookerHttp.LookerHttp.use(({ call }) =>
          call(LookerApi.query, (send) => send({ params: { query_id: "1" }, query: {} }))
        )
      )
      assert.strictEqual(error._tag === "UnexpectedResponse" && error.status, 206)
      assert.isBelow(stub.taken(), 80_000)
      assert.isTrue(stub.left())
    }).pipe(Effect.provide(looker(stub.layer, { policy: once })))
  })

  it.live.each(httpClients)("that never ends closes its connection ($name)", ({ http }) =>
    Effect.gen(function* () {
      const stub = yield* StubLooker.onSocket(
        StubLooker.withLogin(({ path }) =>
          path === "/api/4.0/queries/1" ? { status: 500, text: "x".repeat(4_000_000), drip: Effect.void } : undefined
        )
      )
      const error = yield* Effect.flip(Effect.provide(query, looker(http, { baseUrl: stub.baseUrl, policy: once })))
      assert.strictEqual(error._tag, "LookerUnavailable")
      assert.isBelow(error.message.length, 700)
    })
  )

  const unit = 8_000
  it.live.each([
    "<title",
    "<title>",
    "<title ",
    "<",
    "<<",
    "<a",
    "</",
    " ",
    "\n",
    "\t \r\n",
    "a ",
    "&",
    '{"message":',
    "[",
    "<!doctype",
    "<html "
  ])("is read in a time that grows with its length: %j", (piece) =>
    Effect.gen(function* () {
      const page = `<html>${piece.repeat(60 * Math.ceil(unit / piece.length))}`
      assert.isAtLeast(page.length, 480_000)
      const stub = StubLooker.inProcess(
        StubLooker.withLogin(({ path }) => (path === "/api/4.0/queries/1" ? { status: 500, text: page } : undefined))
      )
      const times: Array<number> = []
      for (let time = 0; time < 3; time++) {
        const start = yield* Clock.currentTimeMillis
        const error = yield* Effect.flip(Effect.provide(query, looker(stub.layer, { policy: once })))
        assert.strictEqual(error._tag, "LookerUnavailable")
        times.push((yield* Clock.currentTimeMillis) - start)
      }
      // With patterns that backtrack it is 24 s, and 0.4 s where 64 kB of it are looked at. These take less than 10 ms on an idle machine.
      assert.isBelow(Math.min(...times), 200)
    })
  )
})
