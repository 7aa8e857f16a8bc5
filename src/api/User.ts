/**
 * Users.
 *
 * @since 0.2.0
 */
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import { User } from "../domain/Session.ts"
import { Authorization } from "./Authorization.ts"
import * as Endpoint from "./Endpoint.ts"
import * as Parameter from "./Parameter.ts"
import * as WireError from "./WireError.ts"

/**
 * `GET /user`
 *
 * @category endpoints
 * @since 0.1.0
 */
export const me = HttpApiEndpoint.get("me", "/user", {
  ...Parameter.projected,
  success: User,
  error: [WireError.NotFound, WireError.TooManyRequests]
})
  .middleware(Authorization)
  .annotateMerge(Endpoint.annotations("me"))

/**
 * Looker's tag `User`.
 *
 * @category groups
 * @since 0.2.0
 */
export const userGroup = HttpApiGroup.make("User").add(me)
