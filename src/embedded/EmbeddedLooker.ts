/**
 * The embedded Looker: Looker's API over a folder of CSV, JSON or Parquet files, in process or on a socket.
 *
 * @since 0.1.0
 */
import { createServer } from "node:http"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as Context from "effect/Context"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientError from "effect/http/HttpClientError"
import * as HttpEffect from "effect/http/HttpEffect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import type * as HttpServerError from "effect/http/HttpServerError"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import * as DataFolder from "./data/DataFolder.ts"
import * as DuckDb from "./database/DuckDb.ts"
import { EmbeddedApi } from "./EmbeddedApi.ts"
import { EmbeddedError } from "./EmbeddedError.ts"
import * as Faults from "./faults/Faults.ts"
import * as ApiReference from "./server/ApiReference.ts"
import * as FaultMiddleware from "./server/FaultMiddleware.ts"
import * as LocalOnly from "./server/LocalOnly.ts"
import * as LookerErrors from "./server/LookerErrors.ts"
import * as QueryHandlers from "./server/QueryHandlers.ts"
import * as SessionHandlers from "./server/SessionHandlers.ts"
import * as StatusPage from "./server/StatusPage.ts"
import * as QueryStore from "./tasks/QueryStore.ts"
import * as Sessions from "./tasks/Sessions.ts"
import * as TaskStore from "./tasks/TaskStore.ts"
import * as Users from "./tasks/Users.ts"

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

export {
  /**
   * @category errors
   * @since 0.1.0
   */
  EmbeddedError
}

/**
 * The credentials of an embedded Looker without the options `clientId`, `clientSecret` and `users`.
 *
 * @category constants
 * @since 0.1.0
 */
export const credentials = { clientId: "embedded", clientSecret: Redacted.make("embedded") } as const

/**
 * A base URL for {@link layer}, which ignores the host of a request.
 *
 * @category constants
 * @since 0.1.0
 */
export const inProcessBaseUrl = "http://embedded.looker"

/**
 * A running server: its base URL and the credentials for a client.
 *
 * @category services
 * @since 0.1.0
 */
export class EmbeddedServer extends Context.Service<
  EmbeddedServer,
  { readonly baseUrl: string; readonly clientId: string; readonly clientSecret: Redacted.Redacted }
>()("effect-looker/embedded/EmbeddedServer") {}

/** The credentials for a client: those of the first user, if there are several. */
const credentialsOf = ({ clientId, clientSecret, users }: Options) => {
  const user = users?.[0] ?? { clientId, clientSecret }
  const secret = user.clientSecret ?? credentials.clientSecret
  return {
    clientId: user.clientId ?? credentials.clientId,
    clientSecret: typeof secret === "string" ? Redacted.make(secret) : secret
  }
}

type Stores =
  | DuckDb.DuckDb
  | QueryStore.QueryStore
  | TaskStore.TaskStore
  | Sessions.Sessions
  | Users.Users
  | Faults.Faults

/** The user of an embedded Looker without the option `users`. */
const onlyUser = (options: Options): Users.UserOptions => ({
  id: "1",
  ...credentialsOf(options),
  displayName: "Embedded User",
  permissions: ["administer"]
})

interface Settings extends TaskStore.Options, QueryStore.Options {
  readonly models: Readonly<Record<string, DataFolder.Data>>
  readonly tokenLife: Duration.Duration
}

/** Checks the options beyond their types. DuckDB itself checks `memoryLimit`. */
const settingsOf = Effect.fnUntraced(function* (options: ServerOptions): Effect.fn.Return<Settings, EmbeddedError> {
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

/** The database with the data, and the stores of queries, tasks, sessions and users. */
const layerStores = Effect.fnUntraced(function* (
  options: ServerOptions
): Effect.fn.Return<Layer.Layer<Stores, EmbeddedError>, EmbeddedError> {
  const settings = yield* settingsOf(options)
  const queries = Layer.unwrap(
    Effect.gen(function* () {
      const database = yield* DuckDb.DuckDb
      const models = yield* DataFolder.load(database, settings.models)
      const users = options.users ?? [onlyUser(options)]
      yield* Users.check(users, [...models.keys()])
      const faults = Faults.layer(options.faults ?? [], models)
      return Layer.mergeAll(QueryStore.layer(models, settings), Users.layer(users), faults)
    })
  )
  return Layer.merge(TaskStore.layer(settings), Sessions.layer(settings)).pipe(
    Layer.provide(SecureRandom.layerWebCrypto),
    Layer.provideMerge(queries),
    Layer.provideMerge(DuckDb.layer({ memoryLimit: options.memoryLimit }))
  )
}, Layer.unwrap)

/** The endpoints, over the stores. */
const layerEndpoints = (options: Options): Layer.Layer<never, never, HttpRouter.HttpRouter | Stores> =>
  HttpApiBuilder.layer(EmbeddedApi).pipe(
    Layer.provide([
      SessionHandlers.layerApiAuth,
      SessionHandlers.layerSession,
      SessionHandlers.layerUser,
      QueryHandlers.layerQuery({ notFinished: options.notFinished ?? 202 })
    ]),
    Layer.provide(SessionHandlers.layerAuthorization),
    Layer.provide(HttpServer.layerServices),
    Layer.merge(StatusPage.layer),
    Layer.merge(ApiReference.layer),
    Layer.merge(LookerErrors.layer),
    // The last middleware is the outermost.
    (endpoints) => Layer.provideMerge(FaultMiddleware.layer, endpoints)
  )

/** The faults of the stores, for a test that adds others. */
const layerFaults: Layer.Layer<Faults.Faults, never, Faults.Faults> = Layer.effect(Faults.Faults, Faults.Faults)

/**
 * The routes, to be served by any `HttpRouter`.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerRoutes = (options: Options): Layer.Layer<Faults.Faults, EmbeddedError, HttpRouter.HttpRouter> =>
  Layer.merge(layerFaults, layerEndpoints(options)).pipe(Layer.provide(layerStores(options)))

/**
 * An embedded Looker in process: an `HttpClient` whose requests go straight to the routes, whatever the host in their URL.
 *
 * **Details**
 *
 * A request runs in the fiber that sends it, with its clock: under a `TestClock` tokens and results expire when the test advances it.
 * Queries themselves take real time. A test adds faults with `Faults`.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options): Layer.Layer<HttpClient.HttpClient | Faults.Faults, EmbeddedError> => {
  const client = Layer.effect(
    HttpClient.HttpClient,
    Effect.gen(function* () {
      const router = yield* HttpRouter.toHttpEffect(layerEndpoints(options))
      return HttpClient.make((request) =>
        Effect.gen(function* () {
          let received = HttpServerResponse.empty({ status: 500 })
          const handled = HttpEffect.toHandled(router, (_, response) =>
            Effect.sync(() => {
              received = HttpEffect.scopeTransferToStream(response)
            })
          )
          yield* Effect.provideService(
            handled,
            HttpServerRequest.HttpServerRequest,
            HttpServerRequest.fromClientRequest(request)
          )
          if (received !== FaultMiddleware.brokenConnection) {
            return HttpServerResponse.toClientResponse(received, { request })
          }
          const reason = new HttpClientError.TransportError({ request, description: "the connection was reset" })
          return yield* new HttpClientError.HttpClientError({ reason })
        })
      )
    })
  )
  return Layer.provide(Layer.merge(client, layerFaults), layerStores(options))
}

const cannotListen = (host: string, port: number) => (error: HttpServerError.ServeError) => {
  const { cause } = error
  const inUse = Predicate.hasProperty(cause, "code") && cause.code === "EADDRINUSE"
  const why = inUse ? "the port is in use" : cause instanceof Error ? cause.message : String(cause)
  return new EmbeddedError({ message: `cannot listen on ${host}:${port}: ${why}` })
}

/**
 * An embedded Looker on a socket. The data is loaded before it listens.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerServer = (options: ServerOptions): Layer.Layer<EmbeddedServer | Faults.Faults, EmbeddedError> =>
  Layer.unwrap(
    Effect.sync(() => {
      const host = options.host ?? "127.0.0.1"
      const port = options.port ?? 0
      const server = createServer()
      const listening = Layer.effect(
        HttpServer.HttpServer,
        Effect.mapError(
          NodeHttpServer.make(() => server, { host, port }),
          cannotListen(host, port)
        )
      )
      const endpoints = layerEndpoints(options)
      const served = HttpRouter.serve(LocalOnly.isOwnName(host) ? Layer.merge(endpoints, LocalOnly.layer) : endpoints, {
        disableLogger: true,
        disableListenLog: true
      })
      const described = Layer.effect(
        EmbeddedServer,
        Effect.gen(function* () {
          const { address } = yield* HttpServer.HttpServer
          // Runs before the server's own shutdown, which would wait for clients that never finish reading.
          yield* Effect.addFinalizer(() =>
            Effect.sync(() => {
              server.close()
              server.closeAllConnections()
            })
          )
          return { baseUrl: HttpServer.formatAddress(address), ...credentialsOf(options) }
        })
      )
      return Layer.provideMerge(described, served).pipe(
        Layer.merge(layerFaults),
        Layer.provide(listening),
        Layer.provide(layerStores(options))
      )
    })
  )
