/**
 * The token of a request, and the user it belongs to.
 *
 * @since 0.2.0
 */
import * as Context from "effect/Context"
import * as HttpApiMiddleware from "effect/http-api/HttpApiMiddleware"
import * as HttpApiSecurity from "effect/http-api/HttpApiSecurity"
import * as OpenApi from "effect/http-api/OpenApi"
import * as WireError from "./WireError.ts"

/**
 * The session that the token of a request belongs to, for the handlers of a server.
 *
 * @category services
 * @since 0.1.0
 */
export class CurrentSession extends Context.Service<
  CurrentSession,
  { readonly token: string; readonly userId: string }
>()("effect-looker/api/CurrentSession") {}

const description = "The `access_token` that `login` gives."

/**
 * `Authorization: Bearer T` or `Authorization: token T`; both work (Looker's documentation and SDKs). A missing, wrong or
 * expired token is 401.
 *
 * @category middleware
 * @since 0.1.0
 */
export class Authorization extends HttpApiMiddleware.Service<Authorization, { provides: CurrentSession }>()(
  "effect-looker/api/Authorization",
  {
    error: WireError.Unauthorized,
    security: {
      bearer: HttpApiSecurity.bearer.pipe(HttpApiSecurity.annotate(OpenApi.Description, description)),
      token: HttpApiSecurity.http({ scheme: "token" }).pipe(HttpApiSecurity.annotate(OpenApi.Description, description))
    }
  }
) {}
