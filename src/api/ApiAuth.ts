/**
 * Logging in and out.
 *
 * @since 0.2.0
 */
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import { AccessToken, LoginForm } from "../domain/Session.ts"
import { Authorization } from "./Authorization.ts"
import * as Endpoint from "./Endpoint.ts"
import * as Parameter from "./Parameter.ts"
import * as WireError from "./WireError.ts"

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
  error: WireError.common
}).annotateMerge(Endpoint.annotations("login", { repeatable: true, quota: "none" }))

/**
 * `POST /login/{user_id}`: a token to act as that user ("sudo"). Admins only; all others get 403.
 *
 * **Gotchas**
 *
 * Every call gives a new token, so a caller keeps its token. In Looker (Google Cloud core) only an API-only service account with the
 * Admin role may do this, and only for embed users.
 *
 * @category endpoints
 * @since 0.1.0
 */
export const loginUser = HttpApiEndpoint.post("login_user", "/login/:user_id", {
  params: { user_id: Parameter.Segment },
  success: AccessToken,
  error: [...WireError.common, WireError.Forbidden]
})
  .middleware(Authorization)
  .annotateMerge(Endpoint.annotations("login_user", { repeatable: true, quota: "none" }))

/**
 * `DELETE /logout`: ends the current token, and only this one.
 *
 * @category endpoints
 * @since 0.1.0
 */
export const logout = HttpApiEndpoint.delete("logout", "/logout", {
  success: HttpApiSchema.NoContent,
  error: WireError.common
})
  .middleware(Authorization)
  .annotateMerge(Endpoint.annotations("logout", { quota: "none" }))

/**
 * Looker's tag `ApiAuth`.
 *
 * @category groups
 * @since 0.2.0
 */
export const apiAuthGroup = HttpApiGroup.make("ApiAuth").add(login, loginUser, logout)
