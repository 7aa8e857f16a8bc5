/**
 * What can be counted of the traffic with Looker: requests, polls, tasks, retries, pauses, bytes, logins, and how long finished results
 * waited for their delivery.
 *
 * These are metrics of `effect/Metric`, in its registry whether or not a program reads them. The exporters of `effect/observability` send
 * them to a collector over OTLP, or show them to Prometheus.
 *
 * @since 0.2.0
 */
import * as Metric from "effect/Metric"

/**
 * Requests sent. `endpoint` is the name of Looker's operation, `status` the HTTP status of the response, or `none` where there was no
 * response, and `quota` the monthly allowance that the request counts against: `db_query`, `non_query` or `none`.
 *
 * **Example**
 *
 * ```ts
 * const started = Metric.value(
 *   LookerMetrics.requests.pipe(
 *     Metric.withAttributes({ endpoint: "create_query_task", status: "200", quota: "db_query" })
 *   )
 * )
 * ```
 *
 * @category metrics
 * @since 0.2.0
 */
export const requests = Metric.counter("looker_requests", { description: "Requests sent to Looker", incremental: true })

/**
 * Requests sent again. `endpoint` is the name of Looker's operation, `reason` the tag of the error.
 *
 * @category metrics
 * @since 0.2.0
 */
export const retries = Metric.counter("looker_retries", {
  description: "Requests sent to Looker again after an error",
  incremental: true
})

/**
 * The bytes of successful responses, by `endpoint`: as `content-length` announces them, else as they are read. A text without
 * `content-length` counts by its characters.
 *
 * @category metrics
 * @since 0.2.0
 */
export const bytes = Metric.counter("looker_received_bytes", {
  description: "Bytes of Looker's successful responses",
  attributes: { unit: "bytes" },
  incremental: true
})

/**
 * Logins that succeeded.
 *
 * @category metrics
 * @since 0.2.0
 */
export const logins = Metric.counter("looker_logins", { description: "Logins to Looker", incremental: true })

/**
 * Requests that ask whether tasks have ended, each about one task or many.
 *
 * @category metrics
 * @since 0.2.0
 */
export const polls = Metric.counter("looker_polls", {
  description: "Requests that ask Looker whether tasks have ended",
  incremental: true
})

/**
 * Tasks that got into a state. `state` is `created`, `adopted` (its response was lost, and it was found), one of Looker's words when a poll first gives it (`added`, `running`, `pending`,
 * `complete`, `error`, `killed`, `expired`, `missing`), or `unknown` for any other word.
 *
 * @category metrics
 * @since 0.2.0
 */
export const tasks = Metric.counter("looker_tasks", {
  description: "Query tasks that got into a state",
  incremental: true
})

/**
 * Tasks that may run in Looker although this program does not know them: the response to `create_query_task` was lost, and no running task
 * was found to be the one. `query_id` says of which query.
 *
 * @category metrics
 * @since 0.2.0
 */
export const strays = Metric.counter("looker_possible_strays", {
  description: "Query tasks that may have been started and were not found",
  incremental: true
})

/**
 * Tasks that are waited for now.
 *
 * @category metrics
 * @since 0.2.0
 */
export const waiting = Metric.gauge("looker_tasks_waiting", { description: "Query tasks that are waited for now" })

const millis = { unit: "milliseconds" }

/**
 * The time from the end of a task in Looker to its delivery here, in milliseconds.
 *
 * **Gotchas**
 *
 * Looker does not say when a task ended. So the time is counted from the last response in which the task had not ended, or from the beginning
 * of the wait.
 *
 * @category metrics
 * @since 0.2.0
 */
export const delivery = Metric.histogram("looker_delivery_delay", {
  description: "Time from the last response in which a query task had not ended to its delivery",
  attributes: millis,
  boundaries: [50, 100, 200, 500, 1000, 2000, 5000, 10_000, 30_000, 60_000]
})

/**
 * The time in which nothing was sent because Looker had responded with 429, in milliseconds.
 *
 * @category metrics
 * @since 0.2.0
 */
export const paused = Metric.counter("looker_paused", {
  description: "Time without requests after a 429",
  attributes: millis,
  incremental: true
})
