/**
 * Looker over Node's HTTP client as Looker needs it: HTTP/2 with windows that do not slow down large results, proxies and certificates.
 *
 * Needs `@effect/platform-node`.
 *
 * @since 0.2.0
 */
import { createSecureContext, getCACertificates, type SecureContext } from "node:tls"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import type * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import * as Looker from "../Looker.ts"
import * as LookerAuth from "../LookerAuth.ts"
import * as LookerConfig from "../LookerConfig.ts"
import { ConfigurationError } from "../LookerError.ts"

/**
 * What a sender may have on its way before the client says that it took some, for one response and for all of a connection: with less, a
 * connection with a round trip of 30 ms is slower than 100 MB/s. It is also the most that waits in memory for a slow reader.
 */
const windows = { response: 8 * 1024 * 1024, connection: 32 * 1024 * 1024 }

/** The most connections. With HTTP/2 a few are used, with HTTP/1.1 one for each request that waits for a response. */
const connections = 128

const invalid = (message: string) => new ConfigurationError({ message, missing: [] })

/** A variable of the environment, in lower case as curl reads it, or else in upper case. */
const proxyVariable = (name: string) =>
  Config.String(name).pipe(
    Config.orElse(() => Config.String(name.toUpperCase())),
    Config.withDefault("")
  )

const proxyProtocols: ReadonlySet<string> = new Set(["http:", "https:", "socks:", "socks5:"])

/** The URL of a proxy. As for curl it may have no scheme, and then it is http. Errors do not show it, for the password in it. */
const proxyUrl = Effect.fnUntraced(function* (name: string): Effect.fn.Return<string, ConfigurationError> {
  const text = yield* Effect.mapError(proxyVariable(name), (error) =>
    invalid(`${name.toUpperCase()} cannot be read: ${error.message}`)
  )
  if (text.trim() === "") return ""
  const url = text.includes("://") ? text.trim() : `http://${text.trim()}`
  if (URL.canParse(url) && proxyProtocols.has(new URL(url).protocol)) return url
  return yield* invalid(`${name.toUpperCase()} is not the URL of a proxy. Write http://host:port`)
})

/** The certificates that are trusted: those of Node, with NODE_EXTRA_CA_CERTS, and those of the file. */
const trusted = Effect.fnUntraced(function* (
  caFile: string
): Effect.fn.Return<SecureContext, ConfigurationError, FileSystem.FileSystem> {
  const text = yield* Effect.flatMap(FileSystem.FileSystem, (fs) => fs.readFileString(caFile)).pipe(
    Effect.mapError((error) => invalid(`The CA file ${caFile} cannot be read: ${error.message}`))
  )
  if (!text.includes("-----BEGIN CERTIFICATE-----")) {
    return yield* invalid(
      `The CA file ${caFile} has no certificate in it. It has to be in PEM (-----BEGIN CERTIFICATE-----)`
    )
  }
  // Made once: it takes milliseconds, which each connection would take again.
  return yield* Effect.try({
    try: () => createSecureContext({ ca: [...getCACertificates("default"), text] }),
    catch: (cause) => invalid(`The CA file ${caFile} cannot be used: ${String(cause)}`)
  })
})

/** The dispatcher of undici for one Looker. */
const makeDispatcher = Effect.gen(function* () {
  const { baseUrl, caFile, verifySsl } = yield* LookerConfig.LookerConfig
  const isTls = baseUrl.startsWith("https:")
  // Of an http URL the proxy is HTTP_PROXY, and of an https URL HTTPS_PROXY only: undici would take HTTP_PROXY in its place.
  const proxy = yield* proxyUrl(isTls ? "https_proxy" : "http_proxy")
  const noProxy = yield* Effect.mapError(proxyVariable("no_proxy"), (error) =>
    invalid(`NO_PROXY cannot be read: ${error.message}`)
  )
  const tls = {
    rejectUnauthorized: verifySsl,
    ...(caFile === undefined ? {} : { secureContext: yield* trusted(caFile) })
  }
  const undici = yield* Effect.promise(() => import("@effect/platform-node/Undici"))
  return yield* Effect.acquireRelease(
    Effect.sync(
      () =>
        new undici.EnvHttpProxyAgent({
          connections,
          h2Options: {
            settings: { initialWindowSize: windows.response },
            connectionWindowSize: windows.connection
          },
          // undici 8.12 checks the setting above and then reads this one.
          initialWindowSize: windows.response,
          // The same three times: without a proxy, through one, and for a proxy that speaks TLS itself.
          connect: tls,
          requestTls: tls,
          proxyTls: tls,
          // Texts, also empty ones: undici reads the environment for those that are absent.
          httpProxy: isTls ? "" : proxy,
          httpsProxy: isTls ? proxy : "",
          noProxy
        })
    ),
    (dispatcher) => Effect.promise(() => dispatcher.destroy())
  )
})

/**
 * Node's HTTP client for one Looker, as its configuration says.
 *
 * **Details**
 *
 * - HTTP/2 where the server has it, with windows of 8 MB for a response and 32 MB for a connection, and at most 128 connections
 * - `HTTPS_PROXY` (`HTTP_PROXY` for an http base URL) and `NO_PROXY`, in lower or upper case, read through `Config`
 * - `verifySsl` and `caFile` of {@link LookerConfig.Settings}; the certificates of the file are trusted beside those of Node and of
 *   `NODE_EXTRA_CA_CERTS`
 *
 * @category layers
 * @since 0.2.0
 */
export const layerHttpClient: Layer.Layer<HttpClient.HttpClient, ConfigurationError, LookerConfig.LookerConfig> =
  NodeHttpClient.layerUndiciNoDispatcher.pipe(
    Layer.provide(Layer.effect(NodeHttpClient.Dispatcher, makeDispatcher)),
    Layer.provide(NodeFileSystem.layer)
  )

/** The services of the library over a configuration. Fresh, so that each Looker of a program has services of its own. */
const over = <E, R>(config: Layer.Layer<LookerConfig.LookerConfig, E, R>) =>
  Layer.fresh(
    Looker.layerServices.pipe(
      Layer.provide(LookerAuth.layer),
      Layer.provide(layerHttpClient),
      Layer.provide(Layer.succeed(LookerConfig.AppliesTlsSettings, true))
    )
  ).pipe(Layer.provide(config))

/**
 * `Looker.layer` with Node's HTTP client as Looker needs it.
 *
 * @category layers
 * @since 0.2.0
 */
export const layer = (options: LookerConfig.Options): Layer.Layer<Looker.Services, ConfigurationError> =>
  over(LookerConfig.layer(options))

/**
 * `Looker.layerEnv` with Node's HTTP client as Looker needs it.
 *
 * @category layers
 * @since 0.2.0
 */
export const layerEnv: Layer.Layer<Looker.Services, ConfigurationError> = /*#__PURE__*/ over(LookerConfig.layerEnv)

/**
 * `Looker.layerIni` with Node's HTTP client as Looker needs it.
 *
 * @category layers
 * @since 0.2.0
 */
export const layerIni = (
  options?: Parameters<typeof LookerConfig.layerIni>[0]
): Layer.Layer<Looker.Services, ConfigurationError> =>
  over(Layer.provide(LookerConfig.layerIni(options), NodeFileSystem.layer))
