/**
 * Calls endpoints of the contract: base URL, timeout, retry, and errors narrowed to those the endpoint has.
 *
 * The login uses one without a token, everything else one with.
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientError from "effect/http/HttpClientError"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as HttpApi from "effect/http-api/HttpApi"
import * as HttpApiClient from "effect/http-api/HttpApiClient"
import type * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import type * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { LookerApi, queryTask, queryTaskMultiResults, Repeatable } from "../api/LookerApi.ts"
import type { Settings } from "../LookerConfig.ts"
import * as LookerError from "../LookerError.ts"
import type { Policy } from "../LookerPolicy.ts"
import * as answer from "./answer.ts"
import * as deadline from "./deadline.ts"
import type { Gate, Kind } from "./gate.ts"
import * as traced from "./traced.ts"

/** An HTTP client that fails with the library's errors. */
export type BoundClient = HttpClient.HttpClient.With<LookerError.HttpError>

/** The contract's endpoints carry every error they declare in their types. */
export type EndpointError<Endpoint extends HttpApiEndpoint.ConstraintRequest> =
  | HttpApiEndpoint.Errors<Endpoint>
  | LookerError.CallError

/** What a generated method can fail with, before it is narrowed. */
type RawError = LookerError.HttpError | HttpClientError.HttpClientError | Schema.SchemaError

/** The request of one endpoint, as the generated client makes it. */
export type Send<Endpoint extends HttpApiEndpoint.ConstraintRequest> = HttpApiClient.Client.Method<
  Endpoint,
  LookerError.HttpError,
  never
>

/**
 * Calls one endpoint. `use` sends the request; what it takes longer than the timeout, or fails with and the policy retries, is handled
 * here.
 */
export type Caller = <Endpoint extends HttpApiEndpoint.ConstraintRequest, A>(
  endpoint: Endpoint,
  use: (send: Send<Endpoint>) => Effect.Effect<A, RawError>
) => Effect.Effect<A, EndpointError<Endpoint>>

/** The same, also with a token of the caller's own choice, for which there is no other. */
export type CallerAs = <Endpoint extends HttpApiEndpoint.ConstraintRequest, A>(
  endpoint: Endpoint,
  use: (send: Send<Endpoint>) => Effect.Effect<A, RawError>,
  token?: Redacted.Redacted
) => Effect.Effect<A, EndpointError<Endpoint>>

/** The request that runs on this fiber: the token it goes with, and for errors about them, itself and its answer. */
interface Exchange {
  readonly token?: Redacted.Redacted | undefined
  request?: HttpClientRequest.HttpClientRequest
  response?: HttpClientResponse.HttpClientResponse
}

const Exchange = Context.Reference<Exchange>("effect-looker/internal/Exchange", { defaultValue: () => ({}) })

const headers = { accept: "application/json, */*;q=0.1", "x-looker-appid": "effect-looker" }

/** An HTTP client bound to this Looker: absolute URLs, the token, JSON preferred, and the library's errors instead of bad statuses. */
export const bindHttpClient = (httpClient: HttpClient.HttpClient, settings: Settings): BoundClient =>
  httpClient.pipe(
    HttpClient.mapRequestEffect((request) =>
      Effect.withFiber((fiber) => {
        const exchange = fiber.getRef(Exchange)
        const bound = HttpClientRequest.setHeaders(HttpClientRequest.prependUrl(request, settings.baseUrl), headers)
        exchange.request = bound
        return Effect.succeed(
          exchange.token === undefined ? bound : HttpClientRequest.bearerToken(bound, exchange.token)
        )
      })
    ),
    HttpClient.transformResponse((response) =>
      Effect.matchEffect(response, {
        onFailure: (error) => Effect.fail(answer.fromClientError(error)),
        onSuccess: (response): Effect.Effect<HttpClientResponse.HttpClientResponse, LookerError.HttpError> =>
          response.status >= 200 && response.status < 300
            ? Effect.withFiber((fiber) => {
                fiber.getRef(Exchange).response = response
                return Effect.succeed(response)
              })
            : answer.fromResponse(response)
      })
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

const understand = (error: RawError, exchange: Exchange): Effect.Effect<never, LookerError.HttpError> => {
  if (HttpClientError.isHttpClientError(error)) {
    const understood = answer.fromClientError(error)
    return understood._tag === "UnexpectedResponse" && exchange.response !== undefined
      ? answer.fromUndecodable(exchange.response, understood.message)
      : Effect.fail(understood)
  }
  if (!Schema.isSchemaError(error)) return Effect.fail(error)
  return exchange.response === undefined
    ? Effect.fail(new LookerError.BadRequest({ message: `Not sent: ${error.message}` }))
    : answer.fromUndecodable(exchange.response, error.message)
}

/** Whether the request of a call has left and its answer has not come. */
export interface Departure {
  underWay: boolean
}

/** For a caller who has to know whether something may have begun in Looker when he stops waiting for it. */
export const CurrentDeparture = Context.Reference<Departure>("effect-looker/internal/Departure", {
  defaultValue: () => ({ underWay: false })
})

const departing = <A, E>(send: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  Effect.withFiber((fiber) => {
    const departure = fiber.getRef(CurrentDeparture)
    departure.underWay = true
    return Effect.onExit(send, () =>
      Effect.sync(() => {
        departure.underWay = false
      })
    )
  })

const polls: ReadonlySet<string> = new Set([queryTask.identifier, queryTaskMultiResults.identifier])

/** What an endpoint is to the gate. What ends something, a kill or a logout, does not wait at it. */
const kindOf = (endpoint: HttpApiEndpoint.Top): Kind | undefined => {
  if (endpoint.method === "DELETE") return undefined
  if (endpoint.method === "POST") return "submission"
  return polls.has(endpoint.identifier) ? "poll" : "urgent"
}

/** Where a call takes its token from, and where it says that one was refused. */
interface Tokens {
  readonly token: Effect.Effect<Redacted.Redacted, LookerError.HttpError>
  invalidate(token: Redacted.Redacted): Effect.Effect<void>
}

/** The exchange, and no span for a request that nobody would see: it costs as much as sending it. */
const contextOf = (fiber: Fiber.Fiber<unknown, unknown>, exchange: Exchange): Context.Context<never> => {
  const context = Context.make(Exchange, exchange)
  return traced.isTraced(fiber) ? context : Context.add(context, HttpClient.TracerDisabledWhen, () => true)
}

/** `Effect.retry`, whose machinery is only started once something has failed. */
const retrying = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  options: { readonly schedule: Schedule.Schedule<unknown, E>; readonly while: (error: E) => boolean }
): Effect.Effect<A, E, R> =>
  Effect.catchIf(effect, options.while, (error) => {
    let attempt: Effect.Effect<A, E, R> = Effect.fail(error)
    const next = Effect.suspend(() => {
      const now = attempt
      attempt = effect
      return now
    })
    return Effect.retry(next, options)
  })

export const make = Effect.fnUntraced(function* (options: {
  readonly httpClient: BoundClient
  readonly settings: Settings
  readonly policy: Policy
  /** Absent for the login itself. */
  readonly tokens?: Tokens
  /** Absent for the login, which everything else waits for. */
  readonly gate?: Gate<LookerError.HttpError>
}): Effect.fn.Return<CallerAs, never, Scope.Scope> {
  const { gate = (_kind, send) => send, policy, settings, tokens } = options
  const client: { readonly [group: string]: object } = yield* HttpApiClient.makeWith(LookerApi, {
    httpClient: options.httpClient
  })
  const methods = new Map(Object.values(client).flatMap((group) => Object.entries(group)))
  const declared = declaredStatuses()
  const within = yield* deadline.make(settings.timeout)
  const retry = Schedule.tap(policy.retry, ({ duration, input }) =>
    Effect.logDebug(`${input.name}: ${input.message}. Again in ${Duration.format(duration)}`)
  )

  const mayRepeat = (endpoint: HttpApiEndpoint.Top, error: LookerError.HttpError): boolean =>
    error.isRetryable &&
    (Context.get(endpoint.annotations, Repeatable) ||
      policy.repeatCreateQueryTask ||
      error._tag === "TooManyRequests" ||
      (error._tag === "LookerUnavailable" && error.reached === "no"))

  const call = <A>(
    endpoint: HttpApiEndpoint.Top,
    use: (send: unknown) => Effect.Effect<A, RawError>,
    token?: Redacted.Redacted
  ) => {
    const kind = kindOf(endpoint)
    const method = methods.get(endpoint.identifier)
    const again = (error: LookerError.HttpError) => mayRepeat(endpoint, error)
    const send = (token?: Redacted.Redacted) => {
      const attempt = Effect.withFiber((fiber) => {
        const exchange: Exchange = { token }
        // A login is on its way for many, whoever it was that asked first.
        const sent = tokens === undefined ? use(method) : departing(use(method))
        const answered = Effect.catch(sent, (error) => understand(error, exchange))
        return within(Effect.provideContext(answered, contextOf(fiber, exchange)), () =>
          Effect.fail(answer.fromTimeout(exchange.request, Duration.toSeconds(settings.timeout)))
        )
      })
      // The time at the gate is not the request's.
      return retrying(kind === undefined ? attempt : gate(kind, attempt), { schedule: retry, while: again })
    }

    // The token is fetched outside of the timeout and the retry: a login has both of its own.
    const authorized =
      token !== undefined || tokens === undefined
        ? send(token)
        : Effect.flatMap(tokens.token, (first) =>
            Effect.catchIf(send(first), answer.isUnauthorized, (error) =>
              tokens.invalidate(first).pipe(
                Effect.andThen(tokens.token),
                Effect.flatMap((second) => (second === first ? Effect.fail(error) : send(second)))
              )
            )
          )

    return Effect.mapError(authorized, (error) =>
      answer.isDeclared(error, declared.get(endpoint.identifier)) ? error : answer.undeclared(error)
    )
  }

  // The generated client's types are by name, and these are by endpoint.
  return call as CallerAs
})
