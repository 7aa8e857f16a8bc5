import { Clock, Duration, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
/**
 * Test time that also lets real work (a body being read, DuckDB) happen between its steps.
 */

/** Lets promises and callbacks that are ready run. */
export const settle = Effect.promise(() => new Promise<void>((resolve) => setImmediate(() => setImmediate(resolve))))

/** Lets time pass in small steps, with the work that becomes due done in each. */
export const pass = Effect.fnUntraced(function* (duration: Duration.Input, step: Duration.Input = "10 millis") {
  const end = (yield* Clock.currentTimeMillis) + Duration.toMillis(Duration.fromInputUnsafe(duration))
  while ((yield* Clock.currentTimeMillis) < end) {
    yield* settle
    yield* TestClock.adjust(step)
  }
  yield* settle
})

/** Runs an effect while time passes, and says how much test time it took (in milliseconds). Dies when `limit` is not enough. */
export const timed = Effect.fnUntraced(function* <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  options: { readonly limit?: Duration.Input; readonly step?: Duration.Input } = {}
) {
  const start = yield* Clock.currentTimeMillis
  const limit = Duration.toMillis(Duration.fromInputUnsafe(options.limit ?? "1 hour"))
  const fiber = yield* Effect.forkChild(effect)
  yield* settle
  while (fiber.pollUnsafe() === undefined) {
    if ((yield* Clock.currentTimeMillis) - start > limit)
      return yield* Effect.die(new Error("still running at the limit"))
    yield* TestClock.adjust(options.step ?? "10 millis")
    yield* settle
  }
  const millis = (yield* Clock.currentTimeMillis) - start
  return { value: yield* Fiber.join(fiber), millis }
})

/** The value of {@link timed}. */
export const runOut = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  options?: { readonly limit?: Duration.Input; readonly step?: Duration.Input }
) => Effect.map(timed(effect, options), ({ value }) => value)
