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
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as LookerApi from "./api/LookerApi.ts"
import * as caller from "./internal/caller.ts"
import { LookerConfig } from "./LookerConfig.ts"
import * as LookerError from "./LookerError.ts"
import { LookerPolicy } from "./LookerPolicy.ts"

/**
 * What a login can fail with: a refused one is `Unauthorized`.
 *
 * @category errors
 * @since 0.1.0
 */
export type LoginError = LookerError.CallError | LookerError.TooManyRequests

/**
 * Where tokens come from.
 *
 * **Details**
 *
 * - `token`: the one to send now; logs in if there is none, once for all fibers that ask meanwhile
 * - `invalidate`: Looker refused this token; the next `token` is another one. A token that has been replaced already is ignored, so
 *   that twenty fibers with the same dead token cause one login
 *
 * @category services
 * @since 0.1.0
 */
export class LookerAuth extends Context.Service<
  LookerAuth,
  {
    readonly token: Effect.Effect<Redacted.Redacted, LoginError>
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
 * `POST /login`, `DELETE /logout`. The lifetime comes from the answer's `expires_in`; a token is renewed `tokenLead` before its end
 * (see `LookerPolicy`), or a tenth of its life where that is shorter.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.gen(function* () {
  const settings = yield* LookerConfig
  const policy = yield* LookerPolicy
  const { clientId, clientSecret } = settings
  if (!clientId || clientSecret === undefined || Redacted.value(clientSecret) === "") {
    const missing = [...(clientId ? [] : ["clientId"]), ...(clientSecret ? [] : ["clientSecret"])]
    return yield* new LookerError.ConfigurationError({
      message: `A login needs ${missing.join(" and ") || "a clientSecret that is not empty"}. With a token of your own, use LookerAuth.layerToken`,
      missing
    })
  }
  const httpClient = caller.bindHttpClient(yield* HttpClient.HttpClient, settings)
  const call = yield* caller.make({ httpClient, settings, policy })
  let current: Redacted.Redacted | undefined

  const login = call(LookerApi.login, (client) =>
    client.ApiAuth.login({ payload: { client_id: clientId, client_secret: Redacted.value(clientSecret) } })
  ).pipe(
    Effect.map((answer) => {
      const lifetime = Duration.seconds(answer.expires_in)
      const lead = Duration.min(policy.tokenLead, Duration.divideUnsafe(lifetime, leadPart))
      current = Redacted.make(answer.access_token, { label: "access_token" })
      return { token: current, usable: Duration.subtract(lifetime, lead) }
    }),
    Effect.catchTags({
      BadRequest: (error) => refused(error, clientId),
      NotFound: (error) => refused(error, clientId),
      Unauthorized: (error) => refused(error, clientId)
    }),
    Effect.withSpan("LookerAuth.login")
  )

  const [session, forget] = yield* Effect.cachedInvalidateWithTTL(login, (exit) =>
    Exit.isSuccess(exit) ? exit.value.usable : Duration.zero
  )

  yield* Effect.addFinalizer(() => {
    if (current === undefined) return Effect.void
    const logout = caller.make({ httpClient: withToken(httpClient, current), settings, policy })
    return logout.pipe(
      Effect.flatMap((call) => call(LookerApi.logout, (client) => client.ApiAuth.logout({}))),
      Effect.timeout(policy.cleanupTimeout),
      Effect.ignore,
      Effect.withSpan("LookerAuth.logout")
    )
  })

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
  const redacted = typeof token === "string" ? Redacted.make(token, { label: "access_token" }) : token
  return Layer.succeed(LookerAuth, {
    token: Effect.succeed(redacted),
    invalidate: () => Effect.void
  })
}

/**
 * Puts a token on every request of an HTTP client.
 *
 * @category HTTP
 * @since 0.1.0
 */
export const withToken = <E, R>(
  httpClient: HttpClient.HttpClient.With<E, R>,
  token: Redacted.Redacted
): HttpClient.HttpClient.With<E, R> => HttpClient.mapRequest(httpClient, HttpClientRequest.bearerToken(token))

const refused = (
  error: LookerError.BadRequest | LookerError.NotFound | LookerError.Unauthorized,
  clientId: string
): Effect.Effect<never, LookerError.Unauthorized> =>
  Effect.fail(
    new LookerError.Unauthorized({
      message: `Looker refused the login of client id ${clientId}: ${error.message}`,
      endpoint: error.endpoint,
      documentationUrl: error.documentationUrl,
      traceId: error.traceId
    })
  )
