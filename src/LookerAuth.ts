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
import * as Metric from "effect/Metric"
import * as Redacted from "effect/Redacted"
import * as Endpoint from "./api/Endpoint.ts"
import * as LookerApi from "./api/LookerApi.ts"
import * as caller from "./internal/caller.ts"
import * as httpError from "./internal/httpError.ts"
import { LookerConfig } from "./LookerConfig.ts"
import * as LookerError from "./LookerError.ts"
import * as LookerMetrics from "./LookerMetrics.ts"
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
    /** The current token. Without one, logs in: once for all fibers that ask at the same time. */
    readonly token: Effect.Effect<Redacted.Redacted, LoginError>
    /**
     * Drops a token that Looker has refused, so that the next `token` is a new one. A token that was replaced before is ignored, so that
     * twenty fibers with the same expired token cause one login.
     */
    invalidate(token: Redacted.Redacted): Effect.Effect<void>
  }
>()("effect-looker/LookerAuth") {}

/** A token is renewed in the last tenth of its life at the earliest. */
const leadPart = 10

/** The lifetime of Looker's tokens, where a response does not have it. A token that ends earlier is replaced at the 401. */
const usualLifetime = Duration.hours(1)

/** A token that an HTTP header can hold. The error of an HTTP client would quote another one. */
const canBeSent = /^[\x21-\x7e]+$/

/**
 * Logs in with the client id and secret of {@link LookerConfig}, and logs out when the scope closes.
 *
 * **Details**
 *
 * `POST /login`, `DELETE /logout`, and `PATCH /session` after every login where a workspace is configured. The lifetime comes from `expires_in` of the
 * response; a token is renewed `tokenLead` before its end (see `LookerPolicy`), or a tenth of its life where that is shorter.
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
  const httpClient = caller.bindHttpClient(yield* HttpClient.HttpClient, settings)
  const call = yield* caller.make({ httpClient, settings, policy })
  let current: Redacted.Redacted | undefined

  const logout = (token: Redacted.Redacted) =>
    call(LookerApi.logout, (send) => send({}), { token }).pipe(
      Effect.timeout(policy.cleanupTimeout),
      Effect.ignore,
      Effect.withSpan("LookerAuth.logout")
    )

  /** The workspace belongs to the token, so it is chosen after each login. A token for which that fails is not used. */
  const enterWorkspace = (token: Redacted.Redacted) => {
    const { workspace } = settings
    if (workspace === undefined) return Effect.void
    return call(LookerApi.updateSession, (send) => send({ payload: { workspace_id: workspace } }), { token }).pipe(
      Effect.mapError((error) =>
        httpError.isRefusal(error) || error._tag === "ValidationFailed"
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
      if (!httpError.isRefusal(error)) return error
      const why = error._tag === "NotFound" ? ": client id or secret is wrong (Looker responds with 404 to both)" : ""
      return refused(`Looker refused the login of client id ${clientId}${why}`, error)
    }),
    Effect.flatMap(({ access_token, expires_in }) => {
      if (!canBeSent.test(access_token)) {
        return Effect.fail(
          new LookerError.UnexpectedResponse({
            message: "The token is empty, or has characters that no header can hold",
            endpoint: Endpoint.requestLine(LookerApi.login),
            status: 200
          })
        )
      }
      const lifetime = expires_in == null ? usualLifetime : Duration.seconds(expires_in)
      const lead = Duration.min(policy.tokenLead, Duration.divideUnsafe(lifetime, leadPart))
      return Effect.succeed({
        token: Redacted.make(access_token, { label: "access_token" }),
        usable: Duration.subtract(lifetime, lead)
      })
    }),
    Effect.tap(Metric.update(LookerMetrics.logins, 1)),
    Effect.tap(({ token }) => enterWorkspace(token)),
    Effect.withSpan("LookerAuth.login")
  )

  // This function runs for a login whose token is cached, not for one during which `forget` ran: `current` is the cached token.
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
  const text = String(Redacted.isRedacted(token) ? Redacted.value(token) : (token ?? "")).trim()
  const redacted = Redacted.make(text, { label: "access_token" })
  return Layer.succeed(LookerAuth, {
    token: canBeSent.test(text)
      ? Effect.succeed(redacted)
      : Effect.fail(
          new LookerError.Unauthorized({ message: "The token is empty, or has characters that no header can hold" })
        ),
    invalidate: () => Effect.void
  })
}

const refused = (
  what: string,
  { documentationUrl, endpoint, message, traceId }: httpError.Refusal | LookerError.ValidationFailed
) => new LookerError.Unauthorized({ message: `${what}: ${message}`, endpoint, documentationUrl, traceId })
