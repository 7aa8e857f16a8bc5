/**
 * Decides when a request is sent: a limited number of submissions at a time, polls before submissions, and after a refusal (429) none
 * faster than Looker accepts them.
 *
 * Looker documents no limit and no header about one. So the limit is found as TCP finds the capacity of a network: more and more at a time
 * as long as they are accepted; after a refusal a pause for all requests, and then the {@link Pace} that the refusals show.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Latch from "effect/Latch"
import type * as Scope from "effect/Scope"
import { elapsedMillis } from "./elapsed.ts"
import { Pace } from "./pace.ts"

/**
 * What a request is for: a `start` starts a task for a query that exists, a `submission` creates something else, a `poll` asks for a status
 * again, and all others (for the rows of a finished task, say) are `urgent`.
 *
 * They go in the order urgent, poll, start, submission: what has begun is finished first. As long as no limit is known, starts and
 * submissions go in the order they came: of many queries at once all are created first, so that few tasks run during the pauses in which a
 * limit is found.
 */
export type Kind = "urgent" | "poll" | "start" | "submission"

/** Runs `send` when its turn has come. */
export type Gate<E> = <A>(kind: Kind, send: Effect.Effect<A, E>) => Effect.Effect<A, E>

/**
 * What refusals do to the pace. Times are in milliseconds.
 *
 * - `Paused`: nothing is sent for so long
 * - `Slowed`: a pause is over, and a limit is known
 * - `Resumed`: no limit is known, after a pause or at the end of a lower pace. `after` is the time since the first refusal, `refused` how
 *   many requests were refused since then
 */
export type Change =
  | { readonly _tag: "Paused"; readonly millis: number }
  | { readonly _tag: "Slowed"; readonly perSecond: number }
  | { readonly _tag: "Resumed"; readonly after: number; readonly refused: number }

export interface Options<E> {
  /** The most starts and submissions at a time. */
  readonly concurrency: number
  /** For a refusal, how long the server wants no requests; zero if it does not say how long. Undefined for other errors. */
  readonly refusal: (error: E) => Duration.Duration | undefined
  /** Runs beside the requests. */
  readonly onChange?: ((change: Change) => Effect.Effect<void>) | undefined
  /** Runs when a pause begins or becomes longer, by so many milliseconds. */
  readonly onPause?: ((millis: number) => void) | undefined
}

/** Starts and submissions at a time at first. Whatever the limit is, it refuses no more than these at once. */
const firstSubmissions = 6

/** How fast they grow: after n accepted requests there are about the square root of n. */
const ramp = 0.5

/**
 * Under a limit each of the waiting polls has its turn once in this time, in milliseconds: while no pace is known, at a known pace, and at
 * most. The turn grows by a part of the time since the last start: the tasks that still run are then old, and few end in a short time.
 */
const shortestTurn = 250
const shortestPacedTurn = 400
const longestTurn = 600
const growthOfTurn = 1 / 18

/** All polls together take no more than this part of the pace. */
const partOfPolls = 0.25

interface Waiter {
  /** How many came before it. */
  readonly place: number
  entered: boolean
  /** When it was let in, in elapsed milliseconds. */
  sentAt: number
  enter: () => void
  /** Succeeds when it has entered. */
  readonly waiting: Effect.Effect<void>
}

const makeWaiter = (place: number): Waiter => {
  const waiter: Waiter = {
    place,
    entered: false,
    sentAt: 0,
    enter: () => {
      waiter.entered = true
    },
    waiting: Effect.callback<void>((resume) => {
      if (waiter.entered) return resume(Effect.void)
      waiter.enter = () => {
        waiter.entered = true
        resume(Effect.void)
      }
    })
  }
  return waiter
}

const isSubmission = (kind: Kind): boolean => kind === "start" || kind === "submission"

/** Milliseconds from one poll to the next, of so many that wait. */
const spacingOfPolls = (pace: Pace, now: number, submittedAt: number, waiting: number): number => {
  if (!pace.isLimited(now)) return 0
  const shortest = pace.isKnown ? shortestPacedTurn : shortestTurn
  const turn = Math.min(longestTurn, shortest + (now - submittedAt) * growthOfTurn)
  return Math.max(turn / waiting, 1000 / (pace.perSecond(now) * partOfPolls))
}

/** Tells `onChange` and `onPause` what refusals do. */
const noticesOf = (
  pace: Pace,
  { onChange, onPause }: Pick<Options<never>, "onChange" | "onPause">,
  fork: (effect: Effect.Effect<void>) => unknown
) => {
  /** Since the first refusal, until no limit is known. */
  let limited: { readonly since: number; isPaused: boolean; refused: number } | undefined
  const changed = (change: Change) => {
    if (onChange !== undefined) fork(onChange(change))
  }
  return {
    refused: (now: number, pauseBefore: number) => {
      const longer = pace.pauseEnds - Math.max(now, pauseBefore)
      if (longer > 0) onPause?.(longer)
      limited ??= { since: now, isPaused: false, refused: 0 }
      limited.refused++
      if (limited.isPaused) return
      limited.isPaused = true
      changed({ _tag: "Paused", millis: pace.pauseEnds - now })
    },
    /** A request is sent. */
    sent: (now: number) => {
      if (limited === undefined || now < pace.pauseEnds) return
      const { isPaused, refused, since } = limited
      if (!pace.isKnown) {
        limited = undefined
        changed({ _tag: "Resumed", after: now - since, refused })
      } else if (isPaused) {
        limited.isPaused = false
        changed({ _tag: "Slowed", perSecond: pace.perSecond(now) })
      }
    }
  }
}

export const make = Effect.fnUntraced(function* <E>(
  options: Options<E>
): Effect.fn.Return<Gate<E>, never, Scope.Scope> {
  const clock = yield* Clock.Clock
  const blocked = yield* Latch.make()
  const queues: { readonly [_ in Kind]: Array<Waiter> } = { urgent: [], poll: [], start: [], submission: [] }
  const pace = new Pace()
  const notices = noticesOf(pace, options, Effect.runForkWith(yield* Effect.context()))
  let arrivals = 0
  let submissions = Math.min(firstSubmissions, options.concurrency)
  let underWay = 0
  let submittedAt = 0
  let nextPollAt = 0
  /** When `watchClock` wakes up. */
  let wakeAt = Number.POSITIVE_INFINITY

  const nextSubmission = (): Kind | undefined => {
    if (underWay >= Math.floor(submissions)) return undefined
    const [start] = queues.start
    const [submission] = queues.submission
    if (start === undefined) return submission && "submission"
    return submission === undefined || pace.isKnown || start.place < submission.place ? "start" : "submission"
  }

  /** The kind of the next request, and when it may be sent. */
  const next = (now: number): { readonly kind: Kind; readonly at: number } | undefined => {
    const at = pace.allowedAt(now)
    if (queues.urgent.length > 0) return { kind: "urgent", at }
    const pollAt = Math.max(at, nextPollAt)
    const isPoll = queues.poll.length > 0
    if (isPoll && pollAt <= now) return { kind: "poll", at: pollAt }
    const kind = nextSubmission()
    if (kind !== undefined) return { kind, at }
    return isPoll ? { kind: "poll", at: pollAt } : undefined
  }

  /** Sends all that may be sent now. If the next has to wait, `blocked` opens, so that `watchClock` waits for its time. */
  const sendAll = () => {
    const now = elapsedMillis(clock)
    while (true) {
      const upcoming = next(now)
      if (upcoming === undefined) return
      if (upcoming.at > now) {
        if (upcoming.at < wakeAt) blocked.openUnsafe()
        return
      }
      const { kind } = upcoming
      if (kind === "poll") nextPollAt = now + spacingOfPolls(pace, now, submittedAt, queues.poll.length)
      if (isSubmission(kind)) {
        underWay++
        submittedAt = now
      }
      const waiter = queues[kind].shift()
      if (waiter === undefined) return
      waiter.sentAt = now
      notices.sent(now)
      pace.noteSent(now, kind === "poll")
      waiter.enter()
    }
  }

  const watchClock = Effect.gen(function* () {
    while (true) {
      yield* blocked.await
      blocked.closeUnsafe()
      const now = elapsedMillis(clock)
      wakeAt = next(now)?.at ?? now
      // A request that may be sent sooner may come.
      if (wakeAt > now) yield* Effect.raceFirst(Effect.sleep(Math.ceil(wakeAt - now)), blocked.await)
      wakeAt = Number.POSITIVE_INFINITY
      sendAll()
    }
  })
  yield* Effect.forkScoped(watchClock)

  const adjustPace = (exit: Exit.Exit<unknown, E>, sentAt: number) => {
    pace.noteEnded()
    const failure = Exit.isFailure(exit) ? exit.cause.reasons.find(Cause.isFailReason) : undefined
    if (Exit.isFailure(exit) && failure === undefined) return
    const retryAfter = failure && options.refusal(failure.error)
    if (retryAfter === undefined) {
      pace.noteAccepted()
      submissions = Math.min(options.concurrency, submissions + ramp / submissions)
    } else {
      const now = elapsedMillis(clock)
      const pauseBefore = pace.pauseEnds
      if (pace.noteRefused(now, sentAt, Duration.toMillis(retryAfter))) submissions = Math.max(1, submissions / 2)
      notices.refused(now, pauseBefore)
    }
  }

  return (kind, send) =>
    Effect.suspend(() => {
      const waiter = makeWaiter(arrivals++)
      const queue = queues[kind]
      const entering = Effect.suspend(() => {
        queue.push(waiter)
        sendAll()
        return waiter.entered ? send : Effect.andThen(waiter.waiting, send)
      })
      // One `onExit` around both the waiting and the sending: an interruption between the two must not keep the place.
      return Effect.onExit(entering, (exit) =>
        Effect.sync(() => {
          if (!waiter.entered) {
            const place = queue.indexOf(waiter)
            if (place !== -1) queue.splice(place, 1)
            return
          }
          adjustPace(exit, waiter.sentAt)
          if (isSubmission(kind)) underWay--
          sendAll()
        })
      )
    })
})
