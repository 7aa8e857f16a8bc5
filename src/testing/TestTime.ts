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
import { statements } from "../embedded/database/statements.ts"

/** Each step is this much longer than the one before, so that an hour takes no longer than it has to. */
const growth = 1.02

const realMillisecond = TestClock.withLive(Effect.sleep("1 millis"))

/** Two turns of the event loop: a body in memory is read within one. */
const twoTurns = Effect.andThen(Effect.yieldNow, Effect.yieldNow)

/**
 * Runs an effect to its end on the `TestClock`, however many pauses it makes.
 *
 * **Details**
 *
 * The first step is 50 ms of test time unless `step` says otherwise, and each is 2 % longer than the one before; each waits a
 * millisecond of real time for real work. So times come out up to 2 % too long. With `exact` all steps are as long as the first,
 * and none waits for real work: for programs that send nothing over a socket. Statements of the embedded Looker take no test time
 * in either case.
 *
 * **Example**
 *
 * ```ts
 * const looker = Looker.layer({ baseUrl: EmbeddedLooker.inProcessBaseUrl, ...EmbeddedLooker.credentials }).pipe(
 *   Layer.provide(EmbeddedLooker.layer({ data: "./data", taskDelay: "10 minutes" }))
 * )
 *
 * it.effect("counts the orders", () =>
 *   Effect.gen(function* () {
 *     const runner = yield* QueryRunner.QueryRunner
 *     const { rows } = yield* TestTime.run(
 *       runner.run({ model: "embedded", view: "orders", fields: ["orders.count"] })
 *     )
 *     assert.deepStrictEqual(rows, [{ "orders.count": 4 }])
 *   }).pipe(Effect.provide(looker))
 * )
 * ```
 *
 * @category testing
 * @since 0.1.0
 */
export const run = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  options: { readonly step?: Duration.Input | undefined; readonly exact?: boolean | undefined } = {}
): Effect.Effect<A, E, R> =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(effect)
    const exact = options.exact === true
    let step = Duration.toMillis(Duration.fromInputUnsafe(options.step ?? "50 millis"))
    while (fiber.pollUnsafe() === undefined) {
      yield* exact ? twoTurns : realMillisecond
      while (statements.running > 0) yield* realMillisecond
      if (fiber.pollUnsafe() !== undefined) break
      yield* TestClock.adjust(Math.ceil(step))
      if (!exact) step *= growth
    }
    return yield* Fiber.join(fiber)
  })
