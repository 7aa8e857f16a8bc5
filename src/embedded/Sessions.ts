/**
 * Logins and their tokens.
 *
 * @since 0.1.0
 */
import { randomBytes } from "node:crypto"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type { AccessToken } from "../domain/Session.ts"
import { NotFound, Unauthorized } from "../LookerError.ts"

/**
 * @category options
 * @since 0.1.0
 */
export interface Options {
  readonly clientId: string
  readonly clientSecret: Redacted.Redacted
  readonly tokenLife: Duration.Duration
}

/**
 * Every login gives a new token and leaves the earlier ones alone; a logout ends one token.
 *
 * @category services
 * @since 0.1.0
 */
export class Sessions extends Context.Service<
  Sessions,
  {
    readonly login: (clientId: string, clientSecret: string) => Effect.Effect<AccessToken, NotFound>
    readonly userOf: (token: string) => Effect.Effect<string, Unauthorized>
    readonly logout: (token: string) => Effect.Effect<void>
  }
>()("effect-looker/embedded/Sessions") {}

/**
 * The one user of an embedded Looker.
 *
 * @category constants
 * @since 0.1.0
 */
export const userId = "1"

/**
 * @category constructors
 * @since 0.1.0
 */
export const make = (options: Options): Sessions["Service"] => {
  const expiry = new Map<string, number>()
  const login = Effect.fn("Sessions.login")(function* (clientId: string, clientSecret: string) {
    if (clientId !== options.clientId || clientSecret !== Redacted.value(options.clientSecret)) {
      return yield* new NotFound({ message: "Not found" })
    }
    const now = yield* Clock.currentTimeMillis
    for (const [token, end] of expiry) if (end <= now) expiry.delete(token)
    const access_token = yield* Effect.sync(() => randomBytes(20).toString("hex"))
    expiry.set(access_token, now + Duration.toMillis(options.tokenLife))
    return { access_token, token_type: "Bearer", expires_in: Math.floor(Duration.toSeconds(options.tokenLife)) }
  })
  const userOf = Effect.fnUntraced(function* (token: string) {
    const now = yield* Clock.currentTimeMillis
    if ((expiry.get(token) ?? 0) <= now) return yield* new Unauthorized({ message: "Requires authentication." })
    return userId
  })
  const logout = (token: string) => Effect.sync(() => void expiry.delete(token))
  return Sessions.of({ login, userOf, logout })
}

/**
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options): Layer.Layer<Sessions> => Layer.sync(Sessions, () => make(options))
