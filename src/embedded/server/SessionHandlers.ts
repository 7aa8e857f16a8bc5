/**
 * The handlers of logins, sessions and users.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as UrlParams from "effect/http/UrlParams"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import type * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { Authorization, CurrentSession } from "../../api/Authorization.ts"
import { Forbidden, NotFound } from "../../LookerError.ts"
import { EmbeddedApi } from "../EmbeddedApi.ts"
import { invalid } from "../refusal/Validation.ts"
import { Sessions } from "../tasks/Sessions.ts"
import { type User, Users } from "../tasks/Users.ts"
import { projectedResponse } from "./Projection.ts"

/**
 * @category layers
 * @since 0.1.0
 */
export const layerAuthorization: Layer.Layer<Authorization, never, Sessions> = Layer.effect(
  Authorization,
  Effect.gen(function* () {
    const sessions = yield* Sessions
    const authorize: Authorization["Service"]["bearer"] = (httpEffect, { credential }) =>
      Effect.gen(function* () {
        const token = Redacted.value(credential)
        const { userId } = yield* sessions.get(token)
        return yield* Effect.provideService(httpEffect, CurrentSession, { token, userId })
      })
    return Authorization.of({ bearer: authorize, token: authorize })
  })
)

/**
 * @category layers
 * @since 0.1.0
 */
export const layerApiAuth: Layer.Layer<
  HttpApiGroup.Service<"Looker", "ApiAuth">,
  never,
  Authorization | Sessions | Users
> = HttpApiBuilder.group(
  EmbeddedApi,
  "ApiAuth",
  Effect.fnUntraced(function* (handlers) {
    const sessions = yield* Sessions
    const users = yield* Users
    return handlers
      .handleRaw("login", ({ request }) =>
        Effect.gen(function* () {
          // Credentials in the query are the old way, which Looker drops at the end of 2026.
          const search = yield* HttpServerRequest.ParsedSearchParams
          const isForm = /^application\/x-www-form-urlencoded/i.test(request.headers["content-type"] ?? "")
          if (!isForm && search.client_id === undefined) {
            const message = "Not found: send client_id and client_secret as a form (application/x-www-form-urlencoded)."
            return yield* new NotFound({ message })
          }
          const form = isForm ? UrlParams.toRecord(yield* Effect.orDie(request.urlParamsBody)) : {}
          const parameter = (name: string) => String(form[name] ?? search[name] ?? "")
          const user = yield* users.withCredentials(parameter("client_id"), parameter("client_secret"))
          return yield* sessions.open(user.id)
        })
      )
      .handle("login_user", ({ params }) =>
        Effect.gen(function* () {
          const session = yield* CurrentSession
          const { isAdmin } = yield* users.get(session.userId)
          if (!isAdmin) return yield* new Forbidden({ message: "Only an admin can log in as another user." })
          const user = yield* users.get(params.user_id)
          return yield* sessions.open(user.id, session.userId)
        })
      )
      .handle("logout", () => Effect.flatMap(CurrentSession, ({ token }) => sessions.logout(token)))
  })
)

/** Both workspaces have the same models. */
const workspaces: ReadonlySet<string> = new Set(["production", "dev"])

/**
 * @category layers
 * @since 0.1.0
 */
export const layerSession: Layer.Layer<
  HttpApiGroup.Service<"Looker", "Session">,
  never,
  Authorization | Sessions
> = HttpApiBuilder.group(
  EmbeddedApi,
  "Session",
  Effect.fnUntraced(function* (handlers) {
    const sessions = yield* Sessions
    const current = Effect.gen(function* () {
      const { token } = yield* CurrentSession
      const { sudoUserId, workspace } = yield* sessions.get(token)
      return { can: { view: true, update: true }, workspace_id: workspace, sudo_user_id: sudoUserId ?? null }
    })
    return handlers
      .handle("session", () => current)
      .handle("update_session", ({ payload }) =>
        Effect.gen(function* () {
          const { token } = yield* CurrentSession
          if (!workspaces.has(payload.workspace_id)) {
            const message = `There is no workspace ${JSON.stringify(payload.workspace_id)}: there are production and dev.`
            return yield* invalid([{ field: "workspace_id", code: "not_found", message }])
          }
          yield* sessions.chooseWorkspace(token, payload.workspace_id)
          return yield* current
        })
      )
  })
)

const bodyOf = (user: User) => {
  const [first = "", ...rest] = user.displayName.split(" ")
  return {
    can: { show: true, index: true, sudo: user.isAdmin },
    id: user.id,
    display_name: user.displayName,
    first_name: first,
    last_name: rest.join(" "),
    email: user.email,
    locale: "en",
    group_ids: [],
    role_ids: [],
    is_disabled: false,
    home_folder_id: null,
    personal_folder_id: null,
    avatar_url: null,
    url: null
  }
}

/**
 * @category layers
 * @since 0.1.0
 */
export const layerUser: Layer.Layer<
  HttpApiGroup.Service<"Looker", "User">,
  never,
  Authorization | Users
> = HttpApiBuilder.group(
  EmbeddedApi,
  "User",
  Effect.fnUntraced(function* (handlers) {
    const users = yield* Users
    return handlers.handle("me", ({ query }) =>
      Effect.gen(function* () {
        const { userId } = yield* CurrentSession
        return projectedResponse(bodyOf(yield* users.get(userId)), query.fields)
      })
    )
  })
)
