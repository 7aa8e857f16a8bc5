/**
 * Decides when a request is sent: a limited number of submissions at a time, polls before submissions, and after a refusal (429) none
 * faster than Looker accepts them.
 *
 * Looker documents no limit and no header about one. So the limit is found as TCP finds the capacity of a network: more and more at a time
 * as long as they are accepted; after a refusal a pause for all requests, then the pace at which they were accepted before, then slowly
 * more.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Latch from "effect/Latch"
import type * as Scope from "effect/Scope"
import { elapsedMillis } from "./elapsed.ts"

/**
 * What a request is for: a `submission` creates something, a `poll` asks for a status again, and all others (for the rows of a finished
 * task, say) are `urgent`. They go in the order urgent, poll, submission.
 */
export type Kind = "urgent" | "poll" | "submission"

/** Runs `send` when its turn has come. */
export type Gate<E> = <A>(kind: Kind, send: Effect.Effect<A, E>) => Effect.Effect<A, E>

export interface Options<E> {
  /** The most submissions at a time. */
  readonly concurrency: number
  /** For a refusal, how long the server wants no requests; zero if it does not say how long. Undefined for other errors. */
  readonly refusal: (error: E) => Duration.Duration | undefined
}

/** Submissions at a time at first. Whatever the limit is, it refuses no more than these at once. */
const firstSubmissions = 6

/** How fast submissions at a time grow: after n accepted requests there are about the square root of n. */
const ramp = 0.5

/** The shortest pause after a refusal, in milliseconds. */
const shortestPause = 250

/** The slowest pace after a refusal, and the pace above which there is none, in requests per second. */
const slowestPace = 5
const unlimitedPace = 1000

/** The factor by which the pace grows in a second without a refusal. */
const growth = 1.05

/**
 * While there is a pace, each poll delays the requests behind it. All waiting polls get one turn in this many milliseconds, but together no
 * more than this part of the pace.
 */
const turnOfPolls = 800
const partOfPolls = 0.1

/** What was accepted before an idle time of this many milliseconds says nothing about the pace. */
const idleMillis = 5000

interface Waiter {
  entered: boolean
  enter: () => void
  /** Succeeds when it has entered. */
  readonly waiting: Effect.Effect<void>
}

const makeWaiter = (): Waiter => {
  const waiter: Waiter = {
    entered: false,
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

/** What is known about the limit of the server. Times are elapsed milliseconds. */
class Pace {
  /** Submissions at a time. */
  submissions: number
  pausedUntil = 0
  private readonly mostSubmissions: number
  private perSecond = Number.POSITIVE_INFINITY
  private since = 0
  private accepted = 0
  private acceptedSince = 0
  private lastAccepted = 0

  constructor(mostSubmissions: number) {
    this.mostSubmissions = mostSubmissions
    this.submissions = Math.min(firstSubmissions, mostSubmissions)
  }

  /** Milliseconds between two requests. */
  spacing(now: number): number {
    if (this.perSecond === Number.POSITIVE_INFINITY) return 0
    const grown = this.perSecond * growth ** (Math.max(0, now - this.since) / 1000)
    if (grown > unlimitedPace) this.perSecond = Number.POSITIVE_INFINITY
    return 1000 / grown
  }

  noteAccepted(now: number): void {
    if (now - this.lastAccepted > idleMillis) {
      this.accepted = 0
      this.acceptedSince = now
    }
    this.lastAccepted = now
    this.accepted++
    this.submissions = Math.min(this.mostSubmissions, this.submissions + ramp / this.submissions)
  }

  noteRefused(now: number, retryAfter: Duration.Duration): void {
    const pause = Math.max(shortestPause, Duration.toMillis(retryAfter))
    // Requests under way at the first refusal are refused too, and say nothing new.
    if (now >= this.pausedUntil) {
      this.perSecond = Math.max(slowestPace, (this.accepted * 1000) / (now - this.acceptedSince + pause))
      this.submissions = Math.max(1, this.submissions / 2)
      this.accepted = 0
    }
    this.pausedUntil = Math.max(this.pausedUntil, now + pause)
    this.acceptedSince = this.since = this.lastAccepted = this.pausedUntil
  }
}

export const make = Effect.fnUntraced(function* <E>(
  options: Options<E>
): Effect.fn.Return<Gate<E>, never, Scope.Scope> {
  const clock = yield* Clock.Clock
  const blocked = yield* Latch.make()
  const queues: { readonly [_ in Kind]: Array<Waiter> } = { urgent: [], poll: [], submission: [] }
  const pace = new Pace(options.concurrency)
  let underWay = 0
  let nextAt = 0
  let nextPollAt = 0
  /** When `watchClock` wakes up. */
  let wakeAt = Number.POSITIVE_INFINITY

  /** The kind of the next request, and when it may be sent. */
  const next = (now: number): { readonly kind: Kind; readonly at: number } | undefined => {
    const at = Math.max(pace.pausedUntil, nextAt)
    if (queues.urgent.length > 0) return { kind: "urgent", at }
    const pollAt = Math.max(at, nextPollAt)
    const isPoll = queues.poll.length > 0
    if (isPoll && pollAt <= now) return { kind: "poll", at: pollAt }
    if (queues.submission.length > 0 && underWay < Math.floor(pace.submissions)) return { kind: "submission", at }
    return isPoll ? { kind: "poll", at: pollAt } : undefined
  }

  /** Sends all that may be sent now. If the next has to wait, `blocked` opens, so that `watchClock` waits for its time. */
  const sendAll = () => {
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
      const between = pace.spacing(now)
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
      // A request that may be sent sooner may come.
      if (wakeAt > now) yield* Effect.raceFirst(Effect.sleep(Math.ceil(wakeAt - now)), blocked.await)
      wakeAt = Number.POSITIVE_INFINITY
      sendAll()
    }
  })
  yield* Effect.forkScoped(watchClock)

  const learn = (exit: Exit.Exit<unknown, E>) => {
    const now = elapsedMillis(clock)
    if (Exit.isSuccess(exit)) return pace.noteAccepted(now)
    const error = Exit.findErrorOption(exit)
    if (error._tag === "None") return
    const retryAfter = options.refusal(error.value)
    if (retryAfter === undefined) return pace.noteAccepted(now)
    pace.noteRefused(now, retryAfter)
    nextAt = pace.pausedUntil
  }

  return (kind, send) =>
    Effect.suspend(() => {
      const waiter = makeWaiter()
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
          learn(exit)
          if (kind === "submission") underWay--
          sendAll()
        })
      )
    })
})
