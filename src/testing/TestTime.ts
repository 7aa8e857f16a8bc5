/**
 * Test time for programs that do real work between their pauses: DuckDB, sockets, files.
 *
 * `TestClock.adjust` moves time at once, past pauses that have not begun because something real is still under way. Here time passes
 * in steps, and what is ready is done in each.
 *
 * @since 0.1.0
 */

import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/testing/TestClock"

/** Each step is this much longer than the one before, so that an hour takes no longer than it has to. */
const growth = 1.02

/**
 * Runs an effect to its end on the `TestClock`, however many pauses it makes.
 *
 * **Details**
 *
 * The first step is 50 ms of test time unless `step` says otherwise, and each is 2 % longer than the one before; each waits a
 * millisecond of real time for real work. So times come out up to 2 % too long.
 *
 * **Example**
 *
 * ```ts
 * it.effect("reports", () =>
 *   Effect.gen(function* () {
 *     assert.strictEqual(yield* TestTime.run(report), "5 rows")
 *   }).pipe(Effect.provide(embeddedLooker))
 * )
 * ```
 *
 * @category testing
 * @since 0.1.0
 */
export const run = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  options: { readonly step?: Duration.Input | undefined } = {}
): Effect.Effect<A, E, R> =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(effect)
    let step = Duration.toMillis(Duration.fromInputUnsafe(options.step ?? "50 millis"))
    while (fiber.pollUnsafe() === undefined) {
      yield* TestClock.withLive(Effect.sleep("1 millis"))
      yield* TestClock.adjust(Math.ceil(step))
      step *= growth
    }
    return yield* Fiber.join(fiber)
  })
