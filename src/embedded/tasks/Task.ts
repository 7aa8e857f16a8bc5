/**
 * A query task as the embedded Looker keeps it.
 *
 * @since 0.1.0
 */
import type { CreateQueryTask, CreateQueryTaskParams } from "../../domain/QueryTask.ts"
import type { DatabaseError } from "../database/DuckDb.ts"
import type { Plan } from "../engine/QueryPlan.ts"
import type { ResultSet } from "../engine/ResultSet.ts"
import type { StoredQuery } from "./QueryStore.ts"

/**
 * @category models
 * @since 0.1.0
 */
export interface NewTask {
  readonly userId: string
  readonly stored: StoredQuery
  readonly plan: Plan
  readonly body: CreateQueryTask
  readonly params: CreateQueryTaskParams
}

/**
 * The state of a task. Times are milliseconds since 1970. With the source `"cache"` they are those of the run that filled the cache.
 *
 * @category models
 * @since 0.1.0
 */
export type TaskStatus =
  | { readonly status: "added" }
  | { readonly status: "running"; readonly startedAt: number }
  | {
      readonly status: "complete"
      readonly startedAt: number
      readonly endedAt: number
      readonly result: ResultSet
      readonly source: "query" | "cache"
      readonly warnings: ReadonlyArray<string>
    }
  | { readonly status: "error"; readonly startedAt: number; readonly endedAt: number; readonly error: DatabaseError }
  | { readonly status: "killed"; readonly startedAt: number | undefined; readonly endedAt: number }
  | { readonly status: "expired"; readonly startedAt: number; readonly endedAt: number }

/**
 * **Details**
 *
 * Tasks with the same `cacheKey` have the same result, whatever its format. `runtime` is the duration in milliseconds of the query's latest
 * finished run. A fault can set `statusOverride`, which is reported in place of the status, and `isLeftOut`, which omits the task from
 * `multi_results`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Task extends NewTask {
  readonly id: string
  readonly createdAt: number
  readonly cacheKey: string
  readonly state: TaskStatus
  readonly runtime: number | undefined
  readonly statusOverride: string | undefined
  readonly isLeftOut: boolean
}

/**
 * @category predicates
 * @since 0.1.0
 */
export const isUnfinished = ({ state }: Task): boolean => state.status === "added" || state.status === "running"

/**
 * Whether the task runs its query. The format `sql` only shows the statement.
 *
 * @category predicates
 * @since 0.1.0
 */
export const runsQuery = ({ body }: NewTask): boolean => body.result_format !== "sql"
