import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Layer } from "effect"
import { RateLimiter } from "effect/persistence"
import { LookerPolicy, QueryTasks } from "effect-looker"
import { looker } from "./support/layers.ts"
import * as StubLooker from "./support/StubLooker.ts"
import { timed } from "./support/time.ts"

const policy = { rateLimit: { limit: 10, window: "1 second" } } as const

const stub = () =>
  StubLooker.inProcess(
    StubLooker.withLogin(({ method, path }) =>
      method === "GET" && path.startsWith("/api/4.0/query_tasks/") ? { json: { id: "t1" } } : undefined
    )
  )

const ask = (times: number) =>
  QueryTasks.QueryTasks.use((tasks) =>
    Effect.forEach(Array.from({ length: times }), () => tasks.queryTask("t1"), {
      concurrency: "unbounded",
      discard: true
    })
  )

describe("a rate limit in the policy", () => {
  it.effect("is kept", () =>
    Effect.gen(function* () {
      const { millis } = yield* timed(ask(30))
      assert.isAtLeast(millis, 1900)
      assert.isAtMost(millis, 2200)
    }).pipe(Effect.provide(looker(stub().layer, { policy })))
  )

  it.effect("is one for all clients that share a RateLimiter", () =>
    Effect.gen(function* () {
      const one = yield* Layer.build(looker(stub().layer, { policy }))
      const other = yield* Layer.build(looker(stub().layer, { policy }))
      const { millis } = yield* timed(
        Effect.all([Effect.provide(ask(15), one), Effect.provide(ask(15), other)], { concurrency: 2 })
      )
      assert.isAtLeast(millis, 1900)
    }).pipe(Effect.scoped, Effect.provide(RateLimiter.layer.pipe(Layer.provide(RateLimiter.layerStoreMemory))))
  )

  it.effect("that cannot be asked about is LookerUnavailable, and nothing is sent", () => {
    const down = Effect.fail(
      new RateLimiter.RateLimiterError({
        reason: new RateLimiter.RateLimitStoreError({ message: "the store is down", cause: "no connection" })
      })
    )
    const store = Layer.mock(RateLimiter.RateLimiterStore, { tokenBucket: () => down, adaptiveConsume: () => down })
    const { layer, received } = stub()
    return Effect.gen(function* () {
      const { value } = yield* timed(Effect.flip(ask(1)))
      assert.strictEqual(value._tag, "LookerUnavailable")
      assert.include(value.message, "rate limiter")
      assert.isFalse(received.some(({ path }) => path.startsWith("/api/4.0/query_tasks")))
    }).pipe(Effect.provide(looker(layer, { policy }).pipe(Layer.provide(RateLimiter.layer), Layer.provide(store))))
  })

  for (const rateLimit of [
    { limit: 0, window: "1 second" },
    { limit: -1, window: "1 second" },
    { limit: Number.NaN, window: "1 second" },
    { limit: 10, window: Duration.zero }
  ] as const) {
    it.effect(`is refused where it makes no sense: ${rateLimit.limit} in ${String(rateLimit.window)}`, () =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(LookerPolicy.make({ rateLimit }))
        assert.strictEqual(error._tag, "ConfigurationError")
        assert.include(error.message, "rateLimit")
      })
    )
  }
})
