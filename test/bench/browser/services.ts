/** A page that calls two endpoints: the services of queries and tasks, and what they stand on. */
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as Layer from "effect/Layer"
import * as LookerAuth from "effect-looker/LookerAuth"
import * as LookerConfig from "effect-looker/LookerConfig"
import * as LookerHttp from "effect-looker/LookerHttp"
import * as Queries from "effect-looker/Queries"
import * as QueryTasks from "effect-looker/QueryTasks"

const program = Effect.gen(function* () {
  const queries = yield* Queries.Queries
  const tasks = yield* QueryTasks.QueryTasks
  const { id } = yield* queries.createQuery({ model: "m", view: "orders", fields: ["orders.count"] })
  return [id, yield* tasks.queryTask("t1")]
})

const settings = LookerConfig.layer({ baseUrl: "https://looker.example", clientId: "id", clientSecret: "secret" })
const looker = Layer.merge(Queries.layer, QueryTasks.layer).pipe(
  Layer.provide(LookerHttp.layer),
  Layer.provide(LookerAuth.layer),
  Layer.provide([settings, FetchHttpClient.layer])
)

export const result = Effect.runPromise(Effect.provide(program, looker))
