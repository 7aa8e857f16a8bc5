/**
 * The options of an embedded Looker, their checks and their defaults.
 *
 * @since 0.1.0
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import type * as DataFolder from "../data/DataFolder.ts"
import { EmbeddedError } from "../EmbeddedError.ts"
import type * as Faults from "../faults/Faults.ts"
import type * as QueryStore from "../tasks/QueryStore.ts"
import type * as Sessions from "../tasks/Sessions.ts"
import type * as TaskStore from "../tasks/TaskStore.ts"
import type * as Users from "../tasks/Users.ts"

/**
 * The data to serve, the users, and how long tokens, results and cached results live.
 *
 * @category options
 * @since 0.1.0
 */
export interface Options {
  /**
   * Folders or single files (.csv .json .ndjson .jsonl .parquet), each an explore named after the file; or an object of explore name to
   * file.
   */
  readonly data?: DataFolder.Data | undefined
  /** The name of the model that `data` is. Default: `"embedded"`. */
  readonly model?: string | undefined
  /** More models, each by its name with its own data. */
  readonly models?: Readonly<Record<string, DataFolder.Data>> | undefined
  /**
   * The present for filters such as `7 days`. Default: the time at which a task is created.
   */
  readonly now?: DateTime.DateTime.Input | undefined
  /** The client id of the one user. Default: `"embedded"`. */
  readonly clientId?: string | undefined
  /** The client secret of the one user. Default: `"embedded"`. */
  readonly clientSecret?: string | Redacted.Redacted | undefined
  /**
   * The users who can log in, in place of the one user with `clientId` and `clientSecret`, who is an admin. {@link EmbeddedServer} has the
   * credentials of the first.
   *
   * **Example**
   *
   * ```ts
   * const users = [
   *   { id: "1", clientId: "admin", clientSecret: "a", permissions: ["administer"] },
   *   { id: "2", clientId: "analyst", clientSecret: "b", permissions: ["see_sql"], models: ["sales"] }
   * ] as const
   * ```
   */
  readonly users?: ReadonlyArray<Users.UserOptions> | undefined
  /** How long a token is valid. Default: 1 hour. */
  readonly tokenLife?: Duration.Input | undefined
  /** How long the rows of a task are kept. Afterwards it is `expired` for as long. Default: 1 hour. */
  readonly resultLife?: Duration.Input | undefined
  /**
   * How long the result of a query is used for the next task of the same query, unless that has `cache=false`. Such a task is complete at
   * once, without `taskDelay`. 0 for no cache. Default: `resultLife`.
   */
  readonly cacheLife?: Duration.Input | undefined
  /**
   * Tasks that run at the same time. The others wait as `added`, and users get slots in turn. A task occupies one of Node's four threads for
   * files and DNS, so that more than 3 leave none for those. Default: 2.
   */
  readonly concurrency?: number | undefined
  /** Tasks of one user that run at the same time, within `concurrency`. Default: 15, as in Looker. */
  readonly concurrencyPerUser?: number | undefined
  /** How long a task can be `added` before it ends with an error. Default: 10 minutes, as in Looker. */
  readonly queueTimeout?: Duration.Input | undefined
  /** The memory limit of DuckDB, which spills to a temporary folder beyond it. Default: `"1GB"`. */
  readonly memoryLimit?: string | undefined
  /** The status of a response for results that are not there yet: 202, or 204 as in Looker before 25.0.9. Default: 202. */
  readonly notFinished?: 202 | 204 | undefined
  /** How long a task is `running` before its query starts, for tests of pollers, kills and timeouts. Default: 0. */
  readonly taskDelay?: Duration.Input | undefined
  /** The faults that the server simulates. A test adds others later with `Faults`. Default: none. */
  readonly faults?: ReadonlyArray<Faults.Rule> | undefined
}

/**
 * Where to listen. `port` is any free one by default, and `host` is 127.0.0.1.
 *
 * @category options
 * @since 0.1.0
 */
export interface ServerOptions extends Options {
  readonly port?: number | undefined
  readonly host?: string | undefined
}

/**
 * The options of the stores, checked and with their defaults.
 *
 * @category models
 * @since 0.1.0
 */
export interface Settings extends TaskStore.Options, QueryStore.Options, Sessions.Options {
  readonly models: Readonly<Record<string, DataFolder.Data>>
}

/**
 * Checks the options beyond their types. DuckDB itself checks `memoryLimit`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const settingsOf = Effect.fnUntraced(function* (
  options: ServerOptions
): Effect.fn.Return<Settings, EmbeddedError> {
  const invalid = (name: string, value: unknown, needed: string) =>
    new EmbeddedError({ message: `${name} is ${String(value)}, and has to be ${needed}` })
  const lifeOf = (
    name: "tokenLife" | "resultLife" | "cacheLife" | "queueTimeout" | "taskDelay",
    defaultLife: Duration.Input
  ) => {
    const given = options[name] ?? defaultLife
    return Duration.fromInput(given).pipe(
      Option.filter((life) => !Number.isNaN(given) && !Duration.isNegative(life)),
      Effect.fromOption,
      Effect.mapError(() => invalid(name, given, 'a length of time, such as "90 seconds" or a number of milliseconds'))
    )
  }
  const { concurrency = 2, concurrencyPerUser = 15, data, model = "embedded", models, port = 0 } = options
  if (options.users !== undefined && (options.clientId ?? options.clientSecret) !== undefined) {
    const message = "there are users and a clientId or clientSecret: put the credentials into users"
    return yield* new EmbeddedError({ message })
  }
  if (data !== undefined && models !== undefined && Object.hasOwn(models, model)) {
    return yield* new EmbeddedError({ message: `there are two models ${model}: data is one, and models has another` })
  }
  const now = options.now === undefined ? undefined : DateTime.make(options.now)
  if (now !== undefined && Option.isNone(now)) {
    return yield* invalid("now", options.now, 'a time, such as "2001-01-10T18:20:00Z" or a number of milliseconds')
  }
  const tokenLife = yield* lifeOf("tokenLife", "1 hour")
  for (const [name, value] of Object.entries({ concurrency, concurrencyPerUser })) {
    if (!Number.isInteger(value) || value < 1) {
      return yield* invalid(name, value, "a whole number, 1 or more: no task would ever run")
    }
  }
  if (!Number.isInteger(port) || port < 0 || port > 65_535) {
    return yield* invalid("port", port, "a whole number from 1 to 65535, or 0 for any free one")
  }
  if (!Duration.isFinite(tokenLife)) {
    return yield* invalid("tokenLife", options.tokenLife, "finite: a login says how many seconds its token works")
  }
  const resultLife = yield* lifeOf("resultLife", "1 hour")
  return {
    concurrency,
    concurrencyPerUser,
    queueTimeout: yield* lifeOf("queueTimeout", "10 minutes"),
    cacheLife: yield* lifeOf("cacheLife", resultLife),
    models: { ...(data === undefined ? {} : { [model]: data }), ...models },
    now: now?.pipe(Option.map(DateTime.toEpochMillis), Option.getOrUndefined),
    resultLife,
    taskDelay: yield* lifeOf("taskDelay", 0),
    tokenLife
  }
})
