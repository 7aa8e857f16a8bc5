/**
 * A query task: one run of a query. Looker starts it at once, and its result is fetched later.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import * as Query from "./Query.ts"
import { ResultFormat } from "./ResultFormat.ts"
import { Can, Id, nullish, openStruct } from "./Wire.ts"

/**
 * A query task as Looker returns it.
 *
 * **Gotchas**
 *
 * `status` has no enum in Looker's specification: words seen are `added`, `running`, `pending`, `complete`, `error`,
 * `failure`, `killed`, `expired` and `missing`. `runtime` is that of *prior* runs, in seconds. With `query_task?fields=` every
 * key but `id` may be absent.
 *
 * @category schemas
 * @since 0.1.0
 */
export const QueryTask = openStruct({
  can: nullish(Can),
  id: Id,
  query_id: nullish(Id),
  query: nullish(Query.Query),
  generate_links: nullish(Schema.Boolean),
  force_production: nullish(Schema.Boolean),
  path_prefix: nullish(Schema.String),
  cache: nullish(Schema.Boolean),
  server_table_calcs: nullish(Schema.Boolean),
  cache_only: nullish(Schema.Boolean),
  cache_key: nullish(Schema.String),
  status: nullish(Schema.String),
  source: nullish(Schema.String),
  runtime: nullish(Schema.Union([Schema.Number, Schema.String])),
  rebuild_pdts: nullish(Schema.Boolean),
  result_source: nullish(Schema.String),
  look_id: nullish(Id),
  dashboard_id: nullish(Id),
  result_format: nullish(Schema.String)
})

/**
 * @category models
 * @since 0.1.0
 */
export type QueryTask = typeof QueryTask.Type

/**
 * The body of `create_query_task`.
 *
 * @category schemas
 * @since 0.1.0
 */
export const CreateQueryTask = openStruct({
  can: nullish(Can),
  query_id: Id,
  result_format: ResultFormat,
  source: nullish(Schema.String),
  deferred: nullish(Schema.Boolean),
  look_id: nullish(Id),
  dashboard_id: nullish(Id)
})

/**
 * @category models
 * @since 0.1.0
 */
export type CreateQueryTask = typeof CreateQueryTask.Type

/**
 * The query parameters of `create_query_task`, all optional. `limit` "may override the limit in the saved query";
 * `cache: false` asks the database even if a cached result exists; `fields` is a comma-separated list of the keys to respond with.
 *
 * @category schemas
 * @since 0.1.0
 */
export const CreateQueryTaskParams = Schema.Struct({
  limit: Schema.optional(Schema.Int),
  apply_formatting: Schema.optional(Schema.Boolean),
  apply_vis: Schema.optional(Schema.Boolean),
  cache: Schema.optional(Schema.Boolean),
  generate_drill_links: Schema.optional(Schema.Boolean),
  force_production: Schema.optional(Schema.Boolean),
  cache_only: Schema.optional(Schema.Boolean),
  path_prefix: Schema.optional(Schema.String),
  rebuild_pdts: Schema.optional(Schema.Boolean),
  server_table_calcs: Schema.optional(Schema.Boolean),
  fields: Schema.optional(Schema.String)
})

/**
 * @category models
 * @since 0.1.0
 */
export type CreateQueryTaskParams = typeof CreateQueryTaskParams.Type
