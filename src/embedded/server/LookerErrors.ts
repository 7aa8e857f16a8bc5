/**
 * Every failure as a response like Looker's: JSON with a `message`.
 *
 * @since 0.1.0
 */
import { IncomingMessage } from "node:http"
import * as ByteSize from "effect/ByteSize"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as HttpIncomingMessage from "effect/http/HttpIncomingMessage"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerError from "effect/http/HttpServerError"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as HttpApiError from "effect/http-api/HttpApiError"
import type * as Layer from "effect/Layer"
import * as SchemaIssue from "effect/SchemaIssue"
import { documentationUrl } from "../../api/WireError.ts"
import * as DuckDb from "../database/DuckDb.ts"

/**
 * The largest request body that is read.
 *
 * @category constants
 * @since 0.1.0
 */
export const maxBodySize = ByteSize.megabytes(10)

/**
 * An error response.
 *
 * @category constructors
 * @since 0.1.0
 */
export const reply = (status: number, message: string, rest: object = {}) =>
  HttpServerResponse.jsonUnsafe({ message, ...rest, documentation_url: documentationUrl }, { status })

/**
 * The response for results that are not there yet: 202, or 204 as in Looker before 25.0.9.
 *
 * @category constructors
 * @since 0.1.0
 */
export const notFinished = (status: 202 | 204): HttpServerResponse.HttpServerResponse =>
  status === 204
    ? HttpServerResponse.empty({ status: 204 })
    : HttpServerResponse.text("The query is not finished", { status: 202 })

const prefix = "/api/4.0"

const pathOf = (request: HttpServerRequest.HttpServerRequest): string =>
  request.originalUrl.replace(/^https?:\/\/[^/]*/i, "").replace(/[?#].*$/, "")

/** The 404 of an unknown path. Two mistakes in a base URL are so common that the message names them. */
const unknownPath = (request: HttpServerRequest.HttpServerRequest) => {
  const path = pathOf(request)
  const hint = path.startsWith("//")
    ? "The base_url must not end with a slash."
    : path.startsWith(`${prefix}${prefix}`)
      ? `The base_url must not contain ${prefix}: clients append it.`
      : path.startsWith(prefix)
        ? "The embedded Looker has the endpoints of logins, queries and query tasks only."
        : `Every path begins with ${prefix}; the base_url is scheme, host and port alone, such as http://${request.headers.host ?? "127.0.0.1:9999"}.`
  return reply(404, `Not found: ${request.method} ${path}. ${hint}`)
}

const partNames: Record<string, string> = {
  Params: "path",
  Query: "query parameters",
  Headers: "headers",
  Payload: "body"
}

const kinds: Readonly<Record<string, string>> = {
  // The requests of the contract have no other lists.
  array: "a list of texts",
  string: "a text",
  number: "a number",
  boolean: "true or false",
  object: "an object"
}

/** Not named in a message: null stands for a key that can also be left out, and JSON has no number for the other three. */
const omitted: ReadonlySet<string> = new Set(["null", '"Infinity"', '"-Infinity"', '"NaN"'])

/** Rewords the message of a schema for readers who do not know Effect. */
const reworded = (field: string, message: string): string => {
  if (message === "Missing key") return `${field} is missing`
  const expected = /^Expected (.*)$/s.exec(message)?.[1]
  if (expected === undefined) return field === "" ? message : `${field}: ${message}`
  const allowed = expected.split(" | ").filter((kind) => !omitted.has(kind))
  const words = allowed.map((kind) => kinds[kind] ?? kind)
  const last = words.slice(-2).join(" or ")
  return `${field || "it"} has to be ${[...words.slice(0, -2), last].join(", ")}`
}

const issuesOf = SchemaIssue.makeFormatterStandardSchemaV1()

/** A request that does not match its schema: 422 for a field of the body if the endpoint has a 422, otherwise 400. */
const undecodable = (request: HttpServerRequest.HttpServerRequest, error: HttpApiError.HttpApiSchemaError) => {
  const errors = issuesOf(error.cause.issue).issues.map(({ message, path }) => {
    const field = (path ?? []).map((key) => String(typeof key === "object" ? key.key : key)).join(".")
    return { field, code: "invalid", message: reworded(field, message), documentation_url: documentationUrl }
  })
  const text = errors.map(({ message }) => message).join("; ")
  const isField = error.kind === "Payload" && errors.every(({ field }) => field !== "")
  return isField && request.method === "POST" && /\/quer(?:ies|y_tasks)(?:\?|$)/.test(request.url)
    ? reply(422, `Validation Failed: ${text}`, { errors })
    : reply(400, `The ${partNames[error.kind]} cannot be read: ${text}`)
}

const fromCause = (request: HttpServerRequest.HttpServerRequest, cause: Cause.Cause<unknown>) => {
  const error = Cause.squash(cause)
  if (error === DuckDb.closing) return reply(503, "The embedded Looker is closing.")
  if (error instanceof HttpApiError.HttpApiSchemaError && error.kind !== "Body" && error.kind !== "ResponseHeaders") {
    return undecodable(request, error)
  }
  if (HttpServerError.isHttpServerError(error)) {
    if (error.reason._tag === "RouteNotFound") return unknownPath(request)
    if (error.reason._tag === "RequestParseError") {
      return error.reason.reason === "BodyTooLarge"
        ? reply(413, "The request body is larger than 10 MB.")
        : reply(400, "The request body cannot be read.")
    }
  }
  return undefined
}

/** Node's server itself discards a body of less than this. */
const smallBody = 256 * 1024

/**
 * Reads and discards a large body. A client that is still sending does not read the response, and could see a broken connection instead.
 */
const discardBody = ({ headers, source }: HttpServerRequest.HttpServerRequest): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    const isLarge = headers["transfer-encoding"] !== undefined || Number(headers["content-length"]) > smallBody
    if (!isLarge || !(source instanceof IncomingMessage) || source.complete || source.destroyed) {
      return resume(Effect.void)
    }
    const done = () => resume(Effect.void)
    source.once("end", done).once("close", done).resume()
  }).pipe(Effect.timeoutOption("30 seconds"), Effect.asVoid)

/**
 * Responds like Looker to requests that cannot be decoded, unknown paths, bodies that are too large, and defects.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<never, never, HttpRouter.HttpRouter> = HttpRouter.middleware(
  (httpEffect) =>
    Effect.gen(function* () {
      const request = yield* HttpServerRequest.HttpServerRequest
      // The router would take `//api` for `/api`.
      if (pathOf(request).startsWith("//")) return unknownPath(request)
      return yield* httpEffect.pipe(
        Effect.provideService(HttpIncomingMessage.MaxBodySize, maxBodySize),
        Effect.map((response) =>
          response.status === 415 ? reply(400, "The body must be JSON, with content-type: application/json.") : response
        ),
        Effect.catchCause((cause) => {
          if (Cause.hasInterrupts(cause)) return Effect.failCause(cause)
          const known = fromCause(request, cause)
          return known !== undefined
            ? Effect.succeed(known)
            : Effect.as(
                Effect.logError("embedded Looker: an unexpected failure", cause),
                reply(500, "An error has occurred.")
              )
        }),
        Effect.tap(({ status }) => (status >= 400 ? discardBody(request) : Effect.void))
      )
    }),
  { global: true }
)
