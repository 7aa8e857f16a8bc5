/**
 * The whole life of a query task as one Effect: query in, rows out; interruption kills what runs in Looker.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type * as Query from "./domain/Query.ts"
import type * as QueryTask from "./domain/QueryTask.ts"
import type { RowFormat } from "./domain/ResultFormat.ts"
import type { SqlError } from "./domain/SqlError.ts"
import * as LookerError from "./LookerError.ts"
import { LookerPolicy } from "./LookerPolicy.ts"
import { Queries } from "./Queries.ts"
import { QueryTaskPoller } from "./QueryTaskPoller.ts"
import { QueryTasks } from "./QueryTasks.ts"
import * as ResultRows from "./ResultRows.ts"

/**
 * How to run a query.
 *
 * **Details**
 *
 * - `format`: what Looker is asked for (default `json`)
 * - `row`: a schema for each row; without one, rows are records of field name to value
 * - `params`: the parameters of `create_query_task`: `limit`, `cache`, `apply_formatting`, …
 * - `timeout`: for the task to end; then the task is killed and `PollingTimeout` fails (default none: Looker has none either)
 * - `onStatus`: told Looker's status words as they change
 *
 * @category models
 * @since 0.1.0
 */
export interface RunOptions<Row> {
  readonly format?: RowFormat | undefined
  readonly row?: Schema.ConstraintDecoder<Row> | undefined
  readonly params?: QueryTask.CreateQueryTaskParams | undefined
  readonly timeout?: Duration.Input | undefined
  readonly onStatus?: ((update: StatusUpdate) => Effect.Effect<void>) | undefined
}

/**
 * A task's status has changed.
 *
 * @category models
 * @since 0.1.0
 */
export interface StatusUpdate {
  readonly taskId: string
  readonly status: string
}

/**
 * A query that ran through.
 *
 * **Details**
 *
 * `warnings` is what Looker remarked without failing (development mode notes); `data` the result as Looker sent it, for what rows
 * do not have: the fields, totals and SQL of json_detail.
 *
 * @category models
 * @since 0.1.0
 */
export interface QueryResult<Row> {
  readonly query: Query.Query
  readonly taskId: string
  readonly rows: ReadonlyArray<Row>
  readonly warnings: ReadonlyArray<SqlError>
  readonly data: unknown
}

/**
 * What a run can fail with: the errors of the endpoints it calls, and the ends of a task that are not its rows.
 *
 * @category errors
 * @since 0.1.0
 */
export type RunError = LookerError.CreateError | LookerError.TaskError

/**
 * **Details**
 *
 * `run` creates the query, starts a task for it, waits through the shared poller, and decodes the rows. If it is interrupted, runs
 * out of time, or fails while the task still runs, the task is killed in Looker; a kill that fails hides nothing.
 *
 * @category services
 * @since 0.1.0
 */
export class QueryRunner extends Context.Service<
  QueryRunner,
  {
    run<Row = ResultRows.Row>(
      query: Query.QueryInput,
      options?: RunOptions<Row>
    ): Effect.Effect<QueryResult<Row>, RunError>
  }
>()("effect-looker/QueryRunner") {}

/** After these the task does not run any more. */
const ended: ReadonlySet<string> = new Set(["QueryFailed", "QueryKilled", "ResultsExpired", "TaskMissing"])

/**
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.gen(function* () {
  const queries = yield* Queries
  const tasks = yield* QueryTasks
  const poller = yield* QueryTaskPoller
  const policy = yield* LookerPolicy

  const kill = (taskId: string): Effect.Effect<void> =>
    tasks.killQuery(taskId).pipe(Effect.timeout(policy.cleanupTimeout), Effect.ignore)

  /**
   * Starts a task. An interruption while the answer is on its way waits a moment for it: only a task whose id is known can be
   * killed.
   */
  const start = (queryId: string, format: RowFormat, params: QueryTask.CreateQueryTaskParams | undefined) =>
    Effect.uninterruptibleMask((restore) =>
      Effect.gen(function* () {
        const fiber = yield* Effect.forkDetach(
          restore(tasks.createQueryTask({ query_id: queryId, result_format: format }, params))
        )
        return yield* restore(Fiber.join(fiber)).pipe(
          Effect.onInterrupt(() =>
            Effect.timeoutOption(Fiber.await(fiber), policy.cleanupTimeout).pipe(
              Effect.flatMap((exit) =>
                Option.isSome(exit) && Exit.isSuccess(exit.value) ? kill(exit.value.value.id) : Fiber.interrupt(fiber)
              )
            )
          )
        )
      })
    )

  const waitFor = <Row>(taskId: string, options: RunOptions<Row>) =>
    Effect.gen(function* () {
      const { onStatus } = options
      const observing =
        onStatus === undefined
          ? undefined
          : yield* poller.observe(taskId).pipe(
              Stream.runForEach((status) => onStatus({ taskId, status })),
              Effect.ignore,
              Effect.forkChild
            )
      const finished = yield* poller.wait(taskId, { timeout: options.timeout })
      if (observing !== undefined) yield* Fiber.join(observing)
      return finished
    })

  const fetch = Effect.fnUntraced(function* (taskId: string, format: RowFormat) {
    const body = yield* tasks.queryTaskResults(taskId)
    if (Option.isNone(body)) {
      return yield* new LookerError.UnexpectedResponse({
        message: `Looker says task ${taskId} is complete, and then that it is not finished`,
        endpoint: `GET /query_tasks/${taskId}/results`
      })
    }
    return yield* ResultRows.parse(format, yield* body.value.text, taskId)
  })

  const runTask = <Row>(query: Query.Query, queryId: string, options: RunOptions<Row>) =>
    Effect.uninterruptibleMask((restore) =>
      Effect.gen(function* () {
        const format = options.format ?? "json"
        const task = yield* restore(start(queryId, format, options.params))
        return yield* restore(
          Effect.gen(function* () {
            const finished = yield* waitFor(task.id, options)
            const data = ResultRows.isResult(format, finished.data) ? finished.data : yield* fetch(task.id, format)
            const { rows, warnings } = yield* ResultRows.fromData(format, data, task.id)
            return {
              query,
              taskId: task.id,
              rows:
                options.row === undefined
                  ? (rows as ReadonlyArray<Row>)
                  : yield* ResultRows.decode(options.row, rows, task.id),
              warnings: finished.warnings.length > 0 ? finished.warnings : warnings,
              data
            }
          })
        ).pipe(
          Effect.onExit((exit) => {
            if (Exit.isSuccess(exit)) return Effect.void
            const error = Exit.findErrorOption(exit)
            return Option.isSome(error) && ended.has(error.value._tag) ? Effect.void : kill(task.id)
          })
        )
      })
    )

  const run = Effect.fn("QueryRunner.run")(function* <Row = ResultRows.Row>(
    input: Query.QueryInput,
    options: RunOptions<Row> = {}
  ): Effect.fn.Return<QueryResult<Row>, RunError> {
    const query = yield* queries.createQuery(input)
    if (query.id === undefined) {
      return yield* new LookerError.UnexpectedResponse({
        message: "Looker created a query and did not say its id",
        endpoint: "POST /queries"
      })
    }
    return yield* runTask(query, query.id, options)
  })

  return QueryRunner.of({ run })
})

/**
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<QueryRunner, never, Queries | QueryTasks | QueryTaskPoller> = Layer.effect(
  QueryRunner,
  make
)
