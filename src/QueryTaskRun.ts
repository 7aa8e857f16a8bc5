/**
 * The steps of one run of a query, each usable alone: create the query, start a task, wait for it, read its rows or its body, kill it.
 *
 * `QueryRunner` is made of them. A program uses them itself when its runs are different: tasks that outlive it, bodies that go to files.
 *
 * @since 0.2.0
 */
import * as Cache from "effect/Cache"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Exit from "effect/Exit"
import * as Hash from "effect/Hash"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Endpoint from "./api/Endpoint.ts"
import * as LookerApi from "./api/LookerApi.ts"
import * as Query from "./domain/Query.ts"
import type * as QueryTask from "./domain/QueryTask.ts"
import type { ResultFormat, RowFormat } from "./domain/ResultFormat.ts"
import * as SqlError from "./domain/SqlError.ts"
import { Id, Json, openStruct } from "./domain/Wire.ts"
import { resultsEndpoint } from "./internal/httpError.ts"
import * as callOptions from "./internal/options.ts"
import * as traced from "./internal/traced.ts"
import * as LookerError from "./LookerError.ts"
import { LookerPolicy } from "./LookerPolicy.ts"
import { Queries } from "./Queries.ts"
import * as QueryTaskPoller from "./QueryTaskPoller.ts"
import * as TaskCreation from "./QueryTaskRun/TaskCreation.ts"
import { QueryTasks, type ResultBody } from "./QueryTasks.ts"
import * as ResultRows from "./ResultRows.ts"

/**
 * A query that exists in Looker: the response to `create_query`, with the id that a task needs.
 *
 * @category schemas
 * @since 0.2.0
 */
export const CreatedQuery = openStruct({ ...Query.Query.schema.fields, id: Id })

/**
 * @category models
 * @since 0.2.0
 */
export type CreatedQuery = typeof CreatedQuery.Type

/**
 * How to start a task.
 *
 * @category models
 * @since 0.2.0
 */
export interface StartOptions {
  /** The format of the result. Default: `json`. */
  readonly format?: ResultFormat | undefined
  /** The parameters of `create_query_task`: `limit`, `cache`, `apply_formatting`, … */
  readonly params?: Omit<QueryTask.CreateQueryTaskParams, "fields"> | undefined
}

/**
 * A task that was started, and its query.
 *
 * @category schemas
 * @since 0.2.0
 */
export const Started = Schema.Struct({ query: CreatedQuery, taskId: Schema.String })

/**
 * @category models
 * @since 0.2.0
 */
export type Started = typeof Started.Type

/**
 * The status of a task has changed.
 *
 * @category schemas
 * @since 0.2.0
 */
export const StatusUpdate = Schema.Struct({ taskId: Schema.String, status: Schema.String })

/**
 * @category models
 * @since 0.1.0
 */
export type StatusUpdate = typeof StatusUpdate.Type

/**
 * How to wait for a task.
 *
 * @category models
 * @since 0.2.0
 */
export interface WaitOptions extends QueryTaskPoller.WaitOptions {
  /** Runs with each status word of Looker when it changes. */
  readonly onStatus?: ((update: StatusUpdate) => Effect.Effect<void>) | undefined
}

/**
 * How to read rows.
 *
 * @category models
 * @since 0.2.0
 */
export interface RowsOptions<Row> {
  /** The format that the task was started with. Default: `json`. */
  readonly format?: RowFormat | undefined
  /** A schema for each row. Without one, rows are records of field name to value. */
  readonly row?: Schema.ConstraintDecoder<Row> | undefined
  /** The query as Looker returned it, and the parameters of the task: they say the limit, for `limitReached`. */
  readonly query?: ResultRows.LimitOptions["query"]
  readonly params?: ResultRows.LimitOptions["params"]
  /** `"fail"`: rows that the limit may have cut fail with `LimitReached`. Default: they succeed, with `limitReached`. */
  readonly whenLimited?: "fail" | undefined
}

/**
 * The schema of {@link TaskRows} with rows of this schema.
 *
 * @category schemas
 * @since 0.2.0
 */
export const TaskRows = <Row extends Schema.Top>(row: Row) =>
  Schema.Struct({
    taskId: Schema.String,
    rows: Schema.Array(row),
    warnings: Schema.Array(SqlError.SqlError),
    limitReached: Schema.Boolean,
    resultSource: Schema.optional(Schema.String),
    fromCache: Schema.optional(Schema.Boolean),
    runtime: Schema.optional(Schema.Number),
    data: Json
  })

/**
 * The result of a task as rows.
 *
 * @category models
 * @since 0.2.0
 */
export interface TaskRows<Row> {
  readonly taskId: string
  readonly rows: ReadonlyArray<Row>
  /** Messages of Looker that are no failure: development mode notes. */
  readonly warnings: ReadonlyArray<SqlError.SqlError>
  /**
   * There may be more rows in Looker: there are as many as the limit of the query, totals and subtotals not counted, or Looker says that they
   * are truncated. A query without a limit has 500; `limit: -1` is all rows.
   */
  readonly limitReached: boolean
  /** Looker's word for where the result comes from (`query`, `cache`), if the wait brought it along. */
  readonly resultSource?: string | undefined
  /** Of json_detail. It was true in all results that were recorded. */
  readonly fromCache?: boolean | undefined
  /** Seconds that the query took, of json_detail. */
  readonly runtime?: number | undefined
  /** The whole result, parsed: the fields, totals and SQL of json_detail are only here. */
  readonly data: unknown
}

/**
 * The steps of one run.
 *
 * @category services
 * @since 0.2.0
 */
export class QueryTaskRun extends Context.Service<
  QueryTaskRun,
  {
    /**
     * Creates the query, or remembers that it was created: Looker always gives the same body the same id. Fibers that create the same
     * query at the same time share one request.
     */
    createQuery(query: Query.QueryInput): Effect.Effect<CreatedQuery, LookerError.CreateError>
    /**
     * Starts a task for a query that exists, and succeeds with the id of the task. Fails with `NotFound` when Looker does not know the
     * query. When the response is lost, what follows is `LookerPolicy.LostAnswer`: by default the task is looked for and adopted. A task that may
     * run without being waited for is logged as a warning.
     *
     * An interruption while the response is on its way waits for the id for `LookerPolicy.cleanupTimeout`, and kills the task. Once this
     * effect has succeeded the caller owns the task: {@link withTask} is for programs that may be interrupted just then.
     */
    start(queryId: string, options?: StartOptions): Effect.Effect<string, LookerError.CreateError>
    /**
     * Creates the query, starts a task for it, and uses the task. A query that Looker has lost since it was created is created again.
     *
     * The task does not outlive a use that fails or is interrupted: it is killed, unless it failed with the end of the task itself.
     */
    withTask<A, E, R>(
      query: Query.QueryInput,
      options: StartOptions,
      use: (started: Started) => Effect.Effect<A, E, R>
    ): Effect.Effect<A, E | LookerError.CreateError, R>
    /** Waits for the end of a task through the shared poller. The task goes on when the wait fails or is interrupted. */
    wait(taskId: string, options?: WaitOptions): Effect.Effect<QueryTaskPoller.Finished, QueryTaskPoller.WaitError>
    /** The rows of a finished task: from what the wait brought with it, or else fetched. */
    rows<Row = ResultRows.Row>(
      finished: QueryTaskPoller.Finished,
      options?: RowsOptions<Row>
    ): Effect.Effect<
      TaskRows<Row>,
      LookerError.ReadError | LookerError.QueryFailed | LookerError.TruncatedResult | LookerError.LimitReached
    >
    /** The body of the result of a finished task, in the format of the task: as text, or as bytes while they arrive. */
    body(taskId: string): Effect.Effect<ResultBody, LookerError.ReadError>
    /**
     * Kills a task in Looker. Never fails, and takes no longer than `LookerPolicy.cleanupTimeout`. A kill that fails until then is logged as a
     * warning.
     */
    kill(taskId: string): Effect.Effect<void>
  }
>()("effect-looker/QueryTaskRun") {}

/** Created queries that are remembered. */
const queriesKept = 1000

/** The pauses between attempts to kill a task, whatever they fail with, for as long as `LookerPolicy.cleanupTimeout` allows. */
const killAgain = Schedule.exponential("100 millis").pipe(
  Schedule.modifyDelay(({ duration }) => Effect.succeed(Duration.min(duration, Duration.seconds(1))))
)

/** After these errors the task does not run any more. */
const ended: ReadonlySet<unknown> = new Set(["QueryFailed", "QueryKilled", "ResultsExpired", "TaskMissing"])

/** Whether an error is the end of a task. */
const isEndOfTask = (error: unknown): boolean => Predicate.hasProperty(error, "_tag") && ended.has(error._tag)

/** The same effect, as interruptible as the caller's. */
type Restore = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

/**
 * @category constructors
 * @since 0.2.0
 */
export const make = Effect.gen(function* () {
  const tasks = yield* QueryTasks
  const { createAgain, createQuery } = yield* makeCreateQuery
  const wait = yield* makeWait
  const taskCreation = yield* TaskCreation.make
  const kill = yield* makeKill

  const createTask = (
    queryId: string,
    { format = "json", params = {} }: StartOptions,
    onCreated: (id: string) => void
  ) => taskCreation({ queryId, format, params }, onCreated)

  /** Creates a task, and kills it if the creation is interrupted. To be used in an uninterruptible region. */
  const starting = <A, E>(
    create: (onCreated: (taskId: string) => void) => Effect.Effect<A, E>,
    restore: Restore
  ): Effect.Effect<A, E> =>
    Effect.suspend(() => {
      let created: string | undefined
      return restore(
        create((taskId) => {
          created = taskId
        })
      ).pipe(Effect.onInterrupt(() => (created === undefined ? Effect.void : kill(created))))
    })

  const start = (queryId: string, options: StartOptions = {}) =>
    Effect.uninterruptibleMask((restore) =>
      starting((onCreated) => createTask(queryId, options, onCreated), restore)
    ).pipe(
      traced.withSpan("QueryTaskRun.start", {
        attributes: () => ({ "looker.query.id": queryId }),
        result: (taskId: string) => ({ "looker.task.id": taskId })
      })
    )

  const withTask = <A, E, R>(
    input: Query.QueryInput,
    options: StartOptions,
    use: (started: Started) => Effect.Effect<A, E, R>
  ) =>
    Effect.uninterruptibleMask((restore) =>
      Effect.gen(function* () {
        const query = yield* restore(createQuery(input))
        const started = yield* starting((onCreated) => {
          const create = (query: CreatedQuery): Effect.Effect<Started, LookerError.CreateError> =>
            Effect.map(createTask(query.id, options, onCreated), (taskId) => ({ query, taskId }))
          return Effect.catchTag(create(query), "NotFound", () => Effect.flatMap(createAgain(input, query.id), create))
        }, restore)
        return yield* restore(use(started)).pipe(
          Effect.onExit((exit) =>
            Exit.isSuccess(exit) || Option.exists(Exit.findErrorOption(exit), isEndOfTask)
              ? Effect.void
              : kill(started.taskId)
          )
        )
      })
    )

  const bodyUntraced = Effect.fnUntraced(function* (taskId: string) {
    const body = yield* tasks.queryTaskResults(taskId)
    if (Option.isSome(body)) return body.value
    return yield* new LookerError.UnexpectedResponse({
      message: `Looker says that task ${taskId} is complete, and then that it is not finished`,
      endpoint: resultsEndpoint(taskId)
    })
  })

  const body = (taskId: string) =>
    traced.withSpan("QueryTaskRun.body", { attributes: () => ({ "looker.task.id": taskId }) })(bodyUntraced(taskId))

  const rows = Effect.fnUntraced(
    function* <Row = ResultRows.Row>(
      finished: QueryTaskPoller.Finished,
      options: RowsOptions<Row> = {}
    ): Effect.fn.Return<
      TaskRows<Row>,
      LookerError.ReadError | LookerError.QueryFailed | LookerError.TruncatedResult | LookerError.LimitReached
    > {
      const { format = "json", row, whenLimited } = options
      const { resultSource, taskId } = finished
      let { data } = finished
      let contentType = ""
      if (!ResultRows.isResult(format, data)) {
        const fetched = yield* body(taskId)
        contentType = fetched.contentType
        data = yield* ResultRows.parse(format, yield* fetched.text, taskId)
      }
      const { fromCache, rows, runtime, warnings, ...end } = yield* ResultRows.fromData(
        format,
        data,
        taskId,
        contentType
      )
      const checked = ResultRows.checkLimit(format, { ...end, count: rows.length }, taskId, options)
      const limited = yield* whenLimited === "fail" ? Effect.as(checked, Result.void) : Effect.result(checked)
      return {
        taskId,
        rows: row === undefined ? (rows as ReadonlyArray<Row>) : yield* ResultRows.decode(row, rows, taskId),
        warnings: finished.warnings.length > 0 ? finished.warnings : warnings,
        limitReached: Result.isFailure(limited),
        ...(resultSource === undefined ? {} : { resultSource }),
        ...(fromCache === undefined ? {} : { fromCache }),
        ...(runtime === undefined ? {} : { runtime }),
        data
      }
    },
    traced.withSpan("QueryTaskRun.rows", {
      result: ({ rows, taskId }: TaskRows<unknown>) => ({ "looker.task.id": taskId, "looker.rows": rows.length })
    })
  )

  return QueryTaskRun.of({ createQuery, start, withTask, wait, rows, body, kill })
})

/**
 * @category layers
 * @since 0.2.0
 */
export const layer: Layer.Layer<QueryTaskRun, never, Queries | QueryTasks | QueryTaskPoller.QueryTaskPoller> =
  Layer.effect(QueryTaskRun, make)

/** Creates queries, and remembers the created ones. */
const makeCreateQuery = Effect.gen(function* () {
  const queries = yield* Queries
  const created = yield* Cache.makeWith(({ query }: QueryKey) => Effect.flatMap(queries.createQuery(query), withId), {
    capacity: queriesKept,
    timeToLive: (exit) => (Exit.isSuccess(exit) ? Duration.infinity : Duration.zero)
  })

  const createQuery = (query: Query.QueryInput) =>
    Effect.flatMap(keyOf(query), (key) => Cache.get(created, key)).pipe(
      traced.withSpan("QueryTaskRun.createQuery", {
        attributes: () => ({ "looker.query.model": query.model, "looker.query.explore": query.view }),
        result: ({ id }: CreatedQuery) => ({ "looker.query.id": id })
      })
    )

  /** Looker does not know the id that was remembered: the query is created again. */
  const createAgain = (query: Query.QueryInput, lostId: string) =>
    Effect.tap(keyOf(query), (key) => Cache.invalidateWhen(created, key, ({ id }) => id === lostId)).pipe(
      Effect.flatMap((key) => Cache.get(created, key))
    )

  return { createQuery, createAgain }
})

/** Kills tasks, whatever the attempts fail with. */
const makeKill = Effect.gen(function* () {
  const tasks = yield* QueryTasks
  const policy = yield* LookerPolicy

  return (taskId: string): Effect.Effect<void> =>
    Effect.suspend(() => {
      let why = `no response within ${Duration.format(policy.cleanupTimeout)}`
      return tasks.killQuery(taskId).pipe(
        // It has ended.
        Effect.catchTag("NotFound", () => Effect.void),
        Effect.tapError((error) =>
          Effect.sync(() => {
            why = `${error.name}: ${error.message}`
          })
        ),
        Effect.retry(killAgain),
        Effect.timeout(policy.cleanupTimeout),
        Effect.catch(() =>
          Effect.annotateLogs(Effect.logWarning(`Task ${taskId} may still run in Looker: its kill failed (${why})`), {
            taskId
          })
        )
      )
    }).pipe(traced.withSpan("QueryTaskRun.kill", { attributes: () => ({ "looker.task.id": taskId }) }))
})

/** Waits through the shared poller, with an observer if `onStatus` is to run. */
const makeWait = Effect.gen(function* () {
  const poller = yield* QueryTaskPoller.QueryTaskPoller
  const policy = yield* LookerPolicy

  return (
    taskId: string,
    options: WaitOptions = {}
  ): Effect.Effect<QueryTaskPoller.Finished, QueryTaskPoller.WaitError> => {
    const { onStatus, ...waitOptions } = options
    const waiting = poller.wait(taskId, waitOptions).pipe(
      traced.withSpan("QueryTaskRun.wait", {
        attributes: () => ({ "looker.task.id": taskId }),
        result: ({ resultSource }: QueryTaskPoller.Finished) => ({ "looker.result.source": resultSource })
      })
    )
    if (onStatus === undefined) return waiting
    return Effect.suspend(() => {
      let isDone = false
      const done = Latch.makeUnsafe()
      const observing = poller.observe(taskId, waitOptions).pipe(
        Stream.catch(() => Stream.empty),
        Stream.runForEach((status) => callOptions.call("onStatus", onStatus, { taskId, status })),
        Effect.tap(() => {
          isDone = true
          return done.open
        })
      )
      // `onStatus` may still be busy with the last word, also that of a task that failed. It gets a limited time for it.
      const lastWord = Effect.andThen(
        // It is mostly done by the next turn, and a timeout costs two fibers.
        Effect.yieldNow,
        Effect.suspend(() =>
          isDone ? Effect.void : Effect.asVoid(Effect.timeoutOption(done.await, policy.cleanupTimeout))
        )
      )
      const untilLastWord = waiting.pipe(
        Effect.tap(() => lastWord),
        // After a timeout the task goes on, and so would the observer.
        Effect.tapError((error) => (error._tag === "PollingTimeout" ? Effect.void : lastWord))
      )
      return Effect.andThen(
        callOptions.callback("onStatus", onStatus),
        Effect.raceFirst(untilLastWord, Effect.andThen(observing, Effect.never))
      )
    })
  }
})

/** What a created query is remembered by: the text of its body, whatever the order of its keys. */
class QueryKey implements Equal.Equal {
  readonly query: Query.QueryInput
  private readonly text: string

  constructor(query: Query.QueryInput) {
    this.query = query
    this.text = canonical(Query.toInput(query))
  }

  [Hash.symbol](): number {
    return Hash.string(this.text)
  }

  [Equal.symbol](that: Equal.Equal): boolean {
    return that instanceof QueryKey && that.text === this.text
  }
}

const keyOf = (query: Query.QueryInput): Effect.Effect<QueryKey, LookerError.BadRequest> =>
  Effect.try({
    try: () => new QueryKey(query),
    catch: (cause) => new LookerError.BadRequest({ message: `The query is not JSON: ${String(cause)}` })
  })

const canonical = (query: Query.QueryInput): string =>
  JSON.stringify(query, (_key, value: unknown) =>
    Predicate.isObject(value) && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).sort(([one], [other]) => (one < other ? -1 : 1)))
      : value
  )

const withId = ({ id, ...query }: Query.Query): Effect.Effect<CreatedQuery, LookerError.UnexpectedResponse> =>
  id === undefined
    ? Effect.fail(
        new LookerError.UnexpectedResponse({
          message: "Looker created a query, and its response has no id",
          endpoint: Endpoint.requestLine(LookerApi.createQuery)
        })
      )
    : Effect.succeed({ ...query, id })
