/**
 * Looker's errors as they travel: the body `{message, documentation_url, errors?}` without a tag, and the headers beside it.
 *
 * @since 0.1.0
 */

import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as Schema from "effect/Schema"
import { openStruct } from "../domain/Wire.ts"
import * as LookerError from "../LookerError.ts"

/**
 * The documentation link Looker puts in its errors.
 *
 * @category constants
 * @since 0.1.0
 */
export const documentationUrl = "https://cloud.google.com/looker/docs/"

/**
 * The body of an error. Both keys are required and nullable in Looker's specification.
 *
 * @category schemas
 * @since 0.1.0
 */
export const ErrorBody = openStruct({
  message: Schema.NullOr(Schema.String),
  documentation_url: Schema.NullOr(Schema.String)
})

/**
 * The body of a 422.
 *
 * @category schemas
 * @since 0.1.0
 */
export const ValidationErrorBody = openStruct({
  message: Schema.NullOr(Schema.String),
  errors: Schema.optional(Schema.NullOr(Schema.Array(LookerError.ValidationDetail))),
  documentation_url: Schema.NullOr(Schema.String)
})

const traceHeader = { "x-b3-traceid": Schema.optional(Schema.String) }

const bodyOf = (error: { readonly message: string; readonly documentationUrl?: string | undefined }) => ({
  message: error.message,
  documentation_url: error.documentationUrl ?? documentationUrl
})

const propsOf = (
  body: { readonly message: string | null; readonly documentation_url: string | null },
  headers: { readonly "x-b3-traceid"?: string | undefined }
) => ({
  message: body.message ?? "",
  documentationUrl: body.documentation_url ?? undefined,
  traceId: headers["x-b3-traceid"]
})

type PlainError =
  | LookerError.BadRequest
  | LookerError.NotFound
  | LookerError.Unauthorized
  | LookerError.Forbidden
  | LookerError.Conflict

const plain = <S extends Schema.Codec<PlainError, unknown> & (new (props: ReturnType<typeof propsOf>) => S["Type"])>(
  error: S,
  status: number
) =>
  error.pipe(
    HttpApiSchema.encodeToWithHeaders<S, typeof ErrorBody, typeof traceHeader>(
      { body: ErrorBody.pipe(HttpApiSchema.status(status)), headers: traceHeader },
      {
        decode: ({ body, headers }) => new error(propsOf(body, headers)),
        encode: (value) => ({ body: bodyOf(value), headers: { "x-b3-traceid": value.traceId } })
      }
    )
  )

/**
 * @category errors
 * @since 0.1.0
 */
export const BadRequest = plain(LookerError.BadRequest, 400)

/**
 * @category errors
 * @since 0.1.0
 */
export const Unauthorized = plain(LookerError.Unauthorized, 401)

/**
 * @category errors
 * @since 0.1.0
 */
export const Forbidden = plain(LookerError.Forbidden, 403)

/**
 * @category errors
 * @since 0.1.0
 */
export const NotFound = plain(LookerError.NotFound, 404)

/**
 * @category errors
 * @since 0.1.0
 */
export const Conflict = plain(LookerError.Conflict, 409)

/**
 * @category errors
 * @since 0.1.0
 */
export const ValidationFailed = LookerError.ValidationFailed.pipe(
  HttpApiSchema.encodeToWithHeaders(
    { body: ValidationErrorBody.pipe(HttpApiSchema.status(422)), headers: traceHeader },
    {
      decode: ({ body, headers }) =>
        new LookerError.ValidationFailed({ ...propsOf(body, headers), errors: body.errors ?? [] }),
      encode: (error) => ({
        body: {
          ...bodyOf(error),
          errors: error.errors.map((detail) => ({ documentation_url: documentationUrl, ...detail }))
        },
        headers: { "x-b3-traceid": error.traceId }
      })
    }
  )
)

/**
 * 429 with its `Retry-After` header, which Looker documents neither the presence nor the form of.
 *
 * @category errors
 * @since 0.1.0
 */
export const TooManyRequests = LookerError.TooManyRequests.pipe(
  HttpApiSchema.encodeToWithHeaders(
    {
      body: ErrorBody.pipe(HttpApiSchema.status(429)),
      headers: { ...traceHeader, "retry-after": Schema.optional(Schema.RetryAfterFromString) }
    },
    {
      decode: ({ body, headers }) =>
        new LookerError.TooManyRequests({ ...propsOf(body, headers), retryAfter: headers["retry-after"] }),
      encode: (error) => ({
        body: bodyOf(error),
        headers: { "x-b3-traceid": error.traceId, "retry-after": error.retryAfter }
      })
    }
  )
)

/**
 * The errors that most endpoints have.
 *
 * @category errors
 * @since 0.1.0
 */
export const common = [BadRequest, NotFound, TooManyRequests] as const
