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
import { elapsedMillis } from "./elapsed.ts"

/**
 * What a request is for: a `submission` creates something, a `poll` asks again what was asked before, and what is `urgent` (the rows of a
 * finished task) is neither. They go in the order urgent, poll, submission.
 */
export type Kind = "urgent" | "poll" | "submission"

/** Sends when it may. */
export type Gate<E> = <A>(kind: Kind, send: Effect.Effect<A, E>) => Effect.Effect<A, E>

export interface Options<E> {
  /** Submissions at a time, at most. */
  readonly concurrency: number
  /** How long a server wants no requests, if that is what the error says; zero if it does not say how long. */
  readonly refusal: (error: E) => Duration.Duration | undefined
}

/** Submissions at a time before anything is known: an unknown limit refuses few more than these at once. */
const cautious = 6

/** How fast there may be more at a time: after n that were taken, about the root of n. */
const ramp = 0.5

/** The pause after a refusal that asks for none or for less, in milliseconds. */
const shortestPause = 250

/** The slowest pace after a refusal, and the pace that is none, in requests per second. */
const slowestPace = 5
const unlimitedPace = 1000

/** By how much the pace grows in a second without refusals. */
const growth = 1.05

/**
 * Once there is a pace, what polls take nothing else can: all that wait have their turn once in this many milliseconds, but never more
 * than this part of the pace.
 */
const turnOfPolls = 800
const partOfPolls = 0.1

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
  const queues: { readonly [_ in Kind]: Array<Waiter> } = { urgent: [], poll: [], submission: [] }
  let underWay = 0
  let atATime = Math.min(cautious, options.concurrency)
  let pausedUntil = 0
  let nextAt = 0
  let nextPollAt = 0
  /** When the clock is looked at again. */
  let wakeAt = Number.POSITIVE_INFINITY
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

  /** Who goes next, and when. */
  const next = (now: number): { readonly kind: Kind; readonly at: number } | undefined => {
    const at = Math.max(pausedUntil, nextAt)
    if (queues.urgent.length > 0) return { kind: "urgent", at }
    const pollAt = Math.max(at, nextPollAt)
    const isPoll = queues.poll.length > 0
    if (isPoll && pollAt <= now) return { kind: "poll", at: pollAt }
    if (queues.submission.length > 0 && underWay < Math.floor(atATime)) return { kind: "submission", at }
    return isPoll ? { kind: "poll", at: pollAt } : undefined
  }

  /** Lets out whoever may go. When somebody has to wait for a time, `blocked` is open, and the clock is watched. */
  const letOut = () => {
    const now = elapsedMillis(clock)
    while (true) {
      const going = next(now)
      if (going === undefined) return
      if (going.at > now) {
        if (going.at < wakeAt) blocked.openUnsafe()
        return
      }
      const { kind } = going
      if (kind === "submission") underWay++
      const between = spacing(now)
      nextAt = Math.max(now, nextAt) + between
      if (kind === "poll" && between > 0) {
        nextPollAt = now + Math.max(between / partOfPolls, turnOfPolls / queues.poll.length)
      }
      queues[kind].shift()?.enter()
    }
  }

  const watchClock = Effect.gen(function* () {
    while (true) {
      yield* blocked.await
      blocked.closeUnsafe()
      const now = elapsedMillis(clock)
      wakeAt = next(now)?.at ?? now
      // Somebody may come who goes sooner.
      if (wakeAt > now) yield* Effect.raceFirst(Effect.sleep(Math.ceil(wakeAt - now)), blocked.await)
      wakeAt = Number.POSITIVE_INFINITY
      letOut()
    }
  })
  yield* Effect.forkScoped(watchClock)

  const wasTaken = (now: number) => {
    if (now - lastTaken > silence) {
      taken = 0
      takenSince = now
    }
    lastTaken = now
    taken++
    atATime = Math.min(options.concurrency, atATime + ramp / atATime)
  }

  const wasRefused = (now: number, wish: Duration.Duration) => {
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
    const now = elapsedMillis(clock)
    if (Exit.isSuccess(exit)) return wasTaken(now)
    const error = Exit.findErrorOption(exit)
    if (error._tag === "None") return
    const wish = options.refusal(error.value)
    if (wish === undefined) wasTaken(now)
    else wasRefused(now, wish)
  }

  return (kind, send) =>
    Effect.suspend(() => {
      const waiter: Waiter = {
        entered: false,
        enter: () => {
          waiter.entered = true
        }
      }
      const queue = queues[kind]
      const waiting = Effect.callback<void>((resume) => {
        if (waiter.entered) return resume(Effect.void)
        waiter.enter = () => {
          waiter.entered = true
          resume(Effect.void)
        }
      })
      const entering = Effect.suspend(() => {
        queue.push(waiter)
        letOut()
        return waiter.entered ? send : Effect.andThen(waiting, send)
      })
      // One frame around the waiting and the sending: an interruption between the two must not keep the place.
      return Effect.onExit(entering, (exit) =>
        Effect.sync(() => {
          if (!waiter.entered) {
            const place = queue.indexOf(waiter)
            if (place !== -1) queue.splice(place, 1)
            return
          }
          learn(exit)
          if (kind === "submission") underWay--
          letOut()
        })
      )
    })
})
