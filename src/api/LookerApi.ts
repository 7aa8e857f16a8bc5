/**
 * The contract: Looker API 4.0 as far as query tasks go, shared by the client and the embedded Looker, and knowing neither.
 *
 * Endpoints have the names of Looker's operations. Paths, parameters, bodies and status codes are those of Looker's OpenAPI
 * document, release 26.12.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as HttpApi from "effect/http-api/HttpApi"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiMiddleware from "effect/http-api/HttpApiMiddleware"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as OpenApi from "effect/http-api/OpenApi"
import * as Schema from "effect/Schema"
import * as SchemaTransformation from "effect/SchemaTransformation"
import { Query, QueryInput } from "../domain/Query.ts"
import { CreateQueryTask, CreateQueryTaskParams, QueryTask } from "../domain/QueryTask.ts"
import { RunningQuery } from "../domain/RunningQuery.ts"
import { AccessToken, ApiSession, LoginForm, User } from "../domain/Session.ts"
import * as WireError from "./WireError.ts"

/**
 * Marks an endpoint whose request may be sent again although the first one may have been carried out.
 *
 * @category annotations
 * @since 0.1.0
 */
export const Repeatable = Context.Reference<boolean>("effect-looker/api/Repeatable", { defaultValue: () => true })

/**
 * The caller behind a token, as the server's handlers see him.
 *
 * @category services
 * @since 0.1.0
 */
export class CurrentSession extends Context.Service<
  CurrentSession,
  { readonly token: string; readonly userId: string }
>()("effect-looker/api/CurrentSession") {}

/**
 * `Authorization: token T` or `Authorization: Bearer T`; both work (Looker's documentation and SDKs). A missing, wrong or
 * expired token is 401.
 *
 * @category middleware
 * @since 0.1.0
 */
export class Authorization extends HttpApiMiddleware.Service<Authorization, { provides: CurrentSession }>()(
  "effect-looker/api/Authorization",
  { error: WireError.Unauthorized }
) {}

const common = [WireError.BadRequest, WireError.NotFound, WireError.TooManyRequests] as const

/**
 * Ids in one comma-separated parameter, as every official SDK but its plain arrays sends them.
 *
 * @category codecs
 * @since 0.1.0
 */
export const CommaSeparated = Schema.String.pipe(
  Schema.decodeTo(
    Schema.Array(Schema.String.check(Schema.isPattern(/^[^,]+$/, { expected: "an id without a comma in it" }))),
    SchemaTransformation.transform({
      decode: (text: string): ReadonlyArray<string> => text.split(",").filter((id) => id !== ""),
      encode: (ids: ReadonlyArray<string>) => ids.join(",")
    })
  )
)

const projected = { query: { fields: Schema.optional(Schema.String) } }

/** A path segment: an empty one, `.` and `..` would name another endpoint, and half a surrogate pair cannot be encoded. */
const Segment = Schema.String.check(
  Schema.makeFilter((text) => (/^\.{0,2}$|\p{Surrogate}/u.test(text) ? "an id, which this is not" : undefined))
)

/**
 * `POST /login`
 *
 * **Gotchas**
 *
 * Wrong credentials are 404, as JSON or as an HTML page (recorded); there is no 401 or 403 here.
 *
 * @category endpoints
 * @since 0.1.0
 */
export const login = HttpApiEndpoint.post("login", "/login", {
  payload: LoginForm.pipe(HttpApiSchema.asFormUrlEncoded()),
  success: AccessToken,
  error: common
})

/**
 * `POST /login/{user_id}`: a token to act as that user ("sudo"). Admins only; everybody else gets 403.
 *
 * **Gotchas**
 *
 * Every call gives a new token, so a caller keeps the one he has. In Looker (Google Cloud core) only an API-only service account with the
 * Admin role may do this, and only for embed users.
 *
 * @category endpoints
 * @since 0.1.0
 */
export const loginUser = HttpApiEndpoint.post("login_user", "/login/:user_id", {
  params: { user_id: Segment },
  success: AccessToken,
  error: [...common, WireError.Forbidden]
}).middleware(Authorization)

/**
 * `DELETE /logout`: ends the current token, and only this one.
 *
 * @category endpoints
 * @since 0.1.0
 */
export const logout = HttpApiEndpoint.delete("logout", "/logout", {
  success: HttpApiSchema.NoContent,
  error: common
}).middleware(Authorization)

/**
 * `GET /session`: the session of the current token.
 *
 * @category endpoints
 * @since 0.1.0
 */
export const session = HttpApiEndpoint.get("session", "/session", {
  success: ApiSession,
  error: common
}).middleware(Authorization)

/**
 * `PATCH /session`: chooses the workspace, `production` or `dev`.
 *
 * **Gotchas**
 *
 * The choice hangs on the token: after a new login it is `production` again. `LookerConfig` has a `workspace` that is chosen after every
 * login.
 *
 * @category endpoints
 * @since 0.1.0
 */
export const updateSession = HttpApiEndpoint.patch("update_session", "/session", {
  payload: Schema.Struct({ workspace_id: Schema.String }),
  success: ApiSession,
  error: [...common, WireError.ValidationFailed]
}).middleware(Authorization)

/**
 * `GET /user`
 *
 * @category endpoints
 * @since 0.1.0
 */
export const me = HttpApiEndpoint.get("me", "/user", {
  ...projected,
  success: User,
  error: [WireError.NotFound, WireError.TooManyRequests]
}).middleware(Authorization)

/**
 * `POST /queries`: answers 200, and with the same id for an identical query, so it may be repeated.
 *
 * @category endpoints
 * @since 0.1.0
 */
export const createQuery = HttpApiEndpoint.post("create_query", "/queries", {
  ...projected,
  payload: QueryInput,
  success: Query,
  error: [...common, WireError.Conflict, WireError.ValidationFailed]
}).middleware(Authorization)

/**
 * `GET /queries/{query_id}`
 *
 * @category endpoints
 * @since 0.1.0
 */
export const query = HttpApiEndpoint.get("query", "/queries/:query_id", {
  ...projected,
  params: { query_id: Segment },
  success: Query,
  error: common
}).middleware(Authorization)

/**
 * `GET /queries/slug/{slug}`: takes the share slug and the 22-character client id.
 *
 * @category endpoints
 * @since 0.1.0
 */
export const queryForSlug = HttpApiEndpoint.get("query_for_slug", "/queries/slug/:slug", {
  ...projected,
  params: { slug: Segment },
  success: Query,
  error: common
}).middleware(Authorization)

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
  error: [...common, WireError.Conflict, WireError.ValidationFailed]
})
  .middleware(Authorization)
  .annotate(Repeatable, false)

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
  query: { query_task_ids: CommaSeparated },
  success: Schema.Record(Schema.String, Schema.Unknown),
  error: common
}).middleware(Authorization)

/**
 * `GET /query_tasks/{query_task_id}`
 *
 * @category endpoints
 * @since 0.1.0
 */
export const queryTask = HttpApiEndpoint.get("query_task", "/query_tasks/:query_task_id", {
  ...projected,
  params: { query_task_id: Segment },
  success: QueryTask,
  error: common
}).middleware(Authorization)

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
  params: { query_task_id: Segment },
  success: [
    HttpApiSchema.StreamUint8Array(),
    Schema.String.pipe(HttpApiSchema.status(202), HttpApiSchema.asText()),
    HttpApiSchema.NoContent
  ],
  error: common
}).middleware(Authorization)

/**
 * `GET /running_queries`
 *
 * @category endpoints
 * @since 0.1.0
 */
export const allRunningQueries = HttpApiEndpoint.get("all_running_queries", "/running_queries", {
  success: Schema.Array(RunningQuery),
  error: [WireError.NotFound, WireError.TooManyRequests]
}).middleware(Authorization)

/**
 * `DELETE /running_queries/{query_task_id}`: kills. 404 once the task is finished or was never there.
 *
 * @category endpoints
 * @since 0.1.0
 */
export const killQuery = HttpApiEndpoint.delete("kill_query", "/running_queries/:query_task_id", {
  params: { query_task_id: Segment },
  success: HttpApiSchema.NoContent,
  error: [...common, WireError.ValidationFailed]
}).middleware(Authorization)

/**
 * The whole contract, under `/api/4.0`.
 *
 * @category models
 * @since 0.1.0
 */
export class LookerApi extends HttpApi.make("Looker")
  .add(HttpApiGroup.make("ApiAuth").add(login).add(loginUser).add(logout))
  .add(HttpApiGroup.make("Session").add(session).add(updateSession))
  .add(HttpApiGroup.make("User").add(me))
  .add(
    HttpApiGroup.make("Query")
      .add(createQuery)
      .add(query)
      .add(queryForSlug)
      .add(createQueryTask)
      .add(queryTask)
      .add(queryTaskMultiResults)
      .add(queryTaskResults)
      .add(allRunningQueries)
      .add(killQuery)
  )
  .prefix("/api/4.0")
  .annotateMerge(OpenApi.annotations({ title: "Looker API 4.0: query tasks", version: "4.0" })) {}
