/**
 * Who is on this machine. A page of the web can let its own name point to 127.0.0.1 and talk to what listens there, but the browser then
 * sends that name.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import type * as Layer from "effect/Layer"
import { reply } from "./LookerErrors.ts"

/**
 * Whether an address can be reached from this machine alone.
 *
 * @category predicates
 * @since 0.1.0
 */
export const isLoopback = (address: string): boolean => /^(?:::ffff:)?127\.\d+\.\d+\.\d+$|^::1$/.test(address)

/**
 * Whether a host, by name or address, is always this machine.
 *
 * @category predicates
 * @since 0.1.0
 */
export const isOwnName = (host: string): boolean => {
  const name = host
    .replace(/:\d+$/, "")
    .replace(/^\[(.*)\]$/, "$1")
    .toLowerCase()
  return name === "localhost" || name.endsWith(".localhost") || isLoopback(name)
}

/**
 * Refuses requests under any name but this machine's own.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<never, never, HttpRouter.HttpRouter> = HttpRouter.middleware(
  (httpEffect) =>
    Effect.gen(function* () {
      const { headers } = yield* HttpServerRequest.HttpServerRequest
      if (isOwnName(headers.host ?? "")) return yield* httpEffect
      const message =
        "This embedded Looker listens on its own machine only, and answers to 127.0.0.1 and localhost only. " +
        "Give it a host to listen on to open it to others."
      return reply(403, message)
    }),
  { global: true }
)
