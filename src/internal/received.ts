/**
 * Counts the bytes of bodies: what `content-length` announces when the response begins, and all else as it is read.
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as HttpClientError from "effect/http/HttpClientError"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Stream from "effect/Stream"
import * as LookerMetrics from "../LookerMetrics.ts"
import * as series from "./series.ts"

const bytesOf = series.by(LookerMetrics.bytes, (endpoint) => ({ endpoint }))

const isAnnounced = ({ headers }: HttpClientResponse.HttpClientResponse): boolean =>
  headers["content-length"] !== undefined

/** To be called once for each response. */
export const countAnnounced = (
  endpoint: string,
  response: HttpClientResponse.HttpClientResponse,
  context: Context.Context<never>
): void => {
  if (isAnnounced(response)) bytesOf(endpoint).updateUnsafe(Number(response.headers["content-length"]), context)
}

/** The text of the body, counted by its characters if its length was not announced. */
export const text = (
  endpoint: string,
  response: HttpClientResponse.HttpClientResponse
): Effect.Effect<string, HttpClientError.HttpClientError> =>
  isAnnounced(response)
    ? response.text
    : Effect.withFiber(({ context }) =>
        Effect.map(response.text, (text) => {
          bytesOf(endpoint).updateUnsafe(text.length, context)
          return text
        })
      )

/** The bytes of the body, counted if their number was not announced. */
export const stream = (
  endpoint: string,
  response: HttpClientResponse.HttpClientResponse
): Stream.Stream<Uint8Array, HttpClientError.HttpClientError> =>
  isAnnounced(response)
    ? response.stream
    : Stream.unwrap(
        Effect.withFiber(({ context }) => {
          const counter = bytesOf(endpoint)
          return Effect.succeed(
            Stream.map(response.stream, (chunk) => {
              counter.updateUnsafe(chunk.length, context)
              return chunk
            })
          )
        })
      )
