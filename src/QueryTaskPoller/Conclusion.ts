/**
 * What follows for a task from what Looker says about it. Nothing here has a side effect.
 *
 * @since 0.2.0
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Endpoint from "../api/Endpoint.ts"
import * as LookerApi from "../api/LookerApi.ts"
import { SqlError } from "../domain/SqlError.ts"
import type * as TaskState from "../domain/TaskState.ts"
import { Json } from "../domain/Wire.ts"
import * as httpError from "../internal/httpError.ts"
import * as LookerError from "../LookerError.ts"

/**
 * A task that ended well: `data` is the result as `multi_results` carries it (parsed), `warnings` what Looker notes beside it,
 * `resultSource` where the result comes from if Looker says so.
 *
 * @category schemas
 * @since 0.2.0
 */
export const Finished = Schema.Struct({
  taskId: Schema.String,
  data: Json,
  warnings: Schema.Array(SqlError),
  resultSource: Schema.optional(Schema.String)
})

/**
 * @category models
 * @since 0.1.0
 */
export type Finished = typeof Finished.Type

/**
 * What waiting can fail with.
 *
 * @category errors
 * @since 0.1.0
 */
export const WaitError = Schema.Union([
  LookerError.ReadError,
  LookerError.QueryFailed,
  LookerError.QueryKilled,
  LookerError.ResultsExpired,
  LookerError.TaskMissing,
  LookerError.UnknownTaskStatus,
  LookerError.PollingTimeout
])

/**
 * @category errors
 * @since 0.1.0
 */
export type WaitError = typeof WaitError.Type

/**
 * - `Unfinished`: the task is asked about again
 * - `Ended`: the wait ends
 * - `Doubtful`: it may be transient. The wait ends with the error when nothing better was said for the grace period of the policy
 *
 * `status` is the word that observers get; absent where Looker gave none.
 */
export type Conclusion =
  | { readonly _tag: "Unfinished"; readonly status: string }
  | { readonly _tag: "Ended"; readonly status?: string; readonly exit: Effect.Effect<Finished, WaitError> }
  | { readonly _tag: "Doubtful"; readonly status?: string; readonly error: WaitError }

const failed = (status: string, error: WaitError): Conclusion => ({
  _tag: "Ended",
  status,
  exit: Effect.fail(error)
})

/** From what Looker says about the task. */
export const fromState = (taskId: string, state: TaskState.TaskState): Conclusion => {
  switch (state._tag) {
    case "Pending":
      return { _tag: "Unfinished", status: state.status }
    case "Complete": {
      const { _tag, ...result } = state
      return { _tag: "Ended", status: "complete", exit: Effect.succeed({ taskId, ...result }) }
    }
    case "Failed":
      return failed("error", LookerError.queryFailed(taskId, state.errors, state.sql, { warnings: state.warnings }))
    case "Killed":
      return failed("killed", new LookerError.QueryKilled({ message: "The query was killed", taskId }))
    case "Missing": {
      const message = "Looker has no such task, or it is not yours"
      return failed("missing", new LookerError.TaskMissing({ message, taskId }))
    }
    case "Expired": {
      const message = "The results of the task have expired: run the query again"
      return { _tag: "Doubtful", status: "expired", error: new LookerError.ResultsExpired({ message, taskId }) }
    }
    case "Unrecognised": {
      const { status } = state
      const message = `Looker gives the task a status that this library does not know: "${status}"`
      return { _tag: "Doubtful", status, error: new LookerError.UnknownTaskStatus({ message, taskId, status }) }
    }
  }
}

/** From a response that has no entry for the task. */
export const fromAbsence = (taskId: string): Extract<Conclusion, { readonly _tag: "Doubtful" }> => ({
  _tag: "Doubtful",
  error: new LookerError.TaskMissing({ message: "Looker leaves the task out of its responses", taskId })
})

/** From a request that failed after its retries. */
export const fromError = (error: LookerError.ReadError): Conclusion =>
  error.isRetryable || error._tag === "UnexpectedResponse"
    ? { _tag: "Doubtful", error }
    : { _tag: "Ended", exit: Effect.fail(error) }

/** Looker refuses an id: it is found at once. */
export const isRefusal = (error: WaitError): boolean => error._tag === "NotFound" || error._tag === "BadRequest"

/**
 * Whether the failure of a request about several tasks may be due to one of them: an id that Looker refuses, or any error that lasts so long
 * (`doubtful` is for how many milliseconds, the longest of them) that it does not look transient any more.
 */
export const isDueToOne = (error: LookerError.ReadError, doubtful: number, graceMillis: number): boolean =>
  isRefusal(error) || isLasting(doubtful, graceMillis)

/** After this time an error about several tasks does not look transient any more, and each of them is asked about alone. */
export const isLasting = (doubtful: number, graceMillis: number): boolean => doubtful >= graceMillis / 2

/** Whether an error is one of the request about the tasks: a login that fails is due to none of them. */
export const isAboutTasks = ({ endpoint }: LookerError.ReadError): boolean =>
  endpoint === undefined || endpoint === Endpoint.requestLine(LookerApi.queryTaskMultiResults)

/** What was last received about a task, in words. */
export const lastResponse = (conclusion: Conclusion | undefined): string => {
  if (conclusion === undefined) return "no response has mentioned it"
  if (conclusion.status !== undefined) return `the last response was: ${conclusion.status}`
  if (conclusion._tag !== "Doubtful") return "the last response was the end of the task"
  const { error } = conclusion
  return `the last response was: ${Schema.is(LookerError.HttpError)(error) ? httpError.describe(error) : error.message}`
}
