/**
 * A query that is running in Looker, as the admin page and `all_running_queries` show it.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import * as Query from "./Query.ts"
import { Can, Id, nullish, openStruct } from "./Wire.ts"

/**
 * One entry of `all_running_queries`.
 *
 * **Gotchas**
 *
 * `kill_query` takes the `query_task_id`, not the `id`. `runtime` is the time elapsed, in seconds.
 *
 * @category schemas
 * @since 0.1.0
 */
export const RunningQuery = openStruct({
  can: nullish(Can),
  id: Id,
  user: nullish(Schema.Record(Schema.String, Schema.Unknown)),
  query: nullish(Query.Query),
  sql_query: nullish(Schema.Record(Schema.String, Schema.Unknown)),
  look: nullish(Schema.Record(Schema.String, Schema.Unknown)),
  created_at: nullish(Schema.String),
  completed_at: nullish(Schema.String),
  query_id: nullish(Id),
  source: nullish(Schema.String),
  node_id: nullish(Id),
  slug: nullish(Schema.String),
  query_task_id: nullish(Id),
  cache_key: nullish(Schema.String),
  connection_name: nullish(Schema.String),
  dialect: nullish(Schema.String),
  connection_id: nullish(Id),
  message: nullish(Schema.String),
  status: nullish(Schema.String),
  runtime: nullish(Schema.Number),
  sql: nullish(Schema.String),
  sql_interface_sql: nullish(Schema.String)
})

/**
 * @category models
 * @since 0.1.0
 */
export type RunningQuery = typeof RunningQuery.Type
