/**
 * The session of a token.
 *
 * @since 0.2.0
 */
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as Schema from "effect/Schema"
import { ApiSession } from "../domain/Session.ts"
import { Authorization } from "./Authorization.ts"
import * as Endpoint from "./Endpoint.ts"
import * as WireError from "./WireError.ts"

/**
 * `GET /session`: the session of the current token.
 *
 * @category endpoints
 * @since 0.1.0
 */
export const session = HttpApiEndpoint.get("session", "/session", {
  success: ApiSession,
  error: WireError.common
})
  .middleware(Authorization)
  .annotateMerge(Endpoint.annotations("session"))

/**
 * `PATCH /session`: chooses the workspace, `production` or `dev`.
 *
 * **Gotchas**
 *
 * The choice belongs to the token: after a new login it is `production` again. `LookerConfig` has a `workspace` that is chosen after
 * every login.
 *
 * @category endpoints
 * @since 0.1.0
 */
export const updateSession = HttpApiEndpoint.patch("update_session", "/session", {
  payload: Schema.Struct({ workspace_id: Schema.String }),
  success: ApiSession,
  error: [...WireError.common, WireError.ValidationFailed]
})
  .middleware(Authorization)
  .annotateMerge(Endpoint.annotations("update_session"))

/**
 * Looker's tag `Session`.
 *
 * @category groups
 * @since 0.2.0
 */
export const sessionGroup = HttpApiGroup.make("Session").add(session, updateSession)
