/**
 * The one place where tests build the client's layers.
 */
import { NodeHttpClient } from "@effect/platform-node"
import { Layer } from "effect"
import { FetchHttpClient, type HttpClient } from "effect/http"
import { Looker, type LookerConfig, LookerPolicy } from "effect-looker"

export const credentials = { clientId: "a-client-id", clientSecret: "a-client-secret" }

/** The HTTP clients people use on Node. */
export const httpClients = [
  { name: "undici", http: NodeHttpClient.layerUndici },
  { name: "fetch", http: FetchHttpClient.layer }
] as const

/** The whole client over an HTTP client, quick unless a policy says otherwise. */
export const looker = (
  http: Layer.Layer<HttpClient.HttpClient>,
  options: { readonly policy?: LookerPolicy.Options } & Partial<LookerConfig.Options> = {}
) => {
  const { policy, ...config } = options
  return Looker.layer({ baseUrl: "http://looker.test", ...credentials, ...config }).pipe(
    Layer.provide(http),
    Layer.provide(LookerPolicy.layer(policy ?? {})),
    Layer.orDie
  )
}
