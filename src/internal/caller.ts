/**
 * Calls endpoints of the contract: base URL, timeout, retry, and errors narrowed to those the endpoint has.
 *
 * The login has a caller without tokens, all other calls one with tokens.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientError from "effect/http/HttpClientError"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import type * as HttpApiClient from "effect/http-api/HttpApiClient"
import type * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import type * as Metric from "effect/Metric"
import type * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Endpoint from "../api/Endpoint.ts"
import type * as LookerApi from "../api/LookerApi.ts"
import type { Settings } from "../LookerConfig.ts"
import * as LookerError from "../LookerError.ts"
import * as LookerMetrics from "../LookerMetrics.ts"
import type { Policy } from "../LookerPolicy.ts"
import * as codec from "./codec.ts"
import * as deadline from "./deadline.ts"
import { elapsedMillis } from "./elapsed.ts"
import type { Gate } from "./gate.ts"
import * as httpError from "./httpError.ts"
import * as received from "./received.ts"
import * as series from "./series.ts"
import * as traced from "./traced.ts"

/** An HTTP client that fails with the library's errors. */
export type BoundClient = HttpClient.HttpClient.With<LookerError.HttpError>

/** Which errors a call of an endpoint can fail with: those it declares, and those of every call. */
export type EndpointError<Endpoint extends HttpApiEndpoint.ConstraintRequest> =
  | HttpApiEndpoint.Errors<Endpoint>
  | LookerError.CallError

/** What a request can fail with, before it is narrowed. */
type RawError = LookerError.HttpError | HttpClientError.HttpClientError | Schema.SchemaError

/** Sends the request of one endpoint. */
export type Send<Endpoint extends HttpApiEndpoint.ConstraintRequest> = HttpApiClient.Client.Method<
  Endpoint,
  LookerError.HttpError,
  never
>

/**
 * - `token`: sent as it is, in place of the one that the caller has
 * - `grace`: how long an interruption waits for a request that has been sent: `use` goes on for so long, and then the call is interrupted.
 *   What waits for the gate, a token or a retry is interrupted at once, as everything is without it
 * - `cautious`: a request that may have been carried out is not sent again, whatever the endpoint and the policy say
 */
export interface CallOptions {
  readonly token?: Redacted.Redacted | undefined
  readonly grace?: Duration.Duration | undefined
  readonly cautious?: boolean | undefined
}

/**
 * Calls one endpoint of the contract. `use` sends the request; what it takes longer than the timeout, or fails with and the policy retries,
 * is handled here.
 */
export type Caller = <Endpoint extends LookerApi.Endpoint, A>(
  endpoint: Endpoint,
  use: (send: Send<Endpoint>) => Effect.Effect<A, RawError>,
  options?: CallOptions
) => Effect.Effect<A, EndpointError<Endpoint>>

const headers = { accept: "application/json, */*;q=0.1", "x-looker-appid": "effect-looker" }

/**
 * `fetch` is not to follow redirects, which would take the credentials along. This runs inside the client, where the `RequestInit` of its
 * own layer can be seen as well as that of the calling fiber, and goes into the context of the fiber that `deadline` forks for the request.
 */
const withoutRedirects = (request: HttpClientRequest.HttpClientRequest) =>
  Effect.withFiber<HttpClientRequest.HttpClientRequest>((fiber) => {
    const init = Context.getOrUndefined(fiber.context, FetchHttpClient.RequestInit)
    fiber.setContext(Context.add(fiber.context, FetchHttpClient.RequestInit, { ...init, redirect: "manual" }))
    return Effect.succeed(request)
  })

/** An HTTP client that fails with the library's errors, also for another status than 2xx. */
export const bindHttpClient = (httpClient: HttpClient.HttpClient, settings: Settings): BoundClient =>
  HttpClient.transformResponse(HttpClient.mapRequestEffect(httpClient, withoutRedirects), (response) =>
    Effect.matchEffect(response, {
      onFailure: (error) => Effect.fail(httpError.fromClientError(error, httpError.hiding(settings, error.request))),
      onSuccess: (response): Effect.Effect<HttpClientResponse.HttpClientResponse, LookerError.HttpError> =>
        response.status >= 200 && response.status < 300
          ? Effect.succeed(response)
          : httpError.fromResponse(response, httpError.hiding(settings, response.request))
    })
  )

/** An endpoint as it is called: its entry in the table of endpoints, and its schemas. */
interface Operation extends Endpoint.Entry, codec.Codec {
  /** The name of its spans: `GET /query_tasks/{query_task_id}`. */
  readonly line: string
  /** How many requests got a status. */
  readonly requests: (status: string) => Metric.Counter<number>
  /** How many requests were sent again after an error of a tag. */
  readonly retries: (reason: string) => Metric.Counter<number>
}

const operations = new WeakMap<Endpoint.Declaration, Operation>()

/** Made at the first call, so that a program pays for the endpoints it calls. */
const operationOf = (endpoint: Endpoint.Declaration): Operation => {
  let operation = operations.get(endpoint)
  if (operation === undefined) {
    const entry = Endpoint.entryOf(endpoint)
    const { name, quota } = entry
    operation = {
      ...entry,
      ...codec.make(endpoint),
      line: Endpoint.requestLine(endpoint),
      requests: series.by(LookerMetrics.requests, (status) => ({ endpoint: name, status, quota })),
      retries: series.by(LookerMetrics.retries, (reason) => ({ endpoint: name, reason }))
    }
    operations.set(endpoint, operation)
  }
  return operation
}

/** One request and its response, for the errors about them. */
interface Exchange {
  request?: HttpClientRequest.HttpClientRequest
  response?: HttpClientResponse.HttpClientResponse
}

const toHttpError = (
  error: RawError,
  { request, response }: Exchange,
  settings: Settings
): Effect.Effect<never, LookerError.HttpError> => {
  const hide = httpError.hiding(settings, request)
  if (HttpClientError.isHttpClientError(error)) {
    const mapped = httpError.fromClientError(error, hide)
    return mapped._tag === "UnexpectedResponse" && response !== undefined
      ? httpError.fromUndecodable(response, mapped.message, hide)
      : Effect.fail(mapped)
  }
  if (!Schema.isSchemaError(error)) return Effect.fail(httpError.withoutSecrets(error, hide))
  return response === undefined
    ? Effect.fail(new LookerError.BadRequest({ message: hide(`Not sent: ${error.message}`) }))
    : httpError.fromUndecodable(response, error.message, hide)
}

/** The source of tokens. `invalidate` discards a token that Looker has refused. */
interface Tokens {
  readonly token: Effect.Effect<Redacted.Redacted, LookerError.HttpError>
  invalidate(token: Redacted.Redacted): Effect.Effect<void>
}

/** The span of the HTTP client, named by the endpoint. Without a tracer there is none: it costs as much as sending the request. */
const withSpan = <A, E>(
  effect: Effect.Effect<A, E>,
  { line, name, quota }: Operation,
  attempt: number,
  fiber: Fiber.Fiber<unknown, unknown>
) =>
  traced.isTraced(fiber)
    ? effect.pipe(
        Effect.annotateSpans({ "looker.endpoint": name, "looker.quota": quota, "looker.attempt": attempt }),
        Effect.provideService(HttpClient.SpanNameGenerator, () => line)
      )
    : Effect.provideService(effect, HttpClient.TracerDisabledWhen, () => true)

/** Adds a request to those that got its status. One that was not sent, for what it should send is not valid, does not count. */
const countRequest = (
  { requests }: Operation,
  { request, response }: Exchange,
  exit: Exit.Exit<unknown, LookerError.HttpError>,
  { context }: Fiber.Fiber<unknown, unknown>
): void => {
  if (request === undefined) return
  const error = Exit.isFailure(exit) ? exit.cause.reasons.find(Cause.isFailReason)?.error : undefined
  const status = response?.status ?? (error && httpError.statusOfError(error))
  requests(String(status ?? "none")).updateUnsafe(1, context)
}

/** Adds a request that is sent again because of an error. */
const countRetry = ({ retries }: Operation, { _tag }: LookerError.HttpError): Effect.Effect<void> =>
  Effect.withFiber(({ context }) => {
    retries(_tag).updateUnsafe(1, context)
    return Effect.void
  })

/** `Effect.retry`, set up after the first failure: most requests have none. The last of several errors says how often it was tried. */
const retrying = <A>(
  attempt: (attempt: number) => Effect.Effect<A, LookerError.HttpError>,
  clock: Clock.Clock,
  options: {
    readonly schedule: Schedule.Schedule<unknown, LookerError.HttpError>
    readonly while: (error: LookerError.HttpError) => boolean
    /** Runs before each attempt but the first, with the error of the one before. */
    readonly again: (error: LookerError.HttpError) => Effect.Effect<void>
  }
): Effect.Effect<A, LookerError.HttpError> =>
  Effect.suspend(() => {
    const begin = elapsedMillis(clock)
    return Effect.catchIf(attempt(1), options.while, (error) => {
      let last = error
      let attempts = 0
      const next = Effect.suspend(() => {
        attempts++
        if (attempts === 1) return Effect.fail(error)
        return Effect.tapError(Effect.andThen(options.again(last), attempt(attempts)), (error) =>
          Effect.sync(() => {
            last = error
          })
        )
      })
      return Effect.mapError(Effect.retry(next, options), (error) =>
        attempts > 1 ? httpError.afterTries(error, attempts, elapsedMillis(clock) - begin) : error
      )
    })
  })

export const make = Effect.fnUntraced(function* (options: {
  readonly httpClient: BoundClient
  readonly settings: Settings
  readonly policy: Policy
  /** Absent for the login itself. */
  readonly tokens?: Tokens
  /** Absent for the login, which all other calls wait for. */
  readonly gate?: Gate<LookerError.HttpError>
}): Effect.fn.Return<Caller, never, Scope.Scope> {
  const { gate, httpClient, policy, settings, tokens } = options
  const clock = yield* Clock.Clock
  const within = yield* deadline.make(settings.timeout)
  const retry = Schedule.tap(policy.retry, ({ duration, input }) =>
    Effect.logDebug(`${input.endpoint ?? "Looker"}: ${input.message}. Again in ${Duration.format(duration)}`)
  )

  const mayRepeat = ({ isRepeatable }: Operation, error: LookerError.HttpError, cautious: boolean): boolean => {
    if (!error.isRetryable) return false
    if (cautious) return !httpError.mayBeCarriedOut(error)
    return (
      isRepeatable ||
      policy.lostAnswer === "repeat" ||
      error._tag === "TooManyRequests" ||
      (error._tag === "LookerUnavailable" && error.reached === "no")
    )
  }

  // Made for each request. `Effect.fnUntraced` would take 15 us of CPU to make it, as much as the request itself.
  const sender =
    (
      operation: Operation,
      token: Redacted.Redacted | undefined,
      exchange: Exchange,
      fiber: Fiber.Fiber<unknown, unknown>
    ) =>
    (input: codec.Input & { readonly responseMode?: HttpApiClient.Client.ResponseMode }) =>
      Effect.flatMap(operation.encode(input), (encoded) => {
        const request = HttpClientRequest.setHeaders(HttpClientRequest.prependUrl(encoded, settings.baseUrl), headers)
        const authorized = token === undefined ? request : HttpClientRequest.bearerToken(request, token)
        exchange.request = authorized
        return Effect.flatMap(httpClient.execute(authorized), (response): Effect.Effect<unknown, RawError> => {
          exchange.response = response
          received.countAnnounced(operation.name, response, fiber)
          if (input.responseMode === "response-only") return Effect.succeed(response)
          const decode = operation.successes.get(response.status)
          if (decode === undefined) {
            return httpError.fromUndeclaredStatus(response, httpError.hiding(settings, authorized))
          }
          return input.responseMode === "decoded-and-response"
            ? Effect.map(decode(response), (value) => [value, response])
            : decode(response)
        })
      })

  const call = <A>(
    endpoint: Endpoint.Declaration,
    use: (send: unknown) => Effect.Effect<A, RawError>,
    { cautious = false, grace, token }: CallOptions = {}
  ) => {
    const operation = operationOf(endpoint)
    const { errorStatuses, priority } = operation
    const send = (token?: Redacted.Redacted) => {
      const sendOnce = (attempt: number) =>
        Effect.withFiber((fiber) => {
          const exchange: Exchange = {}
          const sent = use(sender(operation, token, exchange, fiber))
          const withHttpErrors = Effect.catch(sent, (error) => toHttpError(error, exchange, settings))
          const ended = within(
            withSpan(withHttpErrors, operation, attempt, fiber),
            () => Effect.fail(httpError.fromTimeout(exchange.request, Duration.toSeconds(settings.timeout))),
            grace
          )
          return Effect.onExitPrimitive(ended, (exit) => {
            countRequest(operation, exchange, exit, fiber)
            return undefined
          })
        })
      // The wait at the gate is not part of the timeout.
      const attempt = (attempt: number) =>
        gate === undefined || priority === "none" ? sendOnce(attempt) : gate(priority, sendOnce(attempt))
      return retrying(attempt, clock, {
        schedule: retry,
        while: (error) => mayRepeat(operation, error, cautious),
        again: (error) => countRetry(operation, error)
      })
    }

    // A login has a timeout and retries of its own, so the token is fetched outside of those of the call.
    const authorized =
      token !== undefined || tokens === undefined
        ? send(token)
        : Effect.flatMap(tokens.token, (first) =>
            Effect.catchIf(send(first), httpError.isUnauthorized, (error) =>
              tokens.invalidate(first).pipe(
                Effect.andThen(tokens.token),
                Effect.flatMap((second) =>
                  second === first
                    ? Effect.fail(httpError.refusedToken(error))
                    : Effect.andThen(countRetry(operation, error), send(second))
                )
              )
            )
          )

    return Effect.mapError(authorized, (error) =>
      httpError.isDeclared(error, errorStatuses) ? error : httpError.undeclared(error)
    )
  }

  // The types of an endpoint are those of its schemas, by which `codec` encodes and decodes.
  return call as Caller
})
