/**
 * The one place where HTTP (a status, headers, a body, a broken connection) becomes an error of this library.
 */
import * as Effect from "effect/Effect"
import * as Headers from "effect/http/Headers"
import type * as HttpClientError from "effect/http/HttpClientError"
import type * as HttpClientRequest from "effect/http/HttpClientRequest"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Endpoint from "../api/Endpoint.ts"
import * as LookerApi from "../api/LookerApi.ts"
import * as LookerError from "../LookerError.ts"

export const snippetLength = 500

/** The statuses of the errors that an endpoint declares. The other errors may come from every endpoint. */
const statusOf: { readonly [tag: string]: number } = {
  BadRequest: 400,
  Forbidden: 403,
  NotFound: 404,
  Conflict: 409,
  ValidationFailed: 422,
  TooManyRequests: 429
}

/** `GET /query_tasks/3f2a`: a request as errors name it, without host and query. */
export const endpointOf = (request: HttpClientRequest.HttpClientRequest): string =>
  `${request.method} ${request.url.replace(/^https?:\/\/[^/]+/i, "").replace(/^.*\/api\/4\.0(?=\/)/, "")}`

/** The request that the body of a result comes from, for errors about it. */
export const resultsEndpoint = (taskId: string): string =>
  Endpoint.requestLine(LookerApi.queryTaskResults, { query_task_id: taskId })

export const snippetOf = (body: string): string => {
  const plain = body.replace(/\s+/g, " ").trim()
  return plain.length > snippetLength ? `${plain.slice(0, snippetLength)}…` : plain
}

const isHtml = (body: string) => /^\s*<(!doctype|html|head|body|h1|center)/i.test(body)

/** An HTML page in a sentence: its title, or its text. */
const sentenceOf = (html: string): string =>
  snippetOf(/<title[^>]*>([^<]*)<\/title>/i.exec(html)?.[1] ?? html.replace(/<[^>]*>/g, " "))

const ErrorBody = Schema.fromJsonString(
  Schema.Struct({
    message: Schema.optional(Schema.NullOr(Schema.String)),
    documentation_url: Schema.optional(Schema.NullOr(Schema.String)),
    errors: Schema.optional(Schema.NullOr(Schema.Array(LookerError.ValidationDetail)))
  })
)

const decodeErrorBody = Schema.decodeUnknownOption(ErrorBody)

const retryAfterOf = (response: HttpClientResponse.HttpClientResponse) =>
  Option.getOrUndefined(
    Option.flatMap(Headers.get(response.headers, "retry-after"), (text) =>
      Result.getSuccess(Headers.parseRetryAfter(text))
    )
  )

/**
 * A response with another status than 2xx, as an error. Its body may be JSON, HTML or empty, whatever its content type: Looker's 404 pages
 * come as `text/html` and as an echo of the request's `Accept` header, load balancers send 502 with a page.
 */
export const fromResponse = Effect.fnUntraced(function* (
  response: HttpClientResponse.HttpClientResponse
): Effect.fn.Return<never, LookerError.HttpError> {
  const { headers, request, status } = response
  const body = yield* Effect.catch(response.text, () => Effect.succeed(""))
  const parsed = Option.getOrUndefined(decodeErrorBody(body))
  const common = {
    message: parsed?.message || (isHtml(body) ? sentenceOf(body) : snippetOf(body)) || `HTTP status ${status}`,
    endpoint: endpointOf(request),
    documentationUrl: parsed?.documentation_url ?? undefined,
    traceId: headers["x-b3-traceid"]
  }
  switch (status) {
    case 400:
      return yield* new LookerError.BadRequest(common)
    case 401:
      return yield* new LookerError.Unauthorized(common)
    case 403:
      return yield* new LookerError.Forbidden(common)
    case 404:
      return yield* new LookerError.NotFound(common)
    case 409:
      return yield* new LookerError.Conflict(common)
    case 422:
      return yield* new LookerError.ValidationFailed({ ...common, errors: parsed?.errors ?? [] })
    case 429:
      return yield* new LookerError.TooManyRequests({ ...common, retryAfter: retryAfterOf(response) })
    case 500:
    case 502:
    case 503:
    case 504:
      return yield* new LookerError.LookerUnavailable({
        ...common,
        status,
        reached: status === 503 ? "no" : "maybe",
        retryAfter: retryAfterOf(response)
      })
    default:
      return yield* new LookerError.UnexpectedResponse({ ...common, status, snippet: snippetOf(body) })
  }
})

/** `query_task_results` of a task that still runs: 202 since Looker 25.0.9, 204 before. */
export const isNotFinished = (response: HttpClientResponse.HttpClientResponse): boolean =>
  response.status === 202 || response.status === 204

/** Codes of Node, Bun and undici for connections that were never made. */
const neverReached: ReadonlySet<string> = new Set([
  "ECONNREFUSED",
  "ConnectionRefused",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "UND_ERR_CONNECT_TIMEOUT"
])

/** OpenSSL's code for a server that speaks plain HTTP. A retry does not help. */
const noTls = "ERR_SSL_WRONG_VERSION_NUMBER"

const codeOf = (cause: unknown): string | undefined => {
  if (!Predicate.isObject(cause)) return undefined
  const { cause: inner, code, errors } = cause as { cause?: unknown; code?: unknown; errors?: unknown }
  if (typeof code === "string") return code
  return codeOf(inner) ?? (Array.isArray(errors) ? codeOf(errors[0]) : undefined)
}

const messageOf = (cause: unknown): string | undefined => {
  if (!(cause instanceof Error)) return undefined
  return messageOf(cause.cause) ?? (cause.message === "" ? cause.name : cause.message)
}

/**
 * An error of the HTTP client, as an error of this library.
 *
 * It is not kept as a cause: it holds the request with its headers.
 */
export const fromClientError = (
  error: HttpClientError.HttpClientError
): LookerError.LookerUnavailable | LookerError.UnexpectedResponse | LookerError.BadRequest => {
  const { reason, request, response } = error
  const endpoint = endpointOf(request)
  switch (reason._tag) {
    case "InvalidUrlError":
    case "EncodeError":
      return new LookerError.BadRequest({ message: reason.message, endpoint })
    case "TransportError":
    case "DecodeError": {
      // Bodies are decoded by the schemas of the contract, so this one could not be read: the connection broke in the middle of it.
      if (reason._tag === "DecodeError" && reason.cause === undefined) break
      const code = codeOf(reason.cause)
      if (code === noTls) {
        const message = `There is no TLS where the base URL says https (${code}). If the server speaks plain HTTP, write http://`
        return new LookerError.UnexpectedResponse({ message, endpoint })
      }
      const why = messageOf(reason.cause) ?? reason.description ?? "the connection broke"
      return new LookerError.LookerUnavailable({
        message: code === undefined || why.includes(code) ? why : `${why} (${code})`,
        endpoint,
        reached: code !== undefined && neverReached.has(code) ? "no" : "maybe"
      })
    }
  }
  return new LookerError.UnexpectedResponse({ message: reason.message, endpoint, status: response?.status })
}

/** The store of the rate limiter failed, so nothing was sent. */
export const fromRateLimiter = (message: string): LookerError.LookerUnavailable =>
  new LookerError.LookerUnavailable({ message: `The rate limiter failed: ${message}`, reached: "no" })

/** No response within the timeout. */
export const fromTimeout = (
  request: HttpClientRequest.HttpClientRequest | undefined,
  seconds: number
): LookerError.LookerUnavailable =>
  new LookerError.LookerUnavailable({
    message: `No answer within ${seconds} s`,
    endpoint: request && endpointOf(request),
    reached: "maybe"
  })

/** A response that does not fit the contract, and the text of its body. */
export const fromMalformed = (
  response: HttpClientResponse.HttpClientResponse,
  problem: string,
  text: string
): LookerError.UnexpectedResponse =>
  new LookerError.UnexpectedResponse({
    message: problem,
    endpoint: endpointOf(response.request),
    status: response.status,
    snippet: snippetOf(text),
    traceId: response.headers["x-b3-traceid"]
  })

/** A response that does not fit the contract, and whose body can be read again. */
export const fromUndecodable = (
  response: HttpClientResponse.HttpClientResponse,
  problem: string
): Effect.Effect<never, LookerError.UnexpectedResponse> =>
  Effect.flatMap(
    Effect.catch(response.text, () => Effect.succeed("")),
    (body) => Effect.fail(fromMalformed(response, problem, body))
  )

export const isUnauthorized = (error: LookerError.HttpError): error is LookerError.Unauthorized =>
  error._tag === "Unauthorized"

/** The errors of a refused login: Looker sends 404, a proxy in front of it may send 403. */
export type Refusal =
  | LookerError.BadRequest
  | LookerError.NotFound
  | LookerError.Unauthorized
  | (LookerError.UnexpectedResponse & { readonly status: 403 })

export const isRefusal = (error: LookerError.HttpError): error is Refusal =>
  error._tag === "BadRequest" ||
  error._tag === "NotFound" ||
  error._tag === "Unauthorized" ||
  (error._tag === "UnexpectedResponse" && error.status === statusOf.Forbidden)

/** The status of the response that an error is about, if there was one. */
export const statusOfError = (error: LookerError.HttpError): number | undefined => {
  if (error._tag === "Unauthorized") return 401
  return "status" in error ? error.status : statusOf[error._tag]
}

/** Whether an endpoint that declares these statuses may fail with this error. */
export const isDeclared = (error: LookerError.HttpError, statuses: ReadonlySet<number>): boolean => {
  const status = statusOf[error._tag]
  return status === undefined || statuses.has(status)
}

/** An error that the endpoint does not declare, as one that every endpoint may have. */
export const undeclared = (error: LookerError.HttpError): LookerError.UnexpectedResponse =>
  new LookerError.UnexpectedResponse({
    message: `Looker's contract has no such answer here: ${error.message}`,
    endpoint: error.endpoint,
    status: statusOf[error._tag],
    documentationUrl: error.documentationUrl,
    traceId: error.traceId
  })
