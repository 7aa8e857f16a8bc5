/**
 * This library, as a program would use it that minds its start-up: leaf modules instead of barrels.
 */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as Layer from "effect/Layer"
import * as References from "effect/References"
import * as Stream from "effect/Stream"
import { Looker, LookerPolicy, Queries, QueryRunner, QueryTasks } from "effect-looker"
import { credentials, type Job, queryOf } from "../protocol.ts"
import { indices, runClient, warmUpCalls } from "./client.ts"

const run = <A, E>(job: Job, program: Effect.Effect<A, E, Looker.Services>): Promise<A> => {
  const httpClient =
    job.options.http === "fetch" ? FetchHttpClient.layer : NodeHttpClient.layerUndiciOptions({ connections: 32 })
  const looker = Looker.layer({ baseUrl: job.baseUrl, ...credentials }).pipe(
    Layer.provide([LookerPolicy.layer(job.options.policy ?? {}), httpClient])
  )
  // The report is all that goes to stdout.
  const quiet = Effect.provideService(Effect.provide(program, looker), References.MinimumLogLevel, "None")
  return Effect.runPromise(quiet)
}

const startTask = Effect.fnUntraced(function* (job: Job) {
  const query = yield* Queries.Queries.use((queries) => queries.createQuery(queryOf(job, 0)))
  return yield* QueryTasks.QueryTasks.use((tasks) =>
    tasks.createQueryTask({ query_id: query.id ?? "", result_format: "json" })
  )
})

await runClient({
  tasks: (job, deliver) =>
    run(
      job,
      QueryRunner.QueryRunner.use((runner) =>
        Effect.forEach(
          indices(job.count),
          (index) =>
            runner.run(queryOf(job, index)).pipe(
              Effect.match({
                onSuccess: ({ rows, taskId }) => deliver.rows(index, taskId, rows),
                onFailure: (error) => deliver.error(index, error, "taskId" in error ? error.taskId : undefined)
              })
            ),
          { concurrency: job.options.atATime ?? "unbounded", discard: true }
        )
      )
    ),

  calls: (job, begin) =>
    run(
      job,
      Effect.gen(function* () {
        const tasks = yield* QueryTasks.QueryTasks
        const { id } = yield* startTask(job)
        for (let call = 0; call < warmUpCalls + job.count; call++) {
          if (call === warmUpCalls) begin()
          yield* tasks.queryTask(id)
        }
      })
    ),

  stream: (job, rows) =>
    run(
      job,
      QueryRunner.QueryRunner.use((runner) =>
        runner.stream(queryOf(job, 0)).pipe(Stream.runForEachArray((batch) => Effect.sync(() => rows(batch.length))))
      )
    )
})
