/**
 * Runs queries as Effects: query in, rows out. An interruption kills what runs in Looker.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Query from "./domain/Query.ts"
import type * as QueryTask from "./domain/QueryTask.ts"
import type { RowFormat } from "./domain/ResultFormat.ts"
import * as callOptions from "./internal/options.ts"
import * as traced from "./internal/traced.ts"
import * as LookerError from "./LookerError.ts"
import { LookerPolicy } from "./LookerPolicy.ts"
import type { Queries } from "./Queries.ts"
import type { QueryTaskPoller } from "./QueryTaskPoller.ts"
import * as QueryTaskRun from "./QueryTaskRun.ts"
import type { QueryTasks } from "./QueryTasks.ts"
import * as ResultRows from "./ResultRows.ts"

/**
 * How to run a query.
 *
 * @category models
 * @since 0.1.0
 */
export interface RunOptions<Row> {
  /** The format of the result. Default: `json`. */
  readonly format?: RowFormat | undefined
  /**
   * A schema for each row. Without one, rows are records of field name to value. A column that may have numbers too long for a double
   * needs `Schema.Union([Schema.Number, Schema.String])`: such a number is its text.
   */
  readonly row?: Schema.ConstraintDecoder<Row> | undefined
  /** The parameters of `create_query_task`: `limit`, `cache`, `apply_formatting`, … */
  readonly params?: Omit<QueryTask.CreateQueryTaskParams, "fields"> | undefined
  /** The time for the task to end. Then it is killed, and the run fails with `PollingTimeout`. Default: none, as in Looker. */
  readonly timeout?: Duration.Input | undefined
  /**
   * `"fail"`: a result that the limit of the query may have cut fails with `LimitReached`, in `stream` behind its rows. Default: it succeeds;
   * `limitReached` of the result says so, and `stream` logs a warning.
   */
  readonly whenLimited?: "fail" | undefined
  /** Runs with each status word of Looker when it changes. */
  readonly onStatus?: ((update: QueryTaskRun.StatusUpdate) => Effect.Effect<void>) | undefined
}

export { StatusUpdate } from "./QueryTaskRun.ts"

/**
 * How to run several queries.
 *
 * @category models
 * @since 0.1.0
 */
export interface RunAllOptions<Row> extends Omit<RunOptions<Row>, "onStatus"> {
  /**
   * The most queries at a time. Default: 15, which is how many Looker runs for one user. More wait in Looker's queue, which ends them
   * after ten minutes; 128 have crashed an instance (spectacles PR 110).
   */
  readonly concurrency?: number | "unbounded" | undefined
  /** Whether the first failure ends all, and kills what still runs. Default: no. */
  readonly stopOnFailure?: boolean | undefined
  /** Runs whenever one of the numbers changes. */
  readonly onProgress?: ((progress: Progress) => Effect.Effect<void>) | undefined
}

/**
 * How many queries are not submitted yet (`waiting`), queued in Looker (`added`), running there, done, and failed. They add up to all.
 *
 * @category schemas
 * @since 0.2.0
 */
export const Progress = Schema.Struct({
  waiting: Schema.Number,
  added: Schema.Number,
  running: Schema.Number,
  done: Schema.Number,
  failed: Schema.Number
})

/**
 * @category models
 * @since 0.1.0
 */
export type Progress = typeof Progress.Type

/**
 * What a run can fail with: the errors of the endpoints it calls, and the ends of a task without rows.
 *
 * @category errors
 * @since 0.1.0
 */
export const RunError = Schema.Union([LookerError.CreateError, LookerError.TaskError])

/**
 * @category errors
 * @since 0.1.0
 */
export type RunError = typeof RunError.Type

/**
 * The schema of {@link QueryResult} with rows of this schema.
 *
 * **Example**
 *
 * ```ts
 * const stored = Schema.toCodecJson(QueryRunner.QueryResult(ResultRows.Row))
 * ```
 *
 * @category schemas
 * @since 0.2.0
 */
export const QueryResult = <Row extends Schema.Top>(row: Row) =>
  Schema.Struct({ query: Query.Query, ...QueryTaskRun.TaskRows(row).fields })

/**
 * A query that succeeded.
 *
 * @category models
 * @since 0.1.0
 */
export interface QueryResult<Row> extends QueryTaskRun.TaskRows<Row> {
  /** The query as Looker returned it. */
  readonly query: Query.Query
}

/**
 * The schema of {@link RunOutcome} with rows of this schema.
 *
 * @category schemas
 * @since 0.2.0
 */
export const RunOutcome = <Row extends Schema.Top>(row: Row) =>
  Schema.Struct({
    index: Schema.Number,
    query: Query.QueryInput,
    result: Schema.Result(QueryResult(row), RunError),
    limitReached: Schema.Boolean
  })

/**
 * The outcome of one query of several; `index` is its place among them. `limitReached` is that of the result, and true for a failure with
 * `LimitReached`.
 *
 * @category models
 * @since 0.1.0
 */
export interface RunOutcome<Row> {
  readonly index: number
  readonly query: Query.QueryInput
  readonly result: Result.Result<QueryResult<Row>, RunError>
  readonly limitReached: boolean
}

/**
 * Runs queries.
 *
 * **Details**
 *
 * If a run is interrupted, runs out of time, or fails while the task still runs, the task is killed in Looker; a kill that fails changes
 * nothing about the error. A query is created once, however often it runs: Looker always gives the same body the same id.
 *
 * @category services
 * @since 0.1.0
 */
export class QueryRunner extends Context.Service<
  QueryRunner,
  {
    /**
     * Creates the query, starts a task for it, waits through the shared poller, and decodes the rows.
     *
     * A query without a limit has 500 rows at most, and Looker does not say whether a limit has cut any: `limitReached` says that there may be
     * more. `limit: -1` is all rows.
     */
    run<Row = ResultRows.Row>(
      query: Query.QueryInput,
      options?: RunOptions<Row>
    ): Effect.Effect<QueryResult<Row>, RunError>
    /** Runs several queries, and emits the outcome of each when it is there. */
    runAll<Row = ResultRows.Row>(
      queries: ReadonlyArray<Query.QueryInput>,
      options?: RunAllOptions<Row>
    ): Stream.Stream<RunOutcome<Row>>
    /**
     * The rows of one result as they arrive, in memory that does not grow with it. It waits for the status only and then reads
     * `query_task_results`, so that a large result delays no other. Rows come in chunks: `Stream.runForEachArray` takes less time for each
     * than `Stream.runForEach`. Where the limit of the query may have cut rows, a warning is logged behind the last one.
     */
    stream<Row = ResultRows.Row>(query: Query.QueryInput, options?: RunOptions<Row>): Stream.Stream<Row, RunError>
  }
>()("effect-looker/QueryRunner") {}

/** What spans say of a query. */
const attributesOf = ({ model, view }: Query.QueryInput) => ({
  "looker.query.model": model,
  "looker.query.explore": view
})

/** Fails if the options are not valid. */
const check = Effect.fnUntraced(function* ({ onStatus, row, timeout, whenLimited }: RunOptions<unknown>) {
  yield* callOptions.callback("onStatus", onStatus)
  yield* callOptions.schema("row", row)
  yield* callOptions.oneOf("whenLimited", whenLimited, ["fail"])
  if (timeout !== undefined) yield* callOptions.duration("timeout", timeout)
})

const isLimitReached = (result: Result.Result<QueryResult<unknown>, RunError>): boolean =>
  Result.isSuccess(result) ? result.success.limitReached : result.failure._tag === "LimitReached"

/** Looker's default for one user (documentation, "Admin settings – Queries"). */
const defaultConcurrency = 15

/**
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.gen(function* () {
  const task = yield* QueryTaskRun.QueryTaskRun
  const policy = yield* LookerPolicy

  /** Runs a query to the end of its task. */
  const finish = (input: Query.QueryInput, options: RunOptions<unknown>, statusOnly: boolean) => {
    const { format, onStatus, row, timeout, whenLimited } = options
    const once = task
      .withTask(input, options, ({ query, taskId }) =>
        Effect.map(task.wait(taskId, { timeout, onStatus, statusOnly }), (finished) => ({ finished, query }))
      )
      .pipe(
        // A wait does not know the format, and may say that json_detail has the statement.
        Effect.mapError((error) =>
          error._tag === "QueryFailed" && error.sql === undefined && format === "json_detail"
            ? LookerError.queryFailed(error.taskId, error.errors, undefined, { format, warnings: error.warnings })
            : error
        )
      )
    const finished =
      policy.recreateExpired === 0
        ? once
        : Effect.retry(once, { times: policy.recreateExpired, while: (error) => error._tag === "ResultsExpired" })
    const isPlain = [onStatus, row, timeout, whenLimited].every((option) => option === undefined)
    return isPlain ? finished : Effect.andThen(check(options), finished)
  }

  const runUntraced = Effect.fnUntraced(function* <Row = ResultRows.Row>(
    input: Query.QueryInput,
    options: RunOptions<Row>
  ): Effect.fn.Return<QueryResult<Row>, RunError> {
    const { finished, query } = yield* finish(input, options, false)
    return { query, ...(yield* task.rows(finished, { ...options, query })) }
  })

  const run = <Row = ResultRows.Row>(input: Query.QueryInput, options: RunOptions<Row> = {}) =>
    traced.withSpan("QueryRunner.run", {
      attributes: () => attributesOf(input),
      result: ({ query, resultSource, rows, taskId }: QueryResult<Row>) => ({
        "looker.query.id": query.id,
        "looker.task.id": taskId,
        "looker.result.source": resultSource,
        "looker.rows": rows.length
      })
    })(runUntraced(input, options))

  const runAll = <Row = ResultRows.Row>(
    inputs: ReadonlyArray<Query.QueryInput>,
    options: RunAllOptions<Row> = {}
  ): Stream.Stream<RunOutcome<Row>> =>
    Stream.suspend(() => {
      const { concurrency = defaultConcurrency, onProgress, stopOnFailure, ...runOptions } = options
      const checked = Effect.andThen(
        callOptions.concurrency("concurrency", concurrency),
        callOptions.callback("onProgress", onProgress)
      )
      const places: Array<keyof Progress> = inputs.map(() => "waiting")
      const progress = { waiting: inputs.length, added: 0, running: 0, done: 0, failed: 0 }
      const move = (index: number, place: keyof Progress): Effect.Effect<void, LookerError.BadRequest> => {
        const before = places[index] ?? "waiting"
        if (onProgress === undefined || before === place || before === "done" || before === "failed") return Effect.void
        places[index] = place
        progress[before]--
        progress[place]++
        return callOptions.call("onProgress", onProgress, { ...progress })
      }
      const onStatus = (index: number) =>
        onProgress === undefined
          ? undefined
          : ({ status }: QueryTaskRun.StatusUpdate) =>
              // What is wrong with `onProgress` is the outcome of the query, when that has ended.
              status === "added" || status === "running" ? Effect.ignore(move(index, status)) : Effect.void
      const outcomes = Stream.fromIterable(inputs.entries()).pipe(
        Stream.mapEffect(
          ([index, query]) =>
            Effect.result(run(query, { ...runOptions, onStatus: onStatus(index) })).pipe(
              Effect.tap((result) => move(index, Result.isSuccess(result) ? "done" : "failed")),
              (outcome) => Effect.andThen(checked, outcome),
              Effect.catch((error) => Effect.succeed(Result.fail(error))),
              Effect.map((result): RunOutcome<Row> => ({ index, query, result, limitReached: isLimitReached(result) }))
            ),
          // A text or NaN, which `checked` refuses, would hang here.
          { concurrency: callOptions.isConcurrency(concurrency) ? concurrency : 1, unordered: true }
        )
      )
      return stopOnFailure === true ? Stream.takeUntil(outcomes, ({ result }) => Result.isFailure(result)) : outcomes
    })

  const stream = <Row = ResultRows.Row>(
    input: Query.QueryInput,
    options: RunOptions<Row> = {}
  ): Stream.Stream<Row, RunError> => {
    const { format = "json", params, row, whenLimited } = options
    return Effect.gen(function* () {
      const { finished, query } = yield* finish(input, options, true)
      const { taskId } = finished
      yield* traced.annotate(() => ({ "looker.query.id": query.id, "looker.task.id": taskId }))
      const body = yield* task.body(taskId)
      const onEnd = (end: ResultRows.End) => {
        const checked = ResultRows.checkLimit(format, end, taskId, { params, query })
        if (whenLimited === "fail") return checked
        return Effect.catch(checked, ({ message }) => Effect.logWarning(`Task ${taskId}: ${message}`))
      }
      const rows = ResultRows.fromStream(format, body.bytes, taskId, { contentType: body.contentType, onEnd })
      return row === undefined
        ? (rows as Stream.Stream<Row, RunError>)
        : Stream.chunks(rows).pipe(
            Stream.mapEffect((chunk) => ResultRows.decode(row, chunk, taskId)),
            Stream.flattenIterable
          )
    }).pipe(
      Stream.unwrap,
      traced.withStreamSpan("QueryRunner.stream", () => attributesOf(input))
    )
  }

  return QueryRunner.of({ run, runAll, stream })
})

/**
 * The runner over the steps of `QueryTaskRun.layer`; over other ones it is `Layer.effect(QueryRunner, make)`.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<QueryRunner, never, Queries | QueryTasks | QueryTaskPoller> = Layer.effect(
  QueryRunner,
  make
).pipe(Layer.provide(QueryTaskRun.layer))
