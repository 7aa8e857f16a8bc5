/**
 * Calls endpoints of the contract: base URL, timeout, retry, and errors narrowed to those the endpoint has.
 *
 * The login uses one without a token, everything else one with.
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientError from "effect/http/HttpClientError"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as HttpApi from "effect/http-api/HttpApi"
import * as HttpApiClient from "effect/http-api/HttpApiClient"
import type * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as Schema from "effect/Schema"
import { LookerApi, Repeatable } from "../api/LookerApi.ts"
import type { Settings } from "../LookerConfig.ts"
import * as LookerError from "../LookerError.ts"
import type { Policy } from "../LookerPolicy.ts"
import * as answer from "./answer.ts"

/** The client generated from the contract; its HTTP client already fails with the library's errors. */
export type Client = HttpApiClient.ForApi<typeof LookerApi, SendError>

/** A login that failed has been retried by itself; it passes through the retry of the call that needed the token. */
export class LoginFailed {
  readonly _tag = "LoginFailed"
  readonly error: LookerError.HttpError
  constructor(error: LookerError.HttpError) {
    this.error = error
  }
}

export type SendError = LookerError.HttpError | LoginFailed

/** An HTTP client that fails with the library's errors. */
export type BoundClient = HttpClient.HttpClient.With<SendError>

/** The contract's endpoints carry every error they declare in their types. */
export type EndpointError<Endpoint extends HttpApiEndpoint.ConstraintRequest> =
  | HttpApiEndpoint.Errors<Endpoint>
  | LookerError.CallError

/** What a generated method can fail with, before it is narrowed. */
type RawError = SendError | HttpClientError.HttpClientError | Schema.SchemaError

/**
 * Calls one endpoint. `use` makes the request with the generated client; what it takes longer than the timeout, or fails with and
 * the policy retries, is handled here.
 */
export type Caller = <Endpoint extends HttpApiEndpoint.ConstraintRequest, A>(
  endpoint: Endpoint,
  use: (client: Client) => Effect.Effect<A, RawError>
) => Effect.Effect<A, EndpointError<Endpoint>>

/** The answer of the call that runs on this fiber, for an error about its body. */
const Exchange = Context.Reference<{ response?: HttpClientResponse.HttpClientResponse }>(
  "effect-looker/internal/Exchange",
  { defaultValue: () => ({}) }
)

/** An HTTP client bound to this Looker: absolute URLs, JSON preferred, and the library's errors instead of bad statuses. */
export const bindHttpClient = (httpClient: HttpClient.HttpClient, settings: Settings): BoundClient =>
  httpClient.pipe(
    HttpClient.mapRequest((request) =>
      request.pipe(
        HttpClientRequest.prependUrl(settings.baseUrl),
        HttpClientRequest.setHeaders({ accept: "application/json, */*;q=0.1", "x-looker-appid": "effect-looker" })
      )
    ),
    HttpClient.transformResponse(
      (response): Effect.Effect<HttpClientResponse.HttpClientResponse, SendError> =>
        Effect.flatMap(Effect.mapError(response, answer.fromClientError), (response) =>
          response.status >= 200 && response.status < 300
            ? Effect.withFiber((fiber) => {
                fiber.getRef(Exchange).response = response
                return Effect.succeed(response)
              })
            : answer.fromResponse(response)
        )
    )
  )

/** The error statuses of every endpoint, by its name in the contract. */
const declaredStatuses = (): ReadonlyMap<string, ReadonlySet<number>> => {
  const statuses = new Map<string, ReadonlySet<number>>()
  HttpApi.reflect(LookerApi, {
    onGroup: () => {},
    onEndpoint: ({ endpoint, errors }) => {
      statuses.set(endpoint.identifier, new Set(errors.keys()))
    }
  })
  return statuses
}

const understand = (
  error: RawError,
  exchange: { readonly response?: HttpClientResponse.HttpClientResponse }
): Effect.Effect<LoginFailed, LookerError.HttpError> => {
  if (error instanceof LoginFailed) return Effect.succeed(error)
  if (HttpClientError.isHttpClientError(error)) return Effect.fail(answer.fromClientError(error))
  if (!Schema.isSchemaError(error)) return Effect.fail(error)
  return exchange.response === undefined
    ? Effect.fail(new LookerError.BadRequest({ message: `Not sent: ${error.message}` }))
    : answer.fromUndecodable(exchange.response, error.message)
}

export const make = Effect.fnUntraced(function* (options: {
  readonly httpClient: BoundClient
  readonly settings: Settings
  readonly policy: Policy
}): Effect.fn.Return<Caller> {
  const { policy, settings } = options
  const client: Client = yield* HttpApiClient.makeWith(LookerApi, { httpClient: options.httpClient })
  const declared = declaredStatuses()

  const mayRepeat = (endpoint: HttpApiEndpoint.Top, error: LookerError.HttpError): boolean =>
    error.isRetryable &&
    (Context.get(endpoint.annotations, Repeatable) ||
      policy.repeatCreateQueryTask ||
      error._tag === "TooManyRequests" ||
      (error._tag === "LookerUnavailable" && error.reached === "no"))

  const call = <A>(endpoint: HttpApiEndpoint.Top, use: (client: Client) => Effect.Effect<A, RawError>) =>
    Effect.suspend(() => {
      const exchange: { response?: HttpClientResponse.HttpClientResponse } = {}
      return use(client).pipe(
        Effect.catch((error) => understand(error, exchange)),
        Effect.provideService(Exchange, exchange),
        Effect.timeoutOrElse({
          duration: settings.timeout,
          orElse: () =>
            Effect.fail(answer.fromTimeout(`${endpoint.method} ${endpoint.path}`, Duration.toSeconds(settings.timeout)))
        })
      )
    }).pipe(
      Effect.retry({ schedule: policy.retry, while: (error) => mayRepeat(endpoint, error) }),
      Effect.flatMap((value) => (value instanceof LoginFailed ? Effect.fail(value.error) : Effect.succeed(value))),
      Effect.mapError((error) =>
        answer.isDeclared(error, declared.get(endpoint.identifier)) ? error : answer.undeclared(error)
      )
    )

  return call as Caller
})
