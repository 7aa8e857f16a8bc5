import { assert, describe, it } from "@effect/vitest"
import { LookerError } from "effect-looker"

const response = { message: "A message", endpoint: "GET /query_tasks/3f2a" }
const task = { message: "A message", taskId: "t1" }

/** Each error, whether it is retryable, and the name that a log shows. */
const errors: ReadonlyArray<readonly [error: LookerError.LookerError, isRetryable: boolean, name: string]> = [
  [new LookerError.BadRequest(response), false, "BadRequest (GET /query_tasks/3f2a)"],
  [new LookerError.NotFound(response), false, "NotFound (GET /query_tasks/3f2a)"],
  [new LookerError.TooManyRequests(response), true, "TooManyRequests (GET /query_tasks/3f2a)"],
  [new LookerError.Unauthorized(response), false, "Unauthorized (GET /query_tasks/3f2a)"],
  [new LookerError.Forbidden(response), false, "Forbidden (GET /query_tasks/3f2a)"],
  [new LookerError.Conflict(response), false, "Conflict (GET /query_tasks/3f2a)"],
  [new LookerError.ValidationFailed({ ...response, errors: [] }), false, "ValidationFailed (GET /query_tasks/3f2a)"],
  [
    new LookerError.LookerUnavailable({ ...response, reached: "no" }),
    true,
    "LookerUnavailable (GET /query_tasks/3f2a)"
  ],
  [new LookerError.UnexpectedResponse(response), false, "UnexpectedResponse (GET /query_tasks/3f2a)"],
  [
    new LookerError.ConfigurationError({ message: "A message", missing: [] }),
    false,
    "effect-looker/ConfigurationError"
  ],
  [LookerError.queryFailed("t1", [], undefined), false, "QueryFailed (task t1)"],
  [new LookerError.QueryKilled(task), false, "QueryKilled (task t1)"],
  [new LookerError.ResultsExpired(task), false, "ResultsExpired (task t1)"],
  [new LookerError.TaskMissing(task), false, "TaskMissing (task t1)"],
  [new LookerError.UnknownTaskStatus({ ...task, status: "odd" }), false, "UnknownTaskStatus (task t1)"],
  [new LookerError.PollingTimeout(task), false, "PollingTimeout (task t1)"],
  [new LookerError.TruncatedResult(task), false, "TruncatedResult (task t1)"]
]

describe("an error", () => {
  it.each(errors)("says what it is about, and whether a retry is of use (%s)", (error, isRetryable, name) => {
    assert.deepStrictEqual([error.isRetryable, error.name], [isRetryable, name])
  })

  it("is called by its tag where it knows no request", () => {
    assert.strictEqual(new LookerError.NotFound({ message: "A message" }).name, "NotFound")
  })
})
