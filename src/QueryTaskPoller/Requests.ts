/**
 * Sends one request about some tasks, and hands over what its response says about each as it arrives.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Latch from "effect/Latch"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import * as Tracer from "effect/Tracer"
import * as Endpoint from "../api/Endpoint.ts"
import * as LookerApi from "../api/LookerApi.ts"
import * as TaskState from "../domain/TaskState.ts"
import { elapsedMillis } from "../internal/elapsed.ts"
import { resultsEndpoint } from "../internal/httpError.ts"
import * as LookerError from "../LookerError.ts"
import * as LookerMetrics from "../LookerMetrics.ts"
import { LookerPolicy } from "../LookerPolicy.ts"
import { type MultiResultsPart, QueryTasks } from "../QueryTasks.ts"
import * as ResultRows from "../ResultRows.ts"
import * as Conclusion from "./Conclusion.ts"
import type { Entry, PollRequest, Registry } from "./Registry.ts"

/** Requests under way at a time. */
const concurrentRequests = 8

/**
 * How long a request may go without the beginning of a response, in milliseconds, before another is sent although those under way ask
 * about every task.
 */
const patience = 2000

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
  splitSilent(now: number): Effect.Effect<void>
}

/**
 * Into how many requests one is divided whose error lasts, or to which nothing comes: so that the one task that is the reason is soon alone. An id
 * that is refused is found in halves, with the fewest requests.
 */
const parts = 8
const halves = 2

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
  const permits = yield* Semaphore.make(concurrentRequests)
  const graceMillis = Duration.toMillis(policy.grace)
  /** Requests whose response has not begun, the oldest first. */
  const withoutResponse = new Set<PollRequest>()
  /** The request about entries of shared groups that waits to be sent, once `QueryTasks` has shown that it says when it is. */
  let unsent: PollRequest | undefined
  let isSendingSeen = false

  /** Sent requests about several tasks, and those of them that were divided. */
  const underWay = new Set<PollRequest>()
  const divided = new Set<PollRequest>()

  const failed = (request: PollRequest, error: LookerError.ReadError): void => {
    const entries = [...request.entries].filter((entry) => entry.request === request)
    if (request.asks > 1 && Conclusion.isAboutTasks(error)) doubt(request, entries, error)
    else for (const entry of entries) registry.conclude(entry, Conclusion.fromError(error))
  }

  /** An error about several tasks ends the wait for none of them. */
  const doubt = (
    { silentSince = elapsedMillis(clock) }: PollRequest,
    entries: ReadonlyArray<Entry>,
    error: Conclusion.WaitError
  ): void => {
    for (const entry of entries) registry.doubt(entry, error, silentSince)
    if (Conclusion.isRefusal(error)) registry.split(entries, halves)
    else if (entries.some((entry) => Conclusion.isLasting(registry.doubtful(entry), graceMillis))) {
      registry.split(entries, parts)
    } else return
    wake.openUnsafe()
  }

  /** Opening the latch may let the rounds go on at once: what was received has to be noted before. */
  const responseBegan = (request: PollRequest): void => {
    if (withoutResponse.delete(request)) wake.openUnsafe()
  }

  /** The response has said something about the entry: it may be asked about again, though others still wait for the rest. */
  const received = (request: PollRequest, entry: Entry, state: TaskState.TaskState): void => {
    request.entries.delete(entry)
    const other = entry.request
    if (other === request) entry.request = undefined
    else if (other !== undefined && isSendingSeen && other.silentSince === undefined) {
      // This request was silent, so another one waits to be sent about the task, which is not needed any more.
      other.entries.delete(entry)
      entry.request = undefined
    }
    registry.rejoin(entry)
    registry.conclude(entry, Conclusion.fromState(entry.taskId, state))
  }

  /** Why a task failed of which only the status is known: its result says it, and may have nothing but warnings. */
  const stateOfFailed = (taskId: string): Effect.Effect<TaskState.TaskState, LookerError.ReadError> => {
    const withoutReason = Effect.succeed(TaskState.fromBody(undefined, true))
    return tasks.queryTaskResults(taskId).pipe(
      Effect.flatMap((body) => (Option.isNone(body) ? withoutReason : ResultRows.stateOfFailed(body.value, taskId))),
      Effect.catchTags({
        // For every format but json_detail the response is 400 with the reason.
        BadRequest: ({ message }) => Effect.succeed(TaskState.fromBody(message, true)),
        NotFound: () => withoutReason,
        TruncatedResult: ({ message }) =>
          Effect.fail(new LookerError.UnexpectedResponse({ message, endpoint: resultsEndpoint(taskId) }))
      })
    )
  }

  const askStatus = (request: PollRequest, [entry]: ReadonlyArray<Entry>) =>
    entry === undefined
      ? Effect.void
      : tasks.queryTask(entry.taskId, { fields: "id,status" }).pipe(
          Effect.flatMap(({ status }) => {
            const state = TaskState.fromEntry({ status })
            return state._tag === "Failed" ? stateOfFailed(entry.taskId) : Effect.succeed(state)
          }),
          Effect.map((state) => received(request, entry, state))
        )

  const askRows = (request: PollRequest, entries: ReadonlyArray<Entry>) => {
    const byId = new Map(entries.map((entry) => [entry.taskId, entry]))
    const onSend = () => {
      isSendingSeen = true
      if (unsent === request) unsent = undefined
      for (const entry of request.entries) byId.set(entry.taskId, entry)
      request.asks = byId.size
      request.silentSince ??= elapsedMillis(clock)
      if (request.asks > 1) underWay.add(request)
      return [...byId.keys()]
    }
    const onRefused = () => {
      request.silentSince = undefined
    }
    const receivePart = (part: MultiResultsPart) => {
      const entry = byId.get(part.taskId)
      if (entry === undefined) return
      if (part._tag === "Entry") return received(request, entry, TaskState.fromEntry(part.entry))
      underWay.delete(request)
      // The tasks behind a large entry would wait for all of it: they are asked about again.
      for (const other of request.entries) {
        if (other === entry || other.request !== request) continue
        other.request = undefined
        other.group.due = Math.min(other.group.due, elapsedMillis(clock))
      }
      wake.openUnsafe()
    }
    return tasks.queryTaskMultiResultsStream([...byId.keys()], { onRefused, onSend }).pipe(
      Stream.runForEachArray((parts) =>
        Effect.sync(() => {
          if (request.silentSince !== undefined) request.silentSince = elapsedMillis(clock)
          parts.forEach(receivePart)
          responseBegan(request)
        })
      ),
      Effect.andThen(
        Effect.sync(() => {
          for (const entry of [...request.entries]) {
            if (!byId.has(entry.taskId) || entry.request !== request) continue
            const absence = Conclusion.fromAbsence(entry.taskId)
            if (request.asks > 1) doubt(request, [entry], absence.error)
            else registry.conclude(entry, absence)
          }
        })
      )
    )
  }

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

  const send = (entries: ReadonlyArray<Entry>): Effect.Effect<void> =>
    Effect.suspend(() => {
      const isShared = entries[0]?.group.separate === false
      if (isShared && unsent !== undefined && unsent.entries.size + entries.length <= policy.chunkSize) {
        for (const entry of entries) {
          unsent.entries.add(entry)
          entry.request = unsent
        }
        return Effect.void
      }
      const request: PollRequest = {
        since: elapsedMillis(clock),
        entries: new Set(entries),
        asks: entries.length,
        silentSince: undefined,
        hasPermit: false,
        fiber: undefined
      }
      withoutResponse.add(request)
      if (isShared && isSendingSeen) unsent = request
      for (const entry of entries) entry.request = request
      const asking = Effect.withFiber((fiber) => {
        request.fiber = fiber
        // Some may have left while the request waited for its permit.
        const waiting = [...request.entries].filter((entry) => entry.waiters > 0)
        if (waiting.length === 0) return Effect.void
        request.asks = waiting.length
        const ask: Effect.Effect<void, LookerError.ReadError> =
          waiting[0]?.statusOnly === true ? askStatus(request, waiting) : askRows(request, waiting)
        LookerMetrics.polls.updateUnsafe(1, fiber.context)
        return Effect.catch(withPollSpan(ask, waiting), (error) => Effect.sync(() => failed(request, error)))
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
            if (unsent === request) unsent = undefined
            underWay.delete(request)
            divided.delete(request)
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

  const isNeeded = (request: PollRequest): boolean =>
    [...request.entries].some((entry) => entry.waiters > 0 && (entry.request === request || divided.has(request)))

  const interrupt = ({ fiber }: PollRequest): Effect.Effect<void> =>
    fiber === undefined ? Effect.void : Fiber.interrupt(fiber)

  const abandon = ({ request }: Entry): Effect.Effect<void> => {
    if (request === undefined && divided.size === 0) return Effect.void
    const requests = request === undefined ? [...divided] : [request, ...divided]
    return Effect.forEach(
      requests.filter((one) => !isNeeded(one)),
      interrupt,
      { discard: true }
    )
  }

  const splitSilent = (now: number): Effect.Effect<void> =>
    Effect.forEach(
      underWay,
      (request): Effect.Effect<void> => {
        const silent = request.silentSince === undefined ? 0 : now - request.silentSince
        if (!Conclusion.isLasting(silent, graceMillis)) return Effect.void
        if (divided.has(request)) return silent >= graceMillis ? interrupt(request) : Effect.void
        const entries = [...request.entries].filter((entry) => entry.request === request)
        for (const entry of entries) entry.request = undefined
        divided.add(request)
        doubt(request, entries, fromSilence(silent))
        return release(request)
      },
      { discard: true }
    )

  const sufficientUntil = (now: number): number => {
    for (const request of withoutResponse) if (request.since + patience <= now) withoutResponse.delete(request)
    const [oldest] = withoutResponse
    return oldest !== undefined && withoutResponse.size >= registry.requestsForAll ? oldest.since + patience : 0
  }

  return { send, abandon, sufficientUntil, splitSilent }
})

const fromSilence = (millis: number) =>
  new LookerError.LookerUnavailable({
    message: `No answer within ${Math.round(millis / 1000)} s`,
    endpoint: Endpoint.requestLine(LookerApi.queryTaskMultiResults),
    reached: "maybe"
  })
