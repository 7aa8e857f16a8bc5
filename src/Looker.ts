/**
 * The ready-made layer: every service of the library from one configuration and an `HttpClient`.
 *
 * @since 0.1.0
 */
import type * as Config from "effect/Config"
import type * as FileSystem from "effect/FileSystem"
import type * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import * as LookerAuth from "./LookerAuth.ts"
import * as LookerConfig from "./LookerConfig.ts"
import type { ConfigurationError } from "./LookerError.ts"
import * as LookerHttp from "./LookerHttp.ts"
import * as Queries from "./Queries.ts"
import * as QueryRunner from "./QueryRunner.ts"
import * as QueryTaskPoller from "./QueryTaskPoller.ts"
import * as QueryTaskRun from "./QueryTaskRun.ts"
import * as QueryTasks from "./QueryTasks.ts"

/**
 * All services of the library.
 *
 * @category models
 * @since 0.1.0
 */
export type Services =
  | LookerHttp.LookerHttp
  | Queries.Queries
  | QueryTasks.QueryTasks
  | QueryTaskPoller.QueryTaskPoller
  | QueryTaskRun.QueryTaskRun
  | QueryRunner.QueryRunner

/**
 * The services over a configuration and a source of tokens, for programs that have their own.
 *
 * **Gotchas**
 *
 * Layers are shared by reference, whatever is provided to them. A program with two Lookers needs `Layer.fresh` of this one. The other
 * layers here are fresh.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerServices: Layer.Layer<
  Services,
  never,
  LookerConfig.LookerConfig | LookerAuth.LookerAuth | HttpClient.HttpClient
> = QueryRunner.layer.pipe(
  Layer.provideMerge(QueryTaskRun.layer),
  Layer.provideMerge(QueryTaskPoller.layer),
  Layer.provideMerge(Layer.merge(Queries.layer, QueryTasks.layer)),
  Layer.provideMerge(LookerHttp.layer)
)

/** Fresh, so that each Looker of a program has services of its own. */
const withLogin: Layer.Layer<Services, ConfigurationError, LookerConfig.LookerConfig | HttpClient.HttpClient> =
  Layer.fresh(Layer.provide(layerServices, LookerAuth.layer))

/**
 * Looker at a URL, with the client id and secret of an API key.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  options: LookerConfig.Options
): Layer.Layer<Services, ConfigurationError, HttpClient.HttpClient> =>
  Layer.provide(withLogin, LookerConfig.layer(options))

/**
 * Looker at a URL, with a token that comes from elsewhere.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerToken = (
  options: LookerConfig.Options & { readonly token: Parameters<typeof LookerAuth.layerToken>[0] }
): Layer.Layer<Services, ConfigurationError, HttpClient.HttpClient> =>
  Layer.fresh(layerServices).pipe(Layer.provide([LookerAuth.layerToken(options.token), LookerConfig.layer(options)]))

/**
 * Looker at the URL and with the credentials of a `Config`.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerConfig = (
  options: Config.Wrap<LookerConfig.Options>
): Layer.Layer<Services, ConfigurationError | Config.ConfigError, HttpClient.HttpClient> =>
  Layer.provide(withLogin, LookerConfig.layerConfig(options))

/**
 * Looker at the URL and with the credentials of `LOOKERSDK_BASE_URL`, `LOOKERSDK_CLIENT_ID` and `LOOKERSDK_CLIENT_SECRET`.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerEnv: Layer.Layer<Services, ConfigurationError, HttpClient.HttpClient> = Layer.provide(
  withLogin,
  LookerConfig.layerEnv
)

/**
 * Looker at the URL and with the credentials of a looker.ini, each value overridden by its `LOOKERSDK_*` variable.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerIni = (
  options?: Parameters<typeof LookerConfig.layerIni>[0]
): Layer.Layer<Services, ConfigurationError, HttpClient.HttpClient | FileSystem.FileSystem> =>
  Layer.provide(withLogin, LookerConfig.layerIni(options))
