/**
 * Counts the bytes of bodies, in the metrics and on the current span: what `content-length` announces when the response begins, and all else
 * as it is read.
 */
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type * as HttpClientError from "effect/http/HttpClientError"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Stream from "effect/Stream"
import * as LookerMetrics from "../LookerMetrics.ts"
import * as series from "./series.ts"
import * as traced from "./traced.ts"

const bytesOf = series.by(LookerMetrics.bytes, (endpoint) => ({ endpoint }))

const isAnnounced = ({ headers }: HttpClientResponse.HttpClientResponse): boolean =>
  headers["content-length"] !== undefined

/** Adds a part of a body. `before` is how much of it has been counted. */
const count = (endpoint: string, bytes: number, before: number, fiber: Fiber.Fiber<unknown, unknown>): void => {
  bytesOf(endpoint).updateUnsafe(bytes, fiber.context)
  traced.currentSpan(fiber)?.attribute("looker.bytes", before + bytes)
}

/** To be called once for each response. */
export const countAnnounced = (
  endpoint: string,
  response: HttpClientResponse.HttpClientResponse,
  fiber: Fiber.Fiber<unknown, unknown>
): void => {
  if (isAnnounced(response)) count(endpoint, Number(response.headers["content-length"]), 0, fiber)
}

/** The text of the body, counted by its characters if its length was not announced. */
export const text = (
  endpoint: string,
  response: HttpClientResponse.HttpClientResponse
): Effect.Effect<string, HttpClientError.HttpClientError> =>
  isAnnounced(response)
    ? response.text
    : Effect.withFiber((fiber) =>
        Effect.map(response.text, (text) => {
          count(endpoint, text.length, 0, fiber)
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
        Effect.withFiber((fiber) => {
          let before = 0
          return Effect.succeed(
            Stream.map(response.stream, (chunk) => {
              count(endpoint, chunk.length, before, fiber)
              before += chunk.length
              return chunk
            })
          )
        })
      )
