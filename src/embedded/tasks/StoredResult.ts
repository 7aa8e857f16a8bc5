/**
 * The result of one run of a query, in tables of the database.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type { DuckDb } from "../database/DuckDb.ts"
import * as QueryExecution from "../engine/QueryExecution.ts"
import type { Plan } from "../engine/QueryPlan.ts"
import type { ResultSet } from "../engine/ResultSet.ts"

/**
 * **Details**
 *
 * The tables are named after the task that ran. Tasks, the cache and readers share a result: `references` counts them, and the tables are
 * dropped with the last one.
 *
 * @category models
 * @since 0.1.0
 */
export interface StoredResult {
  readonly taskId: string
  readonly plan: Plan
  readonly startedAt: number
  readonly endedAt: number
  readonly result: ResultSet
  references: number
}

/**
 * @category combinators
 * @since 0.1.0
 */
export const retain = (stored: StoredResult): void => {
  stored.references++
}

/**
 * @category combinators
 * @since 0.1.0
 */
export const release = (database: DuckDb["Service"], stored: StoredResult): Effect.Effect<void> =>
  Effect.suspend(() =>
    --stored.references === 0 ? Effect.ignore(QueryExecution.clear(database, stored.plan, stored.taskId)) : Effect.void
  )
