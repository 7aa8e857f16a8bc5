/**
 * The results of a task as a response: buffered, or streamed if they are large.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Stream from "effect/Stream"
import { BadRequest, NotFound } from "../../LookerError.ts"
import { DuckDb } from "../database/DuckDb.ts"
import * as ResultBody from "../formats/ResultBody.ts"
import type { Task } from "../tasks/Task.ts"
import type { User } from "../tasks/Users.ts"
import * as LookerErrors from "./LookerErrors.ts"

const notFound = new NotFound({ message: "Not found" })

/**
 * A body with more cells than this is streamed, so that it does not have to fit into memory.
 *
 * @category constants
 * @since 0.1.0
 */
export const bufferedCells = 300_000

/**
 * The number of cells of a task's result.
 *
 * @category getters
 * @since 0.1.0
 */
export const cellsOf = (task: Task | undefined): number =>
  task?.state.status === "complete" ? task.state.result.rows.rowCount * task.state.result.columns.length : 0

/**
 * @category predicates
 * @since 0.1.0
 */
export const isFormat = (format: string): format is ResultBody.Format =>
  ResultBody.formats.some((known) => known === format)

/**
 * @category getters
 * @since 0.1.0
 */
export const formatOf = (task: Task): ResultBody.Format =>
  isFormat(task.body.result_format) ? task.body.result_format : "json"

/**
 * What the body of a task's result depends on besides its query.
 *
 * @category getters
 * @since 0.1.0
 */
export const bodyOptions = (user: User, task: Task): ResultBody.Options => ({
  seesSql: user.seesSql,
  isFormatted: task.params.apply_formatting ?? false,
  warnings: task.state.status === "complete" ? task.state.warnings : []
})

/**
 * @category constructors
 * @since 0.1.0
 */
export const respond = (
  body: Stream.Stream<Uint8Array, unknown, DuckDb>,
  cells: number,
  contentType: string
): Effect.Effect<HttpServerResponse.HttpServerResponse, never, DuckDb> =>
  cells <= bufferedCells
    ? Stream.mkUint8Array(body).pipe(
        Effect.map((bytes) => HttpServerResponse.uint8Array(bytes, { contentType })),
        Effect.orDie
      )
    : Effect.map(DuckDb, (database) =>
        HttpServerResponse.stream(Stream.provideService(body, DuckDb, database), { contentType })
      )

/**
 * The response of `query_task_results`. `notFinishedStatus` is that of results that are not there yet.
 *
 * @category constructors
 * @since 0.1.0
 */
export const taskResults = Effect.fnUntraced(function* (user: User, task: Task, notFinishedStatus: 202 | 204) {
  const { state, statusOverride } = task
  const format = formatOf(task)
  const options = bodyOptions(user, task)
  if (statusOverride === "expired") return yield* notFound
  if (statusOverride !== undefined) return LookerErrors.notFinished(notFinishedStatus)
  switch (state.status) {
    case "added":
    case "running":
      return LookerErrors.notFinished(notFinishedStatus)
    case "complete": {
      const writeError = yield* ResultBody.writeError(format, state.result)
      if (writeError !== undefined) return yield* new BadRequest({ message: writeError })
      const body = ResultBody.stream(task, format, state, options)
      return yield* respond(body, cellsOf(task), ResultBody.contentType(format))
    }
    case "error": {
      if (format !== "json_detail") return yield* new BadRequest({ message: ResultBody.databaseFailed })
      const body = ResultBody.failure(task, format, state, state.error, options)
      return HttpServerResponse.text(body, { contentType: ResultBody.contentType(format) })
    }
    default:
      return yield* notFound
  }
})
