/**
 * Every error of the library: small, flat, tagged, and each with what a person needs to act.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { SqlError } from "./domain/SqlError.ts"

/**
 * What every error that came from an HTTP answer carries: Looker's `message`, the request (`GET /query_tasks/3f2a`) as
 * `endpoint`, Looker's link to its documentation, and its `X-B3-TraceId` for a support ticket.
 */
const fromAnswer = {
  message: Schema.String,
  endpoint: Schema.optional(Schema.String),
  documentationUrl: Schema.optional(Schema.String),
  traceId: Schema.optional(Schema.String)
}

/** What a log shows in front of the message: `NotFound (GET /query_tasks/3f2a)`. */
const named = (tag: string, about: string | undefined): string => (about === undefined ? tag : `${tag} (${about})`)

/**
 * 400: Looker cannot make sense of the request.
 *
 * @category errors
 * @since 0.1.0
 */
export class BadRequest extends Schema.TaggedError<BadRequest>("effect-looker/BadRequest")("BadRequest", fromAnswer) {
  readonly isRetryable = false

  override get name(): string {
    return named("BadRequest", this.endpoint)
  }
}

/**
 * 404: no such thing, it has expired, or it belongs to somebody else. Looker does not say which.
 *
 * @category errors
 * @since 0.1.0
 */
export class NotFound extends Schema.TaggedError<NotFound>("effect-looker/NotFound")("NotFound", fromAnswer) {
  readonly isRetryable = false

  override get name(): string {
    return named("NotFound", this.endpoint)
  }
}

/**
 * 429: too many requests. `retryAfter` is the server's wish, as a duration or a date; Looker documents none.
 *
 * @category errors
 * @since 0.1.0
 */
export class TooManyRequests extends Schema.TaggedError<TooManyRequests>("effect-looker/TooManyRequests")(
  "TooManyRequests",
  { ...fromAnswer, retryAfter: Schema.optional(Schema.RetryAfter) }
) {
  readonly isRetryable = true

  override get name(): string {
    return named("TooManyRequests", this.endpoint)
  }
}

/**
 * 401 after one new login, or a login that was refused (which Looker answers with 404).
 *
 * @category errors
 * @since 0.1.0
 */
export class Unauthorized extends Schema.TaggedError<Unauthorized>("effect-looker/Unauthorized")(
  "Unauthorized",
  fromAnswer
) {
  readonly isRetryable = false

  override get name(): string {
    return named("Unauthorized", this.endpoint)
  }
}

/**
 * 403: the user is known and may not do this.
 *
 * @category errors
 * @since 0.1.0
 */
export class Forbidden extends Schema.TaggedError<Forbidden>("effect-looker/Forbidden")("Forbidden", fromAnswer) {
  readonly isRetryable = false

  override get name(): string {
    return named("Forbidden", this.endpoint)
  }
}

/**
 * 409: it exists already.
 *
 * @category errors
 * @since 0.1.0
 */
export class Conflict extends Schema.TaggedError<Conflict>("effect-looker/Conflict")("Conflict", fromAnswer) {
  readonly isRetryable = false

  override get name(): string {
    return named("Conflict", this.endpoint)
  }
}

/**
 * One entry of a 422's `errors`: which field, and what is wrong with it.
 *
 * @category schemas
 * @since 0.1.0
 */
export const ValidationDetail = Schema.Struct({
  field: Schema.optional(Schema.NullOr(Schema.String)),
  code: Schema.optional(Schema.NullOr(Schema.String)),
  message: Schema.optional(Schema.NullOr(Schema.String)),
  documentation_url: Schema.optional(Schema.NullOr(Schema.String))
})

/**
 * @category models
 * @since 0.1.0
 */
export type ValidationDetail = typeof ValidationDetail.Type

/**
 * 422: the request is well formed and wrong; `errors` names the fields.
 *
 * @category errors
 * @since 0.1.0
 */
export class ValidationFailed extends Schema.TaggedError<ValidationFailed>("effect-looker/ValidationFailed")(
  "ValidationFailed",
  { ...fromAnswer, errors: Schema.Array(ValidationDetail) }
) {
  readonly isRetryable = false

  override get name(): string {
    return named("ValidationFailed", this.endpoint)
  }
}

/**
 * Looker could not be reached, did not answer in time, or answered 500, 502, 503 or 504.
 *
 * **Details**
 *
 * `reached` says whether the request may have been carried out: `"no"` when no connection came about, `"maybe"` otherwise. Only
 * what is safe to repeat is retried after a `"maybe"`.
 *
 * @category errors
 * @since 0.1.0
 */
export class LookerUnavailable extends Schema.TaggedError<LookerUnavailable>("effect-looker/LookerUnavailable")(
  "LookerUnavailable",
  {
    ...fromAnswer,
    status: Schema.optional(Schema.Number),
    reached: Schema.Literals(["no", "maybe"]),
    retryAfter: Schema.optional(Schema.RetryAfter)
  }
) {
  readonly isRetryable = true

  override get name(): string {
    return named("LookerUnavailable", this.endpoint)
  }
}

/**
 * An answer that is not what Looker's contract says: a login page where JSON was due, a status the endpoint does not have, rows
 * that do not fit the caller's schema. `snippet` is the beginning of the body.
 *
 * @category errors
 * @since 0.1.0
 */
export class UnexpectedResponse extends Schema.TaggedError<UnexpectedResponse>("effect-looker/UnexpectedResponse")(
  "UnexpectedResponse",
  { ...fromAnswer, status: Schema.optional(Schema.Number), snippet: Schema.optional(Schema.String) }
) {
  readonly isRetryable = false

  override get name(): string {
    return named("UnexpectedResponse", this.endpoint)
  }
}

/**
 * What the library was told about Looker does not do: `missing` names every setting that is absent, `message` says what to
 * write.
 *
 * @category errors
 * @since 0.1.0
 */
export class ConfigurationError extends Schema.TaggedError<ConfigurationError>("effect-looker/ConfigurationError")(
  "ConfigurationError",
  { message: Schema.String, missing: Schema.Array(Schema.String) }
) {
  readonly isRetryable = false
}

const ofTask = { message: Schema.String, taskId: Schema.String }

/**
 * The query ran into an error: in the database, or in Looker's SQL. `errors` are all of them, `sql` the statement where Looker
 * shows it.
 *
 * @category errors
 * @since 0.1.0
 */
export class QueryFailed extends Schema.TaggedError<QueryFailed>("effect-looker/QueryFailed")("QueryFailed", {
  ...ofTask,
  errors: Schema.Array(SqlError),
  sql: Schema.optional(Schema.String)
}) {
  readonly isRetryable = false

  override get name(): string {
    return named("QueryFailed", `task ${this.taskId}`)
  }
}

/**
 * The error of a query that ran into some.
 *
 * @category constructors
 * @since 0.1.0
 */
export const queryFailed = (taskId: string, errors: ReadonlyArray<SqlError>, sql: string | undefined): QueryFailed =>
  new QueryFailed({
    message: errors
      .map(({ details, message }) => (details && details !== message ? `${message} ${details}` : message))
      .join("; "),
    taskId,
    errors,
    sql
  })

/**
 * Somebody killed the query.
 *
 * @category errors
 * @since 0.1.0
 */
export class QueryKilled extends Schema.TaggedError<QueryKilled>("effect-looker/QueryKilled")("QueryKilled", ofTask) {
  readonly isRetryable = false

  override get name(): string {
    return named("QueryKilled", `task ${this.taskId}`)
  }
}

/**
 * The results are gone: Looker keeps them for about an hour. A fresh task brings them back.
 *
 * @category errors
 * @since 0.1.0
 */
export class ResultsExpired extends Schema.TaggedError<ResultsExpired>("effect-looker/ResultsExpired")(
  "ResultsExpired",
  ofTask
) {
  readonly isRetryable = false

  override get name(): string {
    return named("ResultsExpired", `task ${this.taskId}`)
  }
}

/**
 * Looker does not know the task, or it is another user's; or Looker left it out of its answers for too long.
 *
 * @category errors
 * @since 0.1.0
 */
export class TaskMissing extends Schema.TaggedError<TaskMissing>("effect-looker/TaskMissing")("TaskMissing", ofTask) {
  readonly isRetryable = false

  override get name(): string {
    return named("TaskMissing", `task ${this.taskId}`)
  }
}

/**
 * Looker kept answering with a status word this library does not know.
 *
 * @category errors
 * @since 0.1.0
 */
export class UnknownTaskStatus extends Schema.TaggedError<UnknownTaskStatus>("effect-looker/UnknownTaskStatus")(
  "UnknownTaskStatus",
  { ...ofTask, status: Schema.String }
) {
  readonly isRetryable = false

  override get name(): string {
    return named("UnknownTaskStatus", `task ${this.taskId}`)
  }
}

/**
 * The task did not end within the time the caller gave it.
 *
 * @category errors
 * @since 0.1.0
 */
export class PollingTimeout extends Schema.TaggedError<PollingTimeout>("effect-looker/PollingTimeout")(
  "PollingTimeout",
  ofTask
) {
  readonly isRetryable = false

  override get name(): string {
    return named("PollingTimeout", `task ${this.taskId}`)
  }
}

/**
 * A result body that broke off, or that Looker ended with the text of an error after it had begun with 200.
 *
 * @category errors
 * @since 0.1.0
 */
export class TruncatedResult extends Schema.TaggedError<TruncatedResult>("effect-looker/TruncatedResult")(
  "TruncatedResult",
  { ...ofTask, snippet: Schema.optional(Schema.String) }
) {
  readonly isRetryable = false

  override get name(): string {
    return named("TruncatedResult", `task ${this.taskId}`)
  }
}

/**
 * What any call may fail with, whatever the endpoint.
 *
 * @category unions
 * @since 0.1.0
 */
export type CallError = Unauthorized | LookerUnavailable | UnexpectedResponse

/**
 * What every endpoint about queries and tasks may fail with.
 *
 * @category unions
 * @since 0.1.0
 */
export type ReadError = CallError | BadRequest | NotFound | TooManyRequests

/**
 * What the two endpoints that create something may fail with.
 *
 * @category unions
 * @since 0.1.0
 */
export type CreateError = ReadError | Conflict | ValidationFailed

/**
 * What an HTTP answer can become. An endpoint fails with {@link CallError} and those of these that its contract names.
 *
 * @category unions
 * @since 0.1.0
 */
export type HttpError = CallError | BadRequest | NotFound | TooManyRequests | Forbidden | Conflict | ValidationFailed

/**
 * The ends of a task that are not its rows.
 *
 * @category unions
 * @since 0.1.0
 */
export type TaskError =
  | QueryFailed
  | QueryKilled
  | ResultsExpired
  | TaskMissing
  | UnknownTaskStatus
  | PollingTimeout
  | TruncatedResult

/**
 * Every error of the library.
 *
 * @category unions
 * @since 0.1.0
 */
export type LookerError = HttpError | TaskError | ConfigurationError
