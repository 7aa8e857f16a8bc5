/**
 * What can go wrong on purpose: the constructors of faults, for the script in `EmbeddedLooker.Options.faults`.
 *
 * A fault happens to a request, whatever its endpoint, or to a task, whatever its query.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"

/**
 * A fault of a request. Only the client that sent it sees the fault.
 *
 * @category models
 * @since 0.1.0
 */
export type RequestFault =
  | { readonly _tag: "Delay"; readonly duration: Duration.Duration }
  | { readonly _tag: "TooManyRequests"; readonly retryAfter: string | undefined }
  | { readonly _tag: "Unavailable"; readonly status: 502 | 503 | 504; readonly when: "before" | "after" }
  | { readonly _tag: "Reset"; readonly when: "before" | "after" }
  | { readonly _tag: "NotFinished"; readonly status: 202 | 204 }
  | { readonly _tag: "HtmlNotFound"; readonly contentType: "text/html" | "*/*" }
  | {
      readonly _tag: "Truncated"
      readonly at: { readonly bytes: number } | { readonly fraction: number }
      readonly end: "broken" | "clean"
    }
  | { readonly _tag: "AppendedError"; readonly text: string }
  | { readonly _tag: "TokenDeath" }
  | { readonly _tag: "Restart" }

/**
 * A fault of a task. All clients that ask about the task see the fault.
 *
 * @category models
 * @since 0.1.0
 */
export type TaskFault =
  | { readonly _tag: "Slow"; readonly duration: Duration.Duration }
  | { readonly _tag: "Error"; readonly message: string; readonly line: number | undefined }
  | { readonly _tag: "Warning"; readonly message: string }
  | { readonly _tag: "Killed" }
  | { readonly _tag: "Missing" }
  | { readonly _tag: "Shown"; readonly status: string; readonly until: Until }
  | { readonly _tag: "LeftOut"; readonly until: Until }

/**
 * @category models
 * @since 0.1.0
 */
export type Fault = RequestFault | TaskFault

/**
 * How long responses about a task are false: for a time, or for a number of polls (`multi_results` and `query_task`). Without either,
 * always.
 *
 * @category models
 * @since 0.1.0
 */
export interface Until {
  readonly for?: Duration.Input | undefined
  readonly polls?: number | undefined
}

/**
 * The request waits this long before it is handled.
 *
 * @category requests
 * @since 0.1.0
 */
export const delay = (duration: Duration.Input): RequestFault => ({
  _tag: "Delay",
  duration: Duration.fromInputUnsafe(duration)
})

/**
 * 429; the request is not handled. `Retry-After` is in seconds for a duration, an HTTP date for a `Date`, and absent without either: Looker
 * does not document its form.
 *
 * @category requests
 * @since 0.1.0
 */
export const tooManyRequests = (
  options: { readonly retryAfter?: Duration.Input | Date | undefined } = {}
): RequestFault => {
  const { retryAfter } = options
  return {
    _tag: "TooManyRequests",
    retryAfter:
      retryAfter === undefined
        ? undefined
        : retryAfter instanceof Date
          ? retryAfter.toUTCString()
          : String(Math.ceil(Duration.toSeconds(Duration.fromInputUnsafe(retryAfter))))
  }
}

/**
 * 502, 503 or 504 with the HTML page of a load balancer. The request is not handled, or with `when: "after"` it is, and its response is lost.
 *
 * @category requests
 * @since 0.1.0
 */
export const unavailable = (
  status: 502 | 503 | 504,
  options: { readonly when?: "before" | "after" | undefined } = {}
): RequestFault => ({ _tag: "Unavailable", status, when: options.when ?? "before" })

/**
 * The connection breaks before the request is handled.
 *
 * @category requests
 * @since 0.1.0
 */
export const resetBefore: RequestFault = { _tag: "Reset", when: "before" }

/**
 * The connection breaks after the request was handled and before the response: a task may run whose id no client has.
 *
 * @category requests
 * @since 0.1.0
 */
export const resetAfter: RequestFault = { _tag: "Reset", when: "after" }

/**
 * The response says that the query is not finished, although it may be: 202, or 204 as Looker did before 25.0.9. For `query_task_results`.
 *
 * @category requests
 * @since 0.1.0
 */
export const notFinished = (status: 202 | 204 = 202): RequestFault => ({ _tag: "NotFinished", status })

/**
 * 404 with the page "Looker Not Found (404)", as Looker sends it since August 2021; the request is not handled. Its content type is `text/html`,
 * or an echo of the request's `Accept` header: both were recorded.
 *
 * @category requests
 * @since 0.1.0
 */
export const htmlNotFound = (contentType: "text/html" | "*/*" = "text/html"): RequestFault => ({
  _tag: "HtmlNotFound",
  contentType
})

/**
 * The body ends too early: after a number of bytes, or after a fraction of it (0 to 1). The connection breaks there; with `end: "clean"` the
 * response looks complete, as Looker's own streams do when they are cut.
 *
 * @category requests
 * @since 0.1.0
 */
export const truncated = (
  at: { readonly bytes: number } | { readonly fraction: number },
  options: { readonly end?: "broken" | "clean" | undefined } = {}
): RequestFault => ({ _tag: "Truncated", at, end: options.end ?? "broken" })

/**
 * The text of an error after the body, with the status 200 that was sent before it: so Looker ends a stream whose query fails midway.
 *
 * @category requests
 * @since 0.1.0
 */
export const appendedError = (
  text = "\nAn error occurred while streaming the results of this query."
): RequestFault => ({ _tag: "AppendedError", text })

/**
 * All tokens are revoked before the request is handled. Once, unless the rule has `times`.
 *
 * @category requests
 * @since 0.1.0
 */
export const tokenDeath: RequestFault = { _tag: "TokenDeath" }

/**
 * Looker restarts before the request is handled: running queries end, and tasks, results and tokens are lost; queries are kept.
 * Once, unless the rule has `times`.
 *
 * @category requests
 * @since 0.1.0
 */
export const restart: RequestFault = { _tag: "Restart" }

/**
 * The task is `running` this much longer before its query starts.
 *
 * @category tasks
 * @since 0.1.0
 */
export const slow = (duration: Duration.Input): TaskFault => ({
  _tag: "Slow",
  duration: Duration.fromInputUnsafe(duration)
})

/**
 * The query fails in the database, with this message; `line` (1-based) is its line in the statement.
 *
 * @category tasks
 * @since 0.1.0
 */
export const error = (message: string, options: { readonly line?: number | undefined } = {}): TaskFault => ({
  _tag: "Error",
  message,
  line: options.line
})

/**
 * The query has rows and a note such as that of development mode: status `error`, and in json_detail an entry of `errors` with
 * `fatal: false`. The other formats have no place for it (inferred).
 *
 * @category tasks
 * @since 0.1.0
 */
export const warning = (
  message = "Note: This query contains derived tables with Development Mode filters. " +
    "Query results in Production Mode might be different."
): TaskFault => ({ _tag: "Warning", message })

/**
 * Another user kills the task when its query would start.
 *
 * @category tasks
 * @since 0.1.0
 */
export const killed: TaskFault = { _tag: "Killed" }

/**
 * The task is lost from its creation on: `missing` in `multi_results`, 404 elsewhere.
 *
 * @category tasks
 * @since 0.1.0
 */
export const missing: TaskFault = { _tag: "Missing" }

/**
 * The ended task shows `expired` before its true status, and its results are 404. In recordings this lasts up to two seconds, which is the default.
 *
 * @category tasks
 * @since 0.1.0
 */
export const transientExpired = (until: Until = { for: "2 seconds" }): TaskFault => ({
  _tag: "Shown",
  status: "expired",
  until
})

/**
 * The results of the ended task have expired, whatever `resultLife` is: `expired` in `multi_results`, 404 from results.
 *
 * @category tasks
 * @since 0.1.0
 */
export const expired: TaskFault = { _tag: "Shown", status: "expired", until: {} }

/**
 * The ended task shows this status before its true one, or always.
 *
 * @category tasks
 * @since 0.1.0
 */
export const unknownStatus = (status: string, until: Until = {}): TaskFault => ({ _tag: "Shown", status, until })

/**
 * `multi_results` leaves the task out, from its creation on.
 *
 * @category tasks
 * @since 0.1.0
 */
export const leftOut = (until: Until = {}): TaskFault => ({ _tag: "LeftOut", until })
