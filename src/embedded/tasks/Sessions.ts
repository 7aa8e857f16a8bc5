/**
 * Access tokens and the users they belong to.
 *
 * @since 0.1.0
 */

import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Hex from "effect/encoding/Hex"
import * as Layer from "effect/Layer"
import type { AccessToken } from "../../domain/Session.ts"
import { Unauthorized } from "../../LookerError.ts"

/**
 * @category options
 * @since 0.1.0
 */
export interface Options {
  readonly tokenLife: Duration.Duration
}

/**
 * What a token stands for. `sudoUserId` is the user who logged in as `userId`, if that is another user. `end` is in milliseconds since 1970.
 * `workspace` is `production` until another is chosen.
 *
 * @category models
 * @since 0.1.0
 */
export interface Session {
  readonly userId: string
  readonly sudoUserId: string | undefined
  readonly end: number
  readonly workspace: string
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
    open(userId: string, sudoUserId?: string): Effect.Effect<AccessToken>
    get(token: string): Effect.Effect<Session, Unauthorized>
    logout(token: string): Effect.Effect<void>
    chooseWorkspace(token: string, workspace: string): Effect.Effect<void, Unauthorized>
    /** Ends all sessions. */
    readonly forget: Effect.Effect<void>
  }
>()("effect-looker/embedded/Sessions") {}

/**
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function* (
  options: Options
): Effect.fn.Return<Sessions["Service"], never, SecureRandom.SecureRandom> {
  const random = yield* SecureRandom.SecureRandom
  const sessions = new Map<string, Session>()
  const open = Effect.fn("Sessions.open")(function* (userId: string, sudoUserId?: string) {
    const now = yield* Clock.currentTimeMillis
    for (const [token, { end }] of sessions) if (end <= now) sessions.delete(token)
    const access_token = Hex.encode(yield* random.randomBytes(20))
    const end = now + Duration.toMillis(options.tokenLife)
    sessions.set(access_token, { userId, sudoUserId, end, workspace: "production" })
    return { access_token, token_type: "Bearer", expires_in: Math.floor(Duration.toSeconds(options.tokenLife)) }
  })
  const get = Effect.fnUntraced(function* (token: string) {
    const now = yield* Clock.currentTimeMillis
    const session = sessions.get(token)
    if (session === undefined || session.end <= now) {
      return yield* new Unauthorized({ message: "Requires authentication." })
    }
    return session
  })
  return Sessions.of({
    open,
    get,
    logout: (token) => Effect.sync(() => void sessions.delete(token)),
    chooseWorkspace: (token, workspace) =>
      Effect.map(get(token), (session) => void sessions.set(token, { ...session, workspace })),
    forget: Effect.sync(() => sessions.clear())
  })
})

/**
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options): Layer.Layer<Sessions, never, SecureRandom.SecureRandom> =>
  Layer.effect(Sessions, make(options))
