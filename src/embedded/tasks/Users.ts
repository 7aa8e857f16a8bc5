/**
 * The users of an embedded Looker: their credentials and permissions.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { NotFound } from "../../LookerError.ts"
import { EmbeddedError } from "../EmbeddedError.ts"

/**
 * Those of Looker's permissions that matter for query tasks.
 *
 * **Details**
 *
 * - `administer`: all models, `see_sql`, `login_user` (sudo), and the running queries of all users, to see and to kill
 * - `see_sql`: the SQL of a result. Without it `sql` is null in json_detail and json_bi, and the format `sql` is not allowed
 *
 * @category models
 * @since 0.1.0
 */
export type Permission = "administer" | "see_sql"

/**
 * A user who can log in.
 *
 * @category options
 * @since 0.1.0
 */
export interface UserOptions {
  /** Looker's ids are numbers written as text: `"7"`. */
  readonly id: string
  readonly clientId: string
  readonly clientSecret: string | Redacted.Redacted
  /** Default: the client id. */
  readonly displayName?: string | undefined
  readonly email?: string | undefined
  /** The models that the user may use. Other models are 404. Default: all. */
  readonly models?: ReadonlyArray<string> | undefined
  /** Default: none. */
  readonly permissions?: ReadonlyArray<Permission> | undefined
}

/**
 * @category models
 * @since 0.1.0
 */
export interface User {
  readonly id: string
  readonly clientId: string
  readonly clientSecret: Redacted.Redacted
  readonly displayName: string
  readonly email: string | null
  /** Can see and kill the running queries of all users, and log in as any user (inferred: not determined for Looker). */
  readonly isAdmin: boolean
  readonly seesSql: boolean
  readonly mayUse: (model: string) => boolean
}

/**
 * @category services
 * @since 0.1.0
 */
export class Users extends Context.Service<
  Users,
  {
    get(id: string): Effect.Effect<User, NotFound>
    withCredentials(clientId: string, clientSecret: string): Effect.Effect<User, NotFound>
  }
>()("effect-looker/embedded/Users") {}

const permissions: ReadonlyArray<Permission> = ["administer", "see_sql"]

const duplicate = (values: ReadonlyArray<string>): string | undefined =>
  values.find((value, index) => values.indexOf(value) !== index)

/**
 * Fails if a user could not log in, or has the id or the client id of another.
 *
 * @category guards
 * @since 0.1.0
 */
export const check = Effect.fnUntraced(function* (
  users: ReadonlyArray<UserOptions>,
  models: ReadonlyArray<string>
): Effect.fn.Return<void, EmbeddedError> {
  const invalid = (message: string) => new EmbeddedError({ message })
  if (users.length === 0)
    return yield* invalid("users is empty, so that no user could log in: leave it out, or name one")
  for (const [index, user] of users.entries()) {
    const secret = Redacted.isRedacted(user.clientSecret) ? Redacted.value(user.clientSecret) : user.clientSecret
    for (const [name, value] of [
      ["id", user.id],
      ["clientId", user.clientId],
      ["clientSecret", secret]
    ] as const) {
      if (typeof value !== "string" || value === "") {
        return yield* invalid(`users[${index}].${name} has to be a text, not empty`)
      }
    }
    const model = user.models?.find((model) => !models.includes(model))
    if (model !== undefined) {
      return yield* invalid(
        `users[${index}].models has ${JSON.stringify(model)}, and there is only ${models.join(", ")}`
      )
    }
    const permission = user.permissions?.find((permission) => !permissions.includes(permission))
    if (permission !== undefined) {
      const known = permissions.join(", ")
      return yield* invalid(`users[${index}].permissions has ${JSON.stringify(permission)}, and there is only ${known}`)
    }
  }
  const id = duplicate(users.map((user) => user.id))
  if (id !== undefined) return yield* invalid(`two users have the id ${JSON.stringify(id)}: give each its own`)
  const clientId = duplicate(users.map((user) => user.clientId))
  if (clientId !== undefined) {
    return yield* invalid(`two users have the clientId ${JSON.stringify(clientId)}: give each its own`)
  }
})

const fromOptions = (options: UserOptions): User => {
  const { clientId, clientSecret, email, id, models } = options
  const isAdmin = options.permissions?.includes("administer") ?? false
  return {
    id,
    clientId,
    clientSecret: typeof clientSecret === "string" ? Redacted.make(clientSecret) : clientSecret,
    displayName: options.displayName ?? clientId,
    email: email ?? null,
    isAdmin,
    seesSql: isAdmin || (options.permissions?.includes("see_sql") ?? false),
    mayUse: (model) => isAdmin || models === undefined || models.includes(model)
  }
}

const orNotFound = (user: User | undefined) =>
  user === undefined ? Effect.fail(new NotFound({ message: "Not found" })) : Effect.succeed(user)

/**
 * @category constructors
 * @since 0.1.0
 */
export const make = (options: ReadonlyArray<UserOptions>): Users["Service"] => {
  const users = options.map(fromOptions)
  return Users.of({
    get: (id) => orNotFound(users.find((user) => user.id === id)),
    withCredentials: (clientId, clientSecret) =>
      orNotFound(users.find((user) => user.clientId === clientId && Redacted.value(user.clientSecret) === clientSecret))
  })
}

/**
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: ReadonlyArray<UserOptions>): Layer.Layer<Users> => Layer.sync(Users, () => make(options))
