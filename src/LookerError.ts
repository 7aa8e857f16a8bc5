/**
 * Every error of the library: small, flat, tagged, with what a person needs to act. All are schemas, alone and as unions, so that a storage can
 * keep them: `Schema.toCodecJson(LookerError.LookerError)`.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import type { ResultFormat } from "./domain/ResultFormat.ts"
import { SqlError } from "./domain/SqlError.ts"

/**
 * What every error that comes from an HTTP response has: Looker's `message`, the request (`GET /query_tasks/3f2a`) as
 * `endpoint`, Looker's link to its documentation, and its `X-B3-TraceId` for a support ticket.
 */
const fromResponse = {
  message: Schema.String,
  endpoint: Schema.optional(Schema.String),
  documentationUrl: Schema.optional(Schema.String),
  traceId: Schema.optional(Schema.String)
}

/** The name of an error, which a log shows in front of the message: `NotFound (GET /query_tasks/3f2a)`. */
const nameOf = (tag: string, about: string | undefined): string => (about === undefined ? tag : `${tag} (${about})`)

/**
 * 400: Looker does not understand the request.
 *
 * @category errors
 * @since 0.1.0
 */
export class BadRequest extends Schema.TaggedError<BadRequest>("effect-looker/BadRequest")("BadRequest", fromResponse) {
  readonly isRetryable = false

  override get name(): string {
    return nameOf("BadRequest", this.endpoint)
  }
}

/**
 * 404: it does not exist, has expired, or belongs to another user. Looker does not say which.
 *
 * @category errors
 * @since 0.1.0
 */
export class NotFound extends Schema.TaggedError<NotFound>("effect-looker/NotFound")("NotFound", fromResponse) {
  readonly isRetryable = false

  override get name(): string {
    return nameOf("NotFound", this.endpoint)
  }
}

/**
 * 429: too many requests. `retryAfter` is how long the server wants no requests, as a duration or a date; Looker does not document it.
 *
 * @category errors
 * @since 0.1.0
 */
export class TooManyRequests extends Schema.TaggedError<TooManyRequests>("effect-looker/TooManyRequests")(
  "TooManyRequests",
  { ...fromResponse, retryAfter: Schema.optional(Schema.RetryAfter) }
) {
  readonly isRetryable = true

  override get name(): string {
    return nameOf("TooManyRequests", this.endpoint)
  }
}

/**
 * 401 also after one new login, or a refused login (for which Looker's status is 404).
 *
 * @category errors
 * @since 0.1.0
 */
export class Unauthorized extends Schema.TaggedError<Unauthorized>("effect-looker/Unauthorized")(
  "Unauthorized",
  fromResponse
) {
  readonly isRetryable = false

  override get name(): string {
    return nameOf("Unauthorized", this.endpoint)
  }
}

/**
 * 403: the user may not do this.
 *
 * @category errors
 * @since 0.1.0
 */
export class Forbidden extends Schema.TaggedError<Forbidden>("effect-looker/Forbidden")("Forbidden", fromResponse) {
  readonly isRetryable = false

  override get name(): string {
    return nameOf("Forbidden", this.endpoint)
  }
}

/**
 * 409: it already exists.
 *
 * @category errors
 * @since 0.1.0
 */
export class Conflict extends Schema.TaggedError<Conflict>("effect-looker/Conflict")("Conflict", fromResponse) {
  readonly isRetryable = false

  override get name(): string {
    return nameOf("Conflict", this.endpoint)
  }
}

/**
 * One of the `errors` of a 422: which field, and what is wrong with it.
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
 * 422: the request is well formed, but its values are not valid; `errors` names the fields.
 *
 * @category errors
 * @since 0.1.0
 */
export class ValidationFailed extends Schema.TaggedError<ValidationFailed>("effect-looker/ValidationFailed")(
  "ValidationFailed",
  { ...fromResponse, errors: Schema.Array(ValidationDetail) }
) {
  readonly isRetryable = false

  override get name(): string {
    return nameOf("ValidationFailed", this.endpoint)
  }
}

/**
 * Looker could not be reached, did not respond in time, or responded with 500, 502, 503 or 504.
 *
 * **Details**
 *
 * `reached` says whether Looker may have carried out the request: `"no"` when there was no connection, `"maybe"` otherwise. After a
 * `"maybe"` only what is safe to repeat is retried.
 *
 * @category errors
 * @since 0.1.0
 */
export class LookerUnavailable extends Schema.TaggedError<LookerUnavailable>("effect-looker/LookerUnavailable")(
  "LookerUnavailable",
  {
    ...fromResponse,
    status: Schema.optional(Schema.Number),
    reached: Schema.Literals(["no", "maybe"]),
    retryAfter: Schema.optional(Schema.RetryAfter)
  }
) {
  readonly isRetryable = true

  override get name(): string {
    return nameOf("LookerUnavailable", this.endpoint)
  }
}

/**
 * A response that Looker's contract does not have: a login page instead of JSON, a status that the endpoint does not have, rows that do
 * not fit the caller's schema. `snippet` is the beginning of the body.
 *
 * @category errors
 * @since 0.1.0
 */
export class UnexpectedResponse extends Schema.TaggedError<UnexpectedResponse>("effect-looker/UnexpectedResponse")(
  "UnexpectedResponse",
  { ...fromResponse, status: Schema.optional(Schema.Number), snippet: Schema.optional(Schema.String) }
) {
  readonly isRetryable = false

  override get name(): string {
    return nameOf("UnexpectedResponse", this.endpoint)
  }
}

/**
 * Settings that are missing or not valid: `missing` names the absent ones, `message` says what to write.
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
 * The query failed, in the database or in Looker. `errors` has all the errors, `warnings` what Looker notes beside them, `sql` the statement
 * where Looker shows it.
 *
 * @category errors
 * @since 0.1.0
 */
export class QueryFailed extends Schema.TaggedError<QueryFailed>("effect-looker/QueryFailed")("QueryFailed", {
  ...ofTask,
  errors: Schema.Array(SqlError),
  warnings: Schema.Array(SqlError).pipe(
    Schema.withDecodingDefaultKey(Effect.succeed([])),
    Schema.withConstructorDefault(Effect.succeed([]))
  ),
  sql: Schema.optional(Schema.String)
}) {
  readonly isRetryable = false

  override get name(): string {
    return nameOf("QueryFailed", `task ${this.taskId}`)
  }
}

/** Whether an error is one of the `errors` of json_detail, which has the statement for those who may see it. */
const isOfDetail = ({ raw }: SqlError): boolean => Predicate.isObject(raw) && !("looker_error" in raw)

/**
 * A failed query from its errors.
 *
 * **Details**
 *
 * Where the statement is not known and another format may show it, the message says so; `format` is that of the task, if known.
 *
 * @category constructors
 * @since 0.1.0
 */
export const queryFailed = (
  taskId: string,
  errors: ReadonlyArray<SqlError>,
  sql: string | undefined,
  options: { readonly warnings?: ReadonlyArray<SqlError>; readonly format?: ResultFormat | undefined } = {}
): QueryFailed => {
  const sentence = errors
    .map(({ details, message }) => (details && details !== message ? `${message} ${details}` : message))
    .join("; ")
  const isShownElsewhere = sql === undefined && options.format !== "json_detail" && !errors.some(isOfDetail)
  return new QueryFailed({
    message:
      isShownElsewhere && sentence !== "" ? `${sentence} (run it as json_detail to see the statement)` : sentence,
    taskId,
    errors,
    warnings: options.warnings ?? [],
    sql
  })
}

/**
 * The query was killed.
 *
 * @category errors
 * @since 0.1.0
 */
export class QueryKilled extends Schema.TaggedError<QueryKilled>("effect-looker/QueryKilled")("QueryKilled", ofTask) {
  readonly isRetryable = false

  override get name(): string {
    return nameOf("QueryKilled", `task ${this.taskId}`)
  }
}

/**
 * The results have expired: Looker keeps them for about an hour. A new task has them again.
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
    return nameOf("ResultsExpired", `task ${this.taskId}`)
  }
}

/**
 * Looker does not know the task, or it belongs to another user; or Looker left it out of its responses for too long.
 *
 * @category errors
 * @since 0.1.0
 */
export class TaskMissing extends Schema.TaggedError<TaskMissing>("effect-looker/TaskMissing")("TaskMissing", ofTask) {
  readonly isRetryable = false

  override get name(): string {
    return nameOf("TaskMissing", `task ${this.taskId}`)
  }
}

/**
 * Looker kept giving the task a status that this library does not know.
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
    return nameOf("UnknownTaskStatus", `task ${this.taskId}`)
  }
}

/**
 * The task did not end within the caller's timeout.
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
    return nameOf("PollingTimeout", `task ${this.taskId}`)
  }
}

/**
 * A result body that broke off, or that ends with the text of an error although its status is 200.
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
    return nameOf("TruncatedResult", `task ${this.taskId}`)
  }
}

/**
 * The result has as many rows as the limit of the query allows, or Looker says that it is truncated: there may be more. Only with
 * `whenLimited: "fail"`. `limit` is absent where only Looker says it.
 *
 * @category errors
 * @since 0.2.0
 */
export class LimitReached extends Schema.TaggedError<LimitReached>("effect-looker/LimitReached")("LimitReached", {
  ...ofTask,
  limit: Schema.optional(Schema.Number)
}) {
  readonly isRetryable = false

  override get name(): string {
    return nameOf("LimitReached", `task ${this.taskId}`)
  }
}

/**
 * What every endpoint may fail with.
 *
 * @category unions
 * @since 0.1.0
 */
export const CallError = Schema.Union([Unauthorized, LookerUnavailable, UnexpectedResponse])

/**
 * @category unions
 * @since 0.1.0
 */
export type CallError = typeof CallError.Type

/**
 * What every endpoint of queries and tasks may fail with.
 *
 * @category unions
 * @since 0.1.0
 */
export const ReadError = Schema.Union([CallError, BadRequest, NotFound, TooManyRequests])

/**
 * @category unions
 * @since 0.1.0
 */
export type ReadError = typeof ReadError.Type

/**
 * What the two endpoints that create something may fail with.
 *
 * @category unions
 * @since 0.1.0
 */
export const CreateError = Schema.Union([ReadError, Conflict, ValidationFailed])

/**
 * @category unions
 * @since 0.1.0
 */
export type CreateError = typeof CreateError.Type

/**
 * What an HTTP response can become. An endpoint fails with {@link CallError} and those of these that its contract names.
 *
 * @category unions
 * @since 0.1.0
 */
export const HttpError = Schema.Union([CreateError, Forbidden])

/**
 * @category unions
 * @since 0.1.0
 */
export type HttpError = typeof HttpError.Type

/**
 * The ends of a task without rows, or with fewer than it may have.
 *
 * @category unions
 * @since 0.1.0
 */
export const TaskError = Schema.Union([
  QueryFailed,
  QueryKilled,
  ResultsExpired,
  TaskMissing,
  UnknownTaskStatus,
  PollingTimeout,
  TruncatedResult,
  LimitReached
])

/**
 * @category unions
 * @since 0.1.0
 */
export type TaskError = typeof TaskError.Type

/**
 * Every error of the library.
 *
 * @category unions
 * @since 0.1.0
 */
export const LookerError = Schema.Union([HttpError, TaskError, ConfigurationError])

/**
 * @category unions
 * @since 0.1.0
 */
export type LookerError = typeof LookerError.Type
