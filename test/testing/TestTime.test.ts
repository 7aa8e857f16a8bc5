import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber, Layer } from "effect"
import { Looker, QueryRunner } from "effect-looker"
import { EmbeddedLooker } from "effect-looker/embedded"
import { TestTime } from "effect-looker/testing"
import { vega } from "../support/paths.ts"
import { settle } from "../support/time.ts"

const looker = Looker.layer({ baseUrl: EmbeddedLooker.inProcessBaseUrl, ...EmbeddedLooker.credentials }).pipe(
  Layer.provide(
    EmbeddedLooker.layer({
      data: vega("airports.csv"),
      taskDelay: "10 minutes"
    })
  )
)

const count = QueryRunner.QueryRunner.use((runner) =>
  runner.run({ model: "embedded", view: "airports", fields: ["airports.count"] })
)

describe("TestTime.run", () => {
  it.effect("takes a query on the embedded Looker through ten minutes of test time", () =>
    Effect.gen(function* () {
      const { rows } = yield* TestTime.run(count)
      assert.deepStrictEqual(rows, [{ "airports.count": 3376 }])
      assert.isAtLeast(yield* Clock.currentTimeMillis, 600_000)
    }).pipe(Effect.provide(looker))
  )

  it.effect("passes whole milliseconds, however short its steps", () =>
    Effect.gen(function* () {
      yield* TestTime.run(Effect.sleep("3 millis"), { step: "500 micros", exact: true })
      assert.strictEqual(yield* Clock.currentTimeMillis, 3)
      yield* TestTime.run(Effect.sleep("200 millis"))
      // Steps of 50, 51, 53 and 54 milliseconds: each is two percent longer, and rounded up.
      assert.strictEqual(yield* Clock.currentTimeMillis, 3 + 50 + 51 + 53 + 54)
    })
  )

  it.effect("fails as the effect does, and is interrupted with it", () =>
    Effect.gen(function* () {
      assert.strictEqual(
        yield* Effect.flip(TestTime.run(Effect.andThen(Effect.sleep("1 hour"), Effect.fail("no")))),
        "no"
      )
      let interrupted = false
      const fiber = yield* Effect.forkChild(
        TestTime.run(Effect.onInterrupt(Effect.never, () => Effect.sync(() => (interrupted = true))))
      )
      yield* settle
      yield* Fiber.interrupt(fiber)
      assert.isTrue(interrupted)
    })
  )
})
