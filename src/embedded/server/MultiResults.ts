/**
 * The body of `multi_results`: an object with an entry for each task.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Stream from "effect/Stream"
import { closing, type DuckDb, withoutStatement } from "../database/DuckDb.ts"
import * as ResultBody from "../formats/ResultBody.ts"
import type { Task } from "../tasks/Task.ts"
import type { User } from "../tasks/Users.ts"
import { bodyOptions, bufferedCells, cellsOf, formatOf, respond } from "./ResultResponse.ts"
import { sourceOf, statusOf } from "./TaskJson.ts"

/**
 * One entry in pieces. If the body is buffered, a result that cannot be read is an error of this entry alone. The first pieces of a streamed
 * entry are already sent when the error comes.
 */
const entry = (
  user: User,
  id: string,
  task: Task | undefined,
  isBuffered: boolean
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
          const writeError = yield* ResultBody.writeError(format, state.result)
          if (writeError !== undefined) return wrap("error", Stream.make(JSON.stringify(writeError)))
          const data = ResultBody.data(task, format, state, options)
          if (!isBuffered) return wrap(statusOf(task), data)
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

/**
 * The response for these tasks in this order. A task that is `undefined` is missing.
 *
 * @category constructors
 * @since 0.1.0
 */
export const multiResults = (
  user: User,
  tasks: ReadonlyArray<readonly [id: string, task: Task | undefined]>
): Effect.Effect<HttpServerResponse.HttpServerResponse, never, DuckDb> => {
  const cells = tasks.reduce((sum, [, task]) => sum + cellsOf(task), 0)
  const entries = tasks.map(([id, task], index) =>
    Stream.concat(Stream.make(index === 0 ? "" : ","), entry(user, id, task, cells <= bufferedCells))
  )
  const body = Stream.encodeText([Stream.make("{"), ...entries, Stream.make("}")].reduce(Stream.concat))
  return respond(body, cells, "application/json; charset=utf-8")
}
