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
 * What a token stands for. `workspace` is `production` until another is chosen.
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
    /** `sudoUserId` is who logs in as the user, if it is not himself. */
    readonly open: (userId: string, sudoUserId?: string) => Effect.Effect<AccessToken>
    readonly get: (token: string) => Effect.Effect<Session, Unauthorized>
    readonly logout: (token: string) => Effect.Effect<void>
    readonly chooseWorkspace: (token: string, workspace: string) => Effect.Effect<void, Unauthorized>
    readonly forget: Effect.Effect<void>
  }
>()("effect-looker/embedded/Sessions") {}

/**
 * @category constructors
 * @since 0.1.0
 */
export const make = (options: Options): Sessions["Service"] => {
  const sessions = new Map<string, Session>()
  const open = Effect.fn("Sessions.open")(function* (userId: string, sudoUserId?: string) {
    const now = yield* Clock.currentTimeMillis
    for (const [token, { end }] of sessions) if (end <= now) sessions.delete(token)
    const access_token = yield* Effect.sync(() => randomBytes(20).toString("hex"))
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
}

/**
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options): Layer.Layer<Sessions> => Layer.sync(Sessions, () => make(options))
