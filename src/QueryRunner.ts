/**
 * The whole life of a query task as one Effect: query in, rows out; interruption kills what runs in Looker.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import type * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Query from "./domain/Query.ts"
import type * as QueryTask from "./domain/QueryTask.ts"
import type { RowFormat } from "./domain/ResultFormat.ts"
import * as SqlErrors from "./domain/SqlError.ts"
import { resultsEndpoint } from "./internal/answer.ts"
import { CurrentDeparture, type Departure } from "./internal/caller.ts"
import * as traced from "./internal/traced.ts"
import * as LookerError from "./LookerError.ts"
import { LookerPolicy } from "./LookerPolicy.ts"
import { Queries } from "./Queries.ts"
import { type Finished, QueryTaskPoller, type WaitError } from "./QueryTaskPoller.ts"
import { QueryTasks } from "./QueryTasks.ts"
import * as ResultRows from "./ResultRows.ts"

/**
 * How to run a query.
 *
 * @category models
 * @since 0.1.0
 */
export interface RunOptions<Row> {
  /** What Looker is asked for. Default: `json`. */
  readonly format?: RowFormat | undefined
  /**
   * A schema for each row. Without one, rows are records of field name to value. A column that may hold numbers too long for a double
   * needs `Schema.Union([Schema.Number, Schema.String])`: those come as their text.
   */
  readonly row?: Schema.ConstraintDecoder<Row> | undefined
  /** The parameters of `create_query_task`: `limit`, `cache`, `apply_formatting`, … */
  readonly params?: Omit<QueryTask.CreateQueryTaskParams, "fields"> | undefined
  /** For the task to end; then it is killed, and `PollingTimeout` fails. Default: none, as Looker has none either. */
  readonly timeout?: Duration.Input | undefined
  /** Told Looker's status words as they change. */
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
 * How to run several queries.
 *
 * @category models
 * @since 0.1.0
 */
export interface RunAllOptions<Row> extends Omit<RunOptions<Row>, "onStatus"> {
  /**
   * Queries under way at a time. Default: 15, which is what Looker runs at once for one user. More wait in Looker's queue, and end there
   * after ten minutes; 128 have crashed an instance (spectacles PR 110).
   */
  readonly concurrency?: number | "unbounded" | undefined
  /** After the first failure kill what still runs, and end. Default: no, one failure stops nobody else. */
  readonly stopOnFailure?: boolean | undefined
  /** Told whenever one of the numbers changes. */
  readonly onProgress?: ((progress: Progress) => Effect.Effect<void>) | undefined
}

/**
 * How many queries stand where: not submitted yet, queued in Looker, running there, done, failed. They add up to all.
 *
 * @category models
 * @since 0.1.0
 */
export interface Progress {
  readonly waiting: number
  readonly added: number
  readonly running: number
  readonly done: number
  readonly failed: number
}

/**
 * What became of one query of several; `index` is its place among them.
 *
 * @category models
 * @since 0.1.0
 */
export interface RunOutcome<Row> {
  readonly index: number
  readonly query: Query.QueryInput
  readonly result: Result.Result<QueryResult<Row>, RunError>
}

/**
 * A query that ran through.
 *
 * @category models
 * @since 0.1.0
 */
export interface QueryResult<Row> {
  /** The query as Looker returned it. */
  readonly query: Query.Query
  readonly taskId: string
  readonly rows: ReadonlyArray<Row>
  /** What Looker remarked without failing: development mode notes. */
  readonly warnings: ReadonlyArray<SqlErrors.SqlError>
  /** The result as Looker sent it, for what rows do not have: the fields, totals and SQL of json_detail. */
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
 * Runs queries: the whole life of their tasks.
 *
 * **Details**
 *
 * If a run is interrupted, runs out of time, or fails while the task still runs, the task is killed in Looker; a kill that fails hides
 * nothing. A query is created once, however often it runs: Looker gives the same body the same id for ever.
 *
 * @category services
 * @since 0.1.0
 */
export class QueryRunner extends Context.Service<
  QueryRunner,
  {
    /** Creates the query, starts a task for it, waits through the shared poller, and decodes the rows. */
    run<Row = ResultRows.Row>(
      query: Query.QueryInput,
      options?: RunOptions<Row>
    ): Effect.Effect<QueryResult<Row>, RunError>
    /** Runs many, and gives each outcome as it comes. */
    runAll<Row = ResultRows.Row>(
      queries: ReadonlyArray<Query.QueryInput>,
      options?: RunAllOptions<Row>
    ): Stream.Stream<RunOutcome<Row>>
    /**
     * The rows of one result as they arrive, in memory that does not grow with it. It waits for the status alone and reads
     * `query_task_results`, so that a large result is in nobody's way. Rows come in chunks: `Stream.runForEachArray` spends less on each
     * than `Stream.runForEach`.
     */
    stream<Row = ResultRows.Row>(query: Query.QueryInput, options?: RunOptions<Row>): Stream.Stream<Row, RunError>
  }
>()("effect-looker/QueryRunner") {}

/** After these the task does not run any more. */
const ended: ReadonlySet<string> = new Set(["QueryFailed", "QueryKilled", "ResultsExpired", "TaskMissing"])

/** Looker's default for one user (documentation, "Admin settings – Queries"). */
const defaultConcurrency = 15

type CreatedQuery = Query.Query & { readonly id: string }

/** Queries whose ids are remembered. */
const queriesKept = 1000

/**
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.gen(function* () {
  const queries = yield* Queries
  const tasks = yield* QueryTasks
  const poller = yield* QueryTaskPoller
  const policy = yield* LookerPolicy
  const created = new Map<string, Effect.Effect<CreatedQuery, LookerError.CreateError>>()

  const createWithId = (input: Query.QueryInput) =>
    Effect.flatMap(queries.createQuery(input), ({ id, ...query }) =>
      id === undefined
        ? Effect.fail(
            new LookerError.UnexpectedResponse({
              message: "Looker created a query and did not say its id",
              endpoint: "POST /queries"
            })
          )
        : Effect.succeed({ ...query, id })
    )

  /** Creates a query, or remembers that it has been. Fibers that ask for the same one at once share the request. */
  const createQuery = Effect.fnUntraced(function* (input: Query.QueryInput) {
    const key = yield* Effect.try({
      try: () => canonical(Query.toInput(input)),
      catch: (cause) => new LookerError.BadRequest({ message: `The query is no JSON: ${String(cause)}` })
    })
    let query = created.get(key)
    if (query === undefined) {
      const oldest = created.keys().next()
      if (created.size >= queriesKept && oldest.value !== undefined) created.delete(oldest.value)
      const [shared] = yield* Effect.cachedInvalidateWithTTL(createWithId(input), (exit) =>
        Exit.isSuccess(exit) ? Duration.infinity : Duration.zero
      )
      query = shared
      created.set(key, shared)
    }
    return yield* query
  })

  /** Looker may have lost a query whose id was remembered: it is created once more. */
  const createQueryAnew = (input: Query.QueryInput) =>
    Effect.andThen(
      Effect.sync(() => created.delete(canonical(Query.toInput(input)))),
      createQuery(input)
    )

  const kill = (taskId: string): Effect.Effect<void> =>
    tasks.killQuery(taskId).pipe(Effect.timeout(policy.cleanupTimeout), Effect.ignore)

  /**
   * Starts a task. An interruption while the answer is on its way waits a moment for it: only a task whose id is known can be killed.
   * A request that has not left yet is not waited for.
   */
  const start = (
    input: Query.QueryInput,
    query: CreatedQuery,
    options: Pick<RunOptions<unknown>, "format" | "params">,
    restore: <A, E>(effect: Effect.Effect<A, E>) => Effect.Effect<A, E>
  ) =>
    Effect.gen(function* () {
      const departure: Departure = { underWay: false }
      const create = (query: CreatedQuery) =>
        tasks
          // The whole answer would hold the query again, and the id is all that is wanted.
          .createQueryTask(
            { query_id: query.id, result_format: options.format ?? "json" },
            { ...options.params, fields: "id" }
          )
          .pipe(
            Effect.map(({ id }) => ({ id, query })),
            Effect.provideService(CurrentDeparture, departure)
          )
      const fiber = yield* create(query).pipe(
        Effect.catchTag("NotFound", () => Effect.flatMap(createQueryAnew(input), create)),
        restore,
        Effect.forkDetach
      )
      return yield* restore(Fiber.join(fiber)).pipe(
        Effect.onInterrupt(() =>
          Effect.gen(function* () {
            if (departure.underWay) yield* Effect.timeoutOption(Fiber.await(fiber), policy.cleanupTimeout)
            yield* Fiber.interrupt(fiber)
            const exit = yield* Fiber.await(fiber)
            if (Exit.isSuccess(exit)) yield* kill(exit.value.id)
          })
        )
      )
    })

  const waitFor = (
    taskId: string,
    options: Pick<RunOptions<unknown>, "timeout" | "onStatus">,
    statusOnly: boolean
  ): Effect.Effect<Finished, WaitError> => {
    const { onStatus, timeout } = options
    const waiting = poller.wait(taskId, { timeout, statusOnly })
    if (onStatus === undefined) return waiting
    return Effect.scoped(
      Effect.gen(function* () {
        const observing = yield* poller.observe(taskId, { statusOnly }).pipe(
          Stream.runForEach((status) => onStatus({ taskId, status })),
          Effect.ignore,
          Effect.forkScoped
        )
        const finished = yield* waiting
        // Whoever is told may take a moment for the last word, and not for ever.
        yield* Effect.timeoutOption(Fiber.await(observing), policy.cleanupTimeout)
        return finished
      })
    )
  }

  /** Runs a query to the end of its task. The task does not outlive a wait that fails or is interrupted. */
  const finish = <Row>(
    input: Query.QueryInput,
    options: RunOptions<Row>,
    statusOnly: boolean
  ): Effect.Effect<Finished & { readonly query: CreatedQuery }, RunError> => {
    const once = Effect.uninterruptibleMask((restore) =>
      Effect.gen(function* () {
        const created = yield* restore(createQuery(input))
        const { id, query } = yield* start(input, created, options, restore)
        const finished = yield* restore(waitFor(id, options, statusOnly)).pipe(
          Effect.onExit((exit) => {
            if (Exit.isSuccess(exit)) return Effect.void
            const error = Exit.findErrorOption(exit)
            return Option.isSome(error) && ended.has(error.value._tag) ? Effect.void : kill(id)
          })
        )
        return { ...finished, query }
      })
    )
    return policy.recreateExpired === 0
      ? once
      : Effect.retry(once, { times: policy.recreateExpired, while: (error) => error._tag === "ResultsExpired" })
  }

  const results = Effect.fnUntraced(function* (taskId: string) {
    const body = yield* tasks.queryTaskResults(taskId)
    if (Option.isSome(body)) return body.value
    return yield* new LookerError.UnexpectedResponse({
      message: `Looker says task ${taskId} is complete, and then that it is not finished`,
      endpoint: resultsEndpoint(taskId)
    })
  })

  const runUntraced = Effect.fnUntraced(function* <Row = ResultRows.Row>(
    input: Query.QueryInput,
    options: RunOptions<Row>
  ): Effect.fn.Return<QueryResult<Row>, RunError> {
    const format = options.format ?? "json"
    const finished = yield* finish(input, options, false)
    const { query, taskId } = finished
    const data = ResultRows.isResult(format, finished.data)
      ? finished.data
      : yield* ResultRows.parse(format, yield* Effect.flatMap(results(taskId), (body) => body.text), taskId)
    const { rows, warnings } = yield* ResultRows.fromData(format, data, taskId)
    return {
      query,
      taskId,
      rows:
        options.row === undefined ? (rows as ReadonlyArray<Row>) : yield* ResultRows.decode(options.row, rows, taskId),
      warnings: finished.warnings.length > 0 ? finished.warnings : warnings,
      data
    }
  })

  const run = <Row = ResultRows.Row>(input: Query.QueryInput, options: RunOptions<Row> = {}) =>
    traced.withSpan("QueryRunner.run")(runUntraced(input, options))

  const runAll = <Row = ResultRows.Row>(
    inputs: ReadonlyArray<Query.QueryInput>,
    options: RunAllOptions<Row> = {}
  ): Stream.Stream<RunOutcome<Row>> =>
    Stream.suspend(() => {
      const { concurrency, onProgress, stopOnFailure, ...runOptions } = options
      const places: Array<keyof Progress> = inputs.map(() => "waiting")
      const move = (index: number, place: keyof Progress): Effect.Effect<void> => {
        const before = places[index]
        if (onProgress === undefined || before === place || before === "done" || before === "failed") return Effect.void
        places[index] = place
        const progress = { waiting: 0, added: 0, running: 0, done: 0, failed: 0 }
        for (const place of places) progress[place]++
        return onProgress(progress)
      }
      const onStatus = (index: number) =>
        onProgress === undefined
          ? undefined
          : ({ status }: StatusUpdate) =>
              status === "added" || status === "running" ? move(index, status) : Effect.void
      const outcomes = Stream.fromIterable(inputs.entries()).pipe(
        Stream.mapEffect(
          ([index, query]) =>
            Effect.result(run(query, { ...runOptions, onStatus: onStatus(index) })).pipe(
              Effect.tap((result) => move(index, Result.isSuccess(result) ? "done" : "failed")),
              Effect.map((result): RunOutcome<Row> => ({ index, query, result }))
            ),
          { concurrency: concurrency ?? defaultConcurrency, unordered: true }
        )
      )
      return stopOnFailure === true ? Stream.takeUntil(outcomes, ({ result }) => Result.isFailure(result)) : outcomes
    })

  /** Why a query failed whose status is all that is known: the body says so. */
  const explain = (format: RowFormat, failure: LookerError.QueryFailed) =>
    Effect.gen(function* () {
      const body = yield* results(failure.taskId)
      const data = yield* ResultRows.parse(format, yield* body.text, failure.taskId)
      return yield* ResultRows.fromData(format, data, failure.taskId)
    }).pipe(
      Effect.catch((error) => {
        if (error._tag === "QueryFailed") return Effect.fail(error)
        // Every format but json_detail answers 400 with the reason.
        if (error._tag !== "BadRequest") return Effect.fail(failure)
        return Effect.fail(LookerError.queryFailed(failure.taskId, [SqlErrors.fromUnknown(error.message)], undefined))
      }),
      Effect.andThen(Effect.fail(failure))
    )

  const stream = <Row = ResultRows.Row>(
    input: Query.QueryInput,
    options: RunOptions<Row> = {}
  ): Stream.Stream<Row, RunError> => {
    const format = options.format ?? "json"
    const { row } = options
    return Effect.gen(function* () {
      const { taskId } = yield* finish(input, options, true).pipe(
        Effect.catchTag("QueryFailed", (failure) => explain(format, failure))
      )
      const body = yield* results(taskId)
      const rows = ResultRows.fromStream(format, body.bytes, taskId)
      return row === undefined
        ? (rows as Stream.Stream<Row, RunError>)
        : Stream.chunks(rows).pipe(
            Stream.mapEffect((chunk) => ResultRows.decode(row, chunk, taskId)),
            Stream.flattenIterable
          )
    }).pipe(Stream.unwrap, Stream.withSpan("QueryRunner.stream"))
  }

  return QueryRunner.of({ run, runAll, stream })
})

/**
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<QueryRunner, never, Queries | QueryTasks | QueryTaskPoller> = Layer.effect(
  QueryRunner,
  make
)

/** The same text for the same query, whatever the order of its keys. */
const canonical = (query: Query.QueryInput): string =>
  JSON.stringify(query, (_key, value: unknown) =>
    Predicate.isObject(value) && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).sort(([one], [other]) => (one < other ? -1 : 1)))
      : value
  )
