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
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Endpoint from "../api/Endpoint.ts"
import * as LookerApi from "../api/LookerApi.ts"
import type { Settings } from "../LookerConfig.ts"
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

/** The most characters of a body that are looked at for an error. */
const longestBody = 65_536

export const snippetOf = (body: string): string => {
  const plain = body.slice(0, longestBody).replace(/\s+/g, " ").trim()
  return plain.length > snippetLength ? `${plain.slice(0, snippetLength)}…` : plain
}

const isHtml = (body: string) => /^\s*<(!doctype|html|head|body|h1|center)/i.test(body)

// A class of characters that ends at the next `<` is scanned once, whatever the page.
const titleOf = (html: string): string | undefined => /<title[^<>]*>([^<]*)<\/title>/i.exec(html)?.[1]

/** The text of an HTML page. */
const textOf = (html: string): string => html.replace(/<[^<>]*>/g, " ")

/** Replaces secrets in a text. */
export type Hide = (text: string) => string

/** A shorter secret is part of ordinary words. Those of Looker have 24 characters and more. */
const shortestSecret = 4

/** A secret as it is, and as it is written in forms, URLs and JSON. */
const formsOf = (secret: string): ReadonlyArray<string> => {
  const form = new URLSearchParams([["", secret]]).toString().slice(1)
  const inUrls = [form, form.replaceAll("+", "%20")]
  const inLowerCase = inUrls.map((text) => text.replace(/%../g, (code) => code.toLowerCase()))
  return [secret, ...inUrls, ...inLowerCase, JSON.stringify(secret).slice(1, -1)]
}

/** The client secret, unless it is the client id, which is shown anyway: the embedded Looker has the word `embedded` for both. */
const secretOf = (settings: Pick<Settings, "clientId" | "clientSecret"> | undefined): string | undefined => {
  const secret = settings?.clientSecret && Redacted.value(settings.clientSecret)
  return secret === settings?.clientId ? undefined : secret
}

/**
 * Replaces the client secret, and the token of the request, which a server may repeat in its response and an HTTP client in its errors.
 */
export const hiding = (
  settings: Pick<Settings, "clientId" | "clientSecret"> | undefined,
  request: HttpClientRequest.HttpClientRequest | undefined
): Hide => {
  const [, token] = (request?.headers.authorization ?? "").split(" ")
  const secrets = [secretOf(settings), token].filter(
    (secret) => secret !== undefined && secret.length >= shortestSecret
  )
  const forms = secrets.flatMap((secret) => formsOf(secret ?? ""))
  return (text) => forms.reduce((hidden, form) => hidden.replaceAll(form, "(hidden)"), text)
}

/** Whether the response has a token in it, so that no part of it may be shown. */
const hasToken = (request: HttpClientRequest.HttpClientRequest): boolean =>
  /^POST \/login(?:\/|$)/.test(endpointOf(request))

/** The beginning of a body that was not read yet. A server that never ends it is left. */
const beginningOf = (response: HttpClientResponse.HttpClientResponse): Effect.Effect<string> =>
  Effect.suspend(() => {
    let text = ""
    return Stream.decodeText(response.stream).pipe(
      Stream.runForEach((part) => {
        text += part
        return text.length < longestBody ? Effect.void : Effect.fail("enough")
      }),
      Effect.ignore,
      Effect.map(() => text.slice(0, longestBody))
    )
  })

/** Where a redirect points, without the query, which may have credentials in it. */
const redirectOf = ({ headers, request, status }: HttpClientResponse.HttpClientResponse): string | undefined => {
  const unfollowed = "Redirects are not followed, because the credentials would go along"
  // A browser gives no more than this of a redirect that it does not follow.
  if (status === 0) return `Looker redirects, and a browser does not show where to. ${unfollowed}`
  const { location } = headers
  if (status < 300 || status > 399 || status === 304 || location === undefined) return undefined
  const base = request.url
  const target = URL.canParse(location, base) ? new URL(location, base) : undefined
  const place = target === undefined ? location : target.origin + target.pathname
  return `Looker redirects to ${snippetOf(place)}. ${unfollowed}. If Looker has moved there, write it as the base URL`
}

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
  response: HttpClientResponse.HttpClientResponse,
  hide: Hide
): Effect.fn.Return<never, LookerError.HttpError> {
  const { headers, request, status } = response
  const body = hide(yield* beginningOf(response))
  const redirect = redirectOf(response)
  const parsed = Option.getOrUndefined(decodeErrorBody(body))
  const title = isHtml(body) ? titleOf(body) : undefined
  const isShown = !hasToken(request)
  const common = {
    message:
      (redirect && hide(redirect)) ||
      parsed?.message ||
      snippetOf(title ?? (isShown ? (isHtml(body) ? textOf(body) : body) : "")) ||
      `HTTP status ${status}`,
    endpoint: endpointOf(request),
    documentationUrl: parsed?.documentation_url ?? undefined,
    traceId: headers["x-b3-traceid"] && hide(headers["x-b3-traceid"])
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
      return yield* new LookerError.UnexpectedResponse({
        ...common,
        status: status === 0 ? undefined : status,
        snippet: isShown ? snippetOf(body) : undefined
      })
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
  "UND_ERR_CONNECT_TIMEOUT",
  "UND_ERR_PRX_CONN"
])

/** Codes of OpenSSL, in Node and Bun, for a certificate that is not accepted. */
const certificate =
  /^(?:UNABLE_TO_|CERT_|CRL_|ERROR_IN_C|DEPTH_ZERO_|SELF_SIGNED_|INVALID_CA$|INVALID_PURPOSE$|PATH_LENGTH_|HOSTNAME_MISMATCH$|ERR_TLS_CERT_|UNSPECIFIED$)/

/** Codes of a TLS handshake that failed. Those of a connection that broke later are not among them. */
const handshake = /^(?:EPROTO$|UND_ERR_PRX_TLS$|ERR_SSL_(?!UNEXPECTED_EOF|DECRYPTION_FAILED|BAD_RECORD_MAC))/

/**
 * What is wrong with the TLS of a server, and what to set. A retry does not help.
 */
const tlsProblem = (code: string | undefined, why: string, request: HttpClientRequest.HttpClientRequest) => {
  const host = URL.canParse(request.url) ? new URL(request.url).host : request.url
  const anyCertificate = "LOOKERSDK_VERIFY_SSL=false accepts any certificate (with effect-looker/node)"
  if (code === "ERR_SSL_WRONG_VERSION_NUMBER") {
    return `There is no TLS where the base URL says https (${code}). If the server speaks plain HTTP, write http://`
  }
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID" || code === "HOSTNAME_MISMATCH") {
    return `The certificate of ${host} is for another host: ${why} (${code}). Write the name in it as the base URL; ${anyCertificate}`
  }
  if (code === "CERT_HAS_EXPIRED" || code === "CERT_NOT_YET_VALID") {
    return `The certificate of ${host} is not valid now: ${why} (${code}). It has to be renewed, or the clock of this machine set; ${anyCertificate}`
  }
  // Deno gives the words of rustls and no code.
  if ((code !== undefined && certificate.test(code)) || why.includes("invalid peer certificate")) {
    return (
      `The certificate of ${host} is not trusted: ${why}${code === undefined ? "" : ` (${code})`}. ` +
      `Set LOOKERSDK_CA_FILE (with effect-looker/node) or NODE_EXTRA_CA_CERTS to the certificate of its authority; ${anyCertificate}`
    )
  }
  if (code !== undefined && handshake.test(code)) {
    return `No TLS connection with ${host}: ${why} (${code}). Look at the host and port of the base URL, and at the proxy`
  }
  return undefined
}

/** How a proxy refuses to connect to the server, in undici's words. */
const proxyRefusal = /^Proxy response \((\d+)\)/

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
  error: HttpClientError.HttpClientError,
  hide: Hide = hiding(undefined, error.request)
): LookerError.LookerUnavailable | LookerError.UnexpectedResponse | LookerError.BadRequest => {
  const { reason, request, response } = error
  const endpoint = endpointOf(request)
  switch (reason._tag) {
    case "InvalidUrlError":
    case "EncodeError":
      return new LookerError.BadRequest({ message: hide(reason.message), endpoint })
    case "TransportError":
    case "DecodeError": {
      // Bodies are decoded by the schemas of the contract, so this one could not be read: the connection broke in the middle of it.
      if (reason._tag === "DecodeError" && reason.cause === undefined) break
      const code = codeOf(reason.cause)
      const why = hide(messageOf(reason.cause) ?? reason.description ?? "the connection broke")
      const problem = tlsProblem(code, why, request)
      if (problem !== undefined) return new LookerError.UnexpectedResponse({ message: problem, endpoint })
      const refused = proxyRefusal.exec(why)?.[1]
      if (refused === "407") {
        const message = `${why}: the proxy wants a user and a password. Write them in HTTPS_PROXY (http://user:password@host:port)`
        return new LookerError.UnexpectedResponse({ message, endpoint })
      }
      return new LookerError.LookerUnavailable({
        message: code === undefined || why.includes(code) ? why : `${why} (${code})`,
        endpoint,
        reached: refused !== undefined || (code !== undefined && neverReached.has(code)) ? "no" : "maybe"
      })
    }
  }
  return new LookerError.UnexpectedResponse({ message: hide(reason.message), endpoint, status: response?.status })
}

/** The last error of a request that was sent several times. */
export const afterTries = <E extends LookerError.HttpError>(error: E, tries: number, millis: number) => {
  if (error._tag !== "LookerUnavailable") return error
  const { documentationUrl, endpoint, message, reached, retryAfter, status, traceId } = error
  return new LookerError.LookerUnavailable({
    message: `${message} (tried ${tries} times in ${(millis / 1000).toFixed(1)} s)`,
    endpoint,
    documentationUrl,
    traceId,
    status,
    reached,
    retryAfter
  })
}

/** Looker refused a token, and there is no other. */
export const refusedToken = ({ documentationUrl, endpoint, message, traceId }: LookerError.Unauthorized) =>
  new LookerError.Unauthorized({
    message: `Looker refused the given token, and no login gets another: ${message}`,
    endpoint,
    documentationUrl,
    traceId
  })

/** The store of the rate limiter failed, so nothing was sent. */
export const fromRateLimiter = (message: string): LookerError.LookerUnavailable =>
  new LookerError.LookerUnavailable({ message: `The rate limiter failed: ${message}`, reached: "no" })

/** No response within the timeout. */
export const fromTimeout = (
  request: HttpClientRequest.HttpClientRequest | undefined,
  seconds: number
): LookerError.LookerUnavailable =>
  new LookerError.LookerUnavailable({
    message: `No response within ${seconds} s`,
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
    message: hasToken(response.request) ? "The response to the login has no token that can be used" : problem,
    endpoint: endpointOf(response.request),
    status: response.status,
    snippet: hasToken(response.request) ? undefined : snippetOf(text),
    traceId: response.headers["x-b3-traceid"]
  })

/** A response that does not fit the contract, and whose body can be read again. */
export const fromUndecodable = (
  response: HttpClientResponse.HttpClientResponse,
  problem: string,
  hide: Hide
): Effect.Effect<never, LookerError.UnexpectedResponse> =>
  Effect.flatMap(
    Effect.catch(response.text, () => Effect.succeed("")),
    (body) => Effect.fail(withoutSecrets(fromMalformed(response, problem, hide(body.slice(0, longestBody))), hide))
  )

/** A response of a success status that the contract does not have there. */
export const fromUndeclaredStatus = (
  response: HttpClientResponse.HttpClientResponse,
  hide: Hide
): Effect.Effect<never, LookerError.UnexpectedResponse> =>
  Effect.flatMap(beginningOf(response), (body) =>
    Effect.fail(withoutSecrets(fromMalformed(response, "Looker's contract has no such status here", hide(body)), hide))
  )

/** An error that was made from the body of a response without knowing the secrets. */
export const withoutSecrets = <E extends LookerError.HttpError>(error: E, hide: Hide) => {
  if (error._tag !== "UnexpectedResponse") return error
  const { documentationUrl, endpoint, message, snippet, status, traceId } = error
  return new LookerError.UnexpectedResponse({
    message: hide(message),
    endpoint,
    documentationUrl,
    traceId: traceId && hide(traceId),
    status,
    snippet: snippet && hide(snippet)
  })
}

export const isUnauthorized = (error: LookerError.HttpError): error is LookerError.Unauthorized =>
  error._tag === "Unauthorized"

/**
 * Whether Looker may have carried out the request that failed. A 503 does not exclude it: some proxies send it also when the connection to Looker
 * breaks.
 */
export const mayBeCarriedOut = (error: LookerError.HttpError): boolean =>
  error._tag === "LookerUnavailable"
    ? error.reached === "maybe" || error.status !== undefined
    : error._tag === "UnexpectedResponse" && error.status !== undefined && (error.status < 300 || error.status >= 500)

/** What was received, in a few words: `200 with HTML "Sign in"`. */
export const describe = (error: LookerError.HttpError): string => {
  if (error._tag === "UnexpectedResponse" && error.status !== undefined && error.snippet) {
    const { snippet, status } = error
    return isHtml(snippet)
      ? `${status} with HTML "${titleOf(snippet) ?? snippetOf(textOf(snippet))}"`
      : `${status} with "${snippet}"`
  }
  return `${error.name}: ${error.message}`
}

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
    message: `Looker's contract has no such response here: ${error.message}`,
    endpoint: error.endpoint,
    status: statusOf[error._tag],
    documentationUrl: error.documentationUrl,
    traceId: error.traceId
  })
