/**
 * The handlers of queries and query tasks. A handler translates a request, calls a store, and writes the response as Looker does.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import type * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import type * as Layer from "effect/Layer"
import { type Authorization, CurrentSession } from "../../api/Authorization.ts"
import { BadRequest, NotFound } from "../../LookerError.ts"
import { DuckDb } from "../database/DuckDb.ts"
import { EmbeddedApi } from "../EmbeddedApi.ts"
import * as ResultBody from "../formats/ResultBody.ts"
import { invalid } from "../refusal/Validation.ts"
import { QueryStore, type StoredQuery } from "../tasks/QueryStore.ts"
import type { Task } from "../tasks/Task.ts"
import { TaskStore } from "../tasks/TaskStore.ts"
import { Users } from "../tasks/Users.ts"
import { multiResults } from "./MultiResults.ts"
import { projectedResponse } from "./Projection.ts"
import { isFormat, taskResults } from "./ResultResponse.ts"
import { runningBody, taskBody } from "./TaskJson.ts"

/**
 * @category options
 * @since 0.1.0
 */
export interface Options {
  readonly notFinished: 202 | 204
}

const notFound = new NotFound({ message: "Not found" })

/**
 * @category layers
 * @since 0.1.0
 */
export const layerQuery = (
  options: Options
): Layer.Layer<
  HttpApiGroup.Service<"Looker", "Query">,
  never,
  Authorization | QueryStore | TaskStore | DuckDb | Users
> =>
  HttpApiBuilder.group(
    EmbeddedApi,
    "Query",
    Effect.fnUntraced(function* (handlers) {
      const queries = yield* QueryStore
      const tasks = yield* TaskStore
      const database = yield* DuckDb
      const users = yield* Users
      const currentUser = Effect.flatMap(CurrentSession, ({ userId }) => users.get(userId))

      const polled = Effect.fnUntraced(function* (id: string) {
        const { userId } = yield* CurrentSession
        return yield* tasks.poll(userId, id)
      })

      /** Finds a query. One of a model that the user may not use is not found. */
      const allowed = Effect.fnUntraced(function* (find: Effect.Effect<StoredQuery, NotFound>) {
        const user = yield* currentUser
        const stored = yield* find
        return user.mayUse(stored.query.model ?? "") ? stored : yield* notFound
      })

      return handlers
        .handle("create_query", ({ payload, query }) =>
          Effect.gen(function* () {
            const user = yield* currentUser
            if (!user.mayUse(payload.model)) return yield* notFound
            return projectedResponse((yield* queries.create(payload)).query, query.fields)
          })
        )
        .handle("query", ({ params, query }) =>
          Effect.map(allowed(queries.get(params.query_id)), (stored) => projectedResponse(stored.query, query.fields))
        )
        .handle("query_for_slug", ({ params, query }) =>
          Effect.map(allowed(queries.forSlug(params.slug)), (stored) => projectedResponse(stored.query, query.fields))
        )
        .handle("create_query_task", ({ payload, query: params }) =>
          Effect.gen(function* () {
            const user = yield* currentUser
            if (!isFormat(payload.result_format)) {
              const message =
                `result_format ${payload.result_format} is not supported by the embedded Looker yet: ` +
                `it has ${ResultBody.formats.join(", ")}.`
              return yield* invalid([{ field: "result_format", code: "not_supported", message }])
            }
            // 404 for an unknown query: not determined for Looker, which documents 404 and 422 here.
            const stored = yield* allowed(queries.get(payload.query_id))
            const plan = yield* queries.plan(stored, params.limit)
            if (payload.result_format === "sql" && !user.seesSql) {
              const message = "result_format sql needs the permission see_sql."
              return yield* invalid([{ field: "result_format", code: "not_allowed", message }])
            }
            const task = yield* tasks.create({ userId: user.id, stored, plan, body: payload, params })
            return projectedResponse(taskBody(user, task), params.fields)
          })
        )
        .handle("query_task", ({ params, query }) =>
          Effect.gen(function* () {
            const task = yield* polled(params.query_task_id)
            return projectedResponse(taskBody(yield* currentUser, task), query.fields)
          })
        )
        .handle("query_task_multi_results", ({ query }) =>
          Effect.gen(function* () {
            // Looker's entries have an order of their own as well.
            const ids = [...new Set(query.query_task_ids)].sort()
            if (ids.length === 0) return yield* new BadRequest({ message: "query_task_ids names no task" })
            const found: Array<readonly [string, Task | undefined]> = []
            for (const id of ids) {
              const task = yield* Effect.catchTag(polled(id), "NotFound", () => Effect.succeed(undefined))
              // Before the next poll, which can expire tasks.
              if (task !== undefined) yield* tasks.retainResult(task)
              if (task?.isLeftOut !== true) found.push([id, task])
            }
            return yield* multiResults(yield* currentUser, found)
          }).pipe(Effect.provideService(DuckDb, database))
        )
        .handle("query_task_results", ({ params }) =>
          Effect.gen(function* () {
            const { userId } = yield* CurrentSession
            const task = yield* tasks.get(userId, params.query_task_id)
            yield* tasks.retainResult(task)
            return yield* taskResults(yield* currentUser, task, options.notFinished)
          }).pipe(Effect.provideService(DuckDb, database))
        )
        .handle("all_running_queries", () =>
          Effect.gen(function* () {
            const user = yield* currentUser
            const now = yield* Clock.currentTimeMillis
            const unfinished = (yield* tasks.unfinished).filter((task) => user.isAdmin || task.userId === user.id)
            return yield* Effect.forEach(unfinished, (task) =>
              Effect.map(users.get(task.userId), (owner) => runningBody(now, user, owner, task))
            )
          })
        )
        .handle("kill_query", ({ params }) =>
          Effect.flatMap(currentUser, (user) => tasks.kill(user, params.query_task_id))
        )
    })
  )
