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
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import * as DataFolder from "./data/DataFolder.ts"
import * as DuckDb from "./database/DuckDb.ts"
import { EmbeddedApi } from "./EmbeddedApi.ts"
import { EmbeddedError } from "./EmbeddedError.ts"
import { type Options, type ServerOptions, settingsOf } from "./EmbeddedLooker/Options.ts"
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

export type {
  /**
   * @category options
   * @since 0.1.0
   */
  Options,
  /**
   * @category options
   * @since 0.1.0
   */
  ServerOptions
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
            // On a socket, Node adds it.
            const date = DateTime.toDateUtc(yield* DateTime.now).toUTCString()
            return HttpServerResponse.toClientResponse(HttpServerResponse.setHeader(received, "date", date), {
              request
            })
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
