/**
 * What a run leaves can be kept as JSON: every error, and every result.
 */
import { assert, describe, it } from "@effect/vitest"
import { DateTime, Duration, Equal, Result, Schema } from "effect"
import {
  LookerError,
  type Query,
  QueryRunner,
  QueryTaskPoller,
  QueryTaskRun,
  ResultRows,
  SqlError,
  TaskState
} from "effect-looker"

/** A value after it was written to JSON and read again. */
const throughJson = <S extends Schema.ConstraintCodec<unknown, unknown>>(schema: S, value: S["Type"]): S["Type"] => {
  const codec = Schema.toCodecJson(schema)
  return Schema.decodeUnknownSync(codec)(JSON.parse(JSON.stringify(Schema.encodeSync(codec)(value))))
}

const response = {
  message: "A message",
  endpoint: "GET /query_tasks/t1",
  documentationUrl: "https://cloud.google.com/looker/docs/",
  traceId: "0af7"
}
const task = { message: "A message", taskId: "t1" }
const sqlErrors = [
  SqlError.fromUnknown({
    message: "no such column",
    message_details: "at FOO",
    params: "SELECT foo",
    sql_error_loc: { line: 1, column: 8, character: 8 },
    level: "error",
    fatal: true
  }),
  SqlError.fromUnknown("a sentence")
]

const errors: { readonly [Tag in LookerError.LookerError["_tag"]]: ReadonlyArray<LookerError.LookerError> } = {
  BadRequest: [new LookerError.BadRequest(response), new LookerError.BadRequest({ message: "only a message" })],
  NotFound: [new LookerError.NotFound(response)],
  TooManyRequests: [
    new LookerError.TooManyRequests(response),
    new LookerError.TooManyRequests({
      ...response,
      retryAfter: { _tag: "Duration", duration: Duration.millis(1500) }
    }),
    new LookerError.TooManyRequests({
      ...response,
      retryAfter: { _tag: "DateTime", dateTime: DateTime.makeUnsafe("2026-01-02T03:04:05Z") }
    })
  ],
  Unauthorized: [new LookerError.Unauthorized(response)],
  Forbidden: [new LookerError.Forbidden(response)],
  Conflict: [new LookerError.Conflict(response)],
  ValidationFailed: [
    new LookerError.ValidationFailed({
      ...response,
      errors: [{ field: "view", code: "missing", message: null }, { documentation_url: "https://looker" }]
    })
  ],
  LookerUnavailable: [
    new LookerError.LookerUnavailable({ ...response, reached: "no" }),
    new LookerError.LookerUnavailable({
      ...response,
      reached: "maybe",
      status: 502,
      retryAfter: { _tag: "Duration", duration: Duration.seconds(3) }
    })
  ],
  UnexpectedResponse: [new LookerError.UnexpectedResponse({ ...response, status: 302, snippet: "<html>" })],
  ConfigurationError: [new LookerError.ConfigurationError({ message: "A message", missing: ["base_url"] })],
  QueryFailed: [
    LookerError.queryFailed("t1", sqlErrors, "SELECT foo"),
    LookerError.queryFailed("t1", sqlErrors, undefined, { warnings: sqlErrors }),
    LookerError.queryFailed("t1", [SqlError.fromUnknown(undefined)], undefined)
  ],
  QueryKilled: [new LookerError.QueryKilled(task)],
  ResultsExpired: [new LookerError.ResultsExpired(task)],
  TaskMissing: [new LookerError.TaskMissing(task)],
  UnknownTaskStatus: [new LookerError.UnknownTaskStatus({ ...task, status: "dreaming" })],
  PollingTimeout: [new LookerError.PollingTimeout(task)],
  TruncatedResult: [new LookerError.TruncatedResult({ ...task, snippet: "…" })],
  LimitReached: [new LookerError.LimitReached({ ...task, limit: 500 }), new LookerError.LimitReached(task)]
}

/** The errors of each union, by their tags. */
const unions = {
  CallError: ["Unauthorized", "LookerUnavailable", "UnexpectedResponse"],
  ReadError: ["Unauthorized", "LookerUnavailable", "UnexpectedResponse", "BadRequest", "NotFound", "TooManyRequests"]
} as const

const tagsOf = (schema: Schema.ConstraintCodec<unknown, unknown>) =>
  Object.keys(errors).filter((tag) =>
    errors[tag as LookerError.LookerError["_tag"]].every((error) => Schema.is(schema)(error))
  )

describe("errors", () => {
  for (const [tag, examples] of Object.entries(errors)) {
    it(`${tag} is the same error after JSON`, () => {
      for (const error of examples) {
        const restored = throughJson(LookerError.LookerError, error)
        assert.strictEqual(restored.constructor, error.constructor)
        assert.strictEqual(restored.name, error.name)
        assert.strictEqual(restored.message, error.message)
        assert.strictEqual(restored.isRetryable, error.isRetryable)
        assert.isTrue(Equal.equals({ ...restored }, { ...error }), JSON.stringify(restored))
      }
    })
  }

  it("have the members of their unions, and no other", () => {
    const create = [...unions.ReadError, "Conflict", "ValidationFailed"]
    const task = [
      "QueryFailed",
      "QueryKilled",
      "ResultsExpired",
      "TaskMissing",
      "UnknownTaskStatus",
      "PollingTimeout",
      "TruncatedResult",
      "LimitReached"
    ]
    assert.sameMembers(tagsOf(LookerError.CallError), [...unions.CallError])
    assert.sameMembers(tagsOf(LookerError.ReadError), [...unions.ReadError])
    assert.sameMembers(tagsOf(LookerError.CreateError), create)
    assert.sameMembers(tagsOf(LookerError.HttpError), [...create, "Forbidden"])
    assert.sameMembers(tagsOf(LookerError.TaskError), task)
    assert.sameMembers(tagsOf(LookerError.LookerError), Object.keys(errors))
    assert.sameMembers(tagsOf(QueryRunner.RunError), [...create, ...task])
    assert.sameMembers(tagsOf(QueryTaskPoller.WaitError), [
      ...unions.ReadError,
      ...task.filter((tag) => tag !== "TruncatedResult" && tag !== "LimitReached")
    ])
  })
})

describe("results", () => {
  const Row = Schema.Struct({ "flights.origin": Schema.String, "flights.day": Schema.DateTimeUtcFromString })
  const row = { "flights.origin": "SFO", "flights.day": DateTime.makeUnsafe("2026-01-02T00:00:00Z") }
  const query = {
    id: "7",
    model: "m",
    view: "flights",
    fields: ["flights.origin"],
    limit: "500",
    a_new_key: { a: [1] }
  }
  const result = {
    query,
    taskId: "t1",
    rows: [row],
    warnings: [SqlError.fromUnknown({ message: "Note: development mode", fatal: false })],
    limitReached: true,
    resultSource: "query",
    fromCache: true,
    runtime: 0.418,
    data: [{ "flights.origin": "SFO", "flights.day": "2026-01-02T00:00:00Z" }]
  }
  const input: Query.QueryInput = { model: "m", view: "flights", limit: "10" }

  it("QueryResult keeps rows of the caller's schema", () => {
    const typed: QueryRunner.QueryResult<typeof Row.Type> = throughJson(QueryRunner.QueryResult(Row), result)
    assert.deepStrictEqual(typed, result)
  })

  it("QueryResult keeps rows without a schema", () => {
    const plain = { ...result, rows: result.data }
    const restored: QueryRunner.QueryResult<ResultRows.Row> = throughJson(
      QueryRunner.QueryResult(ResultRows.Row),
      plain
    )
    assert.deepStrictEqual(restored, plain)
  })

  it("RunOutcome keeps what succeeded and what failed", () => {
    const schema = QueryRunner.RunOutcome(Row)
    const outcomes: ReadonlyArray<QueryRunner.RunOutcome<typeof Row.Type>> = [
      { index: 0, query: input, result: Result.succeed(result), limitReached: true },
      { index: 1, query: input, result: Result.fail(new LookerError.TaskMissing(task)), limitReached: false }
    ]
    for (const outcome of outcomes) {
      const restored: QueryRunner.RunOutcome<typeof Row.Type> = throughJson(schema, outcome)
      assert.deepStrictEqual(restored, outcome)
    }
  })

  it("Finished keeps data and warnings, and the lack of both", () => {
    for (const finished of [
      { taskId: "t1", data: undefined, warnings: [] },
      { taskId: "t1", data: "a,b\n1,2\n", warnings: result.warnings, resultSource: "query" },
      { taskId: "t1", data: { data: [{ a: 1.5 }], sql: null }, warnings: [] }
    ]) {
      const restored: QueryTaskPoller.Finished = throughJson(QueryTaskPoller.Finished, finished)
      assert.deepStrictEqual(restored, finished)
    }
  })

  it("a QueryFailed that was kept before it had warnings has none", () => {
    const codec = Schema.toCodecJson(LookerError.QueryFailed)
    const { warnings: _, ...kept } = Schema.encodeSync(codec)(
      LookerError.queryFailed("t1", sqlErrors, "SELECT foo")
    ) as {
      readonly warnings: unknown
    }
    assert.deepStrictEqual(Schema.decodeUnknownSync(codec)(kept).warnings, [])
    assert.deepStrictEqual(new LookerError.QueryFailed({ ...task, errors: [] }).warnings, [])
  })

  it("Finished keeps the reason that Looker did not give", () => {
    const state = TaskState.fromEntry({ status: "error" })
    assert.strictEqual(state._tag, "Failed")
    if (state._tag === "Failed") {
      assert.deepStrictEqual(throughJson(Schema.Array(SqlError.SqlError), state.errors), state.errors)
    }
  })

  it("Started, StatusUpdate and Progress are the same after JSON", () => {
    const started: QueryTaskRun.Started = { query, taskId: "t1" }
    assert.deepStrictEqual(throughJson(QueryTaskRun.Started, started), started)
    const update: QueryRunner.StatusUpdate = { taskId: "t1", status: "running" }
    assert.deepStrictEqual(throughJson(QueryRunner.StatusUpdate, update), update)
    const progress: QueryRunner.Progress = { waiting: 1, added: 2, running: 3, done: 4, failed: 5 }
    assert.deepStrictEqual(throughJson(QueryRunner.Progress, progress), progress)
  })
})
