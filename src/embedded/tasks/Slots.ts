/**
 * Who may run next: so many tasks at a time in all, so many of one user, and users in turn.
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
  /** A wait of this long is over without a slot. */
  readonly timeout: Duration.Duration
}

/**
 * @category models
 * @since 0.1.0
 */
export interface Slots {
  /** Waits for a slot of the user, and gives it back at the end; `otherwise` is for who waited too long. */
  readonly withSlot: <A>(userId: string, effect: Effect.Effect<A>, otherwise: Effect.Effect<A>) => Effect.Effect<A>
}

interface Waiter {
  readonly turn: Deferred.Deferred<void>
  hasSlot: boolean
}

/**
 * **Details**
 *
 * A free slot goes to the waiting user who has the fewest, among equals to the one who got his last the longest ago, and of his tasks to
 * the oldest: one user's hundred tasks do not hold up another's first.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (options: Options): Slots => {
  const taken = new Map<string, number>()
  const waiting = new Map<string, Set<Waiter>>()
  /** When each user got his last slot, counted in slots. */
  const served = new Map<string, number>()
  let turn = 0
  let free = options.total

  const takenBy = (userId: string) => taken.get(userId) ?? 0

  const handOut = () => {
    while (free > 0) {
      const [next] = [...waiting.keys()]
        .filter((userId) => takenBy(userId) < options.perUser)
        .sort((one, other) => takenBy(one) - takenBy(other) || (served.get(one) ?? 0) - (served.get(other) ?? 0))
      const queue = next === undefined ? undefined : waiting.get(next)
      const [waiter] = queue ?? []
      if (next === undefined || queue === undefined || waiter === undefined) return
      queue.delete(waiter)
      if (queue.size === 0) waiting.delete(next)
      served.set(next, ++turn)
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
    handOut()
  }

  const leave = (userId: string, waiter: Waiter) => {
    if (waiter.hasSlot) return giveBack(userId)
    const queue = waiting.get(userId)
    queue?.delete(waiter)
    if (queue?.size === 0) waiting.delete(userId)
  }

  const withSlot: Slots["withSlot"] = (userId, effect, otherwise) =>
    Effect.acquireUseRelease(
      Effect.sync(() => {
        const waiter: Waiter = { turn: Deferred.makeUnsafe(), hasSlot: false }
        const queue = waiting.get(userId) ?? new Set()
        waiting.set(userId, queue.add(waiter))
        handOut()
        return waiter
      }),
      (waiter) =>
        Effect.flatMap(Effect.timeoutOption(Deferred.await(waiter.turn), options.timeout), () =>
          waiter.hasSlot ? effect : otherwise
        ),
      (waiter) => Effect.sync(() => leave(userId, waiter))
    )

  return { withSlot }
}
