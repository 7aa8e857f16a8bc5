/**
 * What counts as rows, what as a warning and what as a failure: the same whether the result comes with the wait, is fetched, or is read as it
 * arrives.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import {
  type LookerError,
  QueryRunner,
  QueryTaskPoller,
  QueryTaskRun,
  type ResultFormat,
  type ResultRows
} from "effect-looker"
import * as oneTask from "./support/oneTask.ts"
import type { Answer } from "./support/StubLooker.ts"
import { runOut } from "./support/time.ts"

const hint = " (run it as json_detail to see the statement)"

/** As recorded: the error of a database, and a note of development mode. */
const fatal = {
  message: "The database encountered an error.",
  message_details: "invalid identifier 'IDS'",
  params: "SELECT ids",
  level: "error",
  sql_error_loc: { line: 2, column: 4 }
}
const note = { message: "Note: development mode", message_details: null, params: null, fatal: false, level: "error" }
const said = "The database encountered an error. invalid identifier 'IDS'"

/** How a result is had: with the wait, fetched after it, and as it arrives. */
const ways = ["with the wait", "fetched", "as it arrives"] as const

const errorOf = (task: oneTask.Task, format: ResultFormat.RowFormat, way: (typeof ways)[number]) => {
  const entry = way === "fetched" ? { status: "complete", data: undefined } : {}
  const { run, stream } = oneTask.make({ ...task, entry })
  return way === "as it arrives"
    ? Effect.map(stream({ format }), ({ error }) => error)
    : Effect.map(Effect.result(run({ format })), (result) => (result._tag === "Failure" ? result.failure : undefined))
}

interface Failure {
  readonly name: string
  readonly format: ResultFormat.RowFormat
  readonly status?: string
  readonly body: unknown
  readonly message: string
  readonly sql?: string
  readonly warnings?: ReadonlyArray<string>
}

const failures: ReadonlyArray<Failure> = [
  {
    name: "errors",
    format: "json_detail",
    status: "error",
    body: { sql: "SELECT 1", data: [], errors: [fatal] },
    message: said,
    sql: "SELECT 1"
  },
  {
    name: "errors before the rows",
    format: "json_detail",
    body: { errors: [fatal], data: [], sql: "SELECT 1" },
    message: said,
    sql: "SELECT 1"
  },
  {
    name: "errors without the statement beside them",
    format: "json_detail",
    status: "error",
    body: { data: [], errors: [fatal] },
    message: said,
    sql: "SELECT ids"
  },
  {
    name: "warnings beside errors",
    format: "json_detail",
    status: "error",
    body: { sql: "SELECT 1", data: [], errors: [note, fatal, note] },
    message: said,
    sql: "SELECT 1",
    warnings: [note.message, note.message]
  },
  {
    name: "errors as a text",
    format: "json_detail",
    status: "error",
    body: { sql: null, data: [], errors: "no view" },
    message: "no view"
  },
  {
    name: "errors as an object",
    format: "json_detail",
    status: "error",
    body: { sql: "SELECT 1", data: [], errors: fatal },
    message: said,
    sql: "SELECT 1"
  },
  {
    name: "errors by field",
    format: "json_detail",
    status: "error",
    body: { data: [], errors: { base: ["a", "b"], view: "c" } },
    message: "a; b; c"
  },
  {
    name: "error and error_detail",
    format: "json_detail",
    body: { data: [], error: "failed", error_detail: ["no table", "x"] },
    message: "failed no table x"
  },
  {
    name: "error as an object",
    format: "json_detail",
    body: { data: [], error: { message: "failed" } },
    message: "failed"
  },
  { name: "looker_error in json", format: "json", body: [{ looker_error: "no table" }], message: `no table${hint}` },
  {
    name: "looker_error behind rows in json",
    format: "json",
    body: [{ a: 1 }, { a: 2 }, { looker_error: "gone" }, { looker_error: "away" }],
    message: `gone; away${hint}`
  },
  {
    name: "looker_error in json_detail",
    format: "json_detail",
    body: { sql: "SELECT 1", data: [{ a: { value: 1 } }, { looker_error: "gone" }] },
    message: "gone",
    sql: "SELECT 1"
  },
  {
    name: "looker_error in json_bi",
    format: "json_bi",
    body: { metadata: { sql: "SELECT 1" }, rows: [{ a: { value: 1 } }, { looker_error: "gone" }] },
    message: "gone",
    sql: "SELECT 1"
  },
  {
    name: "looker_error before metadata in json_bi",
    format: "json_bi",
    body: { rows: [{ looker_error: "gone" }], metadata: { sql: "SELECT 1" } },
    message: "gone",
    sql: "SELECT 1"
  },
  {
    name: "looker_error in the json_bi before 24.4",
    format: "json_bi",
    body: { sql: "SELECT 1", data: [{ a: 1 }, { looker_error: "gone" }] },
    message: "gone",
    sql: "SELECT 1"
  },
  {
    name: "looker_error as a column of csv",
    format: "csv",
    body: "looker_error\nno table\n",
    message: `no table${hint}`
  },
  {
    name: "looker_error as one of the columns of csv",
    format: "csv",
    body: 'Origin,looker_error\nSFO,\n,"no, table"\n',
    message: `no, table${hint}`
  }
]

describe("a failed query", () => {
  for (const way of ways) {
    it.effect.each(failures)(
      `is QueryFailed with what Looker says, its result ${way}: $name`,
      ({ body, format, message, sql, status, warnings }) =>
        Effect.gen(function* () {
          // What came with a wait for the status is fetched, and then the word is complete.
          const error = yield* errorOf({ body, ...(status === undefined ? {} : { status }) }, format, way)
          assert.strictEqual(error?._tag, "QueryFailed")
          if (error?._tag !== "QueryFailed") return
          assert.strictEqual(error.message, message)
          assert.strictEqual(error.sql, sql)
          assert.isTrue(error.errors.every(({ fatal }) => fatal))
          assert.deepStrictEqual(
            error.warnings.map(({ message }) => message),
            warnings ?? []
          )
        })
    )
  }

  it.effect("says nothing of json_detail where the task is json_detail", () =>
    Effect.gen(function* () {
      for (const way of ways) {
        const error = yield* errorOf(
          { status: "error", body: { id: "t1", data: [], error: "no field" } },
          "json_detail",
          way
        )
        assert.strictEqual(error?.message, "no field")
      }
    })
  )

  it.effect("has the words of the database in details, and what Looker sent in raw", () =>
    Effect.gen(function* () {
      const body = { data: [], error: "failed", error_detail: ["no table"] }
      const error = yield* errorOf({ status: "error", body }, "json_detail", "with the wait")
      const [first] = error?._tag === "QueryFailed" ? error.errors : []
      assert.deepInclude(first, { message: "failed", details: "no table" })
      assert.deepStrictEqual(first?.raw, { error: "failed", error_detail: ["no table"] })
    })
  )

  it.effect("gives the rows before the first error in a stream, and none behind it", () =>
    Effect.gen(function* () {
      const rows = Array.from({ length: 30_000 }, (_, index) => ({ a: index }))
      const body = [...rows, { looker_error: "gone" }, ...rows, { looker_error: "away" }]
      const { error, rows: got } = yield* oneTask.make({ body }).stream()
      assert.strictEqual(error?.message, `gone; away${hint}`)
      assert.isAtMost(got.length, rows.length)
      assert.deepStrictEqual(got, rows.slice(0, got.length))
    })
  )

  it.effect("is QueryFailed in a stream also if the body breaks off behind the error", () =>
    Effect.gen(function* () {
      const { error } = yield* oneTask.make({ body: '[{"looker_error":"gone"},{"a":' }).stream()
      assert.strictEqual(error?.message, `gone${hint}`)
    })
  )
})

describe("a task that is done", () => {
  const detail = { from_cache: true, runtime: "0.418", sql: "SELECT 1", data: [{ a: { value: 1 } }] }

  it.effect("says where its rows come from, and how long they took", () =>
    Effect.gen(function* () {
      const told = yield* oneTask
        .make({ body: detail, entry: { result_source: "cache" } })
        .run({ format: "json_detail" })
      assert.deepInclude(told, { resultSource: "cache", fromCache: true, runtime: 0.418 })
      const bare = yield* oneTask.make({ body: [{ a: 1 }] }).run()
      assert.hasAllKeys(bare, ["taskId", "query", "rows", "warnings", "limitReached", "data"])
      const none = yield* oneTask
        .make({ body: { ...detail, runtime: null, from_cache: null } })
        .run({ format: "json_detail" })
      assert.doesNotHaveAnyKeys(none, ["runtime", "fromCache"])
    })
  )
})

describe("a task of which only the status is known, and that is error", () => {
  const withNote = { sql: "SELECT 1", data: [{ a: { value: 1 } }, { a: { value: 2 } }], errors: [note] }
  const tasks = (results: (request: number) => Answer) => oneTask.make({ status: "error", results })
  const always = (answer: Answer) => tasks(() => answer)

  it.effect("succeeds with its rows if there are only warnings: stream", () =>
    Effect.gen(function* () {
      const { rows, error } = yield* always({ json: withNote }).stream({ format: "json_detail" })
      assert.isUndefined(error)
      assert.deepStrictEqual(rows, [{ a: 1 }, { a: 2 }])
    })
  )

  it.effect("succeeds with the warnings if there are no others: wait and observe", () =>
    Effect.gen(function* () {
      const { layer, sent } = always({ json: withNote })
      const words: Array<string> = []
      const finished = yield* runOut(
        QueryTaskRun.QueryTaskRun.use((run) =>
          run.wait("t1", { statusOnly: true, onStatus: ({ status }) => Effect.sync(() => void words.push(status)) })
        )
      ).pipe(Effect.provide(layer))
      assert.strictEqual(finished.data, undefined)
      assert.deepStrictEqual(
        finished.warnings.map(({ message }) => message),
        [note.message]
      )
      assert.deepStrictEqual(words, ["complete"])
      assert.strictEqual(sent("GET /query_tasks/t1/results"), 1)
      const observed = yield* runOut(
        QueryTaskPoller.QueryTaskPoller.use((poller) => Stream.runCollect(poller.observe("t1", { statusOnly: true })))
      ).pipe(Effect.provide(layer))
      assert.deepStrictEqual(observed, ["complete"])
    })
  )

  const reasons: ReadonlyArray<readonly [name: string, answer: Answer, message: string, sql: string | undefined]> = [
    ["json_detail", { json: { sql: "SELECT 1", data: [], errors: [note, fatal] } }, said, "SELECT 1"],
    ["json_bi", { json: { metadata: { sql: "SELECT 1" }, rows: [{ looker_error: "gone" }] } }, "gone", "SELECT 1"],
    ["json", { json: [{ a: 1 }, { looker_error: "gone" }] }, `gone${hint}`, undefined],
    ["csv", { text: "looker_error\ngone\n" }, `gone${hint}`, undefined],
    ["a 400", { status: 400, json: { message: "gone" } }, `gone${hint}`, undefined],
    ["a 404", { status: 404 }, `Looker gave no reason${hint}`, undefined],
    ["a 202", { status: 202, text: "not finished" }, `Looker gave no reason${hint}`, undefined],
    ["rows without an error", { json: [{ a: 1 }] }, `Looker gave no reason${hint}`, undefined],
    ["HTML", { text: "<html>down</html>" }, `Looker gave no reason${hint}`, undefined],
    ["nothing", { text: "" }, `Looker gave no reason${hint}`, undefined]
  ]
  for (const [name, answer, message, sql] of reasons) {
    it.effect(`fails with the reason in its result: ${name}`, () =>
      Effect.gen(function* () {
        const { layer } = always(answer)
        const waiting = QueryTaskRun.QueryTaskRun.use((run) => run.wait("t1", { statusOnly: true }))
        const error = yield* runOut(Effect.flip(waiting)).pipe(Effect.provide(layer))
        assert.deepInclude(error, { _tag: "QueryFailed", taskId: "t1", message })
        assert.strictEqual(error._tag === "QueryFailed" && error.sql, sql)
      })
    )
  }

  it.effect("is asked again when its result broke off", () =>
    Effect.gen(function* () {
      const { stream } = tasks((request) => (request === 1 ? { json: withNote, reset: "midway" } : { json: withNote }))
      assert.deepStrictEqual(yield* stream({ format: "json_detail" }), { rows: [{ a: 1 }, { a: 2 }], error: undefined })
    })
  )
})

describe("a result that is no result", () => {
  const tag = (task: oneTask.Task, format: ResultFormat.RowFormat, way: (typeof ways)[number]) =>
    Effect.map(errorOf(task, format, way), (error): LookerError.LookerError["_tag"] | undefined => error?._tag)

  const deep = (depth: number) => `${'{"x":'.repeat(depth)}1${"}".repeat(depth)}`

  for (const way of ["fetched", "as it arrives"] as const) {
    it.effect.each([
      { name: "a second data", format: "json_detail", body: '{"data":[{"a":{"value":1}}],"data":{}}' },
      { name: "both rows and data", format: "json_bi", body: '{"rows":[{"a":1}],"data":[{"a":2}]}' },
      { name: "both data and rows", format: "json_bi", body: '{"data":[{"a":1}],"rows":[{"a":2}]}' },
      { name: "garbage beside the rows", format: "json_detail", body: '{"data":[{"a":{"value":1}}],"x":nonsense}' },
      { name: "a number that is none", format: "json_detail", body: '{"x":1.2.3,"data":[]}' },
      { name: "a member that is no JSON", format: "json_bi", body: '{"metadata":{"a":,},"rows":[]}' },
      { name: "a row that is no JSON", format: "json", body: '[{"a":1.2.3}]' },
      { name: "a long number that is none", format: "json", body: '[{"a":1234567890.1234567.3}]' },
      { name: "a cell 2,000 deep", format: "json_detail", body: `{"data":[{"a":${deep(2000)}}]}` },
      { name: "a cell 200,000 deep", format: "json_detail", body: `{"data":[{"a":${deep(200_000)}}]}` },
      { name: "a cell 2,000 deep", format: "json_bi", body: `{"rows":[{"a":${deep(2000)}}]}` },
      { name: "a cell 200,000 deep", format: "json_bi", body: `{"rows":[{"a":${deep(200_000)}}]}` }
    ] as const)(`is an error, ${way}: $name in $format`, ({ body, format }) =>
      Effect.gen(function* () {
        assert.include(["UnexpectedResponse", "TruncatedResult"], yield* tag({ body }, format, way))
      })
    )
  }

  it.effect("gives no row twice where data comes twice", () =>
    Effect.gen(function* () {
      const body = '{"data":[{"a":{"value":1}}],"data":[{"a":{"value":2}}]}'
      const { rows, error } = yield* oneTask.make({ body }).stream({ format: "json_detail" })
      assert.strictEqual(error?._tag, "TruncatedResult")
      assert.notDeepInclude(rows, { a: 2 })
    })
  )

  it.effect("is none of these: cells that are nested as pivots are, and values that are nested at will", () =>
    Effect.gen(function* () {
      const value = JSON.parse(deep(2000)) as unknown
      const body = { data: [{ a: { k1: { k2: { value: 1 } } }, b: { value } }] }
      const { rows } = yield* oneTask.make({ body }).run({ format: "json_detail" })
      const [row] = rows as ReadonlyArray<ResultRows.Row>
      assert.deepStrictEqual(row?.a, { k1: { k2: 1 } })
      assert.strictEqual(JSON.stringify(row?.b), deep(2000))
    })
  )
})

describe("QueryRunner.QueryRunner", () => {
  it("has results whose schema has what they have", () => {
    assert.hasAllKeys(QueryRunner.QueryResult(QueryRunner.Progress).fields, [
      "query",
      "taskId",
      "rows",
      "warnings",
      "limitReached",
      "resultSource",
      "fromCache",
      "runtime",
      "data"
    ])
  })
})
