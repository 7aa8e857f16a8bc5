/** Test time in steps of 10 ms, for programs that do everything in memory: their times can be asserted to a step. */
import { Clock, type Duration, Effect } from "effect"
import { TestTime } from "effect-looker/testing"

interface Options {
  /** Dies when this is not enough; an hour unless given. */
  readonly limit?: Duration.Input
  readonly step?: Duration.Input
}

/** Lets promises and callbacks that are ready run. */
export const settle = Effect.promise(() => new Promise<void>((resolve) => setImmediate(() => setImmediate(resolve))))

export const runOut = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  { limit = "1 hour", step = "10 millis" }: Options = {}
) =>
  TestTime.run(
    Effect.timeoutOrElse(effect, {
      duration: limit,
      orElse: () => Effect.die(new Error("still running at the limit"))
    }),
    { step, exact: true }
  )

/** Runs an effect while time passes, and says how much test time it took (in milliseconds). */
export const timed = Effect.fnUntraced(function* <A, E, R>(effect: Effect.Effect<A, E, R>, options?: Options) {
  const start = yield* Clock.currentTimeMillis
  const value = yield* runOut(effect, options)
  return { value, millis: (yield* Clock.currentTimeMillis) - start }
})

/** Lets time pass, with the work that becomes due done in each step. */
export const pass = (duration: Duration.Input, step?: Duration.Input) =>
  Effect.andThen(runOut(Effect.sleep(duration), { limit: "1 day", ...(step === undefined ? {} : { step }) }), settle)

/** Waits in real time until the condition holds, and goes on after five seconds if it does not. */
export const eventually = Effect.fnUntraced(function* (condition: () => boolean) {
  for (let tries = 0; tries < 1000 && !condition(); tries++) yield* Effect.sleep("5 millis")
})
