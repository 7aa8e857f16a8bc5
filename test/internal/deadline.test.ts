import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Exit, Fiber, Stream } from "effect"
import { TestClock } from "effect/testing"
import * as deadline from "../../src/internal/deadline.ts"

const limit = Duration.seconds(5)
const late = () => Effect.fail("late")

describe("a time limit", () => {
  it.effect("ends what is not done by then, to the millisecond", () =>
    Effect.gen(function* () {
      const within = yield* deadline.make(limit)
      const fiber = yield* Effect.forkChild(Effect.flip(within(Effect.never, late)), { startImmediately: true })
      yield* TestClock.adjust("4999 millis")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(yield* Fiber.join(fiber), "late")
    })
  )

  it.effect("begins anew with each that starts", () =>
    Effect.gen(function* () {
      const within = yield* deadline.make(limit)
      const start = (takes: Duration.Input) =>
        Effect.forkChild(Effect.exit(within(Effect.as(Effect.sleep(takes), "done"), late)), { startImmediately: true })
      const first = yield* start("10 seconds")
      yield* TestClock.adjust("3 seconds")
      const second = yield* start("4 seconds")
      const third = yield* start("6 seconds")
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(
        [yield* Fiber.join(first), yield* Fiber.join(second), yield* Fiber.join(third)],
        [Exit.fail("late"), Exit.succeed("done"), Exit.fail("late")]
      )
    })
  )

  it.effect("interrupts what it ends", () =>
    Effect.gen(function* () {
      const within = yield* deadline.make(limit)
      let interrupted = false
      const endless = Effect.onInterrupt(Effect.never, () =>
        Effect.sync(() => {
          interrupted = true
        })
      )
      const fiber = yield* Effect.forkChild(Effect.flip(within(endless, late)), { startImmediately: true })
      yield* TestClock.adjust(limit)
      yield* Fiber.join(fiber)
      assert.isTrue(interrupted)
    })
  )

  it.effect("is for each piece of a stream", () =>
    Effect.gen(function* () {
      const pieces: Array<number> = []
      const slow = Stream.make(3, 4, 6).pipe(
        Stream.mapEffect((seconds) => Effect.as(Effect.sleep(Duration.seconds(seconds)), seconds))
      )
      const fiber = yield* deadline.withinEach(slow, limit, late).pipe(
        Stream.runForEach((piece) => Effect.sync(() => pieces.push(piece))),
        Effect.exit,
        Effect.forkChild({ startImmediately: true })
      )
      for (let second = 0; second < 13; second++) yield* TestClock.adjust("1 second")
      assert.deepStrictEqual([yield* Fiber.join(fiber), pieces], [Exit.fail("late"), [3, 4]])
    })
  )
})
