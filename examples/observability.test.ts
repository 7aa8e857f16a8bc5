import { execFile } from "node:child_process"
import { promisify } from "node:util"
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { root } from "../test/support/paths.ts"

const run = promisify(execFile)

it.live(
  "the example of observability shows what its collector received",
  () =>
    Effect.gen(function* () {
      const env = { ...process.env, NO_COLOR: "1", OTEL_EXPORTER_OTLP_ENDPOINT: undefined }
      const { stdout } = yield* Effect.promise(() =>
        run(process.execPath, ["--conditions=effect-looker-source", "examples/observability.ts"], { cwd: root, env })
      )
      const rows = stdout
        .split("\n")
        .filter((line) => line.startsWith("│"))
        .map((line) => line.split("│").map((cell) => cell.trim().replaceAll("'", "")))
        .map(([, , metric, of, value, unit]) => [metric, of, value, unit].join(" ").trim())
      assert.includeMembers(rows, [
        "looker_logins  1",
        "looker_requests create_query_task 200 db_query 6",
        "looker_requests create_query_task 429 db_query 1",
        "looker_requests query_task_multi_results 502 db_query 1",
        "looker_retries create_query_task TooManyRequests 1",
        "looker_paused  1000 ms",
        "looker_tasks created 6",
        "looker_tasks complete 5",
        "looker_tasks error 1"
      ])
      assert.match(stdout, /Looker responds with 429: no requests for 1s/)
      assert.match(stdout, /^\d+ spans and \d+ log records$/m)
    }),
  60_000
)
