/**
 * POLLING: many fibers wait for query tasks, few requests go out.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Tracer from "effect/Tracer"
import { elapsedMillis } from "./internal/elapsed.ts"
import * as callOptions from "./internal/options.ts"
import * as traced from "./internal/traced.ts"
import * as LookerError from "./LookerError.ts"
import { LookerPolicy } from "./LookerPolicy.ts"
import { type Finished, lastResponse, type WaitError } from "./QueryTaskPoller/Conclusion.ts"
import { type Entry, Registry } from "./QueryTaskPoller/Registry.ts"
import * as Requests from "./QueryTaskPoller/Requests.ts"
import * as Rounds from "./QueryTaskPoller/Rounds.ts"
import type { QueryTasks } from "./QueryTasks.ts"

export { Finished, WaitError } from "./QueryTaskPoller/Conclusion.ts"

/**
 * How to wait.
 *
 * @category models
 * @since 0.1.0
 */
export interface WaitOptions {
  /** Ends the waiting with `PollingTimeout`, not the task. Default: none. */
  readonly timeout?: Duration.Input | undefined
  /**
   * Asks `query_task?fields=id,status`, one request for each task, so that no rows come along; `data` is then absent. For a result that is
   * too large to be part of a shared response. Default: no.
   */
  readonly statusOnly?: boolean | undefined
}

/**
 * Waits for tasks.
 *
 * **Details**
 *
 * All waiting fibers share rounds of `multi_results`, at most `LookerPolicy.chunkSize` ids in one request; fibers that wait for the
 * same task share one entry. A result is handed over as soon as its part of the response has arrived, so that a large result delays no
 * other. A fiber that is interrupted leaves the rounds at once. While nothing is waited for nothing is sent.
 *
 * @category services
 * @since 0.1.0
 */
export class QueryTaskPoller extends Context.Service<
  QueryTaskPoller,
  {
    /** Succeeds when the task has ended well. */
    wait(taskId: string, options?: WaitOptions): Effect.Effect<Finished, WaitError>
    /** Looker's status words as they change; ends with the task, and fails as `wait` does. */
    observe(taskId: string, options?: Pick<WaitOptions, "statusOnly">): Stream.Stream<string, WaitError>
  }
>()("effect-looker/QueryTaskPoller") {}

/** Status words kept for an observer that is slower than they change; then the oldest are dropped. */
const statusesKept = 16

/**
 * @category constructors
 * @since 0.1.0
 */
export const make: Effect.Effect<QueryTaskPoller["Service"], never, QueryTasks | Scope.Scope> = Effect.gen(
  function* () {
    const policy = yield* LookerPolicy
    const clock = yield* Clock.Clock
    const wake = yield* Latch.make()
    const registry = new Registry({
      chunkSize: policy.chunkSize,
      graceMillis: Duration.toMillis(policy.grace),
      now: () => elapsedMillis(clock),
      context: yield* Effect.context<never>()
    })
    const requests = yield* Requests.make(registry, wake)
    let closed = false

    yield* Effect.addFinalizer(() =>
      Effect.suspend(() => {
        closed = true
        return registry.endAll(registry.entries(), Effect.interrupt)
      })
    )
    yield* Effect.forkScoped(Rounds.run(registry, requests, wake))

    const join = (taskId: string, statusOnly: boolean): Effect.Effect<Entry> =>
      Effect.suspend(() => {
        if (closed) return Effect.interrupt
        const entry = registry.join(taskId, statusOnly)
        if (registry.hasUnplanned) wake.openUnsafe()
        return Effect.succeed(entry)
      })

    const leave = (entry: Entry): Effect.Effect<void> =>
      Effect.suspend(() => {
        registry.leave(entry)
        return entry.waiters === 0 ? requests.abandon(entry) : Effect.void
      })

    /** With a tracer, the requests about the task are linked to the current span. */
    const awaitEnd = (entry: Entry) =>
      Effect.withFiber((fiber): Effect.Effect<Finished, WaitError> => {
        const ended = Deferred.await(entry.ended)
        const span = traced.currentSpan(fiber)
        if (span === undefined) return ended
        const trace = { span, tracer: fiber.getRef(Tracer.Tracer) }
        entry.traces ??= new Set()
        entry.traces.add(trace)
        return Effect.onExit(ended, () => {
          entry.traces?.delete(trace)
          span.attribute("looker.task.status", entry.status)
          return Effect.void
        })
      })

    const wait = Effect.fnUntraced(function* (
      taskId: string,
      options: WaitOptions = {}
    ): Effect.fn.Return<Finished, WaitError> {
      const timeout =
        options.timeout === undefined ? undefined : yield* callOptions.duration("timeout", options.timeout)
      const joined = join(taskId, options.statusOnly ?? false)
      if (timeout === undefined) return yield* Effect.acquireUseRelease(joined, awaitEnd, leave)
      const late = (entry: Entry) => {
        const message = `The task did not end within ${Duration.format(timeout)}; ${lastResponse(entry.last)}`
        return Effect.fail(new LookerError.PollingTimeout({ message, taskId }))
      }
      return yield* Effect.acquireUseRelease(
        joined,
        (entry) => Effect.timeoutOrElse(awaitEnd(entry), { duration: timeout, orElse: () => late(entry) }),
        leave
      )
    })

    const observe = (taskId: string, options: Pick<WaitOptions, "statusOnly"> = {}): Stream.Stream<string, WaitError> =>
      Stream.callback<string, WaitError>(
        Effect.fnUntraced(function* (queue) {
          const entry = yield* Effect.acquireRelease(join(taskId, options.statusOnly ?? false), leave)
          const observer = (status: string) => void Queue.offerUnsafe(queue, status)
          if (entry.status !== undefined) observer(entry.status)
          yield* Effect.acquireRelease(
            Effect.sync(() => {
              entry.observers ??= new Set()
              return entry.observers.add(observer)
            }),
            (observers) => Effect.sync(() => observers.delete(observer))
          )
          yield* Deferred.await(entry.ended)
          yield* Queue.end(queue)
        }),
        { bufferSize: statusesKept, strategy: "sliding" }
      )

    return QueryTaskPoller.of({ wait, observe })
  }
)

/**
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<QueryTaskPoller, never, QueryTasks> = Layer.effect(QueryTaskPoller, make)
