/**
 * Sends one request about some tasks, and hands over what its response says about each as it arrives.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Latch from "effect/Latch"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as Tracer from "effect/Tracer"
import { elapsedMillis } from "../internal/elapsed.ts"
import * as LookerMetrics from "../LookerMetrics.ts"
import { LookerPolicy } from "../LookerPolicy.ts"
import { QueryTasks } from "../QueryTasks.ts"
import * as Ask from "./Ask.ts"
import * as Doubts from "./Doubts.ts"
import type { Entry, PollRequest, Registry } from "./Registry.ts"

/** Requests under way at a time. */
const concurrentRequests = 8

/**
 * How long a request may go without the beginning of a response, in milliseconds, before another is sent although those under way ask
 * about every task.
 */
const slowAfter = 2000

export interface Requests {
  /** Sends a request about the entries, without waiting for its response. They join one that waits to be sent, if it has room. */
  send(entries: ReadonlyArray<Entry>): Effect.Effect<void>
  /** Interrupts the request about an entry whose last waiter has left, if no other task needs its response. */
  abandon(entry: Entry): Effect.Effect<void>
  /**
   * Until when the requests under way suffice to ask about every task. Where Looker is slow, or a limit delays requests, more of them would
   * only wait in line with a few tasks each, instead of one with all.
   */
  sufficientUntil(now: number): number
  /**
   * Divides the requests about several tasks to which nothing has come for half the grace: one of the tasks may be the reason. The response still
   * counts if it comes within the grace, since the server may just be slow.
   */
  splitUnresponsive(now: number): Effect.Effect<void>
}

/** The span of a request about tasks, linked to those of the waits for them. It belongs to none of them, so it has no parent. */
const withPollSpan = <A, E>(ask: Effect.Effect<A, E>, entries: ReadonlyArray<Entry>): Effect.Effect<A, E> => {
  const traces = entries.flatMap(({ taskId, traces = [] }) => [...traces].map((trace) => ({ ...trace, taskId })))
  const [first] = traces
  if (first === undefined) return ask
  const links = traces.map(({ span, taskId }) => ({ span, attributes: { "looker.task.id": taskId } }))
  const options = { root: true, links, attributes: { "looker.tasks": entries.length } }
  return Effect.provideService(Effect.withSpan(ask, "QueryTaskPoller.poll", options), Tracer.Tracer, first.tracer)
}

/** `wake` opens when there may be more to ask. */
export const make = Effect.fnUntraced(function* (
  registry: Registry,
  wake: Latch.Latch
): Effect.fn.Return<Requests, never, QueryTasks | Scope.Scope> {
  const tasks = yield* QueryTasks
  const policy = yield* LookerPolicy
  const clock = yield* Clock.Clock
  const scope = yield* Effect.scope
  const { release, withPermit } = yield* makePermits
  /** Requests whose response has not begun, the oldest first. */
  const withoutResponse = new Set<PollRequest>()
  const sending: Ask.Sending = { unsent: undefined, isSeen: false }

  /** Opening the latch may let the rounds go on at once: what was received has to be noted before. */
  const responseBegan = (request: PollRequest): void => {
    if (withoutResponse.delete(request)) wake.openUnsafe()
  }

  const doubts = Doubts.make({
    registry,
    wake,
    graceMillis: Duration.toMillis(policy.grace),
    now: () => elapsedMillis(clock),
    release
  })
  const ask = Ask.make({ tasks, registry, doubts, sending, wake, clock, responseBegan })

  const send = (entries: ReadonlyArray<Entry>): Effect.Effect<void> =>
    Effect.suspend(() => {
      const isShared = entries[0]?.group.separate === false
      if (
        isShared &&
        sending.unsent !== undefined &&
        sending.unsent.entries.size + entries.length <= policy.chunkSize
      ) {
        for (const entry of entries) {
          sending.unsent.entries.add(entry)
          entry.request = sending.unsent
        }
        return Effect.void
      }
      const request: PollRequest = {
        since: elapsedMillis(clock),
        entries: new Set(entries),
        asks: entries.length,
        waitingSince: undefined,
        hasPermit: false,
        fiber: undefined
      }
      withoutResponse.add(request)
      if (isShared && sending.isSeen) sending.unsent = request
      for (const entry of entries) entry.request = request
      const asking = Effect.withFiber((fiber) => {
        request.fiber = fiber
        // Some may have left while the request waited for its permit.
        const waiting = [...request.entries].filter((entry) => entry.waiters > 0)
        if (waiting.length === 0) return Effect.void
        request.asks = waiting.length
        LookerMetrics.polls.updateUnsafe(1, fiber.context)
        return Effect.catch(withPollSpan(ask(request, waiting), waiting), (error) =>
          Effect.sync(() => doubts.failed(request, error))
        )
      })
      return withPermit(request, asking).pipe(
        // After a defect nothing would end these entries.
        Effect.catchCause((cause) =>
          Cause.hasInterruptsOnly(cause)
            ? Effect.failCause(cause)
            : registry.endAll(request.entries, Effect.failCause(cause))
        ),
        Effect.ensuring(
          Effect.sync(() => {
            if (sending.unsent === request) sending.unsent = undefined
            doubts.unwatch(request)
            for (const entry of [...entries, ...request.entries]) {
              if (entry.request === request) entry.request = undefined
            }
            responseBegan(request)
          })
        ),
        Effect.forkIn(scope),
        Effect.asVoid
      )
    })

  const sufficientUntil = (now: number): number => {
    for (const request of withoutResponse) if (request.since + slowAfter <= now) withoutResponse.delete(request)
    const [oldest] = withoutResponse
    return oldest !== undefined && withoutResponse.size >= registry.requestsForAll ? oldest.since + slowAfter : 0
  }

  return {
    send,
    abandon: ({ request }) => doubts.interruptUnneeded(request),
    sufficientUntil,
    splitUnresponsive: doubts.splitUnresponsive
  }
})

const makePermits = Effect.gen(function* () {
  const permits = yield* Semaphore.make(concurrentRequests)

  /** A request to which nothing comes gives its permit back before it ends. */
  const release = (request: PollRequest): Effect.Effect<void> =>
    Effect.suspend(() => {
      if (!request.hasPermit) return Effect.void
      request.hasPermit = false
      return permits.release(1)
    })

  const withPermit = <A, E>(request: PollRequest, asking: Effect.Effect<A, E>): Effect.Effect<A, E> =>
    Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(restore(permits.take(1)), () => {
        request.hasPermit = true
        return Effect.ensuring(restore(asking), release(request))
      })
    )

  return { release, withPermit }
})
