/**
 * What a login returns, its session, and its user.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { Can, Id, nullish, openStruct } from "./Wire.ts"

/**
 * The response to a login. `expires_in` is in seconds; 3600 and 3599 were recorded. It may be absent, or a text.
 *
 * @category schemas
 * @since 0.1.0
 */
export const AccessToken = openStruct({
  access_token: Schema.String,
  token_type: nullish(Schema.String),
  expires_in: nullish(Schema.Union([Schema.Number, Schema.FiniteFromString])),
  refresh_token: nullish(Schema.String)
})

/**
 * @category models
 * @since 0.1.0
 */
export type AccessToken = typeof AccessToken.Type

/**
 * The form body of a login.
 *
 * @category schemas
 * @since 0.1.0
 */
export const LoginForm = Schema.Struct({
  client_id: Schema.String,
  client_secret: Schema.String
})

/**
 * The session of a token: the workspace whose models its queries use (`production`, or `dev` for the user's own development copy), and
 * the user of a sudo.
 *
 * @category schemas
 * @since 0.1.0
 */
export const ApiSession = openStruct({
  can: nullish(Can),
  workspace_id: nullish(Schema.String),
  sudo_user_id: nullish(Id)
})

/**
 * @category models
 * @since 0.1.0
 */
export type ApiSession = typeof ApiSession.Type

/**
 * The user of the current token: the keys that say which user it is. Others are kept as sent.
 *
 * @category schemas
 * @since 0.1.0
 */
export const User = openStruct({
  can: nullish(Can),
  id: Schema.optional(Id),
  display_name: nullish(Schema.String),
  email: nullish(Schema.String),
  first_name: nullish(Schema.String),
  last_name: nullish(Schema.String),
  locale: nullish(Schema.String),
  group_ids: nullish(Schema.Array(Id)),
  role_ids: nullish(Schema.Array(Id)),
  is_disabled: nullish(Schema.Boolean),
  home_folder_id: nullish(Id),
  personal_folder_id: nullish(Id),
  avatar_url: nullish(Schema.String),
  url: nullish(Schema.String)
})

/**
 * @category models
 * @since 0.1.0
 */
export type User = typeof User.Type
