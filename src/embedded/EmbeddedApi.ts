/**
 * What of the contract the embedded Looker serves.
 *
 * @since 0.2.0
 */
import * as HttpApi from "effect/http-api/HttpApi"
import type * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import type { Declaration } from "../api/Endpoint.ts"
import { LookerApi } from "../api/LookerApi.ts"

const { ApiAuth, Query, Session, User } = LookerApi.groups

type Groups = (typeof LookerApi)["groups"]

type Endpoints = { readonly [Group in keyof Groups]: HttpApiGroup.Endpoints<Groups[Group]> }[keyof Groups]

/** An endpoint that the contract does not have is a type error. */
const subset = <
  Api extends {
    readonly groups: Readonly<Record<string, { readonly endpoints: Readonly<Record<string, Endpoints>> }>>
  }
>(
  api: Api
): Api => api

const api = HttpApi.make(LookerApi.identifier)
  .add(
    HttpApiGroup.make(ApiAuth.identifier).add(
      ApiAuth.endpoints.login,
      ApiAuth.endpoints.login_user,
      ApiAuth.endpoints.logout
    ),
    HttpApiGroup.make(Session.identifier).add(Session.endpoints.session, Session.endpoints.update_session),
    HttpApiGroup.make(User.identifier).add(User.endpoints.me),
    HttpApiGroup.make(Query.identifier).add(
      Query.endpoints.create_query,
      Query.endpoints.query,
      Query.endpoints.query_for_slug,
      Query.endpoints.create_query_task,
      Query.endpoints.query_task,
      Query.endpoints.query_task_multi_results,
      Query.endpoints.query_task_results,
      Query.endpoints.all_running_queries,
      Query.endpoints.kill_query
    )
  )
  .annotateMerge(LookerApi.annotations)

/**
 * The contract of the embedded Looker.
 *
 * @category models
 * @since 0.2.0
 */
export class EmbeddedApi extends subset(api) {}

/**
 * An endpoint by the name of Looker's operation.
 *
 * @category models
 * @since 0.2.0
 */
export type Endpoint = HttpApiEndpoint.Identifier<
  HttpApiGroup.Endpoints<(typeof EmbeddedApi)["groups"][keyof (typeof EmbeddedApi)["groups"]]>
>

/**
 * The endpoints, each with its path from the root.
 *
 * @category models
 * @since 0.2.0
 */
export const endpoints = Object.values(EmbeddedApi.groups).flatMap(
  (group): ReadonlyArray<Declaration & { readonly path: `/${string}` }> => Object.values(group.endpoints)
)
