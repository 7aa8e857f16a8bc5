/**
 * A task as Looker's JSON shows it.
 *
 * @since 0.1.0
 */
import * as DateTime from "effect/DateTime"
import { isUnfinished, type Task, type TaskStatus } from "../tasks/Task.ts"
import type { User } from "../tasks/Users.ts"

/**
 * Where the results come from, once the task has ended.
 *
 * @category getters
 * @since 0.1.0
 */
export const sourceOf = (state: TaskStatus): "query" | "cache" | null =>
  state.status === "complete" ? state.source : state.status === "error" ? "query" : null

/**
 * The status that is reported, which a fault can change.
 *
 * @category getters
 * @since 0.1.0
 */
export const statusOf = ({ body, statusOverride, state }: Task): string => {
  if (statusOverride !== undefined) return statusOverride
  // Looker reports a warning as an error (recorded in json_detail, the only format that has a place for it).
  const hasWarnings = state.status === "complete" && state.warnings.length > 0
  return hasWarnings && body.result_format === "json_detail" ? "error" : state.status
}

/**
 * The body of `create_query_task` and `query_task`.
 *
 * @category conversions
 * @since 0.1.0
 */
export const taskBody = (user: User, task: Task) => {
  const { body, params, runtime, statusOverride, state, stored } = task
  const unfinished = isUnfinished(task)
  const source = statusOverride !== undefined ? null : sourceOf(state)
  return {
    can: {
      index: true,
      show: true,
      kill: unfinished && (user.isAdmin || task.userId === user.id),
      // Also for a task that has not ended (recorded).
      see_results: unfinished || source !== null
    },
    id: task.id,
    query_id: stored.query.id,
    query: stored.query,
    generate_links: params.generate_drill_links ?? false,
    force_production: params.force_production ?? false,
    path_prefix: params.path_prefix ?? "/explore",
    cache: params.cache ?? true,
    server_table_calcs: params.server_table_calcs ?? true,
    cache_only: params.cache_only ?? false,
    cache_key: source === null ? null : task.cacheKey,
    status: statusOf(task),
    source: body.source ?? "api",
    // Documented as the runtime of prior runs. The own run of a task that has ended is one of them (inferred).
    runtime: runtime === undefined ? null : runtime / 1000,
    rebuild_pdts: params.rebuild_pdts ?? false,
    result_source: source,
    look_id: body.look_id ?? null,
    dashboard_id: body.dashboard_id ?? null,
    result_format: body.result_format
  }
}

/**
 * An entry of `all_running_queries`.
 *
 * @category conversions
 * @since 0.1.0
 */
export const runningBody = (now: number, reader: User, owner: User, task: Task) => ({
  // (inferred: the task's, without its results)
  can: { index: true, show: true, kill: true },
  id: task.id,
  user: { id: owner.id, display_name: owner.displayName },
  query: task.stored.query,
  sql_query: null,
  look: null,
  created_at: DateTime.formatIso(DateTime.makeUnsafe(task.createdAt)),
  completed_at: null,
  query_id: task.stored.query.id,
  source: task.body.source ?? "api",
  node_id: "1",
  slug: task.stored.query.slug ?? null,
  query_task_id: task.id,
  cache_key: task.cacheKey,
  connection_name: "embedded",
  dialect: "duckdb",
  connection_id: "embedded",
  message: null,
  status: task.state.status,
  runtime: task.state.status === "running" ? (now - task.state.startedAt) / 1000 : 0,
  sql: reader.seesSql ? task.plan.sql : null,
  sql_interface_sql: null
})
