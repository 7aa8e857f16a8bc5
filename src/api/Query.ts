/**
 * Queries, their tasks, and what runs.
 *
 * @since 0.2.0
 */
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as Schema from "effect/Schema"
import { Query, QueryInput } from "../domain/Query.ts"
import { CreateQueryTask, CreateQueryTaskParams, QueryTask } from "../domain/QueryTask.ts"
import { RunningQuery } from "../domain/RunningQuery.ts"
import { Authorization } from "./Authorization.ts"
import * as Endpoint from "./Endpoint.ts"
import * as Parameter from "./Parameter.ts"
import * as WireError from "./WireError.ts"

/**
 * `POST /queries`: 200, with the same id for an identical query, so it may be repeated.
 *
 * @category endpoints
 * @since 0.1.0
 */
export const createQuery = HttpApiEndpoint.post("create_query", "/queries", {
  ...Parameter.projected,
  payload: QueryInput,
  success: Query,
  error: [...WireError.common, WireError.Conflict, WireError.ValidationFailed]
})
  .middleware(Authorization)
  .annotateMerge(Endpoint.annotations("create_query", { repeatable: true, quota: "db_query" }))

/**
 * `GET /queries/{query_id}`
 *
 * @category endpoints
 * @since 0.1.0
 */
export const query = HttpApiEndpoint.get("query", "/queries/:query_id", {
  ...Parameter.projected,
  params: { query_id: Parameter.Segment },
  success: Query,
  error: WireError.common
})
  .middleware(Authorization)
  .annotateMerge(Endpoint.annotations("query", { quota: "db_query" }))

/**
 * `GET /queries/slug/{slug}`: takes the share slug and the 22-character client id.
 *
 * @category endpoints
 * @since 0.1.0
 */
export const queryForSlug = HttpApiEndpoint.get("query_for_slug", "/queries/slug/:slug", {
  ...Parameter.projected,
  params: { slug: Parameter.Segment },
  success: Query,
  error: WireError.common
})
  .middleware(Authorization)
  .annotateMerge(Endpoint.annotations("query_for_slug", { quota: "db_query" }))

/**
 * `POST /query_tasks`: starts a run. A repeated request starts a second one.
 *
 * @category endpoints
 * @since 0.1.0
 */
export const createQueryTask = HttpApiEndpoint.post("create_query_task", "/query_tasks", {
  query: CreateQueryTaskParams,
  payload: CreateQueryTask,
  success: QueryTask,
  error: [...WireError.common, WireError.Conflict, WireError.ValidationFailed]
})
  .middleware(Authorization)
  .annotateMerge(Endpoint.annotations("create_query_task", { repeatable: false, priority: "start", quota: "db_query" }))

/**
 * `GET /query_tasks/{query_task_id}`
 *
 * @category endpoints
 * @since 0.1.0
 */
export const queryTask = HttpApiEndpoint.get("query_task", "/query_tasks/:query_task_id", {
  ...Parameter.projected,
  params: { query_task_id: Parameter.Segment },
  success: QueryTask,
  error: WireError.common
})
  .middleware(Authorization)
  .annotateMerge(Endpoint.annotations("query_task", { priority: "poll", quota: "db_query" }))

/**
 * `GET /query_tasks/multi_results?query_task_ids=a,b`: status of many tasks, and the rows of the finished ones.
 *
 * **Gotchas**
 *
 * 200 although tasks failed; keys in any order, ids may be left out; every value has its own shape, so values are `Unknown` here
 * and read one by one (`TaskState.fromEntry`). At most about 250 ids fit into a URL.
 *
 * @category endpoints
 * @since 0.1.0
 */
export const queryTaskMultiResults = HttpApiEndpoint.get("query_task_multi_results", "/query_tasks/multi_results", {
  query: { query_task_ids: Parameter.CommaSeparated },
  success: Schema.Record(Schema.String, Schema.Unknown),
  error: WireError.common
})
  .middleware(Authorization)
  .annotateMerge(Endpoint.annotations("query_task_multi_results", { priority: "poll", quota: "db_query" }))

/**
 * `GET /query_tasks/{query_task_id}/results`: the body in the task's own format.
 *
 * **Gotchas**
 *
 * Not finished is 202 with a text since 25.0.9 and was 204 before. A failed query is 400 for every format but json_detail, which
 * is 200 with `errors`.
 *
 * @category endpoints
 * @since 0.1.0
 */
export const queryTaskResults = HttpApiEndpoint.get("query_task_results", "/query_tasks/:query_task_id/results", {
  params: { query_task_id: Parameter.Segment },
  success: [
    HttpApiSchema.StreamUint8Array(),
    Schema.String.pipe(HttpApiSchema.status(202), HttpApiSchema.asText()),
    HttpApiSchema.NoContent
  ],
  error: WireError.common
})
  .middleware(Authorization)
  .annotateMerge(Endpoint.annotations("query_task_results", { quota: "db_query" }))

/**
 * `GET /running_queries`
 *
 * @category endpoints
 * @since 0.1.0
 */
export const allRunningQueries = HttpApiEndpoint.get("all_running_queries", "/running_queries", {
  success: Schema.Array(RunningQuery),
  error: [WireError.NotFound, WireError.TooManyRequests]
})
  .middleware(Authorization)
  .annotateMerge(Endpoint.annotations("all_running_queries", { quota: "db_query" }))

/**
 * `DELETE /running_queries/{query_task_id}`: kills. 404 once the task is finished or was never there.
 *
 * @category endpoints
 * @since 0.1.0
 */
export const killQuery = HttpApiEndpoint.delete("kill_query", "/running_queries/:query_task_id", {
  params: { query_task_id: Parameter.Segment },
  success: HttpApiSchema.NoContent,
  error: [...WireError.common, WireError.ValidationFailed]
})
  .middleware(Authorization)
  .annotateMerge(Endpoint.annotations("kill_query", { quota: "db_query" }))

/**
 * Looker's tag `Query`.
 *
 * @category groups
 * @since 0.2.0
 */
export const queryGroup = HttpApiGroup.make("Query").add(
  createQuery,
  query,
  queryForSlug,
  createQueryTask,
  queryTask,
  queryTaskMultiResults,
  queryTaskResults,
  allRunningQueries,
  killQuery
)
