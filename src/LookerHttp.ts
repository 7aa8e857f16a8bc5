/**
 * HTTP: the endpoints of the contract, each call with base URL, token, timeout, retry, and exactly the errors it has.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Headers from "effect/http/Headers"
import * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import * as caller from "./internal/caller.ts"
import * as gate from "./internal/gate.ts"
import * as httpError from "./internal/httpError.ts"
import { LookerAuth } from "./LookerAuth.ts"
import { AppliesTlsSettings, LookerConfig } from "./LookerConfig.ts"
import type { HttpError } from "./LookerError.ts"
import * as LookerMetrics from "./LookerMetrics.ts"
import { LookerPolicy } from "./LookerPolicy.ts"

/**
 * Calls an endpoint of {@link LookerApi}, also one that has no service of its own here.
 *
 * **Details**
 *
 * After a 401 it logs in again, and sends the request once more. A failed request that is safe to repeat is retried as `LookerPolicy` says.
 * An error that the endpoint does not declare becomes `UnexpectedResponse`.
 *
 * **Example**
 *
 * ```ts
 * const user = LookerHttp.LookerHttp.use((http) => http.call(LookerApi.me, (send) => send({ query: {} })))
 * ```
 *
 * @category services
 * @since 0.1.0
 */
export class LookerHttp extends Context.Service<
  LookerHttp,
  {
    readonly call: caller.Caller
    /** The time limit of one request, and of each later read of its body. */
    readonly timeout: Duration.Duration
  }
>()("effect-looker/LookerHttp") {}

/**
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.gen(function* () {
  const settings = yield* LookerConfig
  const policy = yield* LookerPolicy
  const tokens = yield* LookerAuth
  const bound = caller.bindHttpClient(yield* HttpClient.HttpClient, settings)
  const httpClient = yield* limited(bound, settings.baseUrl)

  if (!(yield* AppliesTlsSettings)) {
    const ignored = [
      ...(settings.verifySsl ? [] : ["verify_ssl is off"]),
      ...(settings.caFile ? ["ca_file is set"] : [])
    ]
    if (ignored.length > 0) {
      yield* Effect.logWarning(
        `${ignored.join(" and ")}, which only the HttpClient that you provide can do. The layers of effect-looker/node do`
      )
    }
  }
  const clock = yield* Clock.Clock
  const context = yield* Effect.context<never>()
  const open = yield* gate.make<HttpError>({
    concurrency: policy.concurrentSubmissions,
    refusal: (error) => {
      if (error._tag !== "TooManyRequests") return undefined
      const { retryAfter } = error
      return retryAfter === undefined
        ? Duration.zero
        : Duration.min(Headers.retryAfterDelay(retryAfter, clock.currentTimeMillisUnsafe()), policy.retryAfterCap)
    },
    onChange: logChange,
    onPause: (millis) => LookerMetrics.paused.updateUnsafe(millis, context)
  })

  return LookerHttp.of({
    call: yield* caller.make({ httpClient, settings, policy, tokens, gate: open }),
    timeout: settings.timeout
  })
})

/**
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<LookerHttp, never, LookerConfig | LookerAuth | HttpClient.HttpClient> = Layer.effect(
  LookerHttp,
  make
)

const logChange = (change: gate.Change): Effect.Effect<void> => {
  switch (change._tag) {
    case "Paused": {
      return Effect.logWarning(`Looker responds with 429: no requests for ${formatMillis(change.millis)}`)
    }
    case "Slowed": {
      const { perSecond } = change
      const figure = perSecond < 10 ? perSecond.toFixed(1) : perSecond.toFixed(0)
      return Effect.logWarning(`Looker responds with 429: at most ${figure} requests per second, slowly more`)
    }
    case "Resumed": {
      const { after, refused } = change
      const requests = refused === 1 ? "1 request was" : `${refused} requests were`
      return Effect.logWarning(
        `Requests are sent without a limit again, ${formatMillis(after)} after the first 429: ${requests} refused`
      )
    }
  }
}

const formatMillis = (millis: number): string => Duration.format(Duration.millis(Math.round(millis)))

/** Keeps to the rate limit of the policy, if it has one. */
const limited = Effect.fnUntraced(function* (httpClient: caller.BoundClient, baseUrl: string) {
  const { rateLimit } = yield* LookerPolicy
  if (rateLimit === undefined) return httpClient
  return HttpClient.catchTag(yield* rateLimit.applyTo(httpClient, baseUrl), "RateLimiterError", (error) =>
    Effect.fail(httpError.fromRateLimiter(error.message))
  )
})
