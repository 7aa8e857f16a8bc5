/**
 * Requests from this machine. A web page can let its own host name point to 127.0.0.1 and send requests to a server there (DNS rebinding),
 * but the browser then sends that name as the host.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import type * as Layer from "effect/Layer"
import { reply } from "./LookerErrors.ts"

/**
 * Whether an address can be reached only from this machine.
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
 * Refuses requests whose host is not a name of this machine.
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
        "This embedded Looker accepts requests from its own machine only, to 127.0.0.1 or localhost. " +
        "Set the option host to open it to others."
      return reply(403, message)
    }),
  { global: true }
)
