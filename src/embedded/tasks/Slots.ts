/**
 * The slots that limit how many tasks run at the same time, in all and for each user, and that users get in turn.
 *
 * @since 0.1.0
 */
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"

/**
 * @category options
 * @since 0.1.0
 */
export interface Options {
  readonly total: number
  readonly perUser: number
  /** The longest that a task waits for a slot. */
  readonly timeout: Duration.Duration
}

/**
 * @category models
 * @since 0.1.0
 */
export interface Slots {
  /** Runs an effect in a slot of the user, or `onTimeout` if none gets free in time. */
  withSlot<A>(userId: string, effect: Effect.Effect<A>, onTimeout: Effect.Effect<A>): Effect.Effect<A>
}

interface Waiter {
  readonly turn: Deferred.Deferred<void>
  hasSlot: boolean
}

/**
 * **Details**
 *
 * A free slot goes to the waiting user with the fewest slots, among those to the user whose latest slot is the longest ago, and among the
 * tasks of that user to the oldest: the hundred tasks of one user do not delay the first task of another.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (options: Options): Slots => {
  const taken = new Map<string, number>()
  const waiting = new Map<string, Set<Waiter>>()
  /** The number of the latest slot of each user. All slots are numbered in order. */
  const latest = new Map<string, number>()
  let lastNumber = 0
  let free = options.total

  const takenBy = (userId: string) => taken.get(userId) ?? 0

  const assign = () => {
    while (free > 0) {
      const [next] = [...waiting.keys()]
        .filter((userId) => takenBy(userId) < options.perUser)
        .sort((one, other) => takenBy(one) - takenBy(other) || (latest.get(one) ?? 0) - (latest.get(other) ?? 0))
      const queue = next === undefined ? undefined : waiting.get(next)
      const [waiter] = queue ?? []
      if (next === undefined || queue === undefined || waiter === undefined) return
      queue.delete(waiter)
      if (queue.size === 0) waiting.delete(next)
      latest.set(next, ++lastNumber)
      free--
      taken.set(next, takenBy(next) + 1)
      waiter.hasSlot = true
      Deferred.doneUnsafe(waiter.turn, Exit.void)
    }
  }

  const giveBack = (userId: string) => {
    free++
    const left = takenBy(userId) - 1
    if (left > 0) taken.set(userId, left)
    else taken.delete(userId)
    assign()
  }

  const leave = (userId: string, waiter: Waiter) => {
    if (waiter.hasSlot) return giveBack(userId)
    const queue = waiting.get(userId)
    queue?.delete(waiter)
    if (queue?.size === 0) waiting.delete(userId)
  }

  const withSlot: Slots["withSlot"] = (userId, effect, onTimeout) =>
    Effect.acquireUseRelease(
      Effect.sync(() => {
        const waiter: Waiter = { turn: Deferred.makeUnsafe(), hasSlot: false }
        const queue = waiting.get(userId) ?? new Set()
        waiting.set(userId, queue.add(waiter))
        assign()
        return waiter
      }),
      (waiter) =>
        Effect.flatMap(Effect.timeoutOption(Deferred.await(waiter.turn), options.timeout), () =>
          waiter.hasSlot ? effect : onTimeout
        ),
      (waiter) => Effect.sync(() => leave(userId, waiter))
    )

  return { withSlot }
}
