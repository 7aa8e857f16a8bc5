/**
 * Lets requests out: submissions a bounded number at a time, polls before them, and neither faster than Looker takes them once it has
 * refused one.
 *
 * Looker documents no limit and no header about one, so the limit is found out as TCP finds out about a network: more and more at a time
 * as long as they are taken; after a 429 a pause for all, then the pace that was taken so far, and carefully more.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Latch from "effect/Latch"
import type * as Scope from "effect/Scope"

/** Sends when it may. A poll waits for its time alone, and overtakes submissions that wait for it, too. */
export type Gate<E> = <A>(kind: "poll" | "submission", send: Effect.Effect<A, E>) => Effect.Effect<A, E>

export interface Options<E> {
  /** Submissions at a time, at most. */
  readonly concurrency: number
  /** How long a server wants no requests, if that is what the error says; zero if it does not say how long. */
  readonly refusal: (error: E, now: number) => Duration.Duration | undefined
}

/** Submissions at a time before anything is known: an unknown limit refuses few more than these at once. */
const cautious = 8

/** The pause after a refusal that asks for none or for less, in milliseconds. */
const shortestPause = 250

/** The slowest pace after a refusal, and the pace that is none, in requests per second. */
const slowestPace = 5
const unlimitedPace = 1000

/** By how much the pace grows in a second without refusals. */
const growth = 1.05

/** What was taken before a silence of this many milliseconds says nothing about the pace. */
const silence = 5000

interface Waiter {
  entered: boolean
  enter: () => void
}

export const make = Effect.fnUntraced(function* <E>(
  options: Options<E>
): Effect.fn.Return<Gate<E>, never, Scope.Scope> {
  const clock = yield* Clock.Clock
  const blocked = yield* Latch.make()
  const queues: { readonly [Kind in "poll" | "submission"]: Array<Waiter> } = { poll: [], submission: [] }
  let underWay = 0
  let atATime = Math.min(cautious, options.concurrency)
  let pausedUntil = 0
  let nextAt = 0
  let pace = Number.POSITIVE_INFINITY
  let paceSince = 0
  let taken = 0
  let takenSince = 0
  let lastTaken = 0

  /** Milliseconds between two requests. */
  const spacing = (now: number): number => {
    if (pace === Number.POSITIVE_INFINITY) return 0
    const grown = pace * growth ** (Math.max(0, now - paceSince) / 1000)
    if (grown > unlimitedPace) pace = Number.POSITIVE_INFINITY
    return 1000 / grown
  }

  /** Lets out whoever may go. When somebody has to wait for a time, `blocked` is open, and the clock is watched. */
  const letOut = () => {
    const now = clock.currentTimeMillisUnsafe()
    while (true) {
      const kind = queues.poll.length > 0 ? "poll" : "submission"
      const [waiter] = queues[kind]
      if (waiter === undefined || (kind === "submission" && underWay >= Math.floor(atATime))) return
      if (Math.max(pausedUntil, nextAt) > now) {
        blocked.openUnsafe()
        return
      }
      queues[kind].shift()
      if (kind === "submission") underWay++
      nextAt = Math.max(now, nextAt) + spacing(now)
      waiter.enter()
    }
  }

  const watchClock = Effect.gen(function* () {
    while (true) {
      yield* blocked.await
      blocked.closeUnsafe()
      yield* Effect.sleep(Math.ceil(Math.max(pausedUntil, nextAt) - clock.currentTimeMillisUnsafe()))
      letOut()
    }
  })
  yield* Effect.forkScoped(watchClock)

  const leave = (kind: "poll" | "submission") => {
    if (kind === "submission") underWay--
    letOut()
  }

  const enter = (kind: "poll" | "submission") =>
    Effect.suspend(() => {
      const waiter: Waiter = { entered: false, enter: () => {} }
      return Effect.callback<void>((resume) => {
        waiter.enter = () => {
          waiter.entered = true
          resume(Effect.void)
        }
        queues[kind].push(waiter)
        letOut()
      }).pipe(
        Effect.onInterrupt(() =>
          Effect.sync(() => {
            if (waiter.entered) leave(kind)
            else queues[kind].splice(queues[kind].indexOf(waiter), 1)
          })
        )
      )
    })

  const wasTaken = () => {
    const now = clock.currentTimeMillisUnsafe()
    if (now - lastTaken > silence) {
      taken = 0
      takenSince = now
    }
    lastTaken = now
    taken++
    atATime = Math.min(options.concurrency, atATime + 1 / atATime)
  }

  const wasRefused = (wish: Duration.Duration) => {
    const now = clock.currentTimeMillisUnsafe()
    const pause = Math.max(shortestPause, Duration.toMillis(wish))
    // Those that were on their way when the first was refused are refused, too, and say nothing new.
    if (now >= pausedUntil) {
      pace = Math.max(slowestPace, (taken * 1000) / (now - takenSince + pause))
      atATime = Math.max(1, atATime / 2)
      taken = 0
    }
    pausedUntil = Math.max(pausedUntil, now + pause)
    takenSince = paceSince = lastTaken = nextAt = pausedUntil
  }

  const learn = (exit: Exit.Exit<unknown, E>) => {
    const error = Exit.findErrorOption(exit)
    if (error._tag === "None") {
      if (Exit.isSuccess(exit)) wasTaken()
      return
    }
    const wish = options.refusal(error.value, clock.currentTimeMillisUnsafe())
    if (wish === undefined) wasTaken()
    else wasRefused(wish)
  }

  return (kind, send) =>
    Effect.uninterruptibleMask((restore) =>
      Effect.andThen(
        restore(enter(kind)),
        Effect.onExit(restore(send), (exit) =>
          Effect.sync(() => {
            learn(exit)
            leave(kind)
          })
        )
      )
    )
})
