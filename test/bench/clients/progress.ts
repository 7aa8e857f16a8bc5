/**
 * Many queries through `runAll`: with `onProgress`, or (`plain`) without.
 */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { Looker, QueryRunner } from "effect-looker"
import { credentials, queryOf } from "../protocol.ts"
import { indices, runClient } from "./client.ts"

await runClient({
  local: async (job, begin) => {
    const queries = indices(job.count).map((index) => queryOf(job, index))
    let steps = 0
    const onProgress = () => Effect.sync(() => void steps++)
    const options = job.options.plain ? {} : { onProgress }
    const program = QueryRunner.QueryRunner.use((runner) => {
      begin()
      return Stream.runCount(runner.runAll(queries, { ...options, concurrency: 1000 }))
    })
    const looker = Looker.layer({ baseUrl: job.baseUrl, ...credentials }).pipe(
      Layer.provide(NodeHttpClient.layerUndiciOptions({ connections: 32 }))
    )
    const count = await Effect.runPromise(Effect.provide(program, looker))
    if (count !== job.count) throw new Error(`${count} outcomes`)
    if (!job.options.plain && steps < job.count) throw new Error(`${steps} steps of progress`)
  }
})
