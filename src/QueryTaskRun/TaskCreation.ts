/**
 * Creates tasks, and looks for the one whose response is lost, so that it is neither lost nor started twice.
 *
 * A query only reads, so a second run is no harm but costs. What may run without being waited for is logged.
 */
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import * as Pull from "effect/Pull"
import * as Result from "effect/Result"
import * as Schedule from "effect/Schedule"
import * as Endpoint from "../api/Endpoint.ts"
import * as LookerApi from "../api/LookerApi.ts"
import type * as QueryTask from "../domain/QueryTask.ts"
import type { ResultFormat } from "../domain/ResultFormat.ts"
import type { RunningQuery } from "../domain/RunningQuery.ts"
import { elapsedMillis } from "../internal/elapsed.ts"
import * as httpError from "../internal/httpError.ts"
import { tasksIn } from "../internal/series.ts"
import * as startedTasks from "../internal/startedTasks.ts"
import type * as LookerError from "../LookerError.ts"
import { LookerHttp } from "../LookerHttp.ts"
import * as LookerMetrics from "../LookerMetrics.ts"
import { LookerPolicy } from "../LookerPolicy.ts"
import { QueryTasks } from "../QueryTasks.ts"

/** What is asked of a task. */
export interface Wanted {
  readonly queryId: string
  readonly format: ResultFormat
  readonly params: Omit<QueryTask.CreateQueryTaskParams, "fields">
}

/**
 * Creates a task, and succeeds with its id. `onCreated` is called with the id as soon as it is there, also when the interruption of this effect
 * has begun.
 */
export type CreateTask = (
  wanted: Wanted,
  onCreated: (taskId: string) => void
) => Effect.Effect<string, LookerError.CreateError>

/** How often the running queries are looked at, and the pause between. A task may take a moment to appear among them. */
const looks = 2
const pauseBetweenLooks = Duration.seconds(1)

/** How far the clock of what sends `Date` may be ahead of the one of `created_at`, in milliseconds. */
const clockSlack = 2000

/** How a task looks whose creator did not set these parameters. What the others are then is not documented. */
const unset: Partial<Wanted["params"]> = {
  force_production: false,
  cache_only: false,
  rebuild_pdts: false,
  server_table_calcs: true
}

/** Whether all that Looker shows of a task is as it was asked for. */
const isAsWanted = (task: QueryTask.QueryTask, { format, params, queryId }: Wanted): boolean => {
  const shown: ReadonlyArray<readonly [shown: unknown, wanted: unknown]> = [
    [task.query_id, queryId],
    [task.result_format, format],
    [task.cache, params.cache],
    [task.cache_only, params.cache_only ?? unset.cache_only],
    [task.force_production, params.force_production ?? unset.force_production],
    [task.generate_links, params.generate_drill_links],
    [task.path_prefix, params.path_prefix],
    [task.rebuild_pdts, params.rebuild_pdts ?? unset.rebuild_pdts],
    [task.server_table_calcs, params.server_table_calcs ?? unset.server_table_calcs]
  ]
  return shown.every(
    ([shown, wanted]) => shown === undefined || shown === null || wanted === undefined || shown === wanted
  )
}

/** Whether the request that failed may have started a task. The request that failed may also be a login. */
const isLost = (error: LookerError.CreateError): boolean =>
  httpError.mayBeCarriedOut(error) &&
  (error.endpoint === undefined || error.endpoint === Endpoint.requestLine(LookerApi.createQueryTask))

const is503 = (error: LookerError.CreateError): boolean => error._tag === "LookerUnavailable" && error.reached === "no"

const millisOf = (time: string | null | undefined): number | undefined =>
  time === null || time === undefined
    ? undefined
    : Option.getOrUndefined(Option.map(DateTime.make(time), DateTime.toEpochMillis))

export const make = Effect.gen(function* () {
  const tasks = yield* QueryTasks
  const policy = yield* LookerPolicy
  const clock = yield* Clock.Clock
  const find = yield* makeFind

  const report = ({ queryId }: Wanted, why: string): Effect.Effect<void> =>
    Effect.logWarning(`A task of query ${queryId} may run in Looker that nothing waits for: ${why}`).pipe(
      Effect.annotateLogs({ queryId }),
      Effect.andThen(Metric.update(Metric.withAttributes(LookerMetrics.strays, { query_id: queryId }), 1))
    )

  /** One run of `createTask`: when the request was sent whose response has not come, in elapsed milliseconds. */
  interface Creation {
    sentAt: number | undefined
  }

  return ((wanted, onCreated) =>
    Effect.suspend(() => {
      const creation: Creation = { sentAt: undefined }
      const { format, params, queryId } = wanted

      const created = (taskId: string) => {
        creation.sentAt = undefined
        onCreated(taskId)
      }

      const create = Effect.map(
        tasks.createQueryTask(
          { query_id: queryId, result_format: format },
          // The whole response would have the query again, and only the id is needed.
          { ...params, fields: "id" },
          {
            onCreated: ({ id }) => Effect.sync(() => created(id)),
            onRequest: (event) => {
              creation.sentAt = event === "sent" ? elapsedMillis(clock) : undefined
            }
          }
        ),
        ({ id }) => id
      )

      const recover = Effect.fnUntraced(function* (
        first: LookerError.CreateError
      ): Effect.fn.Return<string, LookerError.CreateError> {
        const step = yield* Schedule.toStep(policy.retry)
        const pause = (error: LookerError.CreateError) =>
          step(clock.currentTimeMillisUnsafe(), error).pipe(
            Effect.flatMap(([, duration]) => Effect.sleep(duration)),
            Pull.catchDone(() => Effect.fail(error))
          )
        let error = first
        let mayRepeat = policy.lostAnswer === "adopt"
        while (true) {
          const found = yield* find(wanted, creation.sentAt ?? elapsedMillis(clock))
          if (found !== undefined) {
            created(found)
            yield* Effect.logWarning(
              `Adopted task ${found} of query ${queryId}, whose response was lost: ${error.message}`
            ).pipe(Effect.annotateLogs({ queryId, taskId: found }))
            yield* Metric.update(tasksIn("adopted"), 1)
            return found
          }
          yield* report(wanted, `its response was lost (${error.name}: ${error.message})`)
          creation.sentAt = undefined
          if (params.rebuild_pdts === true) return yield* error
          if (is503(error) || policy.lostAnswer === "repeat") yield* pause(error)
          else if (mayRepeat) mayRepeat = false
          else return yield* error
          yield* Metric.update(
            Metric.withAttributes(LookerMetrics.retries, { endpoint: "create_query_task", reason: error._tag }),
            1
          )
          const again = yield* Effect.result(create)
          if (Result.isSuccess(again)) return again.success
          if (!isLost(again.failure)) return yield* again.failure
          error = again.failure
        }
      })

      return Effect.catchIf(create, isLost, recover).pipe(
        Effect.onInterrupt(() =>
          creation.sentAt === undefined
            ? Effect.void
            : report(wanted, "the run was interrupted before the response came")
        )
      )
    })) satisfies CreateTask
})

/** Looks for lost tasks. */
const makeFind = Effect.gen(function* () {
  const tasks = yield* QueryTasks
  const policy = yield* LookerPolicy
  const clock = yield* Clock.Clock
  // Over a stand-in for QueryTasks there may be no HTTP, and then there is nowhere to look.
  const maybeHttp = yield* Effect.serviceOption(LookerHttp)
  if (Option.isNone(maybeHttp)) return () => Effect.undefined
  const http = maybeHttp.value
  const started = startedTasks.of(http)
  /** The id of the user does not change, so it is asked for once. */
  const [userId] = yield* Effect.cachedInvalidateWithTTL(
    Effect.map(
      http.call(LookerApi.me, (send) => send({ query: { fields: "id" } })),
      ({ id }) => id
    ),
    (exit) => (exit._tag === "Success" ? Duration.infinity : Duration.zero)
  )

  /** The one task that may be the lost one; `several` if it cannot be told from others. */
  const look = Effect.fnUntraced(function* (wanted: Wanted, sentAt: number) {
    const user = yield* userId
    // Their tasks are not known before.
    yield* started.untilEnded(wanted.queryId)
    const [running, { headers }] = yield* http.call(LookerApi.allRunningQueries, (send) =>
      send({ responseMode: "decoded-and-response" })
    )
    const passed = elapsedMillis(clock) - sentAt
    yield* started.untilEnded(wanted.queryId)
    const serverTime = millisOf(headers.date)
    // Again: another run may have lost such a task since the beginning.
    if (serverTime === undefined || user === undefined || started.withHiddenParameters.has(wanted.queryId)) {
      return undefined
    }
    const isCandidate = ({ created_at, query_id, query_task_id, user: owner }: RunningQuery): boolean =>
      query_id === wanted.queryId &&
      typeof query_task_id === "string" &&
      !started.isKnown(query_task_id) &&
      String(owner?.id) === user &&
      (millisOf(created_at) ?? Number.NEGATIVE_INFINITY) >= serverTime - passed - clockSlack
    const [candidate, ...others] = running.filter(isCandidate)
    if (others.length > 0) return "several"
    const taskId = candidate?.query_task_id
    if (typeof taskId !== "string") return undefined
    const task = yield* tasks.queryTask(taskId)
    // Another run of the same query may have adopted it meanwhile.
    if (!isAsWanted(task, wanted) || started.isKnown(taskId)) return undefined
    started.add(taskId)
    return { taskId }
  })

  return Effect.fnUntraced(function* (wanted: Wanted, sentAt: number) {
    const isHidden = startedTasks.hasHiddenParameters(wanted.params) || started.withHiddenParameters.has(wanted.queryId)
    if (policy.lostAnswer !== "adopt" || isHidden) return undefined
    for (let looked = 0; looked < looks; looked++) {
      if (looked > 0) yield* Effect.sleep(pauseBetweenLooks)
      const found = yield* Effect.orElseSucceed(look(wanted, sentAt), () => undefined)
      if (found === "several") return undefined
      if (found !== undefined) return found.taskId
    }
    return undefined
  })
})
