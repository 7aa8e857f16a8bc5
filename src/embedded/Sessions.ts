/**
 * Tokens, and whose they are.
 *
 * @since 0.1.0
 */
import { randomBytes } from "node:crypto"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { AccessToken } from "../domain/Session.ts"
import { Unauthorized } from "../LookerError.ts"

/**
 * @category options
 * @since 0.1.0
 */
export interface Options {
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
    readonly open: (userId: string) => Effect.Effect<AccessToken>
    readonly userOf: (token: string) => Effect.Effect<string, Unauthorized>
    readonly logout: (token: string) => Effect.Effect<void>
    readonly forget: Effect.Effect<void>
  }
>()("effect-looker/embedded/Sessions") {}

/**
 * @category constructors
 * @since 0.1.0
 */
export const make = (options: Options): Sessions["Service"] => {
  const sessions = new Map<string, { readonly userId: string; readonly end: number }>()
  const open = Effect.fn("Sessions.open")(function* (userId: string) {
    const now = yield* Clock.currentTimeMillis
    for (const [token, { end }] of sessions) if (end <= now) sessions.delete(token)
    const access_token = yield* Effect.sync(() => randomBytes(20).toString("hex"))
    sessions.set(access_token, { userId, end: now + Duration.toMillis(options.tokenLife) })
    return { access_token, token_type: "Bearer", expires_in: Math.floor(Duration.toSeconds(options.tokenLife)) }
  })
  const userOf = Effect.fnUntraced(function* (token: string) {
    const now = yield* Clock.currentTimeMillis
    const session = sessions.get(token)
    if (session === undefined || session.end <= now) {
      return yield* new Unauthorized({ message: "Requires authentication." })
    }
    return session.userId
  })
  return Sessions.of({
    open,
    userOf,
    logout: (token) => Effect.sync(() => void sessions.delete(token)),
    forget: Effect.sync(() => sessions.clear())
  })
}

/**
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options): Layer.Layer<Sessions> => Layer.sync(Sessions, () => make(options))
