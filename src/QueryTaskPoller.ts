/**
 * POLLING: many fibers wait for query tasks, few requests go out.
 *
 * @since 0.1.0
 */
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import * as Pull from "effect/Pull"
import * as Queue from "effect/Queue"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { SqlError } from "./domain/SqlError.ts"
import * as TaskState from "./domain/TaskState.ts"
import * as LookerError from "./LookerError.ts"
import { LookerPolicy } from "./LookerPolicy.ts"
import { QueryTasks } from "./QueryTasks.ts"

/**
 * A task that ended well: `data` is the result as `multi_results` carries it (parsed), `warnings` what Looker remarked.
 *
 * @category models
 * @since 0.1.0
 */
export interface Finished {
  readonly taskId: string
  readonly data: unknown
  readonly warnings: ReadonlyArray<SqlError>
}

/**
 * What waiting can fail with.
 *
 * @category errors
 * @since 0.1.0
 */
export type WaitError = LookerError.ReadError | Exclude<LookerError.TaskError, LookerError.TruncatedResult>

/**
 * **Details**
 *
 * - `wait`: succeeds when the task has ended well; `timeout` ends the waiting with `PollingTimeout`, not the task
 * - `observe`: Looker's status words as they change; ends with the task, and fails as `wait` does
 *
 * All waiting fibers share rounds of `multi_results`, at most `LookerPolicy.chunkSize` ids in one request; fibers that wait for the
 * same task share one entry. A fiber that is interrupted leaves the rounds at once. While nobody waits nothing is sent.
 *
 * @category services
 * @since 0.1.0
 */
export class QueryTaskPoller extends Context.Service<
  QueryTaskPoller,
  {
    wait(
      taskId: string,
      options?: { readonly timeout?: Duration.Input | undefined }
    ): Effect.Effect<Finished, WaitError>
    observe(taskId: string): Stream.Stream<string, WaitError>
  }
>()("effect-looker/QueryTaskPoller") {}

/** One task that somebody waits for. */
interface Entry {
  readonly taskId: string
  readonly since: number
  readonly ended: Deferred.Deferred<Finished, WaitError>
  readonly observers: Set<(status: string) => void>
  waiters: number
  status: string | undefined
  /** Since when Looker has said nothing about the task that can be believed. */
  puzzlingSince: number | undefined
}

/** No schedule makes the poller spin. */
const shortestPause = Duration.millis(10)

/** Status words an observer may fall behind. */
const statusesKept = 16

/** Chunks asked at a time. */
const concurrentChunks = 8

/**
 * @category constructors
 * @since 0.1.0
 */
export const make: Effect.Effect<QueryTaskPoller["Service"], never, QueryTasks | Scope.Scope> = Effect.gen(
  function* () {
    const tasks = yield* QueryTasks
    const policy = yield* LookerPolicy
    const registry = new Map<string, Entry>()
    const arrivals = yield* Latch.make()
    const graceMillis = Duration.toMillis(policy.grace)

    const end = (entry: Entry, exit: Effect.Effect<Finished, WaitError>) => {
      if (registry.get(entry.taskId) === entry) registry.delete(entry.taskId)
      Deferred.doneUnsafe(entry.ended, exit)
    }

    const endAll = (entries: ReadonlyArray<Entry>, exit: Effect.Effect<Finished, WaitError>) =>
      Effect.sync(() => {
        for (const entry of entries) end(entry, exit)
      })

    const show = (entry: Entry, status: string) => {
      if (status === entry.status) return
      entry.status = status
      for (const observer of entry.observers) observer(status)
    }

    /** A puzzling answer is believed only when it has been given for the whole grace period. */
    const puzzled = (entry: Entry, now: number, error: WaitError) => {
      entry.puzzlingSince ??= now
      if (now - entry.puzzlingSince >= graceMillis) end(entry, Effect.fail(error))
    }

    const receive = (entry: Entry, state: TaskState.TaskState, now: number): void => {
      const { taskId } = entry
      switch (state._tag) {
        case "Pending": {
          entry.puzzlingSince = undefined
          show(entry, state.status)
          break
        }
        case "Complete": {
          show(entry, "complete")
          end(entry, Effect.succeed({ taskId, data: state.data, warnings: state.warnings }))
          break
        }
        case "Failed": {
          show(entry, "error")
          end(entry, Effect.fail(LookerError.queryFailed(taskId, state.errors, state.sql)))
          break
        }
        case "Killed": {
          show(entry, "killed")
          end(entry, Effect.fail(new LookerError.QueryKilled({ message: "The query was killed", taskId })))
          break
        }
        case "Missing": {
          show(entry, "missing")
          const message = "Looker has no such task, or it is not yours"
          end(entry, Effect.fail(new LookerError.TaskMissing({ message, taskId })))
          break
        }
        case "Expired": {
          show(entry, "expired")
          const message = "The results of the task have expired: run the query again"
          puzzled(entry, now, new LookerError.ResultsExpired({ message, taskId }))
          break
        }
        case "Unrecognised": {
          const { status } = state
          show(entry, status)
          const message = `Looker gives the task a status this library does not know: "${status}"`
          puzzled(entry, now, new LookerError.UnknownTaskStatus({ message, taskId, status }))
          break
        }
      }
    }

    const leftOut = (entry: Entry, now: number) =>
      puzzled(
        entry,
        now,
        new LookerError.TaskMissing({ message: "Looker leaves the task out of its answers", taskId: entry.taskId })
      )

    /** Asks about some tasks in one request. A request refused as a whole is split, so that one bad id fails alone. */
    const ask = (entries: ReadonlyArray<Entry>): Effect.Effect<void> =>
      tasks.queryTaskMultiResults(entries.map((entry) => entry.taskId)).pipe(
        Effect.flatMap((answers) =>
          Clock.clockWith((clock) =>
            Effect.sync(() => {
              const now = clock.currentTimeMillisUnsafe()
              for (const entry of entries) {
                if (Object.hasOwn(answers, entry.taskId)) {
                  receive(entry, TaskState.fromEntry(answers[entry.taskId]), now)
                } else {
                  leftOut(entry, now)
                }
              }
            })
          )
        ),
        Effect.catch((error) => {
          if (entries.length > 1 && (error._tag === "NotFound" || error._tag === "BadRequest")) {
            const middle = Math.ceil(entries.length / 2)
            return Effect.andThen(ask(entries.slice(0, middle)), ask(entries.slice(middle)))
          }
          return endAll(entries, Effect.fail(error))
        }),
        Effect.catchCause((cause) =>
          Cause.hasInterruptsOnly(cause)
            ? Effect.failCause(cause as Cause.Cause<never>)
            : endAll(entries, Effect.failCause(cause as Cause.Cause<never>))
        )
      )

    const round = Effect.suspend(() =>
      Effect.forEach(Arr.chunksOf([...registry.values()], policy.chunkSize), ask, {
        concurrency: concurrentChunks,
        discard: true
      })
    )

    const giveUp = Effect.sync(() => {
      for (const entry of [...registry.values()]) {
        const message = "The poll schedule of LookerPolicy ended before the task did"
        end(entry, Effect.fail(new LookerError.PollingTimeout({ message, taskId: entry.taskId })))
      }
    })

    const polling = Effect.gen(function* () {
      const clock = yield* Clock.Clock
      let step = yield* Schedule.toStep(policy.poll)

      const nextRound = Effect.suspend(() => {
        const now = clock.currentTimeMillisUnsafe()
        let youngest = 0
        for (const entry of registry.values()) youngest = Math.max(youngest, entry.since)
        return step(now, {
          waiting: registry.size,
          requests: Math.ceil(registry.size / policy.chunkSize),
          age: Duration.millis(now - youngest)
        }).pipe(Effect.map(([, pause]) => now + Duration.toMillis(Duration.max(pause, shortestPause))))
      })

      const sleepUntil = (at: number) =>
        Effect.suspend(() => Effect.sleep(Math.max(0, at - clock.currentTimeMillisUnsafe())))

      /** Until the schedule says so. A task that arrives meanwhile starts the schedule afresh and may only bring the round forward. */
      const pause = Effect.gen(function* () {
        arrivals.closeUnsafe()
        const at = yield* nextRound
        const arrived = yield* Effect.raceFirst(Effect.as(sleepUntil(at), false), Effect.as(arrivals.await, true))
        if (!arrived) return
        step = yield* Schedule.toStep(policy.poll)
        yield* sleepUntil(Math.min(at, yield* nextRound))
      })

      while (true) {
        if (registry.size === 0) {
          arrivals.closeUnsafe()
          yield* arrivals.await
          step = yield* Schedule.toStep(policy.poll)
        }
        const more = yield* Pull.matchEffect(pause, {
          onSuccess: () => Effect.succeed(true),
          onFailure: (cause: Cause.Cause<never>) => Effect.failCause(cause),
          onDone: () => Effect.succeed(false)
        })
        yield* more ? round : giveUp
      }
    })

    yield* Effect.addFinalizer(() => endAll([...registry.values()], Effect.interrupt))
    yield* Effect.forkScoped(polling)

    const join = (taskId: string): Effect.Effect<Entry> =>
      Clock.clockWith((clock) =>
        Effect.sync(() => {
          let entry = registry.get(taskId)
          if (entry === undefined) {
            entry = {
              taskId,
              since: clock.currentTimeMillisUnsafe(),
              ended: Deferred.makeUnsafe(),
              observers: new Set(),
              waiters: 0,
              status: undefined,
              puzzlingSince: undefined
            }
            registry.set(taskId, entry)
            arrivals.openUnsafe()
          }
          entry.waiters++
          return entry
        })
      )

    const leave = (entry: Entry): Effect.Effect<void> =>
      Effect.sync(() => {
        if (--entry.waiters === 0 && registry.get(entry.taskId) === entry) registry.delete(entry.taskId)
      })

    const wait = Effect.fn("QueryTaskPoller.wait")(function* (
      taskId: string,
      options: { readonly timeout?: Duration.Input | undefined } = {}
    ): Effect.fn.Return<Finished, WaitError> {
      const waiting = Effect.acquireUseRelease(join(taskId), (entry) => Deferred.await(entry.ended), leave)
      if (options.timeout === undefined) return yield* waiting
      const timeout = Duration.fromInputUnsafe(options.timeout)
      return yield* Effect.timeoutOrElse(waiting, {
        duration: timeout,
        orElse: () =>
          Effect.fail(
            new LookerError.PollingTimeout({
              message: `The task did not end within ${Duration.format(timeout)}`,
              taskId
            })
          )
      })
    })

    const observe = (taskId: string): Stream.Stream<string, WaitError> =>
      Stream.callback<string, WaitError>(
        Effect.fnUntraced(function* (queue) {
          const entry = yield* Effect.acquireRelease(join(taskId), leave)
          const observer = (status: string) => void Queue.offerUnsafe(queue, status)
          if (entry.status !== undefined) observer(entry.status)
          yield* Effect.acquireRelease(
            Effect.sync(() => entry.observers.add(observer)),
            () => Effect.sync(() => entry.observers.delete(observer))
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
