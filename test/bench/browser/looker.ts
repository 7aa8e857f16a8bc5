/** The same with the ready-made layer, which also holds the poller and the runner. */
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as Layer from "effect/Layer"
import * as Looker from "effect-looker/Looker"
import * as Queries from "effect-looker/Queries"
import * as QueryTasks from "effect-looker/QueryTasks"

const program = Effect.gen(function* () {
  const queries = yield* Queries.Queries
  const tasks = yield* QueryTasks.QueryTasks
  const { id } = yield* queries.createQuery({ model: "m", view: "orders", fields: ["orders.count"] })
  return [id, yield* tasks.queryTask("t1")]
})

const looker = Looker.layer({ baseUrl: "https://looker.example", clientId: "id", clientSecret: "secret" }).pipe(
  Layer.provide(FetchHttpClient.layer)
)

export const result = Effect.runPromise(Effect.provide(program, looker))
