/**
 * A Looker with one query and one task `t1` that has ended, asked for its result in every way that the runner has.
 */
import { Effect, Layer, Logger, Stream } from "effect"
import { QueryRunner } from "effect-looker"
import { looker } from "./layers.ts"
import * as StubLooker from "./StubLooker.ts"
import { runOut } from "./time.ts"

export interface Task {
  /** What Looker responds to `create_query`, beside the id. */
  readonly created?: Readonly<Record<string, unknown>>
  /** Looker's word for the task. Default: `complete`. */
  readonly status?: string
  /** The result, as an object or as its text. */
  readonly body?: unknown
  /** The response to a request for the result, where it is not simply the body. */
  readonly results?: (request: number) => StubLooker.Answer
  /** Keys of its entry in `multi_results` beside status and data. */
  readonly entry?: Readonly<Record<string, unknown>>
}

const query = { model: "m", view: "flights", fields: ["flights.origin"] }

const textOf = (body: unknown) => (typeof body === "string" ? body : JSON.stringify(body))

export const make = (task: Task) => {
  const { body, created = {}, entry = {}, status = "complete" } = task
  let results = 0
  const stub = StubLooker.inProcess(
    StubLooker.withLogin(({ method, path }) => {
      switch (`${method} ${path.replace("/api/4.0", "")}`) {
        case "POST /queries":
          return { json: { id: "7", ...created } }
        case "POST /query_tasks":
          return { json: { id: "t1" } }
        case "GET /query_tasks/multi_results":
          return { json: { t1: { status, data: body, ...entry } } }
        case "GET /query_tasks/t1":
          return { json: { id: "t1", status } }
        case "GET /query_tasks/t1/results":
          return (
            task.results?.(++results) ?? {
              text: textOf(body),
              headers: { "content-type": typeof body === "string" ? "text/csv" : "application/json" }
            }
          )
        case "DELETE /running_queries/t1":
          return { status: 204 }
        default:
          return undefined
      }
    })
  )
  const logged: Array<string> = []
  const layer = Layer.provideMerge(
    looker(stub.layer),
    Logger.layer([Logger.make(({ logLevel, message }) => void logged.push(`${logLevel} ${String(message)}`))])
  )
  const sent = (request: string) =>
    stub.received.filter(({ method, path }) => `${method} ${path.replace("/api/4.0", "")}` === request).length

  /** The result of `run`. */
  const run = (options?: QueryRunner.RunOptions<unknown>) =>
    runOut(QueryRunner.QueryRunner.use((runner) => runner.run(query, options))).pipe(Effect.provide(layer))

  /** The outcome of `runAll`. */
  const runAll = (options?: QueryRunner.RunAllOptions<unknown>) =>
    runOut(QueryRunner.QueryRunner.use((runner) => Stream.runCollect(runner.runAll([query], options)))).pipe(
      Effect.map(([outcome]) => outcome),
      Effect.provide(layer)
    )

  /** The rows that `stream` gave, and the error it ended with. */
  const stream = (options?: QueryRunner.RunOptions<unknown>) => {
    const rows: Array<unknown> = []
    return runOut(
      QueryRunner.QueryRunner.use((runner) =>
        Stream.runForEach(runner.stream(query, options), (row) => Effect.sync(() => void rows.push(row)))
      )
    ).pipe(
      Effect.match({ onFailure: (error) => ({ rows, error }), onSuccess: () => ({ rows, error: undefined }) }),
      Effect.provide(layer)
    )
  }

  return { run, runAll, stream, sent, logged, layer }
}
