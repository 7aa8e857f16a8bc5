/**
 * The contract, answered: every handler translates a request, asks a store, and writes the answer as Looker does.
 *
 * @since 0.1.0
 */

import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as UrlParams from "effect/http/UrlParams"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import type * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { Authorization, CurrentSession, LookerApi } from "../api/LookerApi.ts"
import { BadRequest, NotFound, Unauthorized } from "../LookerError.ts"
import { DuckDb } from "./DuckDb.ts"
import * as QueryCompiler from "./QueryCompiler.ts"
import { QueryStore } from "./QueryStore.ts"
import * as ResultBody from "./ResultBody.ts"
import { Sessions, userId } from "./Sessions.ts"
import { type Task, TaskStore } from "./TaskStore.ts"

/**
 * @category options
 * @since 0.1.0
 */
export interface Options {
  readonly notFinished: 202 | 204
}

/** A body with more rows than this is streamed, so that memory stays flat. */
const bufferedRows = 50_000

/** `fields=id,status` leaves those keys; an empty `fields`, and the `null` of the TypeScript SDK, leave everything. */
const projected = (value: object, fields: string | undefined): object => {
  if (fields === undefined || fields === "" || fields === "null") return value
  // `query(id,model)` names the key `query`: what is in brackets is not projected further.
  const names = new Set(
    fields
      .replaceAll(/\([^)]*\)/g, "")
      .split(",")
      .map((name) => name.trim())
  )
  return Object.fromEntries(Object.entries(value).filter(([key]) => names.has(key)))
}

const answer = (value: object, fields: string | undefined) => HttpServerResponse.jsonUnsafe(projected(value, fields))

/**
 * @category layers
 * @since 0.1.0
 */
export const layerAuthorization: Layer.Layer<Authorization, never, Sessions> = Layer.effect(
  Authorization,
  Effect.gen(function* () {
    const sessions = yield* Sessions
    return Authorization.of((httpEffect) =>
      Effect.gen(function* () {
        const request = yield* HttpServerRequest.HttpServerRequest
        const token = /^(?:token|bearer) +(\S+)$/i.exec(request.headers.authorization ?? "")?.[1]
        if (token === undefined) return yield* new Unauthorized({ message: "Requires authentication." })
        const userId = yield* sessions.userOf(token)
        return yield* Effect.provideService(httpEffect, CurrentSession, { token, userId })
      })
    )
  })
)

/**
 * @category layers
 * @since 0.1.0
 */
export const layerApiAuth: Layer.Layer<
  HttpApiGroup.Service<"Looker", "ApiAuth">,
  never,
  Authorization | Sessions
> = HttpApiBuilder.group(
  LookerApi,
  "ApiAuth",
  Effect.fnUntraced(function* (handlers) {
    const sessions = yield* Sessions
    return handlers
      .handleRaw("login", ({ request }) =>
        Effect.gen(function* () {
          // Credentials in the query are the old way, which Looker drops at the end of 2026.
          const search = yield* HttpServerRequest.ParsedSearchParams
          const form = /^application\/x-www-form-urlencoded/i.test(request.headers["content-type"] ?? "")
            ? UrlParams.toRecord(yield* Effect.orDie(request.urlParamsBody))
            : {}
          const parameter = (name: string) => String(form[name] ?? search[name] ?? "")
          return yield* sessions.login(parameter("client_id"), parameter("client_secret"))
        })
      )
      .handle("logout", () => Effect.flatMap(CurrentSession, ({ token }) => sessions.logout(token)))
  })
)

const user = {
  can: { show: true, index: true },
  id: userId,
  display_name: "Embedded User",
  first_name: "Embedded",
  last_name: "User",
  email: null,
  locale: "en",
  group_ids: [],
  role_ids: [],
  is_disabled: false,
  home_folder_id: null,
  personal_folder_id: null,
  avatar_url: null,
  url: null
}

/**
 * @category layers
 * @since 0.1.0
 */
export const layerUser: Layer.Layer<
  HttpApiGroup.Service<"Looker", "User">,
  never,
  Authorization
> = HttpApiBuilder.group(LookerApi, "User", (handlers) =>
  handlers.handle("me", ({ query }) => Effect.succeed(answer(user, query.fields)))
)

const isFormat = (format: string): format is ResultBody.Format => ResultBody.formats.some((known) => known === format)

const formatOf = (task: Task): ResultBody.Format =>
  isFormat(task.body.result_format) ? task.body.result_format : "json"

const taskBody = (task: Task) => {
  const { body, params, state, stored } = task
  const ended = state.status === "complete" || state.status === "error"
  return {
    can: { index: true, show: true, kill: true, see_results: true },
    id: task.id,
    query_id: stored.query.id,
    query: stored.query,
    generate_links: params.generate_drill_links ?? false,
    force_production: params.force_production ?? false,
    path_prefix: params.path_prefix ?? "/explore",
    cache: params.cache ?? true,
    server_table_calcs: params.server_table_calcs ?? true,
    cache_only: params.cache_only ?? false,
    cache_key: stored.query.client_id ?? null,
    status: state.status,
    source: body.source ?? "api",
    runtime: ended ? (state.endedAt - state.startedAt) / 1000 : null,
    rebuild_pdts: params.rebuild_pdts ?? false,
    result_source: ended ? "query" : null,
    look_id: body.look_id ?? null,
    dashboard_id: body.dashboard_id ?? null,
    result_format: body.result_format
  }
}

const runningBody = (now: number) => (task: Task) => ({
  id: task.id,
  user: { id: task.userId, display_name: user.display_name },
  query: task.stored.query,
  sql_query: null,
  look: null,
  created_at: DateTime.formatIso(DateTime.makeUnsafe(task.createdAt)),
  completed_at: null,
  query_id: task.stored.query.id,
  source: task.body.source ?? "api",
  node_id: "1",
  slug: task.stored.query.slug ?? null,
  query_task_id: task.id,
  cache_key: task.stored.query.client_id ?? null,
  connection_name: "embedded",
  dialect: "duckdb",
  connection_id: "embedded",
  message: null,
  status: task.state.status,
  runtime: task.state.status === "running" ? (now - task.state.startedAt) / 1000 : 0,
  sql: task.sql,
  sql_interface_sql: null
})

const respond = (
  body: Stream.Stream<string, unknown, DuckDb>,
  rowCount: number,
  contentType: string
): Effect.Effect<HttpServerResponse.HttpServerResponse, never, DuckDb> =>
  rowCount <= bufferedRows
    ? Stream.mkString(body).pipe(
        Effect.map((text) => HttpServerResponse.text(text, { contentType })),
        Effect.orDie
      )
    : Effect.map(DuckDb, (database) =>
        HttpServerResponse.stream(body.pipe(Stream.encodeText, Stream.provideService(DuckDb, database)), {
          contentType
        })
      )

/** One entry of `multi_results`, in pieces. */
const entry = (id: string, task: Task | undefined): Stream.Stream<string, unknown, DuckDb> => {
  const state = task?.state
  const key = JSON.stringify(id)
  if (task === undefined || state === undefined) return Stream.make(`${key}:{"status":"missing"}`)
  const format = formatOf(task)
  const wrap = (data: Stream.Stream<string, unknown, DuckDb>) => {
    // csv is a text, and travels inside of JSON as one (inferred: no such answer was recorded).
    const quoted = Stream.map(data, (piece) => JSON.stringify(piece).slice(1, -1))
    const value = format === "csv" ? Stream.concat(Stream.make('"'), Stream.concat(quoted, Stream.make('"'))) : data
    return Stream.make(`${key}:{"status":"${state.status}","result_source":"query","data":`).pipe(
      Stream.concat(value),
      Stream.concat(Stream.make("}"))
    )
  }
  switch (state.status) {
    case "complete":
      return wrap(ResultBody.stream(task, format, state, state.rowCount))
    case "error":
      return wrap(Stream.make(ResultBody.failure(task, format, state, state.error)))
    case "expired":
      return Stream.make(`${key}:{"status":"expired","data":{"error":"Results have expired. Run the query again."}}`)
    default:
      return Stream.make(`${key}:{"status":"${state.status}"}`)
  }
}

const notFound = new NotFound({ message: "Not found" })

/**
 * @category layers
 * @since 0.1.0
 */
export const layerQuery = (
  options: Options
): Layer.Layer<HttpApiGroup.Service<"Looker", "Query">, never, Authorization | QueryStore | TaskStore | DuckDb> =>
  HttpApiBuilder.group(
    LookerApi,
    "Query",
    Effect.fnUntraced(function* (handlers) {
      const queries = yield* QueryStore
      const tasks = yield* TaskStore
      const database = yield* DuckDb

      const own = Effect.fnUntraced(function* (id: string) {
        const { userId } = yield* CurrentSession
        return yield* tasks.get(userId, id)
      })

      return handlers
        .handle("create_query", ({ payload, query }) =>
          Effect.map(queries.create(payload), (stored) => answer(stored.query, query.fields))
        )
        .handle("query", ({ params, query }) =>
          Effect.map(queries.get(params.query_id), (stored) => answer(stored.query, query.fields))
        )
        .handle("query_for_slug", ({ params, query }) =>
          Effect.map(queries.forSlug(params.slug), (stored) => answer(stored.query, query.fields))
        )
        .handle("create_query_task", ({ payload, query: params }) =>
          Effect.gen(function* () {
            const { userId } = yield* CurrentSession
            if (!isFormat(payload.result_format)) {
              const message =
                `result_format ${payload.result_format} is not supported by the embedded Looker yet: ` +
                `it has ${ResultBody.formats.join(", ")}.`
              return yield* QueryCompiler.invalid([{ field: "result_format", code: "not_supported", message }])
            }
            // 404 for an unknown query: not determined for Looker, which documents 404 and 422 here.
            const stored = yield* queries.get(payload.query_id)
            const plan = yield* QueryCompiler.withLimit(stored.plan, params.limit)
            const task = yield* tasks.create({ userId, stored, plan, body: payload, params })
            return answer(taskBody(task), params.fields)
          })
        )
        .handle("query_task", ({ params, query }) =>
          Effect.map(own(params.query_task_id), (task) => answer(taskBody(task), query.fields))
        )
        .handle("query_task_multi_results", ({ query }) =>
          Effect.gen(function* () {
            const ids = [...new Set(query.query_task_ids)]
            if (ids.length === 0) return yield* new BadRequest({ message: "query_task_ids names no task" })
            const found = yield* Effect.forEach(ids, (id) =>
              own(id).pipe(Effect.catchTag("NotFound", () => Effect.succeed(undefined)))
            )
            const entries = ids.map((id, index) =>
              Stream.concat(Stream.make(index === 0 ? "" : ","), entry(id, found[index]))
            )
            const body = [Stream.make("{"), ...entries, Stream.make("}")].reduce(Stream.concat)
            const rows = found.map((task) => (task?.state.status === "complete" ? task.state.rowCount : 0))
            const total = rows.reduce((sum, count) => sum + count, 0)
            return yield* respond(body, total, "application/json; charset=utf-8")
          }).pipe(Effect.provideService(DuckDb, database))
        )
        .handle("query_task_results", ({ params }) =>
          Effect.gen(function* () {
            const task = yield* own(params.query_task_id)
            const { state } = task
            const format = formatOf(task)
            switch (state.status) {
              case "added":
              case "running":
                return options.notFinished === 204
                  ? HttpServerResponse.empty({ status: 204 })
                  : HttpServerResponse.text("The query is not finished", { status: 202 })
              case "complete":
                return yield* respond(
                  ResultBody.stream(task, format, state, state.rowCount),
                  state.rowCount,
                  ResultBody.contentType(format)
                )
              case "error": {
                if (format !== "json_detail") return yield* new BadRequest({ message: ResultBody.databaseFailed })
                const body = ResultBody.failure(task, format, state, state.error)
                return HttpServerResponse.text(body, { contentType: ResultBody.contentType(format) })
              }
              default:
                return yield* notFound
            }
          }).pipe(Effect.provideService(DuckDb, database))
        )
        .handle("all_running_queries", () =>
          Effect.gen(function* () {
            const { userId } = yield* CurrentSession
            const now = yield* Clock.currentTimeMillis
            const unfinished = yield* tasks.unfinished
            return unfinished.filter((task) => task.userId === userId).map(runningBody(now))
          })
        )
        .handle("kill_query", ({ params }) =>
          Effect.gen(function* () {
            const { userId } = yield* CurrentSession
            yield* tasks.kill(userId, params.query_task_id)
          })
        )
    })
  )
