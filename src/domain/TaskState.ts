/**
 * One entry of `query_task_multi_results` as the state of a task.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import * as Predicate from "effect/Predicate"
import * as SqlError from "./SqlError.ts"

type Empty = Record<never, never>

/**
 * What Looker says about a task.
 *
 * **Details**
 *
 * - `Pending`: not finished; `status` is Looker's word (`added`, `running`, `pending`)
 * - `Complete`: finished; `data` is the result as `multi_results` carries it, `warnings` what Looker notes beside it, `resultSource` where the
 *   result comes from (`query`, `cache`, …) if Looker says so
 * - `Failed`: the query failed; `warnings` are beside the errors
 * - `Killed`: it was killed
 * - `Expired`: the results have expired, *or* are not there yet: Looker shows this word for up to two seconds before the true one
 * - `Missing`: no such task, or another user's
 * - `Unrecognised`: a word that this library does not know
 *
 * @category models
 * @since 0.1.0
 */
export type TaskState = Data.TaggedEnum<{
  readonly Pending: { readonly status: string }
  readonly Complete: {
    readonly data: unknown
    readonly warnings: ReadonlyArray<SqlError.SqlError>
    readonly resultSource?: string
  }
  readonly Failed: {
    readonly errors: ReadonlyArray<SqlError.SqlError>
    readonly sql: string | undefined
    readonly warnings: ReadonlyArray<SqlError.SqlError>
  }
  readonly Killed: Empty
  readonly Expired: Empty
  readonly Missing: Empty
  readonly Unrecognised: { readonly status: string }
}>

/**
 * Constructors, `$is` and `$match` of {@link TaskState}.
 *
 * @category constructors
 * @since 0.1.0
 */
export const TaskState = Data.taggedEnum<TaskState>()

/**
 * Whether a body of a finished task is a success, and with which warnings.
 *
 * **Gotchas**
 *
 * A task that is `complete` may have errors in its body (json_detail `errors[]`, `looker_error` rows), and one that is `error` only
 * warnings. The body decides, not the word.
 *
 * @category conversions
 * @since 0.1.0
 */
export const fromBody = (body: unknown, failed: boolean): TaskState => {
  const found = SqlError.fromBody(body, failed)
  const errors = found.filter((error) => error.fatal)
  const warnings = found.filter((error) => !error.fatal)
  if (errors.length === 0 && (warnings.length > 0 || !failed)) return TaskState.Complete({ data: body, warnings })
  return TaskState.Failed({
    errors: errors.length > 0 ? errors : [SqlError.fromUnknown(undefined)],
    sql: SqlError.sqlOf(body) ?? found.find(({ sql }) => sql !== undefined)?.sql,
    warnings
  })
}

const withSource = (state: TaskState, resultSource: unknown): TaskState =>
  state._tag === "Complete" && typeof resultSource === "string" ? { ...state, resultSource } : state

/**
 * Reads one entry of `multi_results`. Status words are compared without regard to case: Looker's documentation writes
 * "Complete", the wire says `complete`. An entry that is no object, or has no status, is `Unrecognised`.
 *
 * @category conversions
 * @since 0.1.0
 */
export const fromEntry = (entry: unknown): TaskState => {
  const { data, result_source, status } = (Predicate.isObject(entry) ? entry : {}) as Readonly<Record<string, unknown>>
  const word = typeof status === "string" ? status : ""
  switch (word.toLowerCase()) {
    case "added":
    case "running":
    case "pending":
      return TaskState.Pending({ status: word.toLowerCase() })
    case "complete":
      return withSource(fromBody(data, false), result_source)
    case "error":
    case "failure":
      return withSource(fromBody(data, true), result_source)
    case "killed":
      return TaskState.Killed()
    case "expired":
      return TaskState.Expired()
    case "missing":
      return TaskState.Missing()
    default:
      return TaskState.Unrecognised({ status: word })
  }
}
