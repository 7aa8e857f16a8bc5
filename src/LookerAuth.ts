/**
 * AUTH: the token every request carries: one login shared by all fibers, renewed before it ends, dropped when Looker refuses it.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as LookerApi from "./api/LookerApi.ts"
import * as answer from "./internal/answer.ts"
import * as caller from "./internal/caller.ts"
import { LookerConfig } from "./LookerConfig.ts"
import * as LookerError from "./LookerError.ts"
import { LookerPolicy } from "./LookerPolicy.ts"

/**
 * What a login can fail with: a refused one, or a refused workspace, is `Unauthorized`.
 *
 * @category errors
 * @since 0.1.0
 */
export type LoginError = LookerError.CallError | LookerError.TooManyRequests

/**
 * Where tokens come from.
 *
 * @category services
 * @since 0.1.0
 */
export class LookerAuth extends Context.Service<
  LookerAuth,
  {
    /** The one to send now; logs in if there is none, once for all fibers that ask meanwhile. */
    readonly token: Effect.Effect<Redacted.Redacted, LoginError>
    /**
     * Looker refused this token; the next `token` is another one. A token that has been replaced already is ignored, so that twenty fibers
     * with the same dead token cause one login.
     */
    invalidate(token: Redacted.Redacted): Effect.Effect<void>
  }
>()("effect-looker/LookerAuth") {}

/** The part of a token's life in which it may be renewed, at most. */
const leadPart = 10

/**
 * Logs in with the client id and secret of {@link LookerConfig}, and logs out when the scope closes.
 *
 * **Details**
 *
 * `POST /login`, `DELETE /logout`, and `PATCH /session` after every login where a workspace is configured. The lifetime comes from the
 * answer's `expires_in`; a token is renewed `tokenLead` before its end
 * (see `LookerPolicy`), or a tenth of its life where that is shorter.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.gen(function* () {
  const settings = yield* LookerConfig
  const policy = yield* LookerPolicy
  const { clientId, clientSecret } = settings
  const missing = [
    ...(clientId ? [] : ["clientId"]),
    ...(clientSecret && Redacted.value(clientSecret) ? [] : ["clientSecret"])
  ]
  if (!clientId || !clientSecret || missing.length > 0) {
    return yield* new LookerError.ConfigurationError({
      message: `A login needs ${missing.join(" and ")}. With a token of your own, use LookerAuth.layerToken`,
      missing
    })
  }
  const httpClient = caller.bindHttpClient(yield* HttpClient.HttpClient)
  const call = yield* caller.make({ httpClient, settings, policy })
  let current: Redacted.Redacted | undefined

  const logout = (token: Redacted.Redacted) =>
    call(LookerApi.logout, (send) => send({}), { token }).pipe(
      Effect.timeout(policy.cleanupTimeout),
      Effect.ignore,
      Effect.withSpan("LookerAuth.logout")
    )

  /** Looker forgets the workspace with the token, so it is chosen for each. A token without it is of no use. */
  const enterWorkspace = (token: Redacted.Redacted) => {
    const { workspace } = settings
    if (workspace === undefined) return Effect.void
    return call(LookerApi.updateSession, (send) => send({ payload: { workspace_id: workspace } }), { token }).pipe(
      Effect.mapError((error) =>
        answer.isRefusal(error) || error._tag === "ValidationFailed"
          ? refused(`Looker refused the workspace "${workspace}"`, error)
          : error
      ),
      Effect.onError(() => logout(token))
    )
  }

  const login = Effect.suspend(() => {
    current = undefined
    return call(LookerApi.login, (send) =>
      send({ payload: { client_id: clientId, client_secret: Redacted.value(clientSecret) } })
    )
  }).pipe(
    Effect.mapError((error) => {
      if (answer.isRefusal(error)) return refused(`Looker refused the login of client id ${clientId}`, error)
      return error._tag === "UnexpectedResponse" ? withoutToken(error) : error
    }),
    Effect.map(({ access_token, expires_in }) => {
      const lifetime = Duration.seconds(expires_in)
      const lead = Duration.min(policy.tokenLead, Duration.divideUnsafe(lifetime, leadPart))
      return {
        token: Redacted.make(access_token, { label: "access_token" }),
        usable: Duration.subtract(lifetime, lead)
      }
    }),
    Effect.tap(({ token }) => enterWorkspace(token)),
    Effect.withSpan("LookerAuth.login")
  )

  // This function runs for the login that counts, and not for one that `forget` has overtaken: `current` is what is cached.
  const [session, forget] = yield* Effect.cachedInvalidateWithTTL(login, (exit) => {
    if (Exit.isFailure(exit)) return Duration.zero
    current = exit.value.token
    return exit.value.usable
  })

  yield* Effect.addFinalizer(() => (current === undefined ? Effect.void : logout(current)))

  return LookerAuth.of({
    token: Effect.map(session, ({ token }) => token),
    invalidate: (token) =>
      Effect.suspend(() => {
        if (token !== current) return Effect.void
        current = undefined
        return forget
      })
  })
})

/**
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<LookerAuth, LookerError.ConfigurationError, LookerConfig | HttpClient.HttpClient> =
  Layer.effect(LookerAuth, make)

/**
 * Sends a token that comes from elsewhere: no login, no logout. When Looker refuses it, calls fail with `Unauthorized`.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerToken = (token: string | Redacted.Redacted): Layer.Layer<LookerAuth> => {
  const text = (typeof token === "string" ? token : Redacted.value(token)).trim()
  const redacted = Redacted.make(text, { label: "access_token" })
  return Layer.succeed(LookerAuth, {
    // A header that cannot be sent would be quoted in the HTTP client's complaint, and so in logs.
    token: /^[\x21-\x7e]+$/.test(text)
      ? Effect.succeed(redacted)
      : Effect.fail(
          new LookerError.Unauthorized({ message: "The token is empty, or has characters no header can hold" })
        ),
    invalidate: () => Effect.void
  })
}

/** What a login answers may be its token in a shape that nobody expected. */
const withoutToken = (error: LookerError.UnexpectedResponse) =>
  new LookerError.UnexpectedResponse({
    message: error.message,
    endpoint: error.endpoint,
    documentationUrl: error.documentationUrl,
    status: error.status,
    traceId: error.traceId,
    snippet: error.snippet?.includes("access_token") ? "(not shown, for the token in it)" : error.snippet
  })

const refused = (
  what: string,
  { documentationUrl, endpoint, message, traceId }: answer.Refusal | LookerError.ValidationFailed
) => new LookerError.Unauthorized({ message: `${what}: ${message}`, endpoint, documentationUrl, traceId })
