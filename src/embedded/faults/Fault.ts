/**
 * What can go wrong on purpose: the constructors of faults, for the script in `EmbeddedLooker.Options.faults`.
 *
 * A fault strikes a request, whatever the endpoint does with it, or a task, whatever its query gives.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"

/**
 * A fault of a request, seen by whoever sent it.
 *
 * @category models
 * @since 0.1.0
 */
export type RequestFault =
  | { readonly _tag: "Delay"; readonly duration: Duration.Duration }
  | { readonly _tag: "TooManyRequests"; readonly retryAfter: string | undefined }
  | { readonly _tag: "Unavailable"; readonly status: 502 | 503 | 504 }
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
 * A fault of a task, seen by everybody who asks about it.
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
 * How long something false is told about a task: for a time, or to a number of polls (`multi_results` and `query_task`). Neither means for
 * ever.
 *
 * @category models
 * @since 0.1.0
 */
export interface Until {
  readonly for?: Duration.Input | undefined
  readonly polls?: number | undefined
}

/**
 * The request waits this long before anything is done with it.
 *
 * @category requests
 * @since 0.1.0
 */
export const delay = (duration: Duration.Input): RequestFault => ({
  _tag: "Delay",
  duration: Duration.fromInputUnsafe(duration)
})

/**
 * 429, and nothing is done. `Retry-After` is in seconds for a length of time, an HTTP date for a `Date`, and left out for none, since Looker
 * documents none of them.
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
 * 502, 503 or 504 with the HTML page of a load balancer, and nothing is done.
 *
 * @category requests
 * @since 0.1.0
 */
export const unavailable = (status: 502 | 503 | 504): RequestFault => ({ _tag: "Unavailable", status })

/**
 * The connection breaks before anything is done.
 *
 * @category requests
 * @since 0.1.0
 */
export const resetBefore: RequestFault = { _tag: "Reset", when: "before" }

/**
 * The connection breaks when everything is done and nothing is answered yet: a task may have begun that nobody knows.
 *
 * @category requests
 * @since 0.1.0
 */
export const resetAfter: RequestFault = { _tag: "Reset", when: "after" }

/**
 * Results are said to be not there yet, though they may be: 202, or 204 as Looker did before 25.0.9. For `query_task_results`.
 *
 * @category requests
 * @since 0.1.0
 */
export const notFinished = (status: 202 | 204 = 202): RequestFault => ({ _tag: "NotFinished", status })

/**
 * 404 with the page "Looker Not Found (404)", as Looker answers since August 2021, and nothing is done. Its content type is `text/html`, or an
 * echo of the request's `Accept` header: both were recorded.
 *
 * @category requests
 * @since 0.1.0
 */
export const htmlNotFound = (contentType: "text/html" | "*/*" = "text/html"): RequestFault => ({
  _tag: "HtmlNotFound",
  contentType
})

/**
 * The body ends too early: after so many bytes, or after a part of it (0 to 1). The connection breaks there; with `end: "clean"` the
 * answer looks as if it were whole, as Looker's own streams do when they are cut.
 *
 * @category requests
 * @since 0.1.0
 */
export const truncated = (
  at: { readonly bytes: number } | { readonly fraction: number },
  options: { readonly end?: "broken" | "clean" | undefined } = {}
): RequestFault => ({ _tag: "Truncated", at, end: options.end ?? "broken" })

/**
 * The text of an error behind the body, under the status 200 that has been sent already: how Looker ends a stream whose query fails on the way.
 *
 * @category requests
 * @since 0.1.0
 */
export const appendedError = (
  text = "\nAn error occurred while streaming the results of this query."
): RequestFault => ({ _tag: "AppendedError", text })

/**
 * All tokens are revoked before the request is looked at. Once, unless the rule says otherwise.
 *
 * @category requests
 * @since 0.1.0
 */
export const tokenDeath: RequestFault = { _tag: "TokenDeath" }

/**
 * Looker restarts before the request is looked at: running queries end, and tasks, results and tokens are forgotten; queries are kept.
 * Once, unless the rule says otherwise.
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
 * The query fails in the database, with this message; `line` (1-based) is where in the statement.
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
 * The query gives its rows and a note such as development mode gives: status `error`, and in json_detail an entry of `errors` with
 * `fatal: false`. The other formats have no place for it, and are as without it (inferred).
 *
 * @category tasks
 * @since 0.1.0
 */
export const warning = (
  message = "Note: This query contains derived tables with Development Mode filters. " +
    "Query results in Production Mode might be different."
): TaskFault => ({ _tag: "Warning", message })

/**
 * Somebody else kills the task when its query would start.
 *
 * @category tasks
 * @since 0.1.0
 */
export const killed: TaskFault = { _tag: "Killed" }

/**
 * The task is lost: `missing` in `multi_results`, 404 elsewhere, from the beginning.
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
 * The results of the ended task have expired, whatever its life: `expired` in `multi_results`, 404 from results.
 *
 * @category tasks
 * @since 0.1.0
 */
export const expired: TaskFault = { _tag: "Shown", status: "expired", until: {} }

/**
 * The ended task shows a word of your own before its true status, or for ever.
 *
 * @category tasks
 * @since 0.1.0
 */
export const unknownStatus = (status: string, until: Until = {}): TaskFault => ({ _tag: "Shown", status, until })

/**
 * `multi_results` says nothing about the task, from its creation on.
 *
 * @category tasks
 * @since 0.1.0
 */
export const leftOut = (until: Until = {}): TaskFault => ({ _tag: "LeftOut", until })
