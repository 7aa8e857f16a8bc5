/**
 * One time limit for many requests: one fiber watches all of them, where `Effect.timeout` would start two for each.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { elapsedMillis } from "./elapsed.ts"

/**
 * The effect, interrupted and replaced by `late` if it takes longer than the limit. With `grace`, an interruption from outside first waits so
 * long for the effect to end.
 */
export type Within = <A, E, R, E2>(
  effect: Effect.Effect<A, E, R>,
  late: () => Effect.Effect<never, E2>,
  grace?: Duration.Duration
) => Effect.Effect<A, E | E2, R>

/** The longest sleep of the watching fiber, in milliseconds, so that it keeps no idle program alive for the whole limit. */
const longestSleep = 1000

interface Running {
  readonly until: number
  readonly expire: () => void
}

export const make = Effect.fnUntraced(function* (
  limit: Duration.Duration
): Effect.fn.Return<Within, never, Scope.Scope> {
  const clock = yield* Clock.Clock
  const millis = Duration.toMillis(limit)
  /** In the order of their beginnings, and so of their ends. */
  const running = new Set<Running>()
  const busy = yield* Latch.make()

  const watchClock = Effect.gen(function* () {
    while (true) {
      yield* busy.await
      const now = elapsedMillis(clock)
      for (const one of running) {
        if (one.until > now) break
        running.delete(one)
        one.expire()
      }
      const [next] = running
      if (next === undefined) busy.closeUnsafe()
      else yield* Effect.sleep(Math.min(longestSleep, Math.ceil(next.until - now)))
    }
  })
  yield* Effect.forkScoped(watchClock)

  const join = <A, E, E2>(
    fiber: Fiber.Fiber<A, E>,
    late: () => Effect.Effect<never, E2>,
    onInterrupt?: Effect.Effect<void>
  ): Effect.Effect<A, E | E2> =>
    Effect.callback((resume) => {
      let isLate = false
      const one: Running = {
        until: elapsedMillis(clock) + millis,
        expire: () => {
          isLate = true
          fiber.interruptUnsafe()
        }
      }
      running.add(one)
      fiber.addObserver((exit) => {
        running.delete(one)
        resume(isLate && Exit.hasInterrupts(exit) ? late() : exit)
      })
      busy.openUnsafe()
      return onInterrupt
    })

  return (effect, late, grace) => {
    const forked = Effect.forkChild(effect, { startImmediately: true })
    if (grace === undefined) return Effect.flatMap(forked, (fiber) => join(fiber, late, Fiber.interrupt(fiber)))
    return Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(forked, (fiber) =>
        Effect.onInterrupt(restore(join(fiber, late)), () =>
          Effect.andThen(Effect.timeoutOption(Fiber.await(fiber), grace), Fiber.interrupt(fiber))
        )
      )
    )
  }
})

/** The stream, failing with `late` when its next piece takes longer than the limit. */
export const withinEach = <A, E, R, E2>(
  stream: Stream.Stream<A, E, R>,
  limit: Duration.Duration,
  late: () => Effect.Effect<never, E2>
): Stream.Stream<A, E | E2, R> =>
  Stream.transformPull(stream, (pull, scope) =>
    Effect.map(Scope.provide(make(limit), scope), (within) => within(pull, late))
  )
