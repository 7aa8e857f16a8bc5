/**
 * The reference of the API: `/docs` as a page, and `/openapi.json`.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as HttpApiSwagger from "effect/http-api/HttpApiSwagger"
import * as OpenApi from "effect/http-api/OpenApi"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import { EmbeddedApi } from "../EmbeddedApi.ts"

/** Swagger UI, two megabytes of it in one page that needs no other host. It is loaded with the first request. */
const swagger = Effect.gen(function* () {
  const router = yield* HttpRouter.make
  yield* Layer.build(HttpApiSwagger.layer(EmbeddedApi)).pipe(Effect.provideService(HttpRouter.HttpRouter, router))
  return router.asHttpEffect()
})

/**
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<never, never, HttpRouter.HttpRouter> = HttpRouter.use(
  Effect.fnUntraced(function* (router) {
    const docs = yield* Effect.cached(Effect.provideService(swagger, Scope.Scope, yield* Effect.scope))
    yield* router.add("GET", "/docs", Effect.orDie(Effect.flatten(docs)))
    yield* router.add(
      "GET",
      "/openapi.json",
      Effect.sync(() => HttpServerResponse.jsonUnsafe(OpenApi.fromApi(EmbeddedApi)))
    )
  })
)
