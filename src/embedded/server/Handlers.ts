/**
 * Queries and their tasks of the contract, answered: every handler translates a request, asks a store, and writes the answer as Looker
 * does.
 *
 * @since 0.1.0
 */

import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import type * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import type * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { type Authorization, CurrentSession } from "../../api/Authorization.ts"
import { BadRequest, NotFound } from "../../LookerError.ts"
import { closing, DuckDb, withoutStatement } from "../database/DuckDb.ts"
import { EmbeddedApi } from "../EmbeddedApi.ts"
import * as ResultBody from "../formats/ResultBody.ts"
import { invalid } from "../refusal/Validation.ts"
import { QueryStore, type StoredQuery } from "../tasks/QueryStore.ts"
import { isUnfinished, type Task, type TaskStatus } from "../tasks/Task.ts"
import { TaskStore } from "../tasks/TaskStore.ts"
import { type User, Users } from "../tasks/Users.ts"
import * as LookerErrors from "./LookerErrors.ts"
import { answer } from "./Projection.ts"

/**
 * @category options
 * @since 0.1.0
 */
export interface Options {
  readonly notFinished: 202 | 204
}

/** A body with more cells than this is streamed, so that memory stays flat. */
const bufferedCells = 300_000

const cellsOf = (task: Task | undefined): number =>
  task?.state.status === "complete" ? task.state.result.rows.rowCount * task.state.result.columns.length : 0

const isFormat = (format: string): format is ResultBody.Format => ResultBody.formats.some((known) => known === format)

const formatOf = (task: Task): ResultBody.Format =>
  isFormat(task.body.result_format) ? task.body.result_format : "json"

/** Where the results come from, once there are some. */
const sourceOf = (state: TaskStatus): "query" | "cache" | null =>
  state.status === "complete" ? state.source : state.status === "error" ? "query" : null

/** What is said of the state of a task, which a fault may change. */
const statusOf = ({ body, statusOverride, state }: Task): string => {
  if (statusOverride !== undefined) return statusOverride
  // Looker reports a remark as an error (recorded in json_detail, the one format that has a place for it).
  const isRemarked = state.status === "complete" && state.warnings.length > 0
  return isRemarked && body.result_format === "json_detail" ? "error" : state.status
}

const taskBody = (user: User, task: Task) => {
  const { body, params, runtime, statusOverride, state, stored } = task
  const unfinished = isUnfinished(task)
  const source = statusOverride !== undefined ? null : sourceOf(state)
  return {
    can: {
      index: true,
      show: true,
      kill: unfinished && (user.isAdmin || task.userId === user.id),
      // Of a task that has not ended as well, as recorded.
      see_results: unfinished || source !== null
    },
    id: task.id,
    query_id: stored.query.id,
    query: stored.query,
    generate_links: params.generate_drill_links ?? false,
    force_production: params.force_production ?? false,
    path_prefix: params.path_prefix ?? "/explore",
    cache: params.cache ?? true,
    server_table_calcs: params.server_table_calcs ?? true,
    cache_only: params.cache_only ?? false,
    cache_key: source === null ? null : task.cacheKey,
    status: statusOf(task),
    source: body.source ?? "api",
    // Documented as that of prior runs; once the task has ended its own is one of them (inferred).
    runtime: runtime === undefined ? null : runtime / 1000,
    rebuild_pdts: params.rebuild_pdts ?? false,
    result_source: source,
    look_id: body.look_id ?? null,
    dashboard_id: body.dashboard_id ?? null,
    result_format: body.result_format
  }
}

const runningBody = (now: number, reader: User, owner: User, task: Task) => ({
  // (inferred: the task's, without its results)
  can: { index: true, show: true, kill: true },
  id: task.id,
  user: { id: owner.id, display_name: owner.displayName },
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
  cache_key: task.cacheKey,
  connection_name: "embedded",
  dialect: "duckdb",
  connection_id: "embedded",
  message: null,
  status: task.state.status,
  runtime: task.state.status === "running" ? (now - task.state.startedAt) / 1000 : 0,
  sql: reader.seesSql ? task.plan.sql : null,
  sql_interface_sql: null
})

const respond = (
  body: Stream.Stream<Uint8Array, unknown, DuckDb>,
  cells: number,
  contentType: string
): Effect.Effect<HttpServerResponse.HttpServerResponse, never, DuckDb> =>
  cells <= bufferedCells
    ? Stream.mkUint8Array(body).pipe(
        Effect.map((bytes) => HttpServerResponse.uint8Array(bytes, { contentType })),
        Effect.orDie
      )
    : Effect.map(DuckDb, (database) =>
        HttpServerResponse.stream(Stream.provideService(body, DuckDb, database), { contentType })
      )

const bodyOptions = (user: User, task: Task): ResultBody.Options => ({
  seesSql: user.seesSql,
  isFormatted: task.params.apply_formatting ?? false,
  warnings: task.state.status === "complete" ? task.state.warnings : []
})

/**
 * One entry of `multi_results`, in pieces. Where it is `buffered`, a result that cannot be read is an error of its task alone: of what is
 * streamed, the beginning is sent already.
 */
const entry = (
  user: User,
  id: string,
  task: Task | undefined,
  buffered: boolean
): Stream.Stream<string, unknown, DuckDb> => {
  const key = JSON.stringify(id)
  const bare = (status: string) => Stream.make(`${key}:{"status":${JSON.stringify(status)}}`)
  const expired = Stream.make(
    `${key}:{"status":"expired","data":{"error":"Results have expired. Run the query again."}}`
  )
  if (task === undefined) return bare("missing")
  if (task.statusOverride !== undefined) return task.statusOverride === "expired" ? expired : bare(task.statusOverride)
  const { state } = task
  const format = formatOf(task)
  const options = bodyOptions(user, task)
  const wrap = (status: string, data: Stream.Stream<string, unknown, DuckDb>) =>
    Stream.make(`${key}:{"status":"${status}","result_source":"${sourceOf(state)}","data":`).pipe(
      Stream.concat(data),
      Stream.concat(Stream.make("}"))
    )
  switch (state.status) {
    case "complete":
      return Stream.unwrap(
        Effect.gen(function* () {
          const unfit = yield* ResultBody.unfit(format, state.result)
          if (unfit !== undefined) return wrap("error", Stream.make(JSON.stringify(unfit)))
          const data = ResultBody.data(task, format, state, options)
          if (!buffered) return wrap(statusOf(task), data)
          return yield* Stream.mkString(data).pipe(
            Effect.map((text) => wrap(statusOf(task), Stream.make(text))),
            Effect.catchTag("DatabaseError", (error) => {
              if (error === closing) return Effect.fail(error)
              const failure = ResultBody.failure(task, format, state, withoutStatement(error), options)
              return Effect.succeed(wrap("error", Stream.make(failure)))
            })
          )
        })
      )
    case "error":
      return wrap("error", Stream.make(ResultBody.failure(task, format, state, state.error, options)))
    case "expired":
      return expired
    default:
      return bare(state.status)
  }
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

      /** A query over a model that the user may not use is not there for him. */
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
            return answer((yield* queries.create(payload)).query, query.fields)
          })
        )
        .handle("query", ({ params, query }) =>
          Effect.map(allowed(queries.get(params.query_id)), (stored) => answer(stored.query, query.fields))
        )
        .handle("query_for_slug", ({ params, query }) =>
          Effect.map(allowed(queries.forSlug(params.slug)), (stored) => answer(stored.query, query.fields))
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
            return answer(taskBody(user, task), params.fields)
          })
        )
        .handle("query_task", ({ params, query }) =>
          Effect.gen(function* () {
            const task = yield* polled(params.query_task_id)
            return answer(taskBody(yield* currentUser, task), query.fields)
          })
        )
        .handle("query_task_multi_results", ({ query }) =>
          Effect.gen(function* () {
            // In an order of its own, as Looker's answers have one.
            const asked = [...new Set(query.query_task_ids)].sort()
            if (asked.length === 0) return yield* new BadRequest({ message: "query_task_ids names no task" })
            const user = yield* currentUser
            const found: Array<{ readonly id: string; readonly task: Task | undefined }> = []
            for (const id of asked) {
              const task = yield* Effect.catchTag(polled(id), "NotFound", () => Effect.succeed(undefined))
              // Before the next one is looked for, which may let go what has expired.
              if (task !== undefined) yield* tasks.retainResult(task)
              if (task?.isLeftOut !== true) found.push({ id, task })
            }
            const cells = found.reduce((sum, { task }) => sum + cellsOf(task), 0)
            const entries = found.map(({ id, task }, index) =>
              Stream.concat(Stream.make(index === 0 ? "" : ","), entry(user, id, task, cells <= bufferedCells))
            )
            const body = Stream.encodeText([Stream.make("{"), ...entries, Stream.make("}")].reduce(Stream.concat))
            return yield* respond(body, cells, "application/json; charset=utf-8")
          }).pipe(Effect.provideService(DuckDb, database))
        )
        .handle("query_task_results", ({ params }) =>
          Effect.gen(function* () {
            const { userId } = yield* CurrentSession
            const task = yield* tasks.get(userId, params.query_task_id)
            yield* tasks.retainResult(task)
            const { state } = task
            const format = formatOf(task)
            const reading = bodyOptions(yield* currentUser, task)
            const notFinished = LookerErrors.notFinished(options.notFinished)
            if (task.statusOverride !== undefined)
              return task.statusOverride === "expired" ? yield* notFound : notFinished
            switch (state.status) {
              case "added":
              case "running":
                return notFinished
              case "complete": {
                const unfit = yield* ResultBody.unfit(format, state.result)
                if (unfit !== undefined) return yield* new BadRequest({ message: unfit })
                return yield* respond(
                  ResultBody.stream(task, format, state, reading),
                  cellsOf(task),
                  ResultBody.contentType(format)
                )
              }
              case "error": {
                if (format !== "json_detail") return yield* new BadRequest({ message: ResultBody.databaseFailed })
                const body = ResultBody.failure(task, format, state, state.error, reading)
                return HttpServerResponse.text(body, { contentType: ResultBody.contentType(format) })
              }
              default:
                return yield* notFound
            }
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
          Effect.gen(function* () {
            yield* tasks.kill(yield* currentUser, params.query_task_id)
          })
        )
    })
  )
