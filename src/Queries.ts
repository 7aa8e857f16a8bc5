/**
 * Endpoints of queries: create one, find one.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as LookerApi from "./api/LookerApi.ts"
import * as Query from "./domain/Query.ts"
import * as traced from "./internal/traced.ts"
import type { CreateError, ReadError } from "./LookerError.ts"
import { LookerHttp } from "./LookerHttp.ts"

/**
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** A comma-separated list of the keys to respond with. Default: all. */
  readonly fields?: string | undefined
}

/**
 * The endpoints of queries.
 *
 * @category services
 * @since 0.1.0
 */
export class Queries extends Context.Service<
  Queries,
  {
    /** `POST /queries`. An identical query has the same id, so it is safe to repeat. */
    createQuery(query: Query.QueryInput, options?: Options): Effect.Effect<Query.Query, CreateError>
    /** `GET /queries/{query_id}` */
    query(queryId: string, options?: Options): Effect.Effect<Query.Query, ReadError>
    /** `GET /queries/slug/{slug}`, by share slug or 22-character client id. */
    queryForSlug(slug: string, options?: Options): Effect.Effect<Query.Query, ReadError>
  }
>()("effect-looker/Queries") {}

/**
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.gen(function* () {
  const { call } = yield* LookerHttp

  const createQuery = (query: Query.QueryInput, options: Options = {}) =>
    call(LookerApi.createQuery, (send) =>
      send({ payload: Query.toInput(query), query: { fields: options.fields } })
    ).pipe(
      traced.withSpan("Queries.createQuery", {
        attributes: () => ({ "looker.query.model": query.model, "looker.query.explore": query.view }),
        result: ({ id }: Query.Query) => ({ "looker.query.id": id })
      })
    )

  const query = (queryId: string, options: Options = {}) =>
    call(LookerApi.query, (send) => send({ params: { query_id: queryId }, query: { fields: options.fields } })).pipe(
      traced.withSpan("Queries.query", { attributes: () => ({ "looker.query.id": queryId }) })
    )

  const queryForSlug = (slug: string, options: Options = {}) =>
    call(LookerApi.queryForSlug, (send) => send({ params: { slug }, query: { fields: options.fields } })).pipe(
      traced.withSpan("Queries.queryForSlug", { result: ({ id }: Query.Query) => ({ "looker.query.id": id }) })
    )

  return Queries.of({ createQuery, query, queryForSlug })
})

/**
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<Queries, never, LookerHttp> = Layer.effect(Queries, make)
