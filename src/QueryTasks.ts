/**
 * Endpoints of query tasks: start one, ask about it, fetch its result, kill it.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as LookerApi from "./api/LookerApi.ts"
import type * as QueryTask from "./domain/QueryTask.ts"
import type { RunningQuery } from "./domain/RunningQuery.ts"
import type { Send } from "./internal/caller.ts"
import { withinEach } from "./internal/deadline.ts"
import * as exactJson from "./internal/exactJson.ts"
import * as httpError from "./internal/httpError.ts"
import { JsonScanner } from "./internal/jsonScanner.ts"
import * as received from "./internal/received.ts"
import { scan } from "./internal/scan.ts"
import { tasksIn } from "./internal/series.ts"
import * as startedTasks from "./internal/startedTasks.ts"
import * as traced from "./internal/traced.ts"
import * as LookerError from "./LookerError.ts"
import { LookerHttp } from "./LookerHttp.ts"
import { LookerPolicy } from "./LookerPolicy.ts"

/**
 * The body of a finished task's results, in the task's own format. It can be read once: as a whole, or as it arrives.
 *
 * @category models
 * @since 0.1.0
 */
export interface ResultBody {
  readonly contentType: string
  readonly text: Effect.Effect<string, LookerError.TruncatedResult>
  readonly bytes: Stream.Stream<Uint8Array, LookerError.TruncatedResult>
}

/**
 * A part of a response of `multi_results`, in the order it arrives.
 *
 * **Details**
 *
 * - `Entry`: what Looker says about one task; `TaskState.fromEntry` reads it. Numbers that a double cannot hold are their text
 * - `Large`: the entry of this task has begun and is large; those behind it will take a while
 *
 * @category models
 * @since 0.1.0
 */
export type MultiResultsPart =
  | { readonly _tag: "Entry"; readonly taskId: string; readonly entry: unknown }
  | { readonly _tag: "Large"; readonly taskId: string }

/**
 * For programs that must not lose a task that they start.
 *
 * @category models
 * @since 0.2.0
 */
export interface CreateOptions {
  /**
   * Runs with the task as soon as the response is there. With it, an interruption waits `LookerPolicy.cleanupTimeout` for the response to a request
   * that has been sent.
   */
  readonly onCreated?: ((task: QueryTask.QueryTask) => Effect.Effect<void>) | undefined
  /**
   * Called for each request when it is `sent`, and when it is `refused`: it has then started no task. With it, a request that may have started
   * a task is not sent again, whatever `LookerPolicy` says.
   */
  readonly onRequest?: ((event: "sent" | "refused") => void) | undefined
}

/**
 * The endpoints of query tasks.
 *
 * @category services
 * @since 0.1.0
 */
export class QueryTasks extends Context.Service<
  QueryTasks,
  {
    /**
     * `POST /query_tasks`. Starts a run. Repeated it would start a second one, so it is not sent again after a failure that may have
     * reached Looker (see `LookerPolicy.LostAnswer`). `QueryTaskRun.start` also looks for the task whose response is lost.
     */
    createQueryTask(
      task: QueryTask.CreateQueryTask,
      params?: QueryTask.CreateQueryTaskParams,
      options?: CreateOptions
    ): Effect.Effect<QueryTask.QueryTask, LookerError.CreateError>
    /** `GET /query_tasks/{query_task_id}`; `fields` is a comma-separated list of the keys to respond with. */
    queryTask(
      taskId: string,
      options?: { readonly fields?: string | undefined }
    ): Effect.Effect<QueryTask.QueryTask, LookerError.ReadError>
    /**
     * `GET /query_tasks/multi_results`. Sends each id once, and nothing if there are no ids. It is one request, so at most about 250 ids. The
     * values are Looker's own; `TaskState.fromEntry` reads them.
     */
    queryTaskMultiResults(
      taskIds: ReadonlyArray<string>
    ): Effect.Effect<Readonly<Record<string, unknown>>, LookerError.ReadError>
    /**
     * The same, each entry as soon as its part of the body is there. A limit may delay the request: `onSend` is called whenever it is sent, and
     * returns further ids to ask about. `onRefused` is called when it is refused, and so waits again.
     */
    queryTaskMultiResultsStream(
      taskIds: ReadonlyArray<string>,
      options?: {
        readonly onSend?: (() => ReadonlyArray<string>) | undefined
        readonly onRefused?: (() => void) | undefined
      }
    ): Stream.Stream<MultiResultsPart, LookerError.ReadError>
    /**
     * `GET /query_tasks/{query_task_id}/results`. `None` while the query is not finished (202, and 204 before Looker 25.0.9). A failed
     * query is `BadRequest` in every format but json_detail.
     */
    queryTaskResults(taskId: string): Effect.Effect<Option.Option<ResultBody>, LookerError.ReadError>
    /** `DELETE /running_queries/{query_task_id}`. `NotFound` once the task is finished. */
    killQuery(taskId: string): Effect.Effect<void, LookerError.ReadError | LookerError.ValidationFailed>
    /** `GET /running_queries` */
    readonly allRunningQueries: Effect.Effect<
      ReadonlyArray<RunningQuery>,
      LookerError.CallError | LookerError.NotFound | LookerError.TooManyRequests
    >
  }
>()("effect-looker/QueryTasks") {}

/**
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.gen(function* () {
  const http = yield* LookerHttp
  const { call, timeout } = http
  const started = startedTasks.of(http)
  const { cleanupTimeout } = yield* LookerPolicy

  const createQueryTask: QueryTasks["Service"]["createQueryTask"] = (
    task,
    params = {},
    { onCreated, onRequest } = {}
  ) => {
    const hasHiddenParameters = startedTasks.hasHiddenParameters(params)
    /** The task may run, and could be taken for another one of the query. */
    const noteHidden = (exit: Exit.Exit<unknown, unknown>) =>
      Effect.sync(() => {
        const error = Option.getOrUndefined(Exit.findErrorOption(exit))
        if (Exit.isFailure(exit) && !isRefused(error)) started.withHiddenParameters.add(task.query_id)
      })
    const sendOnce = (send: Send<typeof LookerApi.createQueryTask>) => {
      const sent = send({ payload: task, query: params })
      const sending = started.track(task.query_id, hasHiddenParameters ? Effect.onExit(sent, noteHidden) : sent)
      return onCreated === undefined ? sending : Effect.tap(sending, onCreated)
    }
    return call(
      LookerApi.createQueryTask,
      (send) => {
        if (onRequest === undefined) return sendOnce(send)
        onRequest("sent")
        return tapRefused(sendOnce(send), () => onRequest("refused"))
      },
      {
        grace: onCreated && cleanupTimeout,
        // A rebuild of tables is not done twice.
        cautious: onRequest !== undefined || params.rebuild_pdts === true
      }
    ).pipe(
      Effect.tap(
        Effect.withFiber(({ context }) => {
          tasksIn("created").updateUnsafe(1, context)
          return Effect.void
        })
      ),
      traced.withSpan("QueryTasks.createQueryTask", {
        attributes: () => ({ "looker.query.id": task.query_id, "looker.task.format": task.result_format }),
        result: ({ id }: QueryTask.QueryTask) => ({ "looker.task.id": id })
      })
    )
  }

  const queryTask = (taskId: string, options: { readonly fields?: string | undefined } = {}) =>
    call(LookerApi.queryTask, (send) =>
      send({ params: { query_task_id: taskId }, query: { fields: options.fields } })
    ).pipe(
      traced.withSpan("QueryTasks.queryTask", {
        attributes: () => ({ "looker.task.id": taskId }),
        result: ({ status }: QueryTask.QueryTask) => ({ "looker.task.status": status })
      })
    )

  const askMultiResults = (taskIds: ReadonlyArray<string>) => (send: Send<typeof LookerApi.queryTaskMultiResults>) =>
    Effect.map(
      send({
        query: { query_task_ids: [...new Set(taskIds)] },
        responseMode: "response-only"
      }),
      (response) => multiResultsParts(response, timeout)
    )

  const queryTaskMultiResults = (taskIds: ReadonlyArray<string>) =>
    taskIds.length === 0
      ? Effect.succeed({})
      : call(LookerApi.queryTaskMultiResults, (send) =>
          Effect.flatMap(askMultiResults(taskIds)(send), Stream.runCollect)
        ).pipe(
          Effect.map((parts) =>
            Object.fromEntries(parts.flatMap((part) => (part._tag === "Entry" ? [[part.taskId, part.entry]] : [])))
          ),
          traced.withSpan("QueryTasks.queryTaskMultiResults", {
            attributes: () => ({ "looker.tasks": taskIds.length })
          })
        )

  const queryTaskMultiResultsStream: QueryTasks["Service"]["queryTaskMultiResultsStream"] = (
    taskIds,
    { onRefused = () => {}, onSend = () => [] } = {}
  ) =>
    taskIds.length === 0
      ? Stream.empty
      : Stream.unwrap(
          call(LookerApi.queryTaskMultiResults, (send) =>
            tapRefused(askMultiResults([...taskIds, ...onSend()])(send), onRefused)
          )
        ).pipe(Stream.withSpan("QueryTasks.queryTaskMultiResultsStream"))

  const queryTaskResults = (taskId: string) =>
    call(LookerApi.queryTaskResults, (send) =>
      send({ params: { query_task_id: taskId }, responseMode: "response-only" })
    ).pipe(
      Effect.map((response) => resultBody(response, taskId, timeout)),
      traced.withSpan("QueryTasks.queryTaskResults", { attributes: () => ({ "looker.task.id": taskId }) })
    )

  const killQuery = (taskId: string) =>
    call(LookerApi.killQuery, (send) => send({ params: { query_task_id: taskId } })).pipe(
      traced.withSpan("QueryTasks.killQuery", { attributes: () => ({ "looker.task.id": taskId }) })
    )

  const allRunningQueries = call(LookerApi.allRunningQueries, (send) => send({})).pipe(
    traced.withSpan("QueryTasks.allRunningQueries")
  )

  return QueryTasks.of({
    createQueryTask,
    queryTask,
    queryTaskMultiResults,
    queryTaskMultiResultsStream,
    queryTaskResults,
    killQuery,
    allRunningQueries
  })
})

/**
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<QueryTasks, never, LookerHttp> = Layer.effect(QueryTasks, make)

/** Calls `onRefused` when the request fails so that Looker has not carried it out. */
const tapRefused = <A, E>(sending: Effect.Effect<A, E>, onRefused: () => void): Effect.Effect<A, E> =>
  Effect.tapError(sending, (error) =>
    Effect.sync(() => {
      if (isRefused(error)) onRefused()
    })
  )

const isRefused = (error: unknown): boolean =>
  Schema.is(LookerError.HttpError)(error) && !httpError.mayBeCarriedOut(error)

/** An entry of more characters than this delays the ones behind it for longer than another request takes. */
const largeEntry = 64 * 1024

const isSmall = ({ headers }: HttpClientResponse.HttpClientResponse): boolean =>
  headers["content-encoding"] === undefined && Number(headers["content-length"] ?? Number.NaN) <= largeEntry

const malformed = (response: HttpClientResponse.HttpClientResponse, cause: unknown, text: string) =>
  httpError.fromMalformed(response, `The response is no object of task ids: ${String(cause)}`, text)

/** The members of the body: together if it is small, else as they arrive. Then the timeout is for each piece, not for the whole body. */
const multiResultsParts = (
  response: HttpClientResponse.HttpClientResponse,
  timeout: Duration.Duration
): Stream.Stream<MultiResultsPart, LookerError.ReadError> => {
  const late = httpError.fromTimeout(response.request, Duration.toSeconds(timeout))
  if (isSmall(response)) {
    return response.text.pipe(
      Effect.mapError(httpError.fromClientError),
      Effect.timeoutOrElse({ duration: timeout, orElse: () => Effect.fail(late) }),
      Effect.flatMap((text) =>
        Effect.try({ try: () => entriesOf(text), catch: (cause) => malformed(response, cause, text) })
      ),
      Stream.fromIterableEffect
    )
  }
  return received.stream(LookerApi.queryTaskMultiResults.identifier, response).pipe(
    Stream.mapError(httpError.fromClientError),
    (bytes) => withinEach(bytes, timeout, () => Effect.fail(late)),
    Stream.decodeText,
    (text) => partsOf(text, (cause, beginning) => malformed(response, cause, beginning))
  )
}

const entriesOf = (text: string): ReadonlyArray<MultiResultsPart> => {
  const entries = exactJson.parse(text)
  if (!Predicate.isObject(entries)) throw new SyntaxError("it is none")
  return Object.entries(entries).map(([taskId, entry]) => ({ _tag: "Entry", taskId, entry }))
}

const partsOf = <E>(
  text: Stream.Stream<string, E>,
  onMalformed: (cause: unknown, beginning: string) => LookerError.UnexpectedResponse
): Stream.Stream<MultiResultsPart, E | LookerError.UnexpectedResponse> =>
  Stream.suspend(() => {
    let parts: Array<MultiResultsPart> = []
    let large: string | undefined
    const scanner = new JsonScanner({
      onMember: (taskId, text) => parts.push({ _tag: "Entry", taskId, entry: exactJson.parse(text) })
    })
    return scan(text, {
      scanner,
      take: () => {
        const { unfinished } = scanner
        if (unfinished !== undefined && unfinished.length > largeEntry && unfinished.key !== large) {
          large = unfinished.key
          parts.push({ _tag: "Large", taskId: large })
        }
        const arrived = parts
        parts = []
        return Effect.succeed(arrived)
      },
      malformed: onMalformed
    })
  })

const resultBody = (
  response: HttpClientResponse.HttpClientResponse,
  taskId: string,
  timeout: Duration.Duration
): Option.Option<ResultBody> => {
  if (httpError.isNotFinished(response)) return Option.none()
  const brokenOff = (error: { readonly message: string }) =>
    new LookerError.TruncatedResult({ message: `The result broke off: ${error.message}`, taskId })
  const endpoint = LookerApi.queryTaskResults.identifier
  const stalled = new LookerError.TruncatedResult({
    message: `The result stopped coming for ${Duration.toSeconds(timeout)} s`,
    taskId
  })
  return Option.some({
    contentType: response.headers["content-type"] ?? "",
    text: received
      .text(endpoint, response)
      .pipe(
        Effect.mapError(brokenOff),
        Effect.timeoutOrElse({ duration: timeout, orElse: () => Effect.fail(stalled) })
      ),
    bytes: withinEach(Stream.mapError(received.stream(endpoint, response), brokenOff), timeout, () =>
      Effect.fail(stalled)
    )
  })
}
